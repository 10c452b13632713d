"""Defaults and settings of a file give way to what the user asked for on the command line."""

from __future__ import annotations

from typing import Any

from torch_geometric.graphgym.config import cfg

from pyg_samsa import metrics
from pyg_samsa.datasets import catalog
from pyg_samsa.datasets.dataset_registry import dataset_options
from pyg_samsa.functional.node_encodings import WITH_SPECTRUM
from pyg_samsa.graphgym.changes import Changes, Rule, rule_in
from pyg_samsa.graphgym.encoding_settings import unread_encoder_options
from pyg_samsa.graphgym.layer_type import parse_layer_type, weights_messages
from pyg_samsa.graphgym.members import chosen_members, trains_network
from pyg_samsa.graphgym.metric import ALIASES as METRIC_ALIASES
from pyg_samsa.graphgym.network_options import WITHOUT_GRAPH_FEATURES, asks_for_masked
from pyg_samsa.graphgym.scheduler import WITHOUT_WARMUP, scheduler_name
from pyg_samsa.graphgym.settings import (
    ALIASES,
    FIXED_IN_SAMSA,
    GPS_LAYERS,
    SETTINGS,
    WITHOUT_ENCODINGS,
    key_of,
    part_settings,
    value_of,
)
from pyg_samsa.graphgym.unsaved import unsaved_part
from pyg_samsa.nn import OPERATORS, TOKENIZERS, SAMSAOptions
from pyg_samsa.nn.conv.operators import operator_options
from pyg_samsa.nn.models.message_passing import LAYERS
from pyg_samsa.nn.models.samsa_options import OF_TOKENIZER, OPERATOR_ARGUMENTS
from pyg_samsa.task import MASKED
from pyg_samsa.training.launch import find_launch

DATASET = ("dataset.name", "dataset.format", "dataset.csv")
"""Settings that choose the data set."""
_OF_SAVED_NETWORKS = ("model.type", "gnn.head", "dataset.node_encoder_name", "dataset.edge_encoder_name")
RULES: list[Rule] = []
"""What gives way to what, in the order in which it does."""


def fit_defaults(changes: Changes) -> None:
    """Change settings of the file, and defaults, that contradict a setting of the command line.

    Details give way to choices: the length of the warm-up to the number of epochs, the options of an operator to
    another operator. Choices do not give way to details, and two settings of the command line do not give way to each
    other. `RULES` lists all of them, and so does the reference of the settings.

    Args:
        changes: What was asked for; gets a note of each change.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.optim.max_epoch, cfg.optim.num_warmup_epochs = 1, 3.0
        >>> changes = Changes({"optim.max_epoch"})
        >>> fit_defaults(changes)
        >>> changes.notes
        ['optim.num_warmup_epochs 3 -> 0.5 (optim.max_epoch is 1)']
        >>> set_cfg(cfg)
    """
    changes.apply(RULES)


def _aliases() -> dict[str, str]:
    """Return the settings that mean the same; networks that have sizes of their own read one of the two, or none."""
    return {} if cfg.model.type in LAYERS else ALIASES


@rule_in(RULES, "`gt.layers`, `gt.n_heads` and the like", *ALIASES.values(), becomes="not set", because="`samsa.*`")
def _names_of_graphgps(changes: Changes) -> None:
    for other, key in _aliases().items():
        if key in changes.asked:
            changes.change(other, SETTINGS[other].default, f"{key} is set")


@rule_in(RULES, "`samsa.layers`, `samsa.heads` and the like", *ALIASES, becomes="the same value", because="`gt.*`")
def _names_of_this_package(changes: Changes) -> None:
    for other, key in _aliases().items():
        value = value_of(other, cfg)
        if other in changes.asked and value_of(key, cfg) not in (SETTINGS[key].default, value):
            changes.change(key, value, f"{other} is set")


@rule_in(RULES, "`gt.layer_type`", "samsa.attention", "samsa.local", becomes="not set")
def _layer_type(changes: Changes) -> None:
    changes.change("gt.layer_type", "samsa", "samsa.attention or samsa.local is set")


