"""Spearman's rank correlation over several targets."""

from __future__ import annotations

import numpy as np

from pyg_samsa.metrics.metric_registry import register_metric
from pyg_samsa.metrics.row_metric import RowMetric


def spearman(preds: np.ndarray, target: np.ndarray) -> float:
    r"""Return Pearson's correlation of the average ranks of one target.

    NaN if the target has fewer than two distinct values; 0 if the predictions are all equal, so that a model which has
    collapsed on one target is not rewarded by leaving that target out.

    Args:
        preds: Predictions [n].
        target: Values [n].

    Example:
        >>> spearman(np.array([0.1, 0.2, 9.0]), np.array([1.0, 2.0, 3.0]))
        1.0
        >>> spearman(np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 3.0]))
        0.0

    Cost: O(n log n).
    """
    from scipy.stats import rankdata

    if len(target) < 2 or (target == target[0]).all():
        return float("nan")
    # scipy.stats.spearmanr would give NaN for constant predictions.
    a, b = (ranks - ranks.mean() for ranks in (rankdata(preds), rankdata(target)))
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norm) if norm > 0 else 0.0


@register_metric("spearman")
class SpearmanCorrelation(RowMetric):
    r"""Mean over targets of Spearman's rank correlation on labelled rows, ties by average ranks.

    .. math::
        \rho = \frac1C \sum_c \mathrm{corr}\bigl( \mathrm{rank}(\hat y_{\cdot c}), \mathrm{rank}(y_{\cdot c}) \bigr)

    Args:
        num_targets: C, at least 1.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: [B, C]; [B] where C is 1
        - **target**: [B, C], NaN where not labelled; [B] where C is 1
        - **value**: float64 scalar in [-1, 1]

    Raises:
        ShapeError: Shapes do not fit.
        NumericalError: A prediction for a labelled value, or a label, is infinite.

    Example:
        >>> import torch
        >>> metric = SpearmanCorrelation(num_targets=1)
        >>> metric.update(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 3.0]))
        >>> metric.compute().item()
        -1.0

    Cost: O(C n log n) time and O(C n) main memory for n rows.
    """

    higher_is_better = True
    kinds = ("regression", "binary", "multilabel")
    undefined = "no target has two different labelled values"

    def _score(self, preds: np.ndarray, target: np.ndarray) -> float:
        return spearman(preds, target)
