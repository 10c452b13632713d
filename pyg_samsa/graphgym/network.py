"""The networks ``samsa``, ``bag_of_features`` and ``point_net``, built from GraphGym's configuration."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets.encodings import encoding_widths
from pyg_samsa.errors import ConfigError, suggest
from pyg_samsa.functional.autocast import without_autocast
from pyg_samsa.functional.node_encodings import EIGENVECTORS, SPECTRUM, WITH_SPECTRUM
from pyg_samsa.graphgym.graphgps_keys import LAYERS_OF_SAN, REFUSED_ATTENTION, SUPERPIXEL_ENCODERS
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.settings import (
    ALIASES,
    FIXED_IN_SAMSA,
    FROM_DATA,
    GPS_LAYERS,
    LOCAL_OF_GRAPHGPS,
    NORM_HEAD,
    SETTINGS,
    SHRINKING_HEAD,
    UNSET_FLOAT,
    UNSET_INT,
    WORD_HEAD,
    key_of,
    part_settings,
    value_of,
    values_for,
)
from pyg_samsa.graphgym.share import graph_features
from pyg_samsa.nn import OPERATORS, SAMSA, TOKENIZERS, BagOfFeatures, PointNet, SAMSAOptions
from pyg_samsa.nn.conv.local_layers import GATED_BY_DISTANCE
from pyg_samsa.nn.conv.operators import operator_options
from pyg_samsa.nn.encoding.feature_encoder import Features
from pyg_samsa.nn.encoding.joined_encoder import EncodingOptions, unread, without_defaults
from pyg_samsa.nn.encoding.joined_encoder import encoding_options as read_options
from pyg_samsa.nn.encoding.laplacian_encoder import SPECTRAL_MODELS
from pyg_samsa.nn.encoding.structural_encoder import COLUMN_MODELS
from pyg_samsa.nn.models.message_passing import LAYERS
from pyg_samsa.nn.models.samsa_options import OPERATOR_ARGUMENTS
from pyg_samsa.nn.readout import POOLS
from pyg_samsa.task import MASKED
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.scaling import fit_graph_features

_CATEGORICAL = ("Atom", "Bond", "Integer", "TypeDictNode", "TypeDictEdge", "ASTNode", "ASTEdge", "PPANode")
# Encoders that nn.SAMSA makes itself from the data set's own description of its features.
BUILT_IN_ENCODERS = (*_CATEGORICAL, *SUPERPIXEL_ENCODERS, "LinearNode", "LinearEdge", "PPAEdge")
LEVEL_OF_HEAD = dict.fromkeys(("graph", "mlp_graph", SHRINKING_HEAD, WORD_HEAD, NORM_HEAD), "graph")
LEVEL_OF_HEAD |= {"node": "node", "inductive_node": "node"}
LEVEL_OF_HEAD |= {"link": "link", "edge": "link", "link_pred": "link", "inductive_edge": "link"}


_PE_OPTIONS = "pe_options: "


class SAMSANetwork(BatchNetwork):
    """Reads ``cfg.samsa`` (and the names that GraphGPS has for the same) and holds a plain ``nn.SAMSA`` as ``model``.

    A registered head of other code (``gnn.head``) takes the place of the readout: it is called with a copy of the batch
    whose ``x`` are the nodes after the encoder, [N, ``samsa.channels``], and returns (prediction, target).

    Nothing of GraphGym re-initialises it, and ``model.state_dict()`` is that of :class:`pyg_samsa.nn.SAMSA`.

    Args:
        dim_in: Width of float node features, if the data set does not describe them.
        dim_out: Width of the output.

    Raises:
        ConfigError: Settings contradict each other.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        options = model_options()
        in_channels, edge_channels, encoders = _features(dim_in, options["channels"], node_width(options))
        if level() == "node" and options["context"]:
            options["num_categories"] = cfg.share.num_categories
        if level() == "link":
            options["edge_decoding"] = cfg.model.edge_decoding
        towers = 2 if cfg.share.pairs else 1
        options["graph_channels"] = cfg.share.graph_channels
        options["scale_targets"] = cfg.share.task == "regression"
        head = own_head()
        if head is not None:
            if towers > 1:
                raise ConfigError("gnn.head", cfg.gnn.head, "'default' for pairs of documents")
            options["graph_channels"], options["scale_targets"] = 0, False
        if not options["graph_channels"]:
            options |= {"graph_levels": 0, "graph_hidden": None, "graph_dropout": None}
        with named_as_settings(options["attention"]):
            network = SAMSA.from_options(
                in_channels,
                dim_out if head is None else None,
                edge_channels=edge_channels,
                level=level(),
                towers=towers,
                **options,
            )
        super().__init__(network, **encoders)
        self.head = None if head is None else head(dim_in=options["channels"], dim_out=dim_out)
        fit_graph_features(self, *graph_features())

    def forward(self, batch: Any) -> tuple[Any, Any]:
        """Return (prediction, target) of a batch."""
        if self.head is None:
            return super().forward(batch)
        places, named = self.arguments(batch)
        model: Any = self.model
        found = []
        for draw in range(1 if self.training else model.num_eval_samples):
            tokens = model.encode(*places, **named, draw=draw)
            encoded = copy.copy(batch)
            encoded.x = tokens.x.index_select(0, tokens.node_rows)
            with without_autocast(encoded.x):
                found.append(self.head(encoded))
        return sum(prediction for prediction, _ in found) / len(found), found[0][1]


