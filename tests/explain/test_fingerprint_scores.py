import copy

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem, DataStructs
from rdkit.Chem import rdMolDescriptors

from pyg_samsa.errors import SmilesError
from pyg_samsa.explain.fingerprint_scores import fingerprint_scores

PAIRS = [
    ("CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", "CC(C)c1ccc(CC(=O)O)cc1"),
    ("NCC(=O)NCC(=O)O", "NCC(=O)O"),
    ("CC(=O)[O-].[Na+]", "CC(=O)O"),
    ("c1ccc2ccccc2c1", "c1ccccc1"),
    ("C", "CC"),
]


@pytest.mark.parametrize(("smiles", "other"), PAIRS)
def test_atoms_have_the_scores_of_rdkits_similarity_maps(smiles, other):
    maps = pytest.importorskip("rdkit.Chem.Draw.SimilarityMaps")
    mol, reference = Chem.MolFromSmiles(smiles), Chem.MolFromSmiles(other)

    def fingerprint(mol, atom):
        return maps.GetMorganFingerprint(mol, atom, radius=2, fpType="bv", nBits=2048)

    expected = maps.GetAtomicWeightsForFingerprint(reference, mol, fingerprint, metric=DataStructs.TanimotoSimilarity)
    found = fingerprint_scores(smiles, other)
    np.testing.assert_allclose(found.node.numpy(), expected, atol=1e-12)
    assert found.prediction.item() == DataStructs.TanimotoSimilarity(fingerprint(mol, -1), fingerprint(reference, -1))


@pytest.mark.parametrize(("smiles", "other"), PAIRS[:4])
def test_bonds_have_the_scores_of_the_definition(smiles, other):
    mol = Chem.MolFromSmiles(smiles)
    info = {}
    own = rdMolDescriptors.GetMorganFingerprintAsBitVect(mol, 2, 2048, bitInfo=info)
    reference = rdMolDescriptors.GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(other), 2, 2048)
    expected = []
    for bond in range(mol.GetNumBonds()):
        without = copy.copy(own)
        for bit, places in info.items():
            if any(bond in Chem.FindAtomEnvironmentOfRadiusN(mol, radius, atom) for atom, radius in places if radius):
                without.UnSetBit(bit)
        expected.append(
            DataStructs.TanimotoSimilarity(own, reference) - DataStructs.TanimotoSimilarity(without, reference)
        )
    found = fingerprint_scores(smiles, other)
    assert found.bond_index.T.tolist() == [
        sorted([bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]) for bond in mol.GetBonds()
    ]
    np.testing.assert_allclose(found.bond.numpy(), expected, atol=1e-12)


def test_what_is_shared_is_positive_and_what_is_not_is_negative():
    found = fingerprint_scores("CCCCl", "CCCBr")
    assert found.node[0] > 0 > found.node[3]
    assert found.bond[0] > 0 > found.bond[2]
    assert (fingerprint_scores("CCO", "OCC").node > 0).all()


def test_the_order_of_atoms_changes_nothing():
    first, second = fingerprint_scores("CCCO", "CCN"), fingerprint_scores("OCCC", "NCC")
    torch.testing.assert_close(first.node, second.node.flip(0))
    torch.testing.assert_close(first.bond, second.bond.flip(0))


def test_what_cannot_be_read_is_an_error():
    for pair in (("C(", "C"), ("C", "C(")):
        with pytest.raises(SmilesError):
            fingerprint_scores(*pair)
