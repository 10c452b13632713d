"""What all formats of tables share: readers that return chunks of rows, and writers that add columns to them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pyg_samsa.errors import DataIntegrityError

if TYPE_CHECKING:
    import numpy as np


@dataclass
class AddedColumn:
    """A column that is added to a chunk of n rows.

    Attributes:
        texts: The cells as texts [n]; empty where there is no value.
        values: The numbers, float64 [n]; None for a column of texts.
        known: Where there is a value, bool [n].

    Example:
        >>> import numpy as np
        >>> AddedColumn(["0.5", ""], np.array([0.5, np.nan]), np.array([True, False])).texts
        ['0.5', '']
    """

    texts: list[str]
    values: np.ndarray | None = None
    known: np.ndarray | None = None


class Chunk(ABC):
    """Consecutive rows of a table."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows."""

    @abstractmethod
    def texts(self, place: int) -> list[str]:
        """Return the cells of a column as texts; a cell without a value is empty."""

    @abstractmethod
    def digests(self) -> list[bytes]:
        """Return hashes of the content, in order; equal rows in equal chunks have equal hashes."""

    def fields(self) -> list[list[str]]:
        """Return all cells as texts, row by row, as many as the header has."""
        raise NotImplementedError

    def molecules(self, place: int) -> list[str]:
        """Return the molecules: the cells of a column of SMILES, or blocks of a file of structures."""
        return self.texts(place)

    def refusals(self, place: int) -> list[str]:
        """Return why each row holds no molecule, such as a blank line; empty for other rows."""
        return [""] * len(self)

    def notes(self) -> list[str]:
        """Return what else is wrong with each row, such as too many fields; empty for other rows."""
        return [""] * len(self)


class TableReader(ABC):
    """An open table.

    Attributes:
        format: Its format, see `pyg_samsa.io.tables.formats`.
        header: Names of the columns; empty for a table without them.
        delimiter: Character between the fields of texts.
        numeric: Places of the columns whose cells are numbers by their type.
        has_blocks: Whether the molecules are blocks of structures rather than SMILES.
        num_rows: Number of rows, if the file says it; None otherwise.
    """

    format: str
    header: list[str]
    delimiter: str = ","
    numeric: Collection[int] = ()
    has_blocks: bool = False
    num_rows: int | None = None

    @abstractmethod
    def take(self, count: int) -> Chunk | None:
        """Return the next rows, at most ``count``; None at the end.

        Raises:
            DataError: The file is damaged.
        """

    def reading(self, place: int, decimal: str) -> dict[str, str]:
        """Return the arguments with which `pyg_samsa.io.extra_column.ExtraColumn.read` reads the cells of a column.

        Numbers of a typed column have a decimal point, whatever the sign of the training was.

        Args:
            place: Place of the column.
            decimal: Decimal sign that the user named, or ``"auto"``.
        """
        return {"decimal": "point" if place in self.numeric else decimal, "delimiter": self.delimiter}


class TableWriter(ABC):
    """Writes chunks with added columns as bytes that are appended to a file, and makes the table of that file."""

    def start(self) -> bytes:
        """Return what comes before the first row."""
        return b""

    @abstractmethod
    def encode(self, chunk: Chunk, added: Sequence[AddedColumn]) -> bytes:
        """Return the rows of a chunk with the added columns."""

    @abstractmethod
    def count(self, file: IO[bytes]) -> int:
        """Return the number of rows in a file that this class wrote."""

    def finish(self, partial: Path, path: Path, rows: int) -> None:
        """Make the table of the file of all chunks, atomically, and delete that file.

        Args:
            partial: The file of all chunks, as :meth:`start` and :meth:`encode` returned them.
            path: The table.
            rows: Number of rows that it must have.

        Raises:
            DataIntegrityError: It has another number of rows.
        """
        with open(partial, "rb") as file:
            check_rows(partial, self.count(file), rows)
        os.replace(partial, path)


def check_rows(path: Path, found: int, expected: int) -> None:
    """Raise an error unless a table that was written has as many rows as the one that was read.

    Raises:
        DataIntegrityError: It has another number of rows.

    Example:
        >>> check_rows(Path("out.csv"), 3, 3)
    """
    if found != expected:
        hint = "Delete it, and run the same command again."
        raise DataIntegrityError(path, f"{expected:,} rows, as the input has", f"{found:,} rows", hint=hint)
