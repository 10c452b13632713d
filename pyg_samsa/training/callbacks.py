"""Lightning callbacks: the history of a run, early stopping, and resuming exactly."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.files import atomic_write
from pyg_samsa.io.formulas import escape_table
from pyg_samsa.io.memory import return_memory
from pyg_samsa.training.best_epoch import best_epoch

Row = dict[str, float]
_RETURN_EVERY = 200
"""Batches after which free memory is returned to the system, which takes milliseconds."""


class History(pl.Callback):
    """One row an epoch, kept in the checkpoint and written to ``metrics.csv`` after each epoch.

    The columns are ``epoch`` (from 1), ``step`` (optimiser steps so far), ``lr`` (of the last step of the epoch),
    ``seconds`` (training and validation of the epoch), ``total_seconds`` (of all epochs, also before a resume), then
    ``train_*`` and ``val_*``. An epoch without validation leaves ``val_*`` empty.

    Args:
        path: CSV file to write, or None.
        on_row: Called with each new row on the first process.

    Example:
        >>> history = History()
        >>> history.load_state_dict({"rows": [{"epoch": 1, "train_loss": 0.5}]})
        >>> history.rows[-1]["train_loss"]
        0.5
    """

    def __init__(self, path: Path | None = None, *, on_row: Callable[[Row], Any] | None = None) -> None:
        self.path, self.on_row = path, on_row
        self.rows: list[Row] = []
        self._started, self._lr, self._validated = 0.0, float("nan"), False

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock."""
        self._started, self._validated = time.perf_counter(), False

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: torch.optim.Optimizer) -> None:
        """Remember the learning rate of this step, before the schedule changes it."""
        self._lr = optimizer.param_groups[0]["lr"]

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Note that this epoch's validation values are fresh."""
        self._validated = self._validated or not trainer.sanity_checking

    def finish_epoch(self, trainer: Any) -> None:
        """Add the row of the epoch that has just ended; :class:`EpochEnd` calls it when all values are there."""
        seconds = time.perf_counter() - self._started
        wanted = ("train_", "val_") if self._validated else ("train_",)
        values = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith(wanted)}
        row: Row = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "lr": self._lr,
            "seconds": round(seconds, 3),
            "total_seconds": round(seconds + (self.rows[-1]["total_seconds"] if self.rows else 0.0), 3),
            **dict(
                sorted(
                    values.items(),
                    key=lambda item: (not item[0].startswith("train_"), item[0].split("_", 1)[1] != "loss"),
                )
            ),
        }
        self.rows.append(row)
        if trainer.is_global_zero:
            self.write()
            if self.on_row is not None:
                self.on_row(row)

    def write(self) -> None:
        """Write all rows to the CSV file, whole or not at all.

        Example:
            >>> import tempfile
            >>> history = History(Path(tempfile.mkdtemp()) / "metrics.csv")
            >>> history.rows = [{"epoch": 1, "train_loss": 0.5}]
            >>> history.write()
            >>> history.path.read_text().splitlines()
            ['epoch,train_loss', '1,0.5']
        """
        if self.path is None:
            return
        import pandas as pd

        with atomic_write(self.path) as temporary:
            escape_table(pd.DataFrame(self.rows)).to_csv(temporary, index=False)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, for the checkpoint.

        Example:
            >>> History().state_dict()
            {'rows': []}
        """
        return {"rows": [dict(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of a checkpoint: epochs after it, which are trained again, are dropped."""
        self.rows = [dict(row) for row in state_dict["rows"]]


class EpochEnd(pl.callbacks.Checkpoint):
    """Finishes the history's row when the module has logged everything and before any checkpoint is written.

    Lightning calls callbacks of this base class after the module's own ``on_train_epoch_end``, in the order given.

    Args:
        history: Whose row to finish.
    """

    def __init__(self, history: History) -> None:
        self.history = history

    # Batches of changing size leave holes in the heap, which would grow for as long as a run lasts.
    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Return free memory to the system now and then in a long epoch."""
        if (batch_idx + 1) % _RETURN_EVERY == 0:
            return_memory()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Finish the row, and return free memory to the system."""
        self.history.finish_epoch(trainer)
        return_memory()


