"""Sinusoidal encodings of the place of a token in a sequence, a picture or a cloud."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.float64 import to_float64
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.options import check_integer, check_positive
from pyg_samsa.typing import Float, Int, Shaped


def sequence_positions(index: RaggedIndex) -> Int[Tensor, " T"]:
    r"""Return the place of every token within its own graph, counted from 0.

    .. math::
        p_t = t - \mathrm{ptr}_{b(t)}

    Args:
        index: Where each graph begins and ends.

    Returns:
        Places, int64.

    Example:
        >>> sequence_positions(RaggedIndex(torch.tensor([0, 3, 3, 5])))
        tensor([0, 1, 2, 0, 1])

    Cost: O(T).
    """
    return torch.arange(index.num_tokens, device=index.device) - index.ptr[index.batch]


def sinusoidal_positions(
    positions: Shaped[Tensor, " n"] | RaggedIndex,
    channels: int,
    *,
    max_period: float = 10000.0,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "n D"]:
    r"""Return the sinusoidal positions of `"Attention Is All You Need" <https://arxiv.org/abs/1706.03762>`_ (section
    3.5).

    .. math::
        \mathrm{PE}[p, 2k] = \sin\!\left(p \, P^{-2k/D}\right), \qquad
        \mathrm{PE}[p, 2k + 1] = \cos\!\left(p \, P^{-2k/D}\right), \qquad P = \texttt{max\_period}

    An odd number of channels ends with a sine. Angles are computed in float64, so that large positions lose no digits.

    Args:
        positions: Places p, real numbers or integers; or the index of a packed batch, whose tokens are counted from 0
            in every graph.
        channels: Channels D, at least 1.
        max_period: P, positive; wave lengths go from :math:`2\pi` to nearly :math:`2\pi P`.
        dtype: Floating type of the result; by default torch's default type.

    Shapes:
        - **positions:** [n], or an index of T tokens
        - **output:** [n, D], or [T, D]

    Raises:
        ConfigError: ``channels`` or ``max_period`` is not positive.
        ShapeError: ``positions`` is not a vector.

    Example:
        >>> sinusoidal_positions(torch.arange(2), 4)
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]])
        >>> sinusoidal_positions(RaggedIndex(torch.tensor([0, 2, 3])), 2)[:, 1]
        tensor([1.0000, 0.5403, 1.0000])

    Cost: O(n D); for an index, sines are computed for the longest graph alone and gathered for the others.
    """
    check_integer("channels", channels)
    check_positive("max_period", max_period)
    if isinstance(positions, RaggedIndex):
        table = sinusoidal_positions(
            torch.arange(positions.max_size, device=positions.device), channels, max_period=max_period, dtype=dtype
        )
        return table[sequence_positions(positions)]
    if positions.dim() != 1:
        raise ShapeError("positions", list(positions.shape), "[n], one place a token")
    wide = to_float64(positions)
    pair = torch.arange(0, channels, 2, dtype=torch.float64, device=wide.device)
    angles = wide[:, None] * torch.exp(pair * (-math.log(max_period) / channels))
    rows = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :channels]
    return rows.to(torch.get_default_dtype() if dtype is None else dtype).to(positions.device)


def fourier_positions(place: Float[Tensor, "n l"], octaves: int) -> Float[Tensor, "n F"]:
    r"""Return coordinates and their sinusoids of decreasing wave length, for places in a picture or a cloud.

    .. math::
        \phi(p) = \bigl[\, p_c, \; \sin(2^j \pi p_c), \; \cos(2^j \pi p_c) \,\bigr]_{c,\; 0 \le j < J}

    These are the features of `"NeRF" <https://arxiv.org/abs/2003.08934>`_ (equation 4), with the coordinates in front.

    Args:
        place: Coordinates, about -1 to 1, floats [n, l].
        octaves: Number J of wave lengths 2, 1, 1/2, ..., at least 0.

    Returns:
        Features [n, l (1 + 2 J)]: coordinates, all sines, all cosines.

    Raises:
        ConfigError: ``octaves`` is negative.
        ShapeError: ``place`` is not a matrix of floats.

    Example:
        >>> fourier_positions(torch.tensor([[1 / 3, 0.0]]), 1)
        tensor([[0.3333, 0.0000, 0.8660, 0.0000, 0.5000, 1.0000]])

    Cost: O(n l J).
    """
    check_integer("octaves", octaves, low=0)
    if place.dim() != 2 or not place.is_floating_point():
        raise ShapeError("place", f"{list(place.shape)} {place.dtype}", "floats [n, l]")
    turns = torch.pi * 2.0 ** torch.arange(octaves, dtype=place.dtype, device=place.device)
    angles = (place.unsqueeze(-1) * turns).flatten(1)
    return torch.cat([place, angles.sin(), angles.cos()], dim=1)
