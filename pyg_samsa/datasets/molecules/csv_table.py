"""Reads the columns of a CSV file of molecules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pyg_samsa.chem.first_row import find_molecule
from pyg_samsa.datasets.splits import is_split
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.io.cells import is_missing, is_numeric
from pyg_samsa.io.csv_columns import SMILES_NAMES, column_word, find_column, find_columns, is_named
from pyg_samsa.io.csv_rows import CsvRows, open_rows, why_no_molecule


class LeftOut(NamedTuple):
    """A row of a table that is left out.

    Attributes:
        row: Row of the file, counted from 1 without the header.
        smiles: SMILES as given.
        reason: Why it is left out.
        kind: What rows that are left out for the same kind of reason are called.

    Example:
        >>> LeftOut(3, "", "blank line", "blank line").row
        3
    """

    row: int
    smiles: str
    reason: str
    kind: str


class TableRow(NamedTuple):
    """The fields of a row that a data set of molecules needs.

    Attributes:
        row: Row of the file, counted from 1 without the header.
        smiles: SMILES as given.
        split: Text of the column with the split; empty without one.
        targets: Texts of the targets.
        extra: Texts of the extra columns.

    Example:
        >>> TableRow(1, "C", "", ["1"], []).targets
        ['1']
    """

    row: int
    smiles: str
    split: str
    targets: list[str]
    extra: list[str]


@dataclass
class MoleculeTable:
    """A CSV file of molecules, read row by row as often as it is asked for.

    Attributes:
        path: The file.
        target_names: Names of the targets.
        extra_names: Names of the extra columns.
        delimiter: Character between the columns.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "table.csv"
        >>> _ = path.write_text("id,smiles,y,pH" + chr(10) + "a,CC,1.5,7" + chr(10) + chr(10) + "b,C,2,7")
        >>> table, left_out = open_molecule_table(path, target_columns=["y"]), []
        >>> table.target_names, list(table.rows(left_out))[1]
        (['y'], TableRow(row=3, smiles='C', split='', targets=['2'], extra=[]))
        >>> left_out
        [LeftOut(row=2, smiles='', reason='blank line', kind='blank line')]
    """

    path: Path
    target_names: list[str]
    extra_names: list[str]
    delimiter: str
    _width: int
    _smiles_at: int
    _split_at: int | None
    _targets_at: list[int]
    _extra_at: list[int]

    def rows(self, left_out: list[LeftOut]) -> Iterator[TableRow]:
        """Yield the rows that are neither blank nor comments, in memory of one row.

        Args:
            left_out: Gets the others.

        Raises:
            DataError: A row has more fields than the header.
        """
        with open_rows(self.path) as opened:
            for row, fields in enumerate(opened, start=1):
                if reason := why_no_molecule(fields, self._smiles_at):
                    left_out.append(LeftOut(row, "".join(fields[:1]).strip(), reason, reason))
                    continue
                if any(field.strip() for field in fields[self._width :]):
                    raise _surplus(row, fields, self._width)
                fields += [""] * (self._width - len(fields))
                yield TableRow(
                    row,
                    fields[self._smiles_at],
                    fields[self._split_at] if self._split_at is not None else "",
                    [fields[place] for place in self._targets_at],
                    [fields[place] for place in self._extra_at],
                )

    def count(self) -> int:
        """Return the number of rows that are neither blank nor comments; every row is checked.

        Raises:
            DataError: There are no rows, or a row has more fields than the header.
        """
        count = sum(1 for _ in self.rows([]))
        if not count:
            raise self.without_rows()
        return count

    def without_rows(self) -> DataError:
        """Return the error about a table that has a header alone."""
        hint = "The first row names the columns, the others hold molecules."
        return DataError(f"{self.path}: no rows after the header", hint=hint)


def open_molecule_table(
    path: Path,
    *,
    smiles_column: str = "",
    target_columns: Sequence[str] = (),
    extra_columns: Sequence[str] = (),
    split_column: str = "",
    targets: bool = True,
) -> MoleculeTable:
    """Find the columns of a CSV file that a data set of molecules needs.

    Args:
        path: The file.
        smiles_column: Name or number of the column of SMILES; empty finds it by its name.
        target_columns: Names, numbers or patterns of the targets; empty takes the only other column with a name.
        extra_columns: Names, numbers or patterns of the extra columns.
        split_column: Name or number of the column with the split; empty for none.
        targets: Whether there are targets; without them all other columns are left alone.

    Raises:
        ConfigError: There is no such column, or several.
        DataError: The first row holds a molecule.
    """
    with open_rows(path) as opened:
        header = opened.header
        _check_header(opened, path, smiles_column)
        smiles_at = find_column(header, smiles_column, key="--smiles-column", fallbacks=SMILES_NAMES)
        split_at = find_column(header, split_column, key="--split-column") if split_column else None
        taken = {smiles_at: "the column of SMILES"}
        taken |= {} if split_at is None else {split_at: "the column of the split (--split-column)"}
        extra_at = _extra_places(header, extra_columns, taken)
        taken |= dict.fromkeys(extra_at, "one of --extra-columns")
        targets_at: list[int] = []
        if targets:
            targets_at = _target_places(opened, target_columns, taken, split_column)
        names = _distinct([header[place].strip() or f"column_{place + 1}" for place in targets_at])
        extra_names = [header[place].strip() for place in extra_at]
        places = (smiles_at, split_at, targets_at, extra_at)
        return MoleculeTable(path, names, extra_names, opened.delimiter, len(header), *places)


def _surplus(row: int, fields: Sequence[str], width: int) -> DataError:
    hint = "Quote fields that hold the delimiter, or write numbers with a decimal point."
    text = next(field for field in fields[width:] if field.strip()).strip()
    told = f"row {row} has {len(fields)} fields, and the header has {width}; surplus: {text[:40]!r}"
    return DataError(told, hint=hint)


def _check_header(rows: CsvRows, path: Path, smiles_column: str) -> None:
    """Raise an error about a first row that holds a molecule and numbers in place of names."""
    first = rows.header
    numbers = [title for title in first if title.strip() and is_numeric(title)]
    if (numbers or len(first) == 1) and find_molecule(first, rows.peek(), smiles_column) is not None:
        shown = ", ".join(repr(title.strip()[:40]) for title in first[:5]) + (", ..." if len(first) > 5 else "")
        hint = f"Write a line above it that names the columns, such as: smiles{rows.delimiter}y"
        raise DataError(f"{path}: the first row looks like data, not like names of columns: {shown}", hint=hint)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of which each is there once: y, y becomes y, y_2."""
    found: list[str] = []
    for name in names:
        fresh, number = name, 2
        while fresh in found:
            fresh, number = f"{name}_{number}", number + 1
        found.append(fresh)
    return found


