"""ShapeNetPart: the part of every point of CAD models of 16 categories."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import Importer, register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Incomplete, Normals, NumPoints
from pyg_samsa.datasets.points.point_dataset import (
    clouds_to_prepared,
    join_columns,
    map_clouds,
    number_of,
    read_points,
    with_columns,
)
from pyg_samsa.datasets.prepared import Prepared, prepare_once, save_prepared
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.io.documents import parse_json, read_text
from pyg_samsa.io.files import lock, remove_partial
from pyg_samsa.options import check_integer
from pyg_samsa.task import Task
from pyg_samsa.transforms.normalize_cloud import normalize_cloud

# Name, WordNet number, and parts of each category; parts are numbered through all categories.
_CATEGORIES = (
    ("airplane", "02691156", 4),
    ("bag", "02773838", 2),
    ("cap", "02954340", 2),
    ("car", "02958343", 4),
    ("chair", "03001627", 4),
    ("earphone", "03261776", 3),
    ("guitar", "03467517", 3),
    ("knife", "03624134", 2),
    ("lamp", "03636649", 4),
    ("laptop", "03642806", 2),
    ("motorbike", "03790512", 6),
    ("mug", "03797390", 2),
    ("pistol", "03948459", 3),
    ("rocket", "04099429", 3),
    ("skateboard", "04225987", 3),
    ("table", "04379243", 3),
)
CATEGORIES = [name for name, _, _ in _CATEGORIES]
"""Names of the categories, in the order of their numbers."""
SYNSETS = [synset for _, synset, _ in _CATEGORIES]
"""WordNet numbers of the categories, which are the names of the folders."""
_STARTS = np.cumsum([0, *(size for _, _, size in _CATEGORIES)]).tolist()
PARTS = [list(range(start, end)) for start, end in pairwise(_STARTS)]
"""Part numbers 0..49 of each category, for :class:`pyg_samsa.metrics.part_iou.PartIoU`."""
SIZES = {"train": 12137, "val": 1870, "test": 2874}
NUM_POINTS = 2500
_FOLDER = "shapenetcore_partanno_segmentation_benchmark_v0_normal"
_VERSION = 1
_LARGEST_LIST = 2**24


class _Shape(NamedTuple):
    """A listed shape: its file, its name ``<synset>/<id>``, and its category."""

    path: Path
    name: str
    category: int


class ShapeNetPart(SplitDataset):
    """ShapeNetPart: segmentation of shapes of 16 categories into 50 parts; official split of 12,137 / 1,870 / 2,874.

    From Yi et al., "A Scalable Active Framework for Region Annotation in 3D Shape Collections" (2016), in the version
    with normals of PointNet++; for non-commercial research. Nothing is downloaded: you bring the folder
    ``shapenetcore_partanno_segmentation_benchmark_v0_normal``, in ``<root>/shapenetpart`` or
    ``<root>/shapenetpart/raw`` (or wherever you have it, with :meth:`import_files`). It holds ``<synset>/<id>.txt``
    with lines ``x y z nx ny nz part``, and ``train_test_split/shuffled_{train,val,test}_file_list.json``.

    **Points.** A shape with more than ``num_points`` points is reduced to a random subset, seeded by the shape's name,
    so that it is the same on every machine; a shape with fewer keeps all of its points. Clouds are centred and scaled
    into the unit ball. A share of the points of larger shapes is thus neither trained on nor scored.

    **Split.** The official lists name 16,881 shapes, of which 16,846 are different: 9 are in training and validation,
    23 in training and test, 3 in validation and test. They are left where they are, so that results compare with
    others; each is one cloud of the data set.

    **Scores.** :class:`pyg_samsa.metrics.part_iou.PartIoU` with :data:`PARTS`; the category of a shape is in
    ``category``.

    Args:
        root: Folder of the data sets.
        num_points: Largest number of points of a cloud; each number is prepared once.
        normals: False leaves the normals out of ``x``.
        incomplete: Allow a part of the release: listed files may be missing.
        workers: Processes that read the files; None is one for each core.
        progress: Show a progress bar while preparing.
        transform: Called on every graph on access.

    Attributes:
        category_names: Names of the 16 categories; ``task.parts`` holds the part numbers of each.

    Shapes:
        - **item:** ``x`` float [n, 6], ``pos`` [n, 3], ``normal`` [n, 3], ``edge_index`` int64 [2, 0], ``y`` int64 [n]
          from 0 to 49, ``category`` int64 [1], ``name``

    Raises:
        DataNotFoundError: The files are not there.
        DataIntegrityError: A file is empty, truncated, mislabelled or not what it should be; the message names it.

    Example:
        >>> dataset = ShapeNetPart("datasets")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (16846, 50)

    Cost: prepared once, about 10 milliseconds of one core a shape, and 24 bytes a point (one gigabyte altogether).
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        num_points: NumPoints = NUM_POINTS,
        normals: Normals = True,
        incomplete: Incomplete = False,
        workers: int | None = None,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        path = prepared_path(root, num_points)
        prepared = prepare_once(
            path, lambda: _read(Path(root) / "shapenetpart", num_points, incomplete, workers, progress)
        )
        _check_sizes({split: len(positions) for split, positions in prepared.split_idx.items()}, path, incomplete)
        prepared, channels = with_columns(prepared, normals)
        targets = [f"{CATEGORIES[kind]}-{number}" for kind, parts in enumerate(PARTS) for number in range(len(parts))]
        task = Task("multiclass", targets, "node", PARTS)
        super().__init__(prepared, task, Features(channels, num_dims=3), transform=transform, root=root)
        self.category_names = list(CATEGORIES)

    @classmethod
    def import_files(
        cls,
        root: str | os.PathLike[str],
        *,
        files: str | os.PathLike[str],
        num_points: NumPoints = NUM_POINTS,
        incomplete: Incomplete = False,
        workers: int | None = None,
        progress: bool = True,
    ) -> ShapeNetPart:
        """Prepare the data set from an official folder; an earlier preparation with as many points is replaced.

        Args:
            root: Folder of the data sets.
            files: The official folder, or the one that holds it.
            num_points: Largest number of points of a cloud.
            incomplete: Allow a part of the release.
            workers: Processes; None is one for each core.
            progress: Show a progress bar.

        Raises:
            DataNotFoundError: There are no such files.
            DataIntegrityError: A file is not what it should be.
        """
        path = prepared_path(root, num_points)
        prepared = _read(Path(files), num_points, incomplete, workers, progress)
        with lock(path):
            remove_partial(path)
            save_prepared(prepared, path)
        return cls(root, num_points=num_points, incomplete=incomplete)


