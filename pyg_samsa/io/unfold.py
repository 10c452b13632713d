"""Reads compressed files of bounded size: what they unfold to is counted while it is read."""

from __future__ import annotations

import gzip
import io
import math
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.safe_pickle import quick_keys

_SMALLEST, _TIMES = 2**28, 100
_BLOCK, _SMALL_BLOCK = 2**20, 2**12
_HINT = "Nothing of it was kept. Fetch the file again from its official source."


def most_unfolded(path: Path) -> int:
    """Return to how many bytes a compressed file may unfold: 256 MiB, or 100 times its size.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "set.zip"
        >>> path.touch()
        >>> most_unfolded(path)
        268435456
    """
    return max(_SMALLEST, _TIMES * path.stat().st_size)


def too_large(path: Path) -> DataIntegrityError:
    """Return the error about a file that unfolds to more than `most_unfolded` allows.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "set.zip"
        >>> path.touch()
        >>> str(too_large(path)).partition(": ")[2]
        'got a larger one, expected a file that unfolds to at most 256 MiB'
    """
    expected = f"a file that unfolds to at most {most_unfolded(path) / 2**20:,.0f} MiB"
    return DataIntegrityError(path, expected, "a larger one", hint=_HINT)


def blocks_of(archive: zipfile.ZipFile, member: str) -> Iterator[bytes]:
    r"""Yield the content of a file in a zip archive, in memory of a few MiB.

    Of LZMA and bzip2, zipfile unfolds all that it reads at once, so that little is read.

    Example:
        >>> file = io.BytesIO()
        >>> with zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        ...     archive.writestr("zeros", bytes(2**20))
        >>> with zipfile.ZipFile(file) as archive:
        ...     sum(map(len, blocks_of(archive, "zeros")))
        1048576
    """
    bounded = archive.getinfo(member).compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    size = _BLOCK if bounded else _SMALL_BLOCK
    with archive.open(member) as source:
        while block := source.read(size):
            yield block


def open_gzip(path: Path) -> IO[bytes]:
    """Open a gzip file for reading; more bytes than `most_unfolded` allows are an error.

    Raises:
        DataIntegrityError: While it is read: it unfolds to more.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "table.csv.gz"
        >>> _ = path.write_bytes(gzip.compress(b"1,2"))
        >>> with open_gzip(path) as file:
        ...     file.read()
        b'1,2'
    """
    return cast(IO[bytes], io.BufferedReader(_Counted(path), _BLOCK))


def read_arrays(path: Path, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Read the arrays of a file that ``numpy.savez`` wrote.

    NumPy asks for the memory that the head of an array announces; here the array must be there first.

    Args:
        path: The file.
        names: Arrays that are read; None for all.

    Raises:
        DataIntegrityError: The arrays take more than `most_unfolded` allows.
        ValueError: An array is shorter than it says, or holds objects.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.npz"
        >>> np.savez(path, label=np.arange(2))
        >>> read_arrays(path)
        {'label': array([0, 1])}
    """
    arrays, left = {}, most_unfolded(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name = member.removesuffix(".npy")
            if names is not None and name not in names:
                continue
            content = io.BytesIO()
            for block in blocks_of(archive, member):
                left -= len(block)
                if left < 0:
                    raise too_large(path)
                content.write(block)
            arrays[name] = _read_array(content)
    return arrays


def _read_array(content: io.BytesIO) -> np.ndarray:
    """Return an array in NumPy's format that is as long as its head says."""
    content.seek(0)
    version = np.lib.format.read_magic(content)
    heads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in heads:
        raise ValueError(f"version {version} of an array")
    shape, _, dtype = heads[version](content)
    if math.prod(shape) * dtype.itemsize > content.getbuffer().nbytes - content.tell():
        raise ValueError(f"an array {shape} with {content.getbuffer().nbytes:,} bytes")
    content.seek(0)
    return np.lib.format.read_array(content, allow_pickle=False)


def check_stored(path: Path) -> None:
    """Raise an error about a file of tensors that takes more memory or time than its size suggests.

    Torch never compresses one, but unfolds it without a bound, and looks up keys without one, see
    `pyg_samsa.io.safe_pickle.quick_keys`.

    Args:
        path: A file of ``torch.save``. Anything but a zip archive is left to its reader.

    Raises:
        DataIntegrityError: It is compressed, or has such keys.

    Example:
        >>> import tempfile, torch
        >>> path = Path(tempfile.mkdtemp()) / "weights.pt"
        >>> torch.save(torch.zeros(3), path)
        >>> check_stored(path)
    """
    try:
        found = _what_is_wrong(path)
    except Exception:  # told by its reader
        return
    if found:
        raise DataIntegrityError(path, "a file of tensors", found, hint=_HINT)


def _what_is_wrong(path: Path) -> str:
    slow = "one with keys of too many parts"
    if not zipfile.is_zipfile(path):  # torch's earlier form: five pickles, and then the numbers
        with open(path, "rb") as file:
            return "" if all(quick_keys(file) for _ in range(5)) else slow
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        if size > path.stat().st_size or any(member.compress_type != zipfile.ZIP_STORED for member in members):
            return "a compressed one"
        pickles = [member for member in members if member.filename.endswith("data.pkl")]
        return "" if all(quick_keys(archive.read(member)) for member in pickles) else slow


class _Counted(io.RawIOBase):
    def __init__(self, path: Path) -> None:
        self._path, self._left = path, most_unfolded(path)
        self._file = gzip.open(path)  # noqa: SIM115 - closed with this object

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self._left -= count
        if self._left < 0:
            raise too_large(self._path)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
