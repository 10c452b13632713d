"""Shortest paths between the nodes of the graphs of a data set, computed once for all epochs."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.functional.shortest_paths import check_sizes, edge_types, shortest_paths
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import machine_memory

_LOGGER = logging.getLogger(__name__)
_CHUNK_PAIRS = 2**19
_MOST_MEMORY = 0.25


def add_paths(
    dataset: Any, num_spatial_types: int, cardinalities: Sequence[int] | None = None, *, progress: bool = True
) -> Any:
    """Return a shallow copy of an in-memory data set whose graphs have ``paths``, int16 [n^2, 1] or [n^2, 3].

    `pyg_samsa.nn.GraphormerEncoding` computes the same for every batch if it does not get them. So a data set whose
    paths would take more than a quarter of the memory of this machine is returned as it is.

    Args:
        dataset: A PyG ``InMemoryDataset``; others are returned as they are.
        num_spatial_types: Number K of spatial types, see `pyg_samsa.functional.shortest_paths.shortest_paths`.
        cardinalities: Number of categories of each feature of the edges, for the types of the edges along the paths;
            None for lengths alone.
        progress: Show a progress bar.

    Raises:
        ShapeError: A graph is too large, or the features of the edges do not fit.

    Example:
        >>> from torch_geometric.data import Data, InMemoryDataset
        >>> dataset = InMemoryDataset()
        >>> edges = torch.tensor([[0, 1], [1, 0]])
        >>> dataset.data, dataset.slices = dataset.collate([Data(x=torch.ones(n, 1), edge_index=edges) for n in (2, 3)])
        >>> add_paths(dataset, 4, progress=False)[1].paths.flatten().tolist()
        [0, 1, 4, 1, 0, 4, 4, 4, 0]

    Cost: That of `shortest_paths` for each graph, and 2 or 6 bytes of memory for each pair of nodes of a graph.
    """
    data: Any = getattr(dataset, "_data", None)
    if data is None or "edge_index" not in data or "x" not in data:
        return dataset
    nodes, edges = _bounds(dataset, "x", data.x.size(0)), _bounds(dataset, "edge_index", data.edge_index.size(1))
    types = None
    if cardinalities is not None and data.get("edge_attr") is not None:
        types = edge_types(data.edge_attr, cardinalities).numpy()
    check_sizes(nodes.diff().tolist())
    shape = int((nodes.diff() ** 2).sum()), 1 if types is None else 3
    if 2 * math.prod(shape) > machine_memory() * _MOST_MEMORY:
        _LOGGER.warning(
            "the shortest paths of all graphs take %.1f GiB, so they are computed for each batch; "
            "model.type and gt.layer_type choose networks that need none",
            2 * math.prod(shape) / 2**30,
        )
        return dataset
    found = np.empty(shape, dtype=np.int16)
    place = torch.cat([torch.zeros(1, dtype=torch.long), (nodes.diff() ** 2).cumsum(0)])
    links = data.edge_index.long()
    if dataset.slices is not None:
        links = links + torch.repeat_interleave(nodes[:-1], edges.diff())
    with progress_bar("Shortest paths", len(nodes) - 1, enabled=progress) as advance:
        for begin, end in _chunks(place):
            part, rows = slice(edges[begin], edges[end]), slice(place[begin], place[end])
            own = (links[:, part] - nodes[begin]).numpy(), nodes[begin : end + 1].diff().tolist()
            found[rows] = shortest_paths(*own, num_spatial_types, None if types is None else types[part])
            advance(end - begin)
    widened = copy.copy(dataset)
    widened._data, widened._data_list = copy.copy(data), None
    widened._data["paths"] = torch.from_numpy(found)
    if dataset.slices is not None:
        widened.slices = {**dataset.slices, "paths": place}
    return widened


def _bounds(dataset: Any, key: str, count: int) -> Tensor:
    return torch.tensor([0, count]) if dataset.slices is None else torch.as_tensor(dataset.slices[key])


def _chunks(place: Tensor) -> Iterator[tuple[int, int]]:
    """Yield ranges of graphs that have some 500,000 pairs together."""
    begin = 0
    while begin < len(place) - 1:
        end = int(torch.searchsorted(place, place[begin] + _CHUNK_PAIRS, side="right")) - 1
        yield begin, max(begin + 1, end)
        begin = max(begin + 1, end)
