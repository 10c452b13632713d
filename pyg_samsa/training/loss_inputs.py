"""Predictions and targets as losses take them: of one shape, in full precision, with marks of missing labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.metrics.confusion_metric import IGNORE_INDEX


def full_precision(pred: Tensor) -> Tensor:
    """Return predictions in at least float32.

    Raises:
        ShapeError: They are no floating-point numbers.

    Example:
        >>> full_precision(torch.zeros(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    if not pred.is_floating_point():
        raise ShapeError("pred", pred.dtype, "a floating-point tensor")
    return pred if pred.dtype == torch.float64 else pred.float()


def masked(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (pred, target, labelled) of one shape, both zero where there is no label.

    Args:
        pred: Predictions.
        target: Values, NaN where not labelled.

    Raises:
        ShapeError: Shapes do not fit.

    Example:
        >>> masked(torch.ones(2), torch.tensor([[3.0], [float("nan")]]))[2].tolist()
        [True, False]
    """
    pred = full_precision(pred)
    if pred.shape != target.shape:
        columns = (
            {pred.dim(), target.dim()} == {1, 2}
            and pred.numel() == target.numel()
            and (pred if pred.dim() == 2 else target).size(1) == 1
        )
        if not columns:
            raise ShapeError(
                "target",
                list(target.shape),
                f"{list(pred.shape)}, the shape of pred",
                hint="Nothing is broadcast in a loss.",
            )
        pred, target = pred.reshape(-1), target.reshape(-1)
    target = target.to(pred.dtype)
    labelled = ~torch.isnan(target)
    # Both are filled: a NaN behind the mask would come back in the gradient as 0 * NaN.
    return pred.where(labelled, 0), target.where(labelled, 0), labelled


def classes(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [B, C] and class numbers [B], int64, with -100 where there is no label.

    Args:
        pred: Logits [B, C], C at least 2.
        target: Class numbers [B] or [B, 1].

    Raises:
        ShapeError: Shapes do not fit.
        ConfigError: A label is not a class number (CPU only).

    Example:
        >>> classes(torch.zeros(2, 3), torch.tensor([[2.0], [float("nan")]]))[1].tolist()
        [2, -100]
    """
    pred = full_precision(pred)
    if pred.dim() != 2 or pred.size(1) < 2:
        raise ShapeError(
            "pred",
            list(pred.shape),
            "logits [B, C] with C at least 2",
            hint="One logit for two classes is the loss 'bce'.",
        )
    labels = target.squeeze(-1) if target.dim() == 2 and target.size(1) == 1 else target
    if labels.dim() != 1 or labels.size(0) != pred.size(0):
        raise ShapeError("target", list(target.shape), f"class numbers [{pred.size(0)}] or [{pred.size(0)}, 1]")
    if labels.is_floating_point():
        labels = labels.where(~torch.isnan(labels), IGNORE_INDEX)
    if takes_cpu_path(labels):
        illegal = ((labels < 0) | (labels >= pred.size(1)) | (labels != labels.long())) & (labels != IGNORE_INDEX)
        if bool(illegal.any()):
            allowed = f"class numbers 0 to {pred.size(1) - 1}, or {IGNORE_INDEX} or NaN (not labelled)"
            raise ConfigError("target of cross_entropy", labels[illegal][0].item(), allowed)
    return pred, labels.long()


def two_columns(pred: Tensor) -> tuple[Tensor, bool]:
    """Return the logits of two classes where there is one logit, and whether that was so.

    Example:
        >>> two_columns(torch.tensor([1.0, 2.0]))
        (tensor([[0., 1.],
                [0., 2.]]), True)
    """
    if pred.dim() == 1 or (pred.dim() == 2 and pred.size(1) == 1):
        logits = pred.reshape(-1, 1)
        return torch.cat([torch.zeros_like(logits), logits], dim=-1), True
    return pred, False


def class_vector(name: str, values: float | Sequence[float], pred: Tensor) -> Tensor:
    """Return weights of classes as a tensor beside the predictions.

    Args:
        name: Name of the argument, for the error.
        values: One number, or one for each class.
        pred: Predictions.

    Raises:
        ShapeError: There are not as many numbers as classes.

    Example:
        >>> class_vector("pos_weight", [1, 2], torch.zeros(5, 2))
        tensor([1., 2.])
    """
    vector = torch.as_tensor(values, dtype=pred.dtype, device=pred.device)
    width = pred.size(-1) if pred.dim() > 1 else 1
    if vector.dim() > 0 and vector.shape != (width,):
        raise ShapeError(name, list(vector.shape), f"one number, or one for each of the {width} classes")
    return vector


def word_rows(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits [B S, V] and the numbers [B S] of the words at all positions.

    Args:
        pred: Logits [B, S V].
        target: Numbers of the words [B, S].

    Raises:
        ShapeError: Shapes do not fit.

    Example:
        >>> [rows.shape for rows in word_rows(torch.zeros(4, 6), torch.zeros(4, 2))]
        [torch.Size([8, 3]), torch.Size([8])]
    """
    fits = pred.dim() == target.dim() == 2 and len(pred) == len(target) and target.size(1) > 0
    if not fits or pred.size(1) % target.size(1):
        expected = f"[B, S], where S divides the width of predictions {list(pred.shape)}"
        raise ShapeError("target", list(target.shape), expected)
    return pred.reshape(target.numel(), pred.size(1) // target.size(1)), target.reshape(-1)
