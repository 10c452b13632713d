r"""A kernel of molecules: a rational quadratic of their properties, and the overlap of their fragments.

.. math::
    k(x, x') = v \Bigl(1 + \frac{|z - z'|^2}{2 \alpha \ell^2}\Bigr)^{-\alpha}
        + u \, \frac{\sum_f \min(c_f, c'_f)}{\sum_f \max(c_f, c'_f)}

z are scaled properties, c counts of fragments. The second term is the Tanimoto similarity of counts (Ralaivola et al.,
`"Graph kernels for chemical informatics" <https://doi.org/10.1016/j.neunet.2005.07.009>`_, 2005); of two molecules
without fragments it is 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

NUMBERS = ("variance", "length_scale", "alpha", "overlap", "noise")
LARGEST_COUNT = 255
_UNARY = 4096
_START = (1.0, 1.0, 1.0, 1.0, 0.1)
_BOUNDS = ((1e-4, 1e3), (1e-2, 1e3), (1e-2, 1e3), (1e-4, 1e3), (1e-4, 1e1))


@dataclass(frozen=True)
class KernelNumbers:
    r"""Numbers of the kernel, and the noise of the targets.

    Args:
        variance: Factor v of the rational quadratic.
        length_scale: Length :math:`\ell`.
        alpha: Mixture :math:`\alpha` of length scales.
        overlap: Factor u of the overlap of fragments.
        noise: Variance of the noise.

    Example:
        >>> KernelNumbers(1.0, 1.0, 2.0, 0.5, 0.1).overlap
        0.5
    """

    variance: float
    length_scale: float
    alpha: float
    overlap: float
    noise: float


@dataclass(frozen=True)
class KernelRows:
    """What the kernel reads of n molecules.

    Args:
        z: Scaled properties, float32 [n, S].
        counts: Counts of the T fragments of the training molecules, uint8 [n, T].
        totals: Sum of the counts of all fragments, float64 [n]; it is larger where a fragment was not in training.

    Example:
        >>> rows = KernelRows(np.zeros((2, 1), np.float32), np.array([[2, 0], [1, 1]], np.uint8), np.array([2.0, 2.0]))
        >>> rows.overlaps(rows)[0].round(3).tolist()
        [1.0, 0.333]
    """

    z: np.ndarray
    counts: np.ndarray
    totals: np.ndarray

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows: np.ndarray | slice) -> KernelRows:
        return KernelRows(self.z[rows], self.counts[rows], self.totals[rows])

    @cached_property
    def _levels(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns and levels such that some molecule has at least that many fragments of that column."""
        most = self.counts.max(0, initial=0).astype(np.int64)
        columns = np.repeat(np.arange(len(most)), most)
        return columns, np.concatenate([np.empty(0, np.int64), *(np.arange(1, count + 1) for count in most)])

    def squared_distances(self, other: KernelRows) -> np.ndarray:
        """Return the squared distances of properties, float64 [len(self), len(other)]."""
        from scipy.spatial.distance import cdist

        if not self.z.shape[1]:
            return np.zeros((len(self), len(other)))
        return cdist(self.z, other.z, "sqeuclidean")

    def overlaps(self, other: KernelRows) -> np.ndarray:
        r"""Return the overlaps of fragments, float64 [len(self), len(other)].

        A minimum of counts is a product of unary numbers:

        .. math::
            \min(c, c') = \sum_{l \ge 1} [c \ge l] \, [c' \ge l]

        Cost: O(n m L) for the L levels, the sum over the fragments of their largest counts: some thousands for small
        molecules, tens of thousands for peptides.
        """
        columns, levels = other._levels
        shared = np.zeros((len(self), len(other)))
        for start in range(0, len(columns), _UNARY):
            column, level = columns[start : start + _UNARY], levels[start : start + _UNARY]
            own, others = ((rows.counts[:, column] >= level).astype(np.float32) for rows in (self, other))
            shared += own @ others.T
        union = self.totals[:, None] + other.totals - shared
        return np.divide(shared, union, out=np.ones_like(shared), where=union > 0)

    def pairs(self, other: KernelRows) -> KernelPairs:
        """Return distances and overlaps with other molecules; they do not depend on the numbers of the kernel.

        Example:
            >>> rows = KernelRows(np.array([[0.0], [2.0]], np.float32), np.empty((2, 0), np.uint8), np.zeros(2))
            >>> rows.pairs(rows).distances.tolist()
            [[0.0, 4.0], [4.0, 0.0]]
        """
        return KernelPairs(self.squared_distances(other), self.overlaps(other) if self.counts.shape[1] else None)


