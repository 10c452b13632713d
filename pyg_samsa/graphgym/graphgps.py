"""Read configurations of GraphGPS, LRGB and Exphormer: their settings become settings of this package."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pyg_samsa.datasets import catalog
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym import graphgps_keys as table
from pyg_samsa.graphgym.graphgps_encodings import (
    encodings_of_kind,
    steps_of_walks,
    translate_beside_kind,
    translate_encoders,
)
from pyg_samsa.graphgym.graphgps_transformers import (
    check_width,
    translate_bias,
    translate_graphormer,
    translate_san,
)
from pyg_samsa.graphgym.settings import ALIASES, GPS_LAYERS, LOCAL_OF_GRAPHGPS
from pyg_samsa.nn import OPERATORS
from pyg_samsa.nn.conv.local_layers import GATED_BY_DISTANCE
from pyg_samsa.nn.readout import POOLS

_ENCODER = "dataset.node_encoder_name"
# Settings of message passing and of GPS that blocks of SAMSA do not have.
_NOT_IN_SAMSA = {
    "gt.layer_norm": "blocks of SAMSA are normalised by RMSNorm",
    "gt.batch_norm": "blocks of SAMSA are normalised by RMSNorm",
    "gnn.act": "blocks of SAMSA have an activation of their own",
    "gnn.dropout": "gt.dropout is that of the blocks and of the head",
    "gnn.layers_post_mp": "networks of SAMSA have a head of their own",
    "gnn.dim_inner": "",  # the same as gt.dim_hidden
    "gnn.batchnorm": "",
}
_UNUSED_BY_CUSTOM_GNN = "gt."


@dataclass(frozen=True)
class Taken:
    """A setting of this package, made of one of another package.

    Args:
        value: Its value.
        source: The setting that it is made of; empty for a default of the other package.
        told: Value of the source, where key or value differ.
    """

    value: Any
    source: str = ""
    told: Any = None


@dataclass
class Translation:
    """A configuration in settings of this package.

    Args:
        settings: Dotted name -> value and where it comes from.
        notes: What cannot be honoured, one text for each setting.
        typed: Settings of the command line, by their names before the translation.
    """

    settings: dict[str, Taken] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    typed: Collection[str] = ()

    def set(self, key: str, value: Any, source: str, told: Any) -> None:
        """Set a setting of this package that differs from its source.

        One of this package's own names stays, unless it is one of the file and the source of the command line.

        Raises:
            ConfigError: A setting of encodings contradicts the one that it becomes, in one file or on the command line.
        """
        own = self.settings.get(key)
        typed = source in self.typed
        if own is None or table.find_key(key) is not None or (typed and key not in self.typed):
            self.settings[key] = Taken(value, source, told)
        elif source.startswith("posenc_") and own.value != value and typed == (key in self.typed):
            raise ConfigError(source, told, f"the same as {key} ({own.value})", hint="Set only one of the two.")

    def split(self, asked: Collection[str]) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
        """Return the settings of a file, and those that settings of the command line have become.

        Args:
            asked: Settings of the command line, by their names before the translation.

        Example:
            >>> settings = {"pe.dim": Taken(16, "posenc_LapPE.eigen.max_freqs"), "seed": Taken(1, "seed")}
            >>> Translation(settings).split(["seed"])
            ([('pe.dim', 16)], [('seed', 1)])
        """
        of_file = [(key, taken.value) for key, taken in self.settings.items() if taken.source not in asked]
        return of_file, [(key, taken.value) for key, taken in self.settings.items() if taken.source in asked]

    def note(self, key: str, value: Any, reason: str) -> None:
        """Add a setting to the list of those that cannot be honoured."""
        self.notes.append(f"{key} {value}: {reason}")


def is_graphgps(leaves: Mapping[str, Any], known: Collection[str] = ()) -> bool:
    """Say whether settings are those of GraphGPS or of a repository with its names.

    Args:
        leaves: Dotted name -> value.
        known: Names of all settings of this package and of GraphGym.

    Example:
        >>> is_graphgps({"model.type": "GPSModel"}), is_graphgps({"model.type": "gps"}, ["model.type"])
        (True, False)
    """
    encoders = {_text(leaves, _ENCODER), _text(leaves, "dataset.edge_encoder_name")}
    return (
        _is_foreign(leaves)
        or _text(leaves, "gnn.head") in table.REFUSED_HEADS
        or leaves.get("train.mode") == "custom"
        or any(key not in known and table.find_key(key) is not None for key in leaves)
        or any("+" in name or name in _encodings() for name in encoders)
    )


def translate(leaves: Mapping[str, Any], known: Collection[str] = (), typed: Collection[str] = ()) -> Translation:
    """Return a configuration of those repositories in settings of this package.

    Args:
        leaves: Dotted name -> value; settings that the table does not have pass unchanged.
        known: Names of all settings of this package and of GraphGym. GraphGym's own networks read their settings.
        typed: Those of the settings that are of the command line; each of them takes effect, or has a note.

    Raises:
        ConfigError: A part cannot mean the same here: a network, an attention, an encoding, a head or a task.

    Example:
        >>> gps = {"model.type": "GPSModel", "gt.layer_type": "GINE+Transformer", "gt.n_heads": 4, "gnn.agg": "mean"}
        >>> found = translate(gps)
        >>> found.settings["model.type"].value, found.settings["gt.n_heads"].value, "gnn.agg" in found.settings
        ('gps', 4, False)
    """
    made = Translation(typed=frozenset(typed))
    dropped = _take(leaves, made, known)
    _splits(leaves, made, own=not _is_foreign(leaves) and "dataset.transductive" in known)
    _network(leaves, made)
    _head(leaves, made)
    used = _used_encodings(leaves)
    own = [] if used else encodings_of_kind(leaves)
    translate_beside_kind(leaves, made, own)
    read = [*used, *own, *([table.BIAS] if translate_bias(leaves, made, used) else ())]
    for name in dropped:
        key = table.KEYS[name]
        if key.handled == table.LISTED and leaves[name] not in key.harmless and _belongs(name, read):
            made.note(name, leaves[name], key.meaning)
    _note_unused(leaves, made, read)
    _encoders(leaves, made, used)
    _logging(leaves, made)
    return made


def _take(leaves: Mapping[str, Any], made: Translation, known: Collection[str]) -> list[str]:
    """Take the settings that stay as they are, refuse those that cannot be, and return the names of the others."""
    foreign = _is_foreign(leaves)
    dropped = []
    for name, value in leaves.items():
        key = table.find_key(name)
        own = not foreign and name in known
        if key is None or key.handled == table.SAME or (own and key.handled != table.READ):
            made.settings[name] = Taken(value, name)
        elif key.handled == table.REFUSED and value not in key.harmless:
            raise ConfigError(name, value, f"{' or '.join(map(repr, key.harmless))}: {key.meaning}")
        elif name in table.KEYS:
            dropped.append(name)
    return dropped


def _note_unused(leaves: Mapping[str, Any], made: Translation, read: Sequence[str]) -> None:
    """Add a note for each setting that means nothing here, or belongs to an encoding not in use.

    These are settings of the command line, and those of encodings in a file with ``pe.kind``. Files of GraphGPS itself
    hold settings of encodings that they do not use.
    """
    own = "pe.kind" in leaves and "pe.kind" not in made.typed and not _is_foreign(leaves)
    for name, value in leaves.items():
        key, group = table.find_key(name), name.partition(".")[0]
        asked = name in made.typed or (own and group.startswith("posenc_") and leaves.get(f"{group}.enable", True))
        if not asked or key is None or name in made.settings:
            continue
        if name.endswith(".enable") and value is False:
            continue
        if not _belongs(name, read):
            made.note(name, value, _why_unused(name.partition(".")[0].removeprefix("posenc_"), leaves))
        elif key.handled == table.NOTHING:
            made.note(name, value, key.meaning.rstrip("."))


def _why_unused(encoding: str, leaves: Mapping[str, Any]) -> str:
    """Return why settings of an encoding have no effect."""
    if encoding in table.REFUSED_ENCODINGS:
        return table.REFUSED_ENCODINGS[encoding]
    if encoding == table.BIAS:
        return "the network does not read it; graphormer does, and gps with gt.layer_type GINE+BiasedTransformer"
    if (kind := table.ENCODINGS.get(encoding)) is None:
        return "there is no such encoding"
    if _ENCODER in leaves and "pe.kind" not in leaves:
        return f"{encoding} is not in {_ENCODER}"
    return f"pe.kind is {leaves.get('pe.kind', 'none')}, not {kind}"


def _text(leaves: Mapping[str, Any], key: str) -> str:
    """Return a name that a file holds, which may be anything; empty without one."""
    return str(leaves.get(key, ""))


def _is_foreign(leaves: Mapping[str, Any]) -> bool:
    """Say whether the network is one of those repositories by its name."""
    return _text(leaves, "model.type") in {*table.NETWORKS, *table.REFUSED_NETWORKS}


def _encodings() -> tuple[str, ...]:
    return (*table.ENCODINGS, table.BIAS, *table.REFUSED_ENCODINGS)


def _refuse(key: str, value: Any, reason: str, allowed: Mapping[str, Any], hint: str = "") -> NoReturn:
    """Raise an error about a part that cannot mean the same here."""
    hint = hint or f"One of these is possible: {', '.join(name for name in allowed if name)}."
    raise ConfigError(key, value, f"another value: {reason}", hint=hint)


def _splits(leaves: Mapping[str, Any], made: Translation, *, own: bool) -> None:
    """Choose the split of the nodes of a data set of one graph; other data sets have one split.

    Args:
        leaves: Dotted name -> value.
        made: The translation.
        own: Whether the file has GraphGym's own default of ``dataset.transductive``, which says nothing.
    """
    data, mode, index, transductive = (
        f"dataset.{name}" for name in ("name", "split_mode", "split_index", "transductive")
    )
    asked = leaves.get(transductive, False)
    if not isinstance(asked, bool):
        raise ConfigError(transductive, asked, "True or False")
    if not catalog.is_transductive(_text(leaves, "dataset.format"), _text(leaves, data)):
        if asked and not own:
            sets = ", ".join(name for name in catalog.names() if catalog.is_transductive("samsa", name))
            expected = f"False with {_text(leaves, data)}, which is not known as one graph whose nodes are split"
            raise ConfigError(transductive, asked, expected, hint=f"Data sets of one graph: {sets}.")
        if mode in leaves:
            made.settings[mode] = Taken(leaves[mode], mode)
        if leaves.get(index) not in (None, 0):
            made.note(index, leaves[index], "the data set has one split here")
        return
    if leaves.get(index) not in (None, 0):
        made.settings[index] = Taken(leaves[index], index)
    asked = leaves.get(mode, "standard")
    if asked not in ("standard", "random"):
        raise ConfigError(mode, asked, ("standard", "random"))
    made.settings[mode] = Taken(asked, mode if mode in leaves else "")
    if asked == "random":
        made.set("dataset.node_split", "random", mode, asked)


def _belongs(name: str, used: Sequence[str]) -> bool:
    """Say whether a setting is one of the encodings that are used, or of none."""
    group = name.partition(".")[0]
    return not group.startswith("posenc_") or group.removeprefix("posenc_") in used


def _network(leaves: Mapping[str, Any], made: Translation) -> None:
    network = _text(leaves, "model.type")
    if network in table.REFUSED_NETWORKS:
        hint = "For example: model.type GPSModel gt.layer_type CustomGatedGCN+Transformer, or model.type samsa."
        _refuse("model.type", network, table.REFUSED_NETWORKS[network], table.NETWORKS, hint)
    if network not in table.NETWORKS:
        for key in ("model.type", "gt.layer_type", "gnn.layer_type", "gnn.batchnorm"):
            if key in leaves:
                made.settings[key] = Taken(leaves[key], key)
        return
    if network == "custom_gnn":
        _custom_gnn(leaves, made)
    elif network == "Graphormer":
        translate_graphormer(leaves, made)
    elif network == "SANTransformer":
        _defaults("gps", made)
        translate_san(leaves, made)
        _norms_of_gt(made)
    else:
        _gps(network, leaves, made)
    if _text(leaves, "optim.scheduler").endswith("_with_warmup"):
        _defaults("warmup", made)


def _custom_gnn(leaves: Mapping[str, Any], made: Translation) -> None:
    layer = _text(leaves, "gnn.layer_type") or "generalconv"  # GraphGym's default
    if layer not in table.CONVOLUTIONS:
        _refuse("gnn.layer_type", layer, "no other layer is known", table.CONVOLUTIONS)
    ours = table.CONVOLUTIONS[layer]
    made.set("model.type", ours, "gnn.layer_type", layer)
    # There, gated layers have batch norms of their own, and others have none.
    made.set("gnn.batchnorm", ours == "gatedgcn", "gnn.layer_type", layer)
    if ours == "gcnii":
        made.notes.append(f"gnn.layer_type {layer}: the residual leads to the encoded nodes, there to the layer before")
    if ours == "gatedgcn":
        made.set("gnn.update_edges", True, "gnn.layer_type", layer)
    _defaults("custom_gnn", made)
    for key in [key for key in made.settings if key.startswith(_UNUSED_BY_CUSTOM_GNN)]:
        del made.settings[key]


def _gps(network: str, leaves: Mapping[str, Any], made: Translation) -> None:
    layer = _text(leaves, "gt.layer_type")
    local, plus, attention = layer.partition("+")
    if attention in table.REFUSED_ATTENTION:
        hint = f"For example: gt.layer_type {local}+Transformer, or {local}+SAMSA."
        _refuse("gt.layer_type", layer, table.REFUSED_ATTENTION[attention], GPS_LAYERS, hint)
    known = plus and local in LOCAL_OF_GRAPHGPS and attention.upper() in map(str.upper, OPERATORS)
    ours = known and layer not in GPS_LAYERS  # Performer is GraphGPS's name, PERFORMER that of an operator here
    if not ours and layer not in GPS_LAYERS:
        names = ", ".join(LOCAL_OF_GRAPHGPS)
        operators = ", ".join(map(str.upper, OPERATORS))
        raise ConfigError("gt.layer_type", layer or None, f"one of {names} + Transformer, Performer, {operators}")
    made.set("model.type", "samsa" if ours else "gps", "model.type", network)
    made.settings["gt.layer_type"] = Taken(layer, "gt.layer_type")
    # Sizes of this package's own network in a file come before the defaults there.
    _defaults("gps", made, left_out=[other for other, own in ALIASES.items() if own in leaves] if ours else ())
    check_width("gt.dim_hidden", leaves)
    for key in ("gt.full_graph", "gt.gamma"):  # of SAN
        made.settings.pop(key, None)
    gated = LOCAL_OF_GRAPHGPS.get(local) == "gatedgcn"
    if ours:
        if gated:
            made.note("gt.layer_type", layer, "gated layers of SAMSA do not change the features of edges")
        _only_samsa(leaves, made)
    else:
        if gated:
            made.set("gnn.update_edges", True, "gt.layer_type", layer)
        _norms_of_gt(made)


def _norms_of_gt(made: Translation) -> None:
    batch_norm = bool(made.settings["gt.batch_norm"].value)
    made.set("gnn.batchnorm", batch_norm, "gt.batch_norm", batch_norm)


def _only_samsa(leaves: Mapping[str, Any], made: Translation) -> None:
    """Leave out what blocks of SAMSA do not have."""
    for key, reason in _NOT_IN_SAMSA.items():
        made.settings.pop(key, None)
        if reason and leaves.get(key):
            made.note(key, leaves[key], reason)
    pooling = _text(leaves, "model.graph_pooling")
    if pooling not in POOLS:
        made.settings.pop("model.graph_pooling", None)
        if "model.graph_pooling" in leaves:
            made.note("model.graph_pooling", pooling, f"networks of SAMSA pool by {' or '.join(POOLS)}")


def _defaults(of: str, made: Translation, left_out: Collection[str] = ()) -> None:
    for key, value in table.DEFAULTS[of].items():
        if key not in left_out:
            made.settings.setdefault(key, Taken(value))


def _head(leaves: Mapping[str, Any], made: Translation) -> None:
    head = _text(leaves, "gnn.head")
    if head in table.REFUSED_HEADS:
        _refuse("gnn.head", head, table.REFUSED_HEADS[head], table.HEADS)
    if not head:
        return
    made.settings["gnn.head"] = Taken(leaves["gnn.head"], "gnn.head")
    if head in ("san_graph", "ogb_code_graph", "graphormer_graph") and _is(made, "samsa"):
        made.note("gnn.head", head, "networks of SAMSA have a head of their own")
        made.set("gnn.head", "graph", "gnn.head", head)


def _is(made: Translation, network: str) -> bool:
    return "model.type" in made.settings and made.settings["model.type"].value == network


def _used_encodings(leaves: Mapping[str, Any]) -> list[str]:
    """Return the encodings that the name of the node encoder holds; refuse those that are not part of this package."""
    name = _text(leaves, _ENCODER)
    parts = [part for part in name.split("+") if part in _encodings()]
    enabled = {part: leaves.get(f"posenc_{part}.enable", False) for part in _encodings()}
    for part, on in enabled.items():
        if not isinstance(on, bool):
            raise ConfigError(f"posenc_{part}.enable", on, "True or False")
        if part in table.REFUSED_ENCODINGS and (on or part in parts):
            key = _ENCODER if part in parts else f"posenc_{part}.enable"
            _refuse(key, leaves[key], table.REFUSED_ENCODINGS[part], table.ENCODINGS)
    for part in (*table.ENCODINGS, table.BIAS):
        on = enabled[part]
        if on and part not in parts:
            instead = f", or set pe.kind {table.ENCODINGS[part]} instead" if part in table.ENCODINGS else ""
            hint = f"Name it, such as LinearNode+{part}{instead}."
            raise ConfigError(f"posenc_{part}.enable", True, f"False, or {part} in {_ENCODER}", hint=hint)
        if part in parts and not on:
            hint = f"Set posenc_{part}.enable True, or leave {part} out of the name."
            raise ConfigError(_ENCODER, name, f"posenc_{part}.enable True with this name", hint=hint)
    if table.DISTANCES in parts and len(parts) > 1:
        raise ConfigError(_ENCODER, name, f"{table.DISTANCES} without another encoding, as in GraphGPS")
    return [part for part in (*table.ENCODINGS, table.BIAS) if part in parts]


def _encoders(leaves: Mapping[str, Any], made: Translation, used: Sequence[str]) -> None:
    for kind in ("node", "edge"):
        key = f"dataset.{kind}_encoder_name"
        if key not in leaves:
            continue
        name = _text(leaves, key)
        base = "+".join(part for part in name.split("+") if part not in used)
        base = base or "LinearNode"
        if base in table.SUPERPIXEL_ENCODERS and (base.startswith("COCO") or table.SCALES_SUPERPIXELS in leaves):
            made.set("dataset.scale_features", True, key, name)
        made.settings[key] = Taken(leaves[key], key) if base == name else Taken(base, key, name)
    reads_edges = not _is(made, "gcn") and not _is(made, "graphormer")
    if leaves.get("dataset.edge_encoder") is False and _is_foreign(leaves) and reads_edges:
        made.note("dataset.edge_encoder", False, "edge features that a data set has are encoded all the same")
    if not used:
        return
    if leaves.get("model.type") == "gnn":
        hint = "For example: model.type custom_gnn, with gnn.layer_type gineconv or gatedgcnconv."
        raise ConfigError(_ENCODER, leaves[_ENCODER], "no encoding with GraphGym's own network gnn", hint=hint)
    if not (kinds := [table.ENCODINGS[part] for part in used if part in table.ENCODINGS]):
        return
    if leaves.get("dataset.node_encoder") is False:
        made.note(
            _ENCODER, leaves[_ENCODER], "its encodings are not used, there as here: dataset.node_encoder is False"
        )
        return
    if table.DISTANCES in used and not _distances(leaves, made):
        return
    made.set("pe.kind", "+".join(kinds), _ENCODER, leaves[_ENCODER])
    if used[0] != "RWSE":
        source = f"posenc_{used[0]}.eigen.max_freqs"
        made.set("pe.dim", leaves.get(source, 10), source, leaves.get(source))
    if "RWSE" in used:
        made.set("pe.steps" if "LapPE" in used else "pe.dim", *steps_of_walks(leaves))
    translate_encoders(leaves, made, used)


def _distances(leaves: Mapping[str, Any], made: Translation) -> bool:
    """Let distances of eigenvectors weight the messages, and say whether the message passing reads them."""
    network, layer = _text(leaves, "model.type"), _text(leaves, "gt.layer_type")
    local = LOCAL_OF_GRAPHGPS.get(layer.partition("+")[0]) if layer else {"gps": "gine"}.get(network, network)
    chosen = ("gt.layer_type", layer) if layer else ("model.type", network)
    unread = network in table.NETWORKS and network not in ("GPSModel", "MultiModel")
    if unread or local in table.WITHOUT_DISTANCES:
        culprit = f"model.type {network}" if unread else " ".join(chosen)
        cure = f"use gt.layer_type GINE+... or CustomGatedGCN+..., or leave {table.DISTANCES} out"
        reason = f"{table.DISTANCES} weights no messages with {culprit}, there as here"
        made.note(_ENCODER, leaves[_ENCODER], f"{reason}; {cure}")
        return False
    if local not in GATED_BY_DISTANCE:
        expected = f"GINE or CustomGatedGCN before the + with {table.DISTANCES}"
        raise ConfigError(*chosen, expected)
    made.set("pe.role", "mapped_gate", _ENCODER, leaves[_ENCODER])
    norm = "posenc_LapPE.eigen.laplacian_norm"
    if str(leaves.get(norm, "sym")).lower() != "sym":
        made.note(norm, leaves[norm], "the normalised Laplacian is used")
    if local == "gine":
        reason = f"with {table.DISTANCES}, a node of GINE adds its own features"
        made.note(*chosen, f"{reason}; in GraphGPS it adds those of the second node of the batch")
    return True


def has_wandb() -> bool:
    """Say whether the package of Weights & Biases is installed."""
    return importlib.util.find_spec("wandb") is not None


def _logging(leaves: Mapping[str, Any], made: Translation) -> None:
    if "wandb.use" not in leaves:
        return
    use = leaves["wandb.use"]
    if use is True and not has_wandb():
        made.note("wandb.use", use, "the package wandb is not installed")
    else:
        made.settings["wandb.use"] = Taken(use, "wandb.use")
