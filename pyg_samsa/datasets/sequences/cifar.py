"""Gray pictures as sequences of pixels: CIFAR-10 and scikit-learn's digits."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from pyg_samsa.datasets.dataset_registry import Importer, register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Folder, Seed
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.sequences.sequence_dataset import SequenceDataset, pack_sequences, require_files
from pyg_samsa.datasets.sources import CIFAR10, DIGITS
from pyg_samsa.datasets.splits import consecutive_splits, hold_out, stratified_split
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io import safe_pickle
from pyg_samsa.io.files import verify
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.task import Task

BATCH = 10_000
"""Pictures of each official file."""
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

_SIDE = 32
_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_VERSION = 1


class CIFAR10Gray(SequenceDataset):
    """CIFAR-10 in gray as sequences of pixels: the task "Image" of the Long Range Arena, 50,000 + 10,000 pictures.

    From Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009), in the form of Tay et al.,
    `"Long Range Arena" <https://arxiv.org/abs/2011.04006>`_ (2020). Reads the official "python version", whose hashes
    are checked; nothing in its pickles is executed. Gray is 0.2989 R + 0.5870 G + 0.1140 B, as in the benchmark,
    rounded to the nearest whole number. There is no official validation split: 10 % of the training pictures are held
    out, seeded and stratified.

    Args:
        root: Folder of the data sets; this one is in ``<root>/cifar10-gray``.
        folder: The folder ``cifar-10-batches-py``; by default ``<root>/cifar10-gray/raw/cifar-10-batches-py``.
        seed: Seed of the validation split.
        progress: Show a progress bar.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [1024, 1] (gray 0 to 255, row by row), ``edge_index`` int64 [2, 1023] (i -> i+1), ``y``
          int64 [1].

    Raises:
        DataNotFoundError: The files are not there.
        DataIntegrityError: A file is not the official one.

    Example:
        >>> dataset = CIFAR10Gray("datasets", folder="cifar-10-batches-py")  # doctest: +SKIP
        >>> {split: len(index) for split, index in dataset.split_idx.items()}  # doctest: +SKIP
        {'train': 45000, 'val': 5000, 'test': 10000}

    Cost: seconds to prepare, once; 61 MB on disk and in memory.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        folder: Folder = None,
        seed: Seed = 0,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        raw = Path(folder) if folder is not None else Path(root) / "cifar10-gray" / "raw" / "cifar-10-batches-py"
        prepared = prepare_once(prepared_path(root), lambda: _read(raw, progress))
        train = prepared.split_idx["train"]
        kept, held_out = hold_out(train, prepared.data["y"][train], seed=seed)
        prepared.split_idx = {"train": kept, "val": held_out, "test": prepared.split_idx["test"]}
        super().__init__(prepared, Task("multiclass", CLASSES), Features([256]), transform=transform, root=root)


