"""Point clouds moved to the origin and scaled into the unit ball."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from pyg_samsa.errors import NumericalError, ShapeError


def normalize_cloud(pos: Tensor) -> Tensor:
    r"""Centre a point cloud and scale it into the unit ball, as PointNet (Qi et al., 2017) does.

    .. math::
        p_i \leftarrow \frac{p_i - \bar p}{\max_j \|p_j - \bar p\|}

    Coinciding points become zeros. Computed in float64.

    Args:
        pos: Points, at least one.

    Shapes:
        - **pos, output:** floats [n, F]

    Raises:
        ShapeError: Not a matrix of floats, or without a row.
        NumericalError: A coordinate is NaN or infinite.

    Example:
        >>> normalize_cloud(torch.tensor([[1.0, 0.0], [5.0, 0.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]

    Cost: O(n F).
    """
    if pos.dim() != 2 or not pos.is_floating_point() or pos.size(0) == 0:
        raise ShapeError("pos", f"{list(pos.shape)} {pos.dtype}", "floats [n, F] with n of at least 1")
    if not bool(torch.isfinite(pos).all()):
        raise NumericalError(
            "pos", f"NaN or infinite coordinate of point {int((~torch.isfinite(pos)).any(1).nonzero()[0])}"
        )
    centred = pos.double() - pos.double().mean(0)
    radius = float(centred.norm(dim=1).max())
    # Equal points differ from their mean by rounding errors, which must not be scaled up.
    one_place = radius <= 1e-12 * float(pos.abs().max())
    return (torch.zeros_like(centred) if one_place else centred / radius).to(pos.dtype)


class NormalizeCloud(BaseTransform):
    """Centre ``pos`` and scale it into the unit ball, see :func:`normalize_cloud`; normals stay as they are.

    Raises:
        ShapeError: The data have no ``pos``, or no point.

    Example:
        >>> NormalizeCloud()(Data(pos=torch.tensor([[0.0, 0, 0], [0, 0, 4]]))).pos[1].tolist()
        [0.0, 0.0, 1.0]

    Cost: O(n).
    """

    def forward(self, data: Data) -> Data:
        """Return ``data`` with normalised ``pos``."""
        if data.pos is None:
            raise ShapeError("data", f"attributes {data.keys()}", "a point cloud with pos")
        data.pos = normalize_cloud(data.pos)
        return data
