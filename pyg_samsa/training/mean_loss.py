"""The mean loss of a split, over all its batches and processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanLoss(Metric):
    r"""Mean of the losses of batches, each weighted by its number of rows.

    .. math::
        \bar\ell = \frac{\sum_b n_b \ell_b}{\sum_b n_b}

    ``torchmetrics.MeanMetric`` leaves NaN out of the mean and waits for the device to look for it; with
    ``nan_strategy="disable"`` it ignores the weights.

    Args:
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **loss**: scalar
        - **value**: scalar; NaN if a loss is NaN

    Example:
        >>> metric = MeanLoss()
        >>> metric.update(torch.tensor(1.0), 2)
        >>> metric.update(torch.tensor(4.0), 1)
        >>> metric.compute().item()
        2.0
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    total: Tensor
    rows: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("rows", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, rows: int) -> None:
        """Add the mean loss of a batch of ``rows`` rows.

        Example:
            >>> metric = MeanLoss()
            >>> metric.update(torch.tensor(0.5), 3)
            >>> metric.total.item()
            1.5
        """
        self.total += loss.detach().float().to(self.total.device) * rows
        self.rows += rows

    def compute(self) -> Tensor:
        """Return the mean over all rows.

        Example:
            >>> metric = MeanLoss()
            >>> metric.update(torch.tensor(float("nan")), 3)
            >>> metric.update(torch.tensor(1.0), 1)
            >>> metric.compute().item()
            nan
        """
        return self.total / self.rows