class BagOfFeaturesNetwork(BatchNetwork):
    """The baseline without structure, `pyg_samsa.nn.BagOfFeatures`, with ``samsa.channels`` and ``samsa.dropout``.

    Args:
        dim_in: Width of float node features, if the data set does not describe them.
        dim_out: Width of the output.

    Raises:
        ConfigError: The task is not one of whole graphs.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        if level() != "graph":
            raise ConfigError(
                "model.type",
                "bag_of_features",
                f"a network with predictions for {'pairs of nodes' if level() == 'link' else 'nodes'}",
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
        ConfigError: The features are not floats, or the task is one of pairs of nodes.
    """

    def __init__(self, dim_in: int, dim_out: int) -> None:
        if level() == "link":
            raise ConfigError("model.type", "point_net", "a network with predictions for pairs of nodes")
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


def node_width(options: Mapping[str, Any]) -> int:
    """Return the channels of the encoded features of a node, without encodings that are concatenated with them.

    Args:
        options: Options of a network.

    Raises:
        ConfigError: There are none left, or heads of the encoding do not fit.

    Example:
        >>> node_width({"channels": 16, "pe_options": {"channels": 4}})
        12
    """
    try:
        return int(options["channels"]) - read_options(options.get("pe_options"), options["channels"]).width
    except ConfigError as error:
        raise _as_setting(error) from None


def _as_setting(error: ConfigError) -> ConfigError:
    """Return an error about an option of encodings by the name of its setting."""
    return error.renamed(f"pe.{error.key.removeprefix(_PE_OPTIONS)}")


def _features(
    dim_in: int, channels: int, node_channels: int | None = None
) -> tuple[Features, Features | None, dict[str, nn.Module | None]]:
    """Return the widths of node and edge features, as the models take them, and the registered encoders."""
    node_encoder = _registered_encoder("node", register.node_encoder_dict, node_channels or channels)
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
    """Return the options of `pyg_samsa.nn.SAMSA.from_options` that the configuration holds.

    Raises:
        ConfigError: A setting of other networks is set, or see `samsa_options`.
    """
    for key, fixed in FIXED_IN_SAMSA.items():
        if (value := value_of(key, cfg)) != fixed:
            hint = "This setting is for the networks gcn, gcnii, gine, gatedgcn, mlp, gps, graphormer and san."
            raise ConfigError(key, value, f"{fixed!r} with this network", hint=hint)
    return samsa_options()


