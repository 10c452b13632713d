"""Checkpoints that are written atomically, beside the training, and loaded without executing code."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import torch
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io.files import atomic_link, atomic_write
from pyg_samsa.io.unfold import check_stored
from pyg_samsa.options import plain
from pyg_samsa.training.checkpoint_check import BEST, LAST


class AtomicCheckpointIO(pl.plugins.CheckpointIO):
    """Writes to a temporary name in the same folder and renames; reads with ``weights_only=True``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "last.ckpt"
        >>> AtomicCheckpointIO().save_checkpoint({"epoch": 3}, path)
        >>> AtomicCheckpointIO().load_checkpoint(path)
        {'epoch': 3}
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; numbers of NumPy become Python's, because no others are read again.

        Args:
            checkpoint: What to write.
            path: File to write; an existing one is replaced.
            storage_options: ``{"links": paths}`` gives the same file further names.
        """
        _write(checkpoint, path, _links(storage_options))

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Callable | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU.

        Raises:
            DataNotFoundError: It is not there.
            DataIntegrityError: It is damaged, or holds more than tensors and plain values.

        Example:
            >>> AtomicCheckpointIO().load_checkpoint("results/demo/last.ckpt")
            Traceback (most recent call last):
            pyg_samsa.errors.DataNotFoundError: results/demo/last.ckpt: no such checkpoint
        """
        if not Path(path).is_file():
            raise DataNotFoundError(f"{path}: no such checkpoint", hint="Check the run's folder.")
        check_stored(Path(path))
        try:
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except Exception as error:  # torch.load raises a different type for every kind of damage
            told = str(error).splitlines()[0][:120] if str(error) and not isinstance(error, KeyError) else ""
            reason = told or type(error).__name__
            raise DataIntegrityError(
                path,
                "a checkpoint of this package",
                f"one that cannot be read ({reason})",
                hint=BEST if Path(path).name == "best.ckpt" else LAST,
            ) from error

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint if it is there."""
        Path(path).unlink(missing_ok=True)


class BackgroundCheckpointIO(AtomicCheckpointIO):
    """Writes checkpoints in a thread of its own, while the training goes on.

    A checkpoint is copied to the CPU before the training goes on, and at most one is being written at a time. An error
    of the thread is raised by the next call of `save_checkpoint` or `wait`.

    Example:
        >>> import tempfile
        >>> writer, path = BackgroundCheckpointIO(), Path(tempfile.mkdtemp()) / "last.ckpt"
        >>> writer.save_checkpoint({"epoch": 3}, path)
        >>> writer.wait()
        >>> writer.load_checkpoint(path)
        {'epoch': 3}
    """

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._pending: Future[None] | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Copy a checkpoint and begin to write it, after the one before is written; arguments as in the base class.

        Raises:
            OSError: The checkpoint before could not be written.
        """
        self.wait()
        content = _copied(checkpoint)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending = self._thread.submit(_write, content, path, _links(storage_options))

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            OSError: It could not be written.

        Example:
            >>> BackgroundCheckpointIO().wait()
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Callable | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU, after everything is written; errors as in the base class."""
        self.wait()
        return super().load_checkpoint(path, map_location, weights_only)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint if it is there, after everything is written."""
        self.wait()
        super().remove_checkpoint(path)

    def teardown(self) -> None:
        """Wait and end the thread; an error of the thread is left for `wait`, because training may have failed too."""
        if self._pending is not None:
            wait([self._pending])
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None


def _links(storage_options: Any) -> list[Path]:
    return [Path(link) for link in (storage_options or {}).get("links", ())]


def _write(checkpoint: dict[str, Any], path: str | os.PathLike[str], links: Iterable[Path]) -> None:
    with atomic_write(path) as temporary:
        torch.save(plain(checkpoint), temporary)
        # The links come first: the best checkpoint may be ahead of the last one, which a resumed run catches up.
        for link in links:
            atomic_link(temporary, link)


def _copied(value: Any) -> Any:
    """Return a copy whose tensors are on the CPU and share no memory with those of the training."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        made = copy.copy(value)
        for key, inner in value.items():
            made[key] = _copied(inner)
        return made
    if isinstance(value, list | tuple):
        parts = [_copied(inner) for inner in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
