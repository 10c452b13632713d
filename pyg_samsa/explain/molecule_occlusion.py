"""Occlusion for any predictor: atoms and bonds are removed from the molecule itself, and all inputs computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pyg_samsa.chem.ogb_features import graph_arrays, parse_smiles, why_too_large
from pyg_samsa.chem.parsing import in_chunks
from pyg_samsa.chem.smiles_text import SAFE_ATOMS, as_smiles, write_smiles
from pyg_samsa.chem.standardize import Standardizer
from pyg_samsa.errors import SmilesError
from pyg_samsa.explain.importance import TokenImportance
from pyg_samsa.predict import Predictor
from pyg_samsa.predict.blend_weights import raw_outputs

_MAX_STRUCTURES = 16
_CHUNK_ATOMS = 200_000


def molecule_occlusion(
    predictor: Predictor, smiles: str, *, target: int | None = None, extra_columns: Mapping[str, float] | None = None
) -> TokenImportance:
    r"""Remove each atom and each bond from a molecule, and return the fall of the prediction.

    .. math::
        s_a = y(G) - y(G \setminus a), \qquad s_b = y(G) - y(G \setminus b)

    From Polishchuk et al., `"Universal Approach for Structural Interpretation of QSAR/QSPR Models"
    <https://doi.org/10.1002/minf.201300029>`_ (2013), with single atoms and bonds as fragments. Hydrogen fills the open
    valences, and a rest of several parts stays one molecule. Scores of aromatic rings are means over their Kekulé
    structures. The graph and all descriptors are computed again, so it holds for all models and their blends.
    The prediction y is a value, or a logit for labels and classes. A positive score means that the atom or bond raises
    the prediction.

    The rests are molecules of their own, which may be unlike those of the training data; Sheridan, `"Interpretation of
    QSAR Models by Coloring Atoms According to Changes in Predicted Activity: How Robust Is It?"
    <https://doi.org/10.1021/acs.jcim.8b00825>`_ (2019), shows how much such scores depend on model and descriptors. The
    score is 0 where nothing is left, or the rest has no prediction.

    Args:
        predictor: Any predictor.
        smiles: The molecule, as SMILES or ``rdkit.Chem.Mol``. A predictor that standardises molecules explains the
            standardised one; rests are predicted as they are.
        target: Number of the prediction to explain; by default the most likely label or class, or the first value.
        extra_columns: Name -> number of the molecule, the same for all rests.

    Returns:
        Scores of the atoms, and of both directions of each bond, which share its score equally. ``prediction`` holds
        values, or logits. All are float64.

    Raises:
        SmilesError: The molecule cannot be read, or has more than 1,000 atoms.
        ConfigError: An extra column is missing.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> found = molecule_occlusion(MoleculePredictor.from_pretrained("peptides"), "NCC(=O)O")
        >>> found.method, found.node.shape, found.bond.shape
        ('occlusion', torch.Size([5]), torch.Size([4]))

    Cost: one prediction for each atom and each bond, with all descriptors of the predictor. Rests of 200,000 atoms are
    held in memory at a time.
    """
    smiles = as_smiles(smiles)
    mol: Any = parse_smiles(smiles)
    if isinstance(mol, str):
        raise SmilesError(1, smiles, mol)
    if reason := why_too_large(mol, SAFE_ATOMS):
        raise SmilesError(1, smiles, f"{reason}, for which occlusion is computed")
    if predictor.standardize:
        smiles = Standardizer(predictor.standardize)(smiles)
        mol = parse_smiles(smiles)
    rests = [*without_atoms(mol), *without_bonds(mol)]
    # Equivalent atoms leave the same rest, which is computed once.
    different = list(dict.fromkeys([smiles, *(text for texts in rests for text in texts)]))
    parts = []
    for texts in in_chunks(different, max(1, _CHUNK_ATOMS // mol.GetNumAtoms())):
        columns = {name: [value] * len(texts) for name, value in (extra_columns or {}).items()}
        parts.append(predictor.predict(texts, extra_columns=columns, standardized=True).values)
    values = np.concatenate(parts)
    outputs = raw_outputs(torch.from_numpy(values), predictor.task)
    if target is None:
        target = 0 if predictor.task.kind == "regression" else int(outputs[0].argmax())
    fall = dict(zip(different, torch.nan_to_num(outputs[0, target] - outputs[:, target]).tolist(), strict=True))
    falls = torch.tensor([sum(fall[text] for text in texts) / len(texts) for texts in rests], dtype=torch.float64)
    edge_index = torch.from_numpy(graph_arrays(mol)[1].astype(np.int64))
    atoms = mol.GetNumAtoms()
    # Both directions of bond b are the columns 2b and 2b + 1.
    edge = falls[atoms:].repeat_interleave(2) / 2
    return TokenImportance("occlusion", target, falls[:atoms], edge, edge_index, outputs[0])


def without_atoms(mol: Any) -> list[list[str]]:
    """Return the SMILES of a molecule without each of its atoms, one for each Kekulé structure of its aromatic rings.

    Args:
        mol: ``rdkit.Chem.Mol``.

    Returns:
        For each atom the different rests and their repetitions; empty texts where nothing is left.

    Example:
        >>> without_atoms(parse_smiles("CCO")), without_atoms(parse_smiles("c1ccccc1"))[0]
        ([['CO'], ['C.O'], ['CC']], ['C=CC=CC', 'C=CC=CC'])
    """
    structures = _KekuleStructures(mol)
    return [[_rest(form, atom.GetIdx(), None) for form in structures.of_atom(atom.GetIdx())] for atom in mol.GetAtoms()]


def without_bonds(mol: Any) -> list[list[str]]:
    """Return the SMILES of a molecule without each of its bonds, one for each Kekulé structure of its aromatic rings.

    Args:
        mol: ``rdkit.Chem.Mol``.

    Example:
        >>> without_bonds(parse_smiles("CC=O")), without_bonds(parse_smiles("c1ccccc1"))[0]
        ([['C.C=O'], ['CC.O']], ['CC=CC=CC', 'C=CC=CC=C'])
    """
    structures = _KekuleStructures(mol)
    return [[_rest(form, None, bond.GetIdx()) for form in structures.of_bond(bond.GetIdx())] for bond in mol.GetBonds()]


class _KekuleStructures:
    """The Kekulé structures of each aromatic ring system, so that equivalent bonds get equal scores.

    A structure gives a double bond to the same atoms as RDKit's own structure does.
    """

    def __init__(self, mol: Any) -> None:
        from rdkit import Chem

        self.base = Chem.RWMol(mol)
        Chem.Kekulize(self.base, clearAromaticFlags=True)
        aromatic = [
            (bond.GetIdx(), bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
            for bond in mol.GetBonds()
            if bond.GetIsAromatic()
        ]
        self._double, self._single = Chem.BondType.DOUBLE, Chem.BondType.SINGLE
        self._forms: dict[tuple[str, int], list[Any]] = {}
        for system in _connected(aromatic):
            forms = [self._form(system, doubles) for doubles in self._matchings(system)]
            for bond, *ends in system:
                self._forms[("bond", bond)] = forms
                self._forms |= {("atom", end): forms for end in ends}

    def of_atom(self, atom: int) -> list[Any]:
        return self._forms.get(("atom", atom), [self.base])

    def of_bond(self, bond: int) -> list[Any]:
        return self._forms.get(("bond", bond), [self.base])

    def _matchings(self, system: Sequence[tuple[int, int, int]]) -> list[set[int]]:
        """Return sets of double bonds that give each atom of RDKit's own double bonds exactly one."""
        own = [one for one in system if self.base.GetBondWithIdx(one[0]).GetBondType() == self._double]
        found: list[set[int]] = []

        def extend(open_atoms: frozenset[int], chosen: set[int]) -> None:
            if len(found) >= _MAX_STRUCTURES:
                return
            if not open_atoms:
                found.append(chosen)
                return
            first = min(open_atoms)
            for bond, begin, end in system:
                if first in (begin, end) and {begin, end} <= open_atoms:
                    extend(open_atoms - {begin, end}, chosen | {bond})

        extend(frozenset(end for _, *ends in own for end in ends), set())
        return found

    def _form(self, system: Sequence[tuple[int, int, int]], doubles: set[int]) -> Any:
        from rdkit import Chem

        form = Chem.RWMol(self.base)
        for bond, _, _ in system:
            form.GetBondWithIdx(bond).SetBondType(self._double if bond in doubles else self._single)
        return form


