import dataclasses

import numpy as np
import pytest
import torch

from pyg_samsa import metrics
from pyg_samsa.chem import convert_smiles
from pyg_samsa.datasets.base import SplitDataset, molecules_to_prepared
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.experiments import fit_predictor
from pyg_samsa.experiments.fit_predictor import (
    Candidate,
    MoleculeRows,
    blend_candidates,
    check_trees,
    fit_models,
    has_model,
    measure,
    network_candidate,
    save_fitted,
    smiles_of,
)
from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import (
    BlendPredictor,
    BoostingOptions,
    GaussianProcessOptions,
    Predictor,
    descriptor_models,
    load_predictor,
)
from pyg_samsa.predict.predictor_options import PredictorOptions
from pyg_samsa.task import Task
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder

pytest.importorskip("lightgbm")
SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
TASK = Task("regression", ["carbons", "oxygens"])
BOOSTING = BoostingOptions("lightgbm", trees=30, leaves=4, min_leaf=3)
MAE = {"mae": metrics.build("mae", 2)}


def dataset(splits=("train", "val", "test")):
    table = convert_smiles(SMILES, workers=1, progress=False)
    y = torch.tensor([[text.upper().count("C"), text.count("O")] for text in SMILES]).float()
    rows = {"train": torch.arange(0, 40), "val": torch.tensor([47, 40, 42, 44]), "test": torch.tensor([41, 43, 45, 46])}
    prepared = molecules_to_prepared(table, {split: rows[split] for split in splits}, y=y, smiles=SMILES)
    return SplitDataset(prepared, TASK, MOLECULES)


@pytest.fixture(scope="module")
def rows():
    return MoleculeRows(dataset(), "mine")


def fit(rows, *tree_inputs, refit=True, gp_inputs=()):
    """Fit models on descriptors to the training rows."""
    options = PredictorOptions(tree_inputs=tree_inputs, gp_inputs=gp_inputs)
    models = descriptor_models(rows.task, options, BOOSTING, GaussianProcessOptions())
    return fit_models(rows, models, refit=refit)


@pytest.fixture(scope="module")
def trees(rows):
    return fit(rows, "maccs", "maccs+rdkit2d", refit=False)


@pytest.fixture
def model(tmp_path):
    return save_network(tmp_path / "model")


def save_network(folder, seed=0):
    torch.manual_seed(seed)
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4}
    network = SAMSA.from_options(MOLECULES.in_channels, 2, edge_channels=MOLECULES.edge_channels, **sizes)
    return save_pretrained(network, folder, task=TASK)


def result(model, seconds=3.0):
    """The result of a run whose folder holds the saved network."""
    folder = RunFolder(model.parent)
    return RunResult(folder, 0, 1, val={}, test={}, parameters=1, epochs=1, seconds=seconds)


def test_trees_learn_the_training_rows_and_predict_the_others(rows, trees):
    assert [one.name for one in trees] == ["trees maccs", "trees maccs+rdkit2d"]
    for one in trees:
        assert set(one.outputs) == {"val", "test"}
        # Rows are in the order of the data set: 40, 42, 44, 47.
        texts = [SMILES[row] for row in (40, 42, 44, 47)]
        np.testing.assert_allclose(one.predictor.predict(texts).values, one.outputs["val"], rtol=1e-6)
    score = measure(MAE, trees[1].outputs["val"], rows.target[rows.splits["val"]], TASK)
    assert score["mae"] < measure(MAE, np.full((4, 2), 6.0), rows.target[rows.splits["val"]], TASK)["mae"] / 2


def test_trees_are_fitted_again_with_the_validation_rows(rows, trees):
    again = fit(rows, "maccs")[0]
    # Weights are chosen by trees that have not seen the validation rows.
    np.testing.assert_array_equal(again.outputs["val"], trees[0].outputs["val"])
    assert not np.array_equal(again.outputs["test"], trees[0].outputs["test"])
    texts = [SMILES[row] for row in rows.splits["test"]]
    np.testing.assert_allclose(again.predictor.predict(texts).values, again.outputs["test"], rtol=1e-6)


