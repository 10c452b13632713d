"""F1 score of predicted sets of words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyg_samsa.errors import NumericalError, ShapeError
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.metrics.metric_registry import BatchMetric, register_metric
from pyg_samsa.metrics.row_metric import warn_undefined
from pyg_samsa.task import WORDS

NO_WORD = -1
"""Fills rows of words up to the longest one."""
_EXACT = 2**24  # float32 has as many steps below 1; sums of integers are the same in any order


def word_f1(predicted: Tensor, words: Tensor) -> Tensor:
    r"""Return the F1 score of the set of predicted words of each row.

    .. math::
        F_1(b) = \frac{2 |P_b \cap W_b|}{|P_b| + |W_b|}

    It is 0 where both sets are empty. This is the harmonic mean of precision and recall.

    Args:
        predicted: Numbers of the predicted words [B, S]; -1 for none.
        words: Numbers of the true words [B, L]; -1 for none.

    Returns:
        Scores [B], float32.

    Example:
        >>> word_f1(torch.tensor([[3, 3, 1], [-1, -1, -1]]), torch.tensor([[1, 2], [5, -1]])).tolist()
        [0.5, 0.0]
    """
    predicted_first, true_first = _first_of_each(predicted), _first_of_each(words)
    hit = (predicted.unsqueeze(2) == words.unsqueeze(1)).any(2) & predicted_first
    total = predicted_first.sum(1) + true_first.sum(1)
    return 2 * hit.sum(1) / total.clamp(min=1)


def _first_of_each(words: Tensor) -> Tensor:
    """Return where a word stands for the first time in its row [B, S]."""
    same = (words.unsqueeze(2) == words.unsqueeze(1)).tril(-1).any(2)
    return (words != NO_WORD) & ~same


@register_metric("f1_words")
class WordF1(BatchMetric):
    r"""Mean over the rows of the F1 score of the set of words before the end, the official metric of ogbg-code2.

    The word at a position is the one with the largest logit. Words from the first end on do not count. A predicted
    unknown word counts as a wrong one. See `word_f1`; the value is that of ``ogb.graphproppred.Evaluator``.

    Args:
        num_targets: C = S V, the width of the output.
        kwargs: Options of :class:`torchmetrics.Metric`.

    Shapes:
        - **preds**: logits [B, S V], see `pyg_samsa.task.Task`
        - **target**: numbers of the words [B, S]; V - 1 is the end
        - **value**: float64 scalar in [0, 1], in main memory

    Raises:
        ShapeError: Shapes do not fit.
        NumericalError: A logit is NaN or infinite.

    Example:
        >>> metric = WordF1(num_targets=8)
        >>> logits = torch.tensor([[9.0, 0, 0, 0, 0, 0, 0, 9], [0, 9, 0, 0, 9, 0, 0, 0]])
        >>> metric.update(logits, torch.tensor([[0, 3], [1, 3]]))
        >>> round(metric.compute().item(), 4)
        0.8333

    Cost: O(1) memory, whatever the number of rows.
    """

    higher_is_better = True
    needs_words = True
    kinds = (WORDS,)

    total: Tensor
    rows: Tensor

    def __init__(self, num_targets: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_targets = num_targets
        self.add_state("total", default=torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("rows", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor, words: Tensor | None = None) -> None:
        """Add the rows of a batch.

        Args:
            preds: Logits [B, S V].
            target: Numbers of the words [B, S].
            words: All true words [B, L], with numbers from V on for those that are not in the vocabulary, and -1 where
                there is none; None for those of ``target``.

        Example:
            >>> metric = WordF1(num_targets=4)
            >>> metric.update(torch.tensor([[0.0, 9.0, 0.0, 0.0]]), torch.tensor([[1]]), torch.tensor([[1, 7]]))
            >>> round(metric.compute().item(), 4)
            0.6667
        """
        fits = target.dim() == 2 and tuple(preds.shape) == (len(target), self.num_targets)
        if not fits or self.num_targets % max(1, target.size(1)):
            expected = f"[B, S] with predictions [B, {self.num_targets}], which S divides; they are"
            raise ShapeError("target", list(target.shape), f"{expected} {list(preds.shape)}")
        logits = preds.detach().reshape(*target.shape, -1)
        broken = ~torch.isfinite(logits)
        require(
            broken.any(),
            lambda: NumericalError(
                f"metric {self.name}", f"{int(broken.sum())} of {broken.numel()} logits are no numbers"
            ),
        )
        end = logits.size(-1) - 1
        scores = word_f1(_before_end(logits.argmax(-1), end), _before_end(target, end) if words is None else words)
        self.total += (scores * _EXACT).round().long().sum().to(self.total.device)
        self.rows += len(scores)

    def update_batch(self, preds: Tensor, target: Tensor, batch: Any) -> None:
        """Add a batch, whose attribute ``words`` holds all true words, if it has one."""
        self.update(preds, target, getattr(batch, "words", None))

    def compute(self) -> Tensor:
        """Return the mean over the rows; NaN without any."""
        if not int(self.rows):
            warn_undefined(self.name, "no row is labelled")
            return torch.tensor(float("nan"), dtype=torch.float64)
        return self.total.cpu().double() / _EXACT / self.rows.cpu()


def _before_end(words: Tensor, end: int) -> Tensor:
    return words.masked_fill((words == end).cumsum(1) > 0, NO_WORD)