@dataclass(frozen=True)
class KernelPairs:
    """What the kernel reads of pairs of molecules.

    Args:
        distances: Squared distances of properties, float64 [n, m].
        overlaps: Overlaps of fragments, float64 [n, m]; None without fragments.

    Example:
        >>> KernelPairs(np.zeros((1, 1)), np.full((1, 1), 0.5)).kernel(KernelNumbers(1.0, 1.0, 1.0, 2.0, 0.1)).tolist()
        [[2.0]]
    """

    distances: np.ndarray
    overlaps: np.ndarray | None

    def take(self, rows: np.ndarray | slice, columns: np.ndarray | slice) -> KernelPairs:
        """Return some of the pairs.

        Example:
            >>> pairs = KernelPairs(np.arange(4.0).reshape(2, 2), None)
            >>> pairs.take(slice(None), np.array([1])).distances.tolist()
            [[1.0], [3.0]]
        """
        overlaps = None if self.overlaps is None else self.overlaps[rows][:, columns]
        return KernelPairs(self.distances[rows][:, columns], overlaps)

    def kernel(self, numbers: KernelNumbers) -> np.ndarray:
        """Return the kernel, float64 [n, m]."""
        found = self.distances / (2 * numbers.alpha * numbers.length_scale**2)
        found += 1
        np.power(found, -numbers.alpha, out=found)
        found *= numbers.variance
        return found if self.overlaps is None else found + numbers.overlap * self.overlaps


def negative_likelihood(
    logs: np.ndarray, distances: np.ndarray, overlaps: np.ndarray | None, target: np.ndarray
) -> tuple[float, np.ndarray]:
    r"""Return the negative logarithm of the marginal likelihood, and its gradient.

    .. math::
        L = \tfrac12 t^T (K + s^2 I)^{-1} t + \tfrac12 \log |K + s^2 I|, \qquad
        \frac{\partial L}{\partial \theta} = -\tfrac12 \mathrm{tr}\Bigl((a a^T - (K + s^2 I)^{-1})
            \frac{\partial K}{\partial \theta}\Bigr), \quad a = (K + s^2 I)^{-1} t

    Rasmussen and Williams, `"Gaussian Processes for Machine Learning" <https://gaussianprocess.org/gpml/>`_ (2006),
    equations 5.8 and 5.9, without the constant.

    Args:
        logs: Natural logarithms of the numbers, in the order of `NUMBERS`.
        distances: Squared distances [n, n].
        overlaps: Overlaps [n, n]; None without fragments.
        target: Targets [n].

    Example:
        >>> value, gradient = negative_likelihood(np.zeros(5), np.zeros((1, 1)), None, np.ones(1))
        >>> round(value, 3), gradient.shape  # (1/2) / 2 + log(2) / 2
        (0.597, (5,))

    Cost: O(n^3).
    """
    from scipy.linalg import cho_factor, cho_solve, lapack

    variance, length, alpha, overlap, noise = np.exp(logs)
    ratio = distances / (2 * alpha * length**2)
    base = 1 + ratio
    quadratic = variance * base**-alpha
    kernel = quadratic if overlaps is None else quadratic + overlap * overlaps
    kernel = kernel + noise * np.eye(len(target))
    factor = cho_factor(kernel, lower=True, overwrite_a=True)
    weights = cho_solve(factor, target)
    value = 0.5 * target @ weights + np.log(factor[0].diagonal()).sum()
    inverse, _ = lapack.dpotri(factor[0], lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    outer = inverse - np.outer(weights, weights)
    share = ratio / base
    changes = (
        (outer * quadratic).sum(),
        (outer * quadratic * share).sum() * 2 * alpha,
        (outer * quadratic * (share - np.log(base))).sum() * alpha,
        0.0 if overlaps is None else (outer * overlaps).sum() * overlap,
        outer.trace() * noise,
    )
    return float(value), 0.5 * np.array(changes)


def search_numbers(pairs: KernelPairs, target: np.ndarray) -> KernelNumbers:
    """Return the numbers of the largest marginal likelihood, with L-BFGS.

    Args:
        pairs: All pairs of n molecules.
        target: Standardised targets [n].

    Example:
        >>> x = np.arange(40.0, dtype=np.float32)[:, None] / 10
        >>> rows = KernelRows(x, np.empty((40, 0), np.uint8), np.zeros(40))
        >>> search_numbers(rows.pairs(rows), np.sin(x[:, 0])).noise < 0.01
        True

    Cost: O(n^3) for each of some 30 steps.
    """
    from scipy.optimize import minimize

    found = minimize(
        negative_likelihood,
        np.log(_START),
        args=(pairs.distances, pairs.overlaps, target),
        jac=True,
        method="L-BFGS-B",
        bounds=np.log(_BOUNDS),
        options={"maxiter": 60, "ftol": 1e-5},
    )
    return KernelNumbers(*map(float, np.exp(found.x)))
