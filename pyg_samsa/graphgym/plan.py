"""From ``cfg`` to a `RunPlan`: the translation of a configuration into plain arguments."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.splits import counted_splits
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import LoadedConfig, resolved, tables_of
from pyg_samsa.graphgym.data_defaults import fit_to_data, validates
from pyg_samsa.graphgym.loader import resolved_task
from pyg_samsa.graphgym.loss import choose_loss
from pyg_samsa.graphgym.metric import choose_metrics
from pyg_samsa.graphgym.network import (
    SAVED,
    edges_are_tokens,
    level,
    model_options,
    unsaved_part,
    unused_settings,
)
from pyg_samsa.graphgym.optimizer import choose_optimizer
from pyg_samsa.graphgym.scheduler import choose_scheduler
from pyg_samsa.graphgym.settings import values_for
from pyg_samsa.graphgym.trainer_settings import trainer_options
from pyg_samsa.nn.conv.operators import operator_options
from pyg_samsa.options import plain
from pyg_samsa.task import WORDS, Task
from pyg_samsa.training import losses
from pyg_samsa.training.adaptation import AdaptationOptions
from pyg_samsa.training.loggers import WandbOptions
from pyg_samsa.training.run_plan import RunPlan
from pyg_samsa.training.samplers import BatchOptions

_SHOWN_TARGETS = 3
NOT_SAVED = "saved"
"""Label of the line of a header that says that the network is not saved."""


def make_plan(loaded: LoadedConfig, dataset: Any, *, seed: int) -> RunPlan:
    """Return the plan of a run by the present ``cfg``, in which settings give way to the data set, see `fit_to_data`.

    Args:
        loaded: From `load_config`; gets a note of each setting that gives way.
        dataset: The data set, from `load_for_runner`.
        seed: Seed of this run.

    Raises:
        ConfigError: A setting is unknown, or does not fit the task.
    """
    task: Task = dataset.task
    fit_to_data(loaded.changes, dataset)
    _check_encoder(dataset)
    metrics, best, higher = choose_metrics(task, direction_given="metric_agg" in loaded.given)
    monitor = f"val_{best}" if validates(dataset) else None
    if cfg.train.patience and monitor is None:
        hint = "Early stopping needs a validation split: see dataset.split."
        raise ConfigError("train.patience", cfg.train.patience, "0, because nothing is validated", hint=hint)
    loss_given = "model.loss_fun" in loaded.given
    _check_positive_weights(task)
    settings = {"seed": seed, "metric_agg": "argmax" if higher else "argmin", **resolved_task(task)}
    if not loss_given and task.kind == "regression":
        settings["model.loss_fun"] = losses.fitting(task.kind)[0]
    return RunPlan(
        name=loaded.name,
        seed=seed,
        dataset=dataset,
        build_network=partial(build_network, cfg.share.dim_in, cfg.share.dim_out),
        loss=choose_loss(task.kind, given=loss_given),
        metrics=metrics,
        batches=BatchOptions(**values_for(BatchOptions, cfg)),
        monitor=monitor,
        higher_is_better=higher,
        edges_are_tokens=edges_are_tokens(),
        config=resolved(loaded, settings, tables_of({"dataset.csv": dataset})),
        defaults=loaded.defaults,
        description={**describe_data(loaded, dataset), "model": describe_network(), **_not_saved(dataset)},
        unused=(*loaded.without_effect, *unused_settings(loaded.changed)),
        **training_options(monitor, higher_is_better=higher),
    )


def training_options(monitor: str | None, *, higher_is_better: bool) -> dict[str, Any]:
    """Return the options of `pyg_samsa.training.run_plan.Plan` that do not depend on network and data.

    Args:
        monitor: Logged name that chooses the best epoch, or None.
        higher_is_better: Its direction.
    """
    return {
        "optimizer": choose_optimizer(),
        "trainer": trainer_options(),
        "scheduler": choose_scheduler(monitor, higher_is_better=higher_is_better),
        "weight_decay": plain(cfg.optim.weight_decay),
        "train_metrics": not cfg.train.skip_train_eval,
        "num_workers": cfg.num_workers,
        "start_from": cfg.train.start_from,
        "adaptation": AdaptationOptions(**values_for(AdaptationOptions, cfg)),
        "out_dir": cfg.out_dir,
        "resume": cfg.train.auto_resume,
        "tensorboard": cfg.tensorboard_each_run,
        "wandb": WandbOptions(**values_for(WandbOptions, cfg)),
    }


def _check_positive_weights(task: Task) -> None:
    """Refuse weights of positive labels that are not one for each label."""
    weights, count = cfg.model.pos_weight, task.num_targets
    if task.kind in ("binary", "multilabel") and isinstance(weights, (list, tuple)) and len(weights) != count:
        raise ConfigError("model.pos_weight", list(weights), f"one number, or one for each of {count} labels")


def _check_encoder(dataset: Any) -> None:
    """Refuse categories as features of GraphGym's own network, which multiplies features by weights."""
    encoded = cfg.dataset.node_encoder or dataset.features.in_channels is None
    if cfg.model.type == "gnn" and not encoded and not isinstance(dataset.features.in_channels, int):
        hint = "For molecules: dataset.node_encoder True dataset.node_encoder_name SAMSAAtom. Or use model.type samsa."
        expected = "True with the network gnn, because the features of nodes are categories"
        raise ConfigError("dataset.node_encoder", False, expected, hint=hint)