def samsa_options() -> dict[str, Any]:
    """Return the same for a network that uses other settings beside those of ``samsa.*``, such as GraphGym's ``gnn``.

    Raises:
        ConfigError: ``gt.*`` and ``samsa.*`` contradict each other, there is no such readout, or a setting has no
            effect with this attention operator.
    """
    values = values_for(SAMSAOptions, cfg)
    names = {key_of(SAMSAOptions, name): name for name in values}
    for other, key in ALIASES.items():
        value, name = value_of(other, cfg), names[key]
        if value in (UNSET_INT, UNSET_FLOAT) and SETTINGS[other].default == value:
            continue
        if values[name] not in (SETTINGS[key].default, value):
            raise ConfigError(other, value, f"the same as {key} ({values[name]})", hint="Set only one of the two.")
        values[name] = value
    if cfg.gt.layer_type != "samsa":
        for name, value in parse_layer_type(cfg.gt.layer_type).items():
            default = SETTINGS[key_of(SAMSAOptions, name)].default
            if values[name] not in (default, value):
                key = key_of(SAMSAOptions, name)
                expected = f"one that agrees with {key} {values[name]}"
                hint = f"Set gt.layer_type alone, or {key} alone."
                raise ConfigError("gt.layer_type", cfg.gt.layer_type, expected, hint=hint)
            values[name] = value
    attention, tokenizer = values["attention"], values["tokenizer"]
    values["attention_options"] = _options_of_part("samsa.attention", OPERATORS, attention)
    values["tokenizer_options"] = _options_of_part("samsa.tokenizer", TOKENIZERS, tokenizer)
    takes = operator_options(attention)
    if FROM_DATA in takes:
        # A place in a sequence is one number; other data have positions.
        dims = 1 if cfg.samsa.positions == "sinusoidal" and not cfg.share.num_dims else cfg.share.num_dims
        values["attention_options"] = {**(values["attention_options"] or {}), FROM_DATA: dims}
    values |= {**encoding_options(), "pe_kind": cfg.pe.kind if cfg.pe.kind != "none" else None}
    pooling = cfg.model.graph_pooling
    if pooling in POOLS:
        values["pool"] = pooling
    elif pooling != "add":
        raise ConfigError("model.graph_pooling", pooling, POOLS, hint="Or remove this setting and set samsa.pool.")
    refused = [name for name in OPERATOR_ARGUMENTS if values[name] is not None and name not in takes]
    if refused:
        keys = [key_of(SAMSAOptions, name) for name in refused]
        _refuse(keys[0], values[refused[0]], None, f"samsa.attention is {attention!r}", keys)
    return values


def encoding_options() -> dict[str, Any]:
    """Return the width of the positional encodings of ``pe.*``, which of them are eigenvectors, and what they do.

    Raises:
        ConfigError: Their distances are to weight messages, and there are no encodings, or no such messages.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> encoding_options()
        {'pe_channels': 0, 'flip_signs': False, 'pe_role': 'add'}
    """
    widths, role = encoding_widths(cfg.pe.kind, cfg.pe.dim, cfg.pe.steps), cfg.pe.role
    eigenvectors: bool | int = not EIGENVECTORS.keys().isdisjoint(widths)
    if len(widths) > 1:
        eigenvectors = cfg.pe.dim
    options = values_for(EncodingOptions, cfg)
    if SPECTRUM in widths:
        if role != "add":
            hint = "Distances are those of eigenvectors without eigenvalues: pe.kind lap1."
            raise ConfigError("pe.role", role, f"'add' with pe.kind {cfg.pe.kind}", hint=hint)
        options["model"] = options["model"] or "deepset"
        eigenvectors = cfg.pe.dim
    _check_encoder_options(options, widths, role)
    if role != "add":
        if not widths:
            raise ConfigError("pe.role", role, "'add' without encodings", hint="Set pe.kind lap, or leave out pe.role.")
        if not weights_messages():
            raise refuse_role()
        # Their signs need not be flipped: SAMSA is told how many there are, to compute both kinds itself.
        eigenvectors = eigenvectors if cfg.model.type == "samsa" and len(widths) > 1 else False
    found = {"pe_channels": sum(widths.values()), "flip_signs": eigenvectors, "pe_role": role}
    given = without_defaults(options)
    return found | ({"pe_options": given} if given else {})


