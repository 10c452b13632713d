import itertools

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from pyg_samsa.chem import sequence_to_smiles
from pyg_samsa.viz.molecules.layout import MoleculeLayout
from pyg_samsa.viz.molecules.serpentine import fold_chain

FOLDED = {
    "peptide of 23 residues": sequence_to_smiles("GIGKFLHSAKKFGKAFVGEIMNS"),
    "peptide of 50 residues": sequence_to_smiles("AAAQHLCGSHLVDALYLVCGEKGFFYNPKGIVEQCCHKPCNIFDLQNYCN"),
    "prolines": sequence_to_smiles("RFRPPIRRPPIRPPFYPPFRPPIRPPIFPP"),
    "salt": sequence_to_smiles("GIGKFLHSAKKFGK") + ".[Na+].CC(=O)[O-]",
    "disulfide bridge": "NCC(=O)" * 6 + "N[C@@H](CS1)C(=O)" + "NCC(=O)" * 8 + "N[C@@H](CS1)C(=O)O",
    "cis": "CCCCCCCC/C=C\\CCCCCCCC(=O)OCC(O)CO",
    "trans": "CCCCCCCC/C=C/CCCCCCCC(=O)OCC(O)CO",
    "two kinds": "CCCCC/C=C\\C/C=C/CCCCCCCC(=O)O",
    "carbons": "C" * 120,
}
LEFT_ALONE = {
    "small": "CC(=O)Oc1ccccc1C(=O)O",
    "nothing": "",
    "one atom": "C",
    "rings in the chain": "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(-c2cccnc2)n1",
    "triple bond": "CCCCCCCCC#CCCCCCCCCCC",
    "macrocycle": "O=C1" + "NCC(=O)" * 8 + "NC1",
}


def positions(smiles):
    mol = Chem.MolFromSmiles(smiles)
    assert fold_chain(mol)
    return mol, mol.GetConformer().GetPositions()[:, :2]


@pytest.mark.parametrize("smiles", FOLDED.values(), ids=FOLDED)
def test_the_drawing_is_that_of_the_same_molecule(smiles):
    mol, _ = positions(smiles)
    again = Chem.MolFromMolBlock(Chem.MolToMolBlock(mol))
    assert Chem.MolToSmiles(again) == Chem.CanonSmiles(smiles)


@pytest.mark.parametrize("smiles", FOLDED.values(), ids=FOLDED)
def test_atoms_keep_apart_and_bonds_have_one_length_but_those_between_rows(smiles):
    mol, places = positions(smiles)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert distances.min() > 0.7
    lengths = np.array([distances[bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()] for bond in mol.GetBonds()])
    assert np.median(lengths) == pytest.approx(1.5, abs=0.01)
    assert (lengths > 2.0).sum() <= 6
    for bond, length in zip(mol.GetBonds(), lengths, strict=True):
        first, last = places[bond.GetBeginAtomIdx()], places[bond.GetEndAtomIdx()]
        assert (
            length < 2.0
            or abs(first[0] - last[0]) < 1e-6
            or {bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol()} == {"S"}
        )


@pytest.mark.parametrize("residues", [10, 20, 40, 80, 160])
def test_no_peptide_is_a_strip(residues):
    letters = "".join(itertools.islice(itertools.cycle("GIGKFLHSAKKFGKAFVGEIMNS"), residues))
    layout = MoleculeLayout(sequence_to_smiles(letters))
    assert layout.width < 1100
    assert 0.3 < layout.width / layout.height < 3.5


def test_rows_run_to_and_fro():
    mol, places = positions(sequence_to_smiles("G" * 40))
    backbone = np.array([match[0] for match in mol.GetSubstructMatches(Chem.MolFromSmarts("[NX3]CC=O"))])
    steps = np.sign(np.diff(places[backbone, 0]))
    turns = np.flatnonzero(steps[1:] != steps[:-1])
    assert len(turns) >= 1
    heights = [round(float(row.mean())) for row in np.split(places[backbone, 1], turns + 1)]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("smiles", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_other_molecules_are_left_alone(smiles):
    mol = Chem.MolFromSmiles(smiles)
    assert not fold_chain(mol)
    assert mol.GetNumConformers() == 0