def _extra_places(header: Sequence[str], wanted: Sequence[str], taken: Mapping[int, str]) -> list[int]:
    places = find_columns(header, wanted, key="--extra-columns", taken=taken) if wanted else []
    if not all(header[place].strip() for place in places):
        hint = "Predictions find extra columns by their names: write one into the first row."
        raise ConfigError("--extra-columns", list(wanted), "columns with names", hint=hint)
    return places


_LOOKED_AT = 200
_NO_TARGETS = ("error", "id", "index")
_NO_TARGET_ENDINGS = ("_pred", "_spread", "_low", "_high", "_set", "_id", " id")
"""Columns that `predict` adds, and numbers of molecules."""


def _suggest_targets(rows: CsvRows, free: Sequence[int], *, asked_split: bool) -> str:
    """Return which columns look like targets and like a split, by their names and first rows."""
    sample = list(islice(rows, _LOOKED_AT))
    fields = {
        place: [text for row in sample if place < len(row) and not is_missing(text := row[place])] for place in free
    }
    names = {place: rows.header[place].strip().lower() for place in free}
    splits = [place for place in free if fields[place] and all(is_split(text) for text in fields[place])]
    others = [place for place in free if names[place] in _NO_TARGETS or names[place].endswith(_NO_TARGET_ENDINGS)]
    usable = [place for place in free if place not in splits and place not in others]
    numbers = [place for place in usable if fields[place] and all(map(is_numeric, fields[place]))]
    targets = numbers or usable
    word = column_word(rows.header, targets[-1]) if targets else "NAME"
    hint = f"Pass --target-columns {word}, or several names, or all."
    if splits and not asked_split:
        hint += f" If the rows are to be split by a column: --split-column {column_word(rows.header, splits[0])}"
    return hint


def _target_places(rows: CsvRows, wanted: Sequence[str], taken: Mapping[int, str], split_column: str) -> list[int]:
    header = rows.header
    if wanted:
        return find_columns(header, wanted, key="--target-columns", taken=taken)
    free = [place for place, title in enumerate(header) if place not in taken and is_named(title)]
    if len(free) == 1:
        return free
    names = ", ".join(repr(header[place]) for place in free[:20])
    if free:
        hint = _suggest_targets(rows, free, asked_split=bool(split_column))
        raise ConfigError("--target-columns", None, f"names of the columns to predict, of: {names}", hint=hint)
    hint = f"The first row is {', '.join(map(repr, header[:20]))}; columns are separated by a comma, ; tab or |. "
    hint += "It has to name the columns: remove titles above the names."
    raise ConfigError("--target-columns", None, "a table with a column to predict", hint=hint)
