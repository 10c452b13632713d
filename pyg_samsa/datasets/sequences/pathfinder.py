"""Pathfinder: whether two discs are connected by a dashed curve, generated or read from official files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.dataset_registry import Importer, register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Folder, NumTest, NumTrain, NumVal, Seed, Source
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.sequences.curves import SIDE, sample_pictures
from pyg_samsa.datasets.sequences.sequence_dataset import SequenceDataset, pack_sequences, require_files
from pyg_samsa.datasets.splits import consecutive_splits, stratified_split
from pyg_samsa.errors import ConfigError, DataIntegrityError, check_choice
from pyg_samsa.functional import fourier_positions
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import Option, check_integer
from pyg_samsa.task import Task


class Difficulty(NamedTuple):
    """Difficulty of the pictures.

    Attributes:
        dashes: Dashes of a long curve.
        folder: Folder of the official release; empty where it has no such pictures.
        matched: Whether the positions of the discs are independent of the label.
    """

    dashes: int
    folder: str
    matched: bool = True


DIFFICULTIES = {
    "short": Difficulty(4, "", matched=False),
    "easy": Difficulty(6, "curv_baseline"),
    "intermediate": Difficulty(9, "curv_contour_length_9"),
    "hard": Difficulty(14, "curv_contour_length_14"),
}
_TASK = Task("multiclass", ["not connected", "connected"])
SIZES = (160_000, 20_000, 20_000)

_SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
_OCTAVES = 3
_LIT_FEATURES = 2 * (1 + 2 * _OCTAVES) + 1
_CHUNK = 8000  # large, because every chunk drops pictures without partner
_VERSION = 1
_RELEASE = "lra_release.gz of the Long Range Arena (folder pathfinder32)"
# The official release has one file without content; its users leave it out.
_KNOWN_EMPTY = ("curv_baseline", "imgs/0", "sample_172.png")


class Pathfinder(SequenceDataset):
    """Pathfinder at 32 x 32: whether two discs lie on the same dashed curve, from a sequence of pixels.

    The task of Linsley et al., `"Learning long-range spatial dependencies with horizontal gated recurrent units"
    <https://arxiv.org/abs/1805.08315>`_ (2018), in the form of Tay et al., `"Long Range Arena"
    <https://arxiv.org/abs/2011.04006>`_ (2020).

    **The generator** is our own; it follows the published settings in what a picture shows (two long curves of 6, 9 or
    14 dashes, 20 // k shorter ones of k = a third as many dashes, discs of radius 1.6 pixels) but shares no code and no
    random numbers with the original. Curves neither cross nor touch. The label is drawn after the curves, and connected
    and unconnected pictures are paired by where their discs are, so that neither places nor brightness give it away
    (:func:`pyg_samsa.datasets.sequences.curves.sample_pictures`). Both classes are equally frequent in every split.

    The difficulty ``"short"`` is ours, a task for minutes of a CPU: curves of 4 dashes, and discs that are not matched,
    so that their distance alone classifies nine pictures of ten.

    **Splits.** Generated pictures: as asked for. The official release has none of its own; it is split 80 / 10 / 10 %,
    seeded and stratified.

    Args:
        root: Folder of the data sets; this one is in ``<root>/pathfinder``.
        source: ``"generated"``, or ``"official"`` for the folder ``pathfinder32`` of the release.
        folder: The official folder (it holds ``curv_contour_length_14`` and so on); by default
            ``<root>/pathfinder/raw/pathfinder32``.
        difficulty: ``"short"``, ``"easy"``, ``"intermediate"`` or ``"hard"`` (the benchmark's): 4, 6, 9 or 14 dashes on
            a long curve.
        lit: Whether only the pixels that are not black, about a tenth, are nodes: a set of points whose features are
            position and brightness.
        num_train: Generated pictures for training, even.
        num_val: For validation, even.
        num_test: For the test, even.
        seed: Of the generator, or of the split of the official pictures.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [1024, 1] (brightness 0 to 255, row by row), ``edge_index`` int64 [2, 1023] (i -> i+1),
          ``y`` int64 [1]; with ``lit`` the n pixels that are not black, ``x`` float [n, 15] (row and column from -1 to
          1 with their sinusoids, see :func:`pyg_samsa.functional.fourier_positions`, and brightness from 0 to 1),
          ``pos`` [n, 2] and ``edge_index`` int64 [2, 0].

    Raises:
        ConfigError: An option is out of range.
        DataNotFoundError: The official files are not there.
        DataIntegrityError: An official file is truncated, empty or mislabelled.

    Example:
        >>> dataset = Pathfinder("datasets", difficulty="easy", num_train=1_000)  # doctest: +SKIP
        >>> dataset[0], dataset.task.names  # doctest: +SKIP
        (Data(x=[1024, 1], y=[1], edge_index=[2, 1023]), ('not connected', 'connected'))

    Cost: a picture takes two to six milliseconds of one core to generate, once: about a quarter of an hour for all
    200,000 of difficulty "hard". They take 1 KB each on disk and in memory.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        source: Source = "generated",
        folder: Folder = None,
        difficulty: Annotated[str, Option("Length of the paths.", DIFFICULTIES)] = "hard",
        lit: Annotated[bool, Option("Whether only pixels that are not black are tokens, as a set of points.")] = False,
        num_train: NumTrain = SIZES[0],
        num_val: NumVal = SIZES[1],
        num_test: NumTest = SIZES[2],
        seed: Seed = 0,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if source not in ("generated", "official"):
            raise ConfigError("source", source, ["generated", "official"])
        check_choice("difficulty", difficulty, DIFFICULTIES)
        check_integer("seed", seed, low=0)
        if source == "official":
            if not DIFFICULTIES[difficulty].folder:
                raise ConfigError(
                    "difficulty", difficulty, [name for name, known in DIFFICULTIES.items() if known.folder]
                )
            raw = Path(folder) if folder is not None else Path(root) / "pathfinder" / "raw" / "pathfinder32"
            path = Path(root) / "pathfinder" / f"pathfinder-official-{difficulty}-v{_VERSION}.pt"
            prepared = prepare_once(path, lambda: _read(raw, DIFFICULTIES[difficulty].folder, progress))
            prepared.split_idx = stratified_split(
                prepared.extra["names"], prepared.data["y"].tolist(), _SHARES, seed=seed
            )
        else:
            sizes = (num_train, num_val, num_test)
            for key, value, lowest in (("num_train", num_train, 2), ("num_val", num_val, 0), ("num_test", num_test, 0)):
                check_integer(key, value, low=lowest)
                if value % 2:
                    raise ConfigError(key, value, "an even number, because both classes are equally frequent")
            path = generated_path(root, difficulty, sizes, seed)
            prepared = prepare_once(path, lambda: _generate(difficulty, sizes, seed, progress))
        self.lit = lit
        features = Features(_LIT_FEATURES, num_dims=2) if lit else Features([256])
        super().__init__(prepared, _TASK, features, transform=transform, root=root)

    def count_tokens(self, *, edges: bool = True) -> Tensor:
        """Return the pixels, and with ``edges`` the links between them too, of each picture: int64 [G]."""
        if not self.lit:
            return super().count_tokens(edges=edges)
        return self._chosen(self._data.x.view(-1, SIDE * SIDE).count_nonzero(1))

    def get(self, idx: int) -> Data:
        """Return one picture, as a path of pixels or a set of points."""
        data = super().get(idx)
        return _as_points(data) if self.lit else data


def _as_points(data: Data) -> Data:
    number = data.x.flatten().nonzero().flatten()
    data.pos = torch.stack([number // SIDE, number % SIDE], dim=1) / ((SIDE - 1) / 2) - 1
    data.x = torch.cat([fourier_positions(data.pos, _OCTAVES), data.x[number] / 255], dim=1)
    data.edge_index = torch.empty(2, 0, dtype=torch.long)
    return data


def generated_path(
    root: str | os.PathLike[str], difficulty: str = "hard", sizes: Sequence[int] = SIZES, seed: int = 0
) -> Path:
    """Return the file that holds generated pictures, by default those of the default options.

    Example:
        >>> generated_path("datasets", "easy") == generated_path("datasets", "hard")
        False
    """
    return Path(root) / "pathfinder" / f"pathfinder-{difficulty}-n{'-'.join(map(str, sizes))}-s{seed}-v{_VERSION}.pt"


def _generate(difficulty: str, sizes: Sequence[int], seed: int, progress: bool) -> Prepared:
    pictures, labels = [], []
    with progress_bar(f"Generating Pathfinder, {difficulty}", sum(sizes), enabled=progress) as advance:
        for split, size in enumerate(sizes):
            # Pairs stay within a split, and streams of their own keep a split the same when another one changes its
            # size.
            for chunk, start in enumerate(range(0, size, _CHUNK)):
                rng = np.random.default_rng([seed, split, chunk])
                drawn = sample_pictures(
                    min(_CHUNK, size - start),
                    DIFFICULTIES[difficulty].dashes,
                    rng,
                    advance,
                    matched=DIFFICULTIES[difficulty].matched,
                )
                order = rng.permutation(len(drawn))
                pictures.append(drawn[order].reshape(len(drawn), -1))
                labels.append(1 - order % 2)
    return pack_sequences(np.concatenate(pictures), np.concatenate(labels).tolist(), consecutive_splits(sizes))


def _read(folder: Path, level: str, progress: bool) -> Prepared:
    require_files("pathfinder", folder / level, ["metadata", "imgs"], _RELEASE)
    lists = [path for path in (folder / level / "metadata").glob("*.npy") if path.stem.isdecimal()]
    require_files(
        "pathfinder", folder / level, [f"metadata/{path.name}" for path in lists] or ["metadata/1.npy"], _RELEASE
    )
    names: list[str] = []
    labels: list[int] = []
    pictures: list[np.ndarray] = []
    with progress_bar("Reading Pathfinder", len(lists), enabled=progress) as advance:
        for path in sorted(lists, key=lambda path: int(path.stem)):
            for part, name, label in _read_list(path):
                if (level, part, name) != _KNOWN_EMPTY:
                    names.append(f"{part}/{name}")
                    labels.append(label)
                    pictures.append(_read_picture(folder / level / part / name))
            advance(1)
    if len(set(names)) != len(names) or len(set(labels)) != 2:
        fault = "only one label" if len(set(labels)) != 2 else "pictures that are listed twice"
        raise DataIntegrityError(folder / level / "metadata", "every picture once, and both labels", fault)
    return pack_sequences(pictures, labels, {"train": torch.arange(len(labels))}, names=names)


def _read_list(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield folder, name and label of the pictures in a list, which is a text file in spite of its suffix."""
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    for row, line in enumerate(lines, start=1):
        fields = line.split()
        if len(fields) < 4 or fields[3] not in ("0", "1"):
            raise DataIntegrityError(
                path, "folder, name, number and label (0 or 1) of a picture", f"row {row}: {line[:80]!r}"
            )
        if Path(fields[0]).is_absolute() or ".." in Path(fields[0]).parts or Path(fields[1]).name != fields[1]:
            raise DataIntegrityError(path, "a picture below the folder of the release", f"row {row}: {line[:80]!r}")
        yield fields[0], fields[1], int(fields[3])


def _read_picture(path: Path) -> np.ndarray:
    from PIL import Image  # matplotlib, which is required, brings it

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.size != (SIDE, SIDE):
                raise DataIntegrityError(path, f"{SIDE} x {SIDE} pixels", f"{image.size[0]} x {image.size[1]}")
            return np.asarray(image.convert("L"), dtype=np.uint8).ravel()
    except (
        OSError,
        SyntaxError,
        ValueError,
    ) as error:  # raised by Pillow for missing or damaged files
        raise DataIntegrityError(
            path, "a PNG picture", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        ) from error


register_dataset(
    "pathfinder",
    Pathfinder,
    prepared_path=generated_path,
    importer=Importer(partial(Pathfinder, source="official"), files=("folder",)),
)
