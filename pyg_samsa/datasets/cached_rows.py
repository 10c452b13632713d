"""Numbers of every molecule or node of a data set: computed once, in parts, and stored in a file that is mapped."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.datasets.prepared import is_mapped, note_read
from pyg_samsa.errors import ConfigError, DataIntegrityError, SAMSAError
from pyg_samsa.io.files import UNWRITABLE, atomic_write, lock, remove_partial
from pyg_samsa.io.memory import map_copy
from pyg_samsa.io.progress import progress_bar

_LOGGER = logging.getLogger(__name__)
_TYPES: dict[np.dtype[Any], str] = {np.dtype(np.uint8): "U8", np.dtype(np.int16): "I16", np.dtype(np.float32): "F32"}
_JOINED_VALUES = 2**22
_LONGEST_HEADER = 2**16
_checked: set[tuple[str, int, int, int, str]] = set()


class Part(NamedTuple):
    """A part of the molecules or graphs of a data set.

    Attributes:
        begin: Number of the first one.
        end: Number after the last one.
        rows: How many rows of numbers they have.

    Example:
        >>> Part(0, 2, 5).rows  # two graphs with five nodes
        5
    """

    begin: int
    end: int
    rows: int


@dataclass(frozen=True)
class RowFile:
    """A safetensors file of numbers, float32 or small integers [N, F].

    Args:
        path: The file.
        what: What the numbers are, for the message about a damaged file.
        version: Version of what computes them.
        source: Hash of what they are computed from.
        shape: N and F.

    Example:
        >>> RowFile(Path("walks.safetensors"), "positional encodings", 1, "0af3", (5, 2)).parts_folder.name
        'walks-parts'
    """

    path: Path
    what: str
    version: int
    source: str
    shape: tuple[int, int]

    @property
    def parts_folder(self) -> Path:
        """Folder of the parts, as long as not all of them are there."""
        return self.path.with_name(f"{self.path.stem}-parts")

    def of_part(self, number: int, part: Part) -> RowFile:
        """Return the file of a part.

        Args:
            number: Number of the part.
            part: The part.
        """
        path = self.parts_folder / f"{number:06}{self.path.suffix}"
        return replace(self, path=path, source=f"{self.source} {part}", shape=(part.rows, self.shape[1]))

    def read(self, *, tell: bool = False) -> np.ndarray | None:
        """Return the numbers, mapped into memory if they are many; None if the file is missing or damaged.

        Args:
            tell: Whether a warning says that a damaged file is made again.

        Raises:
            OSError: The file cannot be read.
        """
        if not self.path.is_file():
            return None
        try:
            with self.path.open("rb") as file:
                return self._read(file)
        except DataIntegrityError as error:
            if tell:
                _LOGGER.warning("The %s are computed again: %s", self.what, error)
            return None

    def _read(self, file: BinaryIO) -> np.ndarray:
        """Return the numbers of the open file; header, numbers and hash are those of the same file."""
        state = os.fstat(file.fileno())
        told, dtype, shape, offset = _header(file, state.st_size, self)
        expected = {"format": str(self.version), "source": self.source}
        for key, value in expected.items():
            if told.get(key) != value:
                raise DataIntegrityError(self.path, f"{self.what} with the {key} {value}", str(told.get(key)))
        if shape != self.shape:
            raise DataIntegrityError(self.path, f"numbers of the shape {list(self.shape)}", f"{list(shape)}")
        if is_mapped(state.st_size):
            values = np.frombuffer(map_copy(file), dtype, offset=offset).reshape(shape)
        else:
            values = np.fromfile(file, dtype).reshape(shape)
        checked = (str(self.path.resolve()), state.st_ino, state.st_size, state.st_mtime_ns, str(told.get("sha256")))
        if checked not in _checked:
            if (found := _hash([values])) != told.get("sha256"):
                raise DataIntegrityError(self.path, f"sha256 {told.get('sha256')}", f"sha256 {found}")
            _checked.add(checked)
        return values

    def write(self, values: Sequence[np.ndarray]) -> None:
        """Write the file, atomically.

        Args:
            values: Blocks of rows of the same number type, one after the other; they are read twice.
        """
        size = self.shape[0] * self.shape[1] * values[0].dtype.itemsize
        told = {"format": str(self.version), "source": self.source, "sha256": _hash(values)}
        described = {"dtype": _TYPES[values[0].dtype], "shape": list(self.shape), "data_offsets": [0, size]}
        header = json.dumps({"__metadata__": told, "values": described}).encode()
        header += b" " * (-len(header) % 8)
        with atomic_write(self.path) as temporary, temporary.open("wb") as stream:
            stream.write(len(header).to_bytes(8, "little") + header)
            for block in values:
                stream.write(np.ascontiguousarray(block).data)


def cached_rows(
    file: RowFile,
    parts: Sequence[Part],
    compute: Callable[[int, int, Callable[[float], None]], np.ndarray],
    *,
    integers: bool = False,
    title: str = "Rows",
    progress: bool = True,
) -> Tensor:
    """Return numbers from their file; if it is missing or damaged, one process makes it and the others wait.

    Several parts are stored one by one. A computation that is killed, or that finds the disk full, leaves them for the
    next one. At the end they are joined to one file.

    Args:
        file: The file.
        parts: The parts, one after the other.
        compute: ``(begin, end, advance) -> float32 [n, F]``; it calls ``advance`` with numbers of what is done.
        integers: Whether values are stored as uint8 or int16 where nothing is lost.
        title: Text of the progress bar.
        progress: Whether to show it.

    Returns:
        Float32 [N, F]; with ``integers``, in the type in which they are stored.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.
        DataIntegrityError: Another program changes the files.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "squares.safetensors"
        >>> def squares(begin, end, advance):
        ...     advance(end - begin)
        ...     return np.arange(begin, end, dtype=np.float32)[:, None] ** 2
        >>> file = RowFile(path, "squares", 1, "natural numbers", (4, 1))
        >>> cached_rows(file, [Part(0, 3, 3), Part(3, 4, 1)], squares, progress=False).flatten().tolist()
        [0.0, 1.0, 4.0, 9.0]

    Cost: memory of one part; disk of twice the file until all parts are joined.
    """
    if file.path.is_dir():
        raise DataIntegrityError(file.path, f"a file of {file.what}", "a folder", hint="Rename or delete it.")
    values = file.read()
    if values is None:
        with lock(file.path):
            # Another process may have computed them in the meantime.
            values = file.read(tell=True)
            if values is None:
                remove_partial(file.path)
                with progress_bar(title, parts[-1].end if parts else 0, enabled=progress) as advance:
                    values = _compute(file, parts, compute, advance, integers=integers)
    if file.parts_folder.is_dir():
        # They may also be those of a process that was killed before it deleted them. Another one may compute again.
        with suppress(OSError, ConfigError), lock(file.path, wait=False, keep_file=True):
            shutil.rmtree(file.parts_folder, ignore_errors=True)
    note_read(file.path)
    return torch.from_numpy(values)


def _compute(
    file: RowFile,
    parts: Sequence[Part],
    compute: Callable[[int, int, Callable[[float], None]], np.ndarray],
    advance: Callable[[float], None],
    *,
    integers: bool,
) -> np.ndarray:
    def computed(part: Part) -> np.ndarray:
        try:
            values = compute(part.begin, part.end, advance)
        except SAMSAError:
            shutil.rmtree(file.parts_folder, ignore_errors=True)
            raise
        return _smallest(values) if integers else values

    if len(parts) <= 1:
        whole = computed(parts[0]) if parts else np.empty(file.shape, np.float32)
        file.write([whole])
        return whole
    remove_partial(file.parts_folder / "*")
    files = [file.of_part(number, part) for number, part in enumerate(parts)]
    types = []
    for one, part in zip(files, parts, strict=True):
        values = one.read(tell=True)
        if values is None:
            one.write([values := computed(part)])
        else:
            advance(part.end - part.begin)
        types.append(values.dtype)
        del values
    file.write(_Parts(files, max(types, key=list(_TYPES).index)))
    return _written(file)


def _written(file: RowFile) -> np.ndarray:
    """Return the numbers of a file that was there a moment ago."""
    values = file.read()
    if values is None:
        raise DataIntegrityError(file.path, f"the {file.what} that were just written", "something else")
    return values


@dataclass(frozen=True)
class _Parts(Sequence[np.ndarray]):
    """The numbers of all parts in one number type, read one part at a time."""

    files: Sequence[RowFile]
    dtype: np.dtype[Any]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> np.ndarray:  # type: ignore[override]  # slices are not needed
        return _written(self.files[place]).astype(self.dtype, copy=False)


def parts_of(rows: int, most: int) -> list[Part]:
    """Return parts of molecules or graphs that have one row each.

    Args:
        rows: Number of rows.
        most: Most rows of a part.

    Example:
        >>> parts_of(5, 3)
        [Part(begin=0, end=3, rows=3), Part(begin=3, end=5, rows=2)]
    """
    ends = [*range(0, rows, most), rows]
    return [Part(begin, end, end - begin) for begin, end in pairwise(ends)]


@contextmanager
def naming_folder(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors of a folder that cannot be written to name the setting ``dataset.dir``.

    Args:
        folder: Folder of the data sets.

    Raises:
        ConfigError: The folder cannot be written to, or the disk is full.

    Example:
        >>> with naming_folder("datasets"):
        ...     pass
    """
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        reason = f"a folder that can be written to ({error.strerror or error})"
        raise ConfigError("dataset.dir", str(folder), reason) from error


