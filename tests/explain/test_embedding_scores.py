import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from rdkit import Chem

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES, smiles_to_data
from pyg_samsa.explain.embedding_scores import embedding_scores, similarity_predictor
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import MoleculeEmbedder, MoleculePredictor
from pyg_samsa.predict.similar_embeddings import SimilarEmbeddings
from pyg_samsa.task import Task

SMILES = ["CCO", "c1ccccc1O", "NCC(=O)O", "CC(N)C(=O)O"]
QUERY = "CC(O)C(=O)N"  # canonical is another order of its atoms


def make_embedder(seed=0, extra=(), **options):
    torch.manual_seed(seed)
    sizes = {"channels": 16, "num_layers": 2, "heads": 2, "graph_channels": len(extra)}
    if options.get("attention") != "full":
        sizes["num_samples"] = 6
    model = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes, **options)
    with torch.no_grad():
        model.encoder.alpha.fill_(0.5)
    return MoleculeEmbedder(MoleculePredictor(model, Task("regression", ["y"]), extra_columns=extra))


def bonds_of(found):
    return dict(zip(map(tuple, found.bond_index.T.tolist()), found.bond.tolist(), strict=True))


def test_scores_are_the_fall_of_the_similarity_without_a_token(predict):
    embedder = make_embedder()
    index = SimilarEmbeddings([embedder], SMILES)
    model, text = embedder.predictor.model, Chem.CanonSmiles(QUERY)
    vectors = np.stack([embedder.predict([smiles]).values[0] for smiles in SMILES])
    mean = vectors.mean(0)
    data = smiles_to_data(text)

    def similarity(without, place):
        seen = []
        hook = model.readout.head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        predict(model, data, without)
        hook.remove()
        own, other = seen[0][0].double().numpy() - mean, vectors[place] - mean
        return own @ other / np.linalg.norm(own) / np.linalg.norm(other)

    for place, found in zip((3, 0), embedding_scores(index, text, [3, 0]), strict=True):
        whole, atoms = similarity((), place), data.num_nodes
        assert found.prediction.item() == pytest.approx(whole, abs=1e-5)
        expected = [whole - similarity((atom,), place) for atom in range(atoms)]
        np.testing.assert_allclose(found.node.numpy(), expected, atol=1e-5)
        expected = [
            whole - similarity((atoms + 2 * bond, atoms + 2 * bond + 1), place) for bond in range(data.num_edges // 2)
        ]
        np.testing.assert_allclose(found.bond.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"attention": "full"}, {"bridge": False}, {"local": "gine", "bridge": False}])
def test_scores_follow_the_atoms_however_the_molecule_is_written(options):
    index = SimilarEmbeddings([make_embedder(**options)], SMILES)
    (first,) = embedding_scores(index, QUERY, [3])
    assert first.node.abs().max() > 0
    mol = Chem.MolFromSmiles(QUERY)
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(mol.GetNumAtoms()).tolist()
        text = Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)
        (other,) = embedding_scores(index, text, [3])
        match = Chem.MolFromSmiles(text).GetSubstructMatch(mol)  # QUERY has no two equivalent atoms
        assert other.node[list(match)].tolist() == first.node.tolist()
        expected = {tuple(sorted((match[a], match[b]))): value for (a, b), value in bonds_of(first).items()}
        assert bonds_of(other) == expected


def test_scores_of_several_networks_are_means():
    one, two = make_embedder(0), make_embedder(1, bridge=False)
    both = SimilarEmbeddings([one, two], SMILES)
    (found,) = embedding_scores(both, QUERY, [1])
    parts = [embedding_scores(SimilarEmbeddings([single], SMILES), QUERY, [1])[0] for single in (one, two)]
    torch.testing.assert_close(found.node, (parts[0].node + parts[1].node) / 2)
    torch.testing.assert_close(found.bond, (parts[0].bond + parts[1].bond) / 2)
    assert found.prediction.item() == pytest.approx(dict(both.nearest(QUERY, 4))[1], abs=1e-6)


def test_extra_columns_are_read():
    index = SimilarEmbeddings([make_embedder(extra=["pH"])], SMILES, {"pH": [1.0, 2.0, 3.0, 4.0]})
    low, high = (embedding_scores(index, QUERY, [0], {"pH": value})[0] for value in (1.0, 9.0))
    assert low.prediction.item() == pytest.approx(dict(index.nearest(QUERY, 4, {"pH": 1.0}))[0], abs=1e-6)
    assert not torch.equal(low.node, high.node)


def test_one_atom_and_a_molecule_that_is_too_large():
    index = SimilarEmbeddings([make_embedder(bridge=False)], SMILES)
    (single,) = embedding_scores(index, "C", [0])
    assert (single.node.shape, single.bond.shape) == ((1,), (0,))
    assert embedding_scores(index, "C" * 1001, [0]) == [None]


def test_the_network_itself_stays_as_it_is():
    embedder = make_embedder()
    head, before = embedder.predictor.model.readout.head, embedder.predictor.predict([QUERY]).values
    (direction,) = SimilarEmbeddings([embedder], SMILES).directions([0, 2])
    network = similarity_predictor(embedder.predictor, direction)
    assert network.predict([QUERY]).values.shape == (1, 2)
    assert embedder.predictor.model.readout.head is head
    assert embedder.predictor.predict([QUERY]).values == before
