"""How often intervals and sets of conformal prediction hold the true value of molecules that were not used before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pyg_samsa.predict.conformal import CONFIDENCE, Calibration, check_rows, prediction_intervals, prediction_sets
from pyg_samsa.task import Task

CONFIDENCES = (0.5, 0.8, 0.9, 0.95)


def measure_coverage(
    task: Task,
    calibration: Calibration,
    values: np.ndarray,
    target: np.ndarray,
    *,
    spread: np.ndarray | None = None,
    confidences: Sequence[float] = CONFIDENCES,
) -> list[dict[str, float]]:
    """Measure how often intervals or sets hold the true value of molecules that were not used before.

    Args:
        task: The task.
        calibration: From `calibrate`.
        values: Predictions [G, C].
        target: True values, as in `calibrate`.
        spread: Standard deviations over the members [G, C].
        confidences: Probabilities to test; those that the calibration is too small for are left out.

    Returns:
        For each confidence: ``confidence``; ``coverage``, the share of labelled values that are covered; ``width``, the
        mean width of the intervals, in units of the data, or ``size``, the mean number of labels or classes in a set;
        ``count``, the number of labelled values. Means are over all labelled values of all targets.

    Example:
        >>> task, calibration = Task("regression", ["logS"]), Calibration("regression", (np.arange(1, 10) / 10,))
        >>> rows = measure_coverage(
        ...     task, calibration, np.zeros((4, 1)), np.array([[0.1], [-0.2], [0.9], [0.4]]), confidences=[0.5]
        ... )
        >>> rows
        [{'confidence': 0.5, 'coverage': 0.75, 'width': 1.0, 'count': 4}]

    Cost: O(G C) for each confidence.
    """
    values, target = check_rows(task, values, target)
    rows = []
    for confidence in confidences:
        if task.kind == "regression":
            if confidence > calibration.largest_confidence:
                continue
            low, high = prediction_intervals(calibration, values, spread=spread, confidence=confidence)
            used, size, unit = np.isfinite(target) & np.isfinite(values), high - low, "width"
            covered = (low <= target) & (target <= high)
        else:
            covered, used, size = _covered(task, prediction_sets(calibration, values, confidence=confidence), target)
            used, unit = used & np.isfinite(values[:, : used.shape[1]]), "size"
        if used.any():
            row = {"confidence": float(confidence), "coverage": float(covered[used].mean())}
            rows.append({**row, unit: float(size[used].mean()), "count": int(used.sum())})
    return rows


def _covered(task: Task, sets: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return whether the sets hold the true labels, where there are labels, and the sizes of the sets."""
    used = np.isfinite(target) & (target >= 0)
    true = np.where(used, target, 0).astype(int)
    covered = np.take_along_axis(sets, true if task.kind == "multiclass" else true[..., None], axis=-1)
    sizes = sets.sum(-1, keepdims=task.kind == "multiclass")
    return covered.reshape(used.shape), used, sizes


def mean_coverage(repeats: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, float]]:
    """Return the coverage averaged over several runs, for the confidences that all of them have.

    Args:
        repeats: From `measure_coverage`, one per run.

    Example:
        >>> runs = [[{"confidence": 0.9, "coverage": share, "width": 2.0, "count": 10}] for share in (0.8, 1.0)]
        >>> mean_coverage(runs)
        [{'confidence': 0.9, 'coverage': 0.9, 'width': 2.0, 'count': 10}]
    """
    if not repeats:
        return []
    rows = []
    for first in repeats[0]:
        found = [row for run in repeats for row in run if row["confidence"] == first["confidence"]]
        if len(found) == len(repeats):
            mean = {name: float(np.mean([row[name] for row in found])) for name in first}
            rows.append({**mean, "count": round(mean["count"])})
    return rows


def describe_coverage(rows: Sequence[Mapping[str, float]], *, confidence: float = CONFIDENCE) -> str:
    """Return the measured coverage as a sentence; empty if it was not measured.

    Args:
        rows: From `measure_coverage`.
        confidence: Which of them; if it was not measured, the next one below.

    Example:
        >>> describe_coverage([{"confidence": 0.9, "coverage": 0.876, "width": 1.5, "count": 113}])
        '90 % intervals hold 87.6 % of 113 test values; mean width 1.5 (predict --interval 0.9)'
        >>> describe_coverage([{"confidence": 0.5, "coverage": 0.55, "size": 1.25, "count": 80}])
        '50 % sets hold 55.0 % of 80 test values; mean size 1.25 (predict --interval 0.5)'
    """
    measured = [row for row in rows if row["confidence"] <= confidence]
    if not measured:
        return ""
    row = max(measured, key=lambda row: row["confidence"])
    what, unit = ("intervals", "width") if "width" in row else ("sets", "size")
    level, share = row["confidence"], f"{100 * row['coverage']:.1f} % of {row['count']:,} test values"
    return f"{100 * level:g} % {what} hold {share}; mean {unit} {row[unit]:.3g} (predict --interval {level:g})"
