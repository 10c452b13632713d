"""From ``cfg`` to a `RunPlan`: the translation of a configuration into plain arguments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.splits import counted_splits
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.baselines import DEFAULT_GPS_LAYER, gnn_options
from pyg_samsa.graphgym.config import LoadedConfig, resolved, tables_of
from pyg_samsa.graphgym.data_defaults import fit_to_data, validates
from pyg_samsa.graphgym.loader import resolved_task
from pyg_samsa.graphgym.loss import choose_loss
from pyg_samsa.graphgym.members import chosen_members, trains_network
from pyg_samsa.graphgym.metric import choose_metrics
from pyg_samsa.graphgym.network_options import edges_are_tokens, model_options
from pyg_samsa.graphgym.optimizer import choose_optimizer
from pyg_samsa.graphgym.scheduler import choose_scheduler
from pyg_samsa.graphgym.settings import values_for
from pyg_samsa.graphgym.trainer_settings import trainer_options
from pyg_samsa.graphgym.unsaved import SAVED, unsaved_part
from pyg_samsa.graphgym.without_effect import describe_without_effect, why_without_effect
from pyg_samsa.nn.conv.operators import operator_options
from pyg_samsa.nn.models.message_passing import LAYERS
from pyg_samsa.options import plain
from pyg_samsa.predict.predictor_options import MEMBER_KINDS
from pyg_samsa.task import WORDS, Task
from pyg_samsa.training import losses
from pyg_samsa.training.adaptation import AdaptationOptions
from pyg_samsa.training.loggers import WandbOptions
from pyg_samsa.training.run_plan import RunPlan
from pyg_samsa.training.samplers import BatchOptions

_SHOWN_TARGETS = 3
NETWORK = "network"
PREDICTED_BY = {"trees": "boosted trees", "gp": "Gaussian processes"}
"""Kind of a model on descriptors -> what it is called."""


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
        description={**describe_data(loaded, dataset), **_described_network(dataset)},
        unused=tuple(describe_without_effect(loaded)),
        unsaved=why_unsaved(dataset),
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
    # What the run does not read is no news.
    changed = loaded.changes.notes_without(lambda key: why_without_effect(key) is not None)
    return {
        "config": str(loaded.path),
        "data": name_data(dataset),
        "task": f"{task.level} level · {task.kind} · {_targets_of(task)}",
        **({"features": f"{', '.join(names) or 'graph_features'} · {width:,} of each graph"} if width else {}),
        **({"changed": "\n".join(changed)} if changed else {}),
        **({"not honoured": "\n".join(found.notes)} if (found := loaded.translation) and found.notes else {}),
    }


def name_data(dataset: Any) -> str:
    """Return the name of the present data set and the sizes of its splits, for a header."""
    counts, of_nodes = counted_splits(dataset)
    sizes = " / ".join(f"{count:,} {split}" for split, count in counts.items())
    return f"{cfg.dataset.format} {cfg.dataset.name} · {sizes}{' nodes of one graph' if of_nodes else ''}"


def why_unsaved(dataset: Any) -> str:
    """Return why the network of a run is not saved for ``pyg-samsa predict``; empty if it is saved.

    Args:
        dataset: The data set.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> from types import SimpleNamespace
        >>> set_cfg(cfg)
        >>> cfg.model.type = "gcn"
        >>> why_unsaved(SimpleNamespace(task=Task("regression", ["y"]), features=MOLECULES))
        'model.type gcn: only networks with model.type samsa are saved'
        >>> set_cfg(cfg)
    """
    task, features = dataset.task, dataset.features
    if (features.in_channels, features.edge_channels) != (MOLECULES.in_channels, MOLECULES.edge_channels):
        return "its data: only networks for molecules with the features of OGB are saved"
    if task.level != "graph" or task.pairs:
        return "its task: only networks that predict whole molecules are saved"
    if (unsaved := unsaved_part()) is None:
        return ""
    key, value = unsaved
    return f"{key} {value}: only networks {f'with {key} {SAVED[key]}' if key in SAVED else 'without it'} are saved"


def _described_network(dataset: Any) -> dict[str, str]:
    """Return the lines of a header about the network, and about one for molecules that is not saved."""
    if not trains_network():
        return {}
    lines = {"model": describe_network()}
    of_molecules = (dataset.features.in_channels, dataset.task.level) == (MOLECULES.in_channels, "graph")
    if of_molecules and unsaved_part() is not None and (why := why_unsaved(dataset)):
        models = [PREDICTED_BY[kind] for kind in MEMBER_KINDS[chosen_members() or NETWORK] if kind != NETWORK]
        saved = f"{' and '.join(models)}, but not the network" if models else "no"
        lines["saved"] = f"{saved}, because of {why} for pyg-samsa predict"
    return lines


def describe_network() -> str:
    """Return the kind and the sizes of the network of the present ``cfg``, for a header.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "san"
        >>> describe_network()
        'san on all pairs of nodes · 2 layers · 16 channels · 4 heads'
        >>> set_cfg(cfg)
    """
    name = cfg.model.type
    kinds = {"rwse": "random walks of {} steps", "lap": "{} Laplacian eigenvectors"}
    kinds["lap1"] = kinds["lap"]
    kinds["spectrum"] = "{} Laplacian eigenvectors with eigenvalues"
    encodings = f" · {kinds.get(cfg.pe.kind, cfg.pe.kind + ' {}').format(cfg.pe.dim)}" if cfg.pe.kind != "none" else ""
    encodings += " that weight messages" if cfg.pe.role != "add" else ""
    if name != "samsa":
        return f"{_described(name)}{encodings}"
    values = model_options()
    attention = values["attention"]
    takes = operator_options(attention)
    used = [name for name in ("num_samples", "sampling") if name in takes]
    sampling = {name: takes[name].default if values[name] is None else values[name] for name in used}
    kind = f" ({sampling['sampling']})" if "sampling" in sampling else ""
    sampled = f" · {sampling['num_samples']} sampled keys per head{kind}" if "num_samples" in sampling else ""
    parts = attention if attention == "samsa" else f"samsa with {attention}"
    parts += f" beside {values['local']}" if values["local"] else ""
    return f"{parts} · {_sizes(values)}{sampled}{encodings}"


def _described(network: str) -> str:
    """Return the kind and the sizes of another network than samsa."""
    if network in LAYERS:
        options = gnn_options(network)
        kind = network
        if network == "gps":
            kind += f" of {cfg.gt.layer_type if cfg.gt.layer_type != 'samsa' else DEFAULT_GPS_LAYER}"
        elif network in ("san", "san2"):
            kind += " on all pairs of nodes" if options["full_graph"] else " on edges"
        return f"{kind} · {_sizes(options)}"
    if network == "gnn":
        gnn = cfg.gnn
        counts = {"layer before": gnn.layers_pre_mp, gnn.layer_type: gnn.layers_mp, "layer after": gnn.layers_post_mp}
        layers = " · ".join(f"{count} {noun}" for noun, count in counts.items() if count)
        return f"GraphGym's gnn · {layers} · {gnn.dim_inner} channels"
    if network == "bag_of_features":
        return f"{network} · {model_options()['channels']} channels"
    return f"{network} · {cfg.point_net.width:g} times its channels" if network == "point_net" else network


def _sizes(options: Mapping[str, Any]) -> str:
    numbers = {"layer": options["num_layers"], "channel": options["channels"], "head": options.get("heads")}
    return " · ".join(f"{number} {noun}{'s' * (number != 1)}" for noun, number in numbers.items() if number)


def _targets_of(task: Task) -> str:
    """Return the names of up to three targets, or their number."""
    if task.kind == WORDS:
        return f"{task.positions} words of {len(task.names):,}"
    what = "classes" if task.kind == "multiclass" else "targets" if task.num_targets > 1 else "target"
    names = f": {', '.join(task.names)}" if task.num_targets <= _SHOWN_TARGETS else ""
    return f"{task.num_targets} {what}{names}"
