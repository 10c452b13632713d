"""Farthest point sampling of packed point clouds."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional.float64 import to_float64
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int


def farthest_points(
    pos: Float[Tensor, "T F"],
    num_samples: int,
    batch: Int[Tensor, " T"] | None = None,
    *,
    ptr: Int[Tensor, " _"] | RaggedIndex | None = None,
    batch_size: int | None = None,
    start: Int[Tensor, " B"] | None = None,
) -> Int[Tensor, " chosen"]:
    r"""Choose from each cloud the points that lie farthest from those chosen before.

    .. math::
        i_1 = \arg\max_i \|p_i - \bar p\|^2, \qquad i_{m+1} = \arg\max_i \min_{l \le m} \|p_i - p_{i_l}\|^2

    The choice is deterministic: ties are broken by the lower index, and other clouds of the batch have no effect. No
    point is chosen twice; duplicates of a point are chosen only when no other points are left. From Eldar et al., "The
    farthest point strategy for progressive image sampling" (1997).

    Args:
        pos: Points of all clouds.
        num_samples: Points K to choose from each cloud, at least 1; of a cloud with fewer points all are chosen.
        batch: Cloud number of every point, in any order; None means one cloud.
        ptr: Offsets of the clouds, in place of ``batch``.
        batch_size: Number of clouds, where some at the end may be empty.
        start: First point of each cloud, counted from the beginning of the cloud; by default the point farthest from
            the centroid.

    Shapes:
        - **pos:** floats [T, F], usually F = 3
        - **batch:** int64 [T]; **ptr:** int64 [B+1]; **start:** int64 [B] (ignored for empty clouds)
        - **output:** int64 [sum of min(n, K)], positions in ``pos``, cloud after cloud, in the order in which they were
          chosen

    Raises:
        ConfigError: ``num_samples`` is less than 1, or ``start`` lies outside of its cloud.
        ShapeError: The shapes do not fit.
        NumericalError: A coordinate is NaN or infinite.

    Example:
        The centroid is 3.25, so the outlier comes first, then the other end, then the point between:

        >>> farthest_points(torch.tensor([[0.0], [1.0], [2.0], [10.0]]), 3)
        tensor([3, 0, 2])

    Cost: O(K T F) time, O(T) memory (up to four times T when clouds differ in size).
    """
    check_integer("num_samples", num_samples)
    if pos.dim() != 2 or pos.size(1) == 0 or not pos.is_floating_point():
        raise ShapeError("pos", f"{list(pos.shape)} {pos.dtype}", "floats [T, F]")
    if not bool(torch.isfinite(pos).all()):
        raise NumericalError(
            "pos", f"NaN or infinite coordinate of point {int((~torch.isfinite(pos)).any(1).nonzero()[0])}"
        )
    index, perm = resolve(pos.size(0), pos.device, batch, ptr, batch_size)
    points = pos.detach() if perm is None else pos.detach()[perm]
    first = _starts(points, index) if start is None else _checked_starts(start, index)
    chosen = torch.zeros(index.num_graphs, min(num_samples, index.max_size), dtype=torch.long, device=pos.device)
    for clouds, width in index.groups():
        which = torch.arange(index.num_graphs, device=pos.device) if clouds is None else clouds
        local = _sample(points, index.ptr[which], index.ptr.diff()[which], first[which], min(num_samples, width), width)
        chosen[which, : local.size(1)] = index.ptr[which].unsqueeze(1) + local
    wanted = torch.arange(chosen.size(1), device=pos.device) < index.ptr.diff().unsqueeze(1)
    result = chosen[wanted]
    return result if perm is None else perm[result]


def _starts(points: Tensor, index: RaggedIndex) -> Tensor:
    """Return the point of each cloud that is farthest from the centroid [B], 0 for an empty cloud."""
    wide = to_float64(points)
    sums = wide.new_zeros(index.num_graphs, points.size(1)).index_add_(0, index.batch.to(wide.device), wide)
    sizes = index.ptr.diff().clamp(min=1).unsqueeze(1)
    centroids = (sums / sizes.to(wide.device)).to(points.dtype).to(points.device)
    distance = _square(points, centroids[index.batch])
    largest = torch.zeros(index.num_graphs, dtype=points.dtype, device=points.device)
    largest.scatter_reduce_(0, index.batch, distance, "amax")
    place = torch.arange(points.size(0), device=points.device) - index.ptr[index.batch]
    place = torch.where(distance == largest[index.batch], place, index.max_size)
    first = torch.full((index.num_graphs,), index.max_size, dtype=torch.long, device=points.device)
    first.scatter_reduce_(0, index.batch, place, "amin")
    return torch.where(first < index.max_size, first, 0)


def _checked_starts(start: Tensor, index: RaggedIndex) -> Tensor:
    if start.shape != (index.num_graphs,) or start.is_floating_point() or start.dtype == torch.bool:
        raise ShapeError(
            "start", f"{list(start.shape)} {start.dtype}", f"integers [{index.num_graphs}], one point per cloud"
        )
    start, sizes = start.long().to(index.device), index.ptr.diff()
    outside = (sizes > 0) & ((start < 0) | (start >= sizes))
    if bool(outside.any()):
        cloud = int(outside.nonzero()[0])
        raise ConfigError(
            "start", int(start[cloud]), f"a point of cloud {cloud}, which has {index.sizes[cloud]} points"
        )
    return torch.where(sizes > 0, start, 0)


def _square(points: Tensor, others: Tensor) -> Tensor:
    """Return squared distances. Coordinates are added one by one, so that the rounding does not depend on memory
    layout.
    """
    total = (points[..., 0] - others[..., 0]).square()
    for axis in range(1, points.size(-1)):
        total = total + (points[..., axis] - others[..., axis]).square()
    return total


def _sample(points: Tensor, begin: Tensor, sizes: Tensor, first: Tensor, count: int, width: int) -> Tensor:
    """Return local positions [G, count] for G clouds; the last entries of a cloud with fewer points are arbitrary."""
    place = torch.arange(width, device=points.device)
    real = place < sizes.unsqueeze(1)
    rows = torch.where(real, begin.unsqueeze(1) + place, 0)
    # Coordinates lie in planes of their own: each distance then reads memory in one go.
    planes = points.T.contiguous()[:, rows] if points.size(0) else points.new_zeros(points.size(1), *rows.shape)
    distance = torch.where(real, torch.inf, -torch.inf).to(points.dtype)
    chosen = torch.zeros(len(begin), count, dtype=torch.long, device=points.device)
    clouds, last, difference = torch.arange(len(begin), device=points.device), first, torch.empty_like(planes)
    for step in range(count):
        chosen[:, step] = last
        torch.sub(planes, planes[:, clouds, last].unsqueeze(2), out=difference).square_()
        # Added one by one, not by a sum, so that rounding does not depend on the memory layout.
        for plane in difference[1:]:
            difference[0] += plane
        torch.minimum(distance, difference[0], out=distance)
        # A chosen point, unlike another one at its place, is never chosen again.
        distance[clouds, last] = -1.0
        last = distance.argmax(1)
    return chosen
