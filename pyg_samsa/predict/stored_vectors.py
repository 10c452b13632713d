"""Vectors of so many molecules that they are read from mapped files when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

BLOCK_ROWS = 2**13
"""Rows that are read at a time: a multiple of the rows that a Gaussian process predicts together."""


class StoredVectors:
    """Rows and columns of vectors whose columns lie in several arrays, such as mapped files.

    ``np.asarray`` reads them, as float32. A slice, numbers or a mask of rows return a view, which reads nothing.

    Args:
        parts: Arrays [G, F_i] of any number type, side by side.
        rows: Numbers of the rows, int64 [n]; None for all.
        columns: Numbers of the columns, int64 [F]; None for all.

    Example:
        >>> counts, masses = np.array([[1, 0], [2, 3], [0, 1]], np.uint8), np.array([[46.0], [16.0], [78.5]])
        >>> vectors = StoredVectors([counts, masses])
        >>> vectors.shape, np.asarray(vectors[1:]).tolist()
        ((3, 3), [[2.0, 3.0, 16.0], [0.0, 1.0, 78.5]])
        >>> np.asarray(vectors.select(np.array([2]))[np.array([2, 0])]).tolist()
        [[78.5], [46.0]]
    """

    ndim = 2

    def __init__(
        self, parts: Sequence[np.ndarray], rows: np.ndarray | None = None, columns: np.ndarray | None = None
    ) -> None:
        self.parts = list(parts)
        self._rows = np.arange(len(self.parts[0])) if rows is None else rows
        self._columns = columns

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        width = sum(part.shape[1] for part in self.parts) if self._columns is None else len(self._columns)
        return len(self._rows), width

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: np.ndarray | slice) -> StoredVectors:
        chosen = self._rows[rows]
        if chosen.ndim != 1:
            raise TypeError("rows are chosen by a slice, numbers, or a mask")
        return StoredVectors(self.parts, chosen, self._columns)

    def select(self, columns: np.ndarray) -> StoredVectors:
        """Return a view of some columns.

        Args:
            columns: Their numbers among the present ones, int64 [F].
        """
        present = np.arange(self.shape[1]) if self._columns is None else self._columns
        return StoredVectors(self.parts, self._rows, present[columns])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        out = np.empty(self.shape, np.float32 if dtype is None else dtype)
        begin = 0
        for part in self.parts:
            if self._columns is None:
                out[:, begin : begin + part.shape[1]] = part[self._rows]
            else:
                (wanted,) = np.nonzero((self._columns >= begin) & (self._columns < begin + part.shape[1]))
                if len(wanted):  # a part of which no column is wanted is not read
                    out[:, wanted] = part[self._rows[:, None], self._columns[wanted] - begin]
            begin += part.shape[1]
        return out

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.shape}"


Vectors = np.ndarray | StoredVectors
"""Vectors [n, S] in memory or in files."""


def blocks_of(x: Vectors, rows: int | None = None) -> Iterator[np.ndarray]:
    """Yield vectors in blocks of consecutive rows.

    Args:
        x: Vectors [n, S].
        rows: Most rows of a block; None for :data:`BLOCK_ROWS`.

    Example:
        >>> [len(block) for block in blocks_of(np.zeros((5, 2)), 2)]
        [2, 2, 1]
    """
    rows = rows or BLOCK_ROWS
    for begin in range(0, len(x), rows):
        yield np.asarray(x[begin : begin + rows])


def select_columns(x: Vectors, columns: np.ndarray) -> Vectors:
    """Return some columns of vectors.

    Args:
        x: Vectors [n, S].
        columns: Numbers of the columns, int64.

    Example:
        >>> select_columns(np.array([[1.0, 2.0]]), np.array([1])).tolist()
        [[2.0]]
    """
    return x.select(columns) if isinstance(x, StoredVectors) else x[:, columns]
