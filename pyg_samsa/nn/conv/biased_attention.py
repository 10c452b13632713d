from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Linear, Module

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.attention import full_attention
from pyg_samsa.functional.graph_pairs import PairBias
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.options import check_integer, check_probability
from pyg_samsa.typing import Float


class BiasedAttention(Module):
    r"""Full attention within each graph with a bias for each pair of tokens, as in Graphormer.

    .. math::
        x'_i = W_o \sum_j \mathrm{softmax}_j\bigl(q_i^\top k_j / \sqrt{C} + b_{ij}\bigr) v_j + b_o, \qquad
        [q_i, k_i, v_i] = W x_i + b

    from `"Do Transformers Really Perform Bad for Graph Representation?" <https://arxiv.org/abs/2106.05234>`_. Without a
    bias, this is PyTorch's ``MultiheadAttention`` within each graph.

    Args:
        channels: Channels D, a multiple of ``heads``.
        heads: Number of heads H.
        dropout: Probability that an attention weight is dropped in training, 0 to below 1.

    Shapes:
        - **input:** tokens [T, D], sorted by graph
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> attention, index = BiasedAttention(8, heads=2), RaggedIndex(torch.tensor([0, 2, 5]))
        >>> attention(torch.randn(5, 8), index).shape
        torch.Size([5, 8])

    Cost: O(T D^2 + sum of n^2 D) time, and O(sum of n^2 H) memory.
    """

    def __init__(self, channels: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        check_integer("channels", channels)
        check_integer("heads", heads)
        check_probability("dropout", dropout)
        if channels % heads:
            raise ConfigError("heads", heads, f"a divisor of channels = {channels}")
        self.channels, self.heads, self.dropout = channels, heads, dropout
        self.projection = Linear(channels, 3 * channels)
        self.out = Linear(channels, channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, as PyTorch's ``MultiheadAttention`` does."""
        torch.nn.init.xavier_uniform_(self.projection.weight)
        torch.nn.init.zeros_(self.projection.bias)
        self.out.reset_parameters()
        torch.nn.init.zeros_(self.out.bias)

    def forward(
        self, x: Float[Tensor, "T D"], index: RaggedIndex, bias: PairBias | None = None
    ) -> Float[Tensor, "T D"]:
        r"""Return the new tokens.

        .. math::
            x'_i = W_o \sum_j \mathrm{softmax}_j\bigl(q_i^\top k_j / \sqrt{C} + b_{ij}\bigr) v_j + b_o

        Args:
            x: Tokens.
            index: Where each graph begins and ends.
            bias: Of the pairs of ``index`` and the heads, see `pyg_samsa.functional.graph_pairs.pair_bias`.

        Example:
            >>> from pyg_samsa.functional.graph_pairs import GraphPairs, pair_bias
            >>> pairs = GraphPairs(RaggedIndex(torch.tensor([0, 2, 5])))
            >>> bias = pair_bias(pairs, torch.randn(len(pairs), 2))
            >>> BiasedAttention(8, heads=2)(torch.randn(5, 8), pairs.index, bias).shape
            torch.Size([5, 8])
        """
        query, key, value = self.projection(x).unflatten(1, (3, self.heads, self.channels // self.heads)).unbind(1)
        dropout = self.dropout if self.training else 0.0
        mixed = full_attention(query, key, value, index, dropout=dropout, bias=bias)
        return self.out(mixed.flatten(1))

    def extra_repr(self) -> str:
        """Return the sizes as they appear in the ``repr``.

        Example:
            >>> BiasedAttention(8, heads=2).extra_repr()
            '8, heads=2'
        """
        return f"{self.channels}, heads={self.heads}"
