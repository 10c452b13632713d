"""Base of metrics that are functions of a confusion matrix."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, NumericalError, SAMSAError, ShapeError
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.metrics.metric_registry import BatchMetric
from pyg_samsa.metrics.row_metric import warn_undefined
from pyg_samsa.options import check_integer

IGNORE_INDEX = -100  # as in torch's cross-entropy


def confusion_matrix(preds: Tensor, target: Tensor, num_classes: int, counted: Tensor | None = None) -> Tensor:
    """Count how often a row of class i was given class j, without reading from the device.

    Args:
        preds: Predicted classes [n], integers in [0, num_classes).
        target: True classes [n], integers in [0, num_classes).
        num_classes: M, at least 2.
        counted: Which rows count [n], bool; None means all.

    Returns:
        Counts [M, M], int64: rows are true classes, columns predicted ones.

    Example:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
        [[1, 1], [0, 1]]

    Cost: O(n + M^2).
    """
    cells = target * num_classes + preds
    ones = torch.ones_like(cells) if counted is None else counted.to(cells.dtype)
    return cells.new_zeros(num_classes**2).scatter_add_(0, cells, ones).view(num_classes, num_classes)


class ConfusionMetric(BatchMetric):
    """Base of metrics over a confusion matrix that is summed over batches and processes.

    The predicted class is the largest of the C logits; with one logit there are two classes, and a logit above zero is
    class 1. Rows labelled NaN or -100 are left out. Without any labelled row the value is NaN and a warning says so.

    Args:
        num_targets: C, the number of logits: 1 for two classes, else the number of classes.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: logits [B, C]; [B] where C is 1
        - **target**: class numbers [B] or [B, 1], of any type
        - **value**: float64 scalar in [0, 1], in main memory

    Raises:
        ConfigError: A label is not a class number.
        ShapeError: Shapes do not fit.
        NumericalError: A logit of a labelled row is NaN or infinite.

    Example:
        >>> class Errors(ConfusionMetric):
        ...     def _value(self, confusion):
        ...         return 1 - confusion.diagonal().sum() / confusion.sum()
        >>> metric = Errors(num_targets=2)
        >>> metric.update(torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1]))
        >>> metric.compute().item()
        0.5

    Cost: O(M^2) memory for M classes, whatever the number of rows.
    """

    higher_is_better = True
    kinds = ("binary", "multiclass")

    confusion: Tensor

    def __init__(self, num_targets: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_integer("num_targets", num_targets)
        self.num_targets = num_targets
        self.num_classes = max(2, num_targets)
        self.add_state(
            "confusion", default=torch.zeros(self.num_classes, self.num_classes, dtype=torch.long), dist_reduce_fx="sum"
        )

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Add the rows of a batch.

        Args:
            preds: Logits [B, C]; [B] where C is 1.
            target: Class numbers [B] or [B, 1].

        Example:
            >>> from pyg_samsa.metrics import build
            >>> metric = build("accuracy", num_targets=1)
            >>> metric.update(torch.tensor([2.0, -1.0, 3.0]), torch.tensor([1.0, 1.0, float("nan")]))
            >>> metric.confusion.tolist()
            [[0, 0], [1, 1]]
        """
        logits = self._logits(preds.detach())
        labels = self._labels(target.detach(), logits.size(0))
        labelled = (
            ~torch.isnan(labels) & (labels != IGNORE_INDEX) if labels.is_floating_point() else labels != IGNORE_INDEX
        )
        self._check(logits, labels, labelled)
        classes = logits.argmax(dim=-1) if self.num_targets > 1 else (logits[:, 0] > 0).long()
        known = labels.where(labelled, 0).long().clamp(0, self.num_classes - 1)
        counts = confusion_matrix(classes, known, self.num_classes, labelled)
        self.confusion += counts.to(self.confusion.device)

    def compute(self) -> Tensor:
        """Return the metric, a float64 scalar; NaN if no row was labelled."""
        confusion = self.confusion.cpu()
        if not bool(confusion.any()):
            warn_undefined(self.name, "no row is labelled")
            return torch.tensor(float("nan"), dtype=torch.float64)
        return self._value(confusion.double())

    @abstractmethod
    def _value(self, confusion: Tensor) -> Tensor:
        """Return the metric of a confusion matrix [M, M], float64, that holds at least one row."""

    def _check(self, logits: Tensor, labels: Tensor, labelled: Tensor) -> None:
        """Check the labelled rows; on an accelerator, within `deferred_checks`, the error comes later."""
        illegal = labelled & ((labels < 0) | (labels >= self.num_classes) | (labels != labels.trunc()))
        broken = labelled[:, None] & ~torch.isfinite(logits)

        def explain() -> SAMSAError:
            if bool(illegal.any()):
                allowed = f"class numbers 0 to {self.num_classes - 1}, or NaN or {IGNORE_INDEX} (not labelled)"
                return ConfigError(f"target of {self.name}", labels[illegal][0].item(), allowed)
            total = int(labelled.sum()) * self.num_targets
            return NumericalError(f"metric {self.name}", f"{int(broken.sum())} of {total} logits are NaN or infinite")

        require(illegal.any() | broken.any(), explain)

    def _logits(self, preds: Tensor) -> Tensor:
        if self.num_targets == 1 and preds.dim() == 1:
            preds = preds.unsqueeze(-1)
        if preds.dim() != 2 or preds.size(1) != self.num_targets:
            expected = f"logits [B, {self.num_targets}]" + (" or [B]" if self.num_targets == 1 else "")
            raise ShapeError("preds", list(preds.shape), expected)
        return preds.float()

    def _labels(self, target: Tensor, rows: int) -> Tensor:
        labels = target.squeeze(-1) if target.dim() == 2 and target.size(1) == 1 else target
        if labels.dim() != 1 or labels.size(0) != rows:
            raise ShapeError("target", list(target.shape), f"class numbers [{rows}] or [{rows}, 1]")
        return labels.long() if labels.dtype == torch.bool else labels
