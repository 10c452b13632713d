"""CSV tables."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from itertools import islice
from typing import IO

from pyg_samsa.io.csv_rows import CsvRows, why_no_molecule
from pyg_samsa.io.formulas import escape_formula
from pyg_samsa.io.tables.table import AddedColumn, Chunk, TableReader, TableWriter


class CsvChunk(Chunk):
    """Rows of a CSV file.

    Args:
        rows: The fields of each row, as many as the row has.
        width: Number of names in the header; 0 for a table without one.
        delimiter: Character between fields.

    Example:
        >>> chunk = CsvChunk([["C", "1", "2"], ["CC"]], 2, ",")
        >>> chunk.fields(), chunk.notes()
        ([['C', '1,2'], ['CC', '']], ['3 fields, the header has 2', ''])
    """

    def __init__(self, rows: list[list[str]], width: int, delimiter: str) -> None:
        self.rows, self.width, self.delimiter = rows, width, delimiter

    def __len__(self) -> int:
        return len(self.rows)

    def texts(self, place: int) -> list[str]:
        """Return the fields of a column; those that a short row lacks are empty.

        Example:
            >>> CsvChunk([["C", "1"], ["CC"]], 2, ",").texts(1)
            ['1', '']
        """
        return [row[place] if place < len(row) else "" for row in self.rows]

    def digests(self) -> list[bytes]:
        """Return a hash of each row."""
        return [hashlib.sha256("\x1f".join(row).encode("utf-8", "surrogatepass")).digest() for row in self.rows]

    def fields(self) -> list[list[str]]:
        """Return all fields; short rows are filled, and surplus fields of long rows are joined into the last one."""
        return [self._fitted(row) for row in self.rows]

    def refusals(self, place: int) -> list[str]:
        """Return which rows are blank lines and comments.

        Example:
            >>> CsvChunk([["C"], [], ["# end"]], 1, ",").refusals(0)
            ['', 'blank line', 'comment']
        """
        return [why_no_molecule(row, place) for row in self.rows]

    def notes(self) -> list[str]:
        """Return which rows have surplus fields."""
        return [
            f"{len(row)} fields, the header has {self.width}" if self.width and len(row) > self.width else ""
            for row in self.rows
        ]

    def _fitted(self, row: list[str]) -> list[str]:
        if not self.width or len(row) == self.width:
            return row
        if len(row) > self.width:
            return [*row[: self.width - 1], self.delimiter.join(row[self.width - 1 :])]
        return row + [""] * (self.width - len(row))


class CsvReader(TableReader):
    r"""Reads the rows of an open CSV file.

    Args:
        rows: The file, see `pyg_samsa.io.csv_rows.open_rows`.
        format: ``"csv"`` or ``"csv.gz"``.

    Example:
        >>> from pyg_samsa.io.csv_rows import open_rows
        >>> with open_rows(io.BytesIO(b"smiles\nC\nCC\n")) as rows:
        ...     reader = CsvReader(rows)
        ...     reader.take(5).texts(0), reader.take(5)
        (['C', 'CC'], None)
    """

    def __init__(self, rows: CsvRows, format: str = "csv") -> None:
        self.format, self.header, self.delimiter = format, rows.header, rows.delimiter
        self._rows = iter(rows)

    def take(self, count: int) -> CsvChunk | None:
        """Return the next rows, at most ``count``; None at the end."""
        rows = list(islice(self._rows, count))
        return CsvChunk(rows, len(self.header), self.delimiter) if rows else None


class CsvWriter(TableWriter):
    r"""Writes CSV in UTF-8.

    Args:
        names: Names of all columns; empty for a table without a header.
        delimiter: Character between fields.
        escape_kept: Whether the cells of the table are escaped too, see `pyg_samsa.io.formulas`; those that are added
            always are.

    Example:
        >>> CsvWriter(["smiles", "y"], ",").start()
        b'smiles,y\n'
    """

    def __init__(self, names: Sequence[str], delimiter: str, *, escape_kept: bool = False) -> None:
        self.names, self.delimiter, self.escape_kept = list(names), delimiter, escape_kept

    def start(self) -> bytes:
        r"""Return the header.

        Example:
            >>> CsvWriter(["smiles", "y"], ";").start()
            b'smiles;y\n'
        """
        return self._lines([self.names]) if self.names else b""

    def encode(self, chunk: Chunk, added: Sequence[AddedColumn]) -> bytes:
        r"""Return the rows of a chunk with the added columns.

        Example:
            >>> CsvWriter(["smiles", "y"], ",").encode(CsvChunk([["C"]], 1, ","), [AddedColumn(["0.5"])])
            b'C,0.5\n'
        """
        kept = chunk.fields()
        if self.escape_kept:
            kept = [[escape_formula(field) for field in row] for row in kept]
        columns = [[escape_formula(text) for text in column.texts] for column in added]
        return self._lines([[*row, *cells] for row, cells in zip(kept, zip(*columns, strict=True), strict=True)])

    def count(self, file: IO[bytes]) -> int:
        r"""Return the number of rows.

        Example:
            >>> CsvWriter(["smiles", "note"], ",").count(io.BytesIO(b'smiles,note\nC,"two\nlines"\n'))
            1
        """
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            return sum(1 for _ in csv.reader(text, delimiter=self.delimiter)) - bool(self.names)
        finally:
            text.detach()

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        lines = io.StringIO(newline="")
        csv.writer(lines, delimiter=self.delimiter, lineterminator="\n").writerows(rows)
        return lines.getvalue().encode("utf-8")
