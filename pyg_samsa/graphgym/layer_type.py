"""GraphGPS's names of layers, such as ``GINE+SAMSA``, and which of them can weight messages by distances."""

from __future__ import annotations

from typing import Any

from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError, suggest
from pyg_samsa.graphgym.graphgps_keys import LAYERS_OF_SAN, REFUSED_ATTENTION
from pyg_samsa.graphgym.settings import GPS_LAYERS, LOCAL_OF_GRAPHGPS
from pyg_samsa.nn import OPERATORS
from pyg_samsa.nn.conv.local_layers import GATED_BY_DISTANCE
from pyg_samsa.nn.models.message_passing import LAYERS


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
