"""Weights of the members of a blend, chosen on predictions that none of them was fitted to."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.options import check_integer, is_number
from pyg_samsa.task import Task

ROUNDS = 10
MAX_MEMBERS = 8
SHRINK = 300.0
_LEAST_WEIGHT, _SMALLEST_RATIO = 0.05, 1e-3
_LEAST = 1e-12


def choose_weights(
    predictions: np.ndarray,
    target: np.ndarray,
    task: Task,
    metric: str = "loss",
    *,
    rounds: int = ROUNDS,
    max_members: int = MAX_MEMBERS,
    shrink: float = SHRINK,
    per_target: bool = False,
) -> np.ndarray:
    r"""Choose the weights of a convex blend: those of a greedy selection, shrunk to inverse squared errors.

    .. math::
        \hat y = \sum_m w_m \hat y_m, \qquad
        w_m = \frac{n}{n + n_0} \, \frac{s_m}{\sum_l s_l} + \frac{n_0}{n + n_0} \, \frac{e_m^{-2}}{\sum_l e_l^{-2}}

    :math:`s_m` says how often a member is selected with replacement (Caruana et al., `"Ensemble Selection from
    Libraries of Models" <https://doi.org/10.1145/1015330.1015432>`_, 2004): the best member comes first; then, in each
    round, the member with which the mean of all selected ones scores best. The counts are those of the best round. If
    no such mean scores better than the best member alone, only that member counts. :math:`e_m` is the error of a
    member: the metric, or 1 minus the metric if a larger one is better.

    A selection on few molecules follows their chance, while inverse squared errors use all members that are good. Of
    :math:`n = n_0` known labels per target, both count the same. Weights below 0.05 and those outside the
    ``max_members`` largest are then set to 0.

    Pass predictions for molecules that no member was fitted to: validation or out-of-fold predictions. The score of the
    blend on these molecules is then slightly too good, because it was selected on them.

    Args:
        predictions: Values or probabilities of M members, see :meth:`Task.readable <pyg_samsa.task.Task.readable>`.
        target: Targets; NaN if unknown.
        task: The task.
        metric: One of :func:`pyg_samsa.metrics.available`, or ``"loss"``: the absolute error, or the negative
            log-likelihood. It is also used where the metric is undefined, such as the AUC of a single class.
        rounds: Number of rounds of the selection.
        max_members: Largest number of members.
        shrink: Number :math:`n_0` of labels, 0 or more; 0 uses the selection alone.
        per_target: Whether each target has weights of its own; not for ``"multiclass"``.

    Shapes:
        - **predictions:** [M, G, C]
        - **target:** [G, C], or class numbers [G] for ``"multiclass"``
        - **output:** float64 [M], or [M, C] with ``per_target``; they sum to 1

    Raises:
        ShapeError: The shapes do not fit each other.
        ConfigError: A prediction is not finite, the metric is unknown, or a number is not allowed.

    Example:
        >>> target = np.array([[1.0], [2.0], [3.0], [4.0]])
        >>> members = np.stack([target + 0.1, target - 0.1, target + 5.0])
        >>> choose_weights(members, target, Task("regression", ["logS"]), "rmse").round(6).tolist()
        [0.5, 0.5, 0.0]

    Cost: M scores per round.
    """
    predictions, target = np.asarray(predictions, np.float64), np.asarray(target, np.float64)
    _check(predictions, target, task)
    check_integer("rounds", rounds)
    check_integer("max_members", max_members)
    if not is_number(shrink) or not shrink >= 0:
        raise ConfigError("shrink", shrink, "a number, at least 0")
    limits: dict[str, Any] = {"rounds": rounds, "max_members": max_members, "shrink": shrink}
    if per_target:
        if task.kind == "multiclass":
            raise ConfigError("per_target", True, "False for classes, whose probabilities sum to 1")
        each = Task("regression" if task.kind == "regression" else "binary", ["target"])
        columns = [
            choose_weights(
                predictions[:, :, [c]], target.reshape(predictions.shape[1:])[:, [c]], each, metric, **limits
            )
            for c in range(task.num_targets)
        ]
        return np.stack(columns, axis=1)
    score = scorer(target, task, metric)
    alone = np.array([score(member) for member in predictions])
    if np.isnan(alone).any() and metric != "loss":
        return choose_weights(predictions, target, task, "loss", **limits)
    best = int(np.nanargmax(alone)) if not np.isnan(alone).all() else 0
    counts = _select(predictions, score, best, rounds)
    weights = counts / counts.sum()
    if not score(np.tensordot(weights, predictions, 1)) > alone[best]:
        weights = np.eye(len(predictions))[best]
    labels = float((~np.isnan(target)).sum()) / (1 if task.kind == "multiclass" else task.num_targets)
    share = labels / (labels + shrink) if labels else 0.0
    return _few(share * weights + (1 - share) * _inverse_squares(_errors(alone, metric)), max_members)


def scorer(target: np.ndarray, task: Task, metric: str) -> Callable[[np.ndarray], float]:
    """Return a function that scores values or probabilities [G, C]; a larger score is better.

    Args:
        target: Targets [G, C], or class numbers [G]; NaN if unknown.
        task: The task.
        metric: As in `choose_weights`.

    Raises:
        ConfigError: The metric is unknown.

    Example:
        >>> scorer(np.array([[1.0], [3.0]]), Task("regression", ["logS"]), "mae")(np.array([[1.0], [2.0]]))
        -0.5
    """
    known = torch.from_numpy(np.asarray(target, np.float64))
    known = known.reshape(len(known)).long() if task.kind == "multiclass" else known.reshape(len(known), -1)
    if metric == "loss":
        return lambda values: -_loss(torch.from_numpy(values), known, task)
    # torchmetrics takes seconds to import, and predictions do not need it.
    from pyg_samsa import metrics

    built, sign = metrics.build(metric, task.num_targets), 1.0 if metrics.higher_is_better(metric) else -1.0

    def score(values: np.ndarray) -> float:
        built.reset()
        built.update(raw_outputs(torch.from_numpy(values), task), known)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an undefined metric is NaN here
            return sign * float(built.compute())

    return score


def raw_outputs(values: Tensor, task: Task) -> Tensor:
    """Return the outputs of a network that :meth:`Task.readable <pyg_samsa.task.Task.readable>` turns into values.

    Example:
        >>> raw_outputs(torch.tensor([[0.5]]), Task("binary", ["active"])).item()
        0.0
    """
    if task.kind == "regression":
        return values
    return values.clamp(min=_LEAST).log() if task.kind == "multiclass" else torch.logit(values, eps=_LEAST)


def _check(predictions: np.ndarray, target: np.ndarray, task: Task) -> None:
    if predictions.ndim != 3 or not len(predictions) or predictions.shape[2] != task.num_targets:
        raise ShapeError("predictions", list(predictions.shape), f"[M, G, {task.num_targets}] with at least one member")
    size = predictions.shape[1] * (1 if task.kind == "multiclass" else task.num_targets)
    if target.size != size or not size:
        raise ShapeError("target", list(target.shape), f"{size} values, at least one, as the predictions have")
    if not np.isfinite(predictions).all():
        raise ConfigError("predictions", "a value that is not finite", "finite values")


def _errors(scores: np.ndarray, metric: str) -> np.ndarray:
    """Return the errors of members from their scores, where a larger score is better."""
    if metric == "loss":
        return -scores
    from pyg_samsa import metrics

    return 1 - scores if metrics.higher_is_better(metric) else -scores


def _inverse_squares(errors: np.ndarray) -> np.ndarray:
    """Return weights that are inversely proportional to the squares of errors."""
    errors = np.nan_to_num(errors, nan=np.inf)
    largest = errors[np.isfinite(errors)].max(initial=0)
    if not largest > 0:
        return np.full(len(errors), 1 / len(errors))
    weights = np.maximum(errors / largest, _SMALLEST_RATIO) ** -2.0
    return weights / weights.sum()


def _few(weights: np.ndarray, max_members: int) -> np.ndarray:
    """Return weights without the small ones, and with at most ``max_members``; they sum to 1."""
    kept = np.where(weights < min(_LEAST_WEIGHT, weights.max()), 0, weights)
    kept[np.argsort(-kept, kind="stable")[max_members:]] = 0
    return kept / kept.sum()


def _select(predictions: np.ndarray, score: Callable[[np.ndarray], float], best: int, rounds: int) -> np.ndarray:
    """Return how often each member was selected up to the best round."""
    counts = np.zeros(len(predictions))
    counts[best] = 1
    total, kept, top = predictions[best].copy(), counts.copy(), score(predictions[best])
    for number in range(2, rounds + 1):
        scores = [score((total + member) / number) for member in predictions]
        chosen = int(np.argmax(scores))
        counts[chosen] += 1
        total += predictions[chosen]
        if scores[chosen] > top:
            kept, top = counts.copy(), scores[chosen]
    return kept


def _loss(values: Tensor, target: Tensor, task: Task) -> float:
    """Return the mean absolute error, or the mean negative log-likelihood, over the known targets."""
    if task.kind == "multiclass":
        return float(-values.clamp(min=_LEAST).log().gather(1, target[:, None]).mean())
    known = ~torch.isnan(target)
    values, target = values[known], target[known]
    if task.kind == "regression":
        return float((values - target).abs().mean())
    values = values.clamp(_LEAST, 1 - _LEAST)
    return float(-(target * values.log() + (1 - target) * (1 - values).log()).mean())