def unread_encoder_options() -> list[str]:
    """Return the settings ``pe.*`` of encoders that have no effect with the kind of encodings and their model.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.pe.kind, cfg.pe.model = "rwse", "mlp"
        >>> "pe.layers" in unread_encoder_options(), "pe.heads" in unread_encoder_options()
        (False, True)
        >>> set_cfg(cfg)
    """
    kind, model = cfg.pe.kind, cfg.pe.model
    names = tuple(EncodingOptions.__dataclass_fields__)
    if kind != "none" and cfg.pe.role == "add":
        if kind in WITH_SPECTRUM:
            names = unread("deepset" if model is None else model, cfg.pe.walk_model)
            names += () if "+" in kind else ("walk_channels", "walk_model", "walk_layers", "walk_norm")
        else:
            names = unread(model)
        allowed = SPECTRAL_MODELS if kind in WITH_SPECTRUM else COLUMN_MODELS
        names += () if model is None or model in allowed else ("model",)
    return list(dict.fromkeys(key_of(EncodingOptions, name) for name in names))


def _check_encoder_options(options: dict[str, Any], widths: Mapping[str, int], role: str) -> None:
    """Refuse settings of encoders without effect, by the name of the setting."""
    known = {key_of(EncodingOptions, name): value for name, value in without_defaults(options).items()}
    models = SPECTRAL_MODELS if SPECTRUM in widths else COLUMN_MODELS
    if widths and role == "add" and options["model"] not in (None, *models):
        raise ConfigError("pe.model", options["model"], f"{' or '.join(models)} with pe.kind {cfg.pe.kind}")
    for key in unread_encoder_options():
        if key in known:
            chosen = f"pe.kind {cfg.pe.kind}, pe.role {role}, pe.model {cfg.pe.model or 'empty'}"
            raise ConfigError(key, known[key], f"nothing, because it has no effect with {chosen}")
    try:
        EncodingOptions(**options)
        if len(widths) > 1 and SPECTRUM in widths and options["channels"] and not options["walk_channels"]:
            raise ConfigError("walk_channels", None, "a number above 0, because pe.channels is one")
    except ConfigError as error:
        raise _as_setting(error) from None


def weights_messages() -> bool:
    """Say whether the network has messages that distances of positional encodings can weight (``pe.role``).

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "gps"
        >>> weights_messages()
        True
        >>> set_cfg(cfg)
    """
    return _message_passing()[2] in GATED_BY_DISTANCE


def _message_passing() -> tuple[str, Any, str | None]:
    """Return the setting that chooses how messages are passed, its value, and the name of the local layer."""
    network, layer = cfg.model.type, cfg.gt.layer_type
    if network == "gps":
        return "gt.layer_type", layer, GPS_LAYERS.get(layer, ("gine",))[0]
    if network != "samsa":
        return "model.type", network, network
    if layer == "samsa":
        return "samsa.local", cfg.samsa.local or "null", cfg.samsa.local
    return "gt.layer_type", layer, parse_layer_type(layer)["local"]


def refuse_role() -> ConfigError:
    """Return the error about encodings that are to weight messages which cannot be weighted.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type, cfg.pe.role = "san", "gate"
        >>> print(refuse_role())
        pe.role: got 'gate', expected 'add' with model.type san; only messages of gine and gatedgcn can be weighted
        >>> set_cfg(cfg)
    """
    key, value, _ = _message_passing()
    others = {
        "samsa.local": "samsa.local gine or gatedgcn",
        "gt.layer_type": "gt.layer_type GINE+... or CustomGatedGCN+...",
    }
    other = others.get(key, "model.type gine, gatedgcn, gps, or samsa with samsa.local gine")
    expected = f"'add' with {key} {value}; only messages of gine and gatedgcn can be weighted"
    return ConfigError("pe.role", cfg.pe.role, expected, hint=f"Leave out pe.role, or use {other}.")


def parse_layer_type(text: str) -> dict[str, str | None]:
    """Read GraphGPS's name of a layer, such as ``GINE+SAMSA``, as ``local`` and ``attention`` of `SAMSAOptions`.

    Args:
        text: The name.

    Raises:
        ConfigError: There is no such layer.

    Example:
        >>> parse_layer_type("CustomGatedGCN+SAMSA")
        {'local': 'gatedgcn', 'attention': 'samsa'}
    """
    operators = {name.upper(): name for name in OPERATORS}
    local, plus, operator = text.partition("+")
    if not plus or local not in LOCAL_OF_GRAPHGPS or operator.upper() not in operators:
        raise refuse_layer_type(text)
    return {"local": LOCAL_OF_GRAPHGPS[local], "attention": operators[operator.upper()]}


