import random

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


def literal_search(known, query, count):
    """Compare a molecule with each one of a list, and sort all of them."""
    from rdkit import Chem, DataStructs
    from rdkit.Chem.AllChem import GetMorganFingerprintAsBitVect

    def read(text):
        mol = Chem.MolFromSmiles(text)
        return (GetMorganFingerprintAsBitVect(mol, 2, 2048), Chem.MolToSmiles(mol)) if mol and text else None

    own = read(query)
    found = []
    for place, text in enumerate(known):
        other = read(text)
        if own is not None and other is not None:
            value = DataStructs.TanimotoSimilarity(own[0], other[0])
            found.append((-value, value == 1 and own[1] != other[1], place))
    return [(place, -value) for value, _, place in sorted(found)[:count]]


@pytest.mark.parametrize("seed", range(6))
def test_a_literal_search_finds_the_same_in_lists_with_repeated_molecules(seed):
    from rdkit import Chem

    generator = random.Random(seed)
    chains = ["C" * size + end for size in range(1, 14, 3) for end in ("O", "N", "[C@H](F)Cl", "[C@@H](F)Cl")]
    molecules = [*chains, "C" * 12, "C" * 13, "C" * 14, "BrBr", "?", ""]

    def one(number):
        # Written in other ways, too, so that equal molecules have different texts.
        text = generator.choice(molecules)
        known = number % 2 and text not in ("?", "")
        return Chem.MolToSmiles(Chem.MolFromSmiles(text), doRandom=True) if known else text

    listed = [one(number) for number in range(20 * seed)]
    index = SimilarMolecules(listed)
    for query in [one(number) for number in range(10)]:
        for count in (1, 2, 3, 10, 1000):
            found, expected = index.nearest(query, count), literal_search(listed, query, count)
            assert [place for place, _ in found] == [place for place, _ in expected]
            assert [value for _, value in found] == [value for _, value in expected]


def test_repeated_molecules_are_read_and_named_once(monkeypatch):
    read, named = [], []
    parse, name = similarity.parse_smiles, similarity.canonical_smiles
    monkeypatch.setattr(similarity, "parse_smiles", lambda text: [read.append(text), parse(text)][1])
    monkeypatch.setattr(similarity, "canonical_smiles", lambda texts: [named.extend(texts), name(texts)][1])
    mirrored = ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"]
    index = SimilarMolecules([*mirrored, "CCO"] * 50)
    assert read == [*mirrored, "CCO"]
    assert not named  # names are written when they are needed
    assert index.nearest("OCC", 1) == [(2, 1.0)]
    assert not named  # one text, one molecule
    for _ in range(3):
        assert index.nearest("N[C@H](C)C(=O)O", 1) == [(1, 1.0)]
    assert named == [*mirrored, *["N[C@H](C)C(=O)O"] * 3]
    assert len(read) == 3 + 4


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
