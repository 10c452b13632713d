"""Metrics: torchmetrics classes that count as the benchmarks count, are NaN-aware and gather over processes.

Example:
    >>> import torch
    >>> from pyg_samsa import metrics
    >>> metrics.available()
    ['accuracy', 'accuracy_macro', 'ap', 'auc', 'f1_macro', 'mae', 'r2', 'rmse', 'spearman']
    >>> metric = metrics.build("mae", num_targets=1)
    >>> metric.update(torch.tensor([1.0, 2.0], dtype=torch.bfloat16), torch.tensor([1.5, float("nan")]))
    >>> metric.compute().item(), metrics.higher_is_better("mae")
    (0.5, False)
"""

from __future__ import annotations

from torchmetrics import Metric

from pyg_samsa.errors import ConfigError
from pyg_samsa.metrics._confusion import ConfusionMetric
from pyg_samsa.metrics._rows import RowMetric
from pyg_samsa.metrics.accuracy import Accuracy
from pyg_samsa.metrics.accuracy_macro import MacroAccuracy
from pyg_samsa.metrics.average_precision import MultilabelAveragePrecision
from pyg_samsa.metrics.f1_macro import MacroF1
from pyg_samsa.metrics.mean_absolute_error import MeanAbsoluteError
from pyg_samsa.metrics.part_iou import PartIoU
from pyg_samsa.metrics.r2 import R2
from pyg_samsa.metrics.roc_auc import MultilabelROCAUC
from pyg_samsa.metrics.root_mean_squared_error import RootMeanSquaredError
from pyg_samsa.metrics.spearman import SpearmanCorrelation

PART_METRICS = {"miou": "instance", "miou_category": "category"}
"""Names of :class:`PartIoU` with its two averages; they need the parts of each category, so :func:`build` does not make them."""

__all__ = [
    "PART_METRICS",
    "R2",
    "Accuracy",
    "MacroAccuracy",
    "MacroF1",
    "MeanAbsoluteError",
    "MultilabelAveragePrecision",
    "MultilabelROCAUC",
    "PartIoU",
    "RootMeanSquaredError",
    "SpearmanCorrelation",
    "available",
    "build",
    "higher_is_better",
]

_CLASSES: tuple[type[RowMetric] | type[ConfusionMetric], ...] = (
    Accuracy,
    MacroAccuracy,
    MacroF1,
    MeanAbsoluteError,
    MultilabelAveragePrecision,
    MultilabelROCAUC,
    R2,
    RootMeanSquaredError,
    SpearmanCorrelation,
)
_BY_NAME = {cls.name: cls for cls in _CLASSES}


def available() -> list[str]:
    """Return the names that :func:`build` knows, sorted.

    Example:
        >>> "ap" in available()
        True
    """
    return sorted(_BY_NAME)


def build(name: str, num_targets: int) -> Metric:
    """Return a fresh metric.

    Args:
        name: One of :func:`available`.
        num_targets: C, the width of the model's output, at least 1.

    Raises:
        ConfigError: the name is unknown (the nearest one is suggested) or ``num_targets`` is not a positive integer.

    Example:
        >>> build("ap", num_targets=10)
        MultilabelAveragePrecision()
    """
    return _find(name)(num_targets)


def higher_is_better(name: str) -> bool:
    """Return whether a larger value of the metric is better.

    Args:
        name: One of :func:`available`.

    Raises:
        ConfigError: the name is unknown.

    Example:
        >>> higher_is_better("ap"), higher_is_better("rmse")
        (True, False)
    """
    return bool(_find(name).higher_is_better)


def _find(name: str) -> type[RowMetric] | type[ConfusionMetric]:
    if name not in _BY_NAME:
        raise ConfigError("metric", name, available())
    return _BY_NAME[name]
