"""Computations that autocast leaves in the precision of the weights: scores, gates and heads."""

from __future__ import annotations

from torch import Tensor
from torch.nn import Module

from pyg_samsa.functional.autocast import at_least_float32, without_autocast
from pyg_samsa.typing import Float


def as_weights(module: Module, x: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """Return a tensor in the number type of the weights of a module; in at least float32 if it has none.

    Example:
        >>> import torch
        >>> as_weights(torch.nn.Linear(2, 2).double(), torch.ones(1)).dtype
        torch.float64
    """
    weight = next(module.parameters(), None)
    return at_least_float32(x) if weight is None or not weight.is_floating_point() else x.to(weight.dtype)


def in_full_precision(module: Module, x: Float[Tensor, "*b D"]) -> Float[Tensor, "*b out"]:
    """Call a module in the number type of its weights, whatever autocast says.

    Half precision rounds many scores or predictions to the same number. The order of equal numbers then decides which
    tokens are sampled, or how rows are ranked.

    Args:
        module: The module.
        x: Its input.

    Returns:
        Its output, in the number type of the weights.

    Example:
        >>> import torch
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     in_full_precision(torch.nn.Linear(4, 1), torch.ones(2, 4)).dtype
        torch.float32

    Cost: That of the module in float32.
    """
    with without_autocast(x):
        return module(as_weights(module, x))
