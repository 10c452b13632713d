"""The smallest eigenpairs of sparse matrices, against NumPy's decomposition of the dense ones."""

import numpy as np
import pytest
from scipy import sparse

from pyg_samsa.errors import NumericalError
from pyg_samsa.functional import smallest_eigenpairs as module
from pyg_samsa.functional.laplacian_spectrum import laplacian_matrix, laplacian_spectrum
from pyg_samsa.functional.node_encodings import laplacian_eigenvectors
from pyg_samsa.functional.smallest_eigenpairs import smallest_eigenpairs


def both_ways(pairs):
    edges = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2).T
    return np.concatenate([edges, edges[::-1]], axis=1)


def path(size, begin=0):
    return [(begin + i, begin + i + 1) for i in range(size - 1)]


def random_tree(size, begin, generator):
    return [(begin + int(generator.integers(0, i)), begin + i) for i in range(1, size)]


def random_pairs(size, count, seed):
    ends = np.random.default_rng(seed).integers(0, size, (count, 2))
    return {(int(min(pair)), int(max(pair))) for pair in ends if pair[0] != pair[1]}


def grid(side):
    cells = [(row, column) for row in range(side) for column in range(side)]
    right = [(side * row + column, side * row + column + 1) for row, column in cells if column + 1 < side]
    return right + [(side * row + column, side * (row + 1) + column) for row, column in cells if row + 1 < side]


def several(*sizes):
    generator, begins = np.random.default_rng(0), np.cumsum([0, *sizes])
    return [pair for size, begin in zip(sizes, begins, strict=False) for pair in random_tree(size, begin, generator)]


def dense_laplacian(edges, num_nodes, laplacian):
    adjacency = np.zeros((num_nodes, num_nodes))
    adjacency[edges[0], edges[1]] = 1
    degree = adjacency.sum(1)
    if laplacian == "none":
        return np.diag(degree) - adjacency
    scale = np.array([1 / np.sqrt(value) if value else 0 for value in degree])
    return np.eye(num_nodes) - scale[:, None] * adjacency * scale


def check(pairs, num_nodes, count, laplacian):
    edges = both_ways(pairs)
    expected = dense_laplacian(edges, num_nodes, laplacian)
    values, vectors = smallest_eigenpairs(laplacian_matrix(edges, num_nodes, laplacian)[0], count)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(expected)[:count], atol=1e-9)
    np.testing.assert_allclose(expected @ vectors, vectors * values, atol=1e-7)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(values)), atol=1e-9)
    return values, vectors


GRAPHS = {
    "isolated nodes": (path(40), 60),
    "few edges": ([(0, 7), (3, 50)], 60),
    "no edges": ([], 60),
    "equal components": ([pair for begin in range(0, 60, 3) for pair in path(3, begin)], 60),
    "components of many sizes": (several(1, 9, 2, 20, 9, 1, 5, 13), 60),
    "two large components": (several(40, 30, 1, 1), 72),
    "random": (random_pairs(80, 70, 1), 80),
    "path": (path(60), 60),
    "cycle": ([*path(60), (0, 59)], 60),
    "star": ([(0, i) for i in range(1, 60)], 60),
    "caterpillar": (path(10) + [(i, 10 + 6 * i + leaf) for i in range(10) for leaf in range(6)], 70),
    "grid": (grid(8), 64),
    "complete": ([(i, j) for i in range(40) for j in range(i)], 40),
}


@pytest.mark.parametrize("laplacian", ["sym", "none"])
@pytest.mark.parametrize("count", [1, 12, 100])
@pytest.mark.parametrize("graph", GRAPHS)
def test_large_graphs_have_all_their_eigenvalues(monkeypatch, graph, count, laplacian):
    monkeypatch.setattr(module, "_DENSE_NODES", 10)
    monkeypatch.setattr(module, "_MOST_DENSE_NODES", 0)
    monkeypatch.setattr(module, "_STEPS", 2)
    monkeypatch.setattr(module, "_MOST_ENTRIES", 200)
    check(*GRAPHS[graph], count, laplacian)


LARGE = {
    "path and isolated nodes": (path(1000), 1010),
    "isolated nodes": (path(100), 1200),
    "path and edges": (path(900) + [(900 + 2 * i, 901 + 2 * i) for i in range(100)], 1100),
    "trees": (several(1100, *[8] * 8), 1164),
    "star": ([(0, i) for i in range(1, 1101)], 1101),
    "caterpillar": (path(100) + [(i, 100 + 10 * i + leaf) for i in range(100) for leaf in range(10)], 1100),
    "grid": (grid(33), 1089),
    "random": (random_pairs(1100, 550, 1), 1100),
}


@pytest.mark.parametrize("graph", LARGE)
def test_graphs_of_more_than_a_thousand_nodes(graph):
    check(*LARGE[graph], 16, "none" if graph in ("star", "trees", "isolated nodes") else "sym")


