"""What comes out of a run, and how it is written down."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pyg_samsa import metrics
from pyg_samsa.io.files import atomic_write
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.callbacks import Row
from pyg_samsa.training.data_module import SplitData, TaskSpec
from pyg_samsa.training.predictions import PredictionCollector, write_predictions
from pyg_samsa.training.run_folder import RunFolder

MAX_CLASSES = 40
MAX_SHAPES = 8


@dataclass(frozen=True)
class RunResult:
    """What came out of one run.

    Args:
        folder: Where everything lies.
        seed: Seed of the run.
        best_epoch: Epoch (from 1) whose weights were tested.
        val: Values of the validation split in that epoch.
        test: Values of the test split; empty where there is none.
        parameters: Trainable weights.
        epochs: Epochs trained.
        seconds: Time of training and validation.
        per_class: For multi-label tasks of few classes: ``name``, ``ap``, ``base_rate`` and ``positives`` of each class on the test split.
        reused: Whether the run had finished before and nothing was trained.
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
    reused: bool = False

    def as_summary(self) -> dict[str, Any]:
        """Return plain values for ``summary.json``."""
        names = ("seed", "best_epoch", "epochs", "parameters", "seconds")
        return {
            "status": "finished",
            **{name: getattr(self, name) for name in names},
            "seconds_per_epoch": round(self.seconds / max(1, self.epochs), 3),
            "val": dict(self.val),
            "test": dict(self.test),
            "per_class": {key: list(values) for key, values in self.per_class.items()},
        }

    @classmethod
    def from_summary(cls, folder: RunFolder, summary: Mapping[str, Any]) -> RunResult:
        """Return the result of a run that finished before."""
        names = ("seed", "best_epoch", "epochs", "parameters", "seconds", "val", "test", "per_class")
        return cls(folder, **{name: summary[name] for name in names}, reused=True)


def per_class_scores(collected: PredictionCollector, spec: TaskSpec) -> dict[str, list[Any]]:
    """Return the test average precision of every class beside its base rate; empty for other tasks, many classes or no test split.

    Args:
        collected: What the test split gave.
        spec: What the targets mean.
    """
    if spec.task != "multilabel" or not 0 < spec.num_targets <= MAX_CLASSES or len(collected.row_id) == 0:
        return {}
    metric = metrics.MultilabelAveragePrecision(spec.num_targets)
    metric.update(collected.pred, collected.target)
    labelled = ~torch.isnan(collected.target.float())
    positives = (collected.target == 1).sum(0)
    names = (
        list(spec.target_names)
        if len(spec.target_names) == spec.num_targets
        else [str(number) for number in range(spec.num_targets)]
    )
    rates = positives / labelled.sum(0).clamp(min=1)
    return {
        "name": names,
        "ap": _plain(metric.per_class()),
        "base_rate": _plain(rates),
        "positives": positives.tolist(),
    }


def _plain(values: Tensor) -> list[float]:
    return [float(value) for value in values]


def write_run(
    result: RunResult,
    rows: Sequence[Row],
    collected: PredictionCollector,
    data: SplitData,
    spec: TaskSpec,
    monitor: str | None,
) -> None:
    """Write predictions, pictures and, last of all, the summary of a run.

    Args:
        result: What came out.
        rows: History of the run.
        collected: Test predictions.
        data: Where the rows come from.
        spec: What the targets mean.
        monitor: Logged name that chose the best epoch, or None.
    """
    folder = result.folder
    write_predictions(
        folder.file(files.PREDICTIONS), collected, dataset=data.dataset, task=spec.task, target_names=spec.target_names
    )
    if rows:
        _draw(result, rows, monitor)
    if result.per_class:
        _draw_classes(result)
    if spec.category_parts and collected.node is not None:
        _draw_parts(folder, collected, data.dataset, spec)
    # The summary comes last: where it lies, the run is whole.
    folder.write_json(files.SUMMARY, {**result.as_summary(), "monitor": monitor, "written": round(time.time())})


def _draw(result: RunResult, rows: Sequence[Row], monitor: str | None) -> None:
    import pandas as pd

    from pyg_samsa.viz.curves import plot_learning_curves

    metric = monitor.removeprefix("val_") if monitor is not None else "loss"
    long: list[dict[str, Any]] = []
    for row in rows:
        for split in ("train", "val"):
            values = {
                name: row[f"{split}_{name}"] for name in dict.fromkeys(("loss", metric)) if f"{split}_{name}" in row
            }
            if values:
                long.append({"split": split, "epoch": row["epoch"], **values})
    if result.test:
        long.append({"split": "test", "epoch": result.best_epoch, **result.test})
    with atomic_write(result.folder.file(files.CURVES)) as temporary:
        title = f"{result.folder.path.parent.name}, seed {result.seed}"
        plot_learning_curves(pd.DataFrame(long), temporary, metric=metric, best_epoch=result.best_epoch, title=title)


def _draw_classes(result: RunResult) -> None:
    from pyg_samsa.viz.classes import plot_per_class

    with atomic_write(result.folder.file(files.CLASSES)) as temporary:
        plot_per_class(result.per_class["name"], result.per_class["ap"], result.per_class["base_rate"], temporary)


def _draw_parts(folder: RunFolder, collected: PredictionCollector, dataset: Any, spec: TaskSpec) -> None:
    """Draw the first test shape of each of some categories, its points labelled with parts of its category only, as they are scored."""
    from pyg_samsa.viz.part_clouds import plot_parts

    names: Sequence[str] = getattr(dataset, "category_names", [])
    shapes: dict[int, int] = {}
    for row in collected.row_id.unique().tolist():
        if len(shapes) == MAX_SHAPES:
            break
        shapes.setdefault(int(dataset[row].category), row)
    columns: list[tuple[Tensor, Tensor, Tensor, str]] = []
    for category, row in sorted(shapes.items()):
        own, parts = collected.row_id == row, torch.tensor(spec.category_parts[category])
        predicted = parts[collected.pred[own][:, parts].argmax(1)]
        name = names[category] if len(names) > category else f"category {category}"
        columns.append((dataset[row].pos, collected.target[own], predicted, name))
    points, true, predictions, titles = zip(*columns, strict=True)
    with atomic_write(folder.file(files.PARTS)) as temporary:
        plot_parts(points, true, predictions, titles, temporary, up=getattr(dataset, "up", 1))
