"""Mean absolute error over several targets."""

from __future__ import annotations

import numpy as np

from pyg_samsa.metrics.metric_registry import register_metric
from pyg_samsa.metrics.row_metric import RowMetric


def mean_absolute_error(preds: np.ndarray, target: np.ndarray) -> float:
    r"""Return :math:`\frac1n \sum_i |\hat y_i - y_i|` of one target, or NaN without rows.

    Args:
        preds: Predictions [n].
        target: Values [n].

    Example:
        >>> mean_absolute_error(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
        0.25
    """
    return float(np.abs(preds - target).mean()) if len(target) else float("nan")


@register_metric("mae")
class MeanAbsoluteError(RowMetric):
    r"""Mean over targets of the mean absolute error on labelled rows: the metric of Peptides-struct (LRGB) and of ZINC.

    .. math::
        \mathrm{MAE} = \frac1C \sum_c \frac{1}{n_c} \sum_{i : y_{ic}\ \text{labelled}} |\hat y_{ic} - y_{ic}|

    Args:
        num_targets: C, at least 1.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: [B, C]; [B] where C is 1
        - **target**: [B, C], NaN where not labelled; [B] where C is 1
        - **value**: float64 scalar, in the unit of the targets

    Raises:
        ShapeError: Shapes do not fit.
        NumericalError: A prediction for a labelled value, or a label, is infinite.

    Example:
        >>> import torch
        >>> metric = MeanAbsoluteError(num_targets=2)
        >>> metric.update(torch.tensor([[1.0, 5.0], [2.0, 0.0]]), torch.tensor([[1.5, 4.0], [2.0, float("nan")]]))
        >>> metric.compute().item()
        0.625

    Cost: O(n C) time and main memory for n rows.
    """

    higher_is_better = False
    kinds = ("regression",)

    def _score(self, preds: np.ndarray, target: np.ndarray) -> float:
        return mean_absolute_error(preds, target)
