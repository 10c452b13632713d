"""The networks ``gcn``, ``gcnii``, ``gine``, ``gatedgcn``, ``mlp``, ``gps``, ``graphormer``, ``san`` and ``san2``."""

from __future__ import annotations

from typing import Any

from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.encoding_settings import encoding_options, node_width
from pyg_samsa.graphgym.feature_encoders import read_features
from pyg_samsa.graphgym.graphormer import make_structure, uses_structure
from pyg_samsa.graphgym.layer_type import refuse_layer_type
from pyg_samsa.graphgym.own_head import level
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.settings import GPS_LAYERS, LAYERS_OF_HEAD, NORM_HEAD, SHRINKING_HEAD, UNSET_FLOAT
from pyg_samsa.graphgym.share import graph_features
from pyg_samsa.nn.encoding.joined_encoder import without_computed
from pyg_samsa.nn.models.message_passing import ACTIVATIONS, GNN, MOST, POOLS
from pyg_samsa.options import check_integer, check_memory, check_probability
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.scaling import fit_graph_features

_SAN = ("san", "san2")
DEFAULT_GPS_LAYER = "GINE+Transformer"
"""Layers of ``gps`` where ``gt.layer_type`` does not say."""
_ACTIVATIONS = {**dict.fromkeys(ACTIVATIONS), "swish": "silu"}


class GNNNetwork(BatchNetwork):
    """Reads ``cfg.gnn`` (for ``gps`` also ``cfg.gt``) and ``cfg.pe`` and holds a plain ``nn.GNN`` as ``model``.

    GraphGym's names keep their meaning: ``gnn.layers_mp``, ``gnn.dim_inner``, ``gnn.dropout``, ``gnn.act``,
    ``gnn.batchnorm``, ``gnn.residual``, ``gnn.layers_post_mp`` (0 and 1 are a linear head) and ``model.graph_pooling``;
    ``gnn.head san_graph`` is a head of three layers that halve the channels, ``ogb_code_graph`` of one layer, and
    ``graphormer_graph`` of a layer norm before the pooling and one layer.
    ``gps`` takes GraphGPS's ``gt.layers``, ``gt.dim_hidden`` and ``gt.dropout`` where they are set, ``gt.layer_type``
    (else GINE and full attention), ``gt.n_heads`` (else 4), ``gt.attn_dropout`` and ``gt.layer_norm``; ``san`` and
    ``san2`` take the same without ``gt.layer_type``, and ``gt.full_graph`` and ``gt.gamma``. ``graphormer``
    takes ``graphormer.*``, which are also the encodings of ``gps`` with ``BiasedTransformer``.

    Args:
        dim_in: Width of float node features, if the data set does not describe them.
        dim_out: Width of the output.

    Raises:
        ConfigError: Settings contradict each other, or the network cannot do the task.
    """

    layer = "gcn"

    def __init__(self, dim_in: int, dim_out: int) -> None:
        if cfg.share.pairs:
            raise ConfigError("model.type", self.layer, "a network for pairs of documents: samsa")
        options = gnn_options(self.layer)
        options["graph_channels"] = cfg.share.graph_channels
        if level() != "graph":
            del options["pool"]
        if level() == "link":
            options["edge_decoding"] = cfg.model.edge_decoding
        if uses_structure():
            options["structure"] = make_structure(node_width(options), options["heads"])
        in_channels, edge_channels, encoders = read_features(dim_in, options["channels"], node_width(options))
        super().__init__(
            GNN(in_channels, dim_out, edge_channels=edge_channels, layer=self.layer, level=level(), **options),
            **encoders,
        )
        fit_graph_features(self, *graph_features())


class GCNNetwork(GNNNetwork):
    """``gcn``: see `GNNNetwork`."""

    layer = "gcn"


class GCNIINetwork(GNNNetwork):
    """``gcnii``: see `GNNNetwork`."""

    layer = "gcnii"


class NodeWiseNetwork(GNNNetwork):
    """``mlp``: see `GNNNetwork`."""

    layer = "mlp"


