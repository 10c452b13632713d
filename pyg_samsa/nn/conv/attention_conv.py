from __future__ import annotations

from torch import Tensor
from torch.nn import Linear, Module

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.attention import full_attention
from pyg_samsa.functional.ragged import RaggedIndex, inverse_permutation, resolve


class AttentionConv(Module):
    r"""Full softmax attention within each graph, from the `"Attention Is All You Need" <https://arxiv.org/abs/1706.03762>`_ paper, without padding.

    .. math::
        x' = W_o \, \mathrm{softmax}\bigl(Q K^\top / \sqrt{C}\bigr) V

    The baseline of `SAMSAConv`, with the same signature: a block takes either.

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        dropout: Probability that an attention weight is dropped in training, 0 to below 1.
        bias: Give every product a bias.

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

    def __init__(self, channels: int, heads: int = 8, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        if channels < 1 or heads < 1 or channels % heads:
            raise ConfigError("heads", heads, f"a divisor of channels = {channels}")
        if not 0 <= dropout < 1:
            raise ConfigError("dropout", dropout, "a probability from 0 to below 1")
        self.channels, self.heads, self.dropout = channels, heads, dropout
        self.query = Linear(channels, channels, bias=bias)
        self.key_value = Linear(channels, 2 * channels, bias=bias)
        self.out = Linear(channels, channels, bias=bias)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in (self.query, self.key_value, self.out):
            module.reset_parameters()

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        ptr: Tensor | RaggedIndex | None = None,
        batch_size: int | None = None,
        score_input: Tensor | None = None,
        pos: Tensor | None = None,
        normal: Tensor | None = None,
    ) -> Tensor:
        """Run the operator; arguments as in `SAMSAConv`.

        Args:
            x: Tokens [T, D].
            edge_index: Accepted and ignored.
            batch: Graph number of each token [T], in any order; None means one graph.
            ptr: Offsets [B+1] of graphs that lie one after the other, in place of ``batch``.
            batch_size: Number of graphs, where some at the end may be empty.
            score_input: Accepted and ignored: nothing is scored here.
            pos: Accepted and ignored.
            normal: Accepted and ignored.

        Returns:
            Tokens [T, D].
        """
        if x.dim() != 2 or x.size(1) != self.channels or not x.is_floating_point():
            raise ShapeError("x", f"{list(x.shape)} {x.dtype}", f"floats [T, {self.channels}]")
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size)
        if perm is not None:
            x = x[perm]
        query = self.query(x).view(-1, self.heads, self.channels // self.heads)
        key, value = self.key_value(x).view(-1, self.heads, 2 * self.channels // self.heads).chunk(2, dim=-1)
        out = self.out(
            full_attention(query, key, value, index, dropout=self.dropout if self.training else 0.0).flatten(1)
        )
        return out if perm is None else out[inverse_permutation(perm)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.channels}, heads={self.heads})"
