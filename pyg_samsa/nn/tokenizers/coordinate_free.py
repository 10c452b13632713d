from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import GELU, Linear, Module, Parameter, Sequential
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.codes import gaussian_codes
from pyg_samsa.functional.float64 import to_float64
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.tokenizers.graph_bridge import sigma_to_raw
from pyg_samsa.options import check_integer, check_positive
from pyg_samsa.typing import Float, Int

RADIUS_HARMONICS = 8


class CoordinateFree(Module):
    r"""Tokens of points that do not depend on coordinates: a learned vector and a random code.

    From `SFT <https://arxiv.org/abs/2408.05822>`_.

    .. math::
        h_i = \mathrm{MLP}(u + \varepsilon_i \odot \sigma), \qquad \varepsilon_i \sim N(0, I_D)

    with a learned vector :math:`u` (a linear layer applied to ones in the paper), and :math:`\sigma` the softplus of a
    learned vector, as in `GraphBridge`. Positions enter only through the relative encoding of `SFTConv`. The output
    then does not change when a cloud is moved, rotated or mirrored; such a network cannot distinguish a left hand from
    a right hand.

    In training the codes are fresh noise. In evaluation they are smooth functions of the distance :math:`r_i` to the
    centroid of the cloud,

    .. math::
        \varepsilon_i = \sqrt{2} \cos(\omega r_i + b), \qquad \omega \sim N(0, f^2), \quad b \sim U(0, 2 \pi),

    so they are deterministic, permute with the points, depend only on the cloud, and do not change when it is moved or
    rotated. Points whose distances differ by more than about :math:`1 / f` have independent codes with mean 0 and
    variance 1; points at the same distance share a code.

    With ``centroid_distance`` [ours], tokens also contain their distance to the centroid, as a learned linear map of
    :math:`\sin(\tfrac{\pi}{2} k r_i)` and :math:`\cos(\tfrac{\pi}{2} k r_i)` with :math:`k = 1 \dots 8`. This does not
    change under rotations either, and a network that starts with more than noise learns in far fewer steps.

    Args:
        channels: Channels D of a token.
        sigma: Initial standard deviation of the codes, above 0; it is learned.
        frequency: Standard deviation f of the frequencies, above 0, in the inverse of the unit of the positions; the
            default is for clouds of about unit size. It multiplies rounding errors of positions.
        centroid_distance: Whether tokens contain their distance to the centroid.

    Shapes:
        - **input:** positions [N, l], graph numbers [N] (*optional*)
        - **output:** tokens [N, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other.

    Example:
        >>> encoder = CoordinateFree(16).eval()
        >>> pos = torch.randn(5, 3, dtype=torch.float64)
        >>> bool((encoder(pos) - encoder(-pos + 2)).abs().max() < 1e-6)
        True

    Cost: O(N D^2).
    """

    def __init__(
        self, channels: int, sigma: float = 1.0, frequency: float = 30.0, centroid_distance: bool = False
    ) -> None:
        super().__init__()
        check_integer("channels", channels)
        check_positive("sigma", sigma)
        check_positive("frequency", frequency)
        self.channels, self.initial_sigma, self.frequency = channels, sigma, frequency
        self.mean = Parameter(torch.empty(channels))
        self.raw_sigma = Parameter(torch.empty(channels))
        self.distance_encoder = Linear(2 * RADIUS_HARMONICS, channels, bias=False) if centroid_distance else None
        self.mlp = Sequential(Linear(channels, 4 * channels), GELU(), Linear(4 * channels, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights and set sigma to its initial value."""
        torch.nn.init.uniform_(self.mean, -1, 1)
        torch.nn.init.constant_(self.raw_sigma, sigma_to_raw(self.initial_sigma))
        reset(self.mlp)
        if self.distance_encoder is not None:
            self.distance_encoder.reset_parameters()

    def forward(
        self,
        pos: Float[Tensor, "N l"],
        batch: Int[Tensor, " N"] | RaggedIndex | None = None,
        *,
        ptr: Int[Tensor, " offsets"] | RaggedIndex | None = None,
        batch_size: int | None = None,
        draw: int = 0,
    ) -> Float[Tensor, "N D"]:
        """Return the tokens.

        Args:
            pos: Positions, in a unit in which a cloud has a size of about 1.
            batch: Graph number of each point, in any order; None means one graph.
            ptr: Offsets [B+1] of graphs that lie one after the other; replaces ``batch``.
            batch_size: Number of graphs, if some at the end may be empty.
            draw: Number of the deterministic draw of frequencies in evaluation, from 0.

        Raises:
            ShapeError: The inputs do not fit each other.

        Example:
            >>> CoordinateFree(16)(torch.randn(5, 3), torch.tensor([0, 1, 0, 1, 1])).shape
            torch.Size([5, 16])
        """
        if pos.dim() != 2 or pos.size(1) < 1 or not pos.is_floating_point():
            raise ShapeError("pos", f"{list(pos.shape)} {pos.dtype}", "floats [N, l]")
        like = self.mean
        codes = torch.randn(pos.size(0), self.channels, dtype=like.dtype, device=pos.device) if self.training else None
        if codes is None or self.distance_encoder is not None:
            index, perm = resolve(pos.size(0), pos.device, batch, ptr, batch_size)
            distance = _radius(pos, batch if perm is not None and isinstance(batch, Tensor) else index.batch, index)
        if codes is None:
            codes = self.eval_codes(distance, draw).to(like.dtype).to(like.device)
        x = self.mean + codes * F.softplus(self.raw_sigma)
        if self.distance_encoder is not None:
            harmonics = torch.arange(1, RADIUS_HARMONICS + 1, device=distance.device)
            angles = distance.unsqueeze(1) * (math.pi / 2 * harmonics)
            waves = torch.cat([angles.sin(), angles.cos()], dim=1).to(like.dtype).to(like.device)
            x = x + self.distance_encoder(waves)
        return self.mlp(x)

    def eval_codes(self, radius: Float[Tensor, " N"], draw: int = 0) -> Float[Tensor, "N D"]:
        """Return the codes of points in evaluation, in the precision of ``radius``.

        Args:
            radius: Distance of each point to the centroid of its cloud.
            draw: Number of the deterministic draw of frequencies, from 0.

        Example:
            >>> codes = CoordinateFree(16).eval_codes(torch.tensor([0.5, 0.5, 0.9]))
            >>> torch.equal(codes[0], codes[1]), torch.equal(codes[0], codes[2])
            (True, False)
        """
        numbers = gaussian_codes(torch.arange(self.channels, device=radius.device), 2, draw=draw, dtype=torch.float64)
        turns, phase = numbers[:, 0] * self.frequency, torch.special.ndtr(numbers[:, 1]) * (2 * math.pi)
        return math.sqrt(2) * torch.cos(radius.unsqueeze(1) * turns.to(radius.dtype) + phase.to(radius.dtype))

    def __repr__(self) -> str:
        distance = self.distance_encoder is not None
        return f"{type(self).__name__}({self.channels}, frequency={self.frequency}, centroid_distance={distance})"


def _radius(pos: Tensor, graph: Tensor, index: RaggedIndex) -> Tensor:
    """Return the distance of every point to the centroid of its cloud [N].

    It is float64, because the frequencies multiply rounding errors; see `to_float64` for devices without it.
    """
    pos = to_float64(pos)
    graph, sizes = graph.to(pos.device), index.ptr.diff().clamp_min(1).to(pos.device)
    total = torch.zeros(index.num_graphs, pos.size(1), dtype=pos.dtype, device=pos.device).index_add(0, graph, pos)
    centroid = total / sizes.unsqueeze(1)
    return torch.linalg.vector_norm(pos - centroid[graph], dim=1)
