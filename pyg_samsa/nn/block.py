from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import GELU, Linear, Module, Parameter, Sequential
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.functional.fused import feed_forward, residual, runs_in_pieces
from pyg_samsa.functional.ragged import RaggedIndex, resolve
from pyg_samsa.nn.conv.samsa_conv import SAMSAConv
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.norm import RMSNorm

REZERO = ("own", "shared")
# In evaluation on the CPU graphs are taken through a block in batches of so many numbers.
_FEW_ELEMENTS = 2**20


class DropPath(Module):
    r"""Stochastic depth: in training, drop a whole residual branch for a random set of graphs (`Huang et al. <https://arxiv.org/abs/1603.09382>`_).

    Args:
        rate: Probability that the branch of a graph is dropped, 0 to below 1; what stays is divided by ``1 - rate``.

    Example:
        >>> DropPath(0.5).eval()(torch.ones(2, 1), RaggedIndex(torch.tensor([0, 1, 2]))).tolist()
        [[1.0], [1.0]]

    Cost: O(T D).
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ConfigError("drop_path", rate, "a probability from 0 to below 1")
        self.rate = rate

    def forward(self, x: Tensor, index: RaggedIndex) -> Tensor:
        """Return the branch ``x`` [T, D], with the rows of some graphs set to zero in training."""
        keep = self.keep(x, index)
        return x if keep is None else x * keep

    def keep(self, x: Tensor, index: RaggedIndex) -> Tensor | None:
        """Return the factors [T, 1] of the rows, 0 for those that are dropped, or None where nothing is."""
        if not self.training or self.rate == 0:
            return None
        graphs = (
            torch.empty(index.num_graphs, 1, dtype=x.dtype, device=x.device)
            .bernoulli_(1 - self.rate)
            .div_(1 - self.rate)
        )
        return graphs[index.batch]

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"rate={self.rate}"


class SAMSABlock(Module):
    r"""One transformer layer of `SAMSA <https://arxiv.org/abs/2408.05391>`_ (Algorithm 1): attention and a feed-forward network, each in a residual.

    .. math::
        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{SAMSAConv}(\mathrm{RMSNorm}(x))\bigr)

        x &\leftarrow x + \alpha \, \mathrm{DropPath}\bigl(\mathrm{FFN}(\mathrm{RMSNorm}(x))\bigr)

    :math:`\alpha` is a scalar that starts at zero (`ReZero <https://arxiv.org/abs/2003.04887>`_). The paper shares one among all layers.

    Args:
        channels: Channels D of a token.
        ffn_channels: Hidden channels of the feed-forward network; by default 4 D.
        dropout: Dropout in the feed-forward network, 0 to below 1.
        drop_path: Probability that a residual branch of a graph is dropped in training.
        rezero: ``"own"``: the block has its own :math:`\alpha`; ``"shared"``: it is handed in with every call.
        conv: The attention operator, any module with the signature of `SAMSAConv`, such as `SFTConv`, `FLTConv` and `AttentionConv`; by default a
            `SAMSAConv` with ``conv_kwargs``.
        **conv_kwargs: Arguments of `SAMSAConv`, such as ``heads``, ``num_samples`` and ``sampling``; its ``dropout`` is named ``attn_dropout`` here.

    Shapes:
        - **input:** tokens [T, D], graph numbers [T] (*optional*)
        - **output:** tokens [T, D]

    Example:
        >>> block = SAMSABlock(16, heads=4, num_samples=8)
        >>> x = torch.randn(30, 16)
        >>> bool((block(x) == x).all())  # alpha starts at zero
        True

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
        super().__init__()
        check_choice("rezero", rezero, REZERO)
        if ffn_channels is not None and ffn_channels < 1:
            raise ConfigError("ffn_channels", ffn_channels, "an integer of at least 1")
        hidden = 4 * channels if ffn_channels is None else ffn_channels
        self.conv = SAMSAConv(channels, dropout=attn_dropout, **conv_kwargs) if conv is None else conv  # type: ignore[arg-type]
        self.conv_norm, self.ffn_norm = RMSNorm(channels), RMSNorm(channels)
        self.ffn = Sequential(
            Linear(channels, hidden), GELU(), Dropout(dropout), Linear(hidden, channels), Dropout(dropout)
        )
        self.drop_path = DropPath(drop_path)
        self.alpha = Parameter(torch.zeros(())) if rezero == "own" else None

    def reset_parameters(self) -> None:
        r"""Draw new weights and set an own :math:`\alpha` to zero."""
        for module in (self.conv, self.conv_norm, self.ffn_norm, self.ffn):
            reset(module)
        if self.alpha is not None:
            torch.nn.init.zeros_(self.alpha)

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        ptr: Tensor | RaggedIndex | None = None,
        batch_size: int | None = None,
        alpha: Tensor | None = None,
        pos: Tensor | None = None,
        normal: Tensor | None = None,
    ) -> Tensor:
        """Run the block on tokens [T, D].

        ``alpha`` is the shared scalar of a block with ``rezero="shared"``; positions ``pos`` [T, l] and normals ``normal`` [T, l] go to operators
        that encode them (`SFTConv`, `FLTConv`); the rest as in `SAMSAConv`.
        """
        scale = self.alpha if self.alpha is not None else alpha
        if scale is None:
            raise ConfigError(
                "alpha", None, "the shared scalar of the network, because the block was made with rezero='shared'"
            )
        index, perm = resolve(x.size(0), x.device, batch, ptr, batch_size)
        geometry = {name: value for name, value in (("pos", pos), ("normal", normal)) if value is not None}
        if perm is not None:
            x, geometry = x[perm], {name: value[perm] for name, value in geometry.items()}
        if (
            torch.is_grad_enabled()
            or not runs_in_pieces(x)
            or index.num_tokens <= (few := max(1, _FEW_ELEMENTS // x.size(1)))
        ):
            x = self._run(x, edge_index, index, scale, geometry)
        else:
            # Graphs do not see each other: some at a time, everything between the input and the output stays in the cache.
            out = torch.empty_like(x)
            for rows, part in index.parts(few):
                out[rows] = self._run(
                    x[rows], edge_index, part, scale, {name: value[rows] for name, value in geometry.items()}
                )
            x = out
        return x if perm is None else torch.empty_like(x).index_copy(0, perm, x)

    def _run(
        self, x: Tensor, edge_index: Tensor | None, index: RaggedIndex, scale: Tensor, geometry: dict[str, Tensor]
    ) -> Tensor:
        x = residual(
            x,
            self.drop_path(self.conv(self.conv_norm(x), edge_index, ptr=index, score_input=x, **geometry), index),
            scale,
        )
        return self._feed_forward(x, scale, index)

    def _feed_forward(self, x: Tensor, scale: Tensor, index: RaggedIndex) -> Tensor:
        if not runs_in_pieces(x):
            return residual(x, self.drop_path(self.ffn(self.ffn_norm(x)), index), scale)
        layers: tuple[Any, ...] = tuple(self.ffn)
        first, _, drop, second, _ = layers
        weights = (self.ffn_norm.weight, first.weight, first.bias, second.weight, second.bias)
        dropout = drop.p if self.training else 0.0
        return feed_forward(
            x, scale, *weights, dropout=dropout, keep=self.drop_path.keep(x, index), eps=self.ffn_norm.eps
        )