@rule_in(RULES, "`samsa.attention`, `samsa.local`", "gt.layer_type", becomes="what it says")
def _parts_of_layer_type(changes: Changes) -> None:
    if cfg.model.type == "samsa" and cfg.gt.layer_type != "samsa":
        for name, value in parse_layer_type(cfg.gt.layer_type).items():
            key = key_of(SAMSAOptions, name)
            if value_of(key, cfg) != SETTINGS[key].default:
                changes.change(key, value, f"gt.layer_type is {cfg.gt.layer_type}")


@rule_in(RULES, "settings of other networks, such as `gt.layer_norm`", "model.type", becomes="their defaults")
def _settings_of_other_networks(changes: Changes) -> None:
    network = cfg.model.type
    if network == "samsa":
        for key, fixed in FIXED_IN_SAMSA.items():
            changes.change(key, fixed, f"model.type is {network}")
    if (network == "gps") != (cfg.gt.layer_type in GPS_LAYERS):
        changes.change("gt.layer_type", "samsa", f"model.type is {network}")


@rule_in(RULES, "`gnn.update_edges`", "model.type", "gt.layer_type", becomes="False, for layers that are not gated")
def _update_edges(changes: Changes) -> None:
    network, layer = cfg.model.type, cfg.gt.layer_type
    if network != "gatedgcn" and not (network == "gps" and GPS_LAYERS.get(layer, ("",))[0] == "gatedgcn"):
        changes.change("gnn.update_edges", False, f"model.type is {network}, gt.layer_type {layer}")


@rule_in(RULES, "`pe.kind`", "model.type", becomes="none, for a network without encodings")
def _encodings(changes: Changes) -> None:
    if cfg.model.type in WITHOUT_ENCODINGS:
        changes.change("pe.kind", "none", f"{cfg.model.type} takes no encodings")


@rule_in(
    RULES,
    "`pe.role`",
    *("pe.kind", "model.type", "gt.layer_type", "samsa.local"),
    becomes="add, without encodings, with a spectrum, or with messages that they cannot weight",
)
def _role_of_encodings(changes: Changes) -> None:
    if cfg.pe.kind == "none":
        changes.change("pe.role", "add", "there are no encodings")
    elif cfg.pe.kind in WITH_SPECTRUM:
        changes.change("pe.role", "add", f"pe.kind is {cfg.pe.kind}")
    elif not weights_messages():
        changes.change("pe.role", "add", "no messages can be weighted")


@rule_in(
    RULES,
    "settings of encoders of encodings, such as `pe.heads`",
    *("pe.kind", "pe.role", "pe.model", "pe.walk_model", "model.type"),
    becomes="not set, if they have no effect",
)
def drop_encoder_options(changes: Changes) -> None:
    """Unset settings of encoders of positional encodings that have no effect with the kind of encodings.

    Args:
        changes: What was asked for.
    """
    for _ in range(2):  # a model of other encodings goes first, and then what it alone reads
        for key in unread_encoder_options():
            changes.change(key, None, f"it has no effect with pe.kind {cfg.pe.kind}")
    if "+" not in cfg.pe.kind:
        changes.change("pe.steps", None, f"pe.kind is {cfg.pe.kind}")


@rule_in(RULES, "`dataset.descriptors`, `dataset.extra_columns`", "model.type", becomes="none, for such a network")
def _graph_features(changes: Changes) -> None:
    for name in ("descriptors", "extra_columns"):
        if cfg.model.type in WITHOUT_GRAPH_FEATURES and cfg.dataset[name]:
            changes.change(f"dataset.{name}", [], f"{cfg.model.type} takes no features of whole graphs")


@rule_in(
    RULES,
    "`samsa.num_samples`, `samsa.sampling` and the like, and settings of other operators",
    "samsa.attention",
    "gt.layer_type",
    becomes="their defaults, if the operator does not take them",
)
def _operator(changes: Changes) -> None:
    if cfg.model.type != "samsa":
        return
    attention = cfg.samsa.attention
    if cfg.gt.layer_type != "samsa":
        attention = parse_layer_type(cfg.gt.layer_type)["attention"]
    if attention not in OPERATORS:
        return
    takes = operator_options(attention)
    for name in OPERATOR_ARGUMENTS:
        if name not in takes:
            changes.change(key_of(SAMSAOptions, name), None, f"{attention} does not take it")
    _parts(changes, OPERATORS, attention)


