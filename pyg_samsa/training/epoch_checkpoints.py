"""The checkpoints of a run: one file an epoch, under one or more names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch_geometric.graphgym.imports import pl

from pyg_samsa.training.best_epoch import best_epoch
from pyg_samsa.training.callbacks import History
from pyg_samsa.training.run_folder import RunFolder


class EpochCheckpoints(pl.callbacks.Checkpoint):
    """Writes ``last.ckpt`` after each epoch; ``best.ckpt`` and an archived epoch are further names of the same file.

    Args:
        folder: Folder of the run.
        history: History of the run, whose row of an epoch is complete before its checkpoint is written.
        monitor: Logged name that chooses the best epoch, see `best_epoch`; None keeps no best epoch.
        higher_is_better: Its direction.
        archive_every: Epochs between checkpoints that are kept for good; None for none.

    Example:
        >>> callback = EpochCheckpoints(RunFolder(Path("results/demo/0")), History(), "val_ap", archive_every=2)
        >>> callback.history.rows = [{"val_ap": 0.5}, {"val_ap": 0.6}]
        >>> [path.name for path in callback.further_names()]
        ['best.ckpt', 'epoch_0001.ckpt']
    """

    def __init__(
        self,
        folder: RunFolder,
        history: History,
        monitor: str | None = None,
        *,
        higher_is_better: bool = True,
        archive_every: int | None = None,
    ) -> None:
        self.folder, self.history, self.monitor = folder, history, monitor
        self.higher_is_better, self.archive_every = higher_is_better, archive_every

    def further_names(self) -> list[Path]:
        """Return the names that the checkpoint of the last row has besides ``last.ckpt``.

        Only an epoch with a fresh validation can be the best one.

        Example:
            >>> callback = EpochCheckpoints(RunFolder(Path("results/demo/0")), History(), "val_ap")
            >>> callback.history.rows = [{"val_ap": 0.5}, {"train_loss": 0.6}]
            >>> callback.further_names()
            []
        """
        rows, names = self.history.rows, []
        if self.monitor is not None and any(key.startswith("val_") for key in rows[-1]):
            best = best_epoch(rows, self.monitor, higher_is_better=self.higher_is_better)
            names += [self.folder.best] if best.place == len(rows) - 1 else []
        if self.archive_every is not None and len(rows) % self.archive_every == 0:
            names.append(self.folder.checkpoints / f"epoch_{len(rows) - 1:04d}.ckpt")
        return names

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Begin to write the checkpoint."""
        links = {"links": self.further_names()}
        trainer.save_checkpoint(self.folder.last, weights_only=False, storage_options=links)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Wait until the last checkpoint is written, in all processes."""
        if trainer.is_global_zero:
            trainer.strategy.checkpoint_io.wait()
        trainer.strategy.barrier("checkpoints")
