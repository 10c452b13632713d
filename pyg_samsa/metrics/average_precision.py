"""Average precision as the benchmarks Peptides-func and ogbg-molpcba count it."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from pyg_samsa.metrics.metric_registry import register_metric
from pyg_samsa.metrics.row_metric import BinaryLabelMetric


def average_precision(preds: np.ndarray, target: np.ndarray) -> float:
    r"""Return the average precision of one class, or NaN if all its labels are equal.

    .. math::
        \mathrm{AP} = \sum_k (R_k - R_{k-1}) P_k

    with precision :math:`P_k` and recall :math:`R_k` at the k-th distinct score: no interpolation, ties counted
    together.

    Args:
        preds: Scores [n], finite; only their order matters.
        target: Labels [n], each 0 or 1.

    Example:
        >>> round(average_precision(np.array([0.9, 0.8, 0.1]), np.array([1, 0, 1])), 4)
        0.8333
        >>> average_precision(np.array([0.9, 0.8]), np.array([1, 1]))
        nan

    Cost: O(n log n).
    """
    from sklearn.metrics import average_precision_score

    if not ((target == 1).any() and (target == 0).any()):
        return float("nan")
    return float(average_precision_score(target, preds))


@register_metric("ap")
class MultilabelAveragePrecision(BinaryLabelMetric):
    r"""Unweighted mean over classes of the average precision on the whole split, as OGB's evaluator computes it.

    .. math::
        \mathrm{AP} = \frac{1}{|\mathcal C|} \sum_{c \in \mathcal C} \sum_k (R_{c,k} - R_{c,k-1}) P_{c,k}

    where :math:`\mathcal C` are the classes with at least one positive and one negative label. The value is the
    official metric of LRGB's Peptides-func (`Dwivedi et al., 2022 <https://arxiv.org/abs/2206.08164>`_). OGB's
    evaluator raises where :math:`\mathcal C` is empty; here the value is NaN with a warning, so that a validation split
    of a few rows cannot end a training run.

    Args:
        num_targets: C, the number of classes, at least 1.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: logits or any monotone score [B, C]
        - **target**: [B, C] of 0, 1 or NaN (not labelled)
        - **value**: float64 scalar

    Raises:
        ConfigError: A label is not 0, 1 or NaN.
        ShapeError: Shapes do not fit.
        NumericalError: The score of a labelled row is not finite.

    Example:
        >>> import torch
        >>> metric = MultilabelAveragePrecision(num_targets=2)
        >>> metric.update(torch.tensor([[2.0, 1.0], [1.0, 3.0], [-1.0, 0.0]]), torch.tensor([[1, 0], [0, 1], [1, 0]]))
        >>> round(metric.compute().item(), 4), metric.per_class().round(decimals=4).tolist()
        (0.9167, [0.8333, 1.0])

    Cost: O(C n log n) time and O(C n) main memory for n rows.
    """

    def per_class(self) -> Tensor:
        """Return the average precision of each class [C], float64, NaN for a class that OGB skips.

        Example:
            >>> import torch
            >>> metric = MultilabelAveragePrecision(num_targets=2)
            >>> metric.update(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
            >>> metric.per_class().tolist()
            [1.0, 0.5]
        """
        return super().per_class()

    def _score(self, preds: np.ndarray, target: np.ndarray) -> float:
        return average_precision(preds, target)
