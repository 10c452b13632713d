"""Computations in the number types of their inputs, whatever autocast says."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from pyg_samsa.typing import Float


def without_autocast(x: Float[Tensor, "..."]) -> AbstractContextManager:
    """Return a context in which the device of a tensor computes in the number types that it is given.

    Args:
        x: A tensor on the device.

    Example:
        >>> x = torch.ones(2, 2)
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     half = (x @ x).dtype
        ...     with without_autocast(x):
        ...         half, (x @ x).dtype
        (torch.bfloat16, torch.float32)
    """
    device = x.device.type
    enabled = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if enabled else nullcontext()


def at_least_float32(x: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """Return a tensor in float32, or as it is if it has float64.

    Example:
        >>> at_least_float32(torch.ones(1, dtype=torch.bfloat16)).dtype, at_least_float32(torch.ones(1).double()).dtype
        (torch.float32, torch.float64)
    """
    return x if x.dtype == torch.float64 else x.float()
