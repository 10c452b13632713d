"""Conformal prediction: intervals and sets of labels that hold the true value with a chosen probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pyg_samsa.errors import ConfigError, DataIntegrityError, MissingDependencyError
from pyg_samsa.options import is_number
from pyg_samsa.task import Task

CONFIDENCE = 0.9
SOURCES = ("validation", "out-of-fold")
LARGEST_SPREAD = 10.0
"""Most medians of the spread that widen an interval: no spread outgrows what the residuals of the calibration say."""
_DIGITS = 7


@dataclass(frozen=True, eq=False)
class Calibration:
    """What conformal prediction keeps of the molecules that a predictor was calibrated on.

    Args:
        kind: Kind of the task, see `Task`.
        scores: Nonconformity scores, sorted: one array per target for a regression; two per target (label 0, label 1)
            for labels; one for classes.
        floor: Number that is added to the spread of each target [C]; None if the widths do not depend on the spread.
        source: ``"validation"`` or ``"out-of-fold"``: where the predictions came from.

    Raises:
        ConfigError: ``source`` is unknown.

    Example:
        >>> calibration = Calibration("regression", (np.array([0.1, 0.2, 0.4]),))
        >>> calibration.largest_confidence
        0.75
    """

    kind: str
    scores: tuple[np.ndarray, ...]
    floor: np.ndarray | None = None
    source: str = "validation"

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ConfigError("source", self.source, SOURCES)

    @property
    def uses_spread(self) -> bool:
        """Whether intervals are wider where the members of an ensemble disagree."""
        return self.floor is not None

    @property
    def largest_confidence(self) -> float:
        """Largest confidence with finite intervals: n / (n + 1) with the n scores of the target that has fewest."""
        fewest = min(len(scores) for scores in self.scores)
        return fewest / (fewest + 1)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; `from_dict` reads them again.

        Example:
            >>> Calibration("regression", (np.array([0.1, 0.2]),)).as_dict()
            {'kind': 'regression', 'source': 'validation', 'scores': [[0.1, 0.2]], 'floor': None}
        """
        return {
            "kind": self.kind,
            "source": self.source,
            "scores": [[_round(value) for value in scores] for scores in self.scores],
            "floor": None if self.floor is None else [_round(value) for value in self.floor],
        }

    @classmethod
    def from_dict(cls, described: Any, *, origin: str = "calibration") -> Calibration:
        """Read what `as_dict` wrote.

        Args:
            described: Names and values.
            origin: Where it comes from, for the error.

        Raises:
            DataIntegrityError: It is not what `as_dict` writes.

        Example:
            >>> described = Calibration("regression", (np.array([0.1, 0.2]),)).as_dict()
            >>> Calibration.from_dict(described).scores[0].tolist()
            [0.1, 0.2]
        """
        try:
            scores = tuple(np.asarray(values, dtype=np.float64).reshape(-1) for values in described["scores"])
            floor = None if described["floor"] is None else np.asarray(described["floor"], dtype=np.float64)
            if not scores or not all(np.isfinite(values).all() for values in scores):
                raise ValueError("scores")
            return cls(str(described["kind"]), scores, floor, str(described["source"]))
        except (KeyError, TypeError, ValueError, ConfigError) as error:
            raise DataIntegrityError(origin, "kind, source, scores and floor", repr(error)) from error