def prepared_path(root: str | os.PathLike[str], num_points: int = NUM_POINTS) -> Path:
    """Return the file that holds the prepared clouds.

    Raises:
        ConfigError: ``num_points`` is not a positive integer.

    Example:
        >>> prepared_path("datasets", 1024).parent.as_posix()
        'datasets/shapenetpart'
    """
    check_integer("num_points", num_points)
    return Path(root) / "shapenetpart" / f"shapenetpart-{num_points}-v{_VERSION}.pt"


def _read(place: Path, num_points: int, incomplete: bool, workers: int | None, progress: bool) -> Prepared:
    folder = next(
        (
            path
            for path in (place, place / "raw", place / _FOLDER, place / "raw" / _FOLDER)
            if (path / "train_test_split").is_dir()
        ),
        None,
    )
    if folder is None:
        hint = (
            f"Put the folder {_FOLDER} there, or convert it where it is: `pyg-samsa data import shapenetpart --files "
            "FOLDER`."
        )
        raise DataNotFoundError(f"shapenetpart is not in {place}: no folder train_test_split", hint=hint)
    shapes: dict[str, _Shape] = {}
    members = {}
    for split in SIZES:
        found = _read_list(folder, split, incomplete)
        # A shape in two lists is one cloud in both splits.
        shapes |= {shape.name: shape for shape in found}
        members[split] = [shape.name for shape in found]
    where = {name: position for position, name in enumerate(shapes)}
    split_idx = {
        split: torch.tensor([where[name] for name in names], dtype=torch.long) for split, names in members.items()
    }
    _check_sizes({split: len(positions) for split, positions in split_idx.items()}, folder, incomplete)
    if not len(split_idx["train"]):
        raise DataIntegrityError(folder, "at least one training shape", "none")
    read = partial(_read_shapes, num_points=num_points)
    clouds = map_clouds(
        read, shapes.values(), len(shapes), workers=workers, progress=progress, description="Preparing shapenetpart"
    )
    parts = [cloud[:, 6].round() for cloud in clouds]
    category = torch.tensor([shape.category for shape in shapes.values()])
    return clouds_to_prepared([cloud[:, :6] for cloud in clouds], split_idx, list(shapes), y=parts, category=category)


