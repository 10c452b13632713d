from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.functional.fused import residual
from pyg_samsa.functional.ragged import RaggedIndex, resolve
from pyg_samsa.nn.conv.operators import make_operator
from pyg_samsa.nn.drop_path import DropPath
from pyg_samsa.nn.feed_forward import FeedForward
from pyg_samsa.nn.norm import RMSNorm
from pyg_samsa.typing import Float, Int, Shaped

REZERO = ("own", "shared")


class SAMSABlock(Module):
    r"""One transformer block of `SAMSA <https://arxiv.org/abs/2408.05391>`_ (Algorithm 1): attention, then a
    feed-forward network.

    .. math::
        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{Conv}(\mathrm{RMSNorm}(x))\bigr)

        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{FFN}(\mathrm{RMSNorm}(x))\bigr)

    :math:`\alpha` is a scalar that starts at zero (`ReZero <https://arxiv.org/abs/2003.04887>`_). The paper shares one
    scalar among all layers.

    Args:
        channels: Channels D of a token.
        ffn_channels: Hidden channels of the feed-forward network; by default 4 D.
        dropout: Dropout in the feed-forward network, 0 to below 1.
        drop_path: Probability that a residual branch of a graph is dropped in training.
        rezero: ``"own"``: the block has its own :math:`\alpha`; ``"shared"``: every call is passed one.
        conv: The attention operator: a name of a registered operator (``"samsa"``, ``"sft"``, ``"flt"``, ``"full"``,
            ``"performer"``), or any module with the signature of `SAMSAConv`.
        **conv_kwargs: Arguments of the operator given by name, such as ``heads``, ``num_samples`` and ``encoding``; its
            ``dropout`` is called ``attn_dropout`` here.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*), positions and normals [T, l] (*optional*)
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range, or the operator does not have it.

    Example:
        >>> block = SAMSABlock(16, heads=4, num_samples=8)
        >>> x = torch.randn(30, 16)
        >>> bool((block(x) == x).all())  # alpha starts at zero
        True
        >>> SAMSABlock(16, conv="sft", heads=4, encoding="dist")(x, pos=torch.randn(30, 3)).shape
        torch.Size([30, 16])

    Cost: The cost of the operator plus O(T D D_ff).
    """

    def __init__(
        self,
        channels: int,
        ffn_channels: int | None = None,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        rezero: str = "own",
        conv: str | Module = "samsa",
        **conv_kwargs: Any,
    ) -> None:
        super().__init__()
        check_choice("rezero", rezero, REZERO)
        if isinstance(conv, Module):
            if conv_kwargs:
                name = next(iter(conv_kwargs))
                raise ConfigError(name, conv_kwargs[name], "nothing, because the operator was passed as a module")
        else:
            if "attn_dropout" in conv_kwargs:
                conv_kwargs["dropout"] = conv_kwargs.pop("attn_dropout")
            conv = make_operator(conv, channels, **conv_kwargs)
        self.conv_norm = RMSNorm(channels)
        self.conv = conv
        self.drop_path = DropPath(drop_path)
        self.ffn = FeedForward(channels, ffn_channels, dropout)
        self.alpha = Parameter(torch.zeros(())) if rezero == "own" else None

    def reset_parameters(self) -> None:
        r"""Draw new weights and set the block's own :math:`\alpha` to zero."""
        for module in (self.conv_norm, self.conv, self.ffn):
            reset(module)
        if self.alpha is not None:
            torch.nn.init.zeros_(self.alpha)

    def forward(
        self,
        x: Float[Tensor, "T D"],
        edge_index: Tensor | None = None,
        batch: Int[Tensor, " T"] | None = None,
        *,
        ptr: Int[Tensor, " offsets"] | RaggedIndex | None = None,
        batch_size: int | None = None,
        alpha: Float[Tensor, ""] | None = None,
        pos: Shaped[Tensor, "T l"] | None = None,
        normal: Float[Tensor, "T _"] | None = None,
    ) -> Float[Tensor, "T D"]:
        """Run the block.

        Args:
            x: Tokens.
            edge_index: Passed to the operator.
            batch: Graph number of each token, in any order; None means one graph.
            ptr: Offsets [B+1] of graphs that lie one after the other; replaces ``batch``.
            batch_size: Number of graphs, if some at the end may be empty.
            alpha: The shared scalar, for a block with ``rezero="shared"``.
            pos: Positions, for operators that encode positions.
            normal: Normals, for operators that encode normals.

        Returns:
            Tokens after the block.

        Raises:
            ConfigError: The block has no scalar of its own, and none was passed.
            ShapeError: The inputs do not fit each other.

        Example:
            >>> block = SAMSABlock(16, heads=4, num_samples=8, rezero="shared")
            >>> block(torch.randn(5, 16), batch=torch.tensor([1, 0, 1, 1, 0]), alpha=torch.ones(())).shape
            torch.Size([5, 16])
        """
        scale = self.alpha if self.alpha is not None else alpha
        if scale is None:
            raise ConfigError("alpha", None, "the shared scalar, because the block was made with rezero='shared'")
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size)
        geometry = {name: value for name, value in (("pos", pos), ("normal", normal)) if value is not None}
        if perm is not None:
            x, geometry = x[perm], {name: value[perm] for name, value in geometry.items()}
        attended = self.conv(self.conv_norm(x), edge_index, ptr=index, score_input=x, **geometry)
        x = residual(x, self.drop_path(attended, index), scale)
        x = self.ffn(x, scale, self.drop_path.keep(x, index))
        return x if perm is None else torch.empty_like(x).index_copy(0, perm, x)
