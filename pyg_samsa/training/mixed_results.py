"""Results of a mixture of tasks: those of all together, and a folder like that of a run for each task."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import nn
from torch_geometric.graphgym.imports import pl

from pyg_samsa.nn import num_parameters
from pyg_samsa.task import Task
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.callbacks import History, Row
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.mixture import task_of
from pyg_samsa.training.official import official_scores
from pyg_samsa.training.predictions import PredictionCollector
from pyg_samsa.training.results import RunResult, per_class_scores, write_run
from pyg_samsa.training.run_folder import RunFolder

FinishTask = Callable[[str, RunResult, Sequence[Row], PredictionCollector], None]
_TIMES = ("epoch", "step", "lr", "seconds", "total_seconds")


@dataclass(frozen=True)
class MixedTask:
    """A task of a mixture, as its results need it.

    Args:
        data: Its loaders.
        task: The targets.
        network: Its network.
        config: Resolved settings with which the task would be trained alone.
        monitor: Logged name of the metric that would choose the best epoch; None if nothing is validated.
    """

    data: SplitData
    task: Task
    network: nn.Module
    config: Mapping[str, Any]
    monitor: str | None


class MixedCollector(pl.Callback):
    """Keeps the test predictions of each task, see `PredictionCollector`.

    Args:
        tasks: Name of each task -> its targets.

    Example:
        >>> MixedCollector({"shapes": Task("multiclass", ["box", "cone"])}).of["shapes"].row_id
        tensor([], dtype=torch.int64)
    """

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self.of = {name: PredictionCollector(task.kind, task.level) for name, task in tasks.items()}
        """Name of each task -> its predictions."""

    def on_test_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Discard earlier predictions."""
        for collector in self.of.values():
            collector.on_test_epoch_start(trainer, pl_module)

    def on_test_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep a batch."""
        self.of[task_of(batch)].on_test_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)

    def on_test_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Gather what all processes kept."""
        for collector in self.of.values():
            collector.on_test_epoch_end(trainer, pl_module)


class MixedOutput:
    """What the test splits of a mixture give, and the files that are made of it.

    The folder of the run has its metrics and its summary. Below it, ``tasks/NAME`` is like the folder of a run of that
    task alone, without checkpoints, so that reports, predictions and explanations read it.

    Args:
        tasks: The tasks by name.
        draw: Called with the result and the history of the whole run, for its pictures.

    Example:
        >>> MixedOutput({}).callback.of
        {}
    """

    def __init__(
        self, tasks: Mapping[str, MixedTask], draw: Callable[[RunResult, Sequence[Row]], None] | None = None
    ) -> None:
        self.tasks, self.draw = dict(tasks), draw
        self._classes: dict[str, dict[str, list[Any]]] = {name: {} for name in tasks}
        self.callback = MixedCollector({name: task.task for name, task in tasks.items()})

    def per_class(self) -> dict[str, list[Any]]:
        """Compute the scores of the classes of each task, in all processes together, and return nothing.

        Example:
            >>> MixedOutput({}).per_class()
            {}
        """
        self._classes = {name: per_class_scores(self.callback.of[name], task.task) for name, task in self.tasks.items()}
        return {}

    def official(self) -> dict[str, float]:
        """Return nothing: each task has its own judge.

        Example:
            >>> MixedOutput({}).official()
            {}
        """
        return {}

    def write(self, result: RunResult, rows: Sequence[Row], monitor: str | None, finish: FinishTask | None) -> None:
        """Write the folder of each task, then the summary of the whole run.

        Args:
            result: Result of the run.
            rows: History of the run.
            monitor: Logged name that chose the best epoch, or None.
            finish: Called with the name of each task before its summary is written, and with its result, its history
                and its predictions.
        """
        result.folder.file(files.SUMMARY).unlink(missing_ok=True)
        for name, task in self.tasks.items():
            self._write_task(name, task, result, rows, finish)
        if self.draw is not None:
            self.draw(result, rows)
        told = {"tasks": {name: task.task.as_dict() for name, task in self.tasks.items()}, "monitor": monitor}
        result.folder.write_json(files.SUMMARY, {**result.as_summary(), **told, "written": round(time.time())})

    def _write_task(
        self, name: str, task: MixedTask, result: RunResult, rows: Sequence[Row], finish: FinishTask | None
    ) -> None:
        folder, collected = RunFolder(result.folder.path / files.TASKS / name), self.callback.of[name]
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.write_config(task.config)
        shutil.copyfile(result.folder.file(files.ENVIRONMENT), folder.file(files.ENVIRONMENT))
        own = [_row_of(name, row) for row in rows]
        history = History(folder.file(files.METRICS))
        history.rows = own
        history.write()
        part = replace(
            result,
            folder=folder,
            val=_values_of(name, result.val),
            test=_values_of(name, result.test),
            parameters=num_parameters(task.network),
            per_class=self._classes[name],
            official=official_scores(task.data.dataset, collected),
        )
        write_run(
            part, own, collected, task.data, task.task, task.monitor, None if finish is None else partial(finish, name)
        )


def _values_of(name: str, values: Mapping[str, float]) -> dict[str, float]:
    start = f"{name}/"
    return {key.removeprefix(start): value for key, value in values.items() if key.startswith(start)}


def _row_of(name: str, row: Row) -> Row:
    """Return the row of the history of one task."""
    found: Row = {key: row[key] for key in _TIMES if key in row}
    for split in ("train", "val"):
        found |= {f"{split}_{key}": value for key, value in _values_of(f"{split}_{name}", row).items()}
    return found
