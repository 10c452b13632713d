"""Settings that have no effect in a run, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.graphormer import reads_paths, uses_structure
from pyg_samsa.graphgym.members import chosen_members, trains_network
from pyg_samsa.graphgym.network_options import OF_GRAPH_FEATURES, OF_READOUT
from pyg_samsa.graphgym.own_head import level, own_head
from pyg_samsa.graphgym.settings import (
    LAYERS_OF_HEAD,
    NO_EFFECT,
    UNSET_FLOAT,
    key_of,
    value_of,
    values_for,
)
from pyg_samsa.graphgym.unsaved import unsaved_part
from pyg_samsa.nn import OPERATORS, TOKENIZERS
from pyg_samsa.nn.encoding.graphormer_encoding import GraphormerEncoding
from pyg_samsa.nn.models.message_passing import LAYERS
from pyg_samsa.predict.predictor_options import MEMBER_KINDS

if TYPE_CHECKING:
    from pyg_samsa.graphgym.config import LoadedConfig

_SAN = ("san", "san2")
_WITH_GT = ("gps", *_SAN)
_ALL = ("gnn.head", "gt.residual")
_HEAD = ("gnn.act", "gnn.layers_post_mp", "model.graph_pooling", "model.edge_decoding")
_LAYERS = ("dim_inner", "layers_mp", "dropout", "batchnorm", "residual", "update_edges")
_GNN = (*_HEAD, *(f"gnn.{name}" for name in _LAYERS))
READ_BY: dict[str, tuple[str, ...]] = {
    "samsa": (*_ALL, "samsa.", "gt.", "gnn.residual", "model.graph_pooling", "model.edge_decoding"),
    "bag_of_features": (*_ALL, "samsa.channels", "samsa.dropout", "gt.dim_hidden", "gt.dropout"),
    "point_net": (*_ALL, "samsa.dropout", "point_net."),
    **dict.fromkeys(LAYERS, (*_ALL, *_GNN)),
    **dict.fromkeys(_WITH_GT, (*_ALL, *_GNN, "gt.")),
    "graphormer": (*_ALL, *_HEAD, "graphormer."),
}
"""Settings that describe a network, or prefixes of them, by the network of this package that reads them.

