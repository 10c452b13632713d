"""Reads the tables of test predictions that runs write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from pyg_samsa.io.cells import BOUND_SIGNS
from pyg_samsa.task import Task
from pyg_samsa.training.losses import clip_to_bounds
from pyg_samsa.training.run_record import RunRecord

_REGRESSION_METRICS = ("mae", "rmse", "r2", "spearman")
_KEYS = ("row", "node", "source", "target", "smiles")


def find_task(predictions: pd.DataFrame, metrics: Sequence[str]) -> Task:
    """Infer the task of a table of predictions from its columns and the metrics of its run.

    Args:
        predictions: Table with ``<name>_pred`` columns, and ``true`` and ``pred`` for classes.
        metrics: Names of the test metrics.

    Example:
        >>> task = find_task(pd.DataFrame({"row": [0], "toxic_true": [1], "toxic_pred": [0.5]}), ["ap"])
        >>> task.kind, task.names, task.level
        ('multilabel', ('toxic',), 'graph')
    """
    names = tuple(str(column)[: -len("_pred")] for column in predictions if str(column).endswith("_pred"))
    level = "node" if "node" in predictions else "link" if {"source", "target"} <= set(predictions) else "graph"
    if {"true", "pred"} <= set(predictions.columns):
        return Task("multiclass", names, level)
    true, pred = labels(predictions, names)
    outside = ((pred < 0) | (pred > 1)).any() or not np.isin(true[~np.isnan(true)], (0, 1)).all()
    regression = outside or any(name in _REGRESSION_METRICS for name in metrics)
    return Task("regression" if regression else "multilabel", names, level)


def task_of(run: RunRecord) -> Task:
    """Return the task of a run that has test predictions: from its summary, or else inferred from the predictions.

    Raises:
        ConfigError: The summary describes no valid task.
    """
    assert run.predictions is not None
    saved = (run.summary or {}).get("task")
    if saved is not None:
        return Task.from_dict(saved, origin=f"{run.path}: task")
    return find_task(run.predictions, list((run.summary or {}).get("test", {})))


def frame_of(run: RunRecord) -> pd.DataFrame:
    """Return the test predictions of a run; for parts of shapes, only those of the shape's own category count.

    Example:
        >>> from pathlib import Path
        >>> frame = pd.DataFrame({"row": [0, 0], "node": [0, 1], "true": [0, 1], "pred": [2, 1]})
        >>> frame[["leg_pred", "seat_pred", "wing_pred"]] = [[0.3, 0.1, 0.6], [0.2, 0.6, 0.2]]
        >>> task = Task("multiclass", ["leg", "seat", "wing"], "node", parts=[[0, 1], [2]]).as_dict()
        >>> found = frame_of(RunRecord(Path("0"), "demo", 0, {}, summary={"task": task}, predictions=frame))
        >>> found["pred"].tolist(), found["wing_pred"].tolist(), found["leg_pred"].round(2).tolist()
        ([0, 1], [0.0, 0.0], [0.75, 0.25])
    """
    assert run.predictions is not None
    task = task_of(run)
    if not task.parts or "row" not in run.predictions:
        return run.predictions
    columns = [f"{name}_pred" for name in task.names]
    frame = run.predictions.copy()
    scores, classes = frame[columns].to_numpy(float, copy=True), frame["true"].fillna(-1).to_numpy(int)
    for rows in frame.groupby("row").indices.values():
        true = set(classes[rows].tolist()) - {-1}
        own = next((list(parts) for parts in task.parts if true <= set(parts)), None)
        if own is not None:
            other = np.setdiff1d(np.arange(len(columns)), own)
            scores[np.ix_(rows, other)] = 0.0
    frame[columns] = scores / np.maximum(scores.sum(1, keepdims=True), np.finfo(float).tiny)
    return frame.assign(pred=scores.argmax(1))


def labels(predictions: pd.DataFrame, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions [n, C] of labels or regressions.

    Example:
        >>> true, pred = labels(pd.DataFrame({"a_true": [1, 0], "a_pred": [0.75, 0.5]}), ["a"])
        >>> true.tolist(), pred.tolist()
        ([[1.0], [0.0]], [[0.75], [0.5]])
    """
    true, pred = (predictions[[f"{name}_{end}" for name in names]].to_numpy(float) for end in ("true", "pred"))
    return true, pred


def bounds(predictions: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return which targets are bounds, int [n, C]: 1 for lower ones, -1 for upper ones, 0 for values.

    Example:
        >>> bounds(pd.DataFrame({"a_true": [1, 2], "a_bound": [">", np.nan], "a_pred": [0, 0]}), ["a"]).tolist()
        [[1], [0]]
    """
    signs = {sign: number for number, sign in BOUND_SIGNS.items() if number}
    found = np.zeros((len(predictions), len(names)), dtype=int)
    for place, name in enumerate(names):
        if f"{name}_bound" in predictions:
            found[:, place] = [signs.get(str(text).strip(), 0) for text in predictions[f"{name}_bound"]]
    return found


def clipped(predictions: pd.DataFrame, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions [n, C] as metrics see them: on the right side of a bound, a prediction is exact.

    Example:
        >>> frame = pd.DataFrame({"a_true": [5.0, 5.0], "a_bound": [">", ">"], "a_pred": [7.0, 4.0]})
        >>> clipped(frame, ["a"])[1].tolist()
        [[5.0], [4.0]]
    """
    true, pred = labels(predictions, names)
    parts = (torch.tensor(part) for part in (pred, true, bounds(predictions, names)))
    return true, clip_to_bounds(*parts).numpy()


def probabilities(predictions: pd.DataFrame, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return classes [n] and probabilities [n, C]; without rows that have no class.

    Example:
        >>> frame = pd.DataFrame({"true": [1, np.nan], "a_pred": [0.25, 0.5], "b_pred": [0.75, 0.5]})
        >>> true, scores = probabilities(frame, ["a", "b"])
        >>> true.tolist(), scores.tolist()
        ([1], [[0.25, 0.75]])
    """
    rows = predictions[predictions["true"].notna() & (predictions["true"] >= 0)]
    return rows["true"].to_numpy(int), rows[[f"{name}_pred" for name in names]].to_numpy(float)


def one_against_rest(predictions: pd.DataFrame, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return 0/1 targets (NaN where there is none) and scores [n, C] of labels or classes.

    Example:
        >>> frame = pd.DataFrame({"true": [1], "pred": [1], "a_pred": [0.25], "b_pred": [0.75]})
        >>> true, scores = one_against_rest(frame, Task("multiclass", ["a", "b"]))
        >>> true.tolist(), scores.tolist()
        ([[0.0, 1.0]], [[0.25, 0.75]])
    """
    if task.has_labels:
        return labels(predictions, task.names)
    true, scores = probabilities(predictions, task.names)
    return (true[:, None] == np.arange(len(task.names))).astype(float), scores


def mean_over_seeds(frames: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    """Return the predictions averaged over tables of the same rows; None if the rows differ.

    Example:
        >>> frames = [pd.DataFrame({"row": [0], "a_pred": [score]}) for score in (0.25, 0.75)]
        >>> mean_over_seeds(frames)["a_pred"].tolist()
        [0.5]
    """
    first = frames[0]
    keys = [key for key in _KEYS if key in first]
    if any(list(frame.columns) != list(first.columns) or not frame[keys].equals(first[keys]) for frame in frames[1:]):
        return None
    mean = first.copy()
    for column in first.columns:
        if str(column).endswith("_pred"):
            mean[column] = np.mean([frame[column].to_numpy(float) for frame in frames], axis=0)
    return mean