class EarlyStop(pl.callbacks.Checkpoint):
    """Stops training when the validation has not improved for ``patience`` epochs.

    It looks at the history only, which is part of the checkpoint, so a resumed run stops in the same epoch. Like the
    checkpoint of the best epoch, it counts any improvement, however small.

    Args:
        history: Its rows.
        monitor: Column of the history that must improve, such as ``val_ap``.
        higher_is_better: Direction of ``monitor``.
        patience: Epochs without progress before training stops, at least 1.

    Example:
        >>> history = History()
        >>> history.rows = [{"epoch": 1, "val_ap": 0.6}, {"epoch": 2, "val_ap": 0.5}, {"epoch": 3, "val_ap": 0.6}]
        >>> EarlyStop(history, "val_ap", higher_is_better=True, patience=2).exhausted
        True
    """

    def __init__(self, history: History, monitor: str, *, higher_is_better: bool, patience: int) -> None:
        self.history, self.monitor, self.patience = history, monitor, patience
        self.higher_is_better = higher_is_better

    @property
    def exhausted(self) -> bool:
        """Whether training is to stop, which is decided after epochs that were validated."""
        rows = self.history.rows
        if not rows or self.monitor not in rows[-1]:
            return False
        return epochs_without_progress(rows, self.monitor, self.higher_is_better) >= self.patience

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Train no further if the run had stopped before it was resumed."""
        trainer.should_stop = trainer.should_stop or self.exhausted

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop after an epoch that was validated."""
        trainer.should_stop = trainer.should_stop or self.exhausted


def epochs_without_progress(rows: Sequence[Row], monitor: str | None, higher_is_better: bool) -> int:
    """Return the number of epochs since the best validation; 0 if nothing is monitored.

    Args:
        rows: Rows of a history.
        monitor: Column that is to improve; None for none.
        higher_is_better: Its direction.

    Example:
        >>> rows = [{"val_mae": 0.5}, {"val_mae": 0.4}, {"val_mae": 0.4}, {}]
        >>> epochs_without_progress(rows, "val_mae", higher_is_better=False)
        2
    """
    if monitor is None or not rows:
        return 0
    best = best_epoch(rows, monitor, higher_is_better=higher_is_better)
    return len(rows) if best.monitor is None else len(rows) - 1 - best.place


class ExactResume(pl.Callback):
    """Saves the states of all random number generators of all processes in checkpoints, and restores them on resuming.

    The states are restored right before the first batch, so nothing in between draws random numbers. In a fresh run all
    processes but the first get seeds of their own.

    Args:
        seed: Seed of the run.

    Example:
        >>> list(ExactResume(seed=0).state_dict())
        ['rng']
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._states: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes; every process must call this together."""
        state = rng_state()
        if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
            return {"rng": [state]}
        states: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(states, state)
        return {"rng": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts."""
        self._states = state_dict["rng"]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Set the generators of this process.

        Raises:
            DataIntegrityError: The run was made with another number of processes.
        """
        if self._states is None:
            if trainer.global_rank > 0:
                torch.manual_seed((self.seed + 7919 * trainer.global_rank) % 2**63)
            return
        if len(self._states) != trainer.world_size:
            cure = "Resume with the same devices, or start a new run."
            raise DataIntegrityError("checkpoint", f"{trainer.world_size} processes", f"{len(self._states)}", hint=cure)
        set_rng_state(self._states[trainer.global_rank])
        self._states = None


def rng_state() -> dict[str, Any]:
    """Return the states of the generators of python, numpy and torch (CUDA too), as plain values and tensors.

    Example:
        >>> state = rng_state()
        >>> first = torch.rand(2), random.random(), np.random.rand()
        >>> set_rng_state(state)
        >>> second = torch.rand(2), random.random(), np.random.rand()
        >>> torch.equal(first[0], second[0]), first[1:] == second[1:]
        (True, True)
    """
    # Data transforms of other packages use NumPy's global generator.
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (
            name,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Set the generators to what :func:`rng_state` returned; states of missing CUDA devices are ignored.

    Example:
        >>> state = rng_state()
        >>> first = torch.rand(2)
        >>> set_rng_state(state)
        >>> torch.equal(first, torch.rand(2))
        True
    """
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state_all([device.cpu() for device in state["cuda"]][: torch.cuda.device_count()])
