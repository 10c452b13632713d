"""The layers of Graphormer, and the blocks of GPS with its attention."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import GELU, Dropout, LayerNorm, Linear, Module, Sequential
from torch.nn.functional import dropout as drop
from torch_geometric.nn import GPSConv
from torch_geometric.nn.inits import reset

from pyg_samsa.functional.graph_pairs import PairBias
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.conv.biased_attention import BiasedAttention
from pyg_samsa.typing import Float, Int


class GraphormerLayer(Module):
    r"""A layer of Graphormer: biased attention and an MLP as wide as the tokens, each after a layer norm.

    .. math::
        h = x + \mathrm{dropout}\bigl(\mathrm{Attention}(\mathrm{LN}(x), b)\bigr), \qquad
        x' = h + \mathrm{dropout}\bigl(W_2 \, \mathrm{dropout}(\mathrm{GELU}(W_1 \, \mathrm{LN}(h)))\bigr)

    from `"Do Transformers Really Perform Bad for Graph Representation?" <https://arxiv.org/abs/2106.05234>`_.

    Args:
        channels: Channels D, a multiple of ``heads``.
        heads: Number of heads H.
        dropout: Dropout of both branches, 0 to below 1.
        attn_dropout: Dropout of the attention weights, 0 to below 1.
        mlp_dropout: Dropout within the MLP, 0 to below 1.

    Shapes:
        - **input:** tokens [T, D], sorted by graph
        - **output:** tokens [T, D]

    Example:
        >>> import torch
        >>> layer, index = GraphormerLayer(8, heads=2), RaggedIndex(torch.tensor([0, 2, 5]))
        >>> layer(torch.randn(5, 8), index).shape
        torch.Size([5, 8])

    Cost: O(T D^2 + sum of n^2 D) time, and O(sum of n^2 H) memory.
    """

    def __init__(
        self, channels: int, heads: int, dropout: float = 0.0, attn_dropout: float = 0.0, mlp_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.norm = LayerNorm(channels)
        self.attention = BiasedAttention(channels, heads, attn_dropout)
        self.dropout = Dropout(dropout)
        wide = [Linear(channels, channels), GELU(), Dropout(mlp_dropout), Linear(channels, channels), Dropout(dropout)]
        self.mlp = Sequential(LayerNorm(channels), *wide)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for part in (self.norm, self.attention, self.mlp):
            reset(part)

    def forward(
        self, x: Float[Tensor, "T D"], index: RaggedIndex, bias: PairBias | None = None
    ) -> Float[Tensor, "T D"]:
        r"""Return the new tokens.

        .. math::
            h = x + \mathrm{dropout}\bigl(\mathrm{Attention}(\mathrm{LN}(x), b)\bigr)

        Args:
            x: Tokens.
            index: Where each graph begins and ends.
            bias: Bias of the attention, see `BiasedAttention`.
        """
        h = x + self.dropout(self.attention(self.norm(x), index, bias))
        return h + self.mlp(h)


class BiasedGPSConv(GPSConv):
    r"""PyG's block of GPS with `BiasedAttention`.

    .. math::
        h = \mathrm{norm}(x + \mathrm{conv}(x, e)) + \mathrm{norm}(x + \mathrm{Attention}(x, b)), \qquad
        x' = \mathrm{norm}(h + \mathrm{MLP}(h))

    Args:
        channels: Channels D, a multiple of ``heads``.
        conv: Message passing beside the attention, or None.
        heads: Number of heads H.
        attn_dropout: Dropout of the attention weights, 0 to below 1.
        options: Further arguments of ``GPSConv``.

    Example:
        >>> import torch
        >>> block, index = BiasedGPSConv(8, None, 2), RaggedIndex(torch.tensor([0, 3]))
        >>> block(torch.randn(3, 8), torch.empty(2, 0, dtype=torch.long), index=index).shape
        torch.Size([3, 8])

    Cost: That of the message passing, O(T D^2 + sum of n^2 D) time, and O(sum of n^2 H) memory.
    """

    def __init__(
        self, channels: int, conv: Module | None, heads: int, attn_dropout: float = 0.0, **options: Any
    ) -> None:
        super().__init__(channels, conv, heads, **options)  # type: ignore[arg-type]
        self.attn_type = "biased"
        self.attn = BiasedAttention(channels, heads, attn_dropout)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for part in (self.conv, self.attn, self.mlp, self.norm1, self.norm2, self.norm3):
            reset(part)

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "T D"],
        edge_index: Int[Tensor, "2 E"],
        *,
        index: RaggedIndex,
        bias: PairBias | None = None,
        **edges: Any,
    ) -> Float[Tensor, "T D"]:
        r"""Return the new tokens.

        .. math::
            x' = \mathrm{norm}(h + \mathrm{MLP}(h))

        Args:
            x: Tokens, sorted by graph.
            edge_index: Edges between tokens.
            index: Where each graph begins and ends.
            bias: Bias of the attention, see `BiasedAttention`.
            edges: Further arguments of the message passing.
        """

        def branch(out: Tensor, norm: Module | None) -> Tensor:
            h = x + drop(out, self.dropout, self.training)
            return h if norm is None else norm(h)

        h = branch(self.attn(x, index, bias), self.norm2)
        if self.conv is not None:
            h = h + branch(self.conv(x, edge_index, **edges), self.norm1)
        h = h + self.mlp(h)
        return h if self.norm3 is None else self.norm3(h)
