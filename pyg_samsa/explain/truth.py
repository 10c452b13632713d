"""Compares explanations with a known ground truth."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pyg_samsa.chem.ogb_features import import_rdkit
from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.explain.importance import TokenImportance


class Truth(NamedTuple):
    """The atoms and bonds of a molecule that determine its label.

    Attributes:
        atoms: bool [N].
        bonds: bool [E / 2].
    """

    atoms: Tensor
    bonds: Tensor


class Ranking(NamedTuple):
    """Area under the ROC curve of an explanation, from 0 to 1; NaN if all tokens are in the ground truth, or none.

    Attributes:
        atoms: Area for atoms.
        bonds: Area for bonds, with both directions summed.
        both: Area for atoms and bonds together.
    """

    atoms: float
    bonds: float
    both: float


def substructure_truth(mol: Any, smarts: str) -> Truth:
    """Return the atoms and bonds of all matches of a SMARTS pattern.

    Args:
        mol: ``rdkit.Chem.Mol``.
        smarts: The pattern; only bonds in the pattern itself are matched.

    Raises:
        ConfigError: RDKit cannot read the pattern.

    Example:
        >>> from rdkit import Chem
        >>> truth = substructure_truth(Chem.MolFromSmiles("CCSSC"), "SS")
        >>> truth.atoms.nonzero().flatten().tolist(), truth.bonds.nonzero().flatten().tolist()
        ([2, 3], [2])

    Cost: that of RDKit's search.
    """
    pattern = import_rdkit().MolFromSmarts(smarts)
    if pattern is None:
        raise ConfigError("smarts", smarts, "a SMARTS pattern that RDKit can read")
    atoms = torch.zeros(mol.GetNumAtoms(), dtype=torch.bool)
    bonds = torch.zeros(mol.GetNumBonds(), dtype=torch.bool)
    for match in mol.GetSubstructMatches(pattern, maxMatches=mol.GetNumAtoms() ** 2):
        atoms[list(match)] = True
        for bond in pattern.GetBonds():
            bonds[mol.GetBondBetweenAtoms(match[bond.GetBeginAtomIdx()], match[bond.GetEndAtomIdx()]).GetIdx()] = True
    return Truth(atoms, bonds)


def ranking(importance: TokenImportance, truth: Truth, *, absolute: bool = False) -> Ranking:
    """Compute the area under the ROC curve of importance scores against the ground truth.

    Args:
        importance: Scores of a molecule with both directions of every bond.
        truth: The ground truth.
        absolute: Whether to rank by absolute scores.

    Raises:
        ShapeError: There are not as many scores as atoms and bonds.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> node, edge = torch.tensor([0.1, 0.5, 0.4]), torch.tensor([0.0, 0.1, 0.3, 0.2])
        >>> found = TokenImportance("sampled", 0, node, edge, edge_index, torch.zeros(1))
        >>> ranking(found, Truth(torch.tensor([False, True, True]), torch.tensor([False, True])))
        Ranking(atoms=1.0, bonds=1.0, both=1.0)

    Cost: O(n log n).
    """
    if importance.node.numel() != truth.atoms.numel() or importance.bond.numel() != truth.bonds.numel():
        got = f"{importance.node.numel()} and {importance.bond.numel()} scores"
        raise ShapeError("truth", got, f"one for each of {truth.atoms.numel()} atoms and {truth.bonds.numel()} bonds")
    atoms, bonds = (scores.abs() if absolute else scores for scores in (importance.node, importance.bond))
    both = _auroc(torch.cat([atoms, bonds]), torch.cat([truth.atoms, truth.bonds]))
    return Ranking(_auroc(atoms, truth.atoms), _auroc(bonds, truth.bonds), both)


def _auroc(scores: Tensor, positive: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    if not positive.any() or positive.all():
        return float("nan")
    return float(roc_auc_score(positive.numpy(), scores.double().numpy()))
