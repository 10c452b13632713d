"""Reads the target columns of a table: numbers, labels or classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, DataError, check_choice
from pyg_samsa.io.csv_rows import MISSING, read_number

CSV_TASKS = ("auto", "regression", "binary", "multilabel", "multiclass")
MAX_CLASSES = 200


class Targets(NamedTuple):
    """Targets of a table.

    Attributes:
        task: ``"regression"``, ``"binary"``, ``"multilabel"`` or ``"multiclass"``.
        names: Names of the targets, or of the classes.
        y: float32 [G, C], [G, 1] of class numbers for classes; NaN where there is none.

    Example:
        >>> Targets("regression", ["logS"], torch.tensor([[-1.5]])).names
        ['logS']
    """

    task: str
    names: list[str]
    y: Tensor


def read_targets(
    columns: Sequence[Sequence[str]],
    names: Sequence[str],
    task: str,
    rows: Sequence[int],
    *,
    decimal_comma: bool = False,
) -> Targets:
    """Read target columns.

    With ``task="auto"`` one column of 0 and 1 (or yes and no, true and false) is ``"binary"``, several are
    ``"multilabel"``, other numbers are ``"regression"``, and one column of words is ``"multiclass"``.

    Args:
        columns: C columns of G texts; an empty text, NA, NaN, null, none, "-" and "?" mean that there is no value.
        names: Their C names.
        task: One of :data:`CSV_TASKS`.
        rows: Row of the file [G] of each text, for errors.
        decimal_comma: Whether ``1,5`` is read as 1.5.

    Raises:
        ConfigError: The task does not fit the columns.
        DataError: A text is not a number, or a column holds nothing to learn.

    Example:
        >>> read_targets([["1", "0", ""]], ["active"], "auto", [1, 2, 3])
        Targets(task='binary', names=['active'], y=tensor([[1.],
                [0.],
                [nan]]))
        >>> read_targets([["red", "blue"]], ["colour"], "auto", [1, 2])[:2]
        ('multiclass', ['blue', 'red'])
    """
    check_choice("task", task, CSV_TASKS)
    if task in ("binary", "multiclass") and len(columns) != 1:
        raise ConfigError("task", task, f"'multilabel' or 'regression' for {len(columns)} target columns")
    values = [[read_number(text, decimal_comma=decimal_comma) for text in column] for column in columns]
    words = [any(value is None for value in column) for column in values]
    if task == "multiclass" or (task == "auto" and len(columns) == 1 and words[0]):
        return _classes(columns[0], names[0])
    for position, column in enumerate(values):
        if words[position]:
            _refuse(columns[position], column, names[position], rows)
    y = torch.tensor(
        [[value for value in column if value is not None] for column in values], dtype=torch.float64
    ).T.contiguous()
    labels = bool(((y == 0) | (y == 1) | y.isnan()).all())
    if task == "auto":
        task = ("binary" if len(columns) == 1 else "multilabel") if labels else "regression"
    if task != "regression" and not labels:
        position, row = ((y != 0) & (y != 1) & ~y.isnan()).T.nonzero()[0].tolist()
        raise ConfigError(
            "task",
            task,
            f"'regression' for column {names[position]!r}: row {rows[row]} is {columns[position][row]!r}, not 0 or 1",
        )
    for position, name in enumerate(names):
        _check_column(y[:, position], name, task)
    return Targets(task, list(names), y.float())


def read_numbers(
    columns: Sequence[Sequence[str]], names: Sequence[str], rows: Sequence[int], *, decimal_comma: bool = False
) -> Tensor:
    """Read columns of numbers that a network is given beside the molecule, such as a temperature.

    Args:
        columns: n columns of G texts, see `read_targets`.
        names: Their n names.
        rows: Row of the file [G] of each text, for errors.
        decimal_comma: Whether ``1,5`` is read as 1.5.

    Shapes:
        - **output:** float32 [G, n], NaN where there is no value

    Raises:
        DataError: A text is not a finite number.

    Example:
        >>> read_numbers([["25", ""], ["7.4", "5"]], ["temperature", "pH"], [1, 2])
        tensor([[25.0000,  7.4000],
                [    nan,  5.0000]])
    """
    read = torch.full((len(rows), len(columns)), math.nan, dtype=torch.float64)
    for position, column in enumerate(columns):
        values = [read_number(text, decimal_comma=decimal_comma) for text in column]
        if None in values:
            _refuse(column, values, names[position], rows)
        read[:, position] = torch.tensor(values, dtype=torch.float64)
    numbers = read.float()
    if bool(numbers.isinf().any()):
        row, position = numbers.isinf().nonzero()[0].tolist()
        hint = "Leave the field empty where there is no value."
        raise DataError(f"row {rows[row]}, column {names[position]!r}: an infinite value", hint=hint)
    return numbers


def _refuse(texts: Sequence[str], values: Sequence[float | None], name: str, rows: Sequence[int]) -> None:
    row = next(row for row, value in enumerate(values) if value is None)
    text = texts[row].strip()
    hint = (
        "Values such as '>10' are bounds, not measurements: decide what they mean, or leave the field empty."
        if text[:1] in "<>~="
        else ""
    )
    hint = hint or "Leave the field empty where there is no value. One column of classes is --task multiclass."
    raise DataError(f"row {rows[row]}, column {name!r}: {text[:40]!r} is not a number", hint=hint)


def _check_column(y: Tensor, name: str, task: str) -> None:
    known = y[~y.isnan()]
    if not len(known):
        raise DataError(f"column {name!r} holds no value", hint="Remove it from the target columns.")
    if not bool(torch.isfinite(known).all()) or float(known.abs().max()) > torch.finfo(torch.float32).max:
        raise DataError(
            f"column {name!r} holds an infinite value", hint="Leave the field empty where there is no value."
        )
    if task != "regression" and bool((known == known[0]).all()):
        raise DataError(
            f"column {name!r} holds only the label {known[0]:g}",
            hint="There is nothing to learn from it: remove it from the target columns.",
        )


def _classes(column: Sequence[str], name: str) -> Targets:
    texts = [text.strip() for text in column]
    known = {text for text in texts if text.lower() not in MISSING}
    if not 2 <= len(known) <= MAX_CLASSES:
        hint = (
            "Name the columns that hold what is to be predicted: --target-columns."
            if len(known) > 1
            else "There is nothing to learn."
        )
        raise DataError(
            f"column {name!r} holds {len(known)} different words", hint=f"Classes are 2 to {MAX_CLASSES}. {hint}"
        )
    numbers = {text: read_number(text) for text in known}
    classes = sorted(known, key=lambda text: (numbers[text] is None, numbers[text] or 0.0, text))
    number = {text: float(position) for position, text in enumerate(classes)}
    return Targets("multiclass", classes, torch.tensor([[number.get(text, math.nan)] for text in texts]))
