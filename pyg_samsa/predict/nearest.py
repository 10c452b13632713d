"""Columns that say how near each molecule of a table is to the molecules of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from pyg_samsa.io.tables.table import AddedColumn

FAR = 0.3
"""Molecules whose most similar training molecule has a lower similarity are called far."""


class Found(Protocol):
    """A training molecule that was found: its SMILES, its similarity from 0 to 1, and what was measured for it."""

    @property
    def smiles(self) -> str:
        """The molecule."""

    @property
    def similarity(self) -> float:
        """Similarity, from 0 to 1."""

    @property
    def measured(self) -> Mapping[str, str]:
        """Name of a target -> what was measured, as text."""


class Search(Protocol):
    """Finds the most similar training molecules, as `pyg_samsa.experiments.training_molecules.TrainingMolecules`."""

    @property
    def fingerprint(self) -> str:
        """Hash of the molecules that are searched, and of what was measured for them."""

    @property
    def standardize(self) -> Sequence[str]:
        """Steps by which a molecule is standardised before it is searched."""

    @property
    def measured_columns(self) -> Mapping[str, bool]:
        """Name in `Found.measured` -> whether all that was measured is numbers."""

    def nearest(self, smiles: str, count: int, *, standardized: bool = False) -> Sequence[Found]:
        """Return the most similar molecules, best first; none for a molecule that cannot be read."""


def nearest_columns(search: Search, smiles: Sequence[str], *, standardized: bool = False) -> list[AddedColumn]:
    """Return the similarity of the nearest training molecule, its SMILES, and a column for all that was measured.

    Args:
        search: The training molecules.
        smiles: SMILES [n]; the cells of an empty one, and of one that cannot be read, are empty.
        standardized: Whether the molecules are standardised already, by the steps of the search.

    Example:
        >>> from types import SimpleNamespace
        >>> found = SimpleNamespace(smiles="CCO", similarity=0.5, measured={"logS": "0.1"})
        >>> nearest = lambda smiles, count, standardized: [found]
        >>> search = SimpleNamespace(measured_columns={"logS": True}, nearest=nearest)
        >>> [column.texts for column in nearest_columns(search, ["CCCO", ""])]
        [['0.50', ''], ['CCO', ''], ['0.1', '']]

    Cost: one search, see `pyg_samsa.chem.similarity.SimilarMolecules`, for each different text.
    """
    different = {text: search.nearest(text, 1, standardized=standardized) for text in dict.fromkeys(smiles) if text}
    found = [different.get(text, []) for text in smiles]
    known = np.array([bool(one) for one in found], dtype=bool)
    similarity = np.array([one[0].similarity if one else np.nan for one in found], dtype=float)
    texts = [f"{value:.2f}" if there else "" for value, there in zip(similarity, known, strict=True)]
    return [
        AddedColumn(texts, similarity, known),
        AddedColumn([one[0].smiles if one else "" for one in found]),
        *(
            _measured([one[0].measured.get(name, "") if one else "" for one in found], is_number)
            for name, is_number in search.measured_columns.items()
        ),
    ]


def _measured(texts: list[str], is_number: bool) -> AddedColumn:
    if not is_number:
        return AddedColumn(texts)
    values = np.array([float(text) if text else np.nan for text in texts], dtype=float)
    return AddedColumn(texts, values, np.array([bool(text) for text in texts], dtype=bool))


def count_far(similarity: AddedColumn) -> int:
    """Return how many molecules of a column of similarities are far from all training molecules.

    Args:
        similarity: The first of :func:`nearest_columns`.

    Example:
        >>> count_far(AddedColumn(["0.10", "", "0.30"], np.array([0.1, np.nan, 0.3]), np.array([True, False, True])))
        1
    """
    return int((np.nan_to_num(similarity.values, nan=1.0) < FAR).sum()) if similarity.values is not None else 0
