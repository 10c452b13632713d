"""Settings of a file, and defaults, give way to the data set: rules that need the data."""

from __future__ import annotations

import math
from typing import Any

from torch_geometric.graphgym.config import cfg

from pyg_samsa import metrics
from pyg_samsa.datasets.splits import split_sizes
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.changes import Changes, Rule, rule_in
from pyg_samsa.graphgym.defaults import DATASET, drop_encoder_options
from pyg_samsa.graphgym.loss import fits_task
from pyg_samsa.graphgym.metric import known_name
from pyg_samsa.graphgym.network_options import edges_are_tokens
from pyg_samsa.graphgym.scheduler import scheduler_name
from pyg_samsa.graphgym.settings import values_for
from pyg_samsa.task import MASKED, WORDS, Task
from pyg_samsa.training import losses
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.samplers import BatchOptions

DATA_RULES: list[Rule] = []
"""What gives way to the data, in the order in which it does."""
_LENGTH = ("optim.max_epoch", "optim.batch_accumulation", "train.batch_size", "train.tokens_per_batch", *DATASET)
_ANOTHER = "another data set"
# "classification" is GraphGym's default, so it does not contradict a regression.
FITTING_TASK_TYPES = {
    "multilabel": ("classification_multilabel", "classification"),
    "binary": ("classification", "classification_binary"),
    "multiclass": ("classification", "classification_multi"),
    "regression": ("regression", "classification"),
    MASKED: (MASKED,),
    WORDS: ("subtoken_prediction", "classification"),
}
"""Kind of task -> values of ``dataset.task_type`` that fit it."""


def fit_to_data(changes: Changes, dataset: Any) -> None:
    """Change settings of the file, and defaults, that contradict the data set; `DATA_RULES` lists them.

    Args:
        changes: What was asked for; gets a note of each change.
        dataset: The data set, with its ``task`` and ``split_idx``.

    Raises:
        ConfigError: Folds, or steps of the warm-up, that were asked for do not fit the data set.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> from types import SimpleNamespace
        >>> import torch
        >>> set_cfg(cfg)
        >>> cfg.train.patience = 5
        >>> dataset = SimpleNamespace(task=Task("regression", ["y"]), split_idx={"train": torch.arange(3)})
        >>> changes = Changes()
        >>> fit_to_data(changes, dataset)
        >>> changes.notes
        ['train.patience 5 -> 0 (there are no validation rows)']
        >>> set_cfg(cfg)

    Cost: a pass over the sizes of the graphs, with ``optim.num_warmup_steps`` and ``train.tokens_per_batch``.
    """
    changes.apply(DATA_RULES, dataset)
    if cfg.predictor.folds > (rows := _rows(dataset)):
        raise ConfigError(
            "predictor.folds", cfg.predictor.folds, f"at most {rows}, the number of molecules outside the test split"
        )
    if cfg.optim.num_warmup_steps and cfg.optim.num_warmup_steps >= (total := optimizer_steps(dataset)):
        hint = "Train longer, or shorten the warm-up."
        expected = f"fewer than the {total} optimiser steps of the run"
        raise ConfigError("optim.num_warmup_steps", cfg.optim.num_warmup_steps, expected, hint=hint)


def validates(dataset: Any) -> bool:
    """Say whether the run has rows to validate on: a validation split, or the folds of a cross-validation.

    Args:
        dataset: The data set.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> from types import SimpleNamespace
        >>> set_cfg(cfg)
        >>> validates(SimpleNamespace(split_idx={"train": [0, 1], "val": []}))
        False
    """
    return "val" in split_sizes(dataset.split_idx) or bool(cfg.predictor.folds)


def optimizer_steps(dataset: Any) -> int:
    """Return the number of optimiser steps of a run with the present ``cfg``.

    Args:
        dataset: The data set.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> from types import SimpleNamespace
        >>> import torch
        >>> set_cfg(cfg)
        >>> class Rows(list):
        ...     split_idx = {"train": torch.arange(20)}
        >>> optimizer_steps(Rows(range(20))), cfg.train.batch_size, cfg.optim.max_epoch
        (400, 16, 200)
    """
    rows = {"train": dataset.split_idx["train"]}
    data = SplitData(dataset, rows, **values_for(BatchOptions, cfg), edges_are_tokens=edges_are_tokens())
    processes = cfg.devices if isinstance(cfg.devices, int) else 1
    batches = math.ceil(len(data.train_dataloader()) / processes)
    return math.ceil(batches / cfg.optim.batch_accumulation) * cfg.optim.max_epoch


