import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE
from torch_geometric.utils import to_undirected

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import node_encodings, smallest_eigenpairs
from pyg_samsa.functional.node_encodings import (
    dense_return_probabilities,
    laplacian_eigenvectors,
    return_probabilities,
)
from pyg_samsa.functional.ragged import RaggedIndex
from tests.random_graphs import random_graph


def walk_oracle(edge_index, num_nodes, dim):
    adjacency = np.zeros((num_nodes, num_nodes))
    for source, target in edge_index.T:
        adjacency[source, target] += 1
    step = np.divide(
        adjacency,
        adjacency.sum(1, keepdims=True),
        out=np.zeros_like(adjacency),
        where=adjacency.sum(1, keepdims=True) > 0,
    )
    return np.stack([np.diag(np.linalg.matrix_power(step, power)) for power in range(1, dim + 1)], axis=1)


def laplacian_oracle(edge_index, num_nodes):
    adjacency = np.zeros((num_nodes, num_nodes))
    for source, target in edge_index.T:
        if source != target:
            adjacency[source, target] += 1
    if (adjacency != adjacency.T).any():
        adjacency = np.maximum(adjacency, adjacency.T).clip(max=1)
    degree = adjacency.sum(1)
    scale = np.array([1 / np.sqrt(value) if value else 0 for value in degree])
    return np.eye(num_nodes) - scale[:, None] * adjacency * scale[None]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("num_nodes", "num_edges"), [(1, 0), (2, 1), (6, 0), (9, 7), (12, 40)])
def test_walks_against_powers_of_the_matrix(num_nodes, num_edges, seed):
    edges = random_graph(num_nodes, num_edges, seed).numpy()
    found = return_probabilities(edges, num_nodes, 7)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, walk_oracle(edges, num_nodes, 7), atol=1e-6)


def test_walks_on_directed_and_parallel_edges():
    edges = np.array([[0, 1, 2, 0, 0, 3], [1, 2, 0, 2, 2, 3]])
    np.testing.assert_allclose(return_probabilities(edges, 5, 6), walk_oracle(edges, 5, 6), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_walks_are_those_of_pyg(seed):
    edges = random_graph(11, 20, seed)
    theirs = AddRandomWalkPE(9)(Data(edge_index=edges, num_nodes=11)).random_walk_pe
    np.testing.assert_allclose(return_probabilities(edges.numpy(), 11, 9), theirs.numpy(), atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("num_nodes", "num_edges"), [(1, 0), (2, 1), (6, 0), (9, 7), (12, 40)])
def test_eigenvectors_solve_the_equation_in_order(num_nodes, num_edges, seed):
    edges, dim = random_graph(num_nodes, num_edges, seed).numpy(), 5
    found = laplacian_eigenvectors(edges, num_nodes, dim)
    assert found.shape == (num_nodes, dim)
    assert found.dtype == np.float32
    laplacian, there = laplacian_oracle(edges, num_nodes), min(dim, num_nodes - 1)
    values = np.linalg.eigvalsh(laplacian)[1 : there + 1]
    np.testing.assert_allclose(laplacian @ found[:, :there], found[:, :there] * values, atol=1e-5)
    np.testing.assert_allclose(found[:, :there].T @ found[:, :there], np.eye(there), atol=1e-5)
    assert not found[:, there:].any()
    largest = np.take_along_axis(found, np.abs(found.round(5)).argmax(0, keepdims=True), 0)
    assert bool((largest >= 0).all())


def test_eigenvectors_are_those_of_pyg_up_to_sign():
    for seed in range(3):
        edges = random_graph(14, 40, seed)
        theirs = AddLaplacianEigenvectorPE(3, is_undirected=True)(
            Data(edge_index=edges, num_nodes=14)
        ).laplacian_eigenvector_pe.numpy()
        ours = laplacian_eigenvectors(edges.numpy(), 14, 3)
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-4)


@pytest.mark.parametrize("skip", [0, 1])
def test_an_edge_without_its_reverse_counts_once(skip):
    edges = torch.tensor([[0, 1, 1, 2, 3, 0], [1, 0, 2, 3, 4, 2]])
    found = laplacian_eigenvectors(edges.numpy(), 5, 5 - skip, skip=skip)
    expected = laplacian_eigenvectors(to_undirected(edges).numpy(), 5, 5 - skip, skip=skip)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    values = np.linalg.eigvalsh(laplacian_oracle(edges.numpy(), 5))[skip:]
    np.testing.assert_allclose(laplacian_oracle(edges.numpy(), 5) @ found, found * values, atol=1e-6)


def test_large_graphs_take_another_way_to_the_same(monkeypatch):
    edges = random_graph(60, 150, 0).numpy()
    dense = laplacian_eigenvectors(edges, 60, 4)
    monkeypatch.setattr(smallest_eigenpairs, "_DENSE_NODES", 10)
    sparse = laplacian_eigenvectors(edges, 60, 4)
    assert np.array_equal(sparse, laplacian_eigenvectors(edges, 60, 4))
    np.testing.assert_allclose(sparse, dense, atol=1e-4)


