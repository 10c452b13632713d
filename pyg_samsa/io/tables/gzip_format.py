"""Tables compressed by gzip."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from typing import IO, Any

from pyg_samsa.errors import DataError
from pyg_samsa.io.tables.table import AddedColumn, Chunk, TableWriter

_LEVEL = 6
_LONGEST_LINE = 2**24


class GzipStream(io.RawIOBase):
    """Unpacks a stream while it is read. A few bytes may stand for many: lines are bounded, as readers hold one.

    Args:
        stream: The compressed stream; it stays open.
        name: Its name, for the error.

    Raises:
        DataError: It is damaged, or no gzip, or a line of it has more than 16 MiB.

    Example:
        >>> GzipStream(io.BytesIO(gzip.compress(b"smiles")), "in.csv.gz").read(10)
        b'smiles'
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._file, self._name, self._line = gzip.GzipFile(fileobj=stream, mode="rb"), name, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, and return the number of bytes."""
        try:
            block = self._file.read1(len(buffer))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            hint = "Check it by: gunzip -t FILE. Copy it again if it is damaged."
            raise DataError(f"{self._name}: it cannot be unpacked ({str(error)[:80]})", hint=hint) from error
        last = max(block.rfind(b"\n"), block.rfind(b"\r"))
        self._line = len(block) - last - 1 + (self._line if last < 0 else 0)
        if self._line > _LONGEST_LINE:
            hint = "Check that it is a table."
            raise DataError(f"{self._name}: a line has more than {_LONGEST_LINE:,} bytes", hint=hint)
        buffer[: len(block)] = block
        return len(block)


class GzipWriter(TableWriter):
    r"""Compresses what another writer writes: each chunk is a member of its own, so that a file can be continued.

    Args:
        inner: The other writer.

    Example:
        >>> from pyg_samsa.io.tables.csv_format import CsvWriter
        >>> gzip.decompress(GzipWriter(CsvWriter(["smiles", "y"], ",")).start())
        b'smiles,y\n'
    """

    def __init__(self, inner: TableWriter) -> None:
        self.inner = inner

    def start(self) -> bytes:
        """Return what comes before the first row, compressed."""
        return self._packed(self.inner.start())

    def encode(self, chunk: Chunk, added: Sequence[AddedColumn]) -> bytes:
        """Return the rows of a chunk with the added columns, compressed."""
        return self._packed(self.inner.encode(chunk, added))

    def count(self, file: IO[bytes]) -> int:
        """Return the number of rows."""
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            return self.inner.count(unpacked)  # type: ignore[arg-type]

    @staticmethod
    def _packed(content: bytes) -> bytes:
        # Without a time, so that equal content is equal on disk.
        return gzip.compress(content, _LEVEL, mtime=0) if content else b""
