import itertools
import time

import numpy as np
import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.graph_pairs import GraphPairs
from pyg_samsa.functional.shortest_paths import batch_paths, edge_types, path_types, shortest_paths


def all_shortest_paths(edges, nodes, start):
    """Every shortest path from a node, as tuples of edges, found by walking all paths of growing length."""
    paths, frontier = {start: [()]}, {start: [()]}
    while frontier:
        following = {}
        for node, known in frontier.items():
            for edge, (source, target) in enumerate(edges):
                if source == node and target not in paths:
                    following.setdefault(target, []).extend((*path, edge) for path in known)
        paths |= following
        frontier = following
    return paths


def literal(edges, types, nodes, num_types):
    """Spatial type and types along the path of each pair: the smallest among all shortest paths."""
    spatial, along = {}, {}
    for start in range(nodes):
        paths = all_shortest_paths(edges, nodes, start)
        for goal in range(nodes):
            if goal not in paths:
                spatial[start, goal], along[start, goal] = num_types, [0] * num_types
                continue
            best = min([types[edge] for edge in path] for path in paths[goal])
            spatial[start, goal] = min(len(best), num_types - 1)
            along[start, goal] = (best[: num_types - 1] + [0] * num_types)[:num_types]
    return spatial, along


def graph(nodes, edges, seed):
    generator = np.random.default_rng(seed)
    ends = generator.integers(0, nodes, (2, edges))
    return ends, generator.integers(0, 3, edges)


GRAPHS = {
    "sparse": graph(9, 12, 0),
    "dense": graph(7, 25, 1),
    "loops and parallel edges": (np.array([[0, 0, 0, 1, 1], [0, 1, 1, 2, 2]]), np.array([2, 1, 0, 2, 1])),
    "ring": (np.array([[0, 1, 2, 3, 1, 2, 3, 0], [1, 2, 3, 0, 0, 1, 2, 3]]), np.array([1, 2, 1, 2, 1, 2, 1, 2])),
    "path": (np.array([range(11), range(1, 12)]), np.arange(11)),
    "no edges": (np.zeros((2, 0), dtype=np.int64), np.zeros(0, dtype=np.int64)),
}
NODES = {"sparse": 9, "dense": 7, "loops and parallel edges": 4, "ring": 4, "path": 12, "no edges": 3}


@pytest.mark.parametrize("num_types", [1, 2, 4, 20])
@pytest.mark.parametrize("name", GRAPHS)
def test_paths_are_those_of_a_literal_search(name, num_types):
    (ends, types), nodes = GRAPHS[name], NODES[name]
    spatial, along = literal(list(zip(*ends.tolist(), strict=True)), types.tolist(), nodes, num_types)
    found = shortest_paths(ends, [nodes], num_types, types)
    assert found.shape == (nodes**2, 3)
    everyone = list(itertools.product(range(nodes), repeat=2))
    assert found[:, 0].tolist() == [spatial[pair] for pair in everyone]
    assert np.array_equal(shortest_paths(ends, [nodes], num_types), found[:, :1])
    steps = path_types(torch.from_numpy(found), GraphPairs(RaggedIndex.from_sizes([nodes])), num_types)
    assert steps.tolist() == [along[pair] for pair in everyone]


def test_graphs_without_nodes_and_of_one_node():
    none = np.zeros((2, 0), dtype=np.int64)
    assert shortest_paths(none, [0], 4).shape == (0, 1)
    assert shortest_paths(none, [0], 4, none[0]).shape == (0, 3)
    assert shortest_paths(none, [], 4, none[0]).shape == (0, 3)
    assert shortest_paths(none, [1], 4).tolist() == [[0]]
    assert shortest_paths(np.array([[0], [0]]), [1], 4, np.array([2])).tolist() == [[0, 0, 0]]
    with pytest.raises(ShapeError, match="32,768"):
        shortest_paths(none, [2**15 + 1], 4)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_nodes_does_not_matter(seed):
    """A ring of alternating types has two shortest paths between opposite nodes."""
    ends, types = GRAPHS["ring"] if seed == 0 else graph(8, 20, seed)
    nodes = int(ends.max()) + 1
    perm = np.random.default_rng(seed).permutation(nodes)
    pairs = GraphPairs(RaggedIndex.from_sizes([nodes]))

    def tables(links):
        found = torch.from_numpy(shortest_paths(links, [nodes], 5, types))
        return torch.cat([found[:, :1].long(), path_types(found, pairs, 5)], 1).view(nodes, nodes, -1)

    assert torch.equal(tables(perm[ends])[perm][:, perm], tables(ends))


