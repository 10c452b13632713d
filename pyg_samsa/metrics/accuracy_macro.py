"""Mean over classes of the share of rows whose class is right."""

from __future__ import annotations

from torch import Tensor

from pyg_samsa.metrics.confusion_metric import ConfusionMetric
from pyg_samsa.metrics.metric_registry import register_metric


def accuracy_macro(confusion: Tensor) -> Tensor:
    r"""Return the mean recall of the classes that occur.

    .. math::
        \frac{1}{|\mathcal C|} \sum_{c \in \mathcal C} \frac{M_{cc}}{\sum_j M_{cj}}

    Args:
        confusion: Counts [M, M], true classes in rows, not all zero.

    Example:
        >>> import torch
        >>> accuracy_macro(torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])).item()
        0.875
    """
    support = confusion.sum(dim=1)
    occurs = support > 0
    return (confusion.diagonal()[occurs] / support[occurs]).mean()


@register_metric("accuracy_macro")
class MacroAccuracy(ConfusionMetric):
    r"""Mean recall of the classes that occur ("mean class" or "balanced" accuracy).

    It equals ``sklearn.metrics.balanced_accuracy_score``. (``torchmetrics`` counts a class that only occurs among the
    predictions as a zero, and so its macro accuracy depends on which classes a model happens to predict.)

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
        >>> metric = MacroAccuracy(num_targets=1)
        >>> metric.update(torch.tensor([1.0, 2.0, -1.0, 3.0]), torch.tensor([1, 1, 1, 0]))
        >>> round(metric.compute().item(), 4)
        0.3333

    Cost: O(M^2) memory for M classes, whatever the number of rows.
    """

    def _value(self, confusion: Tensor) -> Tensor:
        return accuracy_macro(confusion)
