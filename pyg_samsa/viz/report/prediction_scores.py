"""Scores that the HTML report computes from test predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pyg_samsa.metrics.mean_absolute_error import mean_absolute_error
from pyg_samsa.metrics.r2 import r2
from pyg_samsa.metrics.root_mean_squared_error import root_mean_squared_error
from pyg_samsa.task import Task
from pyg_samsa.viz.report.prediction_tables import probabilities


def confusion(frames: Sequence[pd.DataFrame], task: Task) -> np.ndarray:
    """Return counts [C, C] of true (rows) and predicted (columns) classes over all tables.

    Example:
        >>> frame = pd.DataFrame({"true": [0, 1, 1], "a_pred": [0.9, 0.7, 0.2], "b_pred": [0.1, 0.3, 0.8]})
        >>> confusion([frame], Task("multiclass", ["a", "b"])).tolist()
        [[1, 0], [1, 1]]
    """
    counts = np.zeros((len(task.names), len(task.names)), dtype=int)
    for frame in frames:
        true, scores = probabilities(frame, task.names)
        np.add.at(counts, (true, scores.argmax(1)), 1)
    return counts


def class_scores(counts: np.ndarray) -> list[dict[str, float]]:
    """Return precision, recall, F1 and support of each class from a confusion matrix; NaN for undefined scores.

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
    r"""Return recall, precision, average precision and base rate of one class; None if it has only one kind of label.

    The precision belongs to all recalls from the one before up to its own, so that the area below the steps is the
    average precision:

    .. math::
        \mathrm{AP} = \sum_n (R_n - R_{n-1}) P_n

    Example:
        >>> precision_recall(np.array([0.0, 1.0, 1.0, np.nan]), np.array([0.5, 0.9, 0.2, 0.5]))
        ([0.0, 0.5, 1.0], [1.0, 1.0, 0.6666666666666666], 0.8333333333333333, 0.6666666666666666)
    """
    from sklearn.metrics import average_precision_score, precision_recall_curve

    known = ~np.isnan(true)
    true, score = true[known], score[known]
    if not 0 < true.sum() < len(true):
        return None
    precision, recall, _ = precision_recall_curve(true, score)
    # The last point belongs to no threshold. Of several points with one recall, the first has the highest threshold.
    recall, precision = recall[-2::-1], precision[-2::-1]
    new = np.flatnonzero(np.diff(recall, prepend=0.0) > 0)
    return (
        [0.0, *recall[new].tolist()],
        [float(precision[new[0]]), *precision[new].tolist()],
        float(average_precision_score(true, score)),
        float(true.mean()),
    )


def roc(true: np.ndarray, score: np.ndarray) -> tuple[list[float], list[float], float] | None:
    """Return false positive rates, true positive rates and the area of one class; None if it has one kind of label.

    Example:
        >>> roc(np.array([0.0, 1.0, np.nan, 0.0]), np.array([0.2, 0.9, 0.5, 0.1]))
        ([0.0, 0.0, 1.0], [0.0, 1.0, 1.0], 1.0)
    """
    from sklearn.metrics import auc, roc_curve

    known = ~np.isnan(true)
    true, score = true[known], score[known]
    if not 0 < true.sum() < len(true):
        return None
    false_rate, true_rate, _ = roc_curve(true, score)
    return false_rate.tolist(), true_rate.tolist(), float(auc(false_rate, true_rate))


def reliability(
    true: np.ndarray, probability: np.ndarray, *, bins: int = 10
) -> tuple[list[float], list[float], list[float], float]:
    r"""Compute a reliability diagram and the expected calibration error.

    .. math::
        \mathrm{ECE} = \sum_b \frac{n_b}{n} \bigl| \bar y_b - \bar p_b \bigr|

    Args:
        true: 0, 1 or NaN [...].
        probability: Predicted probabilities of 1 [...].
        bins: Number of bins of equal width.

    Returns:
        Mean prediction, observed share of 1 and share of all predictions in each non-empty bin, and the error.

    Example:
        >>> reliability(np.array([0.0, 1.0]), np.array([0.25, 0.75]))
        ([0.25, 0.75], [0.0, 1.0], [0.5, 0.5], 0.25)
    """
    from sklearn.calibration import calibration_curve

    known = ~np.isnan(true)
    true, probability = true[known], probability[known]
    if not len(true):
        return [], [], [], 0.0
    # calibration_curve wants both labels among the values, and does not say how many there are in a bin.
    observed, predicted = calibration_curve(true, probability, pos_label=1, n_bins=bins)
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], probability)
    counts = np.bincount(place, minlength=bins)
    share = counts[counts > 0] / len(true)
    error = float(share @ np.abs(observed - predicted))
    return predicted.tolist(), observed.tolist(), share.tolist(), error


def value_scores(true: np.ndarray, pred: np.ndarray) -> dict[str, float]:
    """Return mean absolute error, root mean squared error and R² of one target, without NaN targets.

    Example:
        >>> value_scores(np.array([1.0, 2.0, np.nan]), np.array([1.5, 2.5, 9.0]))
        {'mae': 0.5, 'rmse': 0.5, 'r2': 0.0}
    """
    known = ~np.isnan(true)
    true, pred = true[known], pred[known]
    return {
        "mae": mean_absolute_error(pred, true),
        "rmse": root_mean_squared_error(pred, true),
        "r2": r2(pred, true),
    }
