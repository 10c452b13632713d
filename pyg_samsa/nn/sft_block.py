from __future__ import annotations

from torch.nn import Module

from pyg_samsa.nn.block import SAMSABlock
from pyg_samsa.nn.conv.sft_conv import SFTConv


class SFTBlock(SAMSABlock):
    r"""One transformer layer of `SFT <https://arxiv.org/abs/2408.05822>`_: a `SAMSABlock` around `SFTConv`.

    .. math::
        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{SFTConv}(\mathrm{RMSNorm}(x), p)\bigr)

        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{FFN}(\mathrm{RMSNorm}(x))\bigr)

    Args:
        channels: Channels D of a token.
        ffn_channels: Hidden channels of the feed-forward network; by default 4 D.
        dropout: Dropout in the feed-forward network, 0 to below 1.
        drop_path: Probability that a residual branch of a graph is dropped in training.
        rezero: ``"own"`` or ``"shared"``, see `SAMSABlock`.
        conv: The attention operator; by default an `SFTConv` with ``conv_kwargs``.
        attn_dropout: Dropout of attention weights, ``dropout`` of `SFTConv`.
        **conv_kwargs: Arguments of `SFTConv`, such as ``heads``, ``num_samples`` and ``encoding``.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*), positions [T, l] and normals [T, l] where the encoding needs them
        - **output:** tokens [T, D]

    Example:
        >>> import torch
        >>> block = SFTBlock(16, heads=4, num_samples=8, encoding="dist")
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
        conv: Module | None = None,
        attn_dropout: float = 0.0,
        **conv_kwargs: object,
    ) -> None:
        conv = SFTConv(channels, dropout=attn_dropout, **conv_kwargs) if conv is None else conv  # type: ignore[arg-type]
        super().__init__(channels, ffn_channels, dropout, drop_path, rezero, conv)
