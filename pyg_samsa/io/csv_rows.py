"""Reads CSV files row by row, with mixed encodings, quotes, blank lines, four delimiters and repeated column names."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

from pyg_samsa.errors import DataError, DataNotFoundError
from pyg_samsa.io.cells import is_missing
from pyg_samsa.io.csv_start import read_start, refuse_other_formats

BLANK, COMMENT = "blank line", "comment"
_BUFFER = 2**18
_LONGEST_RECORD, _MOST_LINES = 2**24, 100_000
BYTE_FALLBACK = "pyg_samsa_cp1252"
"""Handler of decoding errors that reads bytes which are no UTF-8 as Windows-1252."""


def _decode_byte(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that are not UTF-8 as Windows-1252, one by one, so that one bad row does not affect others."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in bad), error.end


codecs.register_error(BYTE_FALLBACK, _decode_byte)


@dataclass
class CsvRows:
    r"""The rows of an open CSV file, read lazily.

    Attributes:
        header: Names as written; empty for a file without one.
        delimiter: Character between fields.

    Example:
        >>> with open_rows(io.BytesIO(b"smiles;name\nCCO;ethanol\n")) as rows:
        ...     rows.delimiter, rows.header, list(rows)
        (';', ['smiles', 'name'], [['CCO', 'ethanol']])
    """

    header: list[str]
    delimiter: str
    _lines: Any = field(repr=False)
    _name: str = ""
    _first: list[list[str]] = field(default_factory=list, repr=False)

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the fields of each row; a blank line is a row without fields.

        Raises:
            DataError: A quote is opened and never closed.
        """
        while self._first:
            yield self._first.pop(0)
        yield from _records(self._lines, self.delimiter, self._name)

    def peek(self) -> list[str]:
        r"""Return the next row without taking it; empty if there is none.

        Example:
            >>> with open_rows(io.BytesIO(b"smiles\nCCO\n")) as rows:
            ...     rows.peek(), list(rows)
            (['CCO'], [['CCO']])
        """
        if not self._first:
            self._first += [row] if (row := next(_records(self._lines, self.delimiter, self._name), None)) else []
        return self._first[0] if self._first else []

    def take_header(self) -> None:
        r"""Make the header the first row, for a table without one.

        Example:
            >>> with open_rows(io.BytesIO(b"CCO\nCCN\n")) as rows:
            ...     rows.take_header()
            ...     rows.header, list(rows)
            ([], [['CCO'], ['CCN']])
        """
        self._first.insert(0, self.header)
        self.header = []


def why_no_molecule(fields: Sequence[str], smiles: int) -> str:
    """Return why a row holds no molecule: it is a :data:`BLANK` line or a :data:`COMMENT`; empty for other rows.

    A comment begins with ``#``, and there is nothing else in the row, or it begins where the SMILES are, of which none
    begins with ``#``.

    Args:
        fields: The row.
        smiles: Place of the column of SMILES.

    Example:
        >>> [why_no_molecule(fields, 1) for fields in ([], ["# end"], ["#12", "CCO"])]
        ['blank line', 'comment', '']
    """
    if not any(field.strip() for field in fields):
        return BLANK
    if not fields[0].lstrip().startswith("#") or is_missing(fields[0]):
        return ""
    return COMMENT if smiles == 0 or not any(field.strip() for field in fields[1:]) else ""


@contextmanager
def open_rows(source: Any, *, header: bool = True, name: str = "") -> Iterator[CsvRows]:
    r"""Open a CSV file for reading row by row, in memory of one row.

    Text is UTF-8 (with or without a byte order mark) or UTF-16 with one; bytes that are no UTF-8 are read as
    Windows-1252, each by itself. Where the table begins, and which character separates its fields, is found by
    `pyg_samsa.io.csv_start.read_start`.

    Args:
        source: Path, or an open binary stream.
        header: Whether the first row names the columns.
        name: Name of a stream, for errors.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: The file is empty, of another format, or names no column.

    Example:
        >>> with open_rows(io.BytesIO(b"\xef\xbb\xbfsmiles;name\nCC;\xc3\xa9thane\n\nC;m\xe9thane\n")) as rows:
        ...     rows.header, list(rows)
        (['smiles', 'name'], [['CC', 'éthane'], [], ['C', 'méthane']])
    """
    name = str(source) if isinstance(source, (str, Path)) else name or "standard input"
    raw: IO[bytes]
    if isinstance(source, (str, Path)):
        try:
            raw = open(source, "rb")  # noqa: SIM115 - closed below, unlike a stream of somebody else
        except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
            raise DataNotFoundError(f"{source}: {str(error.strerror).lower()}", hint="Check the path.") from error
    else:
        raw = source
    try:
        yield _rows(raw, name, header)
    finally:
        if raw is not source:
            raw.close()


def _rows(raw: IO[bytes], name: str, header: bool) -> CsvRows:
    # A row may be a whole molecule of a megabyte; the module's own limit is 128 kB for all readers of the process.
    csv.field_size_limit(max(csv.field_size_limit(), 2**31 - 1))
    buffered = io.BufferedReader(_Unclosed(raw), _BUFFER)
    refuse_other_formats(buffered.peek(_BUFFER)[:_BUFFER], name)
    utf16 = buffered.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding, errors = ("utf-16", "replace") if utf16 else ("utf-8-sig", BYTE_FALLBACK)
    text = io.TextIOWrapper(buffered, encoding=encoding, errors=errors, newline="")
    lines = iter(text)
    start, delimiter = read_start(lines, name, header=header)
    rest = chain(start, lines)
    if not header:
        return CsvRows([], delimiter, rest, name)
    names = next(_records(rest, delimiter, name), [])
    if not any(title.strip() for title in names):
        hint = "Write the names of the columns there. predict reads tables without them with --no-header."
        raise DataError(f"{name}: the first row names no column", hint=hint)
    return CsvRows(names, delimiter, rest, name)


class _Unclosed(io.RawIOBase):
    """Hands bytes on, and leaves the stream open when the text above it goes."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read1(len(buffer)) if hasattr(self._stream, "read1") else self._stream.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _records(lines: Iterator[str], delimiter: str, name: str) -> Iterator[list[str]]:
    taken, number = [0, 0, 0], 0  # characters, quotes and lines of the present record

    def counted() -> Iterator[str]:
        for line in lines:
            taken[0] += len(line)
            taken[1] += line.count('"')
            taken[2] += 1
            # A quote that is never closed would swallow the rest of the file into one field.
            if taken[0] > _LONGEST_RECORD or taken[2] > _MOST_LINES:
                raise _unclosed(name, number + 1)
            yield line

    reader = csv.reader(counted(), delimiter=delimiter)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{name}: row {number + 1} cannot be read: {error}", hint="Fix this row.") from error
        if taken[1] % 2 and taken[2] > 1:
            raise _unclosed(name, number + 1)
        taken[:] = [0, 0, 0]
        number += 1
        yield fields


def _unclosed(name: str, row: int) -> DataError:
    hint = "Close the quote, or double it inside of a field."
    return DataError(f'{name}: row {row}: a quote (") is opened and never closed', hint=hint)
