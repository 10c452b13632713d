"""Checkpoints that are written atomically and loaded without executing code."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io.files import atomic_write
from pyg_samsa.options import plain


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
        """Write a checkpoint; numbers of NumPy become Python's, because no others are read again."""
        with atomic_write(path) as temporary:
            torch.save(plain(checkpoint), temporary)

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
        try:
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except Exception as error:  # torch.load raises a different type for every kind of damage
            reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
            raise DataIntegrityError(
                path,
                "a checkpoint of this package",
                reason,
                hint="Delete the folder of the run, or resume from best.ckpt.",
            ) from error

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Delete a checkpoint if it is there."""
        Path(path).unlink(missing_ok=True)