def test_gaussian_processes_are_fitted_likewise(rows):
    first, again = (fit(rows, gp_inputs=["rdkit2d"], refit=refit)[0] for refit in (False, True))
    assert first.name == "gp rdkit2d"
    np.testing.assert_array_equal(again.outputs["val"], first.outputs["val"])
    assert not np.array_equal(again.outputs["test"], first.outputs["test"])
    assert measure(MAE, first.outputs["test"], rows.target[rows.splits["test"]], TASK)["mae"] < 1
    texts = [SMILES[row] for row in rows.splits["test"]]
    np.testing.assert_allclose(again.predictor.predict(texts).values, again.outputs["test"], rtol=1e-6)


def test_the_network_predicts_as_it_was_saved(rows, model):
    candidate = network_candidate(rows, result(model))
    texts = [SMILES[row] for row in (41, 43, 45, 46)]
    np.testing.assert_allclose(candidate.predictor.predict(texts).values, candidate.outputs["test"], rtol=1e-5)
    assert (candidate.name, candidate.seconds) == ("network", 3.0)


def test_a_second_training_predicts_the_test_rows(rows, model, tmp_path):
    other = save_network(tmp_path / "refit" / "model", seed=1)
    assert has_model(result(other))
    assert not has_model(result(tmp_path / "refit" / "deeper" / "model"))
    found, first, second = (
        network_candidate(rows, *results)
        for results in ((result(model), result(other)), (result(model),), (result(other),))
    )
    np.testing.assert_array_equal(found.outputs["val"], first.outputs["val"])
    np.testing.assert_array_equal(found.outputs["test"], second.outputs["test"])
    assert not np.array_equal(first.outputs["test"], second.outputs["test"])
    np.testing.assert_array_equal(found.predictor.predict(SMILES).values, second.predictor.predict(SMILES).values)
    assert found.seconds == 6.0


class Given(Predictor):
    """A predictor that is not asked."""

    task = TASK

    def outputs(self, inputs, *, draws=None):
        raise AssertionError


def given(name, rows, val, test):
    """A candidate whose errors on validation and test are these."""
    target = {split: rows.target[rows.splits[split]] for split in ("val", "test")}
    return Candidate(name, Given(), {"val": target["val"] + val, "test": target["test"] + test})


def test_weights_are_chosen_on_validation_and_never_on_test(rows):
    good_on_test, good_on_val = given("a", rows, val=1.0, test=0.0), given("b", rows, val=0.1, test=9.0)
    fitted = blend_candidates([good_on_test, good_on_val], rows, MAE, "mae")
    assert fitted.weights == {"a": 0, "b": 1}
    assert fitted.scores["predictor"]["test"]["mae"] == pytest.approx(9)
    assert fitted.scores["a"]["test"]["mae"] == 0
    assert fitted.blend.metrics == fitted.scores["predictor"]


def test_a_blend_that_is_better_on_validation_is_used(rows):
    fitted = blend_candidates([given("a", rows, 1.0, 1.0), given("b", rows, -1.0, 3.0)], rows, MAE, "mae")
    assert fitted.weights == {"a": 0.5, "b": 0.5}
    assert fitted.scores["predictor"] == {"val": {"mae": 0.0}, "test": {"mae": 2.0}}


def test_without_validation_rows_all_have_the_same_weight():
    rows = MoleculeRows(dataset(("train", "test")), "mine")
    fitted = blend_candidates(fit(rows, "maccs") * 2, rows, MAE, "mae")
    assert fitted.blend.weights.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert list(fitted.scores["predictor"]) == ["test"]


def test_what_cannot_be_saved_is_measured_and_left_out(rows, trees):
    foreign = Candidate("gcn", None, given("", rows, 0.0, 0.0).outputs)
    fitted = blend_candidates([foreign, *trees], rows, MAE, "mae")
    assert "gcn" in fitted.scores
    assert "gcn" not in fitted.weights
    with pytest.raises(ConfigError, match="members"):
        blend_candidates([foreign], rows, MAE, "mae")


