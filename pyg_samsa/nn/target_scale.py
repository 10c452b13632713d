from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import Module

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.float64 import has_float64, to_float64
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Shaped


class TargetScale(Module):
    r"""Maps the output of a head to the units of the targets, and back.

    .. math::
        \hat y = \mu + \sigma o, \qquad o = (y - \mu) / \sigma

    Mean and standard deviation are buffers in float64: they are saved with the network, and float64 keeps a small
    deviation beside a large mean. A new scale is the identity.

    Args:
        num_targets: Number of targets C.

    Shapes:
        - **input:** output of the head [..., C]
        - **output:** predictions in the units of the targets [..., C], float64, on the CPU if the device of the input
          has no float64 (Apple's GPUs)

    Example:
        >>> scale = TargetScale(1)
        >>> scale.fit(torch.tensor([5.0]), torch.tensor([2.0]))
        >>> scale(torch.ones(3, 1)).flatten().tolist(), scale.standardize(torch.tensor([[7.0]])).item()
        ([7.0, 7.0, 7.0], 1.0)

    Raises:
        ConfigError: ``num_targets`` is not an integer of at least 1.

    Cost: O(C) per row.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, num_targets: int) -> None:
        super().__init__()
        check_integer("num_targets", num_targets)
        self.register_buffer("mean", torch.zeros(num_targets, dtype=torch.float64))
        self.register_buffer("std", torch.ones(num_targets, dtype=torch.float64))

    def fit(self, mean: Shaped[Tensor, "..."], std: Shaped[Tensor, "..."]) -> None:
        """Set the scale.

        Args:
            mean: Means of the targets in the training set [C].
            std: Their standard deviations [C], above 0.

        Raises:
            ConfigError: They do not fit the number of targets, or a deviation is not positive and finite.

        Example:
            >>> scale = TargetScale(1)
            >>> scale.fit(torch.tensor([5.0]), torch.tensor([0.0]))
            Traceback (most recent call last):
            ...
            pyg_samsa.errors.ConfigError: target scale: std: got [0.0], expected numbers above 0
        """
        for name, given in (("mean", mean), ("std", std)):
            values = torch.as_tensor(given, dtype=torch.float64).flatten()
            if values.numel() != self.mean.numel() or not bool(torch.isfinite(values).all()):
                raise ConfigError(f"target scale: {name}", values.tolist(), f"{self.mean.numel()} finite numbers")
            if name == "std" and not bool((values > 0).all()):
                raise ConfigError("target scale: std", values.tolist(), "numbers above 0")
            getattr(self, name).copy_(values)

    def forward(self, output: Float[Tensor, "*b C"]) -> Float[Tensor, "*b C"]:
        """Return the predictions in the units of the targets.

        Example:
            >>> scale = TargetScale(2)
            >>> scale.fit(torch.tensor([5.0, 0.0]), torch.tensor([2.0, 1.0]))
            >>> scale(torch.ones(1, 2))
            tensor([[7., 1.]], dtype=torch.float64)
        """
        wide = to_float64(output)
        return wide * self.std.to(wide.device) + self.mean.to(wide.device)

    def standardize(self, y: Shaped[Tensor, "*b C"]) -> Float[Tensor, "*b C"]:
        """Return targets with mean 0 and standard deviation 1, as the head should predict them.

        Example:
            >>> scale = TargetScale(2)
            >>> scale.fit(torch.tensor([5.0, 0.0]), torch.tensor([2.0, 1.0]))
            >>> scale.standardize(torch.tensor([[7.0, 1.0]]))
            tensor([[1., 1.]], dtype=torch.float64)
        """
        wide = to_float64(y)
        return (wide - self.mean.to(wide.device)) / self.std.to(wide.device)

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        # ``module.float()``, ``.half()`` and Lightning's precision plugins must not round the scale, and on a device
        # without float64 it stays on the CPU.
        mean, std = self.mean, self.std
        if not has_float64(fn(torch.empty(0, device=mean.device)).device):
            self.mean, self.std = mean.cpu(), std.cpu()
            return self
        super()._apply(fn, recurse)
        if "meta" not in (mean.device.type, self.mean.device.type):
            self.mean, self.std = mean.to(self.mean.device), std.to(self.std.device)
        return self

    def extra_repr(self) -> str:
        """Return the number of targets as it appears in the ``repr``.

        Example:
            >>> TargetScale(2)
            TargetScale(2)
        """
        return f"{self.mean.numel()}"


def scale_of(y: Shaped[Tensor, "G C"]) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    r"""Return mean and standard deviation of each target in float64, without NaN.

    .. math::
        \mu = \frac{1}{n} \sum_b y_b, \qquad \sigma = \sqrt{\frac{1}{n} \sum_b (y_b - \mu)^2}

    A constant target has :math:`\sigma = 1`.

    Args:
        y: Targets.

    Returns:
        Mean and standard deviation of each target.

    Example:
        >>> scale_of(torch.tensor([[1.0], [3.0]]))
        (tensor([2.], dtype=torch.float64), tensor([1.], dtype=torch.float64))
    """
    y = to_float64(y)
    mean = y.nanmean(0).nan_to_num(0.0)
    centred = y - mean
    # Divide by the largest deviation first, so that squares neither overflow nor underflow.
    largest = centred.abs().nan_to_num(0.0).amax(0)
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    std = ((centred / largest) ** 2).nanmean(0).sqrt().nan_to_num(0.0) * largest
    tiny = mean.abs() * torch.finfo(torch.float64).eps * math.sqrt(max(y.size(0), 1))
    return mean, torch.where(std > tiny, std, torch.ones_like(std))
