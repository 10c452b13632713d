"""Finds the most similar molecules of a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyg_samsa.chem.molecule_names import canonical_smiles
from pyg_samsa.chem.ogb_features import import_rdkit, parse_smiles

RADIUS, SIZE = 2, 2048


def morgan_generator() -> Any:
    """Return what makes the fingerprints of similarity searches, see `SimilarMolecules`.

    Raises:
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> morgan_generator().GetFingerprint(parse_smiles("C")).GetNumBits()
        2048
    """
    import_rdkit()
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    return GetMorganGenerator(radius=RADIUS, fpSize=SIZE)


class SimilarMolecules:
    r"""A list of molecules that is searched by the Tanimoto similarity of Morgan fingerprints.

    .. math::
        T(a, b) = \frac{|a \cap b|}{|a \cup b|}

    over the bits of fingerprints of radius 2 with 2,048 bits (Rogers and Hahn, `"Extended-Connectivity Fingerprints"
    <https://doi.org/10.1021/ci100050t>`_, 2010). 1 means equal fingerprints, mostly of equal molecules. They do not see
    stereochemistry.

    Args:
        smiles: G molecules. Those that cannot be read are never found, and repeated ones are compared once.

    Raises:
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> SimilarMolecules(["CCO", "c1ccccc1"]).nearest("CCO", 1)
        [(0, 1.0)]

    Cost: about 0.2 ms for each different text, and 256 bytes for each different fingerprint. A search takes about
    0.2 ms to read a molecule of 25 atoms and to make its fingerprint, and 0.2 microseconds for each different
    fingerprint of the list. Where several texts share the fingerprint of the molecule, canonical SMILES tell which of
    them are the molecule itself. Those of the list are written once, when they are first needed.
    """

    def __init__(self, smiles: Sequence[str]) -> None:
        self._smiles, self._generator = smiles, morgan_generator()
        self._fingerprints: list[Any] = []
        self._names: dict[int, dict[str, np.ndarray]] = {}
        numbers: dict[bytes, int] = {}
        of_text: dict[str, int | None] = {}
        for text in smiles:
            if text not in of_text:
                of_text[text] = self._number(text, numbers)
        found = [(place, of_text[text]) for place, text in enumerate(smiles)]
        readable = [(place, number) for place, number in found if number is not None]
        # Place in the list, and number of the fingerprint, of each molecule that can be read.
        self._places, self._group = np.array(readable, dtype=np.int64).reshape(-1, 2).T

    def __len__(self) -> int:
        return len(self._places)

    def nearest(self, smiles: str, count: int = 3) -> list[tuple[int, float]]:
        """Return places in the list and similarities of the most similar molecules, best first.

        Of equal similarities, the molecule itself comes first, and then the order of the list holds.

        Args:
            smiles: The molecule.
            count: Number of molecules, at least 1.

        Returns:
            At most ``count`` pairs; none if the molecule cannot be read.

        Example:
            >>> SimilarMolecules(["CCO", "CCCO"]).nearest("C(", 2)
            []
        """
        from rdkit import DataStructs

        own = self._fingerprint(smiles)
        if own is None or not self._fingerprints:
            return []
        different = np.asarray(DataStructs.BulkTanimotoSimilarity(own, self._fingerprints))
        similarity = different[self._group]
        best = np.asarray([similarity.argmax()]) if count == 1 else _largest(similarity, count)
        if different.max() == 1:
            itself = self._itself(smiles, int(different.argmax()))
            best = np.concatenate([itself, best[~np.isin(best, itself)]])
        return [(int(self._places[row]), float(similarity[row])) for row in best[:count]]

    def _itself(self, smiles: str, group: int) -> np.ndarray:
        """Return the rows of a molecule among those with its fingerprint; none where all of those are one molecule."""
        if group not in self._names:
            rows = np.flatnonzero(self._group == group)
            texts = [self._smiles[place] for place in self._places[rows].tolist()]
            different = list(dict.fromkeys(texts))
            # One text needs no name.
            names = dict(zip(different, canonical_smiles(different) if len(different) > 1 else different, strict=True))
            members: dict[str, list[int]] = {}
            for row, text in zip(rows.tolist(), texts, strict=True):
                members.setdefault(names[text], []).append(row)
            self._names[group] = {name: np.array(one) for name, one in members.items()}
        nothing = np.zeros(0, dtype=np.int64)
        names_of = self._names[group]
        return names_of.get(canonical_smiles([smiles])[0], nothing) if len(names_of) > 1 else nothing

    def _number(self, smiles: str, numbers: dict[bytes, int]) -> int | None:
        """Return the number of the fingerprint of a molecule, a new one if it was not seen; None if it has none."""
        found = self._fingerprint(smiles)
        if found is None:
            return None
        number = numbers.setdefault(found.ToBinary(), len(self._fingerprints))
        if number == len(self._fingerprints):
            self._fingerprints.append(found)
        return number

    def _fingerprint(self, smiles: str) -> Any:
        mol = parse_smiles(smiles)
        return None if isinstance(mol, str) else self._generator.GetFingerprint(mol)


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the largest values, largest first and equal ones in order: ``count``, or more if equal."""
    few = min(count, len(values))
    rows = np.flatnonzero(values >= np.partition(values, -few)[-few])
    return rows[np.argsort(-values[rows], kind="stable")]
