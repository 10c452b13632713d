"""Targets as numpy and pandas hold them: matrices of numbers, and classes."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
import torch

from pyg_samsa.datasets.molecules.targets import check_measurements
from pyg_samsa.errors import ConfigError
from pyg_samsa.options import plain


def as_matrix(y: Any) -> np.ndarray:
    """Return targets as a float64 matrix [n, C]; None, NaN and pandas' NA are NaN.

    Raises:
        ConfigError: The targets are not numbers.

    Example:
        >>> as_matrix([1, None]).tolist()
        [[1.0], [nan]]
    """
    given = _array(y)
    if given.ndim not in (1, 2):
        raise ConfigError("y", f"an array of shape {list(given.shape)}", "numbers [n] or [n, C]")
    flat = given.reshape(-1)
    matrix = np.full(len(flat), np.nan)
    for place, value in enumerate(flat):
        if not is_missing(value):
            try:
                matrix[place] = float(value)
            except (TypeError, ValueError):
                row = place // (given.shape[1] if given.ndim == 2 else 1)
                raise ConfigError(f"y[{row}]", plain(value), "numbers, NaN if unknown") from None
    return matrix.reshape(len(given), -1)


def check_targets(matrix: np.ndarray, *, flat: bool) -> None:
    """Refuse targets that a regression cannot learn, by the rule of tables.

    Args:
        matrix: From `as_matrix`, [n, C].
        flat: Whether they were given as [n], for the errors.

    Raises:
        ConfigError: A value is infinite or too large, or a column holds no two different numbers.

    Example:
        >>> check_targets(np.array([[1.0, 2.0], [np.inf, 3.0]]), flat=False)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: y[1, 0]: got inf, expected a number of at most 3e38, NaN if unknown
    """
    for column in range(matrix.shape[1]):
        place, reason = check_measurements(torch.from_numpy(matrix[:, column].copy()))
        if place is not None:
            key = f"y[{place}]" if flat else f"y[{place}, {column}]"
            raise ConfigError(key, float(matrix[place, column]), "a number of at most 3e38, NaN if unknown")
        if reason:
            name, hint = ("y", "") if flat else (f"y[:, {column}]", "Leave this column out.")
            raise ConfigError(name, reason, "numbers that differ, NaN if unknown", hint=hint)


def _array(y: Any) -> np.ndarray:
    if y is None:
        raise ConfigError("y", None, "a target for each molecule", hint="Pass them too: fit(molecules, y).")
    return np.array(y, dtype=object)


def as_classes(y: Any) -> np.ndarray:
    """Return the class of each molecule [n].

    Raises:
        ConfigError: A class is missing, classes are of several types, or the values are measurements.

    Example:
        >>> as_classes(["a", "b"]).tolist()
        ['a', 'b']
        >>> as_classes([0.37, 1.1, 2.9])
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: y: got 'numbers such as 0.37', expected classes
    """
    given = _array(y)
    if given.ndim > 2 or (given.ndim == 2 and given.shape[1] > 1):
        raise ConfigError("y", f"an array of shape {list(given.shape)}", "classes [n], or labels [n, C]")
    values = given.reshape(-1)
    for row, value in enumerate(values):
        if is_missing(value):
            hint = "Leave out rows without a class. Labels 0 and 1 [n, C] may be missing."
            raise ConfigError(f"y[{row}]", plain(value), "a class for each molecule", hint=hint)
    are_numbers = [isinstance(value, numbers.Number | np.bool_) for value in values]
    if any(are_numbers) != all(are_numbers):
        odd = next(value for value, number in zip(values, are_numbers, strict=True) if number)
        raise ConfigError("y", "texts and numbers", f"classes of one type; {plain(odd)!r} is a number")
    if all(are_numbers):
        _check_repeats(values)
    try:
        return np.array(values.tolist()) if all(are_numbers) else values
    except (TypeError, ValueError):
        raise ConfigError("y", type(y).__name__, "a class for each molecule") from None


def _check_repeats(values: np.ndarray) -> None:
    """Refuse measurements: numbers with decimals, and numbers of which none occurs twice."""
    hint = "Use SAMSARegressor for measurements, or pass classes as texts."
    for value in values:
        if isinstance(value, numbers.Real) and float(value) % 1:
            raise ConfigError("y", f"numbers such as {float(value):g}", "classes", hint=hint)
    count = len(set(values.tolist()))
    if count == len(values) > 2:
        raise ConfigError("y", f"{count} different numbers", "classes that occur more than once", hint=hint)


def is_missing(value: Any) -> bool:
    """Say whether a value is None, NaN, or pandas' NA or NaT.

    Example:
        >>> import pandas as pd
        >>> [is_missing(value) for value in (None, float("nan"), pd.NA, pd.NaT, "", 0)]
        [True, True, True, True, False, False]
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, numbers.Real) and bool(np.isnan(float(value)))
