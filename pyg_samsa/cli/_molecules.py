"""The molecules that a command gets as SMILES or as a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pyg_samsa.errors import ConfigError, DataNotFoundError

if TYPE_CHECKING:
    from pyg_samsa.io.tables.table import TableReader

KEY = "SMILES|TABLE"
_ROWS, _LONGEST_NAME = 1024, 40


class GivenMolecules(NamedTuple):
    """Molecules and what a table says of them.

    Attributes:
        molecules: Name and SMILES of each.
        rows: The row of each, from 1.
        extra_columns: Name of a column -> a number for each molecule.
        left_out: Number of molecules beyond the limit.
        unreadable: Row, name, text and reason of each record of an SDF file that is no molecule.
    """

    molecules: list[tuple[str, str]]
    rows: list[int]
    extra_columns: dict[str, list[float]]
    left_out: int
    unreadable: list[tuple[int, str, str, str]]


class _Row(NamedTuple):
    """A row of a table: a SMILES or a block of a structure, and the fields of the extra columns."""

    number: int
    name: str
    molecule: str
    fields: Sequence[str] = ()
    table: TableReader | None = None


def read_molecules(
    given: list[str],
    smiles_column: str = "",
    name_column: str = "",
    limit: int = 0,
    extra_columns: Sequence[str] = (),
    decimal: str = "auto",
) -> GivenMolecules:
    """Read SMILES of a command line, or the molecules of a table of any format.

    Args:
        given: A table, or SMILES.
        smiles_column: Column of the SMILES; if empty, it is found by its name.
        name_column: Column or property of the names; if empty, it is found by its name, titles of an SDF file are
            names, or rows are numbered.
        limit: Largest number of molecules; 0 for all.
        extra_columns: Names of the columns of numbers that the model needs.
        decimal: Decimal sign of their numbers; ``"auto"`` is that of the training.

    Raises:
        DataNotFoundError: The file does not exist.
        ConfigError: There is no such column.
        DataError: A field of an extra column is no number, or the file is damaged.

    Example:
        >>> read_molecules(["CC", "C"], limit=1)[:4]
        ([('CC', 'CC')], [1], {}, 1)
    """
    from pyg_samsa.chem.mol_blocks import UNREADABLE, block_smiles

    kept: list[_Row] = []
    molecules: list[tuple[str, str]] = []
    unreadable: list[tuple[int, str, str, str]] = []
    left_out = 0
    for row in _rows(given, smiles_column, name_column, extra_columns):
        if limit and len(kept) + len(unreadable) >= limit:
            left_out += 1
            continue
        is_block = row.table is not None and row.table.has_blocks
        smiles = block_smiles(row.molecule) if is_block else row.molecule
        if isinstance(smiles, str):
            kept.append(row)
            molecules.append((row.name, smiles))
        else:
            unreadable.append((row.number, row.name, "", UNREADABLE))
    numbers = {name: _numbers(name, place, kept, decimal) for place, name in enumerate(extra_columns)}
    return GivenMolecules(molecules, [row.number for row in kept], numbers, left_out, unreadable)


def _rows(given: list[str], smiles_column: str, name_column: str, extra_columns: Sequence[str]) -> Iterator[_Row]:
    from pyg_samsa.io.csv_columns import refuse_molecules_alone
    from pyg_samsa.io.tables.formats import format_of

    path = Path(given[0]).expanduser()
    # os.path.isfile is also safe for a SMILES that is longer than the name of a file may be.
    if len(given) == 1 and (format_of(path) is not None or os.path.isfile(path)):
        if not path.is_file():
            raise DataNotFoundError(f"{path}: no such file", hint="Pass a table, or SMILES.")
        yield from _rows_of_table(path, format_of(path) or "csv", smiles_column, name_column, extra_columns)
        return
    if len(given) > 1 and (files := [text for text in given if os.path.isfile(text)]):
        raise ConfigError(KEY, files[0], "one table and nothing else, or SMILES")
    refuse_molecules_alone(extra_columns, key=KEY)
    for number, smiles in enumerate(given, start=1):
        short = smiles if len(smiles) <= _LONGEST_NAME else f"{smiles[: _LONGEST_NAME - 3]}..."
        yield _Row(number, short, smiles)


def _rows_of_table(
    path: Path, format: str, smiles_column: str, name_column: str, extra_columns: Sequence[str]
) -> Iterator[_Row]:
    from pyg_samsa.chem.molecule_table import open_molecule_table
    from pyg_samsa.io.csv_columns import SMILES_NAMES, find_column, find_extra_columns
    from pyg_samsa.io.name_columns import find_names

    with open_molecule_table(path, format, smiles_column=smiles_column) as (table, column):
        place = -1
        if not table.has_blocks:
            named = bool(table.header)
            key = "--smiles-column"
            place = find_column(table.header, column, key=key, fallbacks=SMILES_NAMES) if named else int(column) - 1
        extra = list(find_extra_columns(table.header, extra_columns, key=KEY).values())
        label: int | None = None
        if name_column:
            label = find_column(table.header, name_column, key="--name-column")
        elif table.header:
            label = find_names(table.header, place)
        number = 0
        while (chunk := table.take(_ROWS)) is not None:
            molecules = chunk.molecules(place)
            names = chunk.texts(label) if label is not None else [""] * len(chunk)
            if table.has_blocks and not name_column:
                titles = [block.partition("\n")[0] for block in molecules]
                names = [title.strip() or name for title, name in zip(titles, names, strict=True)]
            fields = list(zip(*(chunk.texts(at) for at in extra), strict=True)) or [()] * len(chunk)
            rows = zip(molecules, names, fields, chunk.refusals(place), strict=True)
            for molecule, name, texts, refusal in rows:
                number += 1
                if refusal:
                    continue
                given = molecule if table.has_blocks else molecule.strip()
                yield _Row(number, name.strip() or f"row {number}", given, texts, table)


def _numbers(name: str, place: int, rows: Sequence[_Row], decimal: str) -> list[float]:
    """Return the numbers of an extra column, read as in training."""
    from pyg_samsa.io.cell_errors import refuse_text
    from pyg_samsa.io.csv_columns import find_extra_columns
    from pyg_samsa.io.extra_column import ExtraColumn

    column, texts = ExtraColumn.of(name), [row.fields[place] for row in rows]
    table = rows[0].table if rows else None
    if table is None:
        return []
    reading = table.reading(find_extra_columns(table.header, [name], key=KEY)[name], decimal)
    if told := column.compare(texts, rows=[row.number for row in rows], decimal=reading["decimal"]):
        print(told, file=sys.stderr)
    numbers = []
    for row, text in zip(rows, texts, strict=True):
        found = column.read(text, **reading)
        if found is None:
            raise refuse_text(text, row=row.number, column=name, target=False)
        numbers.append(found)
    return numbers
