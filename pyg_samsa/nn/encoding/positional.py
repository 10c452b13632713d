"""Precomputed positional encodings of nodes, mapped to channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import Linear, Module
from torch_geometric.nn import BatchNorm

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.device_path import is_exporting
from pyg_samsa.functional.feature_scale import LARGEST
from pyg_samsa.nn.encoding.feature_encoder import check_finite
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int


class PositionalEncoder(Module):
    r"""Precomputed positional encodings of nodes, such as Laplacian eigenvectors, mapped to channels.

    .. math::
        h_i = W \, \mathrm{clip}\bigl(\mathrm{BatchNorm}(s_{b(i)} \odot \mathrm{pe}_i), -5, 5\bigr) + b

    As in `GraphGPS <https://arxiv.org/abs/2205.12454>`_, encodings are normalised over the batch, with running
    statistics in evaluation. The signs s of ``flip_signs`` are 1 or -1 in training, and 1 otherwise. Clipping is not in
    GraphGPS: an encoding that hardly varies in training, such as the probability to return after three steps where few
    molecules have rings of three atoms, would otherwise be a hundred deviations away in other molecules.

    Args:
        pe_channels: Width P of the encodings.
        channels: Channels D of a node.
        flip_signs: Whether to multiply each column of the encodings of each graph by a random sign in training, as
            eigenvectors need; or how many columns, from the first.

    Shapes:
        - **input:** encodings [N, P], graph numbers [N]
        - **output:** [N, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The encodings are missing or have another shape.
        NumericalError: An encoding is not finite.

    Example:
        >>> PositionalEncoder(4, 16)(torch.randn(3, 4), torch.tensor([0, 0, 1]), 2).shape
        torch.Size([3, 16])

    Cost: O(N P D).
    """

    def __init__(self, pe_channels: int, channels: int, flip_signs: bool | int = False) -> None:
        super().__init__()
        check_integer("pe_channels", pe_channels)
        check_integer("flip_signs", int(flip_signs), low=0, high=pe_channels)
        self.pe_channels = pe_channels
        self.flip_signs = pe_channels if flip_signs is True else int(flip_signs)
        """How many columns get a random sign in training."""
        self.norm = BatchNorm(pe_channels, allow_single_element=True)
        self.lin = Linear(pe_channels, channels)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.norm.reset_parameters()
        self.lin.reset_parameters()

    def forward(
        self, pe: Float[Tensor, "N P"] | None, graph: Int[Tensor, " N"], num_graphs: int
    ) -> Float[Tensor, "N D"]:
        """Return the encodings, mapped to channels.

        Args:
            pe: Encodings of the nodes.
            graph: Graph number of every node.
            num_graphs: Number of graphs.

        Example:
            >>> encoder = PositionalEncoder(2, 8).eval()
            >>> encoder(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), 1).shape  # no nodes
            torch.Size([0, 8])
        """
        pe = check_encodings(pe, graph.size(0), self.pe_channels)
        pe = pe.to(self.lin.weight.dtype)
        if self.training:
            pe = flip_columns(pe, self.flip_signs, graph, num_graphs)
        if not pe.size(0):
            return pe.new_zeros(0, self.lin.out_features)
        # PyG's layer looks at the number of nodes, which an exported program must not.
        norm = self.norm.module if is_exporting() else self.norm
        return self.lin(norm(pe).clamp(-LARGEST, LARGEST))


def check_encodings(pe: Float[Tensor, "N P"] | None, num_nodes: int, pe_channels: int) -> Float[Tensor, "N P"]:
    r"""Return positional encodings if there is one finite row of them for each node, :math:`\mathrm{pe} \in
    \mathbb{R}^{N \times P}`.

    Args:
        pe: Encodings of the nodes.
        num_nodes: Number of nodes N.
        pe_channels: Width P of the encodings.

    Raises:
        ShapeError: The encodings are missing or have another shape.
        NumericalError: An encoding is not finite.

    Example:
        >>> check_encodings(torch.zeros(3, 2), 3, 4)
        Traceback (most recent call last):
        pyg_samsa.errors.ShapeError: pe: got [3, 2], expected positional encodings [3, 4]
    """
    if pe is None or pe.shape != (num_nodes, pe_channels):
        hint = "Pass pe; in a config, set pe.kind." if pe is None else ""
        found = None if pe is None else list(pe.shape)
        raise ShapeError("pe", found, f"positional encodings [{num_nodes}, {pe_channels}]", hint=hint)
    check_finite("pe", pe)
    return pe


def flip_columns(
    pe: Float[Tensor, "N P"], count: int, graph: Int[Tensor, " N"], num_graphs: int
) -> Float[Tensor, "N P"]:
    r"""Multiply the first columns of the encodings of each graph by random signs, :math:`s_{b(i)} \odot \mathrm{pe}_i`.

    Args:
        pe: Encodings of the nodes.
        count: Number of columns, from the first, that get a sign; 0 to P.
        graph: Graph number of every node.
        num_graphs: Number of graphs.

    Example:
        >>> flipped = flip_columns(torch.ones(3, 4), 2, torch.tensor([0, 0, 1]), 2)
        >>> bool((flipped[0] == flipped[1]).all()), flipped[:, 2:].sum().item()
        (True, 6.0)
    """
    if not count:
        return pe
    signs = torch.randint(0, 2, (num_graphs, count), device=pe.device) * 2 - 1
    return pe * nn.functional.pad(signs, (0, pe.size(1) - count), value=1)[graph]
