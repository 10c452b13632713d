"""Area under the ROC curve, binary and multi-label."""

from __future__ import annotations

import numpy as np

from pyg_samsa.metrics.metric_registry import register_metric
from pyg_samsa.metrics.row_metric import BinaryLabelMetric


def roc_auc(preds: np.ndarray, target: np.ndarray) -> float:
    r"""Return the area under the ROC curve of one class, with ties counted half; NaN if all labels are equal.

    .. math::
        \mathrm{AUC} = \Pr(s^+ > s^-) + \tfrac12 \Pr(s^+ = s^-)

    Args:
        preds: Scores [n], finite; only their order matters.
        target: Labels [n], each 0 or 1.

    Example:
        >>> roc_auc(np.array([0.9, 0.8, 0.1]), np.array([1, 0, 1]))
        0.5

    Cost: O(n log n).
    """
    from sklearn.metrics import roc_auc_score

    if not ((target == 1).any() and (target == 0).any()):
        return float("nan")
    return float(roc_auc_score(target, preds))


@register_metric("auc")
class MultilabelROCAUC(BinaryLabelMetric):
    r"""Unweighted mean over classes of the area under the ROC curve on labelled rows, as OGB's evaluator computes it.

    Classes without a positive or without a negative label are left out; with one class it is the ordinary binary area.

    Args:
        num_targets: C, the number of classes, at least 1.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: logits or any monotone score [B, C]; [B] where C is 1
        - **target**: [B, C] of 0, 1 or NaN (not labelled); [B] where C is 1
        - **value**: float64 scalar

    Raises:
        ConfigError: A label is not 0, 1 or NaN.
        ShapeError: Shapes do not fit.
        NumericalError: The score of a labelled row is not finite.

    Example:
        >>> import torch
        >>> metric = MultilabelROCAUC(num_targets=1)
        >>> metric.update(torch.tensor([2.0, 1.0, -1.0]), torch.tensor([1, 0, 0]))
        >>> metric.compute().item()
        1.0

    Cost: O(C n log n) time and O(C n) main memory for n rows.
    """

    def _score(self, preds: np.ndarray, target: np.ndarray) -> float:
        return roc_auc(preds, target)
