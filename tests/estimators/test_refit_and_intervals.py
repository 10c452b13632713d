import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.errors import ConfigError
from pyg_samsa.estimators import SAMSAClassifier, SAMSARegressor
from pyg_samsa.estimators._blend import fit_blend
from pyg_samsa.predict import load_predictor
from pyg_samsa.task import Task

pytest.importorskip("lightgbm")
pytest.importorskip("crepes")
SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
CARBONS = np.array([text.upper().count("C") for text in SMILES], dtype=float)
ARENES = np.where(["c1" in text for text in SMILES], "arene", "other")
SMALL = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4, "max_epochs": 2, "warmup_epochs": 0}
SMALL |= {"validation_fraction": 0.25}


@pytest.mark.parametrize("members", ["network", "gp", "all"])
def test_intervals_are_about_the_predictions_and_grow_with_the_confidence(members):
    regressor = SAMSARegressor(**SMALL, members=members).fit(SMILES, CARBONS)
    predicted = regressor.predict(SMILES)
    narrow, wide = (regressor.predict_interval(SMILES, confidence) for confidence in (0.5, 0.9))
    for low, high in (narrow, wide):
        assert low.shape == high.shape == (48,)
        np.testing.assert_allclose((low + high) / 2, predicted, rtol=1e-6, atol=1e-6)
    assert (wide[1] - wide[0] > narrow[1] - narrow[0]).all()
    assert len(regressor.calibration_.scores[0]) == 12
    with pytest.raises(ConfigError, match=r"confidence: got 0.99, expected a number of at most 0.923"):
        regressor.predict_interval(SMILES, 0.99)
    low, high = regressor.predict_interval([], 0.5)
    assert len(low) == len(high) == 0


def test_intervals_hold_what_they_say():
    generator = np.random.default_rng(0)
    y = CARBONS + generator.normal(size=48)
    regressor = SAMSARegressor(members="gp", validation_fraction=0.5).fit(SMILES, y)
    low, high = regressor.predict_interval(SMILES, 0.5)
    held_out = regressor.calibration_.scores[0]
    # Of 24 molecules that set the width, the 13th in order is the limit.
    assert len(held_out) == 24
    assert 13 <= ((low <= y) & (y <= high)).sum() <= 44


def test_graphs_with_features_of_the_users_own_have_intervals():
    generator = torch.Generator().manual_seed(0)
    chain = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    graphs = [Data(x=torch.randn(3, 4, generator=generator), edge_index=chain) for _ in range(20)]
    y = [float(graph.x.sum()) for graph in graphs]
    regressor = SAMSARegressor(**SMALL).fit(graphs, y)
    low, high = regressor.predict_interval(graphs, 0.5)
    assert (low < high).all()


def test_sets_of_classes_and_labels():
    classes = SAMSAClassifier(members="trees", validation_fraction=0.25).fit(SMILES, ARENES)
    found = classes.predict_set(SMILES, 0.6)
    assert (found.dtype, found.shape) == (bool, (48, 2))
    likely = classes.predict(SMILES)
    assert found[np.arange(48), (likely == "other").astype(int)].mean() > 0.5
    three = SAMSAClassifier(**SMALL).fit(SMILES, [text[-1] for text in SMILES])
    assert three.predict_set(SMILES[:5], 0.8).shape == (5, 3)
    labels = np.stack([["O" in text for text in SMILES], ["N" in text for text in SMILES]], 1).astype(float)
    both = SAMSAClassifier(members="gp", validation_fraction=0.25).fit(SMILES, labels)
    assert both.predict_set(SMILES[:5], 0.8).shape == (5, 2, 2)


def test_without_validation_there_are_no_intervals():
    regressor = SAMSARegressor(**{**SMALL, "validation_fraction": 0}).fit(SMILES[:12], CARBONS[:12])
    assert regressor.calibration_ is None
    with pytest.raises(ConfigError, match="this model was not calibrated"):
        regressor.predict_interval(SMILES)


def test_saved_blends_keep_their_intervals(tmp_path):
    regressor = SAMSARegressor(members="gp", validation_fraction=0.25).fit(SMILES, CARBONS)
    predictor = load_predictor(regressor.save_pretrained(tmp_path / "saved"))
    found = predictor.predict(SMILES, interval=0.8)
    for saved, own in zip((found.low, found.high), regressor.predict_interval(SMILES, 0.8), strict=True):
        np.testing.assert_allclose(saved[:, 0], own, rtol=1e-5)


def test_models_on_descriptors_are_fitted_again_to_all_molecules():
    split = {"train": torch.arange(0, 48, 2), "val": torch.arange(1, 48, 2)}
    task, y = Task("regression", ["carbons"]), CARBONS[:, None]
    once, again = (fit_blend(SMILES, y, split, task, kinds=("gp",), refit=refit) for refit in (False, True))
    whole = fit_blend(SMILES, y, {"train": torch.arange(48)}, task, kinds=("gp",))
    # Weights and intervals come from fits that have not seen the validation molecules.
    np.testing.assert_array_equal(once.weights, again.weights)
    assert once.calibration.as_dict() == again.calibration.as_dict()
    held_out = [SMILES[row] for row in split["val"]]
    assert not np.allclose(once.predict(held_out).values, again.predict(held_out).values, rtol=1e-6)
    for one, other in zip(again.members, whole.members, strict=True):
        np.testing.assert_allclose(one.predict(SMILES).values, other.predict(SMILES).values, rtol=1e-9)


def test_a_network_is_trained_again_on_all_molecules():
    once, again = (SAMSARegressor(**SMALL, refit=refit).fit(SMILES, CARBONS) for refit in ("none", "all"))
    assert [row["val_loss"] for row in once.history_] == [row["val_loss"] for row in again.history_]
    assert once.calibration_.as_dict() == again.calibration_.as_dict()
    assert not np.allclose(once.predict(SMILES), again.predict(SMILES))
    whole = SAMSARegressor(**{**SMALL, "validation_fraction": 0}).fit(SMILES, CARBONS)
    np.testing.assert_allclose(again.predict(SMILES), whole.predict(SMILES), rtol=1e-5)
    with pytest.raises(ConfigError, match="refit: got 'some'"):
        SAMSARegressor(refit="some").fit(SMILES, CARBONS)
