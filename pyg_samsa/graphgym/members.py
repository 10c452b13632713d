"""Which models a run fits, by ``predictor.members``."""

from __future__ import annotations

from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.network_options import asks_for_masked
from pyg_samsa.predict.predictor_options import MEMBER_KINDS


def chosen_members() -> str | None:
    """Return a key of :obj:`pyg_samsa.predict.predictor_options.MEMBER_KINDS`; None for a run without a predictor.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> print(chosen_members())
        None
        >>> cfg.dataset.format, cfg.dataset.name = "samsa", "csv"
        >>> chosen_members()
        'all'
        >>> set_cfg(cfg)
    """
    options = cfg.predictor
    if asks_for_masked():
        return None
    if options.members != "auto":
        return str(options.members)
    if (cfg.dataset.format, cfg.dataset.name) == ("samsa", "csv"):
        return "all"
    return "network" if options.folds or options.ensemble > 1 else None


def trains_network() -> bool:
    """Say whether a network is trained, and not models on descriptors alone.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.predictor.members = "trees"
        >>> trains_network()
        False
        >>> set_cfg(cfg)
    """
    return "network" in MEMBER_KINDS.get(chosen_members() or "network", ("network",))
