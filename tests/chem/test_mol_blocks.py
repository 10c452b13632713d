import pytest
from rdkit import Chem

from pyg_samsa.chem import mol_blocks
from pyg_samsa.chem.descriptors import descriptor_function
from pyg_samsa.chem.mol_blocks import UNREADABLE, block_smiles, parse_blocks, smiles_block
from pyg_samsa.chem.parsing import parse_molecules

SMILES = ["CCO", "c1ccccc1O", "C[C@H](N)C(=O)O", "[Na+].[Cl-]"]


def block(smiles, v3000=False):
    return Chem.MolToMolBlock(Chem.MolFromSmiles(smiles), forceV3000=v3000)


@pytest.mark.parametrize("v3000", [False, True])
def test_blocks_are_read_as_their_smiles(v3000):
    parsed = parse_blocks([block(smiles, v3000) for smiles in SMILES], describe={"maccs": descriptor_maker()})
    expected = parse_molecules([Chem.CanonSmiles(smiles) for smiles in SMILES], describe={"maccs": descriptor_maker()})
    assert parsed.smiles == expected.smiles
    assert parsed.table.x.tolist() == expected.table.x.tolist()
    assert parsed.descriptors["maccs"].tolist() == expected.descriptors["maccs"].tolist()


def descriptor_maker():
    return descriptor_function(["maccs"])


def test_broken_and_large_blocks_keep_their_places():
    parsed = parse_blocks(["", block("CCO"), "x\n\n\n  1  0\nM  END\n", block("CCCC"), block("C")], max_atoms=3)
    assert parsed.kept == [1, 4]
    assert [(refusal.position, refusal.reason) for refusal in parsed.refused] == [
        (0, UNREADABLE),
        (2, UNREADABLE),
        (3, "4 atoms, more than 3"),
    ]


def test_valences_that_rdkit_refuses_are_broken():
    pentavalent = Chem.MolToMolBlock(Chem.MolFromSmiles("C(C)(C)(C)(C)C", sanitize=False), kekulize=False)
    assert block_smiles(pentavalent) is None


def test_large_molecules_get_an_empty_block():
    assert block_smiles(smiles_block("C" * 1_000)) == "C" * 1_000
    assert smiles_block("C" * 1_001, "long").splitlines()[0] == "long"
    assert block_smiles(smiles_block("C" * 1_001)) == ""


@pytest.mark.parametrize(("smiles", "read"), [("[CH3:111][13CH3:222]", True), ("[CH3:111][13CH3:2222]", False)])
def test_very_long_texts_are_not_read(smiles, read, monkeypatch):
    monkeypatch.setattr(mol_blocks, "SAFE_ATOMS", 2)  # 20 characters
    assert bool(block_smiles(smiles_block(smiles))) == read