def test_encodings_of_a_large_graph_have_the_zeros_of_all_components():
    edges = both_ways(LARGE["path and isolated nodes"][0])
    found = laplacian_spectrum(edges, 1010, 16, laplacian="none")
    assert int((found[0, 16:] < 1e-9).sum()) == 11
    found = laplacian_eigenvectors(both_ways(LARGE["random"][0]), 1100, 5, skip=0)
    expected = dense_laplacian(both_ways(LARGE["random"][0]), 1100, "sym")
    np.testing.assert_allclose(expected @ found, 0, atol=1e-6)
    np.testing.assert_allclose(found.T @ found, np.eye(5), atol=1e-6)


def test_of_equal_eigenvalues_large_components_come_first():
    pairs = [pair for size, begin in ((3, 0), (700, 3), (5, 703), (500, 708)) for pair in path(size, begin)]
    values, vectors = smallest_eigenpairs(laplacian_matrix(both_ways(pairs), 1208, "none")[0], 4)
    np.testing.assert_allclose(values, 0, atol=1e-9)
    assert [np.flatnonzero(np.abs(vectors[:, k]) > 1e-9).tolist() for k in range(4)] == [
        list(range(begin, begin + size)) for size, begin in ((700, 3), (500, 708), (5, 703), (3, 0))
    ]
    values, vectors = smallest_eigenpairs(sparse.diags_array(np.full(1200, 2.0)), 3)
    assert values.tolist() == [2, 2, 2]
    assert np.abs(vectors).argmax(0).tolist() == [0, 1, 2]


@pytest.mark.parametrize("laplacian", ["sym", "none"])
def test_nodes_may_change_places(monkeypatch, laplacian):
    monkeypatch.setattr(module, "_DENSE_NODES", 10)
    monkeypatch.setattr(module, "_MOST_DENSE_NODES", 0)
    edges, order = both_ways(several(40, 12, 1, 7)), np.random.default_rng(0).permutation(60)
    values, vectors = smallest_eigenpairs(laplacian_matrix(edges, 60, laplacian)[0], 8)
    others, moved = smallest_eigenpairs(laplacian_matrix(order[edges], 60, laplacian)[0], 8)
    np.testing.assert_allclose(others, values, atol=1e-9)
    for k in range(8):
        np.testing.assert_allclose(abs(vectors[:, k] @ moved[order, k]), 1, atol=1e-6)


def test_a_fixed_start_makes_results_reproducible():
    matrix = laplacian_matrix(both_ways(path(1100)), 1100)[0]
    assert np.array_equal(smallest_eigenpairs(matrix, 3)[1], smallest_eigenpairs(matrix, 3)[1])


@pytest.mark.parametrize(
    ("graph", "change"),
    [("complete", {}), ("path", {"_COLUMNS": 2}), ("path", {"_SPARE": 60}), ("path", {"_ROUNDS": 0})],
)
def test_dense_decompositions_where_others_cost_more_or_do_not_converge(monkeypatch, graph, change):
    calls, dense = [], module._dense
    monkeypatch.setattr(module, "_DENSE_NODES", 10)
    monkeypatch.setattr(module, "_SPARE", 1)
    monkeypatch.setattr(module, "_STEPS", 1)
    monkeypatch.setattr(module, "_dense", lambda *given: calls.append(1) or dense(*given))
    for name, value in change.items():
        monkeypatch.setattr(module, name, value)
    check(*GRAPHS[graph], 1 if graph == "complete" else 3, "sym")
    assert bool(calls) != ("_COLUMNS" in change)


def test_a_huge_component_that_does_not_converge_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "_MOST_DENSE_NODES", 1000)
    monkeypatch.setattr(module, "_ROUNDS", 0)
    with pytest.raises(NumericalError, match="a component of 1,001 nodes does not converge"):
        smallest_eigenpairs(laplacian_matrix(both_ways(path(1001)), 1001)[0], 3)


def test_the_smallest_eigenvalues_come_in_order():
    values, vectors = smallest_eigenpairs(sparse.diags_array(np.arange(40.0)[::-1].copy()), 3)
    np.testing.assert_allclose(values, [0, 1, 2], atol=1e-9)
    assert np.abs(vectors).argmax(0).tolist() == [39, 38, 37]
    values, vectors = smallest_eigenpairs(sparse.diags_array(np.arange(3000.0)[::-1].copy()), 3)
    np.testing.assert_allclose(values, [0, 1, 2], atol=1e-9)
    assert np.abs(vectors).argmax(0).tolist() == [2999, 2998, 2997]


def test_components_keep_no_other_eigenvectors_in_memory():
    matrix = sparse.block_diag([np.diag(np.arange(30.0))] * 4, format="csr")
    for found in module._of_components(matrix, 30, 2):
        assert found.base is None