def refuse_layer_type(text: str) -> ConfigError:
    """Return the error about a layer that the network does not have; its hint names the network that has it.

    Args:
        text: The name of the layer, as GraphGPS has it.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "san"
        >>> error = refuse_layer_type("SAN2Layer")
        >>> print(error.key, error.expected, "--", error.hint)
        gt.layer_type no layer with the network san -- Use model.type san2 without gt.layer_type.
        >>> set_cfg(cfg)
    """
    known: list[str] = []
    network = cfg.model.type
    attention = text.partition("+")[2]
    if network in LAYERS and network != "gps":
        expected = f"no layer with the network {network}"
    else:
        network = network if network == "gps" else "samsa"
        ours = [f"{local}+{operator.upper()}" for local in LOCAL_OF_GRAPHGPS for operator in OPERATORS]
        known = list(GPS_LAYERS) if network == "gps" else ours
        parts = [dict.fromkeys(name.split("+")[place] for name in known) for place in (0, 1)]
        expected = f"one of {' + '.join(', '.join(names) for names in parts)}, with the network {network}"
    if attention in REFUSED_ATTENTION:
        hint = f"{attention}: {REFUSED_ATTENTION[attention]}."
    elif text in LAYERS_OF_SAN:
        hint = f"Use model.type {LAYERS_OF_SAN[text]} without gt.layer_type."
    elif text in GPS_LAYERS:
        hint = "Layers of the network gps, such as GINE+Transformer, need model.type gps."
    elif attention.upper() in map(str.upper, OPERATORS) and network != "samsa":
        hint = f"Layers with {attention} are those of the network samsa: use model.type samsa, or leave out model.type."
    else:
        hint = suggest(text, known)
    return ConfigError("gt.layer_type", text, expected, hint=hint)


def asks_for_masked() -> bool:
    """Say whether the settings ask for training without labels.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> asks_for_masked()
        False
    """
    return MASKED in (cfg.dataset.task_type, cfg.dataset.get("csv_task"))


def edges_are_tokens() -> bool:
    """Say whether the network makes tokens of edges, so that a graph has N + E tokens instead of N."""
    if cfg.model.type != "samsa":
        return True
    return TOKENIZERS[cfg.samsa.tokenizer].edges_are_tokens if cfg.samsa.tokenizer else cfg.samsa.bridge


OF_GRAPH_FEATURES = ("graph_levels", "graph_hidden", "graph_dropout")
OF_READOUT = ("pool", "interaction", "context", "head_norm", *OF_GRAPH_FEATURES)
WITHOUT_GRAPH_FEATURES = ("bag_of_features", "point_net")
"""Networks that do not take features of whole graphs."""


@contextmanager
def named_as_settings(attention: str) -> Iterator[None]:
    """Let an error about an argument name the setting that feeds it.

    Args:
        attention: Name of the attention operator, whose own arguments are settings of its group.
    """
    try:
        yield
    except ConfigError as error:
        if error.key.startswith(_PE_OPTIONS):
            raise _as_setting(error) from None
        own, shared = part_settings(OPERATORS, attention), values_for(SAMSAOptions, cfg)
        if error.key in own:
            raise error.renamed(own[error.key]) from None
        if error.key in shared:
            raise error.renamed(key_of(SAMSAOptions, error.key)) from None
        raise


def _options_of_part(key: str, parts: Mapping[str, Any], chosen: str | None) -> dict[str, Any] | None:
    """Return the settings of an operator or a tokenizer that differ from their defaults, or None.

    Args:
        key: The setting that names the part.
        parts: The parts of this kind.
        chosen: The one that is used, if any.

    Raises:
        ConfigError: A setting of another one is set.
    """
    options: dict[str, Any] = {}
    for part in parts:
        for name, own in part_settings(parts, part).items():
            value, default = value_of(own, cfg), SETTINGS[own].default
            if value == default:
                continue
            if part != chosen:
                _refuse(own, value, default, f"{key} is {chosen!r}")
            options[name] = value
    return options or None


