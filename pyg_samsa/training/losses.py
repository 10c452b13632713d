"""Losses over ``(pred, target)``: averaged over the labelled entries, never broadcast, safe in half precision.

Every loss casts half-precision predictions to float32 first (float64 stays float64) and divides by the number of
labelled values. A batch without any label gives a zero that is still connected to the graph, so that backward and, in
distributed runs, the gradient exchange go on. Illegal label values are looked for on the CPU only: on an accelerator
the look would wait for the device in every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.metrics.confusion_metric import IGNORE_INDEX
from pyg_samsa.options import Option, is_number, options_of
from pyg_samsa.registry import register_in
from pyg_samsa.task import WORDS
from pyg_samsa.training.averages import (
    Average,
    BalancedAverage,
    ClassAverage,
    LabelAverage,
    RowAverage,
    WordAverage,
    balanced_weights,
)
from pyg_samsa.training.loss_inputs import class_vector, classes, masked, two_columns, word_rows

Loss = Callable[[Tensor, Tensor], Tensor]
LabelSmoothing = Annotated[float, Option("Label smoothing of bce and of the cross-entropies.", low=0, below=1)]
PosWeight = Annotated[
    float | Sequence[float] | None,
    Option("Weight of positive labels in bce: one number, or one for each class; empty for 1."),
]
ClassWeight = Annotated[Sequence[float] | None, Option("Weight of each class in cross_entropy; empty for 1.")]
Beta = Annotated[float, Option("Where smooth_l1 turns from quadratic to linear, in the unit of the targets.", above=0)]


LOSSES: dict[str, Callable[..., Tensor]] = {}
_KINDS: dict[str, tuple[str, ...]] = {}
_AVERAGES: dict[str, Callable[..., Average]] = {}
L = TypeVar("L", bound=Callable[..., Tensor])


def register_loss(name: str, *kinds: str, average: Callable[..., Average] = RowAverage) -> Callable[[L], L]:
    """Return a decorator that registers a loss; its options are the arguments that carry an `Option`.

    Args:
        name: Name in configurations.
        kinds: Kinds of tasks that the loss fits, see :obj:`pyg_samsa.task.KINDS`.
        average: What the loss of a batch is a mean over, a class of `pyg_samsa.training.averages` that takes the
            options of the loss; by default the rows. The loss of a split then does not depend on the sizes of batches.

    Raises:
        ConfigError: Another loss has this name.

    Example:
        >>> @register_loss("log_cosh", "regression")
        ... def log_cosh(pred, target):
        ...     return (pred - target).cosh().log().mean()
        >>> build("log_cosh")(torch.zeros(2), torch.zeros(2)).item()
        0.0
        >>> del LOSSES["log_cosh"]
    """

    def register(function: L) -> L:
        register_in(LOSSES, "loss", name)(function)
        _KINDS[name], _AVERAGES[name] = kinds, average
        return function

    return register


def fitting(kind: str) -> list[str]:
    """Return the names of the losses that fit a kind of task; the first one is its default.

    Example:
        >>> fitting("binary"), fitting("regression")[0]
        (['bce', 'weighted_cross_entropy'], 'mse')
    """
    return [name for name in LOSSES if kind in _KINDS[name]]


def available() -> list[str]:
    """Return the names that :func:`build` knows, sorted.

    Example:
        >>> available()
        ['bce', 'cross_entropy', 'l1', 'mse', 'smooth_l1', 'weighted_cross_entropy', 'word_cross_entropy']
    """
    return sorted(LOSSES)


def options(name: str) -> list[str]:
    """Return the names of the options that :func:`build` takes for a loss.

    Args:
        name: One of :func:`available`.

    Raises:
        ConfigError: The name is unknown.

    Example:
        >>> options("bce")
        ['pos_weight', 'label_smoothing']
    """
    if name not in LOSSES:
        raise ConfigError("loss", name, available())
    return list(options_of(LOSSES[name]))


def build(name: str, **settings: object) -> Loss:
    """Return the loss as a function of (pred, target) that can be pickled.

    Args:
        name: One of :func:`available`.
        settings: Options of the loss, see :func:`options`.

    Raises:
        ConfigError: The name or an option is unknown (the nearest one is suggested), or an option's value is not
            allowed.

    Example:
        >>> loss = build("smooth_l1", beta=0.5)
        >>> loss(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [2.0]])).item()
        0.375
    """
    known = options(name)
    for key in settings:
        if key not in known:
            raise ConfigError(f"loss {name}", key, known or "no options")
    _check_settings(name, settings)
    loss: Any = partial(LOSSES[name], **settings)
    loss.average = _AVERAGES[name](**settings)
    return loss


@register_loss("bce", "binary", "multilabel", average=LabelAverage)
def bce(pred: Tensor, target: Tensor, pos_weight: PosWeight = None, label_smoothing: LabelSmoothing = 0.0) -> Tensor:
    r"""Binary cross-entropy with logits, averaged over the labelled entries.

    .. math::
        \ell = -\frac{1}{|\mathcal L|} \sum_{(b,c) \in \mathcal L}
        w_c\, y_{bc} \log \sigma(\hat y_{bc}) + (1 - y_{bc}) \log (1 - \sigma(\hat y_{bc}))

    Args:
        pred: Logits.
        target: 0, 1 or NaN (not labelled).
        pos_weight: w, positive: one number, or one for each class; None for 1.
        label_smoothing: In [0, 1): labels become y (1 - s) + s / 2.

    Shapes:
        - **pred**: [B, C], or [B]
        - **target**: that of pred; [B, 1] and [B] are interchangeable
        - **loss**: scalar

    Raises:
        ShapeError: Shapes do not fit, or ``pos_weight`` has not one number for each class.
        ConfigError: A label lies outside [0, 1] (CPU only).

    Example:
        >>> pred = torch.zeros(1, 2)
        >>> round(bce(pred, torch.tensor([[1.0, float("nan")]])).item(), 4)
        0.6931
    """
    pred, target, labelled = masked(pred, target)
    if takes_cpu_path(target) and bool(((target < 0) | (target > 1)).any()):
        raise ConfigError(
            "target of bce",
            target[(target < 0) | (target > 1)][0].item(),
            "labels between 0 and 1, or NaN (not labelled)",
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / 2
    weight = None if pos_weight is None else class_vector("pos_weight", pos_weight, pred)
    return _mean(F.binary_cross_entropy_with_logits(pred, target, pos_weight=weight, reduction="none"), labelled)


@register_loss("mse", "regression", average=LabelAverage)
def mse(pred: Tensor, target: Tensor) -> Tensor:
    r"""Mean squared error over the labelled entries.

    .. math::
        \ell = \frac{1}{|\mathcal L|} \sum_{(b,c) \in \mathcal L} (\hat y_{bc} - y_{bc})^2

    Args:
        pred: Predictions.
        target: Values, NaN where not labelled.

    Shapes:
        - **pred**: any, mostly [B, C]
        - **target**: that of pred; [B, 1] and [B] are interchangeable
        - **loss**: scalar

    Raises:
        ShapeError: Shapes do not fit.

    Example:
        >>> mse(torch.tensor([1.0, 2.0]), torch.tensor([[3.0], [2.0]])).item()
        2.0
    """
    pred, target, labelled = masked(pred, target)
    return _mean(F.mse_loss(pred, target, reduction="none"), labelled)


@register_loss("l1", "regression", average=LabelAverage)
def l1(pred: Tensor, target: Tensor) -> Tensor:
    r"""Mean absolute error over the labelled entries.

    .. math::
        \ell = \frac{1}{|\mathcal L|} \sum_{(b,c) \in \mathcal L} |\hat y_{bc} - y_{bc}|

    Args:
        pred: Predictions.
        target: Values, NaN where not labelled.

    Shapes:
        - **pred**: any, mostly [B, C]
        - **target**: that of pred; [B, 1] and [B] are interchangeable
        - **loss**: scalar

    Raises:
        ShapeError: Shapes do not fit.

    Example:
        >>> l1(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, float("nan")]])).item()
        2.0
    """
    pred, target, labelled = masked(pred, target)
    return _mean(F.l1_loss(pred, target, reduction="none"), labelled)


@register_loss("smooth_l1", "regression", average=LabelAverage)
def smooth_l1(pred: Tensor, target: Tensor, beta: Beta = 1.0) -> Tensor:
    r"""Smooth L1 loss over the labelled entries: quadratic for small errors, linear for large ones.

    .. math::
        \ell = \frac{1}{|\mathcal L|} \sum_{(b,c) \in \mathcal L}
        \begin{cases} d_{bc}^2 / 2 \beta & d_{bc} < \beta \\ d_{bc} - \beta / 2 & \text{else} \end{cases},
        \qquad d_{bc} = |\hat y_{bc} - y_{bc}|

    Args:
        pred: Predictions.
        target: Values, NaN where not labelled.
        beta: Error at which the loss turns from quadratic to linear, positive, in the unit of the targets.

    Shapes:
        - **pred**: any, mostly [B, C]
        - **target**: that of pred; [B, 1] and [B] are interchangeable
        - **loss**: scalar

    Raises:
        ShapeError: Shapes do not fit.

    Example:
        >>> smooth_l1(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, float("nan")]])).item()
        1.5
    """
    pred, target, labelled = masked(pred, target)
    return _mean(F.smooth_l1_loss(pred, target, beta=beta, reduction="none"), labelled)


@register_loss("cross_entropy", "multiclass", average=ClassAverage)
def cross_entropy(
    pred: Tensor, target: Tensor, class_weight: ClassWeight = None, label_smoothing: LabelSmoothing = 0.0
) -> Tensor:
    r"""Cross-entropy over C classes, averaged over the labelled rows, weighted by their class if asked for.

    .. math::
        \ell = -\frac{\sum_{b \in \mathcal L} w_{y_b} \log \mathrm{softmax}(\hat y_b)_{y_b}}
        {\sum_{b \in \mathcal L} w_{y_b}}

    Args:
        pred: Logits.
        target: Class numbers from 0 to C - 1; -100, or NaN in a float tensor, where not labelled.
        class_weight: w [C], each positive; None for equal weights.
        label_smoothing: In [0, 1), as in :func:`torch.nn.functional.cross_entropy`.

    Shapes:
        - **pred**: [B, C], C at least 2
        - **target**: [B] or [B, 1]
        - **loss**: scalar

    Raises:
        ShapeError: Shapes do not fit.
        ConfigError: A label is not a class number (CPU only).

    Example:
        >>> round(cross_entropy(torch.zeros(3, 4), torch.tensor([0, 3, -100])).item(), 4)
        1.3863
    """
    pred, target = classes(pred, target)
    weight = None if class_weight is None else class_vector("class_weight", class_weight, pred)
    return _weighted_rows(pred, target, weight, label_smoothing)


@register_loss("word_cross_entropy", WORDS, average=WordAverage)
def word_cross_entropy(pred: Tensor, target: Tensor) -> Tensor:
    r"""Cross-entropy of a sequence of words, averaged over the S positions of all rows.

    .. math::
        \ell = -\frac{1}{BS} \sum_{b,s} \log \mathrm{softmax}(\hat y_{bs})_{y_{bs}}

    Args:
        pred: Logits [B, S V] of V words: those at the first position, then those at the second, and so on.
        target: Numbers of the words [B, S]; NaN or -100 where not labelled.

    Raises:
        ShapeError: The shapes do not fit.
        ConfigError: A label is not the number of a word (CPU only).

    Example:
        >>> round(word_cross_entropy(torch.zeros(2, 6), torch.tensor([[0, 2], [1, 1]])).item(), 4)
        1.0986
    """
    return cross_entropy(*word_rows(pred, target))


@register_loss("weighted_cross_entropy", "multiclass", "binary", average=BalancedAverage)
def weighted_cross_entropy(pred: Tensor, target: Tensor, label_smoothing: LabelSmoothing = 0.0) -> Tensor:
    r"""Cross-entropy with class weights from the batch's own label counts, for LRGB's superpixel sets.

    .. math::
        w_c = \frac{V - n_c}{V}\,[n_c > 0], \qquad
        \ell = -\frac{\sum_b w_{y_b} \log \mathrm{softmax}(\hat y_b)_{y_b}}{\sum_b w_{y_b}}

    with :math:`n_c` the batch's labels of class c and :math:`V = \sum_c n_c`
    (`Dwivedi et al., 2020 <https://arxiv.org/abs/2003.00982>`_; `2022 <https://arxiv.org/abs/2206.08164>`_).
    A class that is absent has weight 0. If all labels of the batch are of one class every weight is 0 and so is the
    loss. With a single logit there are two classes and the loss is
    :math:`\frac1V \sum_b w_{y_b} \mathrm{BCE}(\hat y_b, y_b)`.

    Args:
        pred: Logits.
        target: Class numbers; -100, or NaN in a float tensor, where not labelled.
        label_smoothing: In [0, 1).

    Shapes:
        - **pred**: [V, C]; [V] or [V, 1] for two classes
        - **target**: [V] or [V, 1]
        - **loss**: scalar

    Raises:
        ShapeError: Shapes do not fit.
        ConfigError: A label is not a class number (CPU only).

    Example:
        >>> pred = torch.zeros(4, 3)
        >>> round(weighted_cross_entropy(pred, torch.tensor([0, 0, 0, 2])).item(), 4)
        1.0986
    """
    pred, binary = two_columns(pred)
    pred, target = classes(pred, target)
    labelled = target != IGNORE_INDEX
    count = torch.zeros(pred.size(1), dtype=pred.dtype, device=pred.device)
    count = count.index_add(0, target.where(labelled, 0), labelled.to(pred.dtype))
    total = count.sum().clamp(min=1)
    weight = balanced_weights(count)
    loss = _weighted_rows(pred, target, weight, label_smoothing)
    # The two-class form of the benchmark divides by the rows, not by their weights.
    return loss * (weight * count).sum() / total if binary else loss


def clip_to_bounds(pred: Tensor, target: Tensor, bound: Tensor) -> Tensor:
    r"""Set predictions on the right side of a bound to the bound, where every loss and metric counts them as exact.

    .. math::
        \hat y'_{bc} = \begin{cases}
            \min(\hat y_{bc}, y_{bc}) & \text{if } y_{bc} \text{ is a lower bound, such as } >10 \\
            \max(\hat y_{bc}, y_{bc}) & \text{if } y_{bc} \text{ is an upper bound, such as } <10 \\
            \hat y_{bc} & \text{else}
        \end{cases}

    With :func:`mse` this is the bounded mean squared error of censored regression: the gradient of a prediction on the
    right side is 0.

    Args:
        pred: Predictions.
        target: Values or bounds, NaN where not labelled.
        bound: 1 for a lower bound, -1 for an upper bound, 0 for a value.

    Shapes:
        - **pred**, **target**, **bound**: of one shape, or with as many entries
        - **output**: that of pred

    Raises:
        ShapeError: Shapes do not fit.

    Cost: O(entries).

    Example:
        >>> pred, target = torch.tensor([12.0, 8.0, 8.0]), torch.tensor([10.0, 10.0, 10.0])
        >>> clip_to_bounds(pred, target, torch.tensor([1, 1, -1]))
        tensor([10.,  8., 10.])
    """
    if pred.numel() != target.numel() or pred.numel() != bound.numel():
        raise ShapeError("bound", list(bound.shape), f"{list(pred.shape)}, the shape of pred")
    target, bound = target.view_as(pred).to(pred.dtype), bound.view_as(pred).to(pred.device)
    lower, upper = torch.minimum(pred, target), torch.maximum(pred, target)
    known = ~target.isnan()
    return torch.where(known & (bound > 0), lower, torch.where(known & (bound < 0), upper, pred))


def _mean(values: Tensor, labelled: Tensor) -> Tensor:
    return values.where(labelled, 0).sum() / labelled.sum().clamp(min=1)


def _weighted_rows(pred: Tensor, target: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """Return the weighted mean of the rows' cross-entropies; zero, not NaN, if all weights are."""
    labelled = target != IGNORE_INDEX
    pred = pred.where(labelled.unsqueeze(-1), 0)
    total = F.cross_entropy(
        pred, target, weight=weight, ignore_index=IGNORE_INDEX, reduction="sum", label_smoothing=label_smoothing
    )
    rows = labelled.to(pred.dtype) if weight is None else weight[target.where(labelled, 0)] * labelled
    mass = rows.sum()
    return total / mass.where(mass > 0, 1)


def _check_settings(name: str, settings: dict[str, object]) -> None:
    arguments = options_of(LOSSES[name])
    for key, value in settings.items():
        if key not in ("pos_weight", "class_weight"):
            arguments[key].check(value)
        elif value is not None:
            numbers = value.tolist() if isinstance(value, Tensor) else value
            numbers = [numbers] if is_number(numbers) and key == "pos_weight" else numbers
            fits = isinstance(numbers, (list, tuple)) and numbers and all(_is_positive(n) for n in numbers)
            if not fits:
                one = ", or one for all" if key == "pos_weight" else ""
                raise ConfigError(key, value, f"positive numbers, one for each class{one}")


def _is_positive(value: Any) -> bool:
    return is_number(value) and 0 < value < math.inf