@rule_in(DATA_RULES, "`dataset.task_type`", *DATASET, becomes="that of the data set", because=_ANOTHER)
def _task_type(changes: Changes, dataset: Any) -> None:
    fitting = FITTING_TASK_TYPES[dataset.task.kind]
    if cfg.dataset.task_type not in fitting:
        changes.change("dataset.task_type", fitting[0], f"the task is {dataset.task.kind}")


@rule_in(DATA_RULES, "`model.loss_fun`", *DATASET, becomes="that of the task, if it fits another one", because=_ANOTHER)
def _loss(changes: Changes, dataset: Any) -> None:
    kind = dataset.task.kind
    if "model.loss_fun" in changes.given and not fits_task(kind):
        changes.change("model.loss_fun", losses.fitting(kind)[0], f"the task is {kind}")


@rule_in(
    DATA_RULES,
    "`metric_best`, `custom_metrics`, `metric_agg`",
    *DATASET,
    becomes="the metrics of the task, if they fit another one",
    because=_ANOTHER,
)
def _metrics(changes: Changes, dataset: Any) -> None:
    task: Task = dataset.task
    fitting, reason = metrics.fitting(task), f"the task is {task.kind}"
    if task.kind == MASKED:
        changes.change("custom_metrics", [], reason)
        changes.change("metric_best", "loss", reason)
        changes.change("metric_agg", "argmin", reason)
        return
    kept = [name for name in cfg.custom_metrics if known_name(name, task.kind) in fitting]
    changes.change("custom_metrics", kept, reason)
    if known_name(cfg.metric_best, task.kind) in ("auto", "loss", *fitting):
        return
    changes.change("metric_best", "auto", reason)
    if "metric_agg" in changes.given:
        first = [*kept, *metrics.default_metrics(task)][0]
        higher = metrics.higher_is_better(known_name(first, task.kind))
        changes.change("metric_agg", "argmax" if higher else "argmin", f"the metric is {first}")


@rule_in(
    DATA_RULES,
    "`dataset.descriptors`, `predictor.members`",
    *DATASET,
    becomes="none and auto, if the graphs are no molecules",
    because=_ANOTHER,
)
def _molecules(changes: Changes, dataset: Any) -> None:
    data = getattr(dataset, "_data", None)
    if data is None or "smiles" not in data:
        changes.change("dataset.descriptors", [], "the graphs have no SMILES")
    if data is None or "smiles" not in data or dataset.task.level != "graph" or dataset.task.pairs:
        changes.change("predictor.members", "auto", "the graphs are no molecules")


@rule_in(DATA_RULES, "`pe.kind`, `pe.role`", *DATASET, becomes="none and add, if there are no edges", because=_ANOTHER)
def _no_edges(changes: Changes, dataset: Any) -> None:
    data = getattr(dataset, "_data", None)
    if data is None or "edge_index" not in data or not data.edge_index.size(1):
        changes.change("pe.kind", "none", "the graphs have no edges")
        changes.change("pe.role", "add", "the graphs have no edges")
        drop_encoder_options(changes)


@rule_in(
    DATA_RULES, "`predictor.folds`", *DATASET, becomes="the number of molecules, if it is above it", because=_ANOTHER
)
def _folds(changes: Changes, dataset: Any) -> None:
    if cfg.predictor.folds > (rows := _rows(dataset)):
        changes.change("predictor.folds", rows if rows > 1 else 0, f"there are {rows} molecules")


@rule_in(DATA_RULES, "`train.patience`", becomes="0", because="a data set without validation rows")
def _patience(changes: Changes, dataset: Any) -> None:
    if not validates(dataset):
        changes.change("train.patience", 0, "there are no validation rows")


@rule_in(DATA_RULES, "`optim.scheduler plateau`", becomes="none", because="a data set without validation rows")
def _plateau(changes: Changes, dataset: Any) -> None:
    if scheduler_name() == "plateau" and not validates(dataset):
        changes.change("optim.scheduler", "none", "there are no validation rows")


@rule_in(
    DATA_RULES,
    "`optim.num_warmup_steps`",
    *_LENGTH,
    becomes="half of the optimiser steps, if it is not below their number",
    because="`optim.max_epoch`, sizes of batches, or another data set",
)
def _warmup_steps(changes: Changes, dataset: Any) -> None:
    if cfg.optim.num_warmup_steps and cfg.optim.num_warmup_steps >= (total := optimizer_steps(dataset)):
        changes.change("optim.num_warmup_steps", total // 2, f"the run has {total} optimiser steps")


def _rows(dataset: Any) -> int:
    """Return the number of rows that are not test rows."""
    return sum(count for split, count in split_sizes(dataset.split_idx).items() if split != "test")
