"""The structural encodings of Graphormer that the configuration asks for (``graphormer.*``)."""

from __future__ import annotations

from typing import Any

from torch_geometric.graphgym.config import cfg
from torch_geometric.utils import degree

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.settings import GPS_LAYERS, values_for
from pyg_samsa.nn.encoding.graphormer_encoding import GraphormerEncoding


def uses_structure() -> bool:
    """Say whether the network has these encodings: ``graphormer``, and ``gps`` with ``BiasedTransformer``.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> uses_structure()
        False
    """
    biased = GPS_LAYERS.get(cfg.gt.layer_type, ("", ""))[1] == "biased"
    return cfg.model.type == "graphormer" or (cfg.model.type == "gps" and biased)


def reads_paths() -> bool:
    """Say whether the network reads the shortest paths between all nodes of a graph.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> reads_paths()
        False
    """
    return uses_structure() and not cfg.graphormer.node_degrees_only


def edge_categories(edge_channels: Any) -> list[int] | None:
    """Return the numbers of categories of the features of edges, which are the types of the edges along a path.

    Args:
        edge_channels: As in :class:`pyg_samsa.datasets.features.Features`. Float features are no types.

    Example:
        >>> edge_categories([5, 6, 2]), edge_categories(3), edge_categories(None)
        ([5, 6, 2], None, None)
    """
    return list(edge_channels) if isinstance(edge_channels, (list, tuple)) else None


def make_structure(channels: int, heads: int) -> GraphormerEncoding:
    """Return the encodings that the configuration describes.

    Args:
        channels: Channels of a node, without encodings that are concatenated with its features.
        heads: Heads of the attention.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> make_structure(16, 4)
        GraphormerEncoding(16, heads=4, num_spatial_types=20, edge_types=None)
    """
    options = values_for(GraphormerEncoding, cfg)
    return GraphormerEncoding(channels, heads, edge_types=edge_categories(cfg.share.edge_channels), **options)


def check_degrees(dataset: Any) -> None:
    """Refuse a data set with a node of a larger degree than the configuration allows.

    Args:
        dataset: A data set; one that does not hold its graphs in memory is checked batch by batch in training.

    Raises:
        ConfigError: A degree is too large.

    Cost: O(E).
    """
    data: Any = getattr(dataset, "_data", None)
    if data is None or "edge_index" not in data or not data.edge_index.size(1):
        return
    edges = data.edge_index.long()
    if dataset.slices is not None:
        bounds = dataset.slices["edge_index"].diff()
        edges = edges + dataset.slices["x"][:-1].repeat_interleave(bounds)
    for name, ends in (("out", edges[0]), ("in", edges[1])):
        key = f"num_{name}_degrees"
        most = int(degree(ends, dtype=ends.dtype).max())
        if most >= cfg.graphormer[key]:
            expected = f"at least {most + 1}, one more than the largest {name}-degree of the data"
            raise ConfigError(f"graphormer.{key}", cfg.graphormer[key], expected)