def test_the_saved_predictor_predicts_as_it_was_measured(rows, trees, model, tmp_path):
    candidates = [network_candidate(rows, result(model)), *trees]
    fitted = blend_candidates(candidates, rows, MAE, "mae")
    save_fitted(fitted, tmp_path)
    predictor = load_predictor(tmp_path)
    values = predictor.predict([SMILES[row] for row in rows.splits["test"]]).values
    np.testing.assert_allclose(values, fitted.outputs["test"], rtol=1e-5)
    found = measure(MAE, values, rows.target[rows.splits["test"]], TASK)["mae"]
    assert predictor.metrics["test"]["mae"] == pytest.approx(found, rel=1e-5)


def test_trees_need_lightgbm(monkeypatch):
    with pytest.raises(ConfigError, match=r"boosting\.model"):
        check_trees(BoostingOptions("sklearn"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError):
        fit_predictor.check_trees(BOOSTING)


@pytest.mark.parametrize("change", [{"level": "node"}, {"pairs": True}])
def test_only_whole_molecules_have_smiles(change):
    molecules = dataset()
    assert smiles_of(molecules, "x") == SMILES
    molecules.task = dataclasses.replace(molecules.task, **change)
    with pytest.raises(ConfigError, match="whole molecules"):
        smiles_of(molecules, "x")


def shifted(name, rows, *errors):
    """A candidate that is a blend of models whose errors on all rows are these."""
    target = {split: rows.target[rows.splits[split]] for split in ("val", "test")}
    parts = {split: np.stack([values + error for error in errors]) for split, values in target.items()}
    outputs = {split: values.mean(0) for split, values in parts.items()}
    names = [f"{name} {number}" for number in range(len(errors))]
    blend = BlendPredictor([Given() for _ in errors], np.full(len(errors), 1 / len(errors)), names=names)
    return Candidate(name, blend, outputs, parts=parts)


def test_models_of_an_ensemble_share_its_weight_and_calibrate_by_their_spread(rows):
    ensemble, single = shifted("networks", rows, 1.0, 3.0), given("trees", rows, -2.0, -2.0)
    fitted = blend_candidates([ensemble, single], rows, MAE, "mae")
    assert fitted.weights == {"networks": 0.5, "trees": 0.5}
    assert fitted.blend.names == ["networks 0", "networks 1", "trees"]
    assert fitted.blend.weights[:, 0].tolist() == [0.25, 0.25, 0.5]
    # The deviation of 1, 3, -2, -2 around 0, with these weights.
    spread = np.sqrt(0.25 * 1 + 0.25 * 9 + 0.5 * 4)
    assert fitted.blend.calibration.floor == pytest.approx([spread, spread])
    assert [row["coverage"] for row in fitted.coverage] == [1.0, 1.0]  # of 4 molecules: 50 and 80 %


def test_the_calibration_of_a_single_model_has_no_spread_and_its_coverage_is_measured_on_test(rows):
    fitted = blend_candidates([given("a", rows, val=1.0, test=2.0)], rows, MAE, "mae")
    calibration = fitted.blend.calibration
    assert calibration.floor is None
    assert [scores.tolist() for scores in calibration.scores] == [[1.0] * 4] * 2
    assert fitted.coverage[0] == {"confidence": 0.5, "coverage": 0.0, "width": 2.0, "count": 8}
    assert fitted.as_summary()["coverage"] == list(fitted.coverage)


def test_out_of_fold_predictions_have_no_spread(rows):
    fitted = blend_candidates([shifted("networks", rows, 1.0, 3.0)], rows, MAE, "mae", source="out-of-fold")
    assert fitted.blend.calibration.source == "out-of-fold"
    assert fitted.blend.calibration.floor is None


def test_a_target_without_validation_labels_leaves_the_predictor_without_calibration():
    rows = MoleculeRows(dataset(), "mine")
    rows.target[rows.splits["val"], 1] = np.nan
    fitted = blend_candidates(fit(rows, "maccs"), rows, MAE, "mae")
    assert fitted.blend.calibration is None
    assert list(fitted.coverage) == []


def test_without_crepes_the_error_comes_before_the_training(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="crepes"):
        fit_predictor.check_conformal()