def _check_sizes(sizes: dict[str, int], where: Path, incomplete: bool) -> None:
    if not incomplete and sizes != SIZES:
        hint = "Fetch the whole release, or pass incomplete=True; results on a part cannot be compared with others."
        raise DataIntegrityError(where, f"the official {SIZES}", sizes, hint=hint)


def _read_list(folder: Path, split: str, incomplete: bool) -> list[_Shape]:
    """Return the shapes of a split, in the list's order."""
    path = folder / "train_test_split" / f"shuffled_{split}_file_list.json"
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file", hint="Unpack the whole release there.")
    try:
        entries = parse_json(read_text(path, _LARGEST_LIST))
    except ValueError as error:
        raise DataIntegrityError(path, "a list in JSON", f"a damaged file ({str(error)[:60]})") from None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise DataIntegrityError(path, "a list of texts shape_data/<synset>/<id>", "something else")
    shapes, listed = [], set()
    for entry in entries:
        # The entries become paths, so only plain names are allowed.
        words = entry.split("/")
        if (
            len(words) != 3
            or words[0] != "shape_data"
            or words[1] not in SYNSETS
            or not words[2].replace("-", "").replace("_", "").isalnum()
        ):
            raise DataIntegrityError(path, "entries shape_data/<synset>/<id> of the 16 categories", repr(entry[:80]))
        name = f"{words[1]}/{words[2]}"
        if name in listed:
            raise DataIntegrityError(path, "every shape once", f"{name} twice")
        listed.add(name)
        file = folder / words[1] / f"{words[2]}.txt"
        if file.is_file():
            shapes.append(_Shape(file, name, SYNSETS.index(words[1])))
        elif not incomplete:
            raise DataNotFoundError(
                f"{file}: no such file, but {path.name} lists it", hint="Unpack the whole release there."
            )
    return shapes


def _read_shapes(shapes: list[_Shape], num_points: int) -> list[np.ndarray]:
    return [_read_shape(shape, num_points) for shape in shapes]


def _read_shape(shape: _Shape, num_points: int) -> np.ndarray:
    """Return coordinates, normals and part of each point, float32 [n, 7]."""
    points = read_points(shape.path, 7)
    part, allowed = points[:, 6], PARTS[shape.category]
    wrong = ~np.isin(part, allowed)
    if wrong.any():
        expected = f"parts {allowed[0]} to {allowed[-1]} of the category {CATEGORIES[shape.category]}"
        raise DataIntegrityError(shape.path, expected, f"part {part[wrong][0]:g} in line {int(wrong.argmax()) + 1}")
    if len(points) > num_points:
        # The numbers depend on the shape's name alone, and the points stay in their order.
        draws = np.random.Generator(np.random.PCG64(number_of(shape.name))).random(len(points))
        points = points[np.sort(np.argsort(draws, kind="stable")[:num_points])]
    cloud = torch.from_numpy(points)
    return np.concatenate(
        [join_columns(normalize_cloud(cloud[:, :3]), cloud[:, 3:6]), points[:, 6:].astype(np.float32)], axis=1
    )


register_dataset(
    "shapenetpart", ShapeNetPart, prepared_path=prepared_path, importer=Importer(ShapeNetPart.import_files)
)
