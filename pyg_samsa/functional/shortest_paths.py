"""Shortest paths between all nodes of graphs: their lengths, and the types of the edges along them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.functional.graph_index import check_ends, check_within_graphs
from pyg_samsa.functional.graph_pairs import GraphPairs
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Int, Shaped

MOST_TYPES = 2**15
"""Types of edges, and nodes of a graph, are stored as int16."""


def check_sizes(sizes: Sequence[int]) -> None:
    """Raise an error if a graph is so large that its pairs of nodes are not stored.

    Args:
        sizes: Number of nodes of each graph.

    Raises:
        ShapeError: A graph has more than 32,768 nodes.

    Example:
        >>> check_sizes([10, 2**15])
    """
    if max(sizes, default=0) > MOST_TYPES:
        raise ShapeError("nodes", f"a graph of {max(sizes):,}", f"at most {MOST_TYPES:,}, because every pair is stored")


def shortest_paths(
    edge_index: np.ndarray, sizes: Sequence[int], num_types: int, edge_type: np.ndarray | None = None
) -> np.ndarray:
    r"""Shortest paths from every node to every node of the same graph, along directed edges.

    .. math::
        \phi(i, j) = \min(d(i, j), K - 1), \quad \text{or } K \text{ if no path leads from } i \text{ to } j

    is the spatial type of `"Do Transformers Really Perform Bad for Graph Representation?"
    <https://arxiv.org/abs/2106.05234>`_. Of several shortest paths, the one with the lexicographically smallest types
    of edges counts, so that the result does not depend on the order of the nodes.

    Args:
        edge_index: Edges int [2, E] between the nodes of graphs that lie one after the other, in any order.
        sizes: Number of nodes n of each graph.
        num_types: Number K of spatial types, without that of pairs that no path joins.
        edge_type: Type of each edge [E], if the edges along the paths are asked for. Of parallel edges the smallest
            type counts.

    Raises:
        ShapeError: A graph has more than 32,768 nodes, or an edge joins two graphs.

    Returns:
        int16 [P, 1]: :math:`\phi(i, j)` of all P pairs, in the order of `GraphPairs`. With ``edge_type`` int16 [P, 3]:
        also the type of the first edge of the path, and the number in its graph of the node that this edge leads to;
        both 0 where there is no edge. See `path_types`.

    Example:
        >>> path = np.array([[0, 1], [1, 2]])
        >>> shortest_paths(path, [3], 2).reshape(3, 3).tolist()
        [[0, 1, 1], [2, 0, 1], [2, 2, 0]]
        >>> shortest_paths(path, [3], 2, np.array([5, 7]))[2].tolist()  # from 0 to 2: an edge of type 5 to node 1
        [1, 5, 1]

    Cost: for each graph O(n (E + n log n)), and O(E n log n) more with types; O(P) memory, and O(E n) with types. A
    path of 1,000 nodes takes 0.1 s without types.
    """
    check_sizes(sizes)
    ends, of_node = np.cumsum([0, *sizes]), np.repeat(np.arange(len(sizes)), sizes)
    if edge_index.size:
        check_ends(torch.from_numpy(edge_index), len(of_node))
    check_within_graphs(torch.from_numpy(edge_index), torch.from_numpy(of_node))
    graph = of_node[edge_index[0]]
    order = graph.argsort(kind="stable")
    bounds = np.searchsorted(graph[order], np.arange(len(sizes) + 1))
    types, steps, count = [np.zeros(0, dtype=np.int64)], [np.zeros((5, 0), dtype=np.int64)], 0
    for number, size in enumerate(sizes):
        some = order[bounds[number] : bounds[number + 1]]
        own = edge_index[:, some] - ends[number]
        distance = _distances(own, size)
        types.append(np.where(distance < 0, num_types, np.minimum(distance, num_types - 1)).ravel())
        if edge_type is not None:
            steps.append(_steps(own, edge_type[some], distance, count))
        count += size**2
    columns = [np.concatenate(types)]
    if edge_type is not None:
        columns += _first_steps(np.concatenate(steps, axis=1), count)
    return np.stack(columns, axis=1).astype(np.int16)


def _distances(edge_index: np.ndarray, num_nodes: int) -> np.ndarray:
    """Return the lengths of the shortest paths between all nodes of a graph; -1 where no path leads."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import shortest_path

    edges = csr_matrix((np.ones(edge_index.shape[1]), tuple(edge_index)), shape=(num_nodes, num_nodes))
    found = shortest_path(edges, method="D", unweighted=True) if num_nodes else np.zeros((0, 0))
    return np.where(np.isinf(found), -1, found).astype(np.int32)


def _steps(edge_index: np.ndarray, edge_type: np.ndarray, distance: np.ndarray, begin: int) -> np.ndarray:
    """Return all first steps of shortest paths of a graph [5, steps].

    The rows are the length of the path, the pair that it joins, the pair that the rest of it joins, the type of the
    edge, and the node that it leads to. Pairs are counted from ``begin`` on.
    """
    source, target = edge_index
    edge, goal = np.nonzero((distance[target] >= 0) & (distance[source] == distance[target] + 1))
    first = begin + goal
    pair, rest = (first + ends[edge] * len(distance) for ends in (source, target))
    return np.stack([distance[source[edge], goal], pair, rest, edge_type[edge], target[edge]]).astype(np.int64)


