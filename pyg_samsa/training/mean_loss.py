"""The mean loss of a split, over all its batches and processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from pyg_samsa.functional.float64 import has_float64
from pyg_samsa.training.averages import Average, RowAverage


class MeanLoss(Metric):
    r"""Loss of a split: the mean over what the loss of a batch is a mean over, whatever the sizes of the batches.

    .. math::
        \bar\ell = \frac{\sum_b n_b \ell_b}{\sum_b n_b}

    where n counts rows, labels, or weights of labels, see `pyg_samsa.training.averages`.

    The sums are float64 where the device has it. ``torchmetrics.MeanMetric`` leaves NaN out of the mean and waits for
    the device to look for it; with ``nan_strategy="disable"`` it ignores the weights.

    Args:
        average: What the loss is a mean over; None for rows.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **loss**: scalar
        - **pred**, **target**: those of the loss
        - **value**: scalar, float64 where the device has it; NaN if a loss is NaN

    Example:
        >>> metric = MeanLoss()
        >>> metric.update(torch.tensor(1.0), torch.zeros(2, 1), torch.zeros(2, 1))
        >>> metric.update(torch.tensor(4.0), torch.zeros(1, 1), torch.zeros(1, 1))
        >>> metric.compute().item()
        2.0
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    sums: Tensor

    def __init__(self, average: Average | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.average = average or RowAverage()
        self.add_state("sums", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, pred: Tensor, target: Tensor) -> None:
        """Add a batch.

        Example:
            >>> metric = MeanLoss()
            >>> metric.update(torch.tensor(0.5), torch.zeros(3, 1), torch.zeros(3, 1))
            >>> metric.sums.tolist()
            [1.5, 3.0]
        """
        with torch.no_grad():
            added, device = self.average.sums(loss, pred, target), self.sums.device
            self.sums = self.sums + (added.to(device).double() if has_float64(device) else added.float().to(device))

    def compute(self) -> Tensor:
        """Return the loss of all batches.

        Example:
            >>> metric = MeanLoss()
            >>> metric.update(torch.tensor(float("nan")), torch.zeros(3, 1), torch.zeros(3, 1))
            >>> metric.update(torch.tensor(1.0), torch.zeros(1, 1), torch.zeros(1, 1))
            >>> metric.compute().item()
            nan
        """
        return self.average.value(self.sums) if self.sums.ndim else self.sums * torch.nan
