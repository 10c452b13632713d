"""Regression in standardised targets, told in the targets' own units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyg_samsa.errors import ConfigError


class ScaledNetwork(nn.Module):
    r"""Scales what a network predicts back into the units of the targets, :math:`\hat y = \mu + \sigma f(G)`.

    The network itself learns numbers around 0 and 1, whatever the units; metrics and written predictions are in the units of the data. In double
    precision, so that a small deviation of a large mean is not rounded away.

    Args:
        network: ``forward(batch) -> (prediction, target)``, predictions [B, C].
        mean: :math:`\mu` [C], of the training rows.
        std: :math:`\sigma` [C], above 0.

    Raises:
        ConfigError: ``mean`` and ``std`` differ in length, or a deviation is not positive.

    Example:
        >>> class One(nn.Module):
        ...     def forward(self, batch):
        ...         return torch.ones(1, 1), None
        >>> ScaledNetwork(One(), torch.tensor([5.0]), torch.tensor([2.0]))(None)[0].item()
        7.0
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        if mean.shape != std.shape or not bool((std > 0).all()):
            raise ConfigError("std", std.tolist(), f"{mean.numel()} numbers above 0")
        self.network = network
        self.register_buffer("mean", mean.clone().float())
        self.register_buffer("std", std.clone().float())

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (prediction, target) of a batch, both in the units of the data."""
        prediction, target = self.network(batch)
        wide = (
            torch.float32 if prediction.device.type == "mps" else torch.float64
        )  # Apple's devices have no double precision
        return prediction.to(wide) * self.std + self.mean, target


class ScaledLoss:
    """A loss of standardised values, called with values in the units of the data.

    Args:
        loss: ``loss(prediction, target) -> scalar``.
        mean: As in :class:`ScaledNetwork`.
        std: Likewise.

    Example:
        >>> loss = ScaledLoss(nn.functional.l1_loss, torch.tensor([5.0]), torch.tensor([2.0]))
        >>> loss(torch.tensor([[9.0]]), torch.tensor([[5.0]])).item()
        2.0
    """

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor], mean: Tensor, std: Tensor) -> None:
        self.loss, self.mean, self.std = loss, mean.float(), std.float()

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the standardised values."""
        mean, std = self.mean.to(prediction.device), self.std.to(prediction.device)
        return self.loss((prediction - mean) / std, (target.view_as(prediction).to(prediction.dtype) - mean) / std)