def _first_steps(steps: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the type of the first edge of the path of each pair, and the node that it leads to.

    Paths of one length are compared by the type of their first edge, then by the rank of their rest.
    """
    first, following, rank = np.zeros((3, count), dtype=np.int64)
    least = np.full(count, np.iinfo(np.int64).max)
    steps = steps[:, steps[0].argsort(kind="stable")]
    ends = np.searchsorted(steps[0], np.arange(2, steps[0].max(initial=1) + 1))
    for _, pair, rest, types, nodes in np.split(steps, ends, axis=1):
        key = types * count + rank[rest]
        np.minimum.at(least, pair, key)
        best = key == least[pair]  # several steps of one pair lead to paths of the same types
        first[pair[best]], following[pair[best]] = types[best], nodes[best]
        rank[pair[best]] = np.unique(key[best], return_inverse=True)[1]
    return first, following


@torch.compiler.disable  # arrays of NumPy on the CPU
def batch_paths(
    edge_index: Int[Tensor, "2 E"], index: RaggedIndex, num_types: int, edge_type: Int[Tensor, " E"] | None = None
) -> Int[Tensor, "pairs columns"]:
    r"""`shortest_paths` of the graphs of a batch, as a tensor.

    .. math::
        \phi(i, j) = \min(d(i, j), K - 1), \quad \text{or } K \text{ if no path leads from } i \text{ to } j

    Args:
        edge_index: Edges between rows of the batch.
        index: Where each graph begins and ends.
        num_types: Number K of spatial types.
        edge_type: Type of each edge, or None.

    Example:
        >>> batch_paths(torch.tensor([[0], [1]]), RaggedIndex(torch.tensor([0, 2, 3])), 4).flatten()
        tensor([0, 1, 4, 0, 0], dtype=torch.int16)

    Cost: That of `shortest_paths`, on the CPU.
    """
    types = None if edge_type is None else edge_type.cpu().numpy()
    found = shortest_paths(edge_index.cpu().numpy(), index.sizes, num_types, types)
    return torch.from_numpy(found).to(edge_index.device)


def path_types(
    paths: Int[Tensor, "pairs columns"], pairs: GraphPairs, num_types: int, stride: int = 0
) -> Int[Tensor, "P steps"]:
    r"""Return the types of the first K - 1 edges along each path; 0 after its end, and where no path leads.

    .. math::
        t_1(i, j) = \mathrm{type}(i, u), \quad t_{k+1}(i, j) = t_k(u, j)
        \quad \text{where } u \text{ follows } i \text{ on the path to } j

    Args:
        paths: From `shortest_paths` with types, of all graphs.
        pairs: The pairs of the same graphs.
        num_types: Number K of spatial types, as for `shortest_paths`.
        stride: Added to the types for each column before, so that columns can have rows of their own in one table.

    Returns:
        Types int32 [P, K]; without ``stride`` the last column is 0.

    Example:
        >>> index = RaggedIndex(torch.tensor([0, 3]))
        >>> paths = batch_paths(torch.tensor([[0, 1], [1, 2]]), index, 4, torch.tensor([5, 7]))
        >>> path_types(paths, GraphPairs(index), 4)[2].tolist()  # from 0 to 2
        [5, 7, 0, 0]

    Cost: O(P K) time, and 4 K bytes for each pair.
    """
    distance, first, following = paths.unbind(1)
    length = torch.where(distance < num_types, distance, 0)
    node, begin, size = pairs.first, pairs.begin, pairs.size
    types = torch.empty(len(pairs), num_types, dtype=torch.int32, device=paths.device)
    for step in range(num_types):
        row, goes_on = begin + node * size + pairs.second, step < length
        types[:, step] = torch.where(goes_on, first[row], 0).int() + step * stride
        node = torch.where(goes_on, following[row].long(), node)
    return types


def edge_types(edge_attr: Shaped[Tensor, "E ..."], cardinalities: Sequence[int]) -> Int[Tensor, " E"]:
    r"""Return one type for each edge, which stands for all of its categorical features.

    .. math::
        t = \sum_f e_f \prod_{g > f} k_g

    Args:
        edge_attr: Categories of the edges [E] or [E, F].
        cardinalities: Number of categories :math:`k_f` of each feature.

    Raises:
        ShapeError: The features have another number, are no integers, are out of range, or have too many combinations.

    Example:
        >>> edge_types(torch.tensor([[0, 1], [2, 0]]), [3, 2])
        tensor([1, 4])
    """
    columns = edge_attr if edge_attr.dim() > 1 else edge_attr.unsqueeze(1)
    if columns.dim() != 2 or columns.size(1) != len(cardinalities) or columns.is_floating_point():
        expected = f"integers [E, {len(cardinalities)}]"
        raise ShapeError("edge_attr", f"{list(edge_attr.shape)} {edge_attr.dtype}", expected)
    if math.prod(cardinalities) > MOST_TYPES:
        raise ShapeError("edge_attr", f"{math.prod(cardinalities):,} combinations", f"at most {MOST_TYPES:,} types")
    limit = torch.tensor(list(cardinalities), device=columns.device)
    outside = (columns < 0) | (columns >= limit)

    def explain() -> ShapeError:
        row, place = outside.nonzero()[0].tolist()
        return ShapeError(f"edge_attr of edge {row}", int(columns[row, place]), f"0 to {cardinalities[place] - 1}")

    require(outside.any(), explain)
    strides = [math.prod(cardinalities[place + 1 :]) for place in range(len(cardinalities))]
    return (columns.long() * torch.tensor(strides, device=columns.device)).sum(1)
