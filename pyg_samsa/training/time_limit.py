"""A limit for the time of a run, and a schedule that ends within it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import ConfigError
from pyg_samsa.training import schedulers
from pyg_samsa.training.callbacks import History

_MEASURED = 2
"""The number of epochs that fit may grow until so many are measured; the first one is slower than the others."""
_WINDOW = 3


class TimeLimit(pl.callbacks.Checkpoint):
    """Ends a run after the last epoch that fits into a number of seconds.

    The time is that of training and validation in all parts of a resumed run. An epoch is expected to last as long as
    the longest of the last three, without the first one of each part. At least one epoch is trained.

    With ``fit_schedule``, the schedule of the learning rate ends with the last epoch that fits. The number of epochs is
    measured in the first two, then only falls, if epochs become slower. It is part of the checkpoint, so a resumed run
    has the rates of an uninterrupted one. With another limit than before, a resumed run measures again.

    Args:
        history: Its rows tell the time that an epoch takes.
        seconds: The limit, above 0.
        fit_schedule: Whether the schedule ends with the limit.
        tell: Called in the first process with a message for the user.
        on_fit: Called with the number of epochs that fit, whenever it changes.

    Raises:
        ConfigError: The warm-up is not over when the time is.

    Example:
        >>> limit = TimeLimit(History(), seconds=60.0)
        >>> limit.history.rows = [{"seconds": 30.0, "total_seconds": 30.0}, {"seconds": 11.0, "total_seconds": 41.0}]
        >>> limit.epochs_that_fit(elapsed=41.0)
        3
    """

    def __init__(
        self,
        history: History,
        seconds: float,
        *,
        fit_schedule: bool = False,
        tell: Callable[[str], Any] | None = None,
        on_fit: Callable[[int], Any] | None = None,
    ) -> None:
        self.history, self.seconds, self.fit_schedule = history, seconds, fit_schedule
        self.tell, self.on_fit = tell, on_fit
        self.ended = False
        self.epochs: int | None = None
        self.total_steps: int | None = None
        self._first_rows: list[int] = [0]
        self._before = self._started = 0.0

    def state_dict(self) -> dict[str, Any]:
        """Return what was decided, for the checkpoint.

        Example:
            >>> TimeLimit(History(), 60.0).state_dict()
            {'seconds': 60.0, 'ended': False, 'epochs': None, 'total_steps': None, 'first_rows': [0]}
        """
        return {
            "seconds": self.seconds,
            "ended": self.ended,
            "epochs": self.epochs,
            "total_steps": self.total_steps,
            "first_rows": list(self._first_rows),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what was decided for the same limit."""
        self._first_rows = list(state_dict["first_rows"])
        if state_dict["seconds"] == self.seconds:
            self.ended, self.epochs = state_dict["ended"], state_dict["epochs"]
            self.total_steps = state_dict["total_steps"]

    def epochs_that_fit(self, elapsed: float) -> int:
        """Return the number of epochs, with those that are over, that fit into the limit.

        Args:
            elapsed: Seconds of the run so far.

        Example:
            >>> limit = TimeLimit(History(), seconds=10.0)
            >>> limit.history.rows = [{"seconds": 4.0}]
            >>> limit.epochs_that_fit(elapsed=4.0)
            2
        """
        rows = self.history.rows
        steady = [row["seconds"] for number, row in enumerate(rows) if number not in self._first_rows][-_WINDOW:]
        longest = max(steady or [rows[-1]["seconds"]])
        left = max(0.0, self.seconds - elapsed)
        return len(rows) + (math.floor(left / longest) if longest else 10**9)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock; go on with what was decided before."""
        rows = self.history.rows
        self._started, self._before = time.perf_counter(), rows[-1]["total_seconds"] if rows else 0.0
        if not rows:
            return
        if self.epochs is not None:
            self._set_schedule(trainer)
        elif self.fit_schedule or not self.ended:
            self._decide(trainer)
        self._first_rows.append(len(rows))
        trainer.should_stop = trainer.should_stop or self.ended

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop, or shorten the schedule, if that is necessary."""
        self._decide(trainer)
        trainer.should_stop = trainer.should_stop or self.ended

    def _decide(self, trainer: Any) -> None:
        """Set whether the run has ended, and the end of the schedule, by the clock of the first process."""
        done = len(self.history.rows)
        elapsed = self._before + time.perf_counter() - self._started
        fitting = int(trainer.strategy.broadcast(min(self.epochs_that_fit(elapsed), trainer.max_epochs)))
        if self.fit_schedule and (self.epochs is None or done <= _MEASURED or fitting < self.epochs):
            before, self.epochs = self.epochs, fitting
            per_epoch = trainer.estimated_stepping_batches // trainer.max_epochs
            self.total_steps = trainer.global_step + (fitting - done) * per_epoch
            if fitting != (before or trainer.max_epochs) and fitting > done:
                self._say(trainer, f"{fitting} epochs fit into {self.seconds:g} s: the schedule ends with them")
            self._set_schedule(trainer)
        last = fitting if self.epochs is None else self.epochs
        self.ended = done >= last and done < trainer.max_epochs
        if self.ended:
            self._say(trainer, f"stopped after epoch {done}: train.max_seconds is {self.seconds:g}")

    def _set_schedule(self, trainer: Any) -> None:
        assert self.epochs is not None
        assert self.total_steps is not None
        if self.on_fit is not None:
            self.on_fit(self.epochs)
        for scheduler in (config.scheduler for config in trainer.lr_scheduler_configs):
            warmup = schedulers.warmup_steps_of(scheduler)
            if self.total_steps > warmup:
                schedulers.set_total_steps(scheduler, self.total_steps)
            elif len(self.history.rows) >= _MEASURED:
                expected = f"the time of more steps than the {warmup} of the warm-up; {self.total_steps} fit"
                hint = "Allow more time, or shorten the warm-up (optim.num_warmup_epochs)."
                raise ConfigError("train.max_seconds", self.seconds, expected, hint=hint)

    def _say(self, trainer: Any, text: str) -> None:
        if self.tell is not None and trainer.is_global_zero:
            self.tell(text)
