"""Results as CSV, Excel and SDF files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from typing import IO

from pyg_samsa.chem.mol_blocks import smiles_block
from pyg_samsa.errors import DataError
from pyg_samsa.io.formulas import escape_formula
from pyg_samsa.io.tables.csv_format import CsvChunk, CsvWriter
from pyg_samsa.io.tables.excel import MOST_ROWS, write_excel
from pyg_samsa.io.tables.sdf_format import SdfChunk, SdfWriter
from pyg_samsa.io.tables.table import AddedColumn
from pyg_samsa.web.result_table import Query, ResultRow, ResultTable

FORMATS = ("csv", "xlsx", "sdf")
_AT_ONCE, _BLOCK = 512, 2**18
_UNNAMED = "fields"


def download(table: ResultTable, query: Query, format: str, *, has_blocks: bool = False) -> Iterator[bytes]:
    """Return the rows that a query shows as a file: all columns that were given, and those that were added.

    Added are the columns of the models, ``same_molecule``, which names another row with the same molecule, and
    ``error``.

    Added texts that a spreadsheet would read as formulas have an apostrophe before them, in CSV and Excel files; the
    given ones stay as they are. No cell of an Excel file is a formula.

    Args:
        table: The rows.
        query: What is shown, and in which order.
        format: ``"csv"``; ``"xlsx"``, which is written before this function returns; or ``"sdf"`` with flat coordinates
            for molecules that were given as SMILES.
        has_blocks: Whether the table was an SDF file. Its records are kept; in the other formats they become SMILES.

    Returns:
        The bytes of the file, some at a time.

    Raises:
        ConfigError: The query names no column of the table.
        DataError: The rows do not fit into an Excel file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> table = ResultTable(Path(tempfile.mkdtemp()) / "rows.db", [], ["smiles"])
        >>> table.add([ResultRow(1, "", "C", "", ["C"], [], [])])
        >>> b"".join(download(table, Query(), "csv")).splitlines()
        [b'smiles,same_molecule,error', b'C,,']

    Cost: 100,000 rows of eight cells take about 3 seconds as CSV and 10 as an Excel file.
    """
    given = ["smiles", *table.header] if has_blocks else list(table.header)
    added = _distinct([*(column.title for column in table.columns), "same_molecule", "error"], given)
    if format == "sdf":
        # The cells of a table without names of columns are one property.
        names = [] if has_blocks else given or [_UNNAMED]
        return _sdf(table.rows(query), SdfWriter([*names, *added]), len(names), named=bool(given))
    names = [*given, *map(escape_formula, added)] if given else []
    parts = _parts(table.rows(query), len(given), has_blocks=has_blocks)
    return _csv(parts, names) if format == "csv" else _excel(parts, names, table, query)


def _parts(rows: Iterator[ResultRow], width: int, *, has_blocks: bool) -> Iterator[tuple[CsvChunk, list[AddedColumn]]]:
    """Yield some rows at a time, with what is added to them."""
    while part := list(islice(rows, _AT_ONCE)):
        kept = [[row.smiles, *row.fields] if has_blocks else row.fields for row in part]
        yield CsvChunk(kept, width, ","), _added([_cells(row) for row in part])


def _csv(parts: Iterator[tuple[CsvChunk, list[AddedColumn]]], names: list[str]) -> Iterator[bytes]:
    writer = CsvWriter(names, ",")
    yield writer.start()
    for chunk, added in parts:
        yield writer.encode(chunk, added)


def _excel(
    parts: Iterator[tuple[CsvChunk, list[AddedColumn]]], names: list[str], table: ResultTable, query: Query
) -> Iterator[bytes]:
    most = MOST_ROWS - bool(names)
    if (count := table.count(query)) > most:
        hint = "Filter the rows, or download them as CSV."
        raise DataError(f"these are {count:,} rows; an Excel file has at most {most:,}", hint=hint)
    lines = (
        [*kept, *map(escape_formula, cells)]
        for chunk, added in parts
        for kept, cells in zip(chunk.fields(), zip(*(column.texts for column in added), strict=True), strict=True)
    )
    file = tempfile.TemporaryFile(dir=table.path.parent)  # noqa: SIM115 - closed when it was sent
    try:
        write_excel(file, names, lines)
    except BaseException:
        file.close()
        raise
    return _sent(file)


def _sent(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        yield from iter(lambda: file.read(_BLOCK), b"")


def _sdf(rows: Iterator[ResultRow], writer: SdfWriter, width: int, *, named: bool) -> Iterator[bytes]:
    while part := list(islice(rows, _AT_ONCE)):
        records = [row.record or f"{smiles_block(row.smiles, row.name)}$$$$\n".encode() for row in part]
        kept = [(row.fields if named else ["\t".join(row.fields)])[:width] for row in part]
        yield writer.encode(
            SdfChunk(records, []),
            _added([[*given, *_cells(row)] for given, row in zip(kept, part, strict=True)]),
        )


def _cells(row: ResultRow) -> list[str]:
    """Return what is added to a row."""
    return [*row.cells, f"same molecule as row {row.same_as}" if row.same_as is not None else "", row.error]


def _added(cells: list[list[str]]) -> list[AddedColumn]:
    return [AddedColumn(list(texts)) for texts in zip(*cells, strict=True)]


def _distinct(names: list[str], taken: list[str]) -> list[str]:
    """Return names that differ from each other and from those that are taken."""
    found: list[str] = []
    for name in names:
        fresh, number = name, 2
        while fresh in (*taken, *found):
            fresh, number = f"{name}_{number}", number + 1
        found.append(fresh)
    return found
