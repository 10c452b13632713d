"""Procedural solids as point clouds: classification and part segmentation without any file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Normals, NumPoints, Rotated, Seed
from pyg_samsa.datasets.points.point_dataset import clouds_to_prepared, join_columns, rotate, with_columns
from pyg_samsa.datasets.points.shape_families import FAMILIES, PART_NAMES
from pyg_samsa.datasets.points.solids import sample_union, turned
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.splits import stratified_split
from pyg_samsa.errors import check_choice
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import Option, check_integer
from pyg_samsa.task import Task
from pyg_samsa.transforms.normalize_cloud import normalize_cloud

_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_STRETCH = 0.4
_TILT = np.pi / 9
_VERSION = 1
PART_TARGETS = [f"{family}-{part}" for family, parts in PART_NAMES.items() for part in parts]
"""Parts of all families, in the order of their numbers."""


class Shapes(SplitDataset):
    """Point clouds of 18 families of solids with random proportions; generated, so nothing is downloaded.

    Box, cylinder, cone, capsule, torus, stairs, table, chair, stool, lamp, mug, cup, bottle, bench, arch, shelf,
    dumbbell and rocket. Each shape is a union of boxes, frusta, balls, tori and pipes, stretched along its axes by
    random factors between 0.67 and 1.49, whose surface is sampled uniformly and exactly: a point lies on the surface to
    rounding, its normal points outward, and its part is that of the body it lies on. Shapes are turned by any angle
    around the vertical and tilted by up to 20 degrees; clouds are centred and scaled into the unit ball.

    **Task.** The family of a cloud, or with ``parts`` the part of each point, for the 13 families that have more than
    one (31 parts; ``category`` says which of them a cloud belongs to, and :class:`pyg_samsa.metrics.part_iou.PartIoU`
    with ``task.parts`` scores it).

    **Difficulty.** Proportions overlap (cups and cylinders, wide chairs and benches). With the default options,
    logistic regression on global moments (mean, covariance, third moments, bounding box) tells 72 % of the test
    families and a random forest on the same 75 %; a PointNet of half the paper's width tells more than 95 % after ten
    epochs.

    **Split.** 70 / 15 / 15 %, stratified by family. The same arguments give the same numbers on every machine of the
    same kind: only uniform random numbers are drawn, from a generator of its own for each shape.

    Args:
        root: Folder of the data sets; the clouds are kept in ``<root>/shapes`` or ``<root>/shapes-parts``.
        parts: Whether the part of each point is predicted instead of the family of the cloud.
        per_family: Shapes of each family, at least 3.
        num_points: Points of each cloud.
        seed: Seed of the shapes and of the split.
        normals: False leaves the normals out of ``x``.
        rotated: ``"test"`` turns every cloud of the test split by a random rotation of its own, ``"all"`` every cloud;
            ``"none"`` leaves them as they are, which is nearly upright.
        progress: Show a progress bar while preparing.
        transform: Called on every graph on access.

    Attributes:
        category_names: Names of the families, in the order of ``category``.
        up: The coordinate that points upwards, 2: z.

    Shapes:
        - **item:** ``x`` float [n, 6] (coordinates and normals), ``pos`` [n, 3], ``normal`` [n, 3], ``edge_index``
          int64 [2, 0], ``name``, ``y`` int64 [1], or with ``parts`` [n] and ``category`` int64 [1]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> import tempfile
        >>> dataset = Shapes(tempfile.mkdtemp(), per_family=4, num_points=64, progress=False)
        >>> dataset[0], dataset.task.num_targets
        (Data(x=[64, 6], edge_index=[2, 0], name='box-0000', y=[1], pos=[64, 3], normal=[64, 3]), 18)

    Cost: prepared once, about 4 milliseconds of one core a shape, and 24 bytes a point.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = "datasets",
        *,
        parts: bool = False,
        per_family: Annotated[int, Option("Number of shapes of each family.", low=3, high=10**6)] = 200,
        num_points: NumPoints = 512,
        seed: Seed = 0,
        normals: Normals = True,
        rotated: Rotated = "none",
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        path = prepared_path(root, parts=parts, per_family=per_family, num_points=num_points, seed=seed)
        prepared = prepare_once(path, lambda: _generate(parts, per_family, num_points, seed, progress))
        prepared, channels = with_columns(rotate(prepared, rotated, seed), normals)
        task = (
            Task("multiclass", PART_TARGETS, "node", _category_parts()) if parts else Task("multiclass", list(FAMILIES))
        )
        super().__init__(prepared, task, Features(channels, num_dims=3), transform=transform, root=root)
        self.category_names = list(PART_NAMES if parts else FAMILIES)
        self.up = 2


