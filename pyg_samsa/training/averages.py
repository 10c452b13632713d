"""What losses are means over: sums over batches from which the loss of a whole split follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pyg_samsa.functional.autocast import at_least_float32
from pyg_samsa.metrics.confusion_metric import IGNORE_INDEX
from pyg_samsa.training.loss_inputs import class_vector, classes, two_columns, word_rows


class Average:
    """Base of the averages of a split: what the batches add, and the loss that follows from the sums.

    Args:
        options: Options of the loss.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def sums(self, value: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        """Return what a batch adds: a vector of the same length for all batches.

        Args:
            value: Loss of the batch.
            pred: Predictions.
            target: Targets.
        """
        raise NotImplementedError

    def value(self, sums: Tensor) -> Tensor:
        """Return the loss of the split; 0 if there is no label.

        Args:
            sums: Sums over its batches.
        """
        weighted, weight = sums.unbind()
        return weighted / weight.where(weight > 0, 1)


class RowAverage(Average):
    r"""For losses that are means over the rows of a batch, and for those that do not say.

    .. math::
        \bar\ell = \frac{\sum_b n_b \ell_b}{\sum_b n_b}

    Example:
        >>> average = RowAverage()
        >>> batches = (torch.tensor(1.0), torch.zeros(2, 1)), (torch.tensor(4.0), torch.zeros(1, 1))
        >>> average.value(sum(average.sums(loss, pred, pred) for loss, pred in batches)).item()
        2.0
    """

    def sums(self, value: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        """Return the sum over the rows, and their number."""
        return _weighted(value, value.new_full((), len(pred)))


class LabelAverage(Average):
    r"""For losses that are means over the labelled entries; n counts the targets that are not NaN.

    Example:
        >>> average, target = LabelAverage(), torch.tensor([[1.0, float("nan")]])
        >>> average.sums(torch.tensor(0.5), torch.zeros(1, 2), target).tolist()
        [0.5, 1.0]
    """

    def sums(self, value: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        """Return the sum over the labels, and their number."""
        return _weighted(value, (~target.isnan()).sum())


class ClassAverage(Average):
    r"""For cross-entropies: n is the sum of the class weights of the labelled rows.

    Args:
        class_weight: Weight of each class; None for 1.
        options: Other options of the loss.

    Example:
        >>> average = ClassAverage(class_weight=[1, 3])
        >>> average.sums(torch.tensor(0.5), torch.zeros(3, 2), torch.tensor([0, 1, -100])).tolist()
        [2.0, 4.0]
    """

    def __init__(self, class_weight: Sequence[float] | None = None, **options: Any) -> None:
        super().__init__(class_weight=class_weight, **options)

    def sums(self, value: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        """Return the sum over the rows, and the sum of their weights."""
        pred, target = classes(pred, target)
        labelled, weight = target != IGNORE_INDEX, self.options["class_weight"]
        if weight is None:
            return _weighted(value, labelled.sum())
        weight = class_vector("class_weight", weight, pred)
        return _weighted(value, (weight[target.where(labelled, 0)] * labelled).sum())


class WordAverage(ClassAverage):
    r"""For the cross-entropy of sequences of words: n is the number of the words of all rows, with those at their ends.

    Example:
        >>> WordAverage().sums(torch.tensor(0.5), torch.zeros(3, 6), torch.zeros(3, 2)).tolist()
        [3.0, 6.0]
    """

    def sums(self, value: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        """Return the sum over the words, and their number."""
        return super().sums(value, *word_rows(pred, target))


class BalancedAverage(Average):
    r"""For the cross-entropy whose class weights are those of the labels that it sees, here those of the split.

    Losses of batches do not determine that of the split, because each batch has other weights. The sums are, for each
    class, the number of labels and their negative log-likelihoods, and those of all rows for label smoothing.

    Args:
        label_smoothing: Label smoothing, in [0, 1).
        options: Other options of the loss.

    Example:
        >>> average, pred, target = BalancedAverage(), torch.zeros(4, 3), torch.tensor([0, 0, 0, 2])
        >>> sums = sum(average.sums(torch.tensor(0.0), pred[[row]], target[[row]]) for row in range(4))
        >>> round(average.value(sums).item(), 4)
        1.0986
    """

    def __init__(self, label_smoothing: float = 0.0, **options: Any) -> None:
        super().__init__(label_smoothing=label_smoothing, **options)

    def sums(self, value: Tensor, pred: Tensor, target: Tensor) -> Tensor:
        """Return whether there is one logit for two classes, and three numbers for each class."""
        pred, binary = two_columns(pred)
        pred, target = classes(pred, target)
        labelled = (target != IGNORE_INDEX).unsqueeze(-1)
        surprise = -pred.where(labelled, 0).log_softmax(-1) * labelled
        own = torch.nn.functional.one_hot(target.where(labelled.squeeze(-1), 0), pred.size(-1)) * labelled
        mark = surprise.new_full((1,), float(binary))
        # A batch whose loss is not finite makes that of the split not finite.
        return torch.cat([mark, own.sum(0), (surprise * own).sum(0), surprise.sum(0)]) + 0 * value.detach()

    def value(self, sums: Tensor) -> Tensor:
        """Return the weighted mean over all labels of the split."""
        count, own, every = sums[1:].view(3, -1)
        weight, smoothing = balanced_weights(count), self.options["label_smoothing"]
        total = (1 - smoothing) * (weight * own).sum() + smoothing / len(count) * (weight * every).sum()
        mass = torch.where(sums[0] > 0, count.sum(), (weight * count).sum())
        return total / mass.where(mass > 0, 1)


def balanced_weights(count: Tensor) -> Tensor:
    r"""Return the weights of classes that balance their numbers of labels.

    .. math::
        w_c = \frac{V - n_c}{V}\,[n_c > 0], \qquad V = \sum_c n_c

    Args:
        count: n [C].

    Example:
        >>> balanced_weights(torch.tensor([3.0, 0.0, 1.0])).tolist()
        [0.25, 0.0, 0.75]
    """
    total = count.sum().clamp(min=1)
    return (total - count) / total * (count > 0)


def of_all_processes(average: Average, loss: Tensor, pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return the loss of the batches of all processes, whose gradients average to those of one large batch; and sums.

    .. math::
        \bar\ell = f\Big(\sum_r s_r\Big), \qquad
        g_r = R\,\frac{\partial\bar\ell}{\partial s_r} \frac{\partial s_r}{\partial\theta}

    where s are the sums of an average and R is the number of processes r. Distributed data parallel takes the mean of
    the gradients g, and losses alone would count each process alike, whatever the number of its labels.

    Args:
        average: What the loss is a mean over.
        loss: Loss of the batch of this process.
        pred: Predictions.
        target: Targets.

    Cost: one reduction of a few numbers over the processes; nothing waits for the device.
    """
    own = average.sums(loss, pred, target)
    sums = own.detach().clone()
    dist.all_reduce(sums)
    value = average.value(sums + own - own.detach())
    return value.detach() + dist.get_world_size() * (value - value.detach()), sums


def tell_all_processes(average: Average, before: Tensor | None, weight: Tensor) -> None:
    """Make the loss of all processes NaN, in place of `of_all_processes` where this process has an error instead.

    Args:
        average: What the loss is a mean over.
        before: Sums of an earlier step; None if there was none.
        weight: A weight of the network, for type and device.
    """
    if before is None and isinstance(average, BalancedAverage):
        return  # the number of classes is not known; the others see that this process ends
    sums = at_least_float32(weight.detach().new_empty(2)) if before is None else before.clone()
    dist.all_reduce(sums.fill_(torch.nan))


def _weighted(value: Tensor, weight: Tensor) -> Tensor:
    return torch.stack([value * weight, weight.to(value)])
