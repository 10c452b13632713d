"""The registry of metrics: name -> class."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from torch import Tensor
from torchmetrics import Metric

from pyg_samsa.errors import ConfigError
from pyg_samsa.registry import register_in
from pyg_samsa.task import KINDS, WORDS, Task


class BatchMetric(Metric):
    """Base of all metrics of this package: a torchmetrics class that knows its name and can read a whole batch.

    Attributes:
        name: Name in the registry.
        higher_is_better: Whether a larger value is better.
        needs_parts: Whether the metric needs the parts of each category of shapes.
        needs_pairs: Whether the metric ranks pairs of nodes, and needs all pairs of some nodes.
        needs_words: Whether the metric compares sequences of words.
        evaluation_only: Whether the metric is measured in evaluation only, not on training batches.
        kinds: Kinds of tasks that the metric fits, see :obj:`pyg_samsa.task.KINDS`.
    """

    name: str = "metric"
    full_state_update = False
    is_differentiable = False
    needs_parts: bool = False
    needs_pairs: bool = False
    needs_words: bool = False
    evaluation_only: bool = False
    kinds: Collection[str] = KINDS

    @classmethod
    def for_task(cls, num_targets: int, parts: Sequence[Sequence[int]] = ()) -> BatchMetric:
        """Return a fresh metric for a task.

        Args:
            num_targets: C, the width of the network's output.
            parts: For part segmentation: the class numbers of each category.

        Example:
            >>> from pyg_samsa.metrics import MeanAbsoluteError
            >>> MeanAbsoluteError.for_task(3).num_targets
            3
        """
        return cls(num_targets)  # type: ignore[call-arg]

    def update_batch(self, preds: Tensor, target: Tensor, batch: Any) -> None:
        """Add a batch; override this in a metric that needs more of the batch than predictions and targets.

        Args:
            preds: Output of the network [B, C], or [N, C] for nodes.
            target: Targets, first axis as in ``preds``.
            batch: The ``torch_geometric.data.Batch``.
        """
        self.update(preds, target)


M = TypeVar("M", bound=type[BatchMetric])
SCORE = "score"
"""Name of the mean of the normalised scores of several tasks."""
_METRICS: dict[str, type[BatchMetric]] = {}


def register_metric(name: str) -> Callable[[M], M]:
    """Return a decorator that adds a metric to the registry, so that configurations can use it by name.

    Args:
        name: Name in configurations and in logged values, such as ``val_<name>``.

    Raises:
        ConfigError: Another class has this name.

    Example:
        >>> from pyg_samsa.metrics.mean_absolute_error import MeanAbsoluteError
        >>> @register_metric("mae_again")
        ... class Again(MeanAbsoluteError):
        ...     pass
        >>> build("mae_again", num_targets=1).name
        'mae_again'
        >>> unregister_metric("mae_again")
    """

    def register(cls: M) -> M:
        register_in(_METRICS, "metric", name)(cls)
        cls.name = name
        return cls

    return register


def unregister_metric(name: str) -> None:
    """Remove a metric from the registry; meant for tests.

    Args:
        name: One of `available`.

    Example:
        >>> @register_metric("nothing")
        ... class Nothing(BatchMetric):
        ...     pass
        >>> unregister_metric("nothing")
        >>> "nothing" in available()
        False
    """
    del _METRICS[name]


def available(*, parts: bool = True, pairs: bool = True, words: bool = True) -> list[str]:
    """Return the names that `build` knows, sorted.

    Args:
        parts: Whether to include the metrics of part segmentation, which need the parts of each category.
        pairs: Whether to include the metrics that rank pairs of nodes.
        words: Whether to include the metrics of sequences of words.

    Example:
        >>> available(parts=False, pairs=False, words=False)
        ['accuracy', 'accuracy_macro', 'ap', 'auc', 'f1_macro', 'mae', 'r2', 'rmse', 'spearman']
        >>> sorted(set(available(pairs=False)) - set(available(parts=False, pairs=False)))
        ['miou', 'miou_category']
    """
    return sorted(
        name
        for name, cls in _METRICS.items()
        if (parts or not cls.needs_parts) and (pairs or not cls.needs_pairs) and (words or not cls.needs_words)
    )


def fitting(task: Task) -> list[str]:
    """Return the names of the metrics that fit a task, sorted.

    Example:
        >>> fitting(Task("regression", ["logS"]))
        ['mae', 'r2', 'rmse', 'spearman']
    """
    # One label is a class too.
    kinds = {task.kind} | ({"binary"} if task.kind == "multilabel" and task.num_targets == 1 else set())
    names = available(parts=bool(task.parts), pairs=task.level == "link")
    return [name for name in names if kinds & set(_METRICS[name].kinds)]


def build(name: str, num_targets: int, *, parts: Sequence[Sequence[int]] = ()) -> BatchMetric:
    """Return a fresh metric.

    Args:
        name: One of `available`.
        num_targets: C, the width of the network's output, at least 1.
        parts: For part segmentation: the class numbers of each category.

    Raises:
        ConfigError: The name is unknown (the nearest one is suggested), ``num_targets`` is not a positive integer, or
            the metric needs ``parts``.

    Example:
        >>> build("ap", num_targets=10)
        MultilabelAveragePrecision()
    """
    return _find(name).for_task(num_targets, parts)


def higher_is_better(name: str) -> bool:
    """Return whether a larger value of a metric is better; ``"loss"`` is known here too.

    Args:
        name: One of `available`, or ``"loss"``.

    Raises:
        ConfigError: The name is unknown.

    Example:
        >>> higher_is_better("ap"), higher_is_better("rmse"), higher_is_better("loss")
        (True, False, False)
    """
    return name != "loss" and bool(_find(name).higher_is_better)


def direction(name: str) -> int:
    """Return 1 where a larger value is better, -1 where a smaller one is, and 0 for a name that is not registered.

    Example:
        >>> direction("ap"), direction("loss"), direction("shapes/loss"), direction("my_metric")
        (1, -1, -1, 0)
    """
    name = name.rpartition("/")[2]  # task/metric
    if name == SCORE:
        return 1
    if name != "loss" and name not in _METRICS:
        return 0
    return 1 if higher_is_better(name) else -1


def default_metrics(task: Task) -> tuple[str, ...]:
    """Return the metrics of a task where the user names none; the first one chooses the best epoch.

    Args:
        task: The targets.

    Example:
        >>> default_metrics(Task("regression", ["logS"]))
        ('mae', 'rmse', 'r2')
        >>> default_metrics(Task("multiclass", ["leg", "seat"], "node", parts=[[0, 1]]))
        ('miou', 'miou_category', 'accuracy')
    """
    if task.parts:
        return ("miou", "miou_category", "accuracy")
    if task.level == "link" and task.kind == "binary":
        return ("mrr", "mrr_filtered", "mrr_filtered_noself", "hits@1", "hits@3", "hits@10", "auc", "ap")
    return _DEFAULTS[task.kind]


_DEFAULTS = {
    "multilabel": ("ap", "auc"),
    "binary": ("auc", "ap", "accuracy"),
    "multiclass": ("accuracy", "f1_macro"),
    "regression": ("mae", "rmse", "r2"),
    WORDS: ("f1_words",),
}


def _find(name: str) -> type[BatchMetric]:
    if name not in _METRICS:
        raise ConfigError("metric", name, available())
    return _METRICS[name]
