"""GraphGym: importing this package registers everything with it and sets the defaults of the global ``cfg``.

Network ``samsa``, layer ``samsaconv``, encoders, pooling, heads, losses, metrics, optimiser, schedules and loaders are
then known to PyG's own GraphGym as well as to :func:`pyg_samsa.experiments.run.run`.
"""

from __future__ import annotations

from torch_geometric.graphgym.config import cfg, set_cfg

from pyg_samsa.graphgym import (
    baselines,
    config,
    encoders,
    head,
    layer,
    loader,
    loss,
    masked_network,
    metric,
    network,
    optimizer,
    pooling,
    scheduler,
)

__all__ = [
    "baselines",
    "config",
    "encoders",
    "head",
    "layer",
    "loader",
    "loss",
    "masked_network",
    "metric",
    "network",
    "optimizer",
    "pooling",
    "scheduler",
]

# GraphGym has filled cfg when it was imported, before it knew our settings.
set_cfg(cfg)