@pytest.mark.parametrize("kind", ["lap", "rwse"])
def test_the_graphs_of_a_batch_do_not_see_each_other(kind):
    sizes = (5, 1, 0, 8)
    graphs = [random_graph(size, 2 * size if size > 1 else 0, size) for size in sizes]
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    edges = torch.cat([graph + begin for graph, begin in zip(graphs, ptr, strict=False)], 1)
    found = node_encodings.node_encodings(kind, 4, edges[:, torch.randperm(edges.size(1))], RaggedIndex(ptr))
    compute = {"lap": laplacian_eigenvectors, "rwse": return_probabilities}[kind]
    alone = [compute(graph.numpy(), size, 4) for graph, size in zip(graphs, sizes, strict=True)]
    np.testing.assert_allclose(found.numpy(), np.concatenate(alone), atol=1e-6)


def test_both_encodings_stand_side_by_side():
    edges, index = random_graph(6, 12, 1), RaggedIndex(torch.tensor([0, 6]))
    found = node_encodings.node_encodings("lap+rwse", 5, edges, index, eigenvectors=2)
    assert torch.equal(found[:, :2], node_encodings.node_encodings("lap", 2, edges, index))
    assert torch.equal(found[:, 2:], node_encodings.node_encodings("rwse", 3, edges, index))
    for count in (0, 5):
        with pytest.raises(ConfigError, match="eigenvectors"):
            node_encodings.node_encodings("lap+rwse", 5, edges, index, eigenvectors=count)


def test_unknown_encodings_are_refused():
    with pytest.raises(ConfigError, match=r"pe\.kind: got 'signnet'"):
        node_encodings.node_encodings("signnet", 4, torch.empty(2, 0, dtype=torch.long), RaggedIndex(torch.tensor([0])))


GRAPHS = st.integers(1, 9).flatmap(
    lambda nodes: st.tuples(st.just(nodes), st.lists(st.tuples(*[st.integers(0, nodes - 1)] * 2), max_size=12))
)


@given(GRAPHS)
def test_dense_walks_are_those_of_sparse_ones(graph):
    nodes, edges = graph
    array = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    found = dense_return_probabilities(torch.from_numpy(array), nodes, 5)
    np.testing.assert_allclose(found.numpy(), return_probabilities(array, nodes, 5), atol=1e-6)


def test_the_first_eigenvector_tells_the_degrees_and_the_others_follow():
    edges = random_graph(9, 20, 0).numpy()
    edges = edges[:, (edges < 8).all(0)]
    found = laplacian_eigenvectors(edges, 8, 8, skip=0)
    np.testing.assert_allclose(found.T @ found, np.eye(8), atol=1e-6)
    assert np.array_equal(found[:, 1:], laplacian_eigenvectors(edges, 8, 7))
    degree = np.bincount(edges[0], minlength=8)
    np.testing.assert_allclose(found[:, 0], np.sqrt(degree / degree.sum()), atol=1e-6)
    index = RaggedIndex(torch.tensor([0, 8]))
    both = node_encodings.node_encodings("lap1", 3, torch.from_numpy(edges), index)
    np.testing.assert_array_equal(both.numpy(), found[:, :3])


def test_the_first_eigenvector_of_a_large_graph(monkeypatch):
    edges = random_graph(60, 300, 1).numpy()
    dense = laplacian_eigenvectors(edges, 60, 4, skip=0)
    monkeypatch.setattr(smallest_eigenpairs, "_DENSE_NODES", 10)
    np.testing.assert_allclose(laplacian_eigenvectors(edges, 60, 4, skip=0), dense, atol=1e-5)


def test_a_spectrum_has_two_columns_for_each_eigenvector():
    edges, index = random_graph(6, 12, 1), RaggedIndex(torch.tensor([0, 6, 6]))
    form = {"laplacian": "none", "vector_norm": "l1"}
    found = node_encodings.node_encodings("spectrum", 8, edges, index, **form)
    expected = node_encodings.laplacian_spectrum(edges.numpy(), 6, 4, **form)
    assert np.array_equal(found.numpy(), expected)
    both = node_encodings.node_encodings("spectrum+rwse", 11, edges, index, eigenvectors=4, **form)
    assert torch.equal(both[:, :8], found)
    assert torch.equal(both[:, 8:], node_encodings.node_encodings("rwse", 3, edges, index))
    with pytest.raises(ConfigError, match="eigenvectors"):
        node_encodings.node_encodings("spectrum+rwse", 8, edges, index, eigenvectors=4)
    with pytest.raises(ConfigError, match="dim: got 7, expected an even number"):
        node_encodings.node_encodings("spectrum", 7, edges, index)
