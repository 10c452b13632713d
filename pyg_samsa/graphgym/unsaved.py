"""Which networks are saved for predictions of molecules."""

from __future__ import annotations

from typing import Any

from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.feature_encoders import BUILT_IN_ENCODERS
from pyg_samsa.graphgym.own_head import own_head

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
