"""Mean over classes of the F1 score."""

from __future__ import annotations

from torch import Tensor

from pyg_samsa.metrics.confusion_metric import ConfusionMetric
from pyg_samsa.metrics.metric_registry import register_metric


def f1_macro(confusion: Tensor) -> Tensor:
    r"""Return the mean F1 of the classes that occur among labels or predictions.

    .. math::
        F_1(c) = \frac{2 M_{cc}}{\sum_j M_{cj} + \sum_i M_{ic}}

    Args:
        confusion: Counts [M, M], true classes in rows, not all zero.

    Example:
        >>> import torch
        >>> round(f1_macro(torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])).item(), 4)
        0.7333
    """
    total = confusion.sum(dim=1) + confusion.sum(dim=0)
    occurs = total > 0
    return (2 * confusion.diagonal()[occurs] / total[occurs]).mean()


@register_metric("f1_macro")
class MacroF1(ConfusionMetric):
    r"""Mean over classes of the F1 score, the official metric of LRGB's PascalVOC-SP and COCO-SP.

    A class that occurs neither among labels nor among predictions is left out; one that is never predicted or never
    right counts as zero. It equals ``sklearn.metrics.f1_score(average="macro", zero_division=0)``.

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
        >>> metric = MacroF1(num_targets=2)
        >>> metric.update(torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 1, 0]))
        >>> round(metric.compute().item(), 4)
        0.6667

    Cost: O(M^2) memory for M classes, whatever the number of rows.
    """

    def _value(self, confusion: Tensor) -> Tensor:
        return f1_macro(confusion)
