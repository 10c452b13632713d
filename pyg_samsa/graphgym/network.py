"""The networks ``samsa``, ``bag_of_features`` and ``point_net``, built from GraphGym's configuration."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.options import ALIASES, FIXED_IN_SAMSA, OPERATOR_OPTIONS, SETTINGS, UNSET_FLOAT, UNSET_INT
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.nn import SAMSA, BagOfFeatures, PointNet, SAMSAOptions
from pyg_samsa.nn.conv.operators import operator_options
from pyg_samsa.nn.encoding.feature_encoder import Features
from pyg_samsa.training.batch_network import BatchNetwork

# Encoders that nn.SAMSA makes itself from the data set's own description of its features.
BUILT_IN_ENCODERS = ("Atom", "Bond", "LinearNode", "LinearEdge", "Integer")
_LEVEL_OF_HEAD = {"graph": "graph", "mlp_graph": "graph", "node": "node", "inductive_node": "node"}


class SAMSANetwork(BatchNetwork):
    """Reads ``cfg.samsa`` (and the names that GraphGPS has for the same) and holds a plain ``nn.SAMSA`` as ``model``.

    Nothing of GraphGym re-initialises it, and ``model.state_dict()`` is that of :class:`pyg_samsa.nn.SAMSA`.

    Args:
        dim_in: Width of float node features, for data sets that say no more than that.
        dim_out: Width of the output.

    Raises:
        ConfigError: settings contradict each other.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        options = model_options()
        in_channels, edge_channels, encoders = _features(dim_in, options["channels"])
        if level() == "node" and options["context"]:
            options["num_categories"] = cfg.share.num_categories
        towers = 2 if cfg.share.pairs else 1
        options["scale_targets"] = cfg.share.task == "regression"
        super().__init__(
            SAMSA.from_options(
                in_channels, dim_out, edge_channels=edge_channels, level=level(), towers=towers, **options
            ),
            **encoders,
        )


class BagOfFeaturesNetwork(BatchNetwork):
    """The baseline without structure, `pyg_samsa.nn.BagOfFeatures`, with ``samsa.channels`` and ``samsa.dropout``.

    Args:
        dim_in: Width of float node features, for data sets that say no more than that.
        dim_out: Width of the output.

    Raises:
        ConfigError: the task is not one of whole graphs.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        if level() != "graph":
            raise ConfigError(
                "model.type",
                "bag_of_features",
                "a network with predictions for nodes",
                hint="This baseline predicts for graphs only.",
            )
        options = model_options()
        in_channels, edge_channels, encoders = _features(dim_in, options["channels"])
        model = BagOfFeatures(
            in_channels, dim_out, edge_channels=edge_channels, channels=options["channels"], dropout=options["dropout"]
        )
        super().__init__(model, **encoders)


class PointNetNetwork(BatchNetwork):
    """The baseline for point clouds, `pyg_samsa.nn.PointNet`, with ``point_net.width`` and ``samsa.dropout``.

    Args:
        dim_in: Features of a point.
        dim_out: Width of the output.

    Raises:
        ConfigError: the features are not floats.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        channels = cfg.share.in_channels if cfg.share.in_channels is not None else dim_in
        if not isinstance(channels, int):
            raise ConfigError(
                "model.type",
                "point_net",
                "a network for categorical features",
                hint="This baseline takes coordinates and normals.",
            )
        categories = cfg.share.num_categories if level() == "node" else 0
        options = {"width": cfg.point_net.width, "dropout": cfg.samsa.dropout, "num_categories": categories}
        super().__init__(PointNet(channels, dim_out, level=level(), **options))


def _features(dim_in: int, channels: int) -> tuple[Features, Features | None, dict[str, nn.Module | None]]:
    """Return what nodes and edges have, as the models take it, and the encoders that somebody registered for them."""
    node_encoder = _registered_encoder("node", register.node_encoder_dict, channels)
    edge_encoder = _registered_encoder("edge", register.edge_encoder_dict, channels)
    in_channels = cfg.share.in_channels if cfg.share.in_channels is not None else dim_in
    return (
        in_channels if node_encoder is None else _Encoded(),
        cfg.share.edge_channels if edge_encoder is None else _Encoded(),
        {"node_encoder": node_encoder, "edge_encoder": edge_encoder},
    )


class _Encoded(nn.Identity):
    """Features that a registered encoder has already encoded."""


