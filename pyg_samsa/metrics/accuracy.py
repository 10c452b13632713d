"""Accuracy: share of correctly classified rows."""

from __future__ import annotations

from torch import Tensor

from pyg_samsa.metrics.confusion_metric import ConfusionMetric
from pyg_samsa.metrics.metric_registry import register_metric


def accuracy(confusion: Tensor) -> Tensor:
    r"""Return the share of counts on the diagonal, :math:`\sum_c M_{cc} / \sum_{ij} M_{ij}`.

    Args:
        confusion: Counts [M, M], true classes in rows, not all zero.

    Example:
        >>> import torch
        >>> accuracy(torch.tensor([[3.0, 1.0], [0.0, 4.0]])).item()
        0.875
    """
    return confusion.diagonal().sum() / confusion.sum()


@register_metric("accuracy")
class Accuracy(ConfusionMetric):
    r"""Share of labelled rows that are classified correctly ("overall accuracy").

    Args:
        num_targets: C, the number of logits: 1 for two classes, else the number of classes.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: logits [B, C]; [B] where C is 1
        - **target**: class numbers [B] or [B, 1]; NaN or -100 where not labelled
        - **value**: float64 scalar in [0, 1]

    Raises:
        ConfigError: A label is not a class number.
        ShapeError: Shapes do not fit.
        NumericalError: A logit of a labelled row is NaN or infinite.

    Example:
        >>> import torch
        >>> metric = Accuracy(num_targets=3)
        >>> metric.update(torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 3.0]]), torch.tensor([0, 1]))
        >>> metric.compute().item()
        0.5

    Cost: O(M^2) memory for M classes, whatever the number of rows.
    """

    def _value(self, confusion: Tensor) -> Tensor:
        return accuracy(confusion)
