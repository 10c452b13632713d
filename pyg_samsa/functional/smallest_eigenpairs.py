"""The smallest eigenvalues of sparse matrices of graphs, and their eigenvectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pyg_samsa.errors import NumericalError

_DENSE_NODES = 1000
_MOST_DENSE_NODES = 8000
_MOST_ENTRIES = 2**24
_SHIFT = 1e-6
_SPARE, _STEPS, _COLUMNS, _ROUNDS = 8, 8, 512, 40
_DIGITS = 10
_ROUNDING, _RESIDUAL, _OF_LARGEST = 1e-13, 1e-9, 1e-6


def smallest_eigenpairs(matrix: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    r"""The smallest eigenvalues of a symmetric matrix without negative ones, in order, and their eigenvectors.

    .. math::
        L \phi_k = \lambda_k \phi_k, \qquad \lambda_1 \le \dots \le \lambda_K, \qquad
        \phi_j \cdot \phi_k = [j = k]

    An eigenvalue counts as often as it has independent eigenvectors, such as the eigenvalue 0 of a Laplacian: once for
    each connected component. Up to 1,000 rows, the matrix is decomposed as a whole. A larger one is decomposed
    component by component, so each eigenvector is that of one component; of equal eigenvalues, those of larger
    components come first, then those of earlier rows. Components of more than 1,000 rows take a block Krylov method
    with the inverse of :math:`L + 10^{-6}` (`Halko et al. <https://arxiv.org/abs/0909.4061>`_): it starts from K + 8
    random vectors, so it finds K eigenvectors of a repeated eigenvalue too.

    Args:
        matrix: A sparse matrix of SciPy [n, n].
        count: Number of eigenvalues K; of more than n, there are n.

    Raises:
        NumericalError: A component of more than 8,000 rows does not converge.

    Example:
        >>> from scipy import sparse
        >>> smallest_eigenpairs(sparse.diags_array([3.0, 1.0, 2.0, 5.0]), 2)[0].round(6).tolist()
        [1.0, 2.0]

    Cost: O(m^3) for each component of m rows up to 1,000. Beyond, a sparse factorisation, and usually one to ten times
    9 (K + 8) solves with it; up to 8,000 rows, O(m^3) if its factors would fill an eighth of a dense matrix.
    """
    from scipy.sparse.csgraph import connected_components

    matrix = matrix.tocsr()
    rows = matrix.shape[0]
    if rows <= max(_DENSE_NODES, count):
        values, vectors = np.linalg.eigh(matrix.toarray())
        return values[:count], vectors[:, :count]
    _, component = connected_components(matrix, directed=False)
    sizes = np.bincount(component)
    order = np.lexsort((component, sizes[component]))
    matrix = matrix[order][:, order]
    # Of components of one size: eigenvalues, their size, where they begin among the sorted rows, and eigenvectors.
    found: list[tuple[np.ndarray, int, np.ndarray, np.ndarray]] = []
    for begin, end, size in _ranges(np.sort(sizes)):
        values, vectors = _of_components(matrix[begin:end, begin:end], size, count)
        found.append((values, size, np.arange(begin, end, size), vectors))
    value = np.concatenate([values.ravel() for values, _, _, _ in found])
    of_size = np.concatenate([np.full(values.size, size) for values, size, _, _ in found])
    part = np.concatenate([np.full(values.size, number) for number, (values, _, _, _) in enumerate(found)])
    place = np.concatenate([np.arange(values.size) for values, _, _, _ in found])
    scale = max(1.0, float(matrix.diagonal().max()))
    chosen = np.lexsort((-of_size, (value / scale).round(_DIGITS)))[:count]
    out = np.zeros((rows, count))
    for column, pair in enumerate(chosen):
        values, size, begins, vectors = found[part[pair]]
        own, which = divmod(int(place[pair]), values.shape[1])
        out[order[begins[own] : begins[own] + size], column] = vectors[own, :, which]
    return value[chosen], out


def _ranges(sizes: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yield ranges of rows that are components of one size, as many as are decomposed at once, and the size."""
    begin = 0
    for size, number in zip(*np.unique(sizes, return_counts=True), strict=True):
        rows, at_once = int(size), max(1, _MOST_ENTRIES // int(size) ** 2)
        for first in range(0, int(number), at_once):
            end = begin + rows * min(at_once, int(number) - first)
            yield begin, end, rows
            begin = end


def _of_components(matrix: Any, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest eigenvalues [c, K] of each of c components of one size, and the eigenvectors [c, size, K]."""
    if size > _DENSE_NODES:
        values, vectors = _of_large(matrix, min(count, size))
        return values[None], vectors[None]
    entries = matrix.tocoo()
    dense = np.zeros((matrix.shape[0] // size, size, size))
    dense[entries.row // size, entries.row % size, entries.col % size] = entries.data
    values, vectors = np.linalg.eigh(dense)
    # Copies, because views would keep all eigenvectors of all components in memory.
    return values[:, :count].copy(), vectors[:, :, :count].copy()


def _of_large(matrix: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest eigenpairs of one large component."""
    from scipy import sparse
    from scipy.sparse.linalg import splu

    rows, width = matrix.shape[0], count + _SPARE
    steps = min(_STEPS, max(2, _COLUMNS // width - 1))
    can_be_dense = rows <= _MOST_DENSE_NODES
    if 2 * width * (steps + 1) > rows and can_be_dense:
        return _dense(matrix, count)
    # The shift makes the matrix positive definite, so that it needs no pivoting.
    shifted = (matrix + _SHIFT * sparse.eye_array(rows)).tocsc()
    symmetric: dict[str, Any] = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0}
    factors = splu(shifted, **symmetric, options={"SymmetricMode": True})
    if factors.nnz > rows**2 // 8 and can_be_dense:
        return _dense(matrix, count)
    scale = max(1.0, float(matrix.diagonal().max()))
    # A fixed start makes the result reproducible.
    start = np.linalg.qr(np.random.default_rng(0).standard_normal((rows, width)))[0]
    for _ in range(_ROUNDS):
        blocks = [start]
        for _ in range(steps):
            new = factors.solve(blocks[-1])
            for block in blocks:
                new -= block @ (block.T @ new)
            blocks.append(np.linalg.qr(new)[0])
        basis = np.linalg.qr(np.hstack(blocks))[0]
        values, within = np.linalg.eigh(basis.T @ (matrix @ basis))
        start, values = basis @ within[:, :width], values[:width]
        left = np.linalg.norm(matrix @ start[:, :count] - start[:, :count] * values[:count], axis=0).max()
        # Small eigenvalues lie close together: what is left must be small beside them too.
        if left <= max(_ROUNDING * scale, min(_RESIDUAL * scale, _OF_LARGEST * values[-1])):
            return values[:count], start[:, :count]
    if can_be_dense:
        return _dense(matrix, count)
    hint = "Encodings by random walks need no eigenvectors: pe.kind rwse."
    raise NumericalError("eigenvectors", f"a component of {rows:,} nodes does not converge", hint=hint)


def _dense(matrix: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.linalg import eigh

    values, vectors = eigh(matrix.toarray(), subset_by_index=[0, count - 1], overwrite_a=True, check_finite=False)
    return values, vectors