def _connected(bonds: Sequence[tuple[int, int, int]]) -> list[list[tuple[int, int, int]]]:
    """Split bonds (number, begin, end) into groups that share atoms."""
    groups: list[list[tuple[int, int, int]]] = []
    for bond in bonds:
        touching = [group for group in groups if any({*one[1:]} & {*bond[1:]} for one in group)]
        groups = [group for group in groups if group not in touching]
        groups.append([*(one for group in touching for one in group), bond])
    return groups


def _rest(mol: Any, atom: Any, bond: Any) -> str:
    """Return the SMILES of a molecule with single and double bonds without an atom or a bond; empty if it is none.

    One of the two numbers is None.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        rest = Chem.RWMol(mol)
        lost = rest.GetAtomWithIdx(atom).GetBonds() if atom is not None else [rest.GetBondWithIdx(bond)]
        ends = [(one.GetBeginAtomIdx(), one.GetEndAtomIdx()) for one in lost]
        orders = [int(one.GetBondTypeAsDouble()) for one in lost]
        for (begin, end), order in zip(ends, orders, strict=True):
            for place in (begin, end):
                neighbor = rest.GetAtomWithIdx(place)
                if neighbor.GetNoImplicit():
                    neighbor.SetNumExplicitHs(neighbor.GetNumExplicitHs() + order)
            rest.RemoveBond(begin, end)
        if atom is not None:
            rest.RemoveAtom(atom)
        try:
            Chem.SanitizeMol(rest)
            Chem.AssignStereochemistry(rest, cleanIt=True, force=True)
            return write_smiles(rest) or ""
        except Exception:  # RDKit has exception types of its own; this rest is then no molecule
            return ""


def extra_of(extra_columns: Mapping[str, Any] | None, count: int) -> Iterator[dict[str, float]]:
    """Yield the extra columns of each of ``count`` molecules.

    Example:
        >>> list(extra_of({"pH": [7.0, 5.5]}, 2)), list(extra_of(None, 1))
        ([{'pH': 7.0}, {'pH': 5.5}], [{}])
    """
    for row in range(count):
        yield {name: float(values[row]) for name, values in (extra_columns or {}).items()}
