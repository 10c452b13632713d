"""Metrics for GraphGym's logger, and the metrics of this package's runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torchmetrics import Metric

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.task import MASKED, WORDS, Task

# Names in GraphGPS and its relatives -> names in pyg_samsa.metrics.
ALIASES = {"accuracy-SBM": "accuracy_macro", "f1": "f1_macro", "spearmanr": "spearman", "rocauc": "auc"}
_OF_KIND = {WORDS: {"f1": "f1_words"}}


def known_name(name: str, kind: str) -> str:
    """Return the name in `pyg_samsa.metrics` of a metric of GraphGPS, for a kind of task; other names as they are.

    Args:
        name: Its name.
        kind: Kind of the task.

    Example:
        >>> known_name("f1", "multiclass"), known_name("f1", "words"), known_name("mae", "regression")
        ('f1_macro', 'f1_words', 'mae')
    """
    return {**ALIASES, **_OF_KIND.get(kind, {})}.get(name, name)


def choose_metrics(task: Task, *, direction_given: bool) -> tuple[dict[str, Metric], str, bool]:
    """Return the metrics of a run, the name of the one that chooses the best epoch, and whether higher is better.

    ``metric_best: auto`` is the first metric of the task; ``custom_metrics`` replaces the others. ``metric_best: loss``
    chooses by the loss.

    Args:
        task: The targets; part segmentation adds the metrics ``miou`` and ``miou_category``.
        direction_given: Whether the user has set ``metric_agg``, which then must agree with the metric.

    Raises:
        ConfigError: There is no such metric, or it would be chosen in the wrong direction.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> _, best, higher = choose_metrics(Task("regression", ["logS"]), direction_given=False)
        >>> best, higher
        ('mae', False)
    """
    check_metrics()
    if task.kind == MASKED:
        return {}, "loss", False
    others = [known_name(name, task.kind) for name in cfg.custom_metrics]
    others = others or list(metrics.default_metrics(task))
    best = others[0] if cfg.metric_best == "auto" else known_name(cfg.metric_best, task.kind)
    fitting = metrics.fitting(task)
    for key, names in (("metric_best", [best]), ("custom_metrics", others)):
        for name in names:
            if name not in fitting and not (key == "metric_best" and name == "loss"):
                raise ConfigError(key, name, f"a metric for {task.kind} targets: {', '.join(fitting)}")
    higher = metrics.higher_is_better(best)
    if direction_given and (cfg.metric_agg == "argmax") != higher:
        raise ConfigError(
            "metric_agg",
            cfg.metric_agg,
            f"'{'argmax' if higher else 'argmin'}', because a {'higher' if higher else 'lower'} {best} is better",
        )
    names = [name for name in dict.fromkeys([best, *others]) if name != "loss"]
    return {name: metrics.build(name, task.num_targets, parts=task.parts) for name in names}, best, higher


def check_metrics() -> None:
    """Raise a `ConfigError` if a name of ``metric_best`` or ``custom_metrics`` is no metric.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.custom_metrics = ["maee"]
        >>> check_metrics()
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: custom_metrics: got 'maee', expected one of ...
        >>> set_cfg(cfg)
    """
    known = metrics.available()
    for key, names, more in (
        ("metric_best", [cfg.metric_best], ["loss", "auto"]),
        ("custom_metrics", cfg.custom_metrics, []),
    ):
        for name in names:
            check_choice(key, ALIASES.get(name, name), [*known, *more])


def _registered(name: str) -> Callable[[Sequence[Tensor], Sequence[Tensor], str], float]:
    def score(true: Sequence[Tensor], pred: Sequence[Tensor], task_type: str) -> float:
        targets, scores = torch.cat(list(true)), torch.cat(list(pred))
        if task_type != "regression" and (scores.ndim == 1 or "multilabel" in task_type):
            # GraphGym hands out probabilities; our metrics count from logits.
            scores = torch.logit(scores.double(), eps=1e-12)
        metric = metrics.build(name, scores.size(1) if scores.ndim > 1 else 1)
        metric.update(scores, targets)
        return float(metric.compute())

    score.__qualname__ = f"{name}_metric"
    return score


# GraphGym's own logger hands out predictions and targets alone.
for _name in metrics.available(parts=False, pairs=False, words=False):
    register_once(register.metric_dict, _name, _registered(_name))