def test_a_batch_is_its_graphs():
    sizes, parts = [9, 0, 7, 3], [GRAPHS["sparse"], (np.zeros((2, 0), dtype=np.int64), np.zeros(0, np.int64))]
    parts += [GRAPHS["dense"], GRAPHS["no edges"]]
    index = RaggedIndex.from_sizes(sizes)
    begins = index.ptr[:-1].tolist()
    edges = torch.cat([torch.from_numpy(ends) + begin for (ends, _), begin in zip(parts, begins, strict=True)], 1)
    types = torch.cat([torch.from_numpy(types) for _, types in parts])
    order = torch.randperm(edges.size(1), generator=torch.Generator().manual_seed(0))
    found = batch_paths(edges[:, order], index, 6, types[order])
    expected = [shortest_paths(ends, [size], 6, types) for (ends, types), size in zip(parts, sizes, strict=True)]
    pairs = GraphPairs(index)
    together = torch.from_numpy(np.concatenate(expected))
    assert torch.equal(found[:, 0], together[:, 0])
    assert torch.equal(path_types(found, pairs, 6), path_types(together, pairs, 6))
    assert torch.equal(batch_paths(edges, index, 6), found[:, :1])


def test_types_of_edges_stand_for_all_features():
    attr = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(4))
    assert edge_types(attr, [3, 2, 4]).tolist() == list(range(24))
    assert edge_types(torch.tensor([2, 0]), [3]).tolist() == [2, 0]
    with pytest.raises(ShapeError, match=r"edge 1.*got 3, expected 0 to 2"):
        edge_types(torch.tensor([[0], [3]]), [3])
    for wrong, sizes in ((torch.ones(2, 3).long(), [3]), (torch.ones(2), [3]), (torch.ones(2, 2).long(), [300, 300])):
        with pytest.raises(ShapeError, match="edge_attr"):
            edge_types(wrong, sizes)


def test_long_paths_take_no_longer_than_short_ones():
    """A path of 1,000 nodes, in both directions; a search step by step takes seconds."""
    ends = np.arange(999)
    path = np.stack([np.r_[ends, ends + 1], np.r_[ends + 1, ends]])
    begin = time.process_time()
    found = shortest_paths(path, [1000], 1001)
    assert time.process_time() - begin < 1
    nodes = np.arange(1000)
    assert np.array_equal(found.reshape(1000, 1000), abs(nodes[:, None] - nodes))


def test_edges_between_two_graphs_are_named():
    with pytest.raises(ShapeError, match="an edge between two graphs of the batch"):
        shortest_paths(np.array([[0], [2]]), [2, 2], 4)
    with pytest.raises(ShapeError, match="node 4, expected nodes 0 to 3"):
        shortest_paths(np.array([[0], [4]]), [2, 2], 4)


def test_types_can_have_rows_of_their_own_for_each_step():
    ends, types = GRAPHS["dense"]
    paths, pairs = torch.from_numpy(shortest_paths(ends, [7], 4, types)), GraphPairs(RaggedIndex.from_sizes([7]))
    found = path_types(paths, pairs, 4, 3)
    assert found.dtype == torch.int32
    assert torch.equal(found, path_types(paths, pairs, 4) + 3 * torch.arange(4, dtype=torch.int32))
