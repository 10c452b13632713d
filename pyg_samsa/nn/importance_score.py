from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import GELU, LayerNorm, Linear, Module

from pyg_samsa.errors import NumericalError
from pyg_samsa.functional.autocast import at_least_float32, without_autocast
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.nn.norm import RMSNorm
from pyg_samsa.nn.precision import as_weights
from pyg_samsa.typing import Float


class ImportanceScore(Module):
    r"""The importance of every token to every head, from `SAMSA <https://arxiv.org/abs/2408.05391>`_ (section 4.4).

    .. math::
        z = W_s \bigl( x + \mathrm{RMSNorm}(W_2 \, \mathrm{GELU}(W_1 x)) \bigr)

    Args:
        channels: Channels D of a token.
        heads: Number of scores of a token, H.
        bias: Whether the linear layers have a bias.

    Shapes:
        - **input:** tokens [T, D]
        - **output:** scores [T, H], at least float32

    Example:
        >>> ImportanceScore(16, heads=4)(torch.randn(5, 16)).shape
        torch.Size([5, 4])

    Cost: O(T D^2).
    """

    def __init__(self, channels: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden = Linear(channels, channels, bias=bias)
        self.act = GELU()
        self.mixed = Linear(channels, channels, bias=bias)
        self.norm = RMSNorm(channels)
        self.out = Linear(channels, heads, bias=bias)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in (self.hidden, self.mixed, self.norm, self.out):
            module.reset_parameters()

    def forward(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T H"]:
        """Return the scores of the tokens, computed in the number type of the weights, also under autocast.

        Rounded to half precision, different scores would be equal, and the order of the tokens would decide which of
        them are sampled.

        Example:
            >>> ImportanceScore(16, heads=4).bfloat16()(torch.randn(5, 16, dtype=torch.bfloat16)).dtype
            torch.float32
        """
        with without_autocast(x):
            x = as_weights(self, x)
            return at_least_float32(self.out(x + self.norm(self.mixed(self.act(self.hidden(x))))))


class LinearScore(Module):
    r"""The importance of every token in `SFT <https://arxiv.org/abs/2408.05822>`_.

    .. math::
        z = \mathrm{Linear}(\mathrm{LayerNorm}(x)) / \sqrt{2}

    Args:
        channels: Channels D of a token.
        heads: Number of scores of a token, H.
        bias: Whether the linear layer has a bias.

    Shapes:
        - **input:** tokens [T, D]
        - **output:** scores [T, H], at least float32

    Example:
        >>> LinearScore(16, 1)(torch.randn(5, 16)).shape
        torch.Size([5, 1])

    Cost: O(T D H).
    """

    def __init__(self, channels: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.norm = LayerNorm(channels)
        self.out = Linear(channels, heads, bias=bias)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.norm.reset_parameters()
        self.out.reset_parameters()

    def forward(self, x: Float[Tensor, "T D"]) -> Float[Tensor, "T H"]:
        """Return the scores of the tokens, computed in the number type of the weights, also under autocast.

        Example:
            >>> LinearScore(16, heads=4)(torch.randn(5, 16)).shape
            torch.Size([5, 4])
        """
        with without_autocast(x):
            return at_least_float32(self.out(self.norm(as_weights(self, x)))) * math.sqrt(0.5)


def check_scores(scores: Float[Tensor, "..."], where: str) -> None:
    """Raise a `NumericalError` if an importance score is NaN or infinite.

    Args:
        scores: Scores of any shape.
        where: Name of the layer, for the error message.

    Raises:
        NumericalError: A score is not finite.

    Example:
        >>> check_scores(torch.tensor([1.0, torch.nan]), "layer 0")
        Traceback (most recent call last):
        ...
        pyg_samsa.errors.NumericalError: layer 0: importance scores are not finite
    """
    scores = scores.detach()

    def explain() -> NumericalError | None:
        if bool(torch.isfinite(scores).all()):
            return None
        hint = "Look for NaN or infinite features, lower optim.base_lr, or clip the gradient."
        return NumericalError(where, "importance scores are not finite", hint=hint)

    # One sum is enough in almost all cases; only a sum of large finite scores may overflow.
    if not torch.compiler.is_compiling():
        require(~torch.isfinite(scores.sum()), explain)
