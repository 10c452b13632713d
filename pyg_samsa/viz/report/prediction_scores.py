"""What the HTML report computes from saved test predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pyg_samsa.metrics.mean_absolute_error import mean_absolute_error
from pyg_samsa.metrics.r2 import r2
from pyg_samsa.metrics.root_mean_squared_error import root_mean_squared_error

_REGRESSION = ("mae", "rmse", "r2", "spearman")
_KEYS = ("row", "node", "smiles")
_EPSILON = 1e-7


@dataclass(frozen=True)
class Task:
    """What a table of predictions holds.

    Args:
        kind: ``labels`` (probabilities of independent labels), ``classes`` or ``values``.
        names: Targets or classes.
        per_node: Whether a row of the table is a node.
    """

    kind: str
    names: tuple[str, ...]
    per_node: bool


def find_task(predictions: pd.DataFrame, metrics: Sequence[str]) -> Task:
    """Tell from its columns, and from the names of the run's metrics, what a table of predictions holds.

    Example:
        >>> find_task(pd.DataFrame({"row": [0], "toxic_true": [1], "toxic_pred": [0.5]}), ["ap"])
        Task(kind='labels', names=('toxic',), per_node=False)
    """
    names = tuple(str(column)[: -len("_pred")] for column in predictions if str(column).endswith("_pred"))
    per_node = "node" in predictions
    if {"true", "pred"} <= set(predictions.columns):
        return Task("classes", names, per_node)
    true, pred = labels(predictions, names)
    outside = ((pred < 0) | (pred > 1)).any() or not np.isin(true[~np.isnan(true)], (0, 1)).all()
    return Task("values" if outside or any(name in _REGRESSION for name in metrics) else "labels", names, per_node)


def labels(predictions: pd.DataFrame, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions [n, C] of labels or values."""
    return tuple(predictions[[f"{name}_{end}" for name in names]].to_numpy(float) for end in ("true", "pred"))  # type: ignore[return-value]


