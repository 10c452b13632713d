"""Points drawn uniformly from the surface of a triangle mesh."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from pyg_samsa.errors import NumericalError, ShapeError
from pyg_samsa.options import check_integer


class SurfacePoints(NamedTuple):
    """Points of a surface.

    Args:
        pos: Coordinates [n, 3].
        normal: Unit normals [n, 3] of the triangles, by the right-hand rule.
        face: Triangle of each point, int64 [n].
    """

    pos: Tensor
    normal: Tensor
    face: Tensor


def sample_surface(
    pos: Tensor, face: Tensor, num_points: int, generator: torch.Generator | None = None
) -> SurfacePoints:
    r"""Draw points uniformly from the surface of a triangle mesh, with the normals of the triangles.

    A triangle (a, b, c) is chosen with a probability proportional to its area, and a point of it as

    .. math::
        p = (1 - \sqrt u) a + \sqrt u (1 - v) b + \sqrt u v c, \qquad u, v \sim U(0, 1)

    (Osada et al., "Shape distributions", 2002). Triangles without area are never chosen. Areas are computed in float64.

    Args:
        pos: Corners of the mesh.
        face: Three corners of each triangle.
        num_points: Number n of points, at least 1.
        generator: Source of random numbers; None is torch's global one.

    Shapes:
        - **pos:** floats [V, 3]; **face:** int64 [3, F]

    Raises:
        ConfigError: ``num_points`` is less than 1.
        ShapeError: The shapes do not fit, a triangle has a corner that is not there, or no triangle has an area.
        NumericalError: A coordinate is NaN or infinite.

    Example:
        >>> corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
        >>> points = sample_surface(corners, torch.tensor([[0], [1], [2]]), 100)
        >>> bool((points.pos[:, :2].sum(1) <= 1).all()), points.normal[0].tolist()
        (True, [0.0, 0.0, 1.0])

    Cost: O(F + n log F).
    """
    check_integer("num_points", num_points)
    _check_mesh(pos, face)
    a, b, c = pos.double()[face]
    cross = torch.linalg.cross(b - a, c - a)
    area = cross.norm(dim=1)
    # Rounding leaves triangles of three points on a line with a tiny area and a normal that means nothing.
    side = torch.stack([(b - a).norm(dim=1), (c - a).norm(dim=1), (c - b).norm(dim=1)]).amax(0)
    cumulated = torch.where(area > 1e-12 * side.square(), area, 0.0).cumsum(0)
    if not face.size(1) or float(cumulated[-1]) <= 0:
        raise ShapeError("face", f"{face.size(1)} triangles without any area", "a mesh with a surface")
    draws = torch.rand(3, num_points, dtype=torch.float64, generator=generator, device=pos.device)
    # side="right" never stops at a triangle whose share is empty.
    chosen = torch.searchsorted(cumulated, draws[0] * cumulated[-1], side="right").clamp(
        max=int((cumulated < cumulated[-1]).sum())
    )
    root, v = draws[1].sqrt().unsqueeze(1), draws[2].unsqueeze(1)
    points = (1 - root) * a[chosen] + root * (1 - v) * b[chosen] + root * v * c[chosen]
    normal = cross[chosen] / area[chosen].unsqueeze(1)
    return SurfacePoints(points.to(pos.dtype), normal.to(pos.dtype), chosen)


def _check_mesh(pos: Tensor, face: Tensor) -> None:
    if pos.dim() != 2 or pos.size(1) != 3 or not pos.is_floating_point():
        raise ShapeError("pos", f"{list(pos.shape)} {pos.dtype}", "floats [V, 3]")
    if face.dim() != 2 or face.size(0) != 3 or face.dtype != torch.long:
        raise ShapeError("face", f"{list(face.shape)} {face.dtype}", "int64 [3, F]")
    if face.numel() and not 0 <= int(face.min()) <= int(face.max()) < pos.size(0):
        raise ShapeError("face", f"corners {int(face.min())} to {int(face.max())}", f"corners 0 to {pos.size(0) - 1}")
    if not bool(torch.isfinite(pos).all()):
        raise NumericalError(
            "pos", f"NaN or infinite coordinate of corner {int((~torch.isfinite(pos)).any(1).nonzero()[0])}"
        )


class SampleSurface(BaseTransform):
    """Replace a mesh (``pos``, ``face``) by points of its surface (``pos``, ``normal``), see :func:`sample_surface`.

    Args:
        num_points: Number of points, at least 1.
        seed: With a number every call draws the same random numbers; None takes torch's global ones.

    Raises:
        ConfigError: ``num_points`` is less than 1.
        ShapeError: The data are no mesh.

    Example:
        >>> corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
        >>> SampleSurface(64)(Data(pos=corners, face=torch.tensor([[0], [1], [2]])))
        Data(pos=[64, 3], normal=[64, 3])

    Cost: O(F + n log F) for F triangles and n points.
    """

    def __init__(self, num_points: int, seed: int | None = None) -> None:
        check_integer("num_points", num_points)
        self.num_points, self.seed = num_points, seed

    def forward(self, data: Data) -> Data:
        """Return ``data`` with points in place of the mesh."""
        if data.pos is None or data.face is None:
            raise ShapeError("data", f"attributes {data.keys()}", "a mesh with pos and face")
        generator = None if self.seed is None else torch.Generator(data.pos.device).manual_seed(self.seed)
        data.pos, data.normal, _ = sample_surface(data.pos, data.face, self.num_points, generator)
        del data.face
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_points})"