def calibrate(
    task: Task,
    values: np.ndarray,
    target: np.ndarray,
    *,
    spread: np.ndarray | None = None,
    source: str = "validation",
) -> Calibration:
    r"""Compute the nonconformity scores of molecules that the predictor was not fitted to.

    .. math::
        \alpha_i = \frac{|y_i - \hat y_i|}{\min(s_i, 10 \beta) + \beta} \text{ (regression)}, \qquad
        \alpha_i = 1 - \hat p_i(y_i) \text{ (labels, classes)}

    with the spread :math:`s_i` over the members of an ensemble and its median :math:`\beta` over the molecules; without
    a spread the denominator is 1. The spread counts up to ten medians, so that no interval is wider than 22 times the
    largest residual of the calibration. It is a function of the prediction alone, so the probability holds.
    Papadopoulos, Vovk and Gammerman, "Regression conformal prediction with nearest neighbours", JAIR 2011; Sadinle, Lei
    and Wasserman, "Least ambiguous set-valued classifiers with bounded error levels", JASA 2019. The scores of labels
    are kept apart for 0 and 1, so that the rare label is covered as often as the frequent one (Vovk, "Conditional
    validity of inductive conformal predictors", 2012).

    Args:
        task: Task of whole graphs.
        values: Predictions as from `Task.readable`: values or probabilities, float [G, C].
        target: True values, float [G, C], NaN where missing; numbers of classes [G] or [G, 1] for ``"multiclass"``.
        spread: Standard deviations over the members, 0 or more, float [G, C]; used for regressions only.
        source: Where the predictions come from, ``"validation"`` or ``"out-of-fold"``.

    Raises:
        ConfigError: The shapes do not fit the task, or a regression target has no label.

    Returns:
        The calibration.

    Example:
        >>> values, target = np.array([[1.0], [2.0], [3.0]]), np.array([[1.5], [2.0], [np.nan]])
        >>> calibrate(Task("regression", ["logS"]), values, target).scores[0].tolist()
        [0.0, 0.5]

    Cost: O(G C log G).
    """
    values, target = check_rows(task, values, target)
    if task.kind == "multiclass":
        usable = np.isfinite(values).all(1) & (target[:, 0] >= 0)
        chosen = values[usable, target[usable, 0].astype(int)]
        return Calibration(task.kind, (np.sort(1 - chosen),), source=source)
    usable = np.isfinite(values) & np.isfinite(target)
    if task.has_labels:
        right = np.where(target == 1, values, 1 - values)
        groups = [
            np.sort(1 - right[usable[:, column] & (target[:, column] == label), column])
            for column in range(task.num_targets)
            for label in (0, 1)
        ]
        return Calibration(task.kind, tuple(groups), source=source)
    empty = [name for name, labelled in zip(task.names, usable.any(0), strict=True) if not labelled]
    if empty:
        raise ConfigError("target", empty[0], "a target with at least one label in the rows of the calibration")
    residuals, floor = np.abs(target - values), None
    if spread is not None:
        floor = np.nanmedian(np.where(usable, _same_shape("spread", spread, values), np.nan), axis=0)
        # Members that agree on every molecule say nothing about the error.
        floor = np.where(floor > 0, floor, 1.0)
        residuals = residuals / _width(spread, floor)
    scores = tuple(np.sort(residuals[usable[:, column], column]) for column in range(task.num_targets))
    return Calibration(task.kind, scores, floor, source)


def calibrate_if_labelled(
    task: Task,
    values: np.ndarray,
    target: np.ndarray,
    *,
    spread: np.ndarray | None = None,
    source: str = "validation",
) -> Calibration | None:
    """Return what `calibrate` returns, or None where a regression target has no label.

    Args:
        task: As in `calibrate`.
        values: As in `calibrate`.
        target: As in `calibrate`.
        spread: As in `calibrate`.
        source: As in `calibrate`.

    Example:
        >>> calibrate_if_labelled(Task("regression", ["logS"]), np.zeros((2, 1)), np.full((2, 1), np.nan)) is None
        True
    """
    if task.kind == "regression" and np.isnan(target).all(0).any():
        return None
    return calibrate(task, values, target, spread=spread, source=source)


