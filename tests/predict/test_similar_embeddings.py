import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import MoleculeEmbedder, MoleculePredictor
from pyg_samsa.predict.similar_embeddings import SimilarEmbeddings, key_of
from pyg_samsa.task import Task

SMILES = ["CCO", "c1ccccc1O", "NCC(=O)O", "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(C)Cc1ccc(cc1)C(C)C(=O)O"]


def make_embedder(seed, channels=16, extra=(), standardize=(), **options):
    torch.manual_seed(seed)
    sizes = {"channels": channels, "num_layers": 2, "heads": 2, "num_samples": 8, "graph_channels": len(extra)}
    model = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes, **options)
    return MoleculeEmbedder(
        MoleculePredictor(model, Task("regression", ["y"]), extra_columns=extra, standardize=standardize)
    )


@pytest.fixture(scope="module")
def embedder():
    return make_embedder(0)


def rewritten(smiles, seed):
    """Return the SMILES of the molecule with its atoms in another order."""
    mol = Chem.MolFromSmiles(smiles)
    order = np.random.default_rng(seed).permutation(mol.GetNumAtoms()).tolist()
    return Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)


def literal(embedders, smiles, query):
    """The similarity of a molecule and each of a list, by its definition, one number at a time."""
    total = [0.0] * len(smiles)
    for embedder in embedders:
        vectors = [embedder.predict([Chem.CanonSmiles(text)]).values[0] for text in smiles]
        mean = sum(vectors) / len(vectors)
        own = embedder.predict([Chem.CanonSmiles(query)]).values[0] - mean
        for place, vector in enumerate(vectors):
            other = vector - mean
            product = sum(a * b for a, b in zip(own, other, strict=True))
            lengths = sum(a * a for a in own) ** 0.5 * sum(b * b for b in other) ** 0.5
            total[place] += product / lengths / len(embedders)
    return total


def test_similarities_are_those_of_the_definition(embedder):
    for embedders in ([embedder], [embedder, make_embedder(1, channels=8)]):
        index = SimilarEmbeddings(embedders, SMILES)
        found = index.nearest("OCC(O)CO", len(SMILES))
        expected = literal(embedders, SMILES, "OCC(O)CO")
        np.testing.assert_allclose([value for _, value in found], [expected[place] for place, _ in found], atol=1e-5)
        assert [place for place, _ in found] == sorted(range(len(SMILES)), key=lambda place: -expected[place])
        assert -1 <= found[-1][1] < 0 < found[0][1] < 1
        assert index.nearest("OCC(O)CO", 2) == found[:2]


@pytest.mark.parametrize("place", range(len(SMILES)))
def test_a_molecule_finds_itself_however_it_is_written(embedder, place):
    index = SimilarEmbeddings([embedder], SMILES)
    plain = index.nearest(SMILES[place], len(SMILES))
    assert plain[0] == (place, 1.0)
    for seed in range(3):
        assert index.nearest(rewritten(SMILES[place], seed), len(SMILES)) == plain
    # Neither does it matter how the list is written.
    other = SimilarEmbeddings([embedder], [rewritten(text, 7) for text in SMILES])
    assert other.nearest(SMILES[place], len(SMILES)) == plain


def test_equal_molecules_keep_the_order_of_the_list(embedder):
    index = SimilarEmbeddings([embedder], ["C=C", "OCC", "C(", "CCO", "CO"])
    assert len(index) == 4
    assert index.nearest("C(O)C", 2) == [(1, 1.0), (3, 1.0)]
    # A repeated molecule counts once in the mean.
    once = SimilarEmbeddings([embedder], ["C=C", "OCC", "CO"])
    assert [value for _, value in index.nearest("CN", 4)][1:] != []
    values = dict(index.nearest("CN", 4))
    assert {place: values[place] for place in (0, 1, 4)} == dict(zip((0, 1, 4), _in_order(once), strict=True))


def _in_order(index):
    found = dict(index.nearest("CN", 3))
    return [found[place] for place in range(3)]


def test_nothing_is_found_where_nothing_can_be_read(embedder):
    assert SimilarEmbeddings([embedder], []).nearest("C") == []
    assert SimilarEmbeddings([embedder], ["?"]).nearest("C") == []
    assert SimilarEmbeddings([embedder], ["C", "CC"]).nearest("?") == []


def test_a_list_of_one_molecule(embedder):
    index = SimilarEmbeddings([embedder], ["CCO"])
    assert index.nearest("OCC") == [(0, 1.0)]
    assert index.nearest("c1ccccc1") == [(0, 0.0)]  # there is no direction to compare


def test_extra_columns_are_a_part_of_the_molecule():
    embedder = make_embedder(0, extra=["pH"])
    index = SimilarEmbeddings([embedder], ["CCO", "CCO", "CCN"], {"pH": [4.0, 9.0, 7.0]})
    assert index.nearest("OCC", 1, {"pH": 9.0}) == [(1, 1.0)]
    assert index.nearest("OCC", 1, {"pH": 4.0}) == [(0, 1.0)]
    assert index.nearest("OCC", 1, {"pH": 8.5})[0][1] < 1


def test_keys():
    assert key_of("OCC", {"b": 1.0, "a": 2.0}) == ("CCO", (("a", 2.0), ("b", 1.0)))
    assert key_of("C" * 1001, {}).smiles == "C" * 1001
    assert key_of("C(", {}) is None


def test_standardised_molecules_are_compared():
    embedder = make_embedder(0, standardize=["fragment", "neutralize"])
    index = SimilarEmbeddings([embedder], ["CCO", "CC(=O)[O-].[Na+]", "C[NH3+].[Cl-]", "c1ccccc1"])
    assert index.nearest("CC(=O)O", 1) == [(1, 1.0)]
    assert index.nearest("[K+].[O-]C(C)=O", 4) == index.nearest("CC(=O)O", 4)
    assert index.nearest("CN", 1) == [(2, 1.0)]
    plain = SimilarEmbeddings([make_embedder(0)], ["CCO", "CC(=O)[O-].[Na+]", "C[NH3+].[Cl-]", "c1ccccc1"])
    assert plain.nearest("CC(=O)O", 1)[0][1] < 1
