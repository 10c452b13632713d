"""Reads the target columns of a table: numbers, bounds, labels or classes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.datasets.molecules.labels import Labels, looks_like_classes, note_spellings, read_classes, read_labels
from pyg_samsa.errors import ConfigError, DataError, check_choice
from pyg_samsa.io.cell_errors import cure_of, refuse_infinite, refuse_text
from pyg_samsa.io.cells import (
    DECIMALS,
    YES_NO,
    Number,
    decimal_of,
    decimal_sign,
    describe_missing,
    is_about,
    is_grouped,
    is_missing,
    is_unclear,
    mixed_decimals,
    read_bounded,
    shows_thousands,
)
from pyg_samsa.io.extra_column import ExtraColumn

CSV_TASKS = ("auto", "regression", "binary", "multilabel", "multiclass")
_FEW_CLASSES = 6
_FAR = 1000
"""A value that is more quartile ranges away from the median is told."""
_NOTHING = "There is nothing to learn from it: leave it out of --target-columns."
CENSORED = ("refuse", "bounds", "missing", "exact")


class Numbers(NamedTuple):
    """The numbers of a column.

    Attributes:
        values: Float64 [G], NaN where there is no value.
        bound: Int8 [G], 1 for lower bounds, -1 for upper bounds, and 0 for all else.

    Example:
        >>> CellOptions().read_column(["1.5", ""], "y", [1, 2]).values
        array([1.5, nan])
    """

    values: np.ndarray
    bound: np.ndarray


@dataclass(frozen=True)
class CellOptions:
    """How the fields of a table are read.

    Args:
        delimiter: Character between the columns.
        decimal: Decimal sign, ``"point"`` or ``"comma"``; ``"auto"`` finds it for each column, see
            `pyg_samsa.io.cells.decimal_of`.
        missing: Texts that mean that there is no value, besides the usual ones, in upper or lower case; with ``""``
            among them, instead of the usual ones, see `pyg_samsa.io.cells.is_missing`.
        censored: What is done with bounds such as ``>10``: ``"refuse"`` them, train with them as ``"bounds"``, take
            them as ``"missing"``, or as the ``"exact"`` numbers.
        positive: Text of the positive class of a column of two words; empty chooses it.

    Raises:
        ConfigError: ``decimal`` or ``censored`` is unknown.

    Example:
        >>> CellOptions(decimal="comma").read_column(["1,5", ">2"], "IC50", [1, 2], bounds=True)
        Numbers(values=array([1.5, 2. ]), bound=array([0, 1], dtype=int8))
    """

    delimiter: str = ","
    decimal: str = "auto"
    missing: Collection[str] | None = None
    censored: str = "refuse"
    positive: str = ""

    def __post_init__(self) -> None:
        check_choice("decimal", self.decimal, DECIMALS)
        check_choice("censored", self.censored, CENSORED)
        if self.missing is not None:
            object.__setattr__(self, "missing", tuple(sorted({text.strip().lower() for text in self.missing})))

    def decimal_of(self, texts: Sequence[str]) -> str:
        """Return the decimal sign of a column, ``"point"`` or ``"comma"``."""
        return decimal_of(texts, delimiter=self.delimiter) if self.decimal == "auto" else self.decimal

    def column(self, name: str, texts: Sequence[str]) -> ExtraColumn:
        """Return a column of numbers with the decimal sign and the missing values by which its fields are read."""
        written = self.decimal != "auto" or any(decimal_sign(text) or is_unclear(text) for text in texts)
        sign = self.decimal_of(texts)
        grouped = any(is_grouped(text, decimal=sign) or shows_thousands(text, decimal=sign) for text in texts)
        return ExtraColumn(name, sign if written else "auto", self.missing, grouped=grouped)

    def read_column(
        self, texts: Sequence[str], name: str, rows: Sequence[int], *, bounds: bool = False, target: bool = True
    ) -> Numbers:
        """Return the numbers of a column.

        Args:
            texts: Fields of the column.
            name: Its name, for errors.
            rows: Row of the file of each field, for errors.
            bounds: Whether bounds such as ``>10`` are read.
            target: Whether it is a target, and not a column that a model reads, for the hint of the error.

        Raises:
            DataError: A field is not a number.
        """
        sign = self.decimal_of(texts)
        self._check_signs(texts, name, rows)
        values, bound = np.empty(len(texts)), np.zeros(len(texts), dtype=np.int8)
        first: dict[str, int] = {}
        for place, text in enumerate(texts):
            number = read_bounded(text, decimal=sign, missing=self.missing)
            if number is None or (number.bound and not bounds):
                first.setdefault(text.strip(), rows[place])
            else:
                values[place], bound[place] = number
        if first:
            (text, row), *others = first.items()
            hint = _what_words_are(texts, [self._read(text, sign) for text in texts], name, target=target)
            raise refuse_text(text, row=row, column=name, hint=hint, others=others, target=target)
        return Numbers(values, bound)

    def _read(self, text: str, sign: str) -> Number | None:
        return read_bounded(text, decimal=sign, missing=self.missing)

    def _check_signs(self, texts: Sequence[str], name: str, rows: Sequence[int]) -> None:
        """Refuse a column where a number such as 3.628 may be 3628, because others have decimal points."""

        def shown(place: int) -> str:
            return f"{texts[place].strip()[:40]!r} in row {rows[place]}"

        grouped = next((place for place, text in enumerate(texts) if is_grouped(text, decimal="comma")), None)
        mixed = mixed_decimals(texts)
        if mixed and (self.decimal == "auto" or grouped is not None):
            hint = "Write all numbers with a point or all with a comma"
            hint += "; --decimal comma reads both." if grouped is None else "."
            message = f"column {name!r}: {shown(mixed[0])} and {shown(mixed[1])} have different decimal signs"
            raise DataError(message, hint=hint)
        if self.decimal != "comma" or grouped is None:
            return
        point = next((place for place, text in enumerate(texts) if decimal_sign(text) == "point"), None)
        if point is not None:
            value = read_bounded(texts[grouped], decimal="comma")
            message = f"column {name!r}: {shown(point)} has a decimal point, and --decimal comma"
            message += f" reads {shown(grouped)} as {value.value:.15g}" if value else ""
            raise DataError(message, hint="Leave out --decimal, or pass --decimal point.")

    def note_on(self, texts: Sequence[str], name: str, rows: Sequence[int]) -> list[str]:
        """Return what the user should know about how a column of numbers was read, as sentences."""
        sign = self.decimal_of(texts)
        notes = []
        if told := self._note_thousands(texts, rows, sign) or self._note_decimals(texts, rows, sign):
            notes.append(f"column {name!r}: {told}")
        about = [(text, row) for text, row in zip(texts, rows, strict=True) if is_about(text)]
        if about:
            verb = "is" if len(about) == 1 else "are"
            shown = f"{about[0][0].strip()[:40]!r} in row {about[0][1]}"
            what = f"{len(about):,} approximate value{'s' * (len(about) > 1)}, such as {shown}, {verb}"
            notes.append(f"column {name!r}: {what} taken as exact")
        return notes

    def _note_thousands(self, texts: Sequence[str], rows: Sequence[int], sign: str) -> str:
        """Return which numbers are read with separated thousands, and why or how else they can be read."""
        grouped = [place for place, text in enumerate(texts) if is_grouped(text, decimal=sign)]
        certain = any(shows_thousands(text, decimal=sign) for text in texts)
        if not grouped or certain or self.decimal == "point":
            return ""
        told = _read_as(texts, rows, grouped, sign)
        signs = [decimal_sign(text) for text in texts]
        if self.decimal != "auto":
            return f"{told} (with separated thousands)"
        if sign in signs:
            place = signs.index(sign)
            return f"{told}, because {texts[place].strip()[:40]!r} in row {rows[place]} has a decimal {sign}"
        return f"{told}; {_otherwise(texts[grouped[0]], sign)}"

    def _note_decimals(self, texts: Sequence[str], rows: Sequence[int], sign: str) -> str:
        """Return that all decimals of a column could be thousands, in a table where both are usual."""
        other = _OTHER[sign]
        unclear = [place for place, text in enumerate(texts) if is_grouped(text, decimal=other)]
        decided = sign in map(decimal_sign, texts)
        if self.decimal != "auto" or self.delimiter != ";" or not unclear or decided:
            return ""
        return f"{_read_as(texts, rows, unclear, sign)}; {_otherwise(texts[unclear[0]], sign)}"


_OTHER = {"point": "comma", "comma": "point"}
_SHOWN, _FEWEST_FOR_QUARTILES = 3, 8


def _read_as(texts: Sequence[str], rows: Sequence[int], places: Sequence[int], sign: str) -> str:
    """Return as which number the first of some fields is read, and in which rows the others are."""
    told = f"{texts[places[0]].strip()[:40]!r} in row {rows[places[0]]} is read as {_value(texts[places[0]], sign)}"
    others = places[1:]
    if not others:
        return told
    shown = ", ".join(str(rows[place]) for place in others[:_SHOWN]) + (", ..." if len(others) > _SHOWN else "")
    return f"{told} ({len(others):,} more such number{'s' * (len(others) > 1)}: row{'s' * (len(others) > 1)} {shown})"


def _otherwise(text: str, sign: str) -> str:
    return f"--decimal {_OTHER[sign]} reads it as {_value(text, _OTHER[sign])}"


def _value(text: str, sign: str) -> str:
    """Return the number of a field with a decimal sign; one with decimals shows them, such as 1.0."""
    number = read_bounded(text, decimal=sign)
    assert number is not None
    return f"{number.value:.15g}" if is_grouped(text, decimal=sign) else repr(number.value)


def _what_words_are(texts: Sequence[str], numbers: Sequence[Number | None], name: str, *, target: bool = True) -> str:
    """Return the cure for a column that should hold numbers."""
    words = {text.strip() for text, number in zip(texts, numbers, strict=True) if number is None}
    if not words:
        return ""
    if any(number is not None and not math.isnan(number.value) for number in numbers):
        named = sorted(word for word in words if not cure_of(word))[:_SHOWN]
        shown = shlex.join(named) + (" ..." if len(words) > len(named) else "") if named else "TEXT"
        return f"Leave the field empty where there is no value, or name the words that mean this: --missing {shown}."
    if not target:
        return f"Extra columns hold numbers: leave {name} out of --extra-columns, or write its words as numbers."
    cures = f"if they are classes: --task multiclass; '!{name}' in --target-columns leaves the column out."
    return f"It holds {len(words):,} different words in {len(texts):,} rows; {cures}"


NO_VALUE = "no value"


def check_measurements(values: Tensor) -> tuple[int | None, str]:
    """Say why a regression cannot learn a target, from a table or in Python.

    Args:
        values: The target [n], float64; NaN where there is none.

    Returns:
        The place of a value that float32 cannot hold, or None; and what the target holds if there is nothing to learn
        from it: :data:`NO_VALUE` or only one number; empty if there is.

    Example:
        >>> check_measurements(torch.tensor([0.5, 1.5])), check_measurements(torch.tensor([2.0, math.nan, 2.0]))
        ((None, ''), (None, 'only the number 2'))
        >>> check_measurements(torch.tensor([0.5, math.inf]))
        (1, '')
    """
    known = values[~values.isnan()]
    if not len(known):
        return None, NO_VALUE
    if float(known.abs().max()) > torch.finfo(torch.float32).max:
        return int(values.nan_to_num(0.0, math.inf, -math.inf).abs().argmax()), ""
    constant = len(known) > 1 and bool((known == known[0]).all())
    return None, f"only the number {known[0]:g}" if constant else ""


class Targets(NamedTuple):
    """Targets of a table.

    Attributes:
        task: ``"regression"``, ``"binary"``, ``"multilabel"`` or ``"multiclass"``.
        names: Names of the targets, or of the classes. The target of a column of two words or two whole numbers other
            than 0 and 1 is ``column=positive class``.
        y: [G, C], [G, 1] of class numbers for classes; NaN where there is none. Float64 for regressions, so that a
            small deviation beside a large mean is kept; float32 otherwise.
        bound: int8 [G, C], 1 for lower bounds and -1 for upper bounds, or None if there are no bounds.
        notes: What the user should know about how the columns were read.

    Example:
        >>> Targets("regression", ["logS"], torch.tensor([[-1.5]])).names
        ['logS']
    """

    task: str
    names: list[str]
    y: Tensor
    bound: Tensor | None = None
    notes: Sequence[str] = ()


@dataclass
class _Columns:
    texts: Sequence[Sequence[str]]
    names: Sequence[str]
    rows: Sequence[int]
    cells: CellOptions
    notes: list[str] = field(default_factory=list)

    def note_missing(self, place: int, values: Sequence[float] | np.ndarray) -> None:
        if words := describe_missing(self.texts[place], values):
            self.notes.append(f"column {self.names[place]!r}: read as missing: {words}")


def read_targets(
    columns: Sequence[Sequence[str]],
    names: Sequence[str],
    task: str,
    rows: Sequence[int],
    *,
    cells: CellOptions | None = None,
) -> Targets:
    """Read target columns.

    With ``task="auto"`` one column of two values (0 and 1, -1 and 1, active and inactive, ...) is ``"binary"``, several
    are ``"multilabel"``, other numbers are ``"regression"``, and one column with few words that are repeated is
    ``"multiclass"``. A column of two words beside one of numbers is refused; 0 and 1 beside other numbers are numbers.

    Args:
        columns: C columns of G texts.
        names: Their C names.
        task: One of :data:`CSV_TASKS`.
        rows: Row of the file [G] of each text, for errors.
        cells: How the texts are read.

    Raises:
        ConfigError: The task does not fit the columns, or one of them has words and another one numbers.
        DataError: A text is not a number, or a column holds nothing to learn.

    Example:
        >>> read_targets([["1", "0", ""]], ["active"], "auto", [1, 2, 3])[:3]
        ('binary', ['active'], tensor([[1.],
                [0.],
                [nan]]))
        >>> read_targets([["red", "blue", "blue", "red"]], ["colour"], "auto", [1, 2, 3, 4])[:2]
        ('binary', ['colour=red'])
    """
    check_choice("task", task, CSV_TASKS)
    if task in ("binary", "multiclass") and len(columns) != 1:
        raise ConfigError("--task", task, f"'multilabel' or 'regression' for {len(columns)} target columns")
    table = _Columns(columns, names, rows, cells or CellOptions())
    missing, positive = table.cells.missing, table.cells.positive.strip().casefold()
    if positive and not any(text.strip().casefold() == positive for texts in columns for text in texts):
        raise ConfigError("--positive-class", table.cells.positive, "a value of a target column")
    if task in ("auto", "binary", "multilabel"):
        labels = [
            read_labels(texts, missing=missing, positive=table.cells.positive, repeated=task == "auto")
            for texts in columns
        ]
        if all(labels):
            return _labels([column for column in labels if column], table)
        if task != "auto":
            raise _no_labels(labels, task, table)
        _refuse_mixed(labels, table)
    for texts, name in zip(columns, names, strict=True):
        words = (text.strip() for text in texts if not is_missing(text, missing))
        known: dict[str, str] = {}
        while len(known) < 2 and (word := next(words, None)) is not None:
            known[word.casefold()] = word
        if not known:
            raise _no_value(texts, name)
        word = next(iter(known.values()))
        if len(known) == 1 and task != "regression" and read_bounded(word, decimal="point") is None:
            raise DataError(f"column {name!r} holds only {word[:40]!r}", hint=_NOTHING)
    if task == "multiclass" or (
        task == "auto"
        and len(columns) == 1
        and _has_words(columns[0], table.cells)
        and looks_like_classes(columns[0], missing=missing)
    ):
        classes, numbers = read_classes(columns[0], names[0], missing=missing)
        table.note_missing(0, numbers)
        table.notes += note_spellings(columns[0], names[0], missing=missing)
        return Targets("multiclass", classes, torch.tensor(numbers).unsqueeze(1), notes=tuple(table.notes))
    return _regression(table, task)


def _has_words(texts: Sequence[str], cells: CellOptions) -> bool:
    sign = cells.decimal_of(texts)
    return any(read_bounded(text, decimal=sign, missing=cells.missing) is None for text in texts)


def _labels(labels: Sequence[Labels], table: _Columns) -> Targets:
    names = [
        f"{name}={column.positive}" if column.positive else name
        for name, column in zip(table.names, labels, strict=True)
    ]
    for place, column in enumerate(labels):
        table.note_missing(place, column.values)
        if column.positive:
            table.notes += note_spellings(table.texts[place], table.names[place], missing=table.cells.missing)
    y = torch.tensor([column.values for column in labels]).T.contiguous()
    for position in range(len(names)):
        known = y[:, position][~y[:, position].isnan()]
        if bool((known == known[0]).all()):
            only = f"only the label {known[0]:g}" if len(known) > 1 else f"a single value, {known[0]:g}"
            raise DataError(f"column {table.names[position]!r} holds {only}", hint=_NOTHING)
    return Targets("binary" if len(labels) == 1 else "multilabel", names, y, notes=tuple(table.notes))


def _no_value(texts: Sequence[str], name: str) -> DataError:
    words = describe_missing(texts, [math.nan] * len(texts))
    hint = "Leave it out of --target-columns, or name the words that mean that there is no value: --missing TEXT."
    return DataError(f"column {name!r} holds no value{f': {words}' if words else ''}", hint=hint)


def _no_labels(labels: Sequence[Labels | None], task: str, table: _Columns) -> ConfigError:
    place = next(place for place, column in enumerate(labels) if column is None)
    seen: dict[str, int] = {}
    for text, row in zip(table.texts[place], table.rows, strict=True):
        if not is_missing(text, table.cells.missing):
            seen.setdefault(text.strip(), row)
    shown = ", ".join(f"{text[:40]!r} (row {row})" for text, row in list(seen.items())[:3])
    hint = f"It holds {len(seen):,} different values: {shown}{', ...' if len(seen) > 3 else ''}."
    return ConfigError("--task", task, f"'regression' or 'multiclass' for column {table.names[place]!r}", hint=hint)


def refuse_mixed(columns: Sequence[Sequence[str]], names: Sequence[str], cells: CellOptions) -> None:
    """Refuse a column of two words beside one of numbers, before molecules are converted; `read_targets` does so, too.

    Args:
        columns: C columns of texts.
        names: Their C names.
        cells: How the texts are read.

    Raises:
        ConfigError: One of the columns has words and another one numbers.

    Example:
        >>> refuse_mixed([["1.5", "2", "3"], ["1", "0", "1"]], ["logS", "toxic"], CellOptions())
    """
    labels = [read_labels(texts, missing=cells.missing, positive=cells.positive) for texts in columns]
    _refuse_mixed(labels, _Columns(columns, names, range(1, 1 + max(map(len, columns), default=0)), cells))


def _refuse_mixed(labels: Sequence[Labels | None], table: _Columns) -> None:
    """Refuse a column of two words beside one of numbers; as a regression the words would become numbers."""
    cells, names = table.cells, list(table.names)
    numbers = [
        name
        for name, texts, found in zip(names, table.texts, labels, strict=True)
        if found is None and not _has_words(texts, cells)
    ]
    for name, texts, found in zip(names, table.texts, labels, strict=True):
        sign = cells.decimal_of(texts)
        kept = (text.strip() for text in texts if not is_missing(text, cells.missing))
        words = list(dict.fromkeys(text for text in kept if _is_yes(text) or read_bounded(text, decimal=sign) is None))
        if found is None or not numbers or not words:
            continue
        shown = " and ".join(repr(word[:40]) for word in words[:2])
        expected = f"columns of one kind: {name!r} holds words ({shown}), and {numbers[0]!r} holds numbers"
        hint = "Train a model for each kind of column, or "
        hint += "pass --task regression, which reads yes and true as 1, and no and false as 0."
        if not all(map(_is_yes, words)):
            hint = "Train a model for each kind of column, or write 1 and 0 for the words."
        raise ConfigError("--target-columns", names, expected, hint=hint)


def _is_yes(text: str) -> bool:
    return text.casefold() in YES_NO


def _few_whole_numbers(y: Tensor) -> list[str]:
    """Return the values of a column that may be classes: at most six whole numbers, each repeated; else nothing."""
    values, counts = y[~y.isnan()].unique(return_counts=True)
    classes = 1 < len(values) <= _FEW_CLASSES and bool((counts > 1).all()) and bool((values == values.round()).all())
    return [f"{value:g}" for value in values.tolist()] if classes else []


def _regression(table: _Columns, asked: str) -> Targets:
    cells, shape = table.cells, (len(table.rows), len(table.names))
    y, bound = torch.empty(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.int8)
    for place, (texts, name) in enumerate(zip(table.texts, table.names, strict=True)):
        numbers = cells.read_column(texts, name, table.rows, bounds=cells.censored != "refuse")
        table.note_missing(place, numbers.values)
        table.notes += [*cells.note_on(texts, name, table.rows), *_note_bounds(texts, numbers, name, cells.censored)]
        table.notes += _note_far(numbers.values, texts, table.rows, name)
        y[:, place] = torch.from_numpy(numbers.values)
        if cells.censored == "missing":
            _check_not_only_bounds(numbers, name)
            y[torch.from_numpy(numbers.bound != 0), place] = math.nan
        elif cells.censored == "bounds":
            bound[:, place] = torch.from_numpy(numbers.bound)
    for position, name in enumerate(table.names):
        bad, reason = check_measurements(y[:, position])
        if bad is not None:
            raise refuse_infinite(table.texts[position][bad], row=table.rows[bad], column=name)
        if reason == NO_VALUE:
            raise _no_value(table.texts[position], name)
        if reason:
            raise DataError(f"column {name!r} holds {reason}", hint=_NOTHING)
    if asked == "auto" and len(table.names) == 1 and (few := _few_whole_numbers(y)):
        table.notes.append(
            f"column {table.names[0]!r}: the numbers {', '.join(few)} are read as a regression; "
            "--task multiclass reads them as classes"
        )
    return Targets("regression", list(table.names), y, bound if bool(bound.any()) else None, tuple(table.notes))


def _note_far(values: np.ndarray, texts: Sequence[str], rows: Sequence[int], name: str) -> list[str]:
    """Return which values of a column are far outside the others, such as 999999 where there is no value."""
    column = torch.from_numpy(values)
    known = column[column.isfinite()]
    if len(known) < _FEWEST_FOR_QUARTILES:
        return []
    low, median, high = np.quantile(known.numpy(), [0.25, 0.5, 0.75]).tolist()  # that of torch has a limit of rows
    far = ((column - median).abs() > _FAR * (high - low)).nonzero().flatten().tolist() if high > low else []
    if not far:
        return []
    shown = ", ".join(f"{texts[place].strip()[:40]!r} in row {rows[place]}" for place in far[:_SHOWN])
    shown += f" and {len(far) - _SHOWN:,} more" if len(far) > _SHOWN else ""
    verb = "is" if len(far) == 1 else "are"
    return [f"column {name!r}: {shown} {verb} far outside the other values, of which half are from {low:g} to {high:g}"]


class ExtraNumbers(NamedTuple):
    """Columns of numbers that a network is given beside the molecule.

    Attributes:
        values: Float32 [G, n], NaN where there is no value.
        columns: The n columns, with how their fields were read.
        notes: What the user should know about how they were read.

    Example:
        >>> ExtraNumbers(torch.tensor([[25.0]]), [ExtraColumn("temperature")]).columns
        ['temperature']
    """

    values: Tensor
    columns: list[ExtraColumn]
    notes: Sequence[str] = ()


def _note_bounds(texts: Sequence[str], numbers: Numbers, name: str, censored: str) -> list[str]:
    """Return how many values of a column are bounds, and what is done with them."""
    found = numbers.bound.nonzero()[0].tolist()
    if not found:
        return []
    done = {"bounds": "trained with as bounds", "missing": "left out", "exact": "taken as exact numbers"}[censored]
    verb, text = "value is a bound" if len(found) == 1 else "values are bounds", texts[found[0]].strip()[:40]
    return [f"column {name!r}: {len(found):,} {verb}, such as {text!r}, {done} (--censored {censored})"]


def _check_not_only_bounds(numbers: Numbers, name: str) -> None:
    if bool(numbers.bound[~np.isnan(numbers.values)].all()):
        hint = "--censored bounds trains with them, and exact takes the numbers as they are."
        raise DataError(f"column {name!r} holds only bounds, which --censored missing leaves out", hint=hint)


def read_numbers(
    columns: Sequence[Sequence[str]], names: Sequence[str], rows: Sequence[int], *, cells: CellOptions | None = None
) -> ExtraNumbers:
    """Read columns of numbers that a network is given beside the molecule, such as a temperature.

    Args:
        columns: n columns of G texts, see `read_targets`.
        names: Their n names.
        rows: Row of the file [G] of each text, for errors.
        cells: How the texts are read; bounds are refused.

    Raises:
        DataError: A text is not a finite number.

    Example:
        >>> read = read_numbers([["25", ""], ["7,4", "5"]], ["temperature", "pH"], [1, 2])
        >>> read.values
        tensor([[25.0000,  7.4000],
                [    nan,  5.0000]])
        >>> [column.decimal for column in read.columns]
        ['auto', 'comma']
    """
    table = _Columns(columns, names, rows, cells or CellOptions())
    read = torch.full((len(rows), len(columns)), math.nan, dtype=torch.float64)
    for position, column in enumerate(columns):
        found = table.cells.read_column(column, names[position], rows, target=False).values
        read[:, position] = torch.from_numpy(found)
        table.note_missing(position, found)
        table.notes += table.cells.note_on(column, names[position], rows)
        table.notes += _note_far(found, column, rows, names[position])
    numbers = read.float()
    if bool(numbers.isinf().any()):
        row, position = numbers.isinf().nonzero()[0].tolist()
        raise refuse_infinite(columns[position][row], row=rows[row], column=names[position])
    described = [table.cells.column(name, texts) for name, texts in zip(names, columns, strict=True)]
    return ExtraNumbers(numbers, described, tuple(table.notes))
