"""The molecules that a command gets as SMILES or as a table."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyg_samsa.errors import ConfigError, DataNotFoundError

if TYPE_CHECKING:
    from pyg_samsa.io.tables.table import Chunk, TableReader

KEY = "SMILES|TABLE"
_SHEETS = (".xlsx", ".xls")
_LISTS = (".smi", ".smi.gz")
_CHUNK, _LONGEST_NAME = 1024, 40


class GivenMolecules(NamedTuple):
    """Molecules and what a table says of them.

    Attributes:
        molecules: Name and SMILES of each.
        rows: The row of each, from 1.
        extra_columns: Name of a column -> a number for each molecule.
        left_out: Number of molecules beyond the limit.
        unreadable: Row, name and reason of each record of an SDF file that has no SMILES.
        notes: What else is wrong with rows, such as several structures in a record.
    """

    molecules: list[tuple[str, str]]
    rows: list[int]
    extra_columns: dict[str, list[float]]
    left_out: int
    unreadable: list[tuple[int, str, str]]
    notes: list[str]


class _Row(NamedTuple):
    """A row of a table: a SMILES or a block of a structure, and the fields of the extra columns."""

    number: int
    name: str
    molecule: str
    fields: Sequence[str]
    note: str


def read_molecules(
    given: list[str],
    smiles_column: str = "",
    name_column: str = "",
    limit: int = 0,
    extra_columns: Sequence[str] = (),
    decimal: str = "auto",
) -> GivenMolecules:
    """Read SMILES of a command line, or the molecules of a table of any format.

    Names that occur more than once get their row: ``pose (row 3)``.

    Args:
        given: A table, or SMILES.
        smiles_column: Column of the SMILES; if empty, it is found by its name.
        name_column: Column or property of the names; if empty, it is found by its name, titles of an SDF file are
            names, or rows are numbered.
        limit: Largest number of rows to read; 0 for all.
        extra_columns: Names of the columns of numbers that the model needs.
        decimal: Decimal sign of their numbers; ``"auto"`` is that of the training.

    Raises:
        DataNotFoundError: The file does not exist.
        ConfigError: It is a folder, or there is no such column.
        DataError: A field of an extra column is no number, or the file is damaged.

    Example:
        >>> read_molecules(["CC", "C"])[:4]
        ([('CC', 'CC'), ('C', 'C')], [1, 2], {}, 0)
    """
    from pyg_samsa.io.tables.formats import format_of

    path = os.path.expanduser(given[0])
    if len(given) == 1 and _is_table(path):
        return _read_table(
            Path(path), format_of(path) or "csv", smiles_column, name_column, limit, extra_columns, decimal
        )
    return _read_smiles(given, smiles_column, name_column, limit, extra_columns)


def _is_table(path: str) -> bool:
    """Say whether an argument is a table and no SMILES."""
    from pyg_samsa.chem.ogb_features import parse_smiles
    from pyg_samsa.io.tables.formats import format_of

    named = format_of(path) is not None or path.lower().endswith(_SHEETS)
    # These are also safe for a SMILES that is longer than the name of a file may be.
    if path == "-" or (os.path.isdir(path) and (named or isinstance(parse_smiles(path), str))):
        told = "standard input" if path == "-" else "a folder"
        raise ConfigError(KEY, path, f"one file or SMILES, not {told}", hint="pyg-samsa predict reads several files.")
    return named or os.path.isfile(path)


def _read_smiles(
    given: list[str], smiles_column: str, name_column: str, limit: int, extra_columns: Sequence[str]
) -> GivenMolecules:
    from pyg_samsa.io.csv_columns import refuse_molecules_alone

    if files := [text for text in given if os.path.isfile(os.path.expanduser(text))]:
        raise ConfigError(KEY, files[0], "one table and nothing else, or SMILES")
    for key, column in (("--smiles-column", smiles_column), ("--name-column", name_column)):
        if column:
            raise ConfigError(key, column, "nothing beside SMILES, which have no columns")
    refuse_molecules_alone(extra_columns, key=KEY)
    kept = given[: limit or None]
    short = (text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..." for text in kept)
    rows = list(range(1, len(kept) + 1))
    return GivenMolecules(list(zip(short, kept, strict=True)), rows, {}, len(given) - len(kept), [], [])


def _read_table(
    path: Path,
    format: str,
    smiles_column: str,
    name_column: str,
    limit: int,
    extra_columns: Sequence[str],
    decimal: str,
) -> GivenMolecules:
    from pyg_samsa.chem.mol_blocks import block_smiles, why_unreadable
    from pyg_samsa.chem.molecule_table import find_molecules, open_molecule_table
    from pyg_samsa.io.csv_columns import find_extra_columns

    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file", hint="Pass a table, or SMILES.")
    with open_molecule_table(path, format, smiles_column=smiles_column) as (table, column):
        place = find_molecules(table, column)
        extra = find_extra_columns(table.header, extra_columns, key=KEY)
        label = _name_place(table, place, name_column, is_list=path.name.lower().endswith(_LISTS))
        found: list[tuple[_Row, str]] = []
        unreadable: list[tuple[int, str, str]] = []
        notes: list[str] = []
        before = left_out = 0
        while (chunk := table.take(_CHUNK)) is not None:
            refusals = chunk.refusals(place)
            free = limit - len(found) - len(unreadable) if limit else len(chunk)
            there = [row for row, refusal in enumerate(refusals) if not refusal]
            left_out += max(0, len(there) - free)
            if free > 0:
                for row in _rows(chunk, there[:free], place, label, list(extra.values()), before):
                    notes += [f"row {row.number}: {row.note}"] if row.note else []
                    smiles = block_smiles(row.molecule) if table.has_blocks else row.molecule
                    if isinstance(smiles, str) and (smiles or not table.has_blocks):
                        found.append((row, smiles))
                    else:
                        unreadable.append((row.number, row.name, why_unreadable(row.molecule)))
            before += len(chunk)
        rows = [row for row, _ in found]
        numbers = {
            name: _numbers(name, column, rows, table.reading(at, decimal))
            for column, (name, at) in enumerate(extra.items())
        }
    counts = Counter(row.name for row in rows)
    names = [f"{row.name} (row {row.number})" if counts[row.name] > 1 else row.name for row in rows]
    molecules = [(name, smiles) for name, (_, smiles) in zip(names, found, strict=True)]
    return GivenMolecules(molecules, [row.number for row in rows], numbers, left_out, unreadable, notes)


def _name_place(table: TableReader, smiles: int, name_column: str, *, is_list: bool) -> int | None:
    """Return the place of the column or property with the names, or None; lists have them after the SMILES."""
    from pyg_samsa.io.csv_columns import column_number, find_column
    from pyg_samsa.io.name_columns import find_names

    if not name_column and table.header:
        return find_names(table.header, None if table.has_blocks else smiles)
    if not name_column:
        return smiles + 1 if is_list else None
    if table.header:
        return find_column(table.header, name_column, key="--name-column")
    if table.has_blocks:
        hint = "Titles of the records are the names: leave out --name-column."
        raise ConfigError("--name-column", name_column, "nothing, because the structures have no properties", hint=hint)
    return column_number(name_column, key="--name-column")


def _rows(
    chunk: Chunk, kept: Sequence[int], smiles: int, label: int | None, extra: Sequence[int], before: int
) -> Iterator[_Row]:
    """Yield the rows of a chunk, numbered after those before it."""
    molecules, notes = chunk.molecules(smiles), chunk.notes()
    names = chunk.texts(label) if label is not None else [""] * len(chunk)
    fields = list(zip(*(chunk.texts(place) for place in extra), strict=True)) or [()] * len(chunk)
    for row in kept:
        molecule, name = molecules[row], names[row]
        if smiles < 0:  # blocks of structures
            name = _printable(name) or _printable(molecule.partition("\n")[0])
        else:
            molecule = molecule.strip()
            # Lists of SMILES have a name after a blank; what follows a bar are RDKit's own extensions.
            text, _, rest = molecule.partition(" ")
            if not name and rest.strip() and not rest.lstrip().startswith("|"):
                molecule, name = text, rest
        number = before + row + 1
        yield _Row(number, _printable(name) or f"row {number}", molecule, fields[row], notes[row])


def _printable(name: str) -> str:
    """Return a name without characters that cannot be shown, such as a byte order mark."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())


def _numbers(name: str, place: int, rows: Sequence[_Row], reading: dict[str, str]) -> list[float]:
    """Return the numbers of an extra column, read as in training."""
    from pyg_samsa.io.cell_errors import refuse_text
    from pyg_samsa.io.extra_column import ExtraColumn

    column, texts = ExtraColumn.of(name), [row.fields[place] for row in rows]
    if told := column.compare(texts, rows=[row.number for row in rows], decimal=reading["decimal"]):
        print(told, file=sys.stderr)
    numbers = []
    for row, text in zip(rows, texts, strict=True):
        found = column.read(text, **reading)
        if found is None:
            raise refuse_text(text, row=row.number, column=name, target=False)
        numbers.append(found)
    return numbers
