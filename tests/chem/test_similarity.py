import pytest

from pyg_samsa.chem import similarity
from pyg_samsa.chem.similarity import SimilarMolecules

rdkit = pytest.importorskip("rdkit")


def test_similarities_are_those_of_rdkit_in_descending_order():
    from rdkit import Chem, DataStructs
    from rdkit.Chem.AllChem import GetMorganFingerprintAsBitVect

    known = ["CCO", "not a molecule", "CCCO", "c1ccccc1O", "CCCCN"]
    found = SimilarMolecules(known).nearest("CCCCO", 3)
    own, *others = (
        GetMorganFingerprintAsBitVect(Chem.MolFromSmiles(text), 2, 2048)
        for text in ["CCCCO", *known]
        if "not" not in text
    )
    expected = dict(zip([0, 2, 3, 4], DataStructs.BulkTanimotoSimilarity(own, others), strict=True))
    best = sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:3]
    assert [place for place, _ in found] == [place for place, _ in best]
    assert [value for _, value in found] == pytest.approx([value for _, value in best])
    assert SimilarMolecules(known).nearest("CCCCO", 1) == found[:1]


def test_equal_similarities_keep_the_order_of_the_list():
    assert SimilarMolecules(["OCC", "C", "CCO"]).nearest("CCO", 2) == [(0, 1.0), (2, 1.0)]


def test_a_molecule_finds_itself_among_others_with_the_same_fingerprint():
    # Fingerprints see neither mirror images nor the length of a long chain.
    known = ["C[C@H](N)C(=O)O", "C" * 12, "C" * 13, "C[C@@H](N)C(=O)O", "OC(=O)[C@@H](C)N"]
    index = SimilarMolecules(known)
    assert index.nearest("N[C@H](C)C(=O)O", 1) == [(3, 1.0)]
    assert index.nearest("N[C@H](C)C(=O)O", 3) == [(3, 1.0), (4, 1.0), (0, 1.0)]
    assert index.nearest("C" * 13, 2) == [(2, 1.0), (1, 1.0)]
    assert index.nearest("C" * 14, 2) == [(1, 1.0), (2, 1.0)]


def test_nothing_is_found_where_nothing_can_be_read():
    assert SimilarMolecules([]).nearest("C") == []
    assert SimilarMolecules(["?"]).nearest("C") == []
    assert SimilarMolecules(["C"]).nearest("?") == []


def test_three_molecules_are_found_by_default():
    assert [place for place, _ in SimilarMolecules(["CCO"] * 5).nearest("CCO")] == [0, 1, 2]
    assert SimilarMolecules(["CCO"] * 5).nearest("CCO", 1) == [(0, 1.0)]
    assert len(SimilarMolecules(["C", "?", "CC"])) == 2


def test_the_fingerprints_are_those_of_the_documentation():
    assert (similarity.RADIUS, similarity.SIZE) == (2, 2048)
