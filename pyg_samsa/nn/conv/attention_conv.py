from __future__ import annotations

from typing import Any

from torch import Tensor

from pyg_samsa.functional.attention import full_attention
from pyg_samsa.nn.conv.attention_weights import AttentionWeights, identity_values, weights_of_all
from pyg_samsa.nn.conv.operators import register_operator
from pyg_samsa.nn.conv.token_conv import AttentionDropout, Bias, Heads, TokenContext, TokenConv
from pyg_samsa.typing import Float


@register_operator("full")
class AttentionConv(TokenConv):
    r"""Full softmax attention within each graph, from the
    `"Attention Is All You Need" <https://arxiv.org/abs/1706.03762>`_ paper.

    .. math::
        x' = W_o \, \mathrm{softmax}\bigl(Q K^\top / \sqrt{C}\bigr) V

    Graphs are not padded. It is the baseline for `SAMSAConv` and has the same signature.

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        dropout: Probability that an attention weight is dropped in training, 0 to below 1.
        bias: Whether the linear layers have a bias.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*)
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other.

    Example:
        >>> import torch
        >>> conv = AttentionConv(16, heads=4)
        >>> x, batch = torch.randn(30, 16), torch.arange(30) // 10
        >>> conv(x, batch=batch).shape
        torch.Size([30, 16])

    Cost: O(T D^2 + sum of n^2 D over the graphs) time, O(T D) memory.
    """

    def __init__(self, channels: int, heads: Heads = 8, dropout: AttentionDropout = 0.0, bias: Bias = True) -> None:
        super().__init__(channels, heads, dropout, bias)

    def attend(self, x: Float[Tensor, "T D"], context: TokenContext) -> tuple[Float[Tensor, "T H C"], Any]:
        r"""Let every token attend to all tokens of its graph.

        .. math::
            o_t = \mathrm{softmax}\bigl(q_t K_{b(t)}^\top / \sqrt{C}\bigr) V_{b(t)}
        """
        query = self.split_heads(self.query(x))
        key, value = self.split_heads(self.key_value(x)).chunk(2, dim=-1)
        return full_attention(query, key, value, context.index, dropout=self.attention_dropout), None

    def attention_weights(self, x: Float[Tensor, "T D"], context: TokenContext, samples: Any) -> AttentionWeights:
        """Return the weights of all pairs of tokens of a graph: [2, M] and [M, H] with M the sum of n^2."""
        query = self.split_heads(self.query(x))
        key, _ = self.split_heads(self.key_value(x)).chunk(2, dim=-1)
        index = context.index
        return weights_of_all(full_attention(query, key, identity_values(index, self.heads, x.dtype), index), index)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels}, heads={self.heads})"
