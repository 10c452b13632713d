from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.functional.fused import rms_norm


class RMSNorm(torch.nn.RMSNorm):
    r"""`torch.nn.RMSNorm` whose CPU version reads and writes the tokens once: see
    :func:`pyg_samsa.functional.rms_norm`.

    Args:
        channels: Channels D of a token.
        eps: Added to the mean square; None is the machine epsilon of the type.

    Shapes:
        - **input:** tokens [T, D]
        - **output:** that of the input

    Example:
        >>> RMSNorm(2)(torch.tensor([[3.0, 4.0]])).tolist() == torch.nn.RMSNorm(2)(torch.tensor([[3.0, 4.0]])).tolist()
        True

    Cost: O(T D).
    """

    weight: torch.nn.Parameter

    def __init__(self, channels: int, eps: float | None = None) -> None:
        super().__init__(channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised tokens."""
        return rms_norm(x, self.weight, self.eps)