def model_options() -> dict[str, Any]:
    """Return the keyword arguments of :class:`pyg_samsa.nn.SAMSA` that the configuration holds.

    Raises:
        ConfigError: ``gt.*`` and ``samsa.*`` contradict each other, or a readout is asked for that there is not.
    """
    for key, fixed in FIXED_IN_SAMSA.items():
        group, name = key.split(".")
        if cfg[group][name] != fixed:
            raise ConfigError(
                key,
                cfg[group][name],
                f"{fixed!r} with this network",
                hint="This setting is for the networks gcn, gine, gatedgcn and gps.",
            )
    values = {name: value for name, value in cfg.samsa.items() if name in _ARGUMENTS}
    for other, key in ALIASES.items():
        group, name = other.split(".")
        value, own = cfg[group][name], key.split(".")[1]
        if value in (UNSET_INT, UNSET_FLOAT) and SETTINGS[other].default == value:
            continue
        if values[own] not in (SETTINGS[key].default, value):
            raise ConfigError(other, value, f"the same as {key} ({values[own]})", hint="Set only one of the two.")
        values[own] = value
    values["num_layers"] = values.pop("layers")
    takes = operator_options(values["attention"])
    for name in _OF_OPERATOR:
        if name not in takes:
            del values[name]
    values["attention_options"] = _attention_options(values["attention"])
    values["pe_channels"], values["flip_signs"] = (cfg.pe.dim if cfg.pe.kind != "none" else 0), cfg.pe.kind == "lap"
    values["ffn_channels"] = values["ffn_channels"] or None
    pooling = cfg.model.graph_pooling
    if pooling in ("mean", "attention"):
        values["pool"] = pooling
    elif pooling != "add":
        raise ConfigError(
            "model.graph_pooling", pooling, ("attention", "mean"), hint="Or remove this setting and set samsa.pool."
        )
    return values


def _attention_options(attention: str) -> dict[str, Any] | None:
    """Return the settings of one operator that differ from their defaults, or None.

    Raises:
        ConfigError: a setting of another operator is set.
    """
    options = {}
    for operator, keys in OPERATOR_OPTIONS.items():
        for key in keys:
            group, name = key.split(".")
            value = cfg[group][name]
            if value == SETTINGS[key].default:
                continue
            if operator != attention:
                raise ConfigError(
                    key,
                    value,
                    f"no value where samsa.attention is {attention}",
                    hint=f"Set samsa.attention {operator}.",
                )
            options[name] = value
    if attention == "flt":
        # A place in a sequence is one number; what else has positions brings them.
        dims = 1 if cfg.samsa.positions == "sinusoidal" and not cfg.share.num_dims else cfg.share.num_dims
        options = {"encoding": "gaussian_mixture" if dims else "none", **options, "num_dims": max(1, dims)}
    return options or None


_ARGUMENTS = frozenset(SAMSAOptions.__dataclass_fields__) | {"layers"}
# Arguments of the attention operator that a configuration has whatever the operator is.
_OF_OPERATOR = ("num_samples", "sampling", "tau", "noise", "attn_backend")


def level() -> str:
    """Return what is predicted for: the head that is asked for, else what the data set says, else ``dataset.task``.

    Raises:
        ConfigError: the network has no such head.
    """
    head = cfg.gnn.head
    if head in ("default", cfg.dataset.task) and cfg.share.level is not None:
        head = cfg.share.level
    elif head == "default":
        head = cfg.dataset.task
    if head not in _LEVEL_OF_HEAD:
        raise ConfigError("gnn.head", head, _LEVEL_OF_HEAD)
    return _LEVEL_OF_HEAD[head]


def _registered_encoder(kind: str, registry: dict[str, Any], channels: int) -> nn.Module | None:
    """Return an encoder that somebody registered; None where nn.SAMSA encodes the features itself."""
    if not cfg.dataset[f"{kind}_encoder"]:
        return None
    key = f"dataset.{kind}_encoder_name"
    name = cfg.dataset[f"{kind}_encoder_name"]
    described = cfg.share.in_channels if kind == "node" else cfg.share.edge_channels
    if name in BUILT_IN_ENCODERS and described is not None:
        wants_categories, categorical = not name.startswith("Linear"), not isinstance(described, int)
        if wants_categories != categorical:
            raise ConfigError(
                key,
                name,
                f"an encoder for {'categorical' if categorical else 'float'} features",
                hint=f"Remove dataset.{kind}_encoder from the config.",
            )
        return None
    if name not in registry:
        hint = "Positional encodings are not part of this network: Graph-Bridge replaces them." if "+" in name else ""
        raise ConfigError(key, name, sorted(registry), hint=hint)
    return registry[name](channels)


register_once(register.network_dict, "samsa", SAMSANetwork)
register_once(register.network_dict, "bag_of_features", BagOfFeaturesNetwork)
register_once(register.network_dict, "point_net", PointNetNetwork)