@rule_in(RULES, "`samsa.bridge` and settings of other tokenizers", "samsa.tokenizer", becomes="their defaults")
def _tokenizer(changes: Changes) -> None:
    tokenizer = cfg.samsa.tokenizer
    if tokenizer not in TOKENIZERS:
        return
    for name in OF_TOKENIZER:
        key = key_of(SAMSAOptions, name)
        changes.change(key, SETTINGS[key].default, f"samsa.tokenizer is {tokenizer}")
    _parts(changes, TOKENIZERS, tokenizer)


def _parts(changes: Changes, parts: Any, chosen: str) -> None:
    for part in parts:
        if part != chosen:
            for key in part_settings(parts, part).values():
                changes.change(key, SETTINGS[key].default, f"{chosen} does not take it")


@rule_in(RULES, "`samsa.bridge`", "samsa.local", becomes="True for `incidence`, which passes messages to edges")
def _bridge(changes: Changes) -> None:
    if cfg.samsa.local == "incidence" and cfg.samsa.tokenizer is None:
        changes.change("samsa.bridge", True, "samsa.local is incidence")


@rule_in(
    RULES,
    "`samsa.local`, `samsa.num_codes`, `samsa.coordinate_free` and the like",
    "samsa.bridge",
    becomes="their defaults, where there are no such tokens",
)
def _tokens(changes: Changes) -> None:
    bridge = cfg.samsa.bridge
    codes, places = ("num_codes", "eval_codes", "sigma"), ("coordinate_free", "centroid_distance")
    for name in places if bridge else codes:
        key = key_of(SAMSAOptions, name)
        changes.change(key, SETTINGS[key].default, f"samsa.bridge is {bridge}")
    if not bridge and cfg.samsa.local == "incidence":
        changes.change("samsa.local", None, f"samsa.bridge is {bridge}")
    if not bridge and not cfg.samsa.coordinate_free:
        changes.change("samsa.num_eval_samples", 1, "no token holds a random code")


@rule_in(RULES, "`model.graph_pooling`", "samsa.pool", becomes="not set")
def _pooling(changes: Changes) -> None:
    if cfg.model.type == "samsa":
        changes.change("model.graph_pooling", "add", "samsa.pool is set")


@rule_in(
    RULES,
    "`samsa.heads`, `gt.n_heads`",
    "samsa.channels",
    "gt.dim_hidden",
    "gnn.dim_inner",
    becomes="the largest smaller divisor of the channels",
)
def _heads(changes: Changes) -> None:
    (_, channels), (key, heads) = _channels_and_heads()
    if channels % heads:
        fitting = next(number for number in range(min(heads, channels), 0, -1) if channels % number == 0)
        changes.change(key, fitting, f"the channels are {channels}")