`why_without_effect` knows the settings of which one decides that another is not read."""
_SIZES = ("layers", "channels", "heads", "dropout")
_OF_GNN = dict(zip(_SIZES, ("gnn.layers_mp", "gnn.dim_inner", "", "gnn.dropout"), strict=True))
_OF_GT = dict(zip(_SIZES, ("gt.layers", "gt.dim_hidden", "gt.n_heads", "gt.dropout"), strict=True))
_OF_GRAPHORMER = ("num_layers", "embed_dim", "num_heads", "dropout")
SIZES: dict[str, dict[str, str]] = {
    "samsa": {name: f"samsa.{name}" for name in _SIZES},
    "bag_of_features": {name: f"samsa.{name}" for name in ("channels", "dropout")},
    "point_net": {"channels": "point_net.width", "dropout": "samsa.dropout"},
    **dict.fromkeys(LAYERS, _OF_GNN),
    **dict.fromkeys(_WITH_GT, _OF_GT),
    "graphormer": {name: f"graphormer.{ours}" for name, ours in zip(_SIZES, _OF_GRAPHORMER, strict=True)},
}
"""Network -> the settings of its layers, channels, heads and dropout."""
_NAMES = {
    **dict.fromkeys(("layers", "layers_mp", "num_layers"), "layers"),
    **dict.fromkeys(("channels", "dim_inner", "dim_hidden", "embed_dim"), "channels"),
    **dict.fromkeys(("heads", "n_heads", "num_heads"), "heads"),
    "dropout": "dropout",
}
"""Name of a setting -> the name that it has in ``samsa.*``."""
_NOT_TRAINED = ("accelerator", "devices", "num_workers", "tensorboard_each_run", "dataset.descriptors")
_OF_TRAINING = ("optim.", "train.", "model.", "pe.", "mask.", "wandb.", "dataset.node_enc", "dataset.edge_enc")
_MODELS = {"trees": ("boosting.", "predictor.tree_inputs"), "gp": ("gaussian_process.", "predictor.gp_inputs")}


def why_without_effect(key: str) -> str | None:
    """Return why a setting has no effect with the others of the present ``cfg``; None if it has, or is not known.

    A setting whose other values are refused has an effect.

    Args:
        key: Dotted name.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "san"
        >>> why_without_effect("samsa.channels")
        'the network san reads gt.dim_hidden'
        >>> set_cfg(cfg)
    """
    if (reason := why_never(key)) is not None:
        return reason
    if key.startswith("fingerprint."):
        return "only `pyg-samsa baseline fingerprint` reads it"
    reason = _unfitted(key)
    return reason if reason is not None or not trains_network() else _unread(key)


def why_never(key: str) -> str | None:
    """Return why a setting has no effect in any run; None for others.

    Args:
        key: Dotted name.

    Example:
        >>> why_never("gpu_mem"), why_never("seed")
        ('this runner does not read it', None)
    """
    return "this runner does not read it" if key in NO_EFFECT else None


def _unfitted(key: str) -> str | None:
    """Return why no model that the run fits reads a setting."""
    members = chosen_members()
    kinds = MEMBER_KINDS[members] if members else ("network",)
    fits = f"predictor.members is {members}" if members else "there is no predictor"
    for kind, read in _MODELS.items():
        if key.startswith(read) and kind not in kinds:
            return fits
    if key == "predictor.refit":
        return _not_refitted(kinds, fits)
    if "network" in kinds or key == "train.auto_resume":
        return None
    of_network = key.partition(".")[0] in _groups() or key.startswith(_OF_TRAINING) or key in _NOT_TRAINED
    return f"no network is trained ({fits})" if of_network else None


def _not_refitted(kinds: tuple[str, ...], fits: str) -> str | None:
    """Return why nothing is fitted again."""
    if cfg.predictor.folds:
        return "the models of predictor.folds are not fitted again"
    if kinds != ("network",):
        return None
    unsaved = unsaved_part()
    if unsaved is not None:
        return f"the network is not saved (because of {unsaved[0]} {unsaved[1]})"
    return None if chosen_members() else fits


def _parts() -> set[str]:
    """Return the groups of settings that only samsa reads."""
    return {"samsa", *OPERATORS, *TOKENIZERS}


def _groups() -> set[str]:
    """Return the groups of settings that describe networks."""
    return {"gnn", "gt", "graphormer", "point_net", *_parts()}


def _unread(key: str) -> str | None:
    """Return why the network does not read a setting."""
    network, (group, _, name) = cfg.model.type, key.partition(".")
    if group == "pe":
        return _unread_encoding(name)
    if group == "dataset" and name.startswith(("node_encoder_", "edge_encoder_")):
        return _unread_encoder(name)
    if group not in _groups() and key not in ("model.graph_pooling", "model.edge_decoding"):
        return None
    if network == "gnn" and group not in ("gnn", "model") and _is_of_pyg(cfg.gnn.layer_type):
        return "GraphGym's network gnn does not read it"
    if network not in READ_BY:
        return None  # a network of other code, such as GraphGym's own with the layer samsaconv
    if key.startswith("gnn.") and own_head() is not None:
        return None
    if network == "samsa" and group in _parts():
        return _unread_part(key)
    if not key.startswith(READ_BY[network]) and not _is_encoding_of_gps(key):
        return _not_of(network, key)
    return _decided(network, key)


def _not_of(network: str, key: str) -> str:
    """Return that a network does not read a setting, and which one it reads in its place."""
    name = _NAMES.get(key.rpartition(".")[2], "")
    instead = SIZES[network].get(name, "")
    return f"the network {network} reads {instead}" if instead else f"the network {network} does not read it"


def _is_of_pyg(layer: str) -> bool:
    return getattr(register.layer_dict.get(layer), "__module__", "").startswith("torch_geometric.")


def _is_encoding_of_gps(key: str) -> bool:
    own = (key_of(GraphormerEncoding, name) for name in values_for(GraphormerEncoding, cfg))
    return cfg.model.type == "gps" and uses_structure() and key in own


def _unread_encoding(name: str) -> str | None:
    """Return why a setting of positional encodings is not read; options of their encoders are refused instead."""
    if name == "dim" and cfg.pe.kind == "none":
        return "pe.kind is none"
    return f"pe.kind is {cfg.pe.kind}, without +" if name == "steps" and "+" not in cfg.pe.kind else None


def _unread_encoder(name: str) -> str | None:
    kind, _, option = name.split("_", 2)
    if not cfg.dataset[f"{kind}_encoder"]:
        return f"dataset.{kind}_encoder is False"
    chosen = cfg.dataset[f"{kind}_encoder_name"]
    if option == "num_types" and not str(chosen).startswith("TypeDict"):
        return f"dataset.{kind}_encoder_name is {chosen}"
    return None


def _decided(network: str, key: str) -> str | None:
    """Return which other setting, or which part of the network, decides what a setting would."""
    gt, gnn, head = cfg.gt, cfg.gnn, cfg.gnn.head
    value, layers = value_of(key, cfg), LAYERS_OF_HEAD.get(head, max(1, gnn.layers_post_mp))
    predicts = level() if key in ("model.graph_pooling", "model.edge_decoding") else ""
    unused: dict[str, tuple[bool, str]] = {
        "gt.full_graph": (network not in _SAN, f"the network {network} does not read it"),
        "gt.gamma": (
            network != "san" or not gt.full_graph,
            "gt.full_graph is False" if network == "san" else f"the network {network} does not read it",
        ),
        "graphormer.num_spatial_types": (not reads_paths(), "graphormer.node_degrees_only is True"),
        "gnn.layers_post_mp": (head in LAYERS_OF_HEAD, f"gnn.head {head} has {_count(layers, 'layer')}"),
        "gnn.head": (
            network in ("samsa", "bag_of_features", "point_net") and head in LAYERS_OF_HEAD,
            f"the network {network} has a head of its own",
        ),
        "model.graph_pooling": (
            predicts != "graph" or (network, value) == ("samsa", "add"),
            f"predictions are those of {predicts}s" if predicts != "graph" else "the network samsa reads samsa.pool",
        ),
        "model.edge_decoding": (predicts != "link", f"predictions are those of {predicts}s"),
    }
    if network in (*_SAN, "graphormer"):
        own = "GELU" if network == "graphormer" else "ReLU"
        cure = "its head has no hidden layer (gnn.layers_post_mp 2 adds one)"
        cure = f"gnn.head {head} has no hidden layer" if head in LAYERS_OF_HEAD else cure
        unused["gnn.act"] = (layers == 1, f"layers of {network} have {own}, and {cure}")
    if network in _WITH_GT:
        channels, number = gt.dim_hidden or gnn.dim_inner, gt.layers or gnn.layers_mp
        dropout = gnn.dropout if gt.dropout == UNSET_FLOAT else gt.dropout
        norm = "gt.layer_norm" if gt.layer_norm else "gt.batch_norm"
        unused |= {
            "gnn.dim_inner": (value != channels, f"gt.dim_hidden is {channels}"),
            "gnn.layers_mp": (value != number, f"gt.layers is {number}"),
            "gnn.dropout": (value != dropout, f"gt.dropout is {dropout:g}"),
            "gnn.batchnorm": (gt.layer_norm or (gt.batch_norm and not value), f"{norm} is True"),
            "gt.batch_norm": (not gt.layer_norm and gnn.batchnorm and not value, "gnn.batchnorm is True"),
        }
    applies, reason = unused.get(key, (False, ""))
    return reason if applies else None


def _unread_part(key: str) -> str | None:
    """Return why SAMSA does not read a setting: an option of an operator, a tokenizer or a readout that it lacks."""
    group, _, name = key.partition(".")
    for kind, parts in (("attention", OPERATORS), ("tokenizer", TOKENIZERS)):
        chosen = cfg.samsa[kind]
        if group in parts and group not in ("samsa", chosen):
            return f"samsa.{kind} is {chosen}"
    if group == "samsa" and name in OF_READOUT and own_head() is not None:
        return f"the head is gnn.head {cfg.gnn.head}"
    if group == "samsa" and name in OF_GRAPH_FEATURES and not cfg.share.graph_channels:
        return "graphs have no features of their own (dataset.descriptors, --extra-columns)"
    return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def unused_settings(given: Iterable[str]) -> list[str]:
    """Return those of the given settings that describe a network and that the chosen network does not read.

    Args:
        given: Keys that the user has set.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "gcn"
        >>> unused_settings(["gt.layers", "gnn.layers_mp", "optim.base_lr"])
        ['gt.layers']
        >>> set_cfg(cfg)
    """
    return sorted(key for key in given if _unread(key) is not None)


def describe_without_effect(loaded: LoadedConfig, why: Callable[[str], str | None] = why_without_effect) -> list[str]:
    """Return lines about settings without effect: first those of the command line, then those of the user's file.

    Settings that the user has written himself are named with their values and the reason, also where the value is the
    default. Those of a packaged configuration, or of the configuration in the folder of a run, which names every
    setting, are listed in one line, if their values are not the defaults and a network is trained.

    Args:
        loaded: From `load_config`.
        why: As `why_without_effect`.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> from pyg_samsa.graphgym.config import load_config
        >>> loaded = load_config("csv", ["model.type", "gcn", "samsa.channels", "128", "boosting.trees", "9"])
        >>> for line in describe_without_effect(loaded):
        ...     print(line[:72])
        samsa.channels 128: the network gcn reads gnn.dim_inner
        csv.yaml: samsa.act, samsa.bridge, samsa.drop_path, samsa.dropout, samsa
        >>> set_cfg(cfg)
    """
    lines = []
    typed = loaded.changes.asked, loaded.of_user - set(loaded.changes.asked)
    for keys in typed:
        reasons: dict[str, list[str]] = {}
        for key in sorted(keys):
            if (reason := why(key)) is not None:
                reasons.setdefault(reason, []).append(f"{key} {_show(value_of(key, cfg))}")
        lines += [f"{', '.join(named)}: {reason}" for reason, named in reasons.items()]
    others = loaded.changed - set().union(*typed)
    if trains_network():
        listed = sorted(key for key in others if why(key) is not None and (key in NO_EFFECT or _unread(key)))
        lines += [f"{loaded.path.name}: {', '.join(listed)}"] if listed else []
    return lines


def _show(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(str, value))}]"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value) or "''"
