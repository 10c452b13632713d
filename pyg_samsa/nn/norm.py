from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.functional.fused import rms_norm
from pyg_samsa.typing import Float


class RMSNorm(torch.nn.RMSNorm):
    r"""`torch.nn.RMSNorm` with a faster version for the CPU, see :func:`pyg_samsa.functional.rms_norm`.

    .. math::
        y = \frac{x}{\sqrt{\tfrac{1}{D} \sum_d x_d^2 + \epsilon}} \odot w

    Args:
        channels: Channels D of a token.
        eps: Added to the mean square; None means the machine epsilon of the dtype.

    Shapes:
        - **input:** tokens [T, D]
        - **output:** the shape of the input

    Example:
        >>> RMSNorm(2)(torch.tensor([[3.0, 4.0]])).tolist() == torch.nn.RMSNorm(2)(torch.tensor([[3.0, 4.0]])).tolist()
        True

    Cost: O(T D).
    """

    weight: torch.nn.Parameter

    def __init__(self, channels: int, eps: float | None = None) -> None:
        super().__init__(channels, eps)

    def forward(self, x: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
        """Return the normalised tokens.

        Example:
            >>> RMSNorm(16)(torch.randn(5, 16)).square().mean(1).round(decimals=3)
            tensor([1., 1., 1., 1., 1.], grad_fn=<RoundBackward1>)
        """
        return rms_norm(x, self.weight, self.eps)
