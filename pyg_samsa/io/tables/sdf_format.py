"""SDF files and molfiles. Records are kept byte by byte; chemistry is in `pyg_samsa.chem.mol_blocks`."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import islice, takewhile
from typing import IO

from pyg_samsa.errors import DataError
from pyg_samsa.io.csv_rows import BYTE_FALLBACK
from pyg_samsa.io.csv_start import known_format
from pyg_samsa.io.tables.table import AddedColumn, Chunk, TableReader, TableWriter

_END, _BLOCK_END = b"$$$$", b"M  END"
_FIELD = re.compile(rb">[^<\r\n]*<(.*)>[^>\r\n]*")
_LONGEST_RECORD = 2**24
_PEEKED = 256


class SdfChunk(Chunk):
    r"""Records of an SDF file.

    Args:
        records: The records with the line ``$$$$`` that ends them.
        header: Names of the properties.

    Example:
        >>> chunk = SdfChunk([b"water\n\n\nM  END\n> <pH>\n7\n\n$$$$\n"], ["pH"])
        >>> chunk.texts(0), chunk.molecules(-1)
        (['7'], ['water\n\n\nM  END\n'])
    """

    def __init__(self, records: list[bytes], header: Sequence[str]) -> None:
        self.records, self.header = records, list(header)

    def __len__(self) -> int:
        return len(self.records)

    def texts(self, place: int) -> list[str]:
        """Return a property of all records; it is empty where a record lacks it."""
        return [properties(record).get(self.header[place], "") for record in self.records]

    def molecules(self, place: int) -> list[str]:
        r"""Return the blocks of the structures.

        Example:
            >>> SdfChunk([b"water\n\n\nM  END\n> <pH>\n7\n\n$$$$\n"], ["pH"]).molecules(-1)
            ['water\n\n\nM  END\n']
        """
        return [_block(record) for record in self.records]

    def digests(self) -> list[bytes]:
        """Return a hash of each record."""
        return [hashlib.sha256(record).digest() for record in self.records]

    def notes(self) -> list[str]:
        r"""Return which records hold more structures than the first, such as molfiles that were joined.

        Example:
            >>> SdfChunk([b"a\n\n\nM  END\nb\n\n\nM  END\n", b"c\n\n\nM  END\n$$$$\n"], []).notes()
            ['2 structures without $$$$ between them: the first one is read', '']
        """
        counts = map(_count_structures, self.records)
        told = "structures without $$$$ between them: the first one is read"
        return [f"{count} {told}" if count > 1 else "" for count in counts]


class SdfReader(TableReader):
    r"""Reads an SDF file record by record, in memory of one record. A molfile is one record.

    Args:
        file: The open file.
        name: Its name, for errors.
        format: ``"sdf"`` or ``"sdf.gz"``.

    Raises:
        DataError: The file is empty, or a record does not end within 16 MiB.

    Example:
        >>> from io import BytesIO
        >>> reader = SdfReader(BytesIO(b"a\n$$$$\nb\n$$$$\n"), "in.sdf")
        >>> reader.take(5).records
        [b'a\n$$$$\n', b'b\n$$$$\n']
    """

    has_blocks = True

    def __init__(self, file: IO[bytes], name: str, format: str = "sdf") -> None:
        self.format = format
        records = _records(file, name)
        first = list(islice(records, _PEEKED))
        if not first:
            hint = "An SDF file holds records that end with $$$$, a molfile holds one structure."
            raise DataError(f"{name}: the file is empty", hint=hint)
        if not any(record.rstrip().endswith(_END) or _BLOCK_END in record for record in first):
            what = _other_format(first[0])
            raise DataError(f"{name}: {what}, and no file of structures", hint="Name the file after its format.")
        self.header = list(dict.fromkeys(title for record in first for title in properties(record)))
        self._records = _chained(first, records)

    def take(self, count: int) -> SdfChunk | None:
        """Return the next records, at most ``count``; None at the end."""
        records = list(islice(self._records, count))
        return SdfChunk(records, self.header) if records else None


class SdfWriter(TableWriter):
    r"""Writes records with added properties.

    Args:
        names: Names of the added properties.

    Example:
        >>> SdfWriter(["y"]).encode(SdfChunk([b"a\nM  END\n$$$$\n"], []), [AddedColumn(["0.5"])])
        b'a\nM  END\n>  <y>\n0.5\n\n$$$$\n'
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = [_one_line(name) for name in names]

    def encode(self, chunk: Chunk, added: Sequence[AddedColumn]) -> bytes:
        """Return the records of a chunk with the added properties."""
        assert isinstance(chunk, SdfChunk)
        cells = zip(*(column.texts for column in added), strict=True)
        return b"".join(self._record(record, texts) for record, texts in zip(chunk.records, cells, strict=True))

    def count(self, file: IO[bytes]) -> int:
        r"""Return the number of records.

        Example:
            >>> from io import BytesIO
            >>> SdfWriter([]).count(BytesIO(b"a\n$$$$\nb\n$$$$\n"))
            2
        """
        return sum(line.startswith(_END) for line in file)

    def _record(self, record: bytes, texts: Sequence[str]) -> bytes:
        lines = record.splitlines(keepends=True)
        newline = b"\r\n" if lines[0].endswith(b"\r\n") else b"\n"
        kept, end = (lines[:-1], lines[-1]) if lines[-1].startswith(_END) else (lines, _END)
        if kept and not kept[-1].endswith((b"\n", b"\r")):
            kept[-1] += newline
        # The value of a property ends with a blank line, which a broken record may lack.
        closed = not kept or not kept[-1].strip() or kept[-1].startswith(_BLOCK_END)
        body = b"".join([*kept, *([] if closed else [newline])])
        fields = "".join(
            f">  <{name}>\n{_one_line(text)}\n" + ("\n" if text else "")
            for name, text in zip(self.names, texts, strict=True)
        )
        return body + fields.encode("utf-8").replace(b"\n", newline) + end.rstrip(b"\r\n") + newline