class GINENetwork(GNNNetwork):
    """``gine``: see `GNNNetwork`."""

    layer = "gine"


class GatedGCNNetwork(GNNNetwork):
    """``gatedgcn``: see `GNNNetwork`."""

    layer = "gatedgcn"


class GPSNetwork(GNNNetwork):
    """``gps``: see `GNNNetwork`."""

    layer = "gps"


class GraphormerNetwork(GNNNetwork):
    """``graphormer``: see `GNNNetwork`."""

    layer = "graphormer"


class SANNetwork(GNNNetwork):
    """``san``: see `GNNNetwork`."""

    layer = "san"


class SAN2Network(GNNNetwork):
    """``san2``: see `GNNNetwork`."""

    layer = "san2"


def gnn_options(layer: str) -> dict[str, Any]:
    """Return the keyword arguments of :class:`pyg_samsa.nn.GNN` that the configuration holds.

    Args:
        layer: As in :class:`pyg_samsa.nn.GNN`.

    Raises:
        ConfigError: Settings contradict each other, or there is no such activation or readout.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> gnn_options("gcn")["pool"], gnn_options("gps")["attention"]
        ('add', 'multihead')
    """
    gnn = cfg.gnn
    if gnn.act not in _ACTIVATIONS:
        raise ConfigError("gnn.act", gnn.act, _ACTIVATIONS)
    if cfg.model.graph_pooling not in POOLS:
        raise ConfigError("model.graph_pooling", cfg.model.graph_pooling, POOLS)
    options = {
        "channels": gnn.dim_inner,
        "num_layers": gnn.layers_mp,
        "dropout": gnn.dropout,
        "activation": _ACTIVATIONS[gnn.act] or gnn.act,
        "norm": "batch" if gnn.batchnorm else "none",
        "residual": gnn.residual,
        "update_edges": gnn.update_edges,
        "head_layers": LAYERS_OF_HEAD.get(gnn.head, max(1, gnn.layers_post_mp)),
        "head_shrinks": gnn.head == SHRINKING_HEAD,
        "final_norm": gnn.head == NORM_HEAD,
        "pool": cfg.model.graph_pooling,
        **encoding_options(),
    }
    if "pe_options" in options:
        options["pe_options"] = without_computed(options["pe_options"])  # data sets compute them
    if options["pool"] == "graph_token" and not (uses_structure() and cfg.graphormer.use_graph_token):
        expected = "a pooling of nodes, or graphormer.use_graph_token True with a network that has this token"
        raise ConfigError("model.graph_pooling", options["pool"], expected)
    if layer == "gps":
        options |= _gps_options()
    else:
        options |= _options_without_layer_type(layer)
    if layer == "graphormer":
        del options["norm"]
    if gnn.update_edges and options.get("local", layer) != "gatedgcn":
        hint = "Set it with model.type gatedgcn, or with model.type gps and gt.layer_type CustomGatedGCN+Transformer."
        raise ConfigError("gnn.update_edges", True, "False with layers that are not gated", hint=hint)
    _check_sizes(layer, options)
    node_width(options)
    return options


def _check_sizes(layer: str, options: dict[str, Any]) -> None:
    """Refuse sizes that are not allowed, and a network that no machine holds, by the setting that is extraordinary."""
    channels, layers = options["channels"], options["num_layers"]
    of_gt = cfg.gt if layer in ("gps", *_SAN) else {"dim_hidden": 0, "layers": 0}
    width = "gt.dim_hidden" if of_gt["dim_hidden"] else "gnn.dim_inner"
    depth = "gt.layers" if of_gt["layers"] else "gnn.layers_mp"
    if layer == "graphormer":
        width, depth = "graphormer.embed_dim", "graphormer.num_layers"
    check_memory(*max((width, channels), (depth, layers), key=lambda pair: pair[1]), layers * channels**2)
    check_integer(width, channels, high=MOST["channels"])
    check_integer(depth, layers, high=MOST["num_layers"])
    check_integer("gnn.layers_post_mp", options["head_layers"], high=MOST["head_layers"])
    if layer != "graphormer":
        of_gnn = layer not in ("gps", *_SAN) or cfg.gt.dropout == UNSET_FLOAT
        check_probability("gnn.dropout" if of_gnn else "gt.dropout", options["dropout"])


