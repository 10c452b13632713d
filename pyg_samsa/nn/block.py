from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.functional.batch_vector import inverse_permutation
from pyg_samsa.functional.fused import residual
from pyg_samsa.functional.inputs import cast_floats, check_tensor
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.resolve import resolve
from pyg_samsa.nn.conv.local_layers import LocalLayer
from pyg_samsa.nn.conv.operators import make_operator
from pyg_samsa.nn.drop_path import DropPath
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.feed_forward import FeedForward
from pyg_samsa.nn.norm import RMSNorm
from pyg_samsa.typing import Float, Int, Shaped

REZERO = ("own", "shared")


class SAMSABlock(Module):
    r"""One transformer block of `SAMSA <https://arxiv.org/abs/2408.05391>`_ (Algorithm 1): attention, then a
    feed-forward network.

    .. math::
        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{Conv}(\mathrm{RMSNorm}(x))
        + \mathrm{Local}(\mathrm{RMSNorm}(x))\bigr)

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
        local: Message passing beside the attention, as in `GPS <https://arxiv.org/abs/2205.12454>`_: a name in
            :obj:`LOCAL_LAYERS` (``"gine"``, ``"gatedgcn"``, ``"gcn"``, ``"gatv2"``, ``"pna"``, ``"incidence"``) or a
            module, see `LocalLayer`; None for none.
        edge_features: Whether the edges of the local layer have features [E, D].
        distance_gate: Whether its messages are weighted by distances of positional encodings, see `DistanceGate`.
        act: Activation of the feed-forward network, see `FeedForward`.
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
        local: str | Module | None = None,
        edge_features: bool = True,
        distance_gate: bool = False,
        act: str | Callable[[Tensor], Tensor] = "gelu",
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
        if local is None and distance_gate:
            raise ConfigError("distance_gate", True, "False without a local layer, whose messages it would weight")
        self.local = None if local is None else LocalLayer(local, channels, edge_features, distance_gate)
        self.drop_path = DropPath(drop_path)
        self.local_dropout = Dropout(dropout) if local is not None else None
        self.ffn = FeedForward(channels, ffn_channels, dropout, act)
        self.alpha = Parameter(torch.zeros(())) if rezero == "own" else None

    def reset_parameters(self) -> None:
        r"""Draw new weights and set the block's own :math:`\alpha` to zero."""
        for module in (self.conv_norm, self.conv, self.local, self.ffn):
            reset(module)
        if self.alpha is not None:
            torch.nn.init.zeros_(self.alpha)

    def forward(
        self,
        x: Float[Tensor, "T D"],
        edge_index: Int[Tensor, "2 E"] | None = None,
        batch: Int[Tensor, " T"] | None = None,
        *,
        ptr: Int[Tensor, " offsets"] | RaggedIndex | None = None,
        batch_size: int | None = None,
        alpha: Float[Tensor, ""] | None = None,
        pos: Shaped[Tensor, "T l"] | None = None,
        normal: Float[Tensor, "T _"] | None = None,
        edge_attr: Float[Tensor, "E D"] | None = None,
        edge_rows: Int[Tensor, " E"] | None = None,
        edge_distance: Float[Tensor, "E 1"] | None = None,
    ) -> Float[Tensor, "T D"]:
        """Run the block.

        Args:
            x: Tokens.
            edge_index: Directed edges [2, E] between rows of ``x``, for the local layer.
            batch: Graph number of each token, in any order; None means one graph.
            ptr: Offsets [B+1] of graphs that lie one after the other; replaces ``batch``.
            batch_size: Number of graphs, if some at the end may be empty.
            alpha: The shared scalar, for a block with ``rezero="shared"``.
            pos: Positions, for operators that encode positions.
            normal: Normals, for operators that encode normals.
            edge_attr: Features of the edges, for the local layer.
            edge_rows: Rows of ``x`` that are the tokens of the edges; replaces ``edge_attr``.
            edge_distance: Distances of the edges, for a local layer with ``distance_gate``, see `EncodingDistance`.

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
        x = cast_floats("x", check_tensor("x", x, "floats [T, D]"), next(self.parameters()).dtype)
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size, allow_none=True)
        geometry = {name: value for name, value in (("pos", pos), ("normal", normal)) if value is not None}
        if perm is not None:
            x, geometry = x[perm], {name: value[perm] for name, value in geometry.items()}
            rank = inverse_permutation(perm)
            edge_index, edge_rows = (None if rows is None else rank[rows] for rows in (edge_index, edge_rows))
        normed = self.conv_norm(x)
        branch = self.conv(normed, edge_index, ptr=index, score_input=x, **geometry)
        if self.local is not None:
            branch = branch + self._pass_messages(normed, edge_index, edge_attr, edge_rows, edge_distance)
        x = residual(x, self.drop_path(branch, index), scale)
        x = self.ffn(x, scale, self.drop_path.keep(x, index))
        return x if perm is None else torch.empty_like(x).index_copy(0, perm, x)

    def _pass_messages(
        self,
        x: Tensor,
        edge_index: Tensor | None,
        edge_attr: Tensor | None,
        edge_rows: Tensor | None,
        edge_distance: Tensor | None,
    ) -> Tensor:
        """Return the local branch; the features of edges that are tokens are their tokens."""
        assert self.local is not None
        assert self.local_dropout is not None
        if edge_index is None:
            edge_index = torch.empty(2, 0, dtype=torch.long, device=x.device)
        if edge_rows is not None and "edge_attr" in self.local.takes:
            edge_attr = x.index_select(0, edge_rows)
        return self.local_dropout(self.local(x, edge_index, edge_attr, edge_rows, edge_distance))
