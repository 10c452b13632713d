from __future__ import annotations

from pyg_samsa.nn.conv.flt_conv import Causal, FLTConv, NumFeatures, Redraw
from pyg_samsa.nn.conv.operators import register_operator
from pyg_samsa.nn.conv.token_conv import AttentionDropout, Bias, Heads


@register_operator("performer")
class PerformerConv(FLTConv):
    r"""Linear attention with positive orthogonal random features: `FLTConv` without positions.

    From the `"Rethinking Attention with Performers" <https://arxiv.org/abs/2009.14794>`_ paper.

    .. math::
        x' \approx W_o \, \mathrm{softmax}\bigl(Q K^\top / \sqrt{C}\bigr) V

    Args:
        channels: Channels D of a token, in and out; a multiple of ``heads``.
        heads: Number of heads H.
        num_features: Number M of positive random features of a head.
        causal: Whether a token attends only to itself and the tokens before it in its graph.
        redraw: Number of forward passes in training after which random features are drawn again; None for never.
        dropout: Probability that a value is dropped in training, for all queries of its graph and head, 0 to below 1.
        bias: Whether the linear layers have a bias.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*)
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: The inputs do not fit each other.

    Example:
        >>> import torch
        >>> conv = PerformerConv(16, heads=4)
        >>> x, batch = torch.randn(30, 16), torch.arange(30) // 10
        >>> conv(x, batch=batch).shape
        torch.Size([30, 16])

    Cost: O(T D^2 + T M D) time and O(T D) memory; O(T H M) memory on devices other than the CPU or with ``causal``.
    """

    def __init__(
        self,
        channels: int,
        heads: Heads = 8,
        num_features: NumFeatures = 64,
        causal: Causal = False,
        redraw: Redraw = None,
        dropout: AttentionDropout = 0.0,
        bias: Bias = True,
    ) -> None:
        super().__init__(
            channels,
            heads,
            encoding="none",
            num_features=num_features,
            causal=causal,
            redraw=redraw,
            dropout=dropout,
            bias=bias,
        )
