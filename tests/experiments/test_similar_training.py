import numpy as np
import pytest
import torch

pytest.importorskip("rdkit")

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.similar_training import SimilarTraining, networks_of
from pyg_samsa.experiments.training_molecules import TrainingMolecules
from pyg_samsa.explain.embedding_scores import embedding_scores
from pyg_samsa.explain.fingerprint_scores import fingerprint_scores
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import BlendPredictor, MoleculePredictor, Predictor
from pyg_samsa.task import Task

TASK = Task("multilabel", ["antimicrobial", "anticancer", "transmembrane"])
SMILES = ["CCO", "c1ccccc1O", "NCC(=O)O", "CC(N)C(=O)O"]


class Constant(Predictor):
    """A predictor without a network."""

    def __init__(self):
        self.task = TASK

    def outputs(self, inputs, *, draws=None):
        return np.full((len(inputs.smiles), 3), 0.5), None


@pytest.fixture(scope="module")
def training():
    target = np.array([[1, 0, np.nan], [0, 0, 0], [1, 1, 1], [np.nan] * 3])
    return TrainingMolecules(TASK, SMILES, target)


@pytest.fixture(scope="module")
def network():
    return MoleculePredictor.from_pretrained("peptides")


def test_fingerprints_find_what_the_web_page_finds(training):
    found = SimilarTraining(training, "fingerprint").find("CC(N)C(=O)N", 3)
    assert [(one.smiles, one.similarity, one.measured) for one in found] == training.nearest("CC(N)C(=O)N", 3)
    assert {one.by for one in found} == {"fingerprint"}
    for one in found:
        assert one.importance.node.tolist() == fingerprint_scores("CC(N)C(=O)N", one.smiles).node.tolist()


def test_embeddings_find_a_training_molecule_with_its_labels(training, network):
    finder = SimilarTraining(training, "embedding", network)
    first, second = finder.find("OC(=O)CN", 2)
    assert (first.smiles, first.similarity, first.by) == ("NCC(=O)O", 1.0, "embedding")
    assert first.measured == {"antimicrobial": "1", "anticancer": "1", "transmembrane": "1"}
    assert second.similarity < 1
    expected = embedding_scores(finder._embeddings, "OC(=O)CN", [2])[0]
    np.testing.assert_allclose(first.importance.node, expected.node, atol=1e-12)
    assert SimilarTraining(training, "embedding", network).find("CCO", 1)[0].measured == {
        "antimicrobial": "1",
        "anticancer": "0",
    }


def test_scores_can_be_left_out(training, network):
    for by in ("embedding", "fingerprint"):
        finder = SimilarTraining(training, by, network)
        plain, scored = finder.find("CCN", scores=False), finder.find("CCN")
        assert [one.importance for one in plain] == [None] * 3
        assert [one.text for one in plain] == [one.text for one in scored]
        assert finder.find("C(") == []


def test_a_blend_is_searched_by_its_networks(training, network):
    blend = BlendPredictor([Constant(), network], [0.5, 0.5])
    assert networks_of(blend) == [network]
    alone, blended = (SimilarTraining(training, "embedding", one).find("CCN") for one in (network, blend))
    assert [one.similarity for one in alone] == [one.similarity for one in blended]
    # Members without a weight have no part in the predictions.
    assert networks_of(BlendPredictor([Constant(), network], [1.0, 0.0])) == []


def test_what_cannot_be_searched_is_named(training):
    with pytest.raises(ConfigError, match="by: got 'embedding', expected 'fingerprint', because") as error:
        SimilarTraining(training, "embedding", Constant())
    assert "subfolder model" in error.value.hint
    with pytest.raises(ConfigError, match="by: got 'shape'"):
        SimilarTraining(training, "shape")


@pytest.mark.parametrize("by", ["embedding", "fingerprint"])
def test_a_molecule_is_standardised_as_the_training_molecules(by):
    steps = ["fragment", "neutralize"]
    known = TrainingMolecules(Task("regression", ["y"]), ["CC(=O)O", "CN"], np.array([[1.0], [2.0]]), standardize=steps)
    torch.manual_seed(0)
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}
    model = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes)
    finder = SimilarTraining(known, by, MoleculePredictor(model, Task("regression", ["y"]), standardize=steps))
    first = finder.find("[O-]C(=O)C.[Na+]")[0]
    assert (first.smiles, first.similarity, first.measured) == ("CC(=O)O", 1.0, {"y": "1"})
    assert first.importance.node.tolist() == finder.find("CC(=O)O")[0].importance.node.tolist()
    assert first.importance.node.shape == (4,)  # of the acid
    assert finder.find("[Na+].[") == []