def properties(record: bytes) -> dict[str, str]:
    r"""Return the properties of a record: name -> value.

    Example:
        >>> properties(b"water\n\n\nM  END\n> <pH>\n7\n\n>  <note>  (1)\na\nb\n\n$$$$\n")
        {'pH': '7', 'note': 'a\nb'}
    """
    found: dict[str, str] = {}
    name, value = None, list[bytes]()
    for line in record.splitlines():
        header = _FIELD.fullmatch(line) if name is None else None
        if header is not None:
            name, value = _text(header[1]), []
        elif name is not None and (not line.strip() or line.startswith(_END)):
            found[name], name = _text(b"\n".join(value)), None
        elif name is not None:
            value.append(line)
    return found


def _other_format(start: bytes) -> str:
    """Return what a file without the ends of structures may be, from its first bytes."""
    if known := known_format(start):
        return known[0]
    utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return "a text in UTF-16" if utf16 else "a text without M  END or $$$$"


def _records(file: IO[bytes], name: str) -> Iterator[bytes]:
    lines, size, number = list[bytes](), 0, 1
    while line := file.readline(_LONGEST_RECORD):
        lines.append(line)
        size += len(line)
        if line.startswith(_END):
            yield b"".join(lines)
            lines, size, number = [], 0, number + 1
        elif size >= _LONGEST_RECORD:
            hint = "Each record ends with a line $$$$. Check that this is an SDF file."
            raise DataError(f"{name}: record {number} has more than {_LONGEST_RECORD:,} bytes", hint=hint)
    if b"".join(lines).strip():
        yield b"".join(lines)


def _chained(first: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    # Unlike itertools.chain, this lets the first records go.
    while first:
        yield first.pop(0)
    yield from rest


def _block(record: bytes) -> str:
    lines = record.splitlines(keepends=True)
    ends = (place + 1 for place, line in enumerate(lines) if line.startswith(_BLOCK_END))
    return _text(b"".join(lines[: next(ends, len(lines))]))


def _count_structures(record: bytes) -> int:
    """Return the number of structures before the first property."""
    if record.count(_BLOCK_END) < 2:
        return 1
    structures = takewhile(lambda line: not line.startswith(b">"), record.splitlines())
    return sum(line.startswith(_BLOCK_END) for line in structures)


def _text(content: bytes) -> str:
    return content.decode("utf-8", BYTE_FALLBACK)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