def prediction_intervals(
    calibration: Calibration, values: np.ndarray, *, spread: np.ndarray | None = None, confidence: float = CONFIDENCE
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return intervals that hold the true value with at least the given probability.

    .. math::
        \hat y \pm q\,(\min(s, 10 \beta) + \beta), \qquad q = \alpha_{(\lceil (n + 1) c \rceil)}

    with the scores of `calibrate` in ascending order. The probability is over new molecules that resemble those of the
    calibration; a scaffold split or another laboratory breaks this assumption. After calibration on out-of-fold
    predictions the width comes from networks of single folds, and their mean is usually closer to the truth (Barber et
    al., "Predictive inference with the jackknife+", Annals of Statistics 2021). The quantile is that of the package
    crepes (Boström, COPA 2022).

    Args:
        calibration: Of a regression.
        values: Predictions [G, C].
        spread: Standard deviations over the members [G, C]; needed if the calibration uses it.
        confidence: Probability c, between 0 and 1.

    Raises:
        ConfigError: The calibration has too few molecules for the confidence, or the spread is missing.
        MissingDependencyError: crepes is not installed.

    Returns:
        Lower and upper ends, float64 [G, C] each.

    Example:
        >>> calibration = Calibration("regression", (np.arange(1, 10) / 10,))
        >>> low, high = prediction_intervals(calibration, np.array([[2.0]]), confidence=0.8)
        >>> low.round(6).tolist(), high.round(6).tolist()
        ([[1.2]], [[2.8]])

    Cost: O(G C + n log n).
    """
    check_confidence(calibration, confidence)
    if calibration.kind != "regression":
        raise ConfigError("calibration", calibration.kind, "that of a regression; labels and classes have sets")
    values = np.asarray(values, dtype=np.float64)
    width = np.ones_like(values)
    if calibration.floor is not None:
        if spread is None:
            raise ConfigError("spread", None, "the spread of the members, which the calibration uses")
        width = _width(_same_shape("spread", spread, values), calibration.floor)
    half = np.array([_quantile(scores, confidence) for scores in calibration.scores]) * width
    return values - half, values + half


def prediction_sets(calibration: Calibration, values: np.ndarray, *, confidence: float = CONFIDENCE) -> np.ndarray:
    r"""Return sets of labels or classes that hold the true one with at least the given probability.

    .. math::
        \{k : 1 - \hat p(k) \le q_k\}, \qquad q_k = \alpha_{(\lceil (n_k + 1) c \rceil)}

    with the scores of `calibrate`. For labels the :math:`n_k` scores are those of molecules with label k, for classes
    those of all molecules. A set may be empty (nothing conforms), or hold both labels (not decided). A label with too
    few molecules in the calibration is in every set.

    Args:
        calibration: Of labels or classes.
        values: Probabilities [G, C].
        confidence: Probability c, between 0 and 1.

    Raises:
        ConfigError: The confidence is not allowed, or the calibration is that of a regression.
        MissingDependencyError: crepes is not installed.

    Returns:
        Whether a label is in the set, bool [G, C, 2] (0, 1); for classes bool [G, C].

    Example:
        >>> calibration = Calibration("binary", (np.array([0.1, 0.2, 0.3]), np.array([0.2, 0.4, 0.7])))
        >>> prediction_sets(calibration, np.array([[0.1], [0.5]]), confidence=0.75).tolist()
        [[[True, False]], [[False, True]]]

    Cost: O(G C + n log n).
    """
    check_confidence(calibration, confidence)
    if calibration.kind == "regression":
        raise ConfigError("calibration", calibration.kind, "that of labels or classes; a regression has intervals")
    values = np.asarray(values, dtype=np.float64)
    limits = np.array([_quantile(scores, confidence) for scores in calibration.scores])
    if calibration.kind == "multiclass":
        return 1 - values <= limits
    return np.stack([values, 1 - values], axis=-1) <= limits.reshape(-1, 2)


def check_confidence(calibration: Calibration | None, confidence: Any, *, key: str = "confidence") -> None:
    """Raise a `ConfigError` unless the calibration has enough molecules for a confidence.

    Args:
        calibration: The calibration; None for a predictor without one.
        confidence: Probability, between 0 and 1.
        key: What the confidence is called in the error.

    Raises:
        ConfigError: The confidence is not allowed.

    Example:
        >>> check_confidence(Calibration("regression", (np.array([0.1, 0.2, 0.4]),)), 0.7)
    """
    if not is_number(confidence) or not 0 < confidence < 1:
        raise ConfigError(key, confidence, "a number above 0, below 1", hint="0.9 covers 9 of 10 molecules.")
    if calibration is None:
        hint = "Predictors of pyg-samsa train --csv with a validation split, or with --folds, have intervals."
        raise ConfigError(key, confidence, "no interval, because this model was not calibrated", hint=hint)
    largest = calibration.largest_confidence
    # An infinite interval says nothing. A set with all labels does: the molecule is not decided.
    if calibration.kind == "regression" and confidence > largest:
        count = round(largest / (1 - largest))
        hint = f"The predictor was calibrated on {count} molecules. Use a larger validation split, or --folds."
        raise ConfigError(key, confidence, f"a number of at most {largest:.3g}", hint=hint)


def why_no_interval(calibration: Calibration | None, confidence: float, *, key: str = "interval") -> str:
    """Return why a predictor has no intervals or sets of a confidence; empty if it has them.

    Args:
        calibration: The calibration; None for a predictor without one.
        confidence: Probability, between 0 and 1.
        key: What the confidence is called in the error.

    Raises:
        ConfigError: The confidence is no probability.

    Example:
        >>> why_no_interval(None, 0.9)
        'it was saved without validation rows to measure them on'
        >>> why_no_interval(Calibration("regression", (np.array([0.1, 0.2, 0.4]),)), 0.9)
        'it has too few validation rows for more than 0.75'
    """
    try:
        check_confidence(calibration, confidence, key=key)
    except ConfigError:
        if not is_number(confidence) or not 0 < confidence < 1:
            raise
        if calibration is None:
            return "it was saved without validation rows to measure them on"
        return f"it has too few validation rows for more than {calibration.largest_confidence:.3g}"
    return ""


def _quantile(scores: np.ndarray, confidence: float) -> float:
    """Return the half-width that crepes gives to an interval, which is the conformal quantile of the scores."""
    try:
        from crepes import ConformalRegressor
    except ImportError as error:
        raise MissingDependencyError("crepes", "chem", "Conformal prediction") from error
    if confidence > len(scores) / (len(scores) + 1):
        return np.inf
    # A little less confidence, because crepes cuts (1 - c)(n + 1) to an integer, and 1 - 0.9 is below 0.1.
    found = ConformalRegressor().fit(scores).predict_int(np.zeros(1), confidence=confidence - 1e-12)
    return float(found[0, 1])


def _width(spread: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """Return what a score is multiplied with: the spread, bounded by the median of the calibration, and this median."""
    return np.minimum(spread, LARGEST_SPREAD * floor) + floor


def check_rows(task: Task, values: Any, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions [G, C] and true values [G, C], or [G, 1] for classes, as float64, checked against the task.

    Raises:
        ConfigError: The task is one of nodes, or a shape does not fit the task.

    Example:
        >>> [found.shape for found in check_rows(Task("binary", ["toxic"]), [[0.5]], [1])]
        [(1, 1), (1, 1)]
    """
    values = np.asarray(values, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    if task.level != "graph":
        raise ConfigError("task.level", task.level, "graph; intervals and sets are for whole molecules")
    if values.ndim != 2 or values.shape[1] != task.num_targets:
        raise ConfigError("values", list(values.shape), f"an array of [G, {task.num_targets}]")
    wide = 1 if task.kind == "multiclass" else task.num_targets
    target = target.reshape(len(target), -1)
    if target.shape != (len(values), wide):
        raise ConfigError("target", list(target.shape), f"an array of [{len(values)}, {wide}]")
    return values, target


def _same_shape(name: str, given: Any, values: np.ndarray) -> np.ndarray:
    given = np.asarray(given, dtype=np.float64)
    if given.shape != values.shape:
        raise ConfigError(name, list(given.shape), f"the shape of the predictions, {list(values.shape)}")
    return given


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
