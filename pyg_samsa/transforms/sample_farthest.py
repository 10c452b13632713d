"""Point clouds thinned out evenly."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.farthest_points import farthest_points
from pyg_samsa.options import check_integer


class SampleFarthest(BaseTransform):
    """Keep the points that farthest point sampling chooses, in the order in which they were chosen.

    Every attribute of points (``x``, ``pos``, ``normal``, a ``y`` per point) is thinned out with them; a cloud that has
    no more points than asked for keeps them all. See :func:`pyg_samsa.functional.farthest_points.farthest_points`.

    Args:
        num_points: Number K of points to keep, at least 1.

    Raises:
        ConfigError: ``num_points`` is less than 1.
        ShapeError: The data have no ``pos``, or have edges, which would lose their ends.

    Example:
        >>> data = Data(pos=torch.tensor([[0.0], [1.0], [2.0], [10.0]]), y=torch.tensor([5, 6, 7, 8]))
        >>> SampleFarthest(3)(data).y
        tensor([8, 5, 7])

    Cost: O(K n) for n points.
    """

    def __init__(self, num_points: int) -> None:
        check_integer("num_points", num_points)
        self.num_points = num_points

    def forward(self, data: Data) -> Data:
        """Return ``data`` with the chosen points."""
        if data.pos is None or data.num_edges or "face" in data:
            raise ShapeError("data", f"{data}", "a point cloud with pos and without edges or faces")
        chosen = farthest_points(data.pos, self.num_points)
        for key in [key for key in data.keys() if data.is_node_attr(key)]:  # noqa: SIM118 (Data is no mapping)
            data[key] = torch.as_tensor(data[key])[chosen]
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_points})"
