"""Base of metrics that need all rows of a split at once."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities.distributed import gather_all_tensors

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.metrics.metric_registry import BatchMetric
from pyg_samsa.options import check_integer


def as_rows(name: str, values: Tensor, num_targets: int) -> Tensor:
    """Return ``values`` [B, C], or [B] where C is 1, as a detached matrix [B, C].

    It is float64 if ``values`` are, otherwise float32.

    Args:
        name: What the tensor is called in the error.
        values: The tensor.
        num_targets: C.

    Raises:
        ShapeError: ``values`` has another shape: nothing is broadcast.

    Example:
        >>> as_rows("preds", torch.tensor([1.0, 2.0]), 1).tolist()
        [[1.0], [2.0]]
    """
    rows = values.detach()
    if num_targets == 1 and rows.dim() == 1:
        rows = rows.unsqueeze(-1)
    if rows.dim() != 2 or rows.size(1) != num_targets:
        expected = f"[B, {num_targets}]" + (" or [B]" if num_targets == 1 else "")
        raise ShapeError(name, list(values.shape), expected)
    return rows.to(torch.float64 if rows.dtype == torch.float64 else torch.float32)


class UndefinedMetric(UserWarning):
    """The value of a metric is NaN.

    Example:
        >>> str(UndefinedMetric("auc is undefined (NaN): no row is labelled"))
        'auc is undefined (NaN): no row is labelled'
    """


def warn_undefined(metric: str, reason: str) -> None:
    """Warn that the value of a metric is NaN, and why.

    Example:
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     warn_undefined("auc", "no row is labelled")
        >>> caught[0].category.__name__
        'UndefinedMetric'
    """
    warnings.warn(f"{metric} is undefined (NaN): {reason}", UndefinedMetric, stacklevel=3)


def mean_of_defined(values: np.ndarray) -> float:
    """Return the unweighted mean of the values that are not NaN, or NaN if there is none.

    Example:
        >>> float(mean_of_defined(np.array([0.25, np.nan, 0.75])))
        0.5
    """
    defined = values[~np.isnan(values)]
    return float(defined.sum() / len(defined)) if len(defined) else float("nan")


class RowMetric(BatchMetric):
    r"""Base of metrics that score each of C targets on all labelled rows and average over the targets.

    Rows are kept on their device as float32, or as float64 if they are, and scored in float64 in main memory. Those on
    a CPU are checked at once, others when the metric is computed, so that no batch waits for the device.
    A NaN label leaves its row out of that target only. A target whose score is not defined is left out of the mean;
    if none is defined the value is NaN and a warning says why.

    Args:
        num_targets: C, the number of targets, at least 1.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: [B, C]; [B] is accepted where C is 1.
        - **target**: [B, C]; [B] is accepted where C is 1. Any type; NaN marks a missing label.
        - **value**: a float64 scalar in main memory.

    Raises:
        ConfigError: ``num_targets`` is not a positive integer.
        ShapeError: Predictions or labels have another shape.
        NumericalError: A prediction for a labelled value is not finite.

    Example:
        >>> class LargestError(RowMetric):
        ...     def _score(self, preds, target):
        ...         return float(np.abs(preds - target).max())
        >>> metric = LargestError(num_targets=2)
        >>> metric.update(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [2.0, float("nan")]]))
        >>> metric.per_class().tolist(), metric.compute().item()
        ([1.0, 2.0], 1.5)

    Cost: O(n C) memory for the n rows of the split; in distributed runs the rows of all processes are gathered.
    """

    undefined: str = "no row is labelled"

    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, num_targets: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_integer("num_targets", num_targets)
        self.num_targets = num_targets
        self.add_state("preds", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the rows of a batch.

        Args:
            preds: Predictions [B, C]; logits for classification.
            target: Labels [B, C]; NaN where there is none.
        """
        preds = as_rows("preds", preds, self.num_targets)
        target = as_rows("target", target, self.num_targets)
        if preds.size(0) != target.size(0):
            raise ShapeError("target", f"{target.size(0)} rows", f"{preds.size(0)} rows, as in preds")
        if takes_cpu_path(preds):
            self._check(preds, target)
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Tensor:
        """Return the mean of the defined scores over the targets, a float64 scalar."""
        value = mean_of_defined(self._scores())
        if np.isnan(value):
            warn_undefined(self.name, self.undefined)
        return torch.tensor(value, dtype=torch.float64)

    def per_class(self) -> Tensor:
        """Return the score of each target [C], float64, NaN where it is not defined; gathered over all processes.

        Example:
            >>> from pyg_samsa.metrics import build
            >>> metric = build("mae", num_targets=2)
            >>> metric.update(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.5, float("nan")]]))
            >>> metric.per_class().tolist()
            [0.5, nan]
        """
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn, should_sync=self._to_sync, should_unsync=self._should_unsync
        ):
            return torch.from_numpy(self._scores())

    @abstractmethod
    def _score(self, preds: np.ndarray, target: np.ndarray) -> float:
        """Return the score of one target on its labelled rows, preds [n] and target [n] in float64, or NaN."""

    def _check(self, preds: Tensor, target: Tensor) -> None:
        broken = int((~torch.isfinite(preds) & ~torch.isnan(target)).sum())
        if broken:
            raise NumericalError(f"metric {self.name}", f"{broken} of {preds.numel()} predictions are NaN or infinite")
        self._check_labels(target)

    def _check_labels(self, target: Tensor) -> None:
        """Raise if a label [B, C] has a value that this metric cannot use."""
        if bool(torch.isinf(target).any()):
            raise NumericalError(f"metric {self.name}", "a label is infinite")

    def _scores(self) -> np.ndarray:
        rows = [self._stacked(part) for part in (self.preds, self.target)]
        self._check(*rows)
        preds, target = (part.numpy().astype(np.float64) for part in rows)
        labelled = ~np.isnan(target)
        return np.array(
            [self._score(preds[labelled[:, c], c], target[labelled[:, c], c]) for c in range(self.num_targets)],
            dtype=np.float64,
        )

    def _stacked(self, rows: list[Tensor] | Tensor) -> Tensor:
        # After a distributed gather torchmetrics leaves one tensor where the list was.
        parts = [rows] if isinstance(rows, Tensor) else rows
        return torch.cat([part.cpu() for part in parts]) if parts else torch.empty(0, self.num_targets)

    def _sync_dist(
        self, dist_sync_fn: Callable[..., list[Tensor]] = gather_all_tensors, process_group: Any = None
    ) -> None:
        # A process without rows must offer [0, C], or the gather would wait for shapes that do not fit;
        # NCCL gathers only tensors on the device, and the rows are in main memory.
        self.preds, self.target = [self._stacked(self.preds)], [self._stacked(self.target)]

        def gather(rows: Tensor, group: Any = None) -> list[Tensor]:
            return [part.cpu() for part in dist_sync_fn(rows.to(self.device), group=group)]

        super()._sync_dist(gather, process_group)


class BinaryLabelMetric(RowMetric):
    """Base of metrics over labels that are 0, 1 or NaN; a class without positives or negatives is not defined."""

    higher_is_better = True
    kinds = ("binary", "multilabel")
    undefined = "no class has both a positive and a negative label"

    def _check_labels(self, target: Tensor) -> None:
        legal = (target == 0) | (target == 1) | torch.isnan(target)
        if not bool(legal.all()):
            raise ConfigError(f"target of {self.name}", target[~legal][0].item(), "labels 0, 1 or NaN (not labelled)")
