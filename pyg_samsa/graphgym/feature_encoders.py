"""The encoders of node and edge features that the configuration names, and the widths that a network takes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.graphgps_keys import SUPERPIXEL_ENCODERS
from pyg_samsa.nn.encoding.feature_encoder import Features

_CATEGORICAL = ("Atom", "Bond", "Integer", "TypeDictNode", "TypeDictEdge", "ASTNode", "ASTEdge", "PPANode")
# Encoders that nn.SAMSA makes itself from the data set's own description of its features.
BUILT_IN_ENCODERS = (*_CATEGORICAL, *SUPERPIXEL_ENCODERS, "LinearNode", "LinearEdge", "PPAEdge")


def read_features(
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
