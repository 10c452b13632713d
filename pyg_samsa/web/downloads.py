"""Results as CSV and SDF files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pyg_samsa.chem.mol_blocks import smiles_block
from pyg_samsa.io.formulas import escape_formula
from pyg_samsa.io.tables.csv_format import CsvChunk, CsvWriter
from pyg_samsa.io.tables.sdf_format import SdfChunk, SdfWriter
from pyg_samsa.io.tables.table import AddedColumn
from pyg_samsa.web.result_table import Query, ResultRow, ResultTable

FORMATS = ("csv", "sdf")
_AT_ONCE = 512
_UNNAMED = "fields"


def download(table: ResultTable, query: Query, format: str, *, has_blocks: bool = False) -> Iterator[bytes]:
    """Yield the rows that a query shows as a file: all columns that were given, those of the models, and the errors.

    Args:
        table: The rows.
        query: What is shown, and in which order.
        format: ``"csv"``, or ``"sdf"`` with flat coordinates for molecules that were given as SMILES.
        has_blocks: Whether the table was an SDF file. Its records are kept; in CSV they become SMILES.

    Raises:
        ConfigError: The query names no column of the table.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> table = ResultTable(Path(tempfile.mkdtemp()) / "rows.db", [], ["smiles"])
        >>> table.add([ResultRow(1, "", "C", "", ["C"], [], [])])
        >>> b"".join(download(table, Query(), "csv")).splitlines()
        [b'smiles,error', b'C,']
    """
    given = ["smiles", *table.header] if has_blocks else list(table.header)
    added = _distinct([*(column.title for column in table.columns), "error"], given)
    rows = table.rows(query)
    if format == "csv":
        names = [*given, *map(escape_formula, added)] if given else []
        yield from _csv(rows, CsvWriter(names, ","), len(given), has_blocks=has_blocks)
    else:
        # The cells of a table without names of columns are one property.
        names = [] if has_blocks else given or [_UNNAMED]
        yield from _sdf(rows, SdfWriter([*names, *added]), len(names), named=bool(given))


def _csv(rows: Iterator[ResultRow], writer: CsvWriter, width: int, *, has_blocks: bool) -> Iterator[bytes]:
    yield writer.start()
    while part := list(islice(rows, _AT_ONCE)):
        kept = [[row.smiles, *row.fields] if has_blocks else row.fields for row in part]
        yield writer.encode(CsvChunk(kept, width, ","), _added([[*row.cells, row.error] for row in part]))


def _sdf(rows: Iterator[ResultRow], writer: SdfWriter, width: int, *, named: bool) -> Iterator[bytes]:
    while part := list(islice(rows, _AT_ONCE)):
        records = [row.record or f"{smiles_block(row.smiles, row.name)}$$$$\n".encode() for row in part]
        kept = [(row.fields if named else ["\t".join(row.fields)])[:width] for row in part]
        yield writer.encode(
            SdfChunk(records, []),
            _added([[*given, *row.cells, row.error] for given, row in zip(kept, part, strict=True)]),
        )


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
