"""The layer of SAN, and what all of its layers share: the vector of pairs of nodes that no edge joins."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Dropout, Linear, Module, Parameter, ReLU, Sequential
from torch_geometric.nn.inits import reset

from pyg_samsa.functional.graph_pairs import GraphPairs
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.conv.san_attention import OtherPairs, SANAttention, other_pairs
from pyg_samsa.typing import Float, Int


class FullGraph(Module):
    r"""The pairs of nodes that no edge joins, with one learned vector of features :math:`e` for all of them.

    .. math::
        \{(i, j) : i \ne j, \; (j \to i) \notin E\}, \qquad e_{ij} = e

    Args:
        channels: Channels D.

    Example:
        >>> full = FullGraph(8)
        >>> [table.sum().item() for table in full(torch.tensor([[0], [1]]), RaggedIndex(torch.tensor([0, 3]))).tables]
        [5]

    Cost: O(E + P), with P the sum of n^2 over the graphs.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw a new vector from the standard normal distribution."""
        torch.nn.init.normal_(self.features)

    def forward(self, edge_index: Int[Tensor, "2 E"], index: RaggedIndex) -> OtherPairs:
        """Return the pairs.

        Args:
            edge_index: Edges between nodes that are sorted by graph.
            index: Where each graph begins and ends.
        """
        pairs = GraphPairs(index)
        return OtherPairs(pairs, other_pairs(pairs, edge_index), self.features)


class SANLayer(Module):
    r"""A layer of SAN: `SANAttention` and an MLP, each with a residual and followed by a norm.

    .. math::
        h = \mathrm{norm}\bigl(x + W_O \, \mathrm{dropout}(\mathrm{Attention}(x, e))\bigr), \qquad
        x' = \mathrm{norm}\bigl(h + W_2 \, \mathrm{dropout}(\mathrm{ReLU}(W_1 h))\bigr)

    from `"Rethinking Graph Transformers with Spectral Attention" <https://arxiv.org/abs/2106.03893>`_.

    Args:
        attention: The attention.
        norms: A norm for each of both branches, or None for each.
        dropout: Dropout, 0 to below 1.
        residual: Whether both branches are residual.

    Shapes:
        - **input:** nodes [N, D], sorted by graph, edges [2, E], features of edges [E, D] (*optional*)
        - **output:** nodes [N, D]

    Example:
        >>> layer = SANLayer(SANAttention(8, heads=2, full_graph=False), (None, None))
        >>> layer(torch.randn(3, 8), torch.tensor([[0, 1], [1, 2]])).shape
        torch.Size([3, 8])

    Cost: That of the attention and O(N D^2).
    """

    def __init__(
        self,
        attention: SANAttention,
        norms: tuple[Module | None, Module | None],
        dropout: float = 0.0,
        residual: bool = True,
    ) -> None:
        super().__init__()
        channels = attention.channels
        self.attention, self.residual = attention, residual
        self.norm1, self.norm2 = norms
        self.out = Sequential(Dropout(dropout), Linear(channels, channels))
        self.mlp = Sequential(Linear(channels, 2 * channels), ReLU(), Dropout(dropout), Linear(2 * channels, channels))

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in (self.attention, self.norm1, self.norm2, self.out, self.mlp):
            reset(module)

    def forward(
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Float[Tensor, "E D"] | None = None,
        others: OtherPairs | None = None,
    ) -> Float[Tensor, "N D"]:
        r"""Return the new nodes; arguments as for `SANAttention`.

        .. math::
            h = \mathrm{norm}\bigl(x + W_O \, \mathrm{dropout}(\mathrm{Attention}(x, e))\bigr)
        """
        h = self.out(self.attention(x, edge_index, edge_attr, others))
        h = x + h if self.residual else h
        h = h if self.norm1 is None else self.norm1(h)
        out = self.mlp(h)
        out = h + out if self.residual else out
        return out if self.norm2 is None else self.norm2(out)