def probabilities(predictions: pd.DataFrame, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return classes [n] and probabilities [n, C]; rows without a class are left out."""
    rows = predictions[predictions["true"].notna() & (predictions["true"] >= 0)]
    return rows["true"].to_numpy(int), rows[[f"{name}_pred" for name in names]].to_numpy(float)


def one_against_rest(predictions: pd.DataFrame, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return 0/1 targets (NaN where there is none) and scores [n, C] of labels or classes."""
    if task.kind == "labels":
        return labels(predictions, task.names)
    true, scores = probabilities(predictions, task.names)
    return (true[:, None] == np.arange(len(task.names))).astype(float), scores


def confusion(frames: Sequence[pd.DataFrame], task: Task) -> np.ndarray:
    """Return counts [C, C] of true (down) and predicted (across) classes over all frames."""
    counts = np.zeros((len(task.names), len(task.names)), dtype=int)
    for frame in frames:
        true, scores = probabilities(frame, task.names)
        np.add.at(counts, (true, scores.argmax(1)), 1)
    return counts


def class_scores(counts: np.ndarray) -> list[dict[str, float]]:
    """Return precision, recall, F1 and support of each class from a confusion matrix; NaN where a score is not defined.

    Example:
        >>> class_scores(np.array([[3, 1], [0, 0]]))[0]
        {'precision': 1.0, 'recall': 0.75, 'f1': 0.8571428571428571, 'support': 4}
    """
    right, support, found = np.diag(counts), counts.sum(1), counts.sum(0)
    return [
        {
            "precision": float(r / f) if f else math.nan,
            "recall": float(r / s) if s else math.nan,
            "f1": float(2 * r / (s + f)) if s + f else math.nan,
            "support": int(s),
        }
        for r, s, f in zip(right, support, found, strict=True)
    ]


def precision_recall(true: np.ndarray, score: np.ndarray) -> tuple[list[float], list[float], float, float] | None:
    """Return recall, precision, average precision and base rate of one class; None where it has one kind of label only."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    known = ~np.isnan(true)
    true, score = true[known], score[known]
    if not 0 < true.sum() < len(true):
        return None
    precision, recall, _ = precision_recall_curve(true, score)
    # The last point is none of a threshold.
    return (
        recall[-2::-1].tolist(),
        precision[-2::-1].tolist(),
        float(average_precision_score(true, score)),
        float(true.mean()),
    )


def reliability(
    true: np.ndarray, probability: np.ndarray, *, bins: int = 10
) -> tuple[list[float], list[float], list[float], float]:
    r"""Return mean prediction, observed share and share of all of each bin that is not empty, and the expected calibration error.

    .. math::
        \mathrm{ECE} = \sum_b \frac{n_b}{n} \bigl| \bar y_b - \bar p_b \bigr|

    Args:
        true: 0, 1 or NaN [...].
        probability: Predicted probabilities of 1 [...].
        bins: Number of bins of equal width.

    Example:
        >>> reliability(np.array([0.0, 1.0]), np.array([0.25, 0.75]))
        ([0.25, 0.75], [0.0, 1.0], [0.5, 0.5], 0.25)
    """
    known = ~np.isnan(true)
    true, probability = true[known], probability[known]
    place = np.clip((probability * bins).astype(int), 0, bins - 1)
    predicted, observed, share = [], [], []
    for number in np.unique(place):
        inside = place == number
        predicted.append(float(probability[inside].mean()))
        observed.append(float(true[inside].mean()))
        share.append(float(inside.mean()))
    error = sum(part * abs(y - p) for part, y, p in zip(share, observed, predicted, strict=True))
    return predicted, observed, share, error


def value_scores(true: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Return mean absolute error, root mean squared error and R² of one target; NaN targets are left out."""
    known = ~np.isnan(true)
    true, pred = true[known], pred[known]
    return {
        "mae": mean_absolute_error(pred, true),
        "rmse": root_mean_squared_error(pred, true),
        "r2": r2(pred, true),
    }


def mean_over_seeds(frames: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    """Return the predictions averaged over frames that hold the same rows; None where they do not."""
    first = frames[0]
    keys = [key for key in _KEYS if key in first]
    if any(list(frame.columns) != list(first.columns) or not frame[keys].equals(first[keys]) for frame in frames[1:]):
        return None
    mean = first.copy()
    for column in first.columns:
        if str(column).endswith("_pred"):
            mean[column] = np.mean([frame[column].to_numpy(float) for frame in frames], axis=0)
    return mean


def worst(predictions: pd.DataFrame, task: Task, *, count: int) -> list[dict[str, Any]]:
    """Return the rows that are predicted worst: by cross-entropy for labels and classes, by the error in standard deviations for values.

    Each has ``row``, ``error``, ``smiles`` where there is one, and ``targets``: name, true and predicted value of what is most wrong, worst first.

    Args:
        predictions: One table of predictions.
        task: What it holds.
        count: How many.
    """
    if task.kind == "classes":
        table = predictions[predictions["true"].notna() & (predictions["true"] >= 0)]
        true, pred = probabilities(predictions, task.names)
        error = -np.log(np.clip(pred[np.arange(len(true)), true], _EPSILON, 1))[:, None]
    else:
        table = predictions
        true, pred = labels(predictions, task.names)
        clipped = np.clip(pred, _EPSILON, 1 - _EPSILON)
        error = (
            -np.log(np.where(true == 1, clipped, 1 - clipped))
            if task.kind == "labels"
            else np.abs(true - pred) / _scale(true)
        )
        error = np.where(np.isnan(true), np.nan, error)
    labelled = ~np.isnan(error).all(1)
    each = pd.Series(
        np.where(labelled, np.nanmean(np.where(labelled[:, None], error, 0), axis=1), -1.0), index=table.index
    )
    if task.per_node:
        right = (table["pred"] == table["true"]) if task.kind == "classes" else None
        rows = each.groupby(table["row"]).mean().nlargest(count)
        share = right.groupby(table["row"]).mean() if right is not None else None
        return [
            {"row": row, "error": value, "right": None if share is None else float(share[row])}
            for row, value in rows.items()
        ]
    places = {index: place for place, index in enumerate(table.index)}
    chosen = each[each >= 0].nlargest(count)
    return [_row(table.loc[index], places[index], true, pred, error, task) for index in chosen.index]


def _scale(true: np.ndarray) -> np.ndarray:
    deviation = np.nanstd(true, axis=0)
    return np.where(deviation > 0, deviation, 1.0)


def _row(
    row: pd.Series, place: int, true: np.ndarray, pred: np.ndarray, error: np.ndarray, task: Task
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "row": int(row["row"]),
        "error": float(np.nanmean(error[place])),
        "smiles": row.get("smiles"),
    }
    if task.kind == "classes":
        guess = int(pred[place].argmax())
        right = int(true[place])
        found["targets"] = [
            {"name": task.names[right], "true": 1.0, "pred": float(pred[place, right]), "note": "true"},
            {"name": task.names[guess], "true": 0.0, "pred": float(pred[place, guess]), "note": "predicted"},
        ][: 2 if guess != right else 1]
        return found
    order = sorted(
        (number for number in range(len(task.names)) if not math.isnan(error[place, number])),
        key=lambda number: -error[place, number],
    )
    found["targets"] = [
        {"name": task.names[n], "true": float(true[place, n]), "pred": float(pred[place, n]), "note": ""}
        for n in order[:4]
    ]
    return found
