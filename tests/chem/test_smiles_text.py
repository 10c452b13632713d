import pytest
from rdkit import Chem

from pyg_samsa.chem.smiles_text import SAFE_ATOMS, as_smiles, is_mol, why_no_smiles, write_smiles


@pytest.mark.parametrize("text", ["OCC", "C[C@H](N)O", "[2H]C", "F/C=C/F"])
def test_smiles_are_those_of_rdkit(text):
    mol = Chem.MolFromSmiles(text)
    assert write_smiles(mol) == Chem.MolToSmiles(mol)
    assert write_smiles(mol, stereo=False) == Chem.MolToSmiles(mol, isomericSmiles=False)


@pytest.mark.parametrize("atoms", [SAFE_ATOMS + 1, 20_000])
def test_a_large_molecule_has_no_smiles_and_ends_no_process(atoms):
    mol = Chem.MolFromSmiles("C" * atoms)
    assert write_smiles(mol) is None
    assert as_smiles(mol) is mol
    assert why_no_smiles(mol).startswith(f"{atoms:,} atoms")


def test_hydrogen_of_an_object_is_implicit():
    assert as_smiles(Chem.AddHs(Chem.MolFromSmiles("CCO"))) == "CCO"
    assert as_smiles(Chem.MolFromSmiles("[H][H]")) == "[H][H]"
    assert as_smiles(Chem.RWMol(Chem.MolFromSmiles("CCO"))) == "CCO"


def test_an_object_that_rdkit_cannot_write_stays():
    broken = Chem.MolFromSmiles("CN(C)(C)(C)C", sanitize=False)
    found = as_smiles(broken)
    assert found is broken or isinstance(found, str)
    assert why_no_smiles(broken).startswith("RDKit cannot write")


def test_other_objects_are_no_molecules():
    assert not is_mol("C")
    assert as_smiles(None) is None