def build_network(dim_in: int, dim_out: int) -> nn.Module:
    """Return the registered network of ``model.type``.

    Args:
        dim_in: Width of float node features, or number of categorical ones.
        dim_out: Width of the output.

    Raises:
        ConfigError: There is no such network.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "sams"
        >>> build_network(5, 1)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: model.type: got 'sams', expected one of ...
        >>> set_cfg(cfg)
    """
    if cfg.model.type not in register.network_dict:
        raise ConfigError("model.type", cfg.model.type, sorted(register.network_dict))
    return register.network_dict[cfg.model.type](dim_in=dim_in, dim_out=dim_out)


def describe_data(loaded: LoadedConfig, dataset: Any) -> dict[str, str]:
    """Return the lines of a header about configuration, data, task and what was changed: label -> text.

    Args:
        loaded: From `load_config`.
        dataset: The data set, from `load_for_runner`.
    """
    task: Task = dataset.task
    names = [*dataset.features.descriptors, *dataset.features.extra_columns]
    width = dataset.features.graph_channels
    return {
        "config": str(loaded.path),
        "data": name_data(dataset),
        "task": f"{task.level} level · {task.kind} · {_targets_of(task)}",
        **({"features": f"{', '.join(names) or 'graph_features'} · {width:,} of each graph"} if width else {}),
        **({"changed": "\n".join(loaded.changes.notes)} if loaded.changes.notes else {}),
        **({"not honoured": "\n".join(found.notes)} if (found := loaded.translation) and found.notes else {}),
    }


def name_data(dataset: Any) -> str:
    """Return the name of the present data set and the sizes of its splits, for a header."""
    counts, of_nodes = counted_splits(dataset)
    sizes = " / ".join(f"{count:,} {split}" for split, count in counts.items())
    return f"{cfg.dataset.format} {cfg.dataset.name} · {sizes}{' nodes of one graph' if of_nodes else ''}"


def _not_saved(dataset: Any) -> dict[str, str]:
    """Return a line of the header about a network for molecules that ``predict`` will not find."""
    features, unsaved = dataset.features, unsaved_part()
    known = (features.in_channels, features.edge_channels) == (MOLECULES.in_channels, MOLECULES.edge_channels)
    if unsaved is None or not known or dataset.task.level != "graph":
        return {}
    key, value = unsaved
    cure = f"with {key} {SAVED[key]}" if key in SAVED else "without it"
    return {NOT_SAVED: f"no, because of {key} {value}: pyg-samsa predict takes networks {cure}"}


def describe_network() -> str:
    """Return the kind and the sizes of the network of the present ``cfg``, for a header."""
    name = cfg.model.type
    kinds = {"rwse": "random walks of {} steps", "lap": "{} Laplacian eigenvectors"}
    kinds["lap1"] = kinds["lap"]
    kinds["spectrum"] = "{} Laplacian eigenvectors with eigenvalues"
    encodings = f" · {kinds.get(cfg.pe.kind, cfg.pe.kind + ' {}').format(cfg.pe.dim)}" if cfg.pe.kind != "none" else ""
    encodings += " that weight messages" if cfg.pe.role != "add" else ""
    if name != "samsa":
        return f"{name} · {level()}{encodings}"
    values = model_options()
    numbers = {"layer": values["num_layers"], "channel": values["channels"], "head": values["heads"]}
    size = " · ".join(f"{number} {name}{'s' * (number != 1)}" for name, number in numbers.items())
    attention = values["attention"]
    takes = operator_options(attention)
    used = [name for name in ("num_samples", "sampling") if name in takes]
    values = {name: takes[name].default if values[name] is None else values[name] for name in used}
    kind = f" ({values['sampling']})" if "sampling" in values else ""
    sampled = f" · {values['num_samples']} sampled keys per head{kind}" if "num_samples" in values else ""
    return f"{attention if attention == 'samsa' else f'samsa with {attention}'} · {size}{sampled}{encodings}"


def _targets_of(task: Task) -> str:
    """Return the names of up to three targets, or their number."""
    if task.kind == WORDS:
        return f"{task.positions} words of {len(task.names):,}"
    what = "classes" if task.kind == "multiclass" else "targets" if task.num_targets > 1 else "target"
    names = f": {', '.join(task.names)}" if task.num_targets <= _SHOWN_TARGETS else ""
    return f"{task.num_targets} {what}{names}"
