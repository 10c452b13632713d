from __future__ import annotations

from typing import Any

from pyg_samsa.nn.block import SAMSABlock
from pyg_samsa.nn.conv.flt_conv import FLTConv


class FLTBlock(SAMSABlock):
    r"""One transformer layer around `FLTConv`: the residuals, norms and feed-forward network of `SAMSABlock`, with linear attention.

    .. math::
        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{FLTConv}(\mathrm{RMSNorm}(x), r)\bigr)

        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{FFN}(\mathrm{RMSNorm}(x))\bigr)

    Args:
        channels: Channels D of a token.
        ffn_channels: Hidden channels of the feed-forward network; by default 4 D.
        dropout: Dropout in the feed-forward network, 0 to below 1.
        drop_path: Probability that a residual branch of a graph is dropped in training.
        rezero: ``"own"``: the block has its own :math:`\alpha`; ``"shared"``: it is handed in with every call.
        attn_dropout: ``dropout`` of `FLTConv`.
        **conv_kwargs: Other arguments of `FLTConv`, such as ``heads``, ``encoding`` and ``num_dims``.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*), positions [T, l]
        - **output:** tokens [T, D]

    Example:
        >>> import torch
        >>> block = FLTBlock(16, heads=4, num_dims=3)
        >>> block(torch.randn(30, 16), pos=torch.randn(30, 3)).shape
        torch.Size([30, 16])

    Cost: that of the operator and O(T D D_ff).
    """

    def __init__(
        self,
        channels: int,
        ffn_channels: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        rezero: str = "own",
        attn_dropout: float = 0.0,
        **conv_kwargs: Any,
    ) -> None:
        super().__init__(
            channels,
            ffn_channels,
            dropout,
            drop_path,
            rezero,
            conv=FLTConv(channels, dropout=attn_dropout, **conv_kwargs),
        )
