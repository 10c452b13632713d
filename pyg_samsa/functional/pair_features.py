"""Features of pairs of tokens that do not change when the cloud of tokens is moved or rotated."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError, check_choice
from pyg_samsa.typing import Float

PAIR_FEATURES = {"none": 0, "dist": 1, "dist_normal": 2, "field": 3}
"""Relative encodings and their number of features f."""


def pair_features(
    encoding: str,
    place: Float[Tensor, "... n g"],
    other: Float[Tensor, "... K g"],
    field: Float[Tensor, "5"] | None = None,
) -> Float[Tensor, "... f n K"]:
    r"""Return features of pairs of tokens that depend on distances and angles alone.

    From `SFT <https://arxiv.org/abs/2408.05822>`_ (relative positional encoding).

    With :math:`r = \lVert p_i - p_j \rVert` and normals :math:`n`,

    .. math::
        \mathrm{dist}: \; \phi_{ij} = [r^2], \qquad
        \mathrm{dist\_normal}: \; \phi_{ij} = [r^2, \; n_i \cdot n_j], \qquad
        \mathrm{field}: \; \phi_{ij} =
            \Bigl[\tfrac{1}{\min(a r, L_1) + 1}, \; \min(b r, L_2), \; \tfrac{1}{(c r)^2 + 1}\Bigr].

    Args:
        encoding: ``"dist"``, ``"dist_normal"`` or ``"field"``.
        place: Positions p of the first tokens, g = l numbers each; for ``"dist_normal"`` followed by their normals, g =
            2 l.
        other: The same for the second tokens. Leading dimensions broadcast.
        field: The positive numbers a, b, c, :math:`L_1`, :math:`L_2` of ``"field"``.

    Returns:
        Features, f = ``PAIR_FEATURES[encoding]`` of them. At :math:`r = 0` the gradient of the distance is 0.

    Raises:
        ConfigError: Unknown encoding.
        ShapeError: The tensors do not fit each other.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> pair_features("dist", points, points)
        tensor([[[ 0., 25.],
                 [25.,  0.]]])

    Cost: O(n K l) time, O(n K) memory.
    """
    check_choice("encoding", encoding, tuple(name for name, count in PAIR_FEATURES.items() if count))
    if place.size(-1) != other.size(-1) or place.size(-1) < 1 or (encoding == "dist_normal" and place.size(-1) % 2):
        raise ShapeError(
            "other", list(other.shape), f"as many coordinates as in {list(place.shape)}; an even number for dist_normal"
        )
    coordinates = list(zip(place.unsqueeze(-2).unbind(-1), other.unsqueeze(-3).unbind(-1), strict=True))
    count = len(coordinates) // 2 if encoding == "dist_normal" else len(coordinates)
    square = torch.stack([(first - second).square() for first, second in coordinates[:count]]).sum(0)
    if encoding == "dist":
        return square.unsqueeze(-3)
    if encoding == "dist_normal":
        cosine = torch.stack([first * second for first, second in coordinates[count:]]).sum(0)
        return torch.stack([square, cosine], dim=-3)
    if field is None or field.shape != (5,):
        raise ShapeError("field", None if field is None else list(field.shape), "[5], the numbers a, b, c, L1, L2")
    # The root of zero has no gradient; of a clamped zero it is zero.
    r = square.clamp_min(torch.finfo(square.dtype).tiny).sqrt()
    a, b, c, first_limit, second_limit = field.unbind()
    near = 1 / (torch.minimum(a * r, first_limit) + 1)
    return torch.stack([near, torch.minimum(b * r, second_limit), 1 / ((c * r).square() + 1)], dim=-3)
