"""Intersection over union of the parts of shapes, as ShapeNetPart counts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError, check_choice
from pyg_samsa.metrics.confusion_metric import IGNORE_INDEX
from pyg_samsa.metrics.metric_registry import BatchMetric, register_metric
from pyg_samsa.metrics.row_metric import warn_undefined

AVERAGES = ("instance", "category")


def part_iou(preds: Tensor, target: Tensor, batch: Tensor, allowed: Tensor) -> Tensor:
    r"""Return the mean intersection over union of the parts of each shape.

    .. math::
        \hat y_t = \arg\max_{c \in \mathcal P_s} z_{tc}, \qquad
        \mathrm{IoU}_s = \frac{1}{|\mathcal P_s|} \sum_{c \in \mathcal P_s}
        \frac{|\{t : \hat y_t = c\} \cap \{t : y_t = c\}|}
        {|\{t : \hat y_t = c\} \cup \{t : y_t = c\}|}

    over the points t of shape s and the parts of its category; a part that neither the shape nor the prediction has
    counts 1 (Qi et al., "PointNet", 2017).

    Args:
        preds: Logits of all C parts for each point.
        target: True part of each point, one of its shape's category.
        batch: Shape number of each point, in any order.
        allowed: Which parts the category of each shape has.

    Shapes:
        - **preds:** floats [T, C]; **target**, **batch:** int64 [T]; **allowed:** bool [B, C], at least one True a row
        - **output:** float64 [B]; NaN for a shape without points

    Example:
        >>> preds = torch.eye(3)[[0, 1, 1, 2]]  # the last logit is largest for a part that the shape cannot have
        >>> batch, allowed = torch.zeros(4, dtype=torch.long), torch.tensor([[True, True, False]])
        >>> part_iou(preds, torch.tensor([0, 0, 1, 0]), batch, allowed).item()
        0.5833333333333333

    Cost: O((T + B) C).
    """
    shapes, parts = allowed.shape
    found = preds.masked_fill(~allowed[batch], -torch.inf).argmax(1)

    def count(labels: Tensor, points: Tensor) -> Tensor:
        return torch.bincount(points * parts + labels, minlength=shapes * parts).view(shapes, parts).double()

    agree = found == target
    common = count(target[agree], batch[agree])
    union = count(target, batch) + count(found, batch) - common
    iou = torch.where(union > 0, common / union, 1.0)
    mean = (iou * allowed).sum(1) / allowed.sum(1)
    return torch.where(torch.bincount(batch, minlength=shapes) > 0, mean, torch.nan)


@register_metric("miou")
class PartIoU(BatchMetric):
    r"""Instance or category mean of the parts' intersection over union, the two metrics of ShapeNetPart.

    A point's prediction is the largest logit among the parts of its shape's category; :func:`part_iou` scores each
    shape. The instance mean is the mean over all shapes, the category mean the unweighted mean over the categories that
    occur of the means over their shapes. Points labelled -100 are left out, and so are shapes without a labelled point.
    Without any shape the value is NaN and a warning says so.

    Args:
        parts: The parts of each category: class numbers among the C logits, distinct.
        num_targets: C, the number of logits; by default one more than the largest part.
        average: ``"instance"`` or ``"category"``.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: logits [T, C] of all points of B shapes
        - **target**: part of each point, int64 [T]
        - **category**: category of each shape, int64 [B]
        - **batch**: shape number of each point, int64 [T], in any order
        - **value**: float64 scalar in [0, 1], in main memory

    Raises:
        ConfigError: ``parts`` or ``average`` is not allowed, or a label is not a part of its shape's category.
        ShapeError: Shapes do not fit.
        NumericalError: A logit that counts is NaN or infinite.

    Example:
        >>> metric = PartIoU([[0, 1], [2, 3, 4]])
        >>> preds, target = torch.eye(5)[[0, 1, 2, 2]], torch.tensor([0, 1, 2, 3])
        >>> metric.update(preds, target, category=torch.tensor([0, 1]), batch=torch.tensor([0, 0, 1, 1]))
        >>> metric.compute().item(), metric.per_category().tolist()
        (0.75, [1.0, 0.5])

    Cost: O((T + B) C) a batch; O(K) memory for K categories, whatever the number of shapes.
    """

    higher_is_better = True
    needs_parts = True

    total: Tensor
    shapes: Tensor

    def __init__(
        self,
        parts: Sequence[Sequence[int]],
        num_targets: int | None = None,
        *,
        average: str = "instance",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice("average", average, AVERAGES)
        self.average = average
        self.name = "miou" if average == "instance" else "miou_category"
        self.allowed = _allowed(parts, num_targets)
        self.add_state("total", default=torch.zeros(len(parts), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("shapes", default=torch.zeros(len(parts), dtype=torch.long), dist_reduce_fx="sum")

    @classmethod
    def for_task(cls, num_targets: int, parts: Sequence[Sequence[int]] = ()) -> PartIoU:
        """Return a fresh metric for the parts of each category.

        Example:
            >>> metric = PartIoU.for_task(3, parts=[[0, 1], [2]])
            >>> metric.update(torch.eye(3)[[0, 0]], torch.tensor([0, 0]), torch.tensor([0]), torch.tensor([0, 0]))
            >>> metric.compute().item()
            1.0
        """
        return cls(parts, num_targets)

    def update_batch(self, preds: Tensor, target: Tensor, batch: Any) -> None:
        """Add a batch; its ``category`` says which parts a shape can have."""
        self.update(preds, target, batch.category, batch.batch)

    def update(self, preds: Tensor, target: Tensor, category: Tensor, batch: Tensor) -> None:
        """Add the shapes of a batch.

        Args:
            preds: Logits [T, C].
            target: Part of each point [T].
            category: Category of each shape [B].
            batch: Shape number of each point [T].

        Example:
            >>> metric = PartIoU([[0, 1], [2]])
            >>> labels, batch = torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1])
            >>> metric.update(torch.eye(3), labels, torch.tensor([0, 1]), batch)
            >>> metric.compute().item()
            1.0
        """
        category = category.flatten()
        self._check_shapes(preds, target, category, batch)
        # Counted in main memory, as not every device has float64.
        preds, target, category, batch = preds.detach().float().cpu(), target.cpu(), category.cpu(), batch.cpu()
        labelled = target != IGNORE_INDEX
        preds, target, batch = preds[labelled], target[labelled], batch[labelled]
        allowed = self.allowed[category]
        mine = allowed[batch]
        wrong = (target < 0) | (target >= self.allowed.size(1))
        wrong |= ~mine.gather(1, target.clamp(0, self.allowed.size(1) - 1).unsqueeze(1)).squeeze(1)
        if bool(wrong.any()):
            kind = int(category[batch[wrong][0]])
            owned = self.allowed[kind].nonzero().flatten().tolist()
            raise ConfigError(
                f"target of {self.name}",
                int(target[wrong][0]),
                f"one of {owned}, the parts of category {kind}, or {IGNORE_INDEX}",
            )
        broken = int((~torch.isfinite(preds) & mine).sum())
        if broken:
            raise NumericalError(f"metric {self.name}", f"{broken} logits are NaN or infinite")
        score = part_iou(preds, target, batch, allowed)
        scored = ~score.isnan()
        place = category[scored].to(self.total.device)
        self.total.index_add_(0, place, score[scored].to(self.total.device))
        self.shapes += torch.bincount(place, minlength=len(self.shapes))

    def compute(self) -> Tensor:
        """Return the mean, a float64 scalar; NaN without any shape."""
        total, shapes = self.total.cpu(), self.shapes.cpu()
        occurs = shapes > 0
        if not bool(occurs.any()):
            warn_undefined(self.name, "no point is labelled")
            return torch.tensor(float("nan"), dtype=torch.float64)
        if self.average == "instance":
            return total.sum() / shapes.sum()
        return (total[occurs] / shapes[occurs]).mean()

    def per_category(self) -> Tensor:
        """Return the mean over the shapes of each category [K], gathered over processes; NaN for one without shapes.

        Example:
            >>> metric = PartIoU([[0, 1], [2]])
            >>> metric.update(torch.eye(3)[[0, 0]], torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([0, 0]))
            >>> metric.per_category().tolist()
            [0.25, nan]
        """
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn, should_sync=self._to_sync, should_unsync=self._should_unsync
        ):
            return self.total.cpu() / self.shapes.cpu()

    def _check_shapes(self, preds: Tensor, target: Tensor, category: Tensor, batch: Tensor) -> None:
        categories, parts = self.allowed.shape
        if preds.dim() != 2 or preds.size(1) != parts:
            raise ShapeError("preds", list(preds.shape), f"logits [T, {parts}]")
        for name, values, rows in (
            ("target", target, preds.size(0)),
            ("batch", batch, preds.size(0)),
            ("category", category, category.numel()),
        ):
            if values.shape != (rows,) or values.is_floating_point() or values.dtype == torch.bool:
                raise ShapeError(name, f"{list(values.shape)} {values.dtype}", f"integers [{rows}]")
        if batch.numel() and not 0 <= int(batch.min()) <= int(batch.max()) < len(category):
            raise ShapeError(
                "batch",
                f"shapes {int(batch.min())} to {int(batch.max())}",
                f"shapes 0 to {len(category) - 1}, which have a category",
            )
        if category.numel() and not 0 <= int(category.min()) <= int(category.max()) < categories:
            raise ShapeError(
                "category",
                f"categories {int(category.min())} to {int(category.max())}",
                f"categories 0 to {categories - 1}",
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.allowed)} categories, average={self.average!r})"


@register_metric("miou_category")
class CategoryPartIoU(PartIoU):
    """`PartIoU` averaged over the categories, whatever the number of their shapes; arguments as there.

    Example:
        >>> metric = CategoryPartIoU([[0, 1], [2, 3, 4]])
        >>> metric.average, metric.name
        ('category', 'miou_category')
    """

    def __init__(self, parts: Sequence[Sequence[int]], num_targets: int | None = None, **kwargs: Any) -> None:
        super().__init__(parts, num_targets, average="category", **kwargs)


def _allowed(parts: Sequence[Sequence[int]], num_targets: int | None) -> Tensor:
    """Return which of the C parts each of the K categories has, bool [K, C]."""
    numbers = [int(part) for owned in parts for part in owned]
    if not parts or not all(len(owned) and len(set(owned)) == len(owned) for owned in parts) or min(numbers) < 0:
        raise ConfigError("parts", parts, "a list of distinct class numbers for each category, none of them empty")
    width = max(numbers) + 1 if num_targets is None else num_targets
    if width <= max(numbers):
        raise ConfigError(
            "num_targets", num_targets, f"at least {max(numbers) + 1}, for the largest part {max(numbers)}"
        )
    allowed = torch.zeros(len(parts), width, dtype=torch.bool)
    for kind, owned in enumerate(parts):
        allowed[kind, list(owned)] = True
    return allowed