def _gps_options() -> dict[str, Any]:
    if not cfg.gnn.residual:
        raise ConfigError("gnn.residual", False, "True with the network gps, whose blocks are residual")
    gt = cfg.gt
    layers = gt.layer_type if gt.layer_type != "samsa" else DEFAULT_GPS_LAYER
    if layers not in GPS_LAYERS:
        raise refuse_layer_type(layers)
    local, attention = GPS_LAYERS[layers]
    if attention == "biased" and cfg.graphormer.node_degrees_only:
        hint = f"Set it to False, or set gt.layer_type {layers.replace('BiasedTransformer', 'Transformer')}."
        expected = f"False with gt.layer_type {layers}, which reads biases"
        raise ConfigError("graphormer.node_degrees_only", True, expected, hint=hint)
    parts = {"local": local, "attention": attention, "attn_dropout": max(0.0, gt.attn_dropout)}
    return {**parts, **_sizes_of_gt()}


def _sizes_of_gt() -> dict[str, Any]:
    """Return the options that ``gps`` and ``san`` share."""
    gnn, gt = cfg.gnn, cfg.gt
    if gt.layer_norm and gt.batch_norm:
        raise ConfigError("gt.layer_norm", True, "False where gt.batch_norm is set")
    channels, heads = gt.dim_hidden or gnn.dim_inner, gt.n_heads or 4
    if channels % heads:
        raise ConfigError("gt.n_heads", heads, f"a divisor of {channels} channels (gt.dim_hidden or gnn.dim_inner)")
    return {
        "channels": channels,
        "num_layers": gt.layers or gnn.layers_mp,
        "heads": heads,
        "dropout": gnn.dropout if gt.dropout == UNSET_FLOAT else gt.dropout,
        "norm": "layer" if gt.layer_norm else "batch" if gt.batch_norm or gnn.batchnorm else "none",
    }


def _san_options(layer: str) -> dict[str, Any]:
    gt = cfg.gt
    if gt.attn_dropout > 0:
        raise ConfigError("gt.attn_dropout", gt.attn_dropout, f"0 with the network {layer}")
    weight = {"gamma": gt.gamma} if layer == "san" and gt.full_graph else {}
    return {**_sizes_of_gt(), "full_graph": gt.full_graph, **weight}


def _graphormer_options() -> dict[str, Any]:
    own = cfg.graphormer
    if own.embed_dim % own.num_heads:
        raise ConfigError("graphormer.num_heads", own.num_heads, f"a divisor of graphormer.embed_dim ({own.embed_dim})")
    return {
        "channels": own.embed_dim,
        "num_layers": own.num_layers,
        "heads": own.num_heads,
        "dropout": own.dropout,
        "attn_dropout": own.attention_dropout,
        "mlp_dropout": own.mlp_dropout,
        "residual": True,
    }


def _options_without_layer_type(layer: str) -> dict[str, Any]:
    """Return the options of the other networks; refuse a layer of GPS."""
    if cfg.gt.layer_type != "samsa":
        raise refuse_layer_type(cfg.gt.layer_type)
    if layer in _SAN:
        return _san_options(layer)
    return _graphormer_options() if layer == "graphormer" else {}


register_once(register.network_dict, "gcn", GCNNetwork)
register_once(register.network_dict, "gcnii", GCNIINetwork)
register_once(register.network_dict, "mlp", NodeWiseNetwork)
register_once(register.network_dict, "gine", GINENetwork)
register_once(register.network_dict, "gatedgcn", GatedGCNNetwork)
register_once(register.network_dict, "gps", GPSNetwork)
register_once(register.network_dict, "graphormer", GraphormerNetwork)
register_once(register.network_dict, "san", SANNetwork)
register_once(register.network_dict, "san2", SAN2Network)
