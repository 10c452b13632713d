"""Metrics: torchmetrics classes that count as the benchmarks count, ignore missing labels and gather over processes.

Example:
    >>> import torch
    >>> from pyg_samsa import metrics
    >>> metrics.available(parts=False, pairs=False, words=False)
    ['accuracy', 'accuracy_macro', 'ap', 'auc', 'f1_macro', 'mae', 'r2', 'rmse', 'spearman']
    >>> metric = metrics.build("mae", num_targets=1)
    >>> metric.update(torch.tensor([1.0, 2.0], dtype=torch.bfloat16), torch.tensor([1.5, float("nan")]))
    >>> metric.compute().item(), metrics.higher_is_better("mae")
    (0.5, False)
"""

from __future__ import annotations

from pyg_samsa.metrics.accuracy import Accuracy
from pyg_samsa.metrics.accuracy_macro import MacroAccuracy
from pyg_samsa.metrics.average_precision import MultilabelAveragePrecision
from pyg_samsa.metrics.confusion_metric import ConfusionMetric
from pyg_samsa.metrics.f1_macro import MacroF1
from pyg_samsa.metrics.link_ranking import LinkRanking, protocols
from pyg_samsa.metrics.mean_absolute_error import MeanAbsoluteError
from pyg_samsa.metrics.metric_registry import (
    BatchMetric,
    available,
    build,
    default_metrics,
    direction,
    fitting,
    higher_is_better,
    register_metric,
    unregister_metric,
)
from pyg_samsa.metrics.part_iou import CategoryPartIoU, PartIoU
from pyg_samsa.metrics.r2 import R2
from pyg_samsa.metrics.roc_auc import MultilabelROCAUC
from pyg_samsa.metrics.root_mean_squared_error import RootMeanSquaredError
from pyg_samsa.metrics.row_metric import BinaryLabelMetric, RowMetric
from pyg_samsa.metrics.spearman import SpearmanCorrelation
from pyg_samsa.metrics.word_f1 import WordF1

__all__ = [
    "R2",
    "Accuracy",
    "BatchMetric",
    "BinaryLabelMetric",
    "CategoryPartIoU",
    "ConfusionMetric",
    "LinkRanking",
    "MacroAccuracy",
    "MacroF1",
    "MeanAbsoluteError",
    "MultilabelAveragePrecision",
    "MultilabelROCAUC",
    "PartIoU",
    "RootMeanSquaredError",
    "RowMetric",
    "SpearmanCorrelation",
    "WordF1",
    "available",
    "build",
    "default_metrics",
    "direction",
    "fitting",
    "higher_is_better",
    "protocols",
    "register_metric",
    "unregister_metric",
]
