"""``cfg.share``: the description of the data set that networks read.

GraphGym hands a network two numbers, ``dim_in`` and ``dim_out``. Everything else that a network must know of its data
set is in ``cfg.share``, which the loader fills once, before the network is built; nothing else in ``cfg`` is written
during a run. ``dim_in``, ``dim_out`` and ``num_splits`` are GraphGym's own; this package adds:

=================== =====================================================================================
``task``            kind of the targets: ``multilabel``, ``binary``, ``multiclass`` or ``regression``
``level``           what is predicted for: ``graph``, ``node`` or ``link`` (pairs of nodes)
``num_targets``     width of the output
``in_channels``     width of float node features, or the numbers of values of categorical ones
``edge_channels``   likewise for edges; None without edge features
``num_categories``  categories of shapes in part segmentation, 0 for none
``pairs``           whether a graph holds two documents
``num_dims``        coordinates of a node's position, 0 for none
``graph_channels``  features of a whole graph, 0 for none
=================== =====================================================================================

All of them are None, 0 or False where the data set is not one of this package and says nothing. Features of whole
graphs are no plain values: `graph_features` returns them with the training rows, from which networks take their scale.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.graphgym.config import CN, cfg

from pyg_samsa.datasets.splits import split_sizes

UNKNOWN: dict[str, Any] = {
    **dict.fromkeys(("task", "level", "num_targets", "in_channels", "edge_channels")),
    "num_categories": 0,
    "pairs": False,
    "num_dims": 0,
    "graph_channels": 0,
}


_graph_features: tuple[Tensor, Tensor] | tuple[None, None] = (None, None)


def describe(dataset: Any | None) -> None:
    """Write the description of a data set into ``cfg.share``; None forgets the one before.

    Args:
        dataset: A data set with ``task``, ``features`` and ``split_idx``.

    Example:
        >>> describe(None)
        >>> cfg.share.task is None, cfg.share.num_dims
        (True, 0)
    """
    global _graph_features
    features = getattr(dataset, "graph_features", None)
    _graph_features = (None, None) if dataset is None or features is None else (features, dataset.split_idx["train"])
    values = dict(UNKNOWN)
    if dataset is not None:
        task, features = dataset.task, dataset.features
        values = {
            "task": task.kind,
            "level": task.level,
            "num_targets": task.num_targets,
            "in_channels": _plain(features.in_channels),
            "edge_channels": _plain(features.edge_channels),
            "num_categories": len(task.parts),
            "pairs": task.pairs,
            "num_dims": features.num_dims,
            "graph_channels": features.graph_channels,
            "dim_in": features.in_channels
            if isinstance(features.in_channels, int)
            else len(features.in_channels or [0]),
            "dim_out": task.num_targets,
            "num_splits": len(split_sizes(dataset.split_idx)),
        }
    share: CN = cfg.share
    frozen = share.is_frozen()
    share.defrost()
    share.update(values)
    if frozen:
        share.freeze()


def graph_features() -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Return the features of all graphs [G, F] of the described data set, and its training rows.

    Both are None without features.

    Example:
        >>> describe(None)
        >>> graph_features()
        (None, None)
    """
    return _graph_features


def _plain(channels: Any) -> Any:
    return list(channels) if isinstance(channels, (list, tuple)) else channels
