"""Sequences of symbols as path graphs, stored with one byte per symbol, or two for words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.prepared import Prepared
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.transforms.path_graph import path_edges

UNITS = {"bytes": 256, "words": 4096}
"""Unit of a text -> number of symbols. Words are numbered by a hash."""

_WORD = re.compile(rb"[a-z0-9']+")


class SequenceDataset(SplitDataset):
    """Sequences of symbols as path graphs i -> i+1 with one class to predict.

    Symbols are stored as one byte each, words as two; ``x`` and ``edge_index`` are made on access.

    Args:
        prepared: ``x`` uint8 or int16 [T, 1] of all sequences end to end, ``y`` int64 [G], see :func:`pack_sequences`.
        task: The targets.
        features: The number of symbols.
        transform: Called on every graph on access.
        root: Folder of the data sets.

    Shapes:
        - **item:** ``x`` int64 [n, 1], ``edge_index`` int64 [2, n-1], ``y`` int64 [1].

    Example:
        >>> from pyg_samsa.datasets.features import Features
        >>> from pyg_samsa.task import Task
        >>> prepared = pack_sequences([[3, 1, 2], [0]], [1, 0], {"train": torch.arange(2)})
        >>> dataset = SequenceDataset(prepared, Task("multiclass", ["even", "odd"]), Features([4]))
        >>> dataset[0], dataset.count_tokens(edges=False).tolist()
        (Data(x=[3, 1], y=[1], edge_index=[2, 2]), [3, 1])
    """

    def count_tokens(self, *, edges: bool = True) -> Tensor:
        """Return the number of symbols of each sequence, with ``edges`` of symbols and edges: int64 [G]."""
        symbols = self._sizes("x")
        return symbols + (symbols - 1).clamp_min(0) if edges else symbols

    def get(self, idx: int) -> Data:
        """Return one sequence as a path graph."""
        data = super().get(idx)
        data.edge_index = path_edges(data.x.size(0))
        return data


def symbols(text: bytes, unit: str, max_length: int) -> np.ndarray:
    """Return the symbols of a text: its bytes, or its words in small letters, numbered by their CRC-32 modulo 4,096.

    Args:
        text: UTF-8.
        unit: ``"bytes"`` or ``"words"``.
        max_length: Symbols at most.

    Returns:
        uint8 [n], or int16 [n] for words; a text without a word is the one word 0.

    Example:
        >>> symbols(b"To be, or not to be", "words", 5).tolist()
        [708, 3597, 1415, 3445, 708]
    """
    if unit == "bytes":
        return np.frombuffer(text[:max_length], dtype=np.uint8)
    found = [zlib.crc32(word) % UNITS["words"] for word in _WORD.findall(text.lower())]
    return np.asarray(found[:max_length] or [0], dtype=np.int16)


def pack_sequences(
    sequences: Sequence[Any] | np.ndarray, targets: Sequence[int], split_idx: dict[str, Tensor], **extra: Any
) -> Prepared:
    """Concatenate sequences of symbols.

    Args:
        sequences: G sequences of numbers from 0 to 255, as ``bytes``, arrays or lists, or G arrays of :func:`symbols`.
        targets: G classes.
        split_idx: ``"train"``, ``"val"``, ``"test"`` -> int64 positions.
        **extra: Tensors and texts that belong to the whole set.

    Example:
        >>> pack_sequences([b"ab", b""], [1, 0], {}).slices["x"].tolist()
        [0, 2, 2]
    """
    flat, ends = flatten(sequences)
    data = {"x": flat[:, None], "y": torch.tensor(list(targets), dtype=torch.long)}
    return Prepared(data, {"x": ends, "y": torch.arange(len(ends))}, split_idx, extra)


def flatten(sequences: Sequence[Any] | np.ndarray) -> tuple[Tensor, Tensor]:
    """Concatenate sequences as in :func:`pack_sequences`, and return them with their pointers, int64 [G + 1].

    Example:
        >>> flatten([b"ab", b"c"])
        (tensor([97, 98, 99], dtype=torch.uint8), tensor([0, 2, 3]))
    """
    arrays = [item if getattr(item, "dtype", None) == np.int16 else _bytes(item) for item in sequences]
    flat = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.uint8)
    return torch.from_numpy(flat), torch.tensor([0, *map(len, arrays)]).cumsum(0)


def _bytes(item: Any) -> np.ndarray:
    return np.frombuffer(item, dtype=np.uint8) if isinstance(item, bytes) else np.asarray(item, dtype=np.uint8)


def require_files(name: str, folder: Path, files: Sequence[str], release: str) -> None:
    """Check that the files of a release are there.

    Raises:
        DataNotFoundError: Files are not there; it names all of them.
        DataIntegrityError: One of the files is empty.

    Example:
        >>> require_files("imdb", Path("nowhere"), ["train"], "aclImdb_v1.tar.gz")
        Traceback (most recent call last):
        pyg_samsa.errors.DataNotFoundError: imdb: train is not in nowhere
    """
    if missing := [file for file in files if not (folder / file).exists()]:
        raise DataNotFoundError(
            f"{name}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in {folder}",
            hint=f"Unpack {release}, so that {folder / files[0]} exists, or name the folder that holds {files[0]}: "
            f"`pyg-samsa data import {name} --files FOLDER`, or dataset.folder in a config.",
        )
    for file in files:
        path = folder / file
        if path.is_file() and path.stat().st_size == 0:
            raise DataIntegrityError(path, "a file of the release", "an empty one")
