"""Eigenvectors of the Laplacian of a graph with their eigenvalues."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from pyg_samsa.errors import check_choice
from pyg_samsa.functional.smallest_eigenpairs import smallest_eigenpairs
from pyg_samsa.options import Option

LAPLACIANS = ("sym", "none")
VECTOR_NORMS = ("l2", "l1", "abs-max", "wavelength", "wavelength-asin", "wavelength-soft")
Laplacian = Annotated[
    str, Option("With a spectrum: the normalised Laplacian (sym, also if empty), or D - A (none).", LAPLACIANS)
]
VectorNorm = Annotated[str, Option("With a spectrum: norm of the eigenvectors; empty for l2.", VECTOR_NORMS)]
ABSENT = -1.0
"""In place of the eigenvalue of a column that a small graph does not have."""
_ZERO, _TINY = 1e-10, 1e-12


def laplacian_spectrum(
    edge_index: np.ndarray, num_nodes: int, dim: int, *, laplacian: str = "sym", vector_norm: str = "l2"
) -> np.ndarray:
    r"""The first K eigenvectors of a graph's Laplacian, and their eigenvalues in the order of the eigenvalues.

    .. math::
        L = I - D^{-1/2} A D^{-1/2} \quad \text{or} \quad L = D - A, \qquad
        L \phi_k = \lambda_k \phi_k, \qquad \lambda_1 \le \lambda_2 \le \dots

    as in `GraphGPS <https://arxiv.org/abs/2205.12454>`_, which begins with the first eigenvector. Loops do not count.
    If some edge of the graph has no reverse, every pair of neighbours counts once; else parallel edges count each. The
    sign of an eigenvector is arbitrary: here its entry of largest magnitude is positive.

    Args:
        edge_index: Edges int [2, E].
        num_nodes: Number of nodes n.
        dim: Number of eigenvectors K.
        laplacian: ``"sym"``: the normalised one; ``"none"``: :math:`D - A`.
        vector_norm: What each eigenvector is divided by, where m is its largest magnitude and :math:`\lambda` is 1
            instead of 0: ``"l2"``: its length; ``"l1"``: the sum of its magnitudes; ``"abs-max"``: m;
            ``"wavelength"``: :math:`2 m \sqrt\lambda / \pi`; ``"wavelength-soft"``: the mean of its magnitudes,
            weighted by their softmax, times :math:`\sqrt\lambda`. ``"wavelength-asin"``: it becomes
            :math:`\arcsin(\phi / m) / \sqrt\lambda`.

    Shapes:
        - **output:** float32 [n, 2 K]: entries of the eigenvectors, then the eigenvalues, the same for all nodes. Of
          columns that a graph with less than K nodes does not have, the entries are 0 and the eigenvalues -1.

    Raises:
        ConfigError: There is no such Laplacian or norm.

    Example:
        >>> path = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> laplacian_spectrum(path, 3, 4)[0, 4:].round(4).tolist()
        [0.0, 1.0, 2.0, -1.0]
        >>> laplacian_spectrum(path, 3, 1, laplacian="none", vector_norm="abs-max").round(4).tolist()
        [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]

    Cost: That of `pyg_samsa.functional.smallest_eigenpairs.smallest_eigenpairs`: O(n^3) up to 1,000 nodes; beyond, for
    each component.
    """
    check_choice("laplacian", laplacian, LAPLACIANS)
    check_choice("vector_norm", vector_norm, VECTOR_NORMS)
    out = np.concatenate([np.zeros((num_nodes, dim)), np.full((num_nodes, dim), ABSENT)], axis=1).astype(np.float32)
    if num_nodes == 0:
        return out
    matrix, degree = laplacian_matrix(edge_index, num_nodes, laplacian)
    values, vectors = smallest_eigenpairs(matrix, dim)
    values = values.clip(min=0)
    count = len(values)
    # Eigenvalues that are 0 but for rounding, which grows with the entries of the matrix.
    zero = values < _ZERO * max(1.0, degree.max())
    out[:, :count] = _normalise(with_fixed_signs(vectors), np.where(zero, 1.0, values), vector_norm)
    out[:, dim : dim + count] = values
    return out


def laplacian_matrix(edge_index: np.ndarray, num_nodes: int, laplacian: str = "sym") -> tuple[Any, np.ndarray]:
    r"""Return a graph's Laplacian as a sparse matrix, and the degrees of the nodes.

    .. math::
        L = I - D^{-1/2} A D^{-1/2} \quad \text{or} \quad L = D - A

    Args:
        edge_index: Edges int [2, E], which count as for `laplacian_spectrum`.
        num_nodes: Number of nodes n.
        laplacian: ``"sym"``: the normalised one; ``"none"``: :math:`D - A`.

    Example:
        >>> matrix, degree = laplacian_matrix(np.array([[0], [1]]), 3, "none")
        >>> matrix.toarray().tolist(), degree.tolist()
        ([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [1.0, 1.0, 0.0])

    Cost: O(n + E log E).
    """
    from scipy import sparse

    kept = edge_index[:, edge_index[0] != edge_index[1]]
    ones = np.ones(kept.shape[1])
    adjacency = sparse.coo_array((ones, (kept[0], kept[1])), shape=(num_nodes, num_nodes)).tocsr()
    if (adjacency != adjacency.T).nnz:
        adjacency = ((adjacency + adjacency.T) > 0).astype(np.float64)
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    if laplacian == "none":
        return sparse.diags_array(degree, format="csr") - adjacency, degree
    scale = sparse.diags_array(np.divide(1.0, np.sqrt(degree), out=np.zeros(num_nodes), where=degree > 0))
    return sparse.eye_array(num_nodes, format="csr") - scale @ adjacency @ scale, degree


def with_fixed_signs(vectors: np.ndarray) -> np.ndarray:
    r"""Columns whose entry of largest magnitude is positive.

    .. math::
        \phi_k \, \mathrm{sign}(\phi_{ik}), \qquad i = \arg\max_j |\phi_{jk}|

    Args:
        vectors: Columns [n, K].

    Example:
        >>> with_fixed_signs(np.array([[1.0, 2.0], [-3.0, 1.0]])).tolist()
        [[-1.0, 2.0], [3.0, 1.0]]
    """
    largest = np.abs(vectors.round(6)).argmax(0, keepdims=True)
    return vectors * np.where(np.take_along_axis(vectors, largest, 0) < 0, -1.0, 1.0)


def _normalise(vectors: np.ndarray, values: np.ndarray, norm: str) -> np.ndarray:
    size = np.abs(vectors)
    root = np.sqrt(values)
    most = size.max(0)
    if norm == "wavelength-asin":
        return np.arcsin((vectors / most).clip(-1, 1)) / root
    weights = np.exp(size - most)
    divisor = {
        "l2": np.sqrt((size**2).sum(0)),
        "l1": size.sum(0),
        "abs-max": most,
        "wavelength": most * root * 2 / np.pi,
        "wavelength-soft": (weights * size).sum(0) / weights.sum(0) * root,
    }[norm]
    return vectors / divisor.clip(min=_TINY)
