"""Finds the molecules of a list whose embeddings are most similar to that of another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pyg_samsa.chem.ogb_features import parse_smiles
from pyg_samsa.chem.smiles_text import write_smiles
from pyg_samsa.chem.standardize import Standardizer
from pyg_samsa.errors import SmilesError
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.worker_pool import in_chunks
from pyg_samsa.predict.embedder import MoleculeEmbedder
from pyg_samsa.predict.interface import ExtraColumns

_CHUNK = 1024
_DIGITS = 6
"""Digits of similarities that are compared: the last ones depend on the batches of a network."""
Extra = Mapping[str, float]
"""Name of an extra column -> the number of one molecule."""


class Direction(NamedTuple):
    """What one network knows of molecules: the mean embedding [W], and the unit vectors of some molecules [n, W].

    Example:
        >>> Direction(np.zeros(2), np.eye(2)).units.shape
        (2, 2)
    """

    mean: np.ndarray
    units: np.ndarray


class SimilarEmbeddings:
    r"""A list of molecules that is searched by the similarity of embeddings.

    .. math::
        s(a, b) = \frac{1}{M} \sum_m \cos\bigl(z^m_a - \bar z^m, z^m_b - \bar z^m\bigr)

    where z are the embeddings by M networks and :math:`\bar z` their means over the different molecules of the list.
    Most of an embedding is the same for all molecules, so without the mean all cosines would be near 1. The similarity
    is 1 for the molecule itself, about 0 for unrelated ones, and at least -1.

    Molecules are compared as canonical SMILES, so atoms in another order change nothing. If the networks standardise
    molecules, the standardised ones are compared.

    Args:
        embedders: The networks, at least one.
        smiles: G molecules; those that cannot be read are never found.
        extra: Name of an extra column of the networks -> a number for each molecule.
        progress: Whether to show a progress bar.

    Example:
        >>> index = SimilarEmbeddings([MoleculeEmbedder.from_network("peptides")], ["NCC(=O)O", "CCO", "CCCO"])
        >>> index.nearest("C(C(=O)O)N", 1)
        [(0, 1.0)]

    Cost: one prediction for each different molecule, and 8 W bytes; 1,000 peptides took 13 s on one core with a network
    of two blocks. A search takes one prediction.
    """

    def __init__(
        self,
        embedders: Sequence[MoleculeEmbedder],
        smiles: Sequence[str],
        extra: ExtraColumns | Mapping[str, np.ndarray] | None = None,
        *,
        progress: bool = False,
    ) -> None:
        self.embedders = list(embedders)
        self._standardizer = Standardizer(self.embedders[0].standardize)
        keys = [
            self._key(text, {name: float(column[row]) for name, column in (extra or {}).items()})
            for row, text in enumerate(smiles)
        ]
        different = list(dict.fromkeys(key for key in keys if key is not None))
        self._row = {key: row for row, key in enumerate(different)}
        vectors = [self._embed(embedder, different, progress) for embedder in self.embedders]
        self._means = [vector.mean(0) if len(vector) else np.zeros(vector.shape[1]) for vector in vectors]
        self._units = [_units(vector - mean) for vector, mean in zip(vectors, self._means, strict=True)]
        self._found = [(place, self._row[key]) for place, key in enumerate(keys) if key is not None]

    def __len__(self) -> int:
        return len(self._found)

    def nearest(self, smiles: str, count: int = 3, extra: Extra | None = None) -> list[tuple[int, float]]:
        """Return places in the list and similarities of the most similar molecules, best first.

        Of equal similarities, to six digits, the molecule itself comes first, and then the order of the list holds.

        Args:
            smiles: The molecule.
            count: Number of molecules, at least 1.
            extra: Its extra columns.

        Returns:
            At most ``count`` pairs; none if the molecule cannot be read.

        Example:
            >>> embedder = MoleculeEmbedder.from_network("peptides")
            >>> SimilarEmbeddings([embedder], ["CCO", "CCCO"]).nearest("C(", 2)
            []
        """
        key = self._key(smiles, extra or {})
        if key is None or not self._found:
            return []
        rows = np.zeros(len(self._row))
        for embedder, mean, units in zip(self.embedders, self._means, self._units, strict=True):
            rows += units @ _units(self._embed(embedder, [key], False) - mean)[0] / len(self.embedders)
        rows = np.clip(rows, -1.0, 1.0)
        itself = self._row.get(key, -1)
        if itself >= 0:
            rows[itself] = 1.0
        order = sorted(self._found, key=lambda found: (-round(rows[found[1]], _DIGITS), found[1] != itself, found[0]))
        return [(place, float(rows[row])) for place, row in order[:count]]

    def directions(self, places: Sequence[int]) -> list[Direction]:
        """Return the unit vectors of some molecules of the list for each network, with which cosines are taken.

        Args:
            places: Places in the list, as `nearest` returns them.

        Example:
            >>> index = SimilarEmbeddings([MoleculeEmbedder.from_network("peptides")], ["CCO", "CCCO"])
            >>> [direction.units.shape for direction in index.directions([1])]
            [(1, 64)]
        """
        row_of = dict(self._found)
        rows = [row_of[place] for place in places]
        return [Direction(mean, units[rows]) for mean, units in zip(self._means, self._units, strict=True)]

    def _key(self, smiles: str, extra: Extra) -> Key | None:
        """Return a molecule as it is compared; None if it cannot be read or standardised."""
        try:
            return key_of(self._standardizer(smiles) if self._standardizer else smiles, extra)
        except SmilesError:
            return None

    def _embed(self, embedder: MoleculeEmbedder, keys: Sequence[Key], progress: bool) -> np.ndarray:
        """Return the embeddings of molecules, float64 [n, W]; zero where a network has no finite one."""
        parts = [np.empty((0, embedder.width))]
        with progress_bar("Training molecules", len(keys), enabled=progress and len(keys) > 0) as advance:
            for chunk in in_chunks(keys, _CHUNK):
                columns = {name: [dict(key.extra)[name] for key in chunk] for name in embedder.extra_columns}
                texts = [key.smiles for key in chunk]
                parts.append(embedder.predict(texts, extra_columns=columns, standardized=True).values)
                advance(len(chunk))
        return np.nan_to_num(np.concatenate(parts))


class Key(NamedTuple):
    """A molecule as it is compared: its canonical SMILES, and its extra columns.

    Example:
        >>> Key("CCO", (("pH", 7.0),)).smiles
        'CCO'
    """

    smiles: str
    extra: tuple[tuple[str, float], ...]


def key_of(smiles: str, extra: Extra) -> Key | None:
    """Return a molecule as it is compared; None if it cannot be read.

    Args:
        smiles: The molecule; of more than 1,000 atoms the text itself is compared.
        extra: Its extra columns.

    Example:
        >>> key_of("OCC", {}), key_of("C(", {})
        (Key(smiles='CCO', extra=()), None)
    """
    mol = parse_smiles(smiles)
    if isinstance(mol, str):
        return None
    return Key(write_smiles(mol) or smiles, tuple(sorted(extra.items())))


def _units(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1; a vector of length 0 stays as it is."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)
