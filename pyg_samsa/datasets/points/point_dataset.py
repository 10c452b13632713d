"""Shared by the data sets of point clouds: text files of points, sampling, rotations, and clouds as graphs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.datasets.prepared import Prepared
from pyg_samsa.datasets.splits import stratified_split
from pyg_samsa.errors import ConfigError, DataIntegrityError, check_choice
from pyg_samsa.functional.farthest_points import farthest_points
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.worker_pool import count_workers, in_chunks, map_chunks
from pyg_samsa.transforms.normalize_cloud import normalize_cloud

_WORTH_WORKERS = 128
_CHUNK = 16
Job = TypeVar("Job")


def read_points(path: Path, columns: int) -> np.ndarray:
    r"""Read a text file with one point a line, its numbers divided by commas or blanks.

    Args:
        path: Text file.
        columns: Numbers a line.

    Returns:
        float64 [n, columns], n at least 1.

    Raises:
        DataIntegrityError: The file is empty, truncated in a line, or holds something else.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "points.txt"
        >>> _ = path.write_text("0,0,1\n1,2,3\n")
        >>> read_points(path, 3).shape
        (2, 3)
    """
    expected = f"lines of {columns} finite numbers"
    text = path.read_bytes().decode("latin-1")
    if not text.strip():
        raise DataIntegrityError(path, expected, "an empty file")
    try:
        points = np.loadtxt(text.replace(",", " ").splitlines(), dtype=np.float64, ndmin=2, comments=None)
    except ValueError as error:
        raise DataIntegrityError(path, expected, f"something else ({str(error)[:80]})".replace("\n", " ")) from None
    if points.shape[1] != columns:
        raise DataIntegrityError(path, expected, f"{points.shape[1]} numbers per line")
    if not np.isfinite(points).all():
        raise DataIntegrityError(path, expected, "NaN or infinity")
    return points


def thin_out(clouds: Sequence[np.ndarray], num_points: int, where: Sequence[object]) -> list[np.ndarray]:
    """Sample ``num_points`` of each cloud by farthest point sampling and normalise clouds and normals.

    Args:
        clouds: Each [n, 3] coordinates, or [n, 6] with normals.
        num_points: At most n; with n all points stay in their order.
        where: Name of each cloud, for the error.

    Returns:
        Each float32 [num_points, 3 or 6]; a cloud's points do not depend on the other clouds.

    Raises:
        DataIntegrityError: A cloud has fewer points.

    Example:
        >>> thin_out([np.array([[0.0, 0, 0], [0.1, 0, 0], [4, 0, 0]])], 2, ["a cloud"])[0].tolist()
        [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]

    Cost: clouds that are thinned out together take a fraction of the time.
    """
    for points, name in zip(clouds, where, strict=True):
        if len(points) < num_points:
            raise DataIntegrityError(
                name, f"at least num_points = {num_points} points", f"{len(points)}", hint="Ask for fewer points."
            )
    whole = [torch.from_numpy(np.ascontiguousarray(points)).double() for points in clouds]
    large = [number for number, cloud in enumerate(whole) if len(cloud) > num_points]
    if large:
        ptr = torch.tensor([0, *(len(whole[number]) for number in large)]).cumsum(0)
        # float32 halves the time; points that it cannot distinguish are equally good.
        chosen = farthest_points(
            torch.cat([normalize_cloud(whole[number][:, :3]).float() for number in large]), num_points, ptr=ptr
        )
        for number, begin, mine in zip(large, ptr.tolist(), chosen.view(-1, num_points), strict=False):
            whole[number] = whole[number][mine - begin]
    return [join_columns(normalize_cloud(cloud[:, :3]), cloud[:, 3:]) for cloud in whole]


def join_columns(pos: Tensor, normal: Tensor) -> np.ndarray:
    """Return coordinates and normals of length 1 side by side, float32; a normal of zeros stays.

    Example:
        >>> join_columns(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 5.0]])).tolist()
        [[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    return torch.cat([pos, torch.nn.functional.normalize(normal, dim=1)], dim=1).float().numpy()


def number_of(text: str) -> int:
    """Return a seed that depends on a name alone.

    Example:
        >>> number_of("chair_0001") == number_of("chair_0001") != number_of("chair_0002")
        True
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def map_clouds(
    function: Callable[[list[Job]], list[np.ndarray]],
    jobs: Iterable[Job],
    count: int,
    *,
    workers: int | None,
    progress: bool,
    description: str,
) -> list[Tensor]:
    """Make clouds from jobs, in the order of the jobs; many jobs run in several processes.

    Args:
        function: A few jobs -> a cloud [n, C] for each; an importable function or a partial of one.
        jobs: Arguments of ``function``.
        count: Number of jobs.
        workers: Processes; None is one for each core that this process may use, 1 stays in this process.
        progress: Show a progress bar.
        description: Text of the bar.

    Raises:
        ConfigError: ``workers`` is less than 1.

    Example:
        >>> def ones(sizes):
        ...     return [np.ones((size, 3)) for size in sizes]
        >>> map_clouds(ones, [2, 4], 2, workers=1, progress=False, description="Ones")[1].shape
        torch.Size([4, 3])
    """
    processes = count_workers(workers, count, worthwhile=_WORTH_WORKERS)
    clouds: list[Tensor] = []
    with progress_bar(description, count, enabled=progress) as advance:
        for _, made in map_chunks(function, in_chunks(jobs, _CHUNK), workers=processes):
            clouds += [torch.from_numpy(np.ascontiguousarray(cloud)) for cloud in made]
            advance(len(made))
    return clouds


def clouds_to_prepared(
    clouds: Sequence[Tensor], split_idx: dict[str, Tensor], names: Sequence[str], **targets: Any
) -> Prepared:
    """Lay clouds end to end, ready to be stored.

    Args:
        clouds: Points [n, C] of each of G clouds.
        split_idx: Positions of the splits.
        names: Name of each cloud.
        targets: Tensors [G], one number a cloud, or lists of G tensors [n], one number a point.

    Raises:
        ConfigError: There is no cloud.

    Example:
        >>> clouds = [torch.zeros(2, 3), torch.zeros(3, 3)]
        >>> prepared = clouds_to_prepared(clouds, {"train": torch.arange(2)}, ["a", "b"], y=torch.tensor([0, 1]))
        >>> prepared.slices["x"].tolist(), prepared.data["y"].tolist()
        ([0, 2, 5], [0, 1])
    """
    if not clouds:
        raise ConfigError("clouds", "none", "at least one point cloud")
    ends = torch.tensor([0, *(len(cloud) for cloud in clouds)]).cumsum(0)
    each = torch.arange(len(clouds) + 1)
    data: dict[str, Any] = {
        "x": torch.cat(list(clouds)),
        "edge_index": torch.empty(2, 0, dtype=torch.long),
        "name": list(names),
    }
    slices = {"x": ends, "edge_index": torch.zeros_like(each), "name": each}
    for key, values in targets.items():
        per_cloud = isinstance(values, Tensor)
        data[key], slices[key] = (values.long(), each) if per_cloud else (torch.cat(values).long(), ends)
    return Prepared(data, slices, split_idx)


def with_columns(prepared: Prepared, normals: bool | None) -> tuple[Prepared, int]:
    """Add ``pos`` and ``normal`` as views of ``x``, and return the set with the number of features of a point.

    Args:
        prepared: Clouds whose ``x`` has 3 or 6 columns.
        normals: True demands normals, False leaves them out of ``x``, None takes them where they are.

    Raises:
        ConfigError: Normals are demanded of clouds without.

    Example:
        >>> clouds = clouds_to_prepared([torch.zeros(2, 6)], {"train": torch.arange(1)}, ["a"], y=torch.tensor([0]))
        >>> with_columns(clouds, normals=None)[1], with_columns(clouds, normals=False)[1]
        (6, 3)
    """
    x, ends = prepared.data["x"], prepared.slices["x"]
    if normals and x.size(1) < 6:
        raise ConfigError("normals", normals, "False or None, because the files at hand have no normals")
    added: dict[str, Any] = {"pos": x[:, :3]}
    if x.size(1) == 6 and normals is not False:
        added["normal"] = x[:, 3:]
    else:
        added["x"] = x[:, :3]
    data = prepared.data | added
    return Prepared(data, prepared.slices | dict.fromkeys(added, ends), prepared.split_idx, prepared.extra), data[
        "x"
    ].size(1)


def random_rotations(count: int, *, seed: int = 0) -> Tensor:
    """Return ``count`` rotations [count, 3, 3] float32, uniformly distributed over SO(3) and the same on every machine.

    Example:
        >>> turn = random_rotations(2)
        >>> bool(torch.allclose(turn @ turn.transpose(1, 2), torch.eye(3), atol=1e-6)), turn.det().round().tolist()
        (True, [1.0, 1.0])
    """
    # A normalised vector of four normal numbers is a uniformly distributed quaternion.
    numbers = np.random.Generator(np.random.PCG64([seed, count])).standard_normal((count, 4))
    w, x, y, z = torch.from_numpy(numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).unbind(1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)]
    rows += [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)]
    rows += [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, dim=1).view(count, 3, 3).float()


def rotate(prepared: Prepared, rotated: str, seed: int = 0) -> Prepared:
    """Rotate each cloud and its normals about its centre by a random rotation of its own.

    Args:
        prepared: Clouds whose ``x`` has 3 or 6 columns.
        rotated: ``"none"``, ``"test"``: those of the test split, or ``"all"``.
        seed: Seed of the rotations.

    Raises:
        ConfigError: ``rotated`` is unknown.

    Example:
        >>> clouds = clouds_to_prepared([torch.eye(3)], {"test": torch.arange(1)}, ["a"], y=torch.tensor([0]))
        >>> turned = rotate(clouds, "test").data["x"]
        >>> bool(torch.allclose(turned @ turned.T, torch.eye(3), atol=1e-6)), torch.equal(turned, torch.eye(3))
        (True, False)
    """
    check_choice("rotated", rotated, ("none", "test", "all"))
    if rotated == "none":
        return prepared
    ends = prepared.slices["x"]
    turns = random_rotations(len(ends) - 1, seed=seed)
    if rotated == "test":
        kept = torch.ones(len(turns), dtype=torch.bool)
        kept[prepared.split_idx["test"]] = False
        turns[kept] = torch.eye(3)
    x = prepared.data["x"].clone()
    for turn, begin, end in zip(turns, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        x[begin:end] = (x[begin:end].view(end - begin, -1, 3) @ turn.T).flatten(1)
    return Prepared(prepared.data | {"x": x}, prepared.slices, prepared.split_idx, prepared.extra)


def hold_out_validation(prepared: Prepared, labels: Tensor, share: float, seed: int) -> dict[str, Tensor]:
    """Move a stratified share of the training set to validation, for a release without validation split.

    Args:
        prepared: Clouds with distinct names.
        labels: Class of each cloud, int64 [G].
        share: Share of the training set, 0 to below 1.
        seed: Seed of the choice.
    """
    train = prepared.split_idx["train"].tolist()
    names = [prepared.data["name"][position] for position in train]
    parts = stratified_split(names, labels[train].tolist(), {"train": 1 - share, "val": share}, seed=seed)
    held = {split: prepared.split_idx["train"][positions] for split, positions in parts.items()}
    return held | {split: positions for split, positions in prepared.split_idx.items() if split != "train"}
