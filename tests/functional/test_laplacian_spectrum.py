import numpy as np
import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import laplacian_spectrum as spectrum_module
from pyg_samsa.functional import smallest_eigenpairs as module
from pyg_samsa.functional.laplacian_spectrum import (
    VECTOR_NORMS,
    laplacian_spectrum,
    with_fixed_signs,
)
from tests.random_graphs import random_graph


def matrix(edges, num_nodes, laplacian):
    adjacency = np.zeros((num_nodes, num_nodes))
    for source, target in edges.T:
        adjacency[source, target] += source != target
    degree = adjacency.sum(1)
    out = np.zeros((num_nodes, num_nodes))
    for i in range(num_nodes):
        for j in range(num_nodes):
            if laplacian == "none":
                out[i, j] = degree[i] * (i == j) - adjacency[i, j]
            else:
                weight = adjacency[i, j] / np.sqrt(degree[i] * degree[j]) if adjacency[i, j] else 0.0
                out[i, j] = (i == j) - weight
    return out


def divisor(column, value, norm):
    """Return by what an eigenvector is divided."""
    size, root = [abs(entry) for entry in column], np.sqrt(value) if value > 1e-8 else 1.0
    if norm == "wavelength-soft":
        weights = [np.exp(entry) for entry in size]
        return sum(a * b for a, b in zip(weights, size, strict=True)) / sum(weights) * root
    return {
        "l2": np.sqrt(sum(entry**2 for entry in size)),
        "l1": sum(size),
        "abs-max": max(size),
        "wavelength": 2 * max(size) * root / np.pi,
    }[norm]


@pytest.mark.parametrize("laplacian", ["sym", "none"])
@pytest.mark.parametrize(("num_nodes", "num_edges"), [(1, 0), (2, 1), (6, 0), (9, 7), (12, 40)])
def test_pairs_solve_the_equation_in_order(num_nodes, num_edges, laplacian):
    edges, dim = random_graph(num_nodes, num_edges, 3).numpy(), 5
    found = laplacian_spectrum(edges, num_nodes, dim, laplacian=laplacian)
    assert found.shape == (num_nodes, 2 * dim)
    assert found.dtype == np.float32
    there = min(dim, num_nodes)
    vectors, values = found[:, :there], found[:, dim : dim + there]
    expected = matrix(edges, num_nodes, laplacian)
    np.testing.assert_allclose(values, np.tile(np.linalg.eigvalsh(expected)[:there], (num_nodes, 1)), atol=1e-5)
    assert bool((values >= 0).all())
    np.testing.assert_allclose(expected @ vectors, vectors * values, atol=1e-4)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(there), atol=1e-5)
    assert not found[:, there:dim].any()
    assert bool((found[:, dim + there :] == -1).all())


@pytest.mark.parametrize("norm", VECTOR_NORMS)
@pytest.mark.parametrize("laplacian", ["sym", "none"])
def test_norms_of_eigenvectors(laplacian, norm):
    edges = random_graph(8, 9, 5).numpy()
    length_one = laplacian_spectrum(edges, 8, 8, laplacian=laplacian).astype(np.float64)
    found = laplacian_spectrum(edges, 8, 8, laplacian=laplacian, vector_norm=norm)
    assert np.array_equal(found[:, 8:], length_one[:, 8:].astype(np.float32))
    for k in range(8):
        column, value = length_one[:, k], length_one[0, 8 + k]
        if norm == "wavelength-asin":
            most = max(abs(entry) for entry in column)
            expected = [np.arcsin(entry / most) / (np.sqrt(value) if value > 1e-8 else 1) for entry in column]
        else:
            expected = column / divisor(column, value, norm)
        # At its largest entry, an arcsine changes with the root of the rounding.
        np.testing.assert_allclose(found[:, k], expected, atol=2e-3 if norm == "wavelength-asin" else 1e-4)


@pytest.mark.parametrize("laplacian", ["sym", "none"])
def test_an_edge_without_its_reverse_counts_once(laplacian):
    edges = random_graph(7, 12, 2).numpy()
    one_way = edges[:, edges[0] < edges[1]]
    assert one_way.shape[1] < edges.shape[1]
    expected = laplacian_spectrum(edges, 7, 4, laplacian=laplacian)
    doubled = np.concatenate([one_way, one_way[:, :2]], axis=1)
    for other in (one_way, doubled, np.concatenate([edges, [[3], [3]]], axis=1)):
        np.testing.assert_allclose(laplacian_spectrum(other, 7, 4, laplacian=laplacian), expected, atol=1e-6)


def test_parallel_edges_count_each():
    edges = np.array([[0, 1, 0, 1, 1, 2], [1, 0, 1, 0, 2, 1]])
    found = laplacian_spectrum(edges, 3, 3, laplacian="none")
    np.testing.assert_allclose(found[0, 3:], np.linalg.eigvalsh(matrix(edges, 3, "none")), atol=1e-6)


def test_a_graph_without_nodes():
    assert laplacian_spectrum(np.zeros((2, 0), dtype=np.int64), 0, 3).shape == (0, 6)


@pytest.mark.parametrize("laplacian", ["sym", "none"])
def test_large_graphs_take_another_way_to_the_same(monkeypatch, laplacian):
    edges = random_graph(60, 150, 0).numpy()
    dense = laplacian_spectrum(edges, 60, 5, laplacian=laplacian)
    monkeypatch.setattr(module, "_DENSE_NODES", 10)
    found = laplacian_spectrum(edges, 60, 5, laplacian=laplacian)
    np.testing.assert_allclose(found[:, 5:], dense[:, 5:], atol=1e-5)
    vectors = found[:, :5]
    np.testing.assert_allclose(matrix(edges, 60, laplacian) @ vectors, vectors * found[0, 5:], atol=1e-4)
    # As many eigenvectors as nodes are not a matter of the sparse way.
    assert laplacian_spectrum(edges, 60, 60, laplacian=laplacian).shape == (60, 120)


@pytest.mark.parametrize(("rounding", "divided"), [(5e-9, False), (5e-8, True)])
def test_rounding_that_counts_as_zero_grows_with_the_degrees(monkeypatch, rounding, divided):
    edges = np.tile([[0, 1], [1, 0]], 100)
    vectors = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
    monkeypatch.setattr(spectrum_module, "smallest_eigenpairs", lambda *_: (np.array([rounding, 200.0]), vectors))
    found = laplacian_spectrum(edges, 2, 2, laplacian="none", vector_norm="wavelength")
    expected = np.pi / 2 / (np.sqrt(rounding) if divided else 1)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-5)


def test_signs_are_fixed():
    columns = np.random.default_rng(0).standard_normal((6, 4))
    found = with_fixed_signs(columns)
    assert np.array_equal(found, with_fixed_signs(-columns))
    assert np.array_equal(np.abs(found), np.abs(columns))
    assert bool((found.max(0) == np.abs(found).max(0)).all())


@pytest.mark.parametrize(("key", "value"), [("laplacian", "rw"), ("vector_norm", "L2")])
def test_unknown_forms_are_refused(key, value):
    with pytest.raises(ConfigError, match=f"{key}: got '{value}'"):
        laplacian_spectrum(np.zeros((2, 0), dtype=np.int64), 2, 3, **{key: value})
