"""Metrics of predictions that lie in memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from pyg_samsa.metrics.row_metric import UndefinedMetric
from pyg_samsa.predict.blend_weights import raw_outputs
from pyg_samsa.task import Task
from pyg_samsa.training.losses import clip_to_bounds


def measure(metrics: Mapping[str, Metric], values: np.ndarray, target: np.ndarray, task: Task) -> dict[str, float]:
    """Return the metrics of values or probabilities [n, C].

    Args:
        metrics: Metrics by name.
        values: Values or probabilities [n, C].
        target: Targets [n, C], or class numbers [n].
        task: The task.

    Example:
        >>> from pyg_samsa import metrics
        >>> task = Task("regression", ["logS"])
        >>> measure({"mae": metrics.build("mae", 1)}, np.zeros((2, 1)), np.array([[1.0], [2.0]]), task)
        {'mae': 1.5}
    """
    raw: Tensor = raw_outputs(torch.from_numpy(np.asarray(values, np.float64)), task)
    known = torch.from_numpy(target)
    return measure_raw(metrics, raw, known.long() if task.kind == "multiclass" else known)


def measure_raw(
    metrics: Mapping[str, Metric], raw: Tensor, target: Tensor, bound: Tensor | None = None
) -> dict[str, float]:
    """Return the metrics of raw outputs, as a network gives them; NaN where one is not defined.

    Args:
        metrics: Metrics by name.
        raw: Raw outputs [n, C].
        target: Targets [n, C], or class numbers [n].
        bound: Which targets are only bounds, see `pyg_samsa.training.losses.clip_to_bounds`; None if none is.

    Example:
        >>> from pyg_samsa import metrics
        >>> measure_raw({"mae": metrics.build("mae", 1)}, torch.zeros(2, 1), torch.tensor([[1.0], [2.0]]))
        {'mae': 1.5}
    """
    found = {}
    raw = raw if bound is None else clip_to_bounds(raw, target, bound)
    for name, metric in metrics.items():
        metric.reset()
        metric.update(raw, target)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetric)  # the table shows a dash
            found[name] = float(metric.compute())
    return found