def _category_parts() -> list[list[int]]:
    return [[PART_TARGETS.index(f"{family}-{part}") for part in parts] for family, parts in PART_NAMES.items()]


def prepared_path(
    root: str | os.PathLike[str], *, parts: bool = False, per_family: int = 200, num_points: int = 512, seed: int = 0
) -> Path:
    """Return the file that holds the clouds.

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> prepared_path("datasets", seed=1) == prepared_path("datasets", seed=2)
        False
    """
    for key, value, least in (("per_family", per_family, 3), ("num_points", num_points, 1), ("seed", seed, 0)):
        check_integer(key, value, low=least)
    name = "shapes-parts" if parts else "shapes"
    return Path(root) / name / f"{name}-{per_family}x{num_points}-seed{seed}-v{_VERSION}.pt"


def _generate(parts: bool, per_family: int, num_points: int, seed: int, progress: bool) -> Prepared:
    families = list(PART_NAMES if parts else FAMILIES)
    names, clouds, targets = [], [], []
    with progress_bar("Generating shapes", len(families) * per_family, enabled=progress) as advance:
        for family in families:
            for number in range(per_family):
                cloud, owners = generate_shape(family, number, num_points, seed)
                names.append(f"{family}-{number:04d}")
                clouds.append(torch.from_numpy(cloud))
                targets.append([PART_TARGETS.index(f"{family}-{owner}") for owner in owners] if parts else [])
                advance(1)
    category = torch.arange(len(families)).repeat_interleave(per_family)
    split_idx = stratified_split(names, category.tolist(), _SHARES, seed=seed)
    if parts:
        return clouds_to_prepared(
            clouds, split_idx, names, y=[torch.tensor(each) for each in targets], category=category
        )
    return clouds_to_prepared(clouds, split_idx, names, y=category)


def generate_shape(family: str, number: int, num_points: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Return one shape of a family: points with normals, float32 [n, 6], and the name of the part of each point.

    Args:
        family: One of the families.
        number: Number of the shape within the family.
        num_points: Points n.
        seed: Seed of the shape.

    Raises:
        ConfigError: There is no such family.

    Example:
        >>> cloud, parts = generate_shape("mug", 0, 100)
        >>> cloud.shape, sorted(set(parts))
        ((100, 6), ['body', 'handle'])
    """
    check_choice("family", family, FAMILIES)
    # A shape depends on nothing but the position of its family and its number, so other shapes do not change it:
    # nothing else.
    rng = np.random.Generator(np.random.PCG64([seed, list(FAMILIES).index(family), number]))
    bodies = FAMILIES[family](rng)
    stretch = np.exp(_STRETCH * (2 * rng.random(3) - 1))
    azimuth, direction, tilt = rng.random(3) * [2 * np.pi, 2 * np.pi, _TILT]
    turn = turned(2, direction) @ turned(0, tilt) @ turned(2, azimuth)
    points, normals, owner = sample_union(bodies, num_points, rng, stretch.tolist())
    pos, normal = (torch.from_numpy(values @ turn.T) for values in (points, normals))
    return join_columns(normalize_cloud(pos), normal), [bodies[place].part for place in owner.tolist()]


register_dataset("shapes", Shapes, fixed={"parts": False}, prepared_path=prepared_path)
register_dataset("shapes-parts", Shapes, fixed={"parts": True}, prepared_path=prepared_path)
