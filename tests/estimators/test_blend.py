import importlib.util

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch_geometric.data import Data

from pyg_samsa.chem import smiles_to_data
from pyg_samsa.errors import ConfigError, MissingDependencyError, SmilesError
from pyg_samsa.estimators import SAMSAClassifier, SAMSARegressor
from pyg_samsa.estimators._blend import fit_blend, smiles_of_items
from pyg_samsa.predict import load_predictor
from pyg_samsa.task import Task

pytest.importorskip("lightgbm")
SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
CARBONS = np.array([text.upper().count("C") for text in SMILES], dtype=float)
SMALL = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4, "max_epochs": 1, "warmup_epochs": 0}


@pytest.fixture(scope="module")
def both():
    return SAMSARegressor(**SMALL, members="all", validation_fraction=0.2).fit(SMILES, CARBONS)


def test_a_blend_beside_a_network_that_has_learned_nothing(both):
    assert both.predictor_.names[0] == "network"
    assert both.predictor_.weights[0, 0] < 0.3
    assert np.abs(both.predict(SMILES) - CARBONS).mean() < 1
    np.testing.assert_array_equal(both.predict(SMILES), both.predictor_.predict(SMILES).values[:, 0])
    assert both.best_epoch_ == 1


def test_a_saved_blend_predicts_the_same(both, tmp_path):
    predictor = load_predictor(both.save_pretrained(tmp_path / "saved", target_names=["carbons"]))
    assert predictor.target_names == ["carbons"]
    np.testing.assert_allclose(predictor.predict(SMILES).values[:, 0], both.predict(SMILES), rtol=1e-6)
    assert both.predictor_.target_names == ["target_0"]


def test_a_gaussian_process_needs_no_lightgbm(monkeypatch):
    found = importlib.util.find_spec

    def hidden(name, *rest):
        return None if name == "lightgbm" else found(name, *rest)

    monkeypatch.setattr("pyg_samsa.predict.boosted_trees.find_spec", hidden)
    regressor = SAMSARegressor(**SMALL, members="gp").fit(SMILES, CARBONS)
    assert all(name.startswith("Gaussian process ") for name in regressor.predictor_.names)
    assert np.abs(regressor.predict(SMILES) - CARBONS).mean() < 1
    with pytest.raises(MissingDependencyError, match="lightgbm"):
        SAMSARegressor(**SMALL, members="trees").fit(SMILES, CARBONS)


@pytest.mark.parametrize(
    "y",
    [
        np.where(["c1" in text for text in SMILES], "arene", "other"),
        np.array([text[-1] for text in SMILES]),
        np.stack([["O" in text for text in SMILES], ["N" in text for text in SMILES]], 1).astype(float),
    ],
    ids=["binary", "multiclass", "multilabel"],
)
def test_trees_alone(y):
    classifier = SAMSAClassifier(**SMALL, members="trees").fit(SMILES, y)
    assert not hasattr(classifier, "model_")
    assert (classifier.predict(SMILES) == y).mean() > 0.9
    probabilities = classifier.predict_proba(SMILES)
    assert probabilities.shape == (48, len(classifier.classes_) if y.ndim == 1 else 2)
    if y.ndim == 1:
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-9)


def test_without_validation_all_members_have_the_same_weight():
    split = {"train": torch.arange(48)}
    blend = fit_blend(SMILES, CARBONS[:, None], split, Task("regression", ["y"]))
    np.testing.assert_allclose(blend.weights, 1 / 4)


def test_clones_and_second_fits(both):
    assert clone(both).members == "all"
    again = clone(both).set_params(members="network").fit(SMILES, CARBONS)
    assert not hasattr(again, "predictor_")


def test_what_is_wrong_is_named(both):
    with pytest.raises(ConfigError, match="members"):
        SAMSARegressor(**SMALL, members="forest").fit(SMILES, CARBONS)
    with pytest.raises(SmilesError, match="row 2"):
        both.predict(["C", "C1CC"])
    graph = smiles_to_data("CC")
    plain = Data(x=graph.x, edge_index=graph.edge_index, edge_attr=graph.edge_attr)
    with pytest.raises(ConfigError, match="graph 1 has no SMILES"):
        smiles_of_items([graph, plain], "members", "all")
    with pytest.raises(ConfigError, match="members"):
        SAMSARegressor(**SMALL, members="trees").fit([plain] * 4, [1, 2, 3, 4])