def _refuse(key: str, value: Any, default: Any, reason: str, keys: Sequence[str] = ()) -> NoReturn:
    """Raise an error about a setting without effect; ``keys`` are all settings of which the same holds."""
    text = "null" if default is None else str(default)
    hint = f"Set {' '.join(f'{each} {text}' for each in keys or (key,))}."
    raise ConfigError(key, value, f"{text}, because {reason}, which does not use it", hint=hint)


def own_head() -> Callable[..., nn.Module] | None:
    """Return the head ``gnn.head`` of other code, made as ``head(dim_in=..., dim_out=...)``; None for one of ours.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> own_head() is None
        True
    """
    name = cfg.gnn.head
    if name in LEVEL_OF_HEAD or name in ("default", cfg.dataset.task):
        return None
    head = register.head_dict.get(name)
    return None if head is None or getattr(head, "__module__", "").startswith("torch_geometric.") else head


SAVED = {"model.type": "samsa", "gnn.head": "default"}
"""Settings of `unsaved_part` -> their values in a network that is saved."""


def unsaved_part() -> tuple[str, Any] | None:
    """Return the setting because of which the network is not saved for molecules, and its value; None if it is saved.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "gcn"
        >>> unsaved_part()
        ('model.type', 'gcn')
        >>> set_cfg(cfg)
    """
    if cfg.model.type != "samsa":
        return "model.type", cfg.model.type
    if own_head() is not None:
        return "gnn.head", cfg.gnn.head
    for kind in ("node", "edge"):
        name = cfg.dataset[f"{kind}_encoder_name"]
        if cfg.dataset[f"{kind}_encoder"] and name not in BUILT_IN_ENCODERS:
            return f"dataset.{kind}_encoder_name", name
    return None


def level() -> str:
    """Return what is predicted for: the head that is asked for, else what the data set says, else ``dataset.task``.

    A head of other code predicts for what the data set says.

    Raises:
        ConfigError: The network has no such head.
    """
    head = cfg.gnn.head
    follows = head == "default" or own_head() is not None
    if (follows or head == cfg.dataset.task) and cfg.share.level is not None:
        head = cfg.share.level
    elif follows:
        head = cfg.dataset.task
    if head not in LEVEL_OF_HEAD:
        raise ConfigError("gnn.head", head, LEVEL_OF_HEAD)
    return LEVEL_OF_HEAD[head]


def _registered_encoder(kind: str, registry: dict[str, Any], channels: int) -> nn.Module | None:
    """Return the registered encoder that the config names; None if nn.SAMSA encodes the features itself."""
    if not cfg.dataset[f"{kind}_encoder"]:
        return None
    key = f"dataset.{kind}_encoder_name"
    name = cfg.dataset[f"{kind}_encoder_name"]
    described = cfg.share.in_channels if kind == "node" else cfg.share.edge_channels
    if name in BUILT_IN_ENCODERS and described is not None:
        categorical = not isinstance(described, int)
        if (name in _CATEGORICAL) != categorical:
            raise ConfigError(
                key,
                name,
                f"an encoder for {'categorical' if categorical else 'float'} features",
                hint=f"Remove dataset.{kind}_encoder from the config.",
            )
        _check_num_types(kind, name, described)
        return None
    check_encoder(kind, registry)
    return registry[name](channels)


def _check_num_types(kind: str, name: str, described: Any) -> None:
    """Refuse a number of types that is below that of the data set."""
    key, types = f"{kind}_encoder_num_types", cfg.dataset[f"{kind}_encoder_num_types"]
    if name.startswith("TypeDict") and types and types < described[0]:
        raise ConfigError(f"dataset.{key}", types, f"at least {described[0]}, the number of the data set, or 0")


def check_encoder(kind: str, registry: Collection[str]) -> None:
    """Raise a `ConfigError` if no encoder has the name that the config gives.

    Args:
        kind: ``"node"`` or ``"edge"``.
        registry: The registered names.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> check_encoder("node", register.node_encoder_dict)
    """
    name = cfg.dataset[f"{kind}_encoder_name"]
    if name not in registry:
        raise ConfigError(f"dataset.{kind}_encoder_name", name, sorted(registry))


register_once(register.network_dict, "bag_of_features", BagOfFeaturesNetwork)
register_once(register.network_dict, "point_net", PointNetNetwork)
