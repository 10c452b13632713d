"""Root mean squared error over several targets."""

from __future__ import annotations

import numpy as np

from pyg_samsa.metrics.metric_registry import register_metric
from pyg_samsa.metrics.row_metric import RowMetric


def root_mean_squared_error(preds: np.ndarray, target: np.ndarray) -> float:
    r"""Return :math:`\sqrt{\frac1n \sum_i (\hat y_i - y_i)^2}` of one target, or NaN without rows.

    Args:
        preds: Predictions [n].
        target: Values [n].

    Example:
        >>> root_mean_squared_error(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
        2.0
    """
    return float(np.sqrt(np.square(preds - target).mean())) if len(target) else float("nan")


@register_metric("rmse")
class RootMeanSquaredError(RowMetric):
    r"""Mean over targets of the root mean squared error on labelled rows, as OGB's evaluator computes it.

    .. math::
        \mathrm{RMSE} = \frac1C \sum_c \sqrt{\frac{1}{n_c} \sum_{i : y_{ic}\ \text{labelled}} (\hat y_{ic} - y_{ic})^2}

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
        >>> metric = RootMeanSquaredError(num_targets=1)
        >>> metric.update(torch.tensor([3.0, 4.0]), torch.tensor([1.0, 2.0]))
        >>> metric.compute().item()
        2.0

    Cost: O(n C) time and main memory for n rows.
    """

    higher_is_better = False
    kinds = ("regression",)

    def _score(self, preds: np.ndarray, target: np.ndarray) -> float:
        return root_mean_squared_error(preds, target)
