"""ModelNet10 and ModelNet40: classes of CAD models, as point clouds."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import Importer, register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Incomplete, Normals, NumPoints, Rotated, Seed
from pyg_samsa.datasets.points.modelnet_files import Release, check_sizes, find_layout, read_release
from pyg_samsa.datasets.points.point_dataset import hold_out_validation, rotate, with_columns
from pyg_samsa.datasets.prepared import Prepared, prepare_once, save_prepared
from pyg_samsa.errors import ConfigError, DataNotFoundError
from pyg_samsa.io.files import lock, remove_partial
from pyg_samsa.options import check_integer
from pyg_samsa.task import Task

# fmt: off
_TEN = ["bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table", "toilet"]
_FORTY = [
    "airplane", "bathtub", "bed", "bench", "bookshelf", "bottle", "bowl", "car", "chair", "cone", "cup", "curtain",
    "desk", "door", "dresser", "flower_pot", "glass_box", "guitar", "keyboard", "lamp", "laptop", "mantel", "monitor",
    "night_stand", "person", "piano", "plant", "radio", "range_hood", "sink", "sofa", "stairs", "stool", "table",
    "tent", "toilet", "tv_stand", "vase", "wardrobe", "xbox",
]
# fmt: on
RELEASES = {
    release.name: release
    for release in (Release("modelnet10", _TEN, (3991, 908)), Release("modelnet40", _FORTY, (9843, 2468)))
}
NUM_POINTS = 1024
_HELD_OUT = 0.1
_VERSION = 1


class ModelNet(SplitDataset):
    """ModelNet10 or ModelNet40: 4,899 or 12,311 CAD models of 10 or 40 classes, as point clouds without edges.

    From Wu et al., `"3D ShapeNets" <https://arxiv.org/abs/1406.5670>`_ (2015); for academic use. Nothing is downloaded:
    put the official files, in one of four forms, in ``<root>/<name>`` or ``<root>/<name>/raw`` (or wherever you have
    them, with :meth:`import_files`):

    - ``off``: the official meshes ``<class>/{train,test}/*.off``, also as PyG leaves them. Points are sampled from the
      meshes, with the normals of the faces.
    - ``text``: ``modelnet40_normal_resampled`` with ``<class>/<shape>.txt`` and the lists. Points with normals are
      chosen by farthest point sampling.
    - ``hdf5``: ``modelnet40_ply_hdf5_2048`` with ``ply_data_*.h5`` and the lists. Points, perhaps with normals, are
      chosen by farthest point sampling.
    - ``npz``: one archive of the arrays ``points_q`` [G, n, 3] (times ``points_scale`` or 1/32767), ``label``,
      ``is_test``, ``name``, ``classes`` and optionally ``normals_q`` (times 1/127). Points are chosen by farthest point
      sampling.

    **From meshes** four times as many points as wanted are drawn uniformly by area, seeded by the shape's name, and
    farthest point sampling keeps those that cover the shape evenly. The triangles of these meshes have no common
    orientation, so the sign of a normal means little. Every cloud is centred and scaled into the unit ball; axes are
    those of the files (z up in ``off``, y up in ``text``).

    **Split.** The official test set; of the official training set a tenth, stratified by class, is held out for
    validation.

    Args:
        root: Folder of the data sets.
        name: ``"modelnet10"`` or ``"modelnet40"``.
        num_points: Points of each cloud; each number is prepared once.
        normals: Whether ``x`` holds normals after the coordinates; None takes them if the files have them.
        seed: Seed of the validation split and of the rotations.
        rotated: ``"test"`` turns every cloud of the test split by a random rotation of its own, ``"all"`` every cloud;
            ``"none"`` leaves them as they are, upright.
        incomplete: Allow a part of the release.
        workers: Processes that prepare the clouds; None is one for each core.
        progress: Show a progress bar while preparing.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` float [n, 6] (coordinates and normals) or [n, 3], ``pos`` [n, 3], ``normal`` [n, 3],
          ``edge_index`` int64 [2, 0], ``y`` int64 [1], ``name``

    Raises:
        DataNotFoundError: The files are not there.
        DataIntegrityError: A file is empty, truncated, mislabelled or not what it should be; the message names it.
        MissingDependencyError: The HDF5 release needs h5py.

    Example:
        >>> dataset = ModelNet("datasets", "modelnet40")  # doctest: +SKIP
        >>> dataset[0], len(dataset.split_idx["val"])  # doctest: +SKIP
        (Data(x=[1024, 6], edge_index=[2, 0], name='airplane_0001', y=[1], pos=[1024, 3], normal=[1024, 3]), 984)

    Cost: prepared once, about 50 milliseconds of one core a shape (ModelNet40: some ten minutes divided by the number
    of cores) and 24 bytes a point.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str = "modelnet40",
        *,
        num_points: NumPoints = NUM_POINTS,
        normals: Normals = None,
        seed: Seed = 0,
        rotated: Rotated = "none",
        incomplete: Incomplete = False,
        workers: int | None = None,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        release, path = _release(name), prepared_path(root, name, num_points)
        prepared = prepare_once(
            path, lambda: _find(release, Path(root) / name, num_points, incomplete, workers, progress)
        )
        check_sizes(release, len(prepared.split_idx["train"]), len(prepared.split_idx["test"]), path, incomplete)
        prepared.split_idx = hold_out_validation(prepared, prepared.data["y"], _HELD_OUT, seed)
        prepared, channels = with_columns(rotate(prepared, rotated, seed), normals)
        super().__init__(
            prepared,
            Task("multiclass", release.classes),
            Features(channels, num_dims=3),
            transform=transform,
            root=root,
        )

    @classmethod
    def import_files(
        cls,
        root: str | os.PathLike[str],
        name: str,
        *,
        files: str | os.PathLike[str],
        num_points: NumPoints = NUM_POINTS,
        incomplete: Incomplete = False,
        workers: int | None = None,
        progress: bool = True,
    ) -> ModelNet:
        """Prepare the data set from official files anywhere; an earlier preparation with as many points is replaced.

        Args:
            root: Folder of the data sets.
            name: ``"modelnet10"`` or ``"modelnet40"``.
            files: Folder of one of the four forms, or an npz file.
            num_points: Points of each cloud.
            incomplete: Allow a part of the release.
            workers: Processes; None is one for each core.
            progress: Show a progress bar.

        Raises:
            DataNotFoundError: There are no such files.
            DataIntegrityError: A file is not what it should be.
        """
        prepared = _find(_release(name), Path(files), num_points, incomplete, workers, progress)
        path = prepared_path(root, name, num_points)
        with lock(path):
            remove_partial(path)
            save_prepared(prepared, path)
        return cls(root, name, num_points=num_points, incomplete=incomplete)


def _release(name: str) -> Release:
    if name not in RELEASES:
        raise ConfigError("name", name, sorted(RELEASES))
    return RELEASES[name]


def prepared_path(root: str | os.PathLike[str], name: str, num_points: int = NUM_POINTS) -> Path:
    """Return the file that holds the prepared clouds.

    Raises:
        ConfigError: ``num_points`` is not a positive integer.

    Example:
        >>> prepared_path("datasets", "modelnet10", 256) == prepared_path("datasets", "modelnet10", 512)
        False
    """
    check_integer("num_points", num_points)
    return Path(root) / name / f"{name}-{num_points}-v{_VERSION}.pt"


def _find(
    release: Release, place: Path, num_points: int, incomplete: bool, workers: int | None, progress: bool
) -> Prepared:
    found = find_layout(release, place)
    if found is None:
        hint = (
            f"Put the official files into {place} (folders <class>/train/*.off, modelnet40_normal_resampled, or "
            "modelnet40_ply_hdf5_2048), or convert them where they are: "
            f"`pyg-samsa data import {release.name} --files FOLDER`."
        )
        raise DataNotFoundError(f"{release.name} is not in {place}", hint=hint)
    layout, where = found
    return read_release(release, layout, where, num_points, incomplete=incomplete, workers=workers, progress=progress)


for _name in RELEASES:
    register_dataset(
        _name,
        ModelNet,
        fixed={"name": _name},
        prepared_path=prepared_path,
        importer=Importer(partial(ModelNet.import_files, name=_name)),
    )
