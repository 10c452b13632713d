"""Numbers of every molecule or node of a data set: computed once, in parts, and stored in a file that is mapped."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.datasets.base import is_mapped, load_tensors
from pyg_samsa.errors import DataIntegrityError, SAMSAError
from pyg_samsa.io.files import atomic_write, lock, remove_partial, writing
from pyg_samsa.io.progress import progress_bar

_LOGGER = logging.getLogger(__name__)
_TYPES = (torch.uint8, torch.int16, torch.float32)
_BLOCK = 2**22


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
    """A file of numbers, float32 or small integers [N, F].

    Args:
        path: The file.
        what: What the numbers are, for the message about a damaged file.
        version: Version of what computes them.
        source: Hash of what they are computed from.
        shape: N and F.

    Example:
        >>> file = RowFile(Path("walks.pt"), "positional encodings", 1, "0af3", (5, 2))
        >>> file.parts_folder.name
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
        path = self.parts_folder / f"{number:06}.pt"
        return replace(self, path=path, source=f"{self.source} {part}", shape=(part.rows, self.shape[1]))

    def read(self, *, tell: bool = False, listed: bool = True) -> Tensor | None:
        """Return the numbers, mapped into memory if they are many; None if the file is missing or damaged.

        Args:
            tell: Whether a warning says that a damaged file is made again.
            listed: Whether `pyg_samsa.datasets.base.files_read` lists the file.
        """
        if not self.path.is_file():
            return None
        try:
            content = load_tensors(self.path, mmap=is_mapped(self.path.stat().st_size), listed=listed)
            known = isinstance(content, dict) and content.get("format") == self.version
            if not known or content.get("source") != self.source:
                raise DataIntegrityError(self.path, f"{self.what} of format {self.version} of these data", "another")
            values = content["values"]
            if tuple(values.shape) != self.shape or _hash(values) != content["sha256"]:
                raise DataIntegrityError(self.path, f"sha256 {content['sha256']}", f"sha256 {_hash(values)}")
        except (DataIntegrityError, KeyError, AttributeError, TypeError) as error:
            if tell:
                _LOGGER.warning("The %s are computed again: %s", self.what, error)
            return None
        return values

    def write(self, values: Tensor) -> None:
        """Write the file, atomically."""
        content = {"format": self.version, "source": self.source, "values": values, "sha256": _hash(values)}
        with atomic_write(self.path) as temporary:
            torch.save(content, temporary)


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
    next one. At the end they are joined to one file, which is mapped into memory.

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

    Example:
        >>> path = Path(tempfile.mkdtemp()) / "squares.pt"
        >>> def squares(begin, end, advance):
        ...     advance(end - begin)
        ...     return np.arange(begin, end, dtype=np.float32)[:, None] ** 2
        >>> file = RowFile(path, "squares", 1, "natural numbers", (4, 1))
        >>> cached_rows(file, [Part(0, 3, 3), Part(3, 4, 1)], squares, progress=False).flatten().tolist()
        [0.0, 1.0, 4.0, 9.0]

    Cost: memory of one part; disk of twice the file until all parts are joined.
    """
    values = file.read()
    if values is not None:
        return values
    with lock(file.path):
        # Another process may have computed them in the meantime.
        values = file.read(tell=True)
        if values is None:
            remove_partial(file.path)
            with progress_bar(title, parts[-1].end if parts else 0, enabled=progress) as advance:
                values = _compute(file, parts, compute, advance, integers=integers)
    return values


def _compute(
    file: RowFile,
    parts: Sequence[Part],
    compute: Callable[[int, int, Callable[[float], None]], np.ndarray],
    advance: Callable[[float], None],
    *,
    integers: bool,
) -> Tensor:
    def computed(part: Part) -> Tensor:
        values = torch.from_numpy(compute(part.begin, part.end, advance))
        return _smallest(values) if integers else values

    if len(parts) <= 1:
        values = computed(parts[0]) if parts else torch.empty(file.shape)
        file.write(values)
        return values
    folder = file.parts_folder
    folder.mkdir(parents=True, exist_ok=True)
    remove_partial(folder / "*")
    files = [file.of_part(number, part) for number, part in enumerate(parts)]
    types: list[torch.dtype] = []
    try:
        for one, part in zip(files, parts, strict=True):
            found = one.read(tell=True, listed=False)
            if found is None:
                one.write(found := computed(part))
            else:
                advance(part.end - part.begin)
            types.append(found.dtype)
    except SAMSAError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    file.write(_joined(file, files, max(types, key=_TYPES.index)))
    shutil.rmtree(folder, ignore_errors=True)
    found = file.read(listed=False)
    if found is None:
        raise DataIntegrityError(file.path, f"the {file.what} that were just written", "something else")
    return found


def _joined(file: RowFile, files: Sequence[RowFile], dtype: torch.dtype) -> Tensor:
    """Return the numbers of all parts, mapped from a file in their folder."""
    path = file.parts_folder / "joined.bin"
    with writing(path), path.open("wb") as stream:
        for one in files:
            values = one.read(listed=False)
            if values is None:
                raise DataIntegrityError(one.path, f"the {file.what} that were just written", "something else")
            stream.write(values.to(dtype).contiguous().numpy().data)
    return _mapped(path, dtype, file.shape)


def join_columns(parts: Sequence[Tensor], folder: str | os.PathLike[str]) -> Tensor:
    """Return columns of numbers side by side, float32 [N, F].

    Many numbers are written to a file without a name, from which they are mapped; the system deletes it when they are
    no longer used.

    Args:
        parts: Tensors [N, F_i] of any number type.
        folder: Folder for the file.

    Raises:
        OSError: The disk is full, or the folder cannot be written to.

    Example:
        >>> join_columns([torch.tensor([[1.0]]), torch.tensor([[2, 3]])], tempfile.gettempdir())
        tensor([[1., 2., 3.]])

    Cost: the disk of the numbers; nothing for a single float32 tensor.
    """
    if len(parts) == 1 and parts[0].dtype == torch.float32:
        return parts[0]
    shape = (len(parts[0]), sum(part.size(1) for part in parts))
    if not is_mapped(4 * shape[0] * shape[1]):
        return torch.cat([part.float() for part in parts], dim=1)
    step = max(1, _BLOCK // shape[1])
    with writing(folder), tempfile.TemporaryFile(dir=folder) as stream:
        for begin in range(0, shape[0], step):
            block = torch.cat([part[begin : begin + step].float() for part in parts], dim=1)
            stream.write(block.numpy().data)
        stream.flush()
        return _mapped(stream, torch.float32, shape)


def _mapped(file: Any, dtype: torch.dtype, shape: tuple[int, int]) -> Tensor:
    # Private pages: nothing is written to them, so that they take no memory of their own.
    return torch.from_numpy(np.memmap(file, str(dtype).removeprefix("torch."), "c", shape=shape))


def _smallest(values: Tensor) -> Tensor:
    """Return counts as small integers, and all else as it is."""
    for dtype in _TYPES[:-1]:
        if torch.equal(values.to(dtype).to(values.dtype), values):
            return values.to(dtype)
    return values


def _hash(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().data).hexdigest()