def join_columns(parts: Sequence[Tensor], folder: str | os.PathLike[str], *, progress: bool = True) -> Tensor:
    """Return columns of numbers side by side, float32 [N, F].

    Many numbers are stored in a file, which all processes share and which is mapped into memory.

    Args:
        parts: Tensors [N, F_i] of any number type.
        folder: Folder for the file.
        progress: Whether to show a progress bar.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.

    Example:
        >>> join_columns([torch.tensor([[1.0]]), torch.tensor([[2, 3]])], "datasets")
        tensor([[1., 2., 3.]])

    Cost: disk of 4 N F bytes, twice that while it is written. Nothing for a single float32 tensor; memory for less than
    32 MB.
    """
    if len(parts) == 1 and parts[0].dtype == torch.float32:
        return parts[0]
    shape = (len(parts[0]), sum(part.size(1) for part in parts))

    def compute(begin: int, end: int, advance: Callable[[float], None]) -> np.ndarray:
        advance(end - begin)
        return torch.cat([part[begin:end].float() for part in parts], dim=1).numpy()

    if not is_mapped(4 * shape[0] * shape[1]):
        return torch.from_numpy(compute(0, shape[0], lambda _: None))
    source = " ".join(f"{part.dtype} {list(part.shape)} {_hash([part.numpy()])}" for part in parts)
    path = Path(folder) / f"joined-{hashlib.sha256(source.encode()).hexdigest()[:16]}.safetensors"
    blocks = parts_of(shape[0], max(1, _JOINED_VALUES // shape[1]))
    file = RowFile(path, "joined columns", 1, source, shape)
    return cached_rows(file, blocks, compute, title="Joined columns", progress=progress)


def _header(file: BinaryIO, size: int, about: RowFile) -> tuple[Mapping[str, Any], np.dtype[Any], tuple[int, ...], int]:
    """Return what a safetensors file tells about itself, number type, shape, and where its only tensor begins."""
    length = int.from_bytes(file.read(8), "little")
    try:
        if length > _LONGEST_HEADER:
            raise ValueError(length)
        header = json.loads(file.read(length))
        described = header["values"]
        dtype = next(dtype for dtype, name in _TYPES.items() if name == described["dtype"])
        shape = tuple(int(side) for side in described["shape"])
        whole = math.prod(shape) * dtype.itemsize
        if set(header) != {"__metadata__", "values"} or described["data_offsets"] != [0, whole]:
            raise ValueError(described)
        if min(shape) < 0 or 8 + length + whole != size:
            raise ValueError(size)
        return dict(header["__metadata__"]), dtype, shape, 8 + length
    except (ValueError, KeyError, TypeError, RecursionError, StopIteration) as error:
        raise DataIntegrityError(about.path, f"a file of {about.what}", "something else") from error


def _smallest(values: np.ndarray) -> np.ndarray:
    """Return counts as small integers, and all else as it is."""
    for dtype in list(_TYPES)[:-1]:
        limits = np.iinfo(dtype)
        # A comparison with NaN is false.
        if ((values >= limits.min) & (values <= limits.max) & (values == np.trunc(values))).all():
            return values.astype(dtype)
    return values


def _hash(blocks: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()
