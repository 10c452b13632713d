"""Figures of a finished run: learning curves, scores per class, and segmented shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyg_samsa.io.files import atomic_write
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.callbacks import Row
from pyg_samsa.training.predictions import PredictionCollector
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.viz.learning_curves import plot_learning_curves
from pyg_samsa.viz.part_clouds import plot_parts
from pyg_samsa.viz.per_class import plot_per_class

MAX_SHAPES = 8


def draw_run(
    result: RunResult,
    rows: Sequence[Row],
    collected: PredictionCollector,
    *,
    dataset: Any,
    monitor: str | None = None,
) -> None:
    """Draw the figures of a run into its folder: learning curves, scores per class, and shapes with their parts.

    Args:
        result: Result of the run.
        rows: History of the run; may be empty.
        collected: Test predictions.
        dataset: Data set of the run.
        monitor: Logged name that chose the best epoch, or None.
    """
    if rows:
        draw_curves(result, rows, monitor)
    if result.per_class:
        with atomic_write(result.folder.file(files.CLASSES)) as temporary:
            plot_per_class(result.per_class["name"], result.per_class["ap"], result.per_class["base_rate"], temporary)
    if dataset.task.parts and collected.node is not None:
        _draw_parts(result.folder, collected, dataset)


def draw_curves(result: RunResult, rows: Sequence[Row], monitor: str | None) -> None:
    """Draw the learning curves of a run into its folder.

    Args:
        result: Result of the run.
        rows: History of the run, at least one row.
        monitor: Logged name that chose the best epoch, or None.
    """
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


def _draw_parts(folder: RunFolder, collected: PredictionCollector, dataset: Any) -> None:
    """Draw the first test shape of some categories; as in the metric, only parts of its category count."""
    names: Sequence[str] = getattr(dataset, "category_names", [])
    shapes: dict[int, int] = {}
    for row in collected.row_id.unique().tolist():
        if len(shapes) == MAX_SHAPES:
            break
        shapes.setdefault(int(dataset[row].category), row)
    columns: list[tuple[Tensor, Tensor, Tensor, str]] = []
    for category, row in sorted(shapes.items()):
        own, parts = collected.row_id == row, torch.tensor(dataset.task.parts[category])
        predicted = parts[collected.pred[own][:, parts].argmax(1)]
        name = names[category] if len(names) > category else f"category {category}"
        columns.append((dataset[row].pos, collected.target[own], predicted, name))
    points, true, predictions, titles = zip(*columns, strict=True)
    with atomic_write(folder.file(files.PARTS)) as temporary:
        plot_parts(points, true, predictions, titles, temporary, up=getattr(dataset, "up", 1))
