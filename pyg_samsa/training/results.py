"""Results of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyg_samsa import metrics
from pyg_samsa.task import Task
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.callbacks import Row
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.official import official_scores
from pyg_samsa.training.predictions import PredictionCollector, write_predictions
from pyg_samsa.training.run_files import RESULTS, check_summary
from pyg_samsa.training.run_folder import RunFolder

MAX_CLASSES = 40


@dataclass(frozen=True)
class RunResult:
    """Result of one run.

    Args:
        folder: Folder of the run.
        seed: Seed of the run.
        best_epoch: Epoch (from 1) whose weights were tested.
        val: Values of the validation split in that epoch.
        test: Values of the test split; empty where there is none.
        parameters: Trainable weights.
        epochs: Epochs trained.
        seconds: Time of training and validation.
        per_class: For multi-label tasks of few classes: ``name``, ``ap``, ``base_rate`` and ``positives`` of each class
            on the test split.
        fallback: Why the epoch was not chosen by the metric that was asked for, see
            `pyg_samsa.training.best_epoch.describe_fallback`; empty if it was.
        waited: Epochs since the best validation; early stopping compares it with the patience.
        time_limit: The limit that ended the run before all epochs, in seconds; None if it was not time.
        official: What the benchmark's own judge says of the test split, see
            `pyg_samsa.training.official.official_scores`; empty where there is none.
        reused: Whether the run had finished before and nothing was trained.

    Example:
        >>> from pathlib import Path
        >>> folder = RunFolder(Path("results/demo/0"))
        >>> result = RunResult(folder, 0, 2, val={}, test={"ap": 0.5}, parameters=9, epochs=4, seconds=10.0)
        >>> result.test["ap"], result.reused
        (0.5, False)
    """

    folder: RunFolder
    seed: int
    best_epoch: int
    val: Mapping[str, float]
    test: Mapping[str, float]
    parameters: int
    epochs: int
    seconds: float
    per_class: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    fallback: str = ""
    waited: int = 0
    time_limit: float | None = None
    official: Mapping[str, float] = field(default_factory=dict)
    reused: bool = False

    def as_summary(self) -> dict[str, Any]:
        """Return plain values for ``summary.json``.

        Example:
            >>> from pathlib import Path
            >>> folder = RunFolder(Path("results/demo/0"))
            >>> result = RunResult(folder, 0, 2, val={}, test={"ap": 0.5}, parameters=9, epochs=4, seconds=10.0)
            >>> result.as_summary()["seconds_per_epoch"]
            2.5
        """
        names = ("seed", "best_epoch", "epochs", "fallback", "waited", "time_limit", "parameters", "seconds")
        return {
            "status": "finished",
            **{name: getattr(self, name) for name in names},
            "seconds_per_epoch": round(self.seconds / max(1, self.epochs), 3),
            "val": dict(self.val),
            "test": dict(self.test),
            **({"protocols": protocols} if (protocols := metrics.protocols(self.test)) else {}),
            **({"official": dict(self.official)} if self.official else {}),
            "per_class": {key: list(values) for key, values in self.per_class.items()},
        }

    @classmethod
    def from_summary(cls, folder: RunFolder, summary: Mapping[str, Any]) -> RunResult:
        """Return the result of a run that finished before.

        Raises:
            DataIntegrityError: The summary lacks a value, or has one of another type.

        Example:
            >>> from pathlib import Path
            >>> folder = RunFolder(Path("results/demo/0"))
            >>> result = RunResult(folder, 0, 2, val={}, test={"ap": 0.5}, parameters=9, epochs=4, seconds=10.0)
            >>> RunResult.from_summary(folder, result.as_summary()).reused
            True
        """
        check_summary(folder.file(files.SUMMARY), summary, needed=RESULTS)
        later = {"fallback": summary.get("fallback", ""), "time_limit": summary.get("time_limit")}
        later["official"] = summary.get("official", {})
        return cls(folder, **{name: summary[name] for name in RESULTS}, **later, reused=True)


def is_finished(
    summary: Mapping[str, Any], *, max_epochs: int, patience: int = 0, max_seconds: float | None = None
) -> bool:
    """Say whether a run with this summary has nothing left to train: it did all epochs, stopped early, or had no time.

    Args:
        summary: Content of ``summary.json``.
        max_epochs: Number of epochs that are wanted.
        patience: Patience of early stopping; 0 for none.
        max_seconds: Limit of the time; None for none.

    Example:
        >>> is_finished({"epochs": 10, "waited": 3}, max_epochs=20)
        False
        >>> is_finished({"epochs": 10, "waited": 3}, max_epochs=20, patience=3)
        True
    """
    if summary["epochs"] >= max_epochs or bool(patience and summary.get("waited", 0) >= patience):
        return True
    reached = summary.get("time_limit")
    return reached is not None and max_seconds is not None and max_seconds <= reached


Finish = Callable[[RunResult, Sequence[Row], PredictionCollector], None]


def per_class_scores(collected: PredictionCollector, task: Task) -> dict[str, list[Any]]:
    """Return average precision and base rate of each class on the test split; empty for other tasks or many classes.

    Args:
        collected: What the test split gave.
        task: The targets.

    Example:
        >>> collected = PredictionCollector()
        >>> collected.row_id, collected.pred = torch.arange(3), torch.tensor([[2.0], [0.5], [1.0]])
        >>> collected.target = torch.tensor([[1.0], [0.0], [1.0]])
        >>> scores = per_class_scores(collected, Task("multilabel", ["toxic"]))
        >>> scores["ap"], scores["positives"]
        ([1.0], [2])
    """
    if task.kind != "multilabel" or task.num_targets > MAX_CLASSES or len(collected.row_id) == 0:
        return {}
    metric = metrics.MultilabelAveragePrecision(task.num_targets)
    metric.update(collected.pred, collected.target)
    labelled = ~torch.isnan(collected.target.float())
    positives = (collected.target == 1).sum(0)
    rates = positives / labelled.sum(0).clamp(min=1)
    return {
        "name": list(task.names),
        "ap": _plain(metric.per_class()),
        "base_rate": _plain(rates),
        "positives": positives.tolist(),
    }


def _plain(values: Tensor) -> list[float]:
    return [float(value) for value in values]


class RunOutput:
    """What the test split of a run gives, and the files that are made of it.

    Args:
        data: Where the rows come from.
        task: The targets.

    Example:
        >>> RunOutput(SplitData([], {}, batch_size=1), Task("multilabel", ["toxic"])).per_class()
        {}
    """

    def __init__(self, data: SplitData, task: Task) -> None:
        self.data, self.task = data, task
        self.callback: Any = PredictionCollector(task.kind, task.level)
        """Keeps the test predictions during the test."""

    def per_class(self) -> dict[str, list[Any]]:
        """Return the scores of the classes, see `per_class_scores`.

        Example:
            >>> RunOutput(SplitData([], {}, batch_size=1), Task("regression", ["logS"])).per_class()
            {}
        """
        return per_class_scores(self.callback, self.task)

    def official(self) -> dict[str, float]:
        """Return what the judge of a benchmark says, see `official_scores`."""
        return official_scores(self.data.dataset, self.callback)

    def write(self, result: RunResult, rows: Sequence[Row], monitor: str | None, finish: Finish | None) -> None:
        """Write the files; arguments as in `write_run`."""
        write_run(result, rows, self.callback, self.data, self.task, monitor, finish)


def write_run(
    result: RunResult,
    rows: Sequence[Row],
    collected: PredictionCollector,
    data: SplitData,
    task: Task,
    monitor: str | None,
    finish: Finish | None = None,
) -> None:
    """Write the test predictions and, last of all, the summary of a run.

    Args:
        result: Result of the run.
        rows: History of the run.
        collected: Test predictions.
        data: Where the rows come from.
        task: The targets.
        monitor: Logged name that chose the best epoch, or None.
        finish: Called in between with the result, the history and the predictions, see `fit_and_test`.
    """
    folder = result.folder
    # A summary of fewer epochs would call the folder whole while it is written anew.
    folder.file(files.SUMMARY).unlink(missing_ok=True)
    write_predictions(folder.file(files.PREDICTIONS), collected, dataset=data.dataset, task=task)
    if finish is not None:
        finish(result, rows, collected)
    # The summary comes last: where it lies, the run is whole.
    summary = {**result.as_summary(), "task": task.as_dict(), "monitor": monitor, "written": round(time.time())}
    folder.write_json(files.SUMMARY, summary)
