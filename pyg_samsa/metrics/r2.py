"""Coefficient of determination over several targets."""

from __future__ import annotations

import numpy as np

from pyg_samsa.metrics.metric_registry import register_metric
from pyg_samsa.metrics.row_metric import RowMetric


def r2(preds: np.ndarray, target: np.ndarray) -> float:
    r"""Return the coefficient of determination of one target, or NaN with fewer than two rows.

    .. math::
        R^2 = 1 - \frac{\sum_i (y_i - \hat y_i)^2}{\sum_i (y_i - \bar y)^2}

    For a constant target it is 1 if all predictions are exact and 0 otherwise, as in scikit-learn.

    Args:
        preds: Predictions [n].
        target: Values [n].

    Example:
        >>> r2(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0])) > 0.7
        True
        >>> r2(np.array([2.0, 2.0]), np.array([2.0, 2.0]))
        1.0
    """
    from sklearn.metrics import r2_score

    return float(r2_score(target, preds)) if len(target) > 1 else float("nan")


@register_metric("r2")
class R2(RowMetric):
    r"""Mean over targets of the coefficient of determination on labelled rows.

    .. math::
        R^2 = \frac1C \sum_c \left( 1 - \frac{\sum_i (y_{ic} - \hat y_{ic})^2}{\sum_i (y_{ic} - \bar y_c)^2} \right)

    Unlike ``torchmetrics.R2Score`` it is NaN-aware and does not take sums of squares in float32, which cancel for
    targets far from zero.

    Args:
        num_targets: C, at least 1.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: [B, C]; [B] where C is 1
        - **target**: [B, C], NaN where not labelled; [B] where C is 1
        - **value**: float64 scalar, at most 1

    Raises:
        ShapeError: Shapes do not fit.
        NumericalError: A prediction for a labelled value, or a label, is infinite.

    Example:
        >>> import torch
        >>> metric = R2(num_targets=1)
        >>> metric.update(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0]))
        >>> metric.compute().item()
        1.0

    Cost: O(n C) time and main memory for n rows.
    """

    higher_is_better = True
    kinds = ("regression",)
    undefined = "no target has two labelled rows"

    def _score(self, preds: np.ndarray, target: np.ndarray) -> float:
        return r2(preds, target)
