"""Float64 on devices that do not have it, such as Apple's GPUs: the CPU computes."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.typing import Shaped

WITHOUT_FLOAT64 = {"mps"}
"""Types of devices without float64."""


def has_float64(device: torch.device) -> bool:
    """Return whether a device has float64.

    Example:
        >>> has_float64(torch.device("cpu")), has_float64(torch.device("mps"))
        (True, False)
    """
    return device.type not in WITHOUT_FLOAT64


def to_float64(x: Shaped[Tensor, "*size"]) -> Shaped[Tensor, "*size"]:
    """Return a tensor in float64, on the CPU if its device has no float64; gradients flow back to the device.

    Args:
        x: Numbers of any type.

    Example:
        >>> to_float64(torch.ones(1)).dtype
        torch.float64

    Cost: a copy; for a device without float64 also the time of waiting for it.
    """
    # First to the CPU: the device cannot hold the result.
    return (x if has_float64(x.device) else x.cpu()).double()