@rule_in(
    RULES,
    "`samsa.channels`, `gt.dim_hidden`, `gnn.dim_inner`",
    "samsa.heads",
    "gt.n_heads",
    becomes="the next smaller multiple of the heads",
)
def _channels(changes: Changes) -> None:
    (key, channels), (_, heads) = _channels_and_heads()
    if channels % heads:
        changes.change(key, max(1, channels // heads) * heads, f"the heads are {heads}")


@rule_in(RULES, "`optim.num_warmup_epochs`", "optim.num_warmup_steps", becomes="0")
def _warmup_in_epochs(changes: Changes) -> None:
    if cfg.optim.num_warmup_steps:
        changes.change("optim.num_warmup_epochs", 0.0, "optim.num_warmup_steps is set")


@rule_in(RULES, "`optim.num_warmup_steps`", "optim.num_warmup_epochs", becomes="0")
def _warmup_in_steps(changes: Changes) -> None:
    if cfg.optim.num_warmup_epochs:
        changes.change("optim.num_warmup_steps", 0, "optim.num_warmup_epochs is set")


@rule_in(
    RULES,
    "`optim.num_warmup_epochs`, `optim.num_warmup_steps`",
    "optim.scheduler",
    becomes="0, for a schedule without warm-up",
)
def _no_warmup(changes: Changes) -> None:
    if scheduler_name() in WITHOUT_WARMUP:
        reason = f"optim.scheduler {cfg.optim.scheduler} has no warm-up"
        changes.change("optim.num_warmup_epochs", 0.0, reason)
        changes.change("optim.num_warmup_steps", 0, reason)


@rule_in(
    RULES, "`optim.num_warmup_epochs`", "optim.max_epoch", becomes="half of the epochs, if it is not below their number"
)
def _warmup(changes: Changes) -> None:
    epochs = cfg.optim.max_epoch
    if cfg.optim.num_warmup_epochs >= epochs:
        changes.change("optim.num_warmup_epochs", epochs / 2, f"optim.max_epoch is {epochs}")


@rule_in(RULES, "`train.eval_period`", "optim.max_epoch", becomes="the number of epochs, if it is above it")
def _eval_period(changes: Changes) -> None:
    epochs = cfg.optim.max_epoch
    if cfg.train.eval_period > epochs:
        changes.change("train.eval_period", epochs, f"optim.max_epoch is {epochs}")


@rule_in(RULES, "`train.eval_period`", "optim.scheduler", becomes="1, for `plateau`")
def _every_epoch(changes: Changes) -> None:
    if scheduler_name() == "plateau":
        changes.change("train.eval_period", 1, f"optim.scheduler {cfg.optim.scheduler} reads every validation")


@rule_in(RULES, "`train.fit_schedule`", "train.max_seconds", becomes="False, if it is empty")
def _fit_schedule(changes: Changes) -> None:
    if cfg.train.max_seconds is None:
        changes.change("train.fit_schedule", False, "train.max_seconds is empty")


@rule_in(RULES, "`optim.min_lr`", "optim.base_lr", becomes="the same rate, if it is above it")
def _rates(changes: Changes) -> None:
    if cfg.optim.min_lr > cfg.optim.base_lr:
        changes.change("optim.min_lr", cfg.optim.base_lr, "optim.base_lr is lower")


@rule_in(RULES, "`optim.clip_grad_norm`", "optim.clip_grad_norm_value", becomes="True")
def _clipping(changes: Changes) -> None:
    changes.change("optim.clip_grad_norm", True, "optim.clip_grad_norm_value is set")


@rule_in(RULES, "`train.tokens_per_batch`", "train.batch_size", becomes="not set")
def _batches(changes: Changes) -> None:
    changes.change("train.tokens_per_batch", None, "train.batch_size is set")


@rule_in(RULES, "`metric_agg`", "metric_best", becomes="the direction of the metric")
def _direction(changes: Changes) -> None:
    name = METRIC_ALIASES.get(cfg.metric_best, cfg.metric_best)
    if "metric_agg" in changes.given and metrics.direction(name):
        higher = metrics.higher_is_better(name)
        changes.change("metric_agg", "argmax" if higher else "argmin", f"metric_best is {name}")


@rule_in(RULES, "`predictor.ensemble`", "predictor.folds", becomes="1")
def _ensemble(changes: Changes) -> None:
    if cfg.predictor.folds:
        changes.change("predictor.ensemble", 1, "the networks of predictor.folds are an ensemble")


@rule_in(RULES, "`predictor.folds`", "predictor.ensemble", becomes="0")
def _folds(changes: Changes) -> None:
    if cfg.predictor.ensemble > 1:
        changes.change("predictor.folds", 0, "predictor.ensemble is set")


@rule_in(RULES, "`predictor.members`", "predictor.ensemble", becomes="all, if they have no network")
def _members(changes: Changes) -> None:
    if cfg.predictor.ensemble > 1 and not trains_network():
        changes.change("predictor.members", "all", "an ensemble has networks")


@rule_in(RULES, "`predictor.ensemble`", "predictor.members", becomes="1, if there is no network")
def _one_seed(changes: Changes) -> None:
    if not trains_network():
        changes.change("predictor.ensemble", 1, "only networks have an ensemble")


@rule_in(
    RULES,
    "`predictor.folds`, `predictor.ensemble`",
    *_OF_SAVED_NETWORKS,
    "devices",
    becomes="0 and 1, for a network that is not saved, and on several devices",
)
def _one_network(changes: Changes) -> None:
    found = unsaved_part() or (("devices", cfg.devices) if cfg.devices != 1 else None)
    if trains_network() and found is not None:
        reason = f"{found[0]} is {found[1]}"
        changes.change("predictor.folds", 0, reason)
        changes.change("predictor.ensemble", 1, reason)


@rule_in(RULES, "`devices`", "predictor.folds", "predictor.ensemble", becomes="1")
def _one_device(changes: Changes) -> None:
    if cfg.predictor.folds or cfg.predictor.ensemble > 1:
        changes.change("devices", 1, "an ensemble is trained on one device")


@rule_in(RULES, "`devices`", becomes="their number on each machine", because="processes that torchrun or srun starts")
def _started_processes(changes: Changes) -> None:
    if (launch := find_launch()) is not None:
        changes.change("devices", launch.per_node, f"{launch.program} has started the processes")


@rule_in(
    RULES, "`predictor.refit`", *_OF_SAVED_NETWORKS, becomes="descriptors or none, for a network that is not saved"
)
def _refit(changes: Changes) -> None:
    part = unsaved_part()
    if trains_network() and cfg.predictor.refit == "all" and part is not None:
        reason = f"a network with {part[0]} {part[1]} is not saved"
        changes.change("predictor.refit", "none" if chosen_members() == "network" else "descriptors", reason)


@rule_in(
    RULES, "`predictor.tree_inputs`, `predictor.gp_inputs`", "predictor.members", becomes="their defaults, if empty"
)
def _inputs(changes: Changes) -> None:
    for member, key in (("trees", "predictor.tree_inputs"), ("gp", "predictor.gp_inputs")):
        if cfg.predictor.members == member and not value_of(key, cfg):
            changes.change(key, SETTINGS[key].default, f"predictor.members is {member}")


@rule_in(
    RULES,
    "`predictor.members`, `dataset.descriptors`",
    *("dataset.task_type", "dataset.csv_task"),
    becomes="network and none, for masked",
)
def _masked(changes: Changes) -> None:
    if asks_for_masked():
        changes.change("predictor.members", "network", f"the task is {MASKED}")
        changes.change("dataset.descriptors", [], f"the task is {MASKED}")


@rule_in(RULES, "`dataset.split_kind`", "dataset.split_column", becomes="column")
def _split_by_column(changes: Changes) -> None:
    if cfg.dataset.split_column:
        changes.change("dataset.split_kind", "column", "dataset.split_column is set")


@rule_in(RULES, "`dataset.split_column`", "dataset.split_kind", becomes="not set, for another split")
def _no_split_column(changes: Changes) -> None:
    if cfg.dataset.split_kind != "column":
        changes.change("dataset.split_column", None, f"dataset.split_kind is {cfg.dataset.split_kind}")


@rule_in(RULES, "options of other data sets, such as `dataset.max_residues`", *DATASET, becomes="not set")
def _dataset_options(changes: Changes) -> None:
    format, name = cfg.dataset.format, cfg.dataset.name
    if not catalog.knows(format, name):
        return
    takes = catalog.option_names(format, name)
    for option in dataset_options():
        if option not in takes:
            changes.change(f"dataset.{option}", None, f"the data set {name} does not take it")


def _channels_and_heads() -> tuple[tuple[str, int], tuple[str, int]]:
    """Return the keys and values of the channels and the heads; 1 where the network has no heads."""
    gt, network = cfg.gt, cfg.model.type
    if network in ("gps", "san", "san2"):
        return ("gt.dim_hidden", gt.dim_hidden) if gt.dim_hidden else ("gnn.dim_inner", cfg.gnn.dim_inner), (
            "gt.n_heads",
            gt.n_heads or 4,
        )
    channels = ("gt.dim_hidden", gt.dim_hidden) if gt.dim_hidden else ("samsa.channels", cfg.samsa.channels)
    heads = ("gt.n_heads", gt.n_heads) if gt.n_heads else ("samsa.heads", cfg.samsa.heads)
    return channels, heads if network == "samsa" else ("samsa.heads", 1)
