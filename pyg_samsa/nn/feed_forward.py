from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import GELU, Linear, Module, ReLU
from torch_geometric.nn.resolver import activation_resolver

from pyg_samsa.functional import fused
from pyg_samsa.nn.dropout import Dropout
from pyg_samsa.nn.norm import RMSNorm
from pyg_samsa.nn.plain import is_plain
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float


class FeedForward(Module):
    r"""The feed-forward branch of a pre-norm transformer block, with its residual (SAMSA, Algorithm 1).

    .. math::
        y = x + \alpha \, m \, \mathrm{Drop}\bigl(W_2 \, \mathrm{Drop}(\sigma(W_1 \, \mathrm{RMSNorm}(x) + b_1)) +
        b_2\bigr)

    On the CPU a fused kernel computes it if the children are a plain `RMSNorm`, two plain ``Linear`` layers, the exact
    GELU or ReLU, and `Dropout`, without hooks or parametrizations. Otherwise the children are called one after the
    other, with the same result, so hooks fire and replaced children are used.

    Args:
        channels: Channels D of a token.
        hidden_channels: Hidden channels F; by default 4 D.
        dropout: Dropout after the activation and after the second product, 0 to below 1.
        act: Activation :math:`\sigma`: a name that PyG's ``activation_resolver`` knows, or a function or module.

    Shapes:
        - **input:** tokens [T, D], scalar :math:`\alpha`, factors :math:`m` of the rows [T, 1] (*optional*)
        - **output:** tokens [T, D]

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> import torch
        >>> ffn = FeedForward(16)
        >>> x = torch.randn(5, 16)
        >>> torch.equal(ffn(x, torch.zeros(())), x)
        True

    Cost: O(T D F).
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int | None = None,
        dropout: float = 0.0,
        act: str | Callable[[Tensor], Tensor] = "gelu",
    ) -> None:
        super().__init__()
        check_integer("channels", channels)
        if hidden_channels is not None:
            check_integer("ffn_channels", hidden_channels)
        hidden = hidden_channels or 4 * channels
        self.norm = RMSNorm(channels)
        self.lin1 = Linear(channels, hidden)
        self.act = activation_resolver(act)
        self.drop1 = Dropout(dropout)
        self.lin2 = Linear(hidden, channels)
        self.drop2 = Dropout(dropout)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in (self.norm, self.lin1, self.lin2):
            module.reset_parameters()

    def forward(
        self, x: Float[Tensor, "*b D"], scale: Float[Tensor, ""], keep: Float[Tensor, "*b 1"] | None = None
    ) -> Float[Tensor, "*b D"]:
        r"""Add the branch to the tokens.

        Args:
            x: Tokens.
            scale: The scalar :math:`\alpha` of the residual.
            keep: Factors :math:`m` of the rows, from stochastic depth; None means 1.

        Example:
            >>> import torch
            >>> ffn, x = FeedForward(16), torch.randn(5, 16)
            >>> torch.equal(ffn(x, torch.ones(()), keep=torch.zeros(5, 1)), x)
            True
        """
        act = self._fused_activation()
        if act is not None and self._can_fuse(x):
            weights = (self.norm.weight, self.lin1.weight, self.lin1.bias, self.lin2.weight, self.lin2.bias)
            dropout = self.drop1.p if self.training else 0.0
            return fused.feed_forward(x, scale, *weights, dropout=dropout, keep=keep, eps=self.norm.eps, act=act)
        branch = self.drop2(self.lin2(self.drop1(self.act(self.lin1(self.norm(x))))))
        return fused.residual(x, branch if keep is None else branch * keep, scale)

    def _fused_activation(self) -> str | None:
        """Return the name by which the fused kernel knows the activation, or None."""
        act = self.act
        if isinstance(act, GELU):
            return "gelu" if is_plain(act, GELU) and act.approximate == "none" else None
        return "relu" if is_plain(act, ReLU) else None

    def _can_fuse(self, x: Tensor) -> bool:
        """Return whether the fused kernel computes the same as the other children."""
        children = ((self.norm, RMSNorm), (self.lin1, Linear), (self.lin2, Linear))
        dropouts = (self.drop1, self.drop2)
        return (
            fused.can_fuse(x)
            and x.dim() == 2
            and all(is_plain(module, kind) for module, kind in children)
            and all(is_plain(drop, Dropout) and drop.training == self.training for drop in dropouts)
            and self.drop1.p == self.drop2.p
            and self.lin1.bias is not None
            and self.lin2.bias is not None
            and x.dtype == self.lin1.weight.dtype
        )
