"""Progress of a run: a bar at the bottom of the terminal, and one line per epoch."""

from __future__ import annotations

import time
from typing import Any

from torch_geometric.graphgym.imports import pl

from pyg_samsa.training.best_epoch import best_epoch
from pyg_samsa.training.callbacks import History, Row

REFRESH_SECONDS = 0.25
WIDTH = 80


def _short(value: float) -> str:
    """Return a value in at most 8 characters: four decimals, or three significant digits if these would not show it."""
    plain = f"{value:.4f}"
    return plain if not value or (abs(value) >= 5e-4 and len(plain) <= 8) else f"{value:.2e}"


class EpochLines:
    """Formats the rows of a history as aligned lines of at most 80 columns.

    Args:
        monitor: Logged name that chooses the best epoch, such as ``val_ap``; None where nothing is validated.
        higher_is_better: Its direction.
        max_epochs: Epochs of the run.

    Example:
        >>> lines = EpochLines("val_ap", higher_is_better=True, max_epochs=20)
        >>> print(lines.head().rstrip())
          epoch       lr  train loss  train ap  val loss   val ap    time
        >>> row = {"epoch": 1, "lr": 2e-4, "train_loss": 0.69, "train_ap": 0.1, "val_loss": 0.5, "val_ap": 0.25}
        >>> print(lines.line({**row, "seconds": 3.2}))
           1/20  2.0e-04      0.6900    0.1000    0.5000   0.2500    3.2s  *
    """

    def __init__(self, monitor: str | None, *, higher_is_better: bool, max_epochs: int) -> None:
        self.monitor, self.max_epochs = monitor, max_epochs
        self.higher_is_better = higher_is_better
        self._validated: list[Row] = []
        metric = monitor.split("_", 1)[1] if monitor is not None else None
        keys = (
            ["train_loss", f"train_{metric}", "val_loss", monitor]
            if metric not in (None, "loss")
            else ["train_loss", "val_loss"]
        )
        self.count_width = max(7, 2 * len(str(max_epochs)) + 1)
        self.columns = [(key, max(8, len(key))) for key in keys if key is not None]
        while sum(width + 2 for _, width in self.columns) > WIDTH - 24 - self.count_width and len(self.columns) > 2:
            del self.columns[1]

    def head(self) -> str:
        """Return the line of column names.

        Example:
            >>> EpochLines(None, higher_is_better=True, max_epochs=3).head().split()
            ['epoch', 'lr', 'train', 'loss', 'val', 'loss', 'time']
        """
        names = "".join(f"  {key.replace('_', ' ', 1):>{width}}" for key, width in self.columns)
        return f"{'epoch':>{self.count_width}}  {'lr':>7}{names}  {'time':>6}   "

    def line(self, row: Row) -> str:
        """Return the line of an epoch; ``*`` marks the best one so far.

        Example:
            >>> row = {"epoch": 2, "lr": 1e-3, "train_loss": 0.5, "seconds": 75}
            >>> EpochLines(None, higher_is_better=True, max_epochs=3).line(row).split()
            ['2/3', '1.0e-03', '0.5000', '-', '1m15s']
        """
        count = f"{int(row['epoch'])}/{self.max_epochs}"
        values = "".join(
            f"  {_short(row[key]):>{width}}" if key in row else f"  {'-':>{width}}" for key, width in self.columns
        )
        star = "*" if self.improves(row) else ""
        seconds = short_time(row["seconds"])
        return f"{count:>{self.count_width}}  {row['lr']:>7.1e}{values}  {seconds:>6}  {star}".rstrip()

    def improves(self, row: Row) -> bool:
        """Whether the row is the best one so far; remembers it.

        Example:
            >>> lines = EpochLines("val_mae", higher_is_better=False, max_epochs=3)
            >>> [lines.improves({"val_mae": value}) for value in (0.5, 0.6, 0.4)]
            [True, False, True]
        """
        if self.monitor is None or self.monitor not in row:
            return False
        self._validated.append(row)
        best = best_epoch(self._validated, self.monitor, higher_is_better=self.higher_is_better)
        return best.place == len(self._validated) - 1


def short_time(seconds: float) -> str:
    """Return seconds in at most six characters.

    Example:
        >>> [short_time(seconds) for seconds in (0.04, 3.21, 75, 4000, 90000)]
        ['0.0s', '3.2s', '1m15s', '1h06m', '25h00m']
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


class ProgressDisplay(pl.Callback):
    """Shows the lines of a history and, in a terminal, a bar for the epoch with the time that the run still needs.

    Args:
        console: A rich console.
        lines: How epochs look.
        history: Its rows tell the time that an epoch takes.
    """

    def __init__(self, console: Any, lines: EpochLines, history: History) -> None:
        self.console, self.lines, self.history = console, lines, history
        self._bar: Any = None
        self._task: Any = None
        self._shown = 0.0

    def on_row(self, row: Row) -> None:
        """Print the line of an epoch."""
        from rich.text import Text

        line = self.lines.line(row)
        self.console.print(Text(line, style="bold green" if line.endswith("*") else ""))

    def note(self, text: str) -> None:
        """Print a message between the lines of the epochs."""
        from rich.text import Text

        self.console.print(Text(f"  {text}", style="dim"))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Print the column names, the epochs that are already done, and start the bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.text import Text

        self.console.print(Text(self.lines.head().rstrip(), style="bold"))
        for row in self.history.rows:
            self.on_row(row)
        if self.console.is_terminal and not self.console.quiet:
            columns = (
                TextColumn("{task.description:>7}"),
                BarColumn(bar_width=32),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = Progress(*columns, console=self.console, transient=True, refresh_per_second=8)
            self._task = self._bar.add_task("", total=None, note="")
            self._bar.start()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin the bar of an epoch."""
        if self._bar is not None:
            label = f"{trainer.current_epoch + 1}/{self.lines.max_epochs}"
            self._bar.reset(self._task, total=trainer.num_training_batches, description=label, note="")

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the bar; the loss is read only as often as it is shown, because reading it waits for the device."""
        if self._bar is None or time.perf_counter() - self._shown < REFRESH_SECONDS:
            return
        self._shown = time.perf_counter()
        loss = float(outputs["loss"]) * trainer.accumulate_grad_batches
        note = f"loss {loss:.4f}" if abs(loss) < 1e4 else f"loss {loss:.4g}"
        if self.history.rows:
            seconds = [row["seconds"] for row in self.history.rows[-5:]]
            left = (
                sum(seconds)
                / len(seconds)
                * (self.lines.max_epochs - trainer.current_epoch - (batch_idx + 1) / trainer.num_training_batches)
            )
            note += f" · {short_time(max(0.0, left))} left"
        self._bar.update(self._task, completed=batch_idx + 1, note=note)

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Say that validation has begun."""
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.num_training_batches, note="validating")

    def stop(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Remove the bar."""
        self.stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Remove the bar, so that the error starts on a new line."""
        self.stop()
