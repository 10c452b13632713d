"""Which atoms and bonds make two molecules similar, by their fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pyg_samsa.chem.ogb_features import graph_arrays, parse_smiles
from pyg_samsa.chem.similarity import morgan_generator
from pyg_samsa.errors import SmilesError
from pyg_samsa.explain.importance import TokenImportance


def fingerprint_scores(smiles: str, other: str) -> TokenImportance:
    r"""Return how much the Tanimoto similarity falls without the bits of the fragments that hold an atom or a bond.

    .. math::
        s_t = T(A, B) - T(A \setminus A_t, B)

    where A and B are the bits of the fingerprints of `pyg_samsa.chem.similarity.SimilarMolecules`, and :math:`A_t`
    those of the fragments with the atom or bond t. From Riniker and Landrum, `"Similarity maps - a visualization
    strategy for molecular fingerprints and machine-learning methods" <https://doi.org/10.1186/1758-2946-5-43>`_ (2013),
    who score atoms. A positive score means that the atom or bond makes the molecules similar.

    Args:
        smiles: The molecule that is scored.
        other: The molecule that it is compared with.

    Returns:
        Scores of the atoms, and of both directions of each bond, which share its score equally; ``prediction`` is the
        similarity [1]. All are float64.

    Raises:
        SmilesError: A molecule cannot be read.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> found = fingerprint_scores("CCO", "CCN")
        >>> found.node[0] > 0 > found.node[2], found.bond.shape  # the methyl is shared, the oxygen is not
        (tensor(True), torch.Size([2]))

    Cost: 2 ms for a molecule of 13 atoms, 16 ms for a peptide of 190 atoms.
    """
    mols = []
    for text in (smiles, other):
        mol = parse_smiles(text)
        if isinstance(mol, str):
            raise SmilesError(None, text, mol)
        mols.append(mol)
    generator = morgan_generator()
    second = set(generator.GetFingerprint(mols[1]).GetOnBits())
    first, of_atom, of_bond = _bits(generator, mols[0])
    similarity = _tanimoto(first, second)
    falls = torch.tensor(
        [similarity - _tanimoto(first - bits, second) for bits in (*of_atom, *of_bond)], dtype=torch.float64
    )
    edge_index = torch.from_numpy(graph_arrays(mols[0])[1].astype(np.int64))
    # Both directions of bond b are the columns 2b and 2b + 1.
    edge = falls[len(of_atom) :].repeat_interleave(2) / 2
    value = torch.tensor([similarity], dtype=torch.float64)
    return TokenImportance("similarity", 0, falls[: len(of_atom)], edge, edge_index, value)


def _bits(generator: Any, mol: Any) -> tuple[set[int], list[set[int]], list[set[int]]]:
    """Return the bits of a molecule, and those of the fragments with each atom and with each bond."""
    from rdkit.Chem import FindAtomEnvironmentOfRadiusN
    from rdkit.Chem.rdFingerprintGenerator import AdditionalOutput

    told = AdditionalOutput()
    told.AllocateBitInfoMap()
    bits = set(generator.GetFingerprint(mol, additionalOutput=told).GetOnBits())
    of_atom: list[set[int]] = [set() for _ in range(mol.GetNumAtoms())]
    of_bond: list[set[int]] = [set() for _ in range(mol.GetNumBonds())]
    for bit, places in told.GetBitInfoMap().items():
        for atom, radius in places:
            of_atom[atom].add(bit)
            for bond in FindAtomEnvironmentOfRadiusN(mol, radius, atom) if radius else ():
                of_bond[bond].add(bit)
                ends = mol.GetBondWithIdx(bond)
                of_atom[ends.GetBeginAtomIdx()].add(bit)
                of_atom[ends.GetEndAtomIdx()].add(bit)
    return bits, of_atom, of_bond


def _tanimoto(first: set[int], second: set[int]) -> float:
    together = len(first | second)
    return len(first & second) / together if together else 0.0