class Digits(SequenceDataset):
    """Scikit-learn's 1,797 handwritten digits, enlarged to 32 x 32, as sequences of pixels; nothing is downloaded.

    The test part of Alpaydin and Kaynak's "Optical Recognition of Handwritten Digits" (UCI, 1998): 8 x 8 pictures with
    17 shades, enlarged by bilinear interpolation in whole numbers (so that every machine gets the same bytes) to the
    form of :class:`CIFAR10Gray`. Split 70 / 15 / 15 %, seeded and stratified.

    Args:
        root: Folder of the data sets; this one is in ``<root>/digits``.
        seed: Seed of the split.
        progress: Not used.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [1024, 1] (gray 0 to 255, row by row), ``edge_index`` int64 [2, 1023] (i -> i+1), ``y``
          int64 [1].

    Raises:
        DataIntegrityError: Scikit-learn's digits differ from the expected ones.

    Example:
        >>> import tempfile
        >>> dataset = Digits(tempfile.mkdtemp())
        >>> len(dataset), dataset[0], dataset.task.num_targets
        (1797, Data(x=[1024, 1], y=[1], edge_index=[2, 1023]), 10)

    Cost: less than a second; 2 MB on disk and in memory.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        seed: Seed = 0,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        prepared = prepare_once(digits_path(root), _read_digits)
        classes = prepared.data["y"].tolist()
        prepared.split_idx = stratified_split(
            [str(number) for number in range(len(classes))], classes, _SHARES, seed=seed
        )
        super().__init__(
            prepared,
            Task("multiclass", [str(digit) for digit in range(10)]),
            Features([256]),
            transform=transform,
            root=root,
        )


def prepared_path(root: str | os.PathLike[str]) -> Path:
    """Return the file that holds the prepared pictures of CIFAR-10.

    Example:
        >>> prepared_path("datasets").parent.as_posix()
        'datasets/cifar10-gray'
    """
    return Path(root) / "cifar10-gray" / f"cifar10-gray-v{_VERSION}.pt"


def digits_path(root: str | os.PathLike[str]) -> Path:
    """Return the file that holds the prepared digits.

    Example:
        >>> digits_path("datasets").parent.as_posix()
        'datasets/digits'
    """
    return Path(root) / "digits" / f"digits-v{_VERSION}.pt"


def _read(folder: Path, progress: bool) -> Prepared:
    require_files("cifar10-gray", folder, list(CIFAR10), "cifar-10-python.tar.gz")
    pictures: list[np.ndarray] = []
    classes: list[int] = []
    with progress_bar("Reading CIFAR-10", len(CIFAR10), enabled=progress) as advance:
        for name, known_hash in CIFAR10.items():
            verify(folder / name, known_hash)
            batch, labels = _read_batch(folder / name)
            pictures.append(_gray(batch))
            classes += labels
            advance(1)
    split_idx = consecutive_splits([(len(CIFAR10) - 1) * BATCH, 0, BATCH])
    return pack_sequences(np.concatenate(pictures), classes, {"train": split_idx["train"], "test": split_idx["test"]})


def _read_batch(path: Path) -> tuple[np.ndarray, list[int]]:
    content: Any = safe_pickle.load(path)
    # Python 2 wrote these files, so keys are texts or bytes, whichever the reader makes of them.
    named = (
        {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        if isinstance(content, dict)
        else {}
    )
    pixels, labels = named.get("data"), named.get("labels")
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (BATCH, 3 * _SIDE**2):
        found = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else "none"
        raise DataIntegrityError(path, f"pixels uint8 [{BATCH}, {3 * _SIDE**2}]", found)
    if (
        not isinstance(labels, list)
        or len(labels) != BATCH
        or any(type(label) is not int or not 0 <= label < len(CLASSES) for label in labels)
    ):
        raise DataIntegrityError(path, f"{BATCH} labels from 0 to {len(CLASSES) - 1}", "something else")
    return pixels, labels


def _gray(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.split(pixels.astype(np.int64), 3, axis=1)
    return ((2989 * red + 5870 * green + 1140 * blue + 5000) // 10000).astype(np.uint8)


def _read_digits() -> Prepared:
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    small, classes = np.asarray(values).astype(np.uint8), np.asarray(labels).astype(np.uint8)
    found = hashlib.sha256(small.tobytes() + classes.tobytes()).hexdigest()
    if found != DIGITS:
        raise DataIntegrityError(
            "scikit-learn's digits",
            f"sha256 {DIGITS}",
            f"sha256 {found}",
            hint="Install another version of scikit-learn.",
        )
    return pack_sequences(_enlarge(small.reshape(-1, 8, 8)), classes.tolist(), {"train": torch.arange(len(classes))})


def _enlarge(pictures: np.ndarray) -> np.ndarray:
    """Interpolate pictures [G, 8, 8] of values 0 to 16 bilinearly to rows [G, 1024] of values 0 to 255."""
    # Places of the new pixels' centres in eighths of an old pixel, counted from the centre of the first one.
    eighths = np.clip(2 * np.arange(_SIDE) - 3, 0, 8 * 7)
    left = np.minimum(eighths // 8, 6)
    weights = np.zeros((_SIDE, 8), dtype=np.int64)
    weights[np.arange(_SIDE), left] = 8 - (eighths - 8 * left)
    weights[np.arange(_SIDE), left + 1] = eighths - 8 * left
    enlarged = weights @ pictures.astype(np.int64) @ weights.T
    return ((enlarged * 255 + 512) // 1024).astype(np.uint8).reshape(len(pictures), -1)


register_dataset(
    "cifar10-gray", CIFAR10Gray, prepared_path=prepared_path, importer=Importer(CIFAR10Gray, files=("folder",))
)
register_dataset("digits", Digits, prepared_path=digits_path)
