"""Heads of other code (``gnn.head``), and what a network predicts for."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.settings import NORM_HEAD, SHRINKING_HEAD, WORD_HEAD

LEVEL_OF_HEAD = dict.fromkeys(("graph", "mlp_graph", SHRINKING_HEAD, WORD_HEAD, NORM_HEAD), "graph")
LEVEL_OF_HEAD |= {"node": "node", "inductive_node": "node"}
LEVEL_OF_HEAD |= {"link": "link", "edge": "link", "link_pred": "link", "inductive_edge": "link"}


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
