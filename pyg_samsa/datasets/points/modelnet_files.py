"""Readers of the four published forms of ModelNet."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from pyg_samsa.datasets.points.point_dataset import clouds_to_prepared, map_clouds, number_of, read_points, thin_out
from pyg_samsa.datasets.prepared import Prepared
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, MissingDependencyError, SAMSAError
from pyg_samsa.io.mesh import read_off
from pyg_samsa.io.unfold import read_arrays
from pyg_samsa.transforms.sample_surface import sample_surface

OVERSAMPLING = 4
"""Points drawn from a mesh for each one that farthest point sampling keeps."""
_TEXT_POINTS = 10_000
_FOLDERS = (".", "raw", "ModelNet10", "ModelNet40", "modelnet40_normal_resampled", "modelnet40_ply_hdf5_2048")
# numpy raises these for a damaged archive of arrays.
_DAMAGED = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError)


class Release(NamedTuple):
    """One of the two sets.

    Args:
        name: ``"modelnet10"`` or ``"modelnet40"``.
        classes: Names of the classes, in the order of their numbers.
        sizes: Published numbers of training and test shapes.
    """

    name: str
    classes: list[str]
    sizes: tuple[int, int]


Loaded = tuple[np.ndarray, object]


class Listed(NamedTuple):
    """The shapes of a release, and how to load their points.

    Args:
        names: Distinct names of G shapes.
        labels: Their classes.
        is_test: Whether they belong to the official test split.
        jobs: One job a shape, for ``load``; perhaps a generator.
        load: Job and number of points -> points [n, 3 or 6], at least as many as asked for, and what to call them in an
            error.
    """

    names: list[str]
    labels: list[int]
    is_test: list[bool]
    jobs: Any
    load: Callable[[Any, int], Loaded]


Lister = Callable[[Release, Path, bool], Listed]


def find_layout(release: Release, place: Path) -> tuple[str, Path] | None:
    """Return the form and the folder of the files at ``place`` or in a known folder there; None without files.

    Example:
        >>> find_layout(Release("modelnet2", ["bed", "chair"], (10, 5)), Path("nowhere")) is None
        True
    """
    if place.suffix == ".npz" and place.is_file():
        return "npz", place
    for folder in (place / name for name in _FOLDERS):
        classes = [folder / name for name in release.classes]
        if any((path / split).is_dir() for path in classes for split in ("train", "test")):
            return "off", folder
        if (folder / f"{release.name}_train.txt").is_file() and any(path.is_dir() for path in classes):
            return "text", folder
        if (folder / "train_files.txt").is_file():
            return "hdf5", folder
        archives = sorted(folder.glob("*.npz")) if folder.is_dir() else []
        if len(archives) > 1:
            raise ConfigError(
                "files",
                str(folder),
                f"one npz file and no others like {archives[1].name}",
                hint="Pass the path of the file instead of the folder.",
            )
        if archives:
            return "npz", archives[0]
    return None


def read_release(
    release: Release,
    layout: str,
    place: Path,
    num_points: int,
    *,
    incomplete: bool,
    workers: int | None,
    progress: bool,
) -> Prepared:
    """Read all shapes of a release, see :class:`pyg_samsa.datasets.points.modelnet.ModelNet`.

    Raises:
        DataNotFoundError: A listed file is not there.
        DataIntegrityError: A file is empty, truncated, mislabelled, or not what it should be.
    """
    listed = LISTERS[layout](release, place, incomplete)
    if len(set(listed.names)) != len(listed.names):
        twice = next(name for position, name in enumerate(listed.names) if name in listed.names[:position])
        raise DataIntegrityError(place, "each shape once", f"{twice} twice")
    if not listed.names:
        raise DataIntegrityError(place, f"shapes of {release.name}", "none")
    is_test = torch.tensor(listed.is_test)
    check_sizes(release, int((~is_test).sum()), int(is_test.sum()), place, incomplete)
    function = partial(_make, load=listed.load, num_points=num_points)
    count, description = len(listed.names), f"Preparing {release.name}"
    clouds = map_clouds(function, listed.jobs, count, workers=workers, progress=progress, description=description)
    split_idx = {"train": (~is_test).nonzero().flatten(), "test": is_test.nonzero().flatten()}
    prepared = clouds_to_prepared(clouds, split_idx, listed.names, y=torch.tensor(listed.labels))
    prepared.extra["layout"] = layout
    return prepared


def _make(jobs: list[Any], load: Callable[[Any, int], Loaded], num_points: int) -> list[np.ndarray]:
    loaded = [load(job, num_points) for job in jobs]
    return thin_out([points for points, _ in loaded], num_points, [where for _, where in loaded])


def check_sizes(release: Release, train: int, test: int, where: Path, incomplete: bool) -> None:
    """Compare the numbers of shapes with the published ones.

    Raises:
        DataIntegrityError: They differ, and ``incomplete`` does not allow that.

    Example:
        >>> release = Release("modelnet2", ["bed", "chair"], (10, 5))
        >>> check_sizes(release, 4, 5, Path("files"), incomplete=True)
        >>> check_sizes(release, 4, 5, Path("files"), incomplete=False)
        Traceback (most recent call last):
        pyg_samsa.errors.DataIntegrityError: files: got 4 and 5, expected the 10 training and 5 test shapes of modelnet2
    """
    if not incomplete and (train, test) != release.sizes:
        expected = f"the {release.sizes[0]:,} training and {release.sizes[1]:,} test shapes of {release.name}"
        hint = "Fetch the whole release, or pass incomplete=True; results on a part cannot be compared with others."
        raise DataIntegrityError(where, expected, f"{train:,} and {test:,}", hint=hint)


def _label(release: Release, name: str, where: Path) -> int:
    found = name.rpartition("_")[0]
    if found not in release.classes:
        raise DataIntegrityError(
            where, f"names like {release.classes[0]}_0001, of the classes of {release.name}", repr(name[:60])
        )
    return release.classes.index(found)


def _list_off(release: Release, folder: Path, incomplete: bool) -> Listed:
    known = set(release.classes)
    foreign = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in known and ((path / "train").is_dir() or (path / "test").is_dir())
    )
    if foreign:
        raise DataIntegrityError(
            folder, f"folders of the classes of {release.name} alone", f"the folder {foreign[0]!r}"
        )
    files = [
        (path, split)
        for split in ("train", "test")
        for name in release.classes
        for path in sorted((folder / name / split).glob("*.off"))
    ]
    for path, _ in files:
        if release.classes[_label(release, path.stem, path)] != path.parent.parent.name:
            raise DataIntegrityError(
                path, f"a mesh of the class of its folder, {path.parent.parent.name}", "the name of another class"
            )
    labels = [_label(release, path.stem, path) for path, _ in files]
    is_test = [split == "test" for _, split in files]
    return Listed([path.stem for path, _ in files], labels, is_test, [path for path, _ in files], _from_off)


def _from_off(path: Path, num_points: int) -> Loaded:
    corners, faces = read_off(path)
    # The seed is the shape's name, so neither the order nor the number of processes matters.
    generator = torch.Generator().manual_seed(number_of(path.stem))
    try:
        drawn = sample_surface(
            torch.from_numpy(corners), torch.from_numpy(faces).T.contiguous(), OVERSAMPLING * num_points, generator
        )
    except SAMSAError as error:
        raise DataIntegrityError(path, "a mesh with a surface", f"one without ({error})") from None
    return torch.cat([drawn.pos, drawn.normal], dim=1).numpy(), path


def _list_text(release: Release, folder: Path, incomplete: bool) -> Listed:
    _check_classes(
        release, folder / f"{release.name}_shape_names.txt", _lines(folder / f"{release.name}_shape_names.txt")
    )
    names, labels, is_test, files = [], [], [], []
    for split in ("train", "test"):
        path = folder / f"{release.name}_{split}.txt"
        for name in _lines(path):
            label = _label(release, name, path)
            file = folder / release.classes[label] / f"{name}.txt"
            if not file.is_file():
                if incomplete:
                    continue
                raise DataNotFoundError(
                    f"{file}: no such file, but {path.name} lists it", hint="Unpack the whole release there."
                )
            names.append(name)
            labels.append(label)
            is_test.append(split == "test")
            files.append(file)
    return Listed(names, labels, is_test, files, _from_text)


def _from_text(path: Path, num_points: int) -> Loaded:
    points = read_points(path, 6)
    if len(points) != _TEXT_POINTS:
        raise DataIntegrityError(path, f"{_TEXT_POINTS:,} points, as in every file of this release", f"{len(points):,}")
    return points, path


def _list_npz(release: Release, path: Path, incomplete: bool) -> Listed:
    expected = "the arrays points_q, label, is_test, name and classes"
    try:
        archive = read_arrays(path)
        points, label, is_test, name, classes = (
            archive[key] for key in ("points_q", "label", "is_test", "name", "classes")
        )
        scale = float(archive["points_scale"]) if "points_scale" in archive else 1 / 32767
        normals = archive.get("normals_q")
    except _DAMAGED as error:
        raise DataIntegrityError(
            path, expected, f"a file without them ({type(error).__name__}: {str(error)[:80]})".replace("\n", " ")
        ) from error
    _check_classes(release, path, classes.tolist())
    _check_arrays(path, points, label, is_test, normals, len(classes))
    if name.shape != label.shape:
        raise DataIntegrityError(path, f"a name for each of {len(label)} shapes", f"names {name.shape}")
    names = [str(each) for each in name.tolist()]
    wrong = [text for text, number in zip(names, label.tolist(), strict=True) if _label(release, text, path) != number]
    if wrong:
        raise DataIntegrityError(path, "labels that fit the names", f"another label for {wrong[0]}")

    def jobs() -> Iterator[Loaded]:
        for number, text in enumerate(names):
            parts = [points[number].astype(np.float64) * scale]
            parts += [] if normals is None else [normals[number].astype(np.float64) / 127]
            yield np.concatenate(parts, axis=1), f"{path}, {text}"

    return Listed(names, label.astype(int).tolist(), is_test.astype(bool).tolist(), jobs(), _from_array)


def _from_array(job: Loaded, num_points: int) -> Loaded:
    return job


def _check_classes(release: Release, path: Path, found: list[str]) -> None:
    if found != release.classes:
        raise DataIntegrityError(
            path,
            f"the {len(release.classes)} classes of {release.name} in their order",
            f"{', '.join(map(str, found))[:80]}",
        )


def _check_arrays(
    path: Path, points: np.ndarray, label: np.ndarray, is_test: np.ndarray, normals: np.ndarray | None, num_classes: int
) -> None:
    count = len(label) if label.ndim == 1 else -1
    shapes = [points.shape, is_test.shape] + ([] if normals is None else [normals.shape])
    fits = (
        points.ndim == 3
        and points.shape[2] == 3
        and len(points) == count
        and is_test.shape == (count,)
        and label.dtype.kind in "iu"
    )
    if not fits or (normals is not None and normals.shape != points.shape):
        raise DataIntegrityError(
            path, "points [G, n, 3] with a label and a split each", f"arrays {shapes} for {label.shape} labels"
        )
    if count and not 0 <= int(label.min()) <= int(label.max()) < num_classes:
        raise DataIntegrityError(path, f"labels from 0 to {num_classes - 1}", f"{label.min()} to {label.max()}")
    if not all(np.isfinite(values).all() for values in (points, normals) if values is not None):
        raise DataIntegrityError(path, "finite coordinates", "NaN or infinity")


def _list_hdf5(release: Release, folder: Path, incomplete: bool) -> Listed:
    _check_classes(release, folder / "shape_names.txt", _lines(folder / "shape_names.txt"))
    parts: list[tuple[str, np.ndarray, np.ndarray]] = []
    is_test: list[bool] = []
    for split in ("train", "test"):
        for line in _lines(folder / f"{split}_files.txt"):
            # The lists hold the paths of the authors' machine.
            path = folder / Path(line).name
            points, label = _read_hdf5(path, len(release.classes))
            parts.append((path.stem, points, label))
            is_test += [split == "test"] * len(label)
    widths = {points.shape[2] for _, points, _ in parts}
    if len(widths) > 1:
        raise DataIntegrityError(folder, "normals in all files or in none", "normals in some")
    names = [f"{stem}-{number}" for stem, points, _ in parts for number in range(len(points))]
    labels = [int(number) for _, _, label in parts for number in label]
    jobs = ((cloud, f"{folder}, {stem}-{number}") for stem, points, _ in parts for number, cloud in enumerate(points))
    return Listed(names, labels, is_test, jobs, _from_array)


def _read_hdf5(path: Path, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        import h5py
    except ImportError:
        raise MissingDependencyError("h5py", "points", "Reading the HDF5 release of ModelNet40") from None
    if not path.is_file():
        raise DataNotFoundError(
            f"{path}: no such file, but the list of files names it", hint="Unpack the whole release there."
        )
    try:
        with h5py.File(path, "r") as file:
            points, label = file["data"][:], file["label"][:].reshape(-1)
            normals = file["normal"][:] if "normal" in file else None
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise DataIntegrityError(
            path, "an HDF5 file with data and label", f"a damaged one ({str(error)[:80]})"
        ) from error
    _check_arrays(path, points, label, np.zeros(len(label), dtype=bool), normals, num_classes)
    return (points if normals is None else np.concatenate([points, normals], axis=2)), label


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise DataNotFoundError(f"{path}: no such file", hint="Unpack the whole release there.")
    lines = [line.strip() for line in path.read_bytes().decode("latin-1").splitlines()]
    if not any(lines):
        raise DataIntegrityError(path, "a list of names", "an empty file")
    return [line for line in lines if line]


LISTERS: dict[str, Lister] = {"off": _list_off, "text": _list_text, "hdf5": _list_hdf5, "npz": _list_npz}
