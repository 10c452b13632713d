import numpy as np
import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.blend import blend_candidates, save_fitted
from pyg_samsa.experiments.candidates import Candidate, network_candidate
from pyg_samsa.experiments.measure import measure
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.predict import BlendPredictor, Predictor, load_predictor
from pyg_samsa.task import Task

pytest.importorskip("lightgbm")


class Given(Predictor):
    """A predictor that is not asked."""

    task = Task("regression", ["carbons", "oxygens"])

    def outputs(self, inputs, *, draws=None):
        raise AssertionError


def given(name, rows, val, test):
    """A candidate whose errors on validation and test are these."""
    target = {split: rows.target[rows.splits[split]] for split in ("val", "test")}
    return Candidate(name, Given(), {"val": target["val"] + val, "test": target["test"] + test})


def test_weights_are_chosen_on_validation_and_never_on_test(rows, small):
    good_on_test, good_on_val = given("a", rows, val=1.0, test=0.0), given("b", rows, val=0.1, test=9.0)
    fitted = blend_candidates([good_on_test, good_on_val], rows, small.mae, "mae")
    assert fitted.weights == {"a": 0, "b": 1}
    assert fitted.scores["predictor"]["test"]["mae"] == pytest.approx(9)
    assert fitted.scores["a"]["test"]["mae"] == 0
    assert fitted.blend.metrics == fitted.scores["predictor"]


def test_a_blend_that_is_better_on_validation_is_used(rows, small):
    fitted = blend_candidates([given("a", rows, 1.0, 1.0), given("b", rows, -1.0, 3.0)], rows, small.mae, "mae")
    assert fitted.weights == {"a": 0.5, "b": 0.5}
    assert fitted.scores["predictor"] == {"val": {"mae": 0.0}, "test": {"mae": 2.0}}


def test_without_validation_rows_all_have_the_same_weight(small):
    rows = MoleculeRows(small.dataset(("train", "test")), "mine")
    fitted = blend_candidates(small.fit(rows, "maccs") * 2, rows, small.mae, "mae")
    assert fitted.blend.weights.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert list(fitted.scores["predictor"]) == ["test"]


def test_what_cannot_be_saved_is_measured_and_left_out(rows, trees, small):
    foreign = Candidate("gcn", None, given("", rows, 0.0, 0.0).outputs)
    fitted = blend_candidates([foreign, *trees], rows, small.mae, "mae")
    assert "gcn" in fitted.scores
    assert "gcn" not in fitted.weights
    with pytest.raises(ConfigError, match="members"):
        blend_candidates([foreign], rows, small.mae, "mae")


def test_the_saved_predictor_predicts_as_it_was_measured(rows, trees, model, tmp_path, small):
    candidates = [network_candidate(rows, small.result(model)), *trees]
    fitted = blend_candidates(candidates, rows, small.mae, "mae")
    save_fitted(fitted, tmp_path)
    predictor = load_predictor(tmp_path)
    values = predictor.predict([small.smiles[row] for row in rows.splits["test"]]).values
    np.testing.assert_allclose(values, fitted.outputs["test"], rtol=1e-5)
    found = measure(small.mae, values, rows.target[rows.splits["test"]], small.task)["mae"]
    assert predictor.metrics["test"]["mae"] == pytest.approx(found, rel=1e-5)


def shifted(name, rows, *errors):
    """A candidate that is a blend of models whose errors on all rows are these."""
    target = {split: rows.target[rows.splits[split]] for split in ("val", "test")}
    parts = {split: np.stack([values + error for error in errors]) for split, values in target.items()}
    outputs = {split: values.mean(0) for split, values in parts.items()}
    names = [f"{name} {number}" for number in range(len(errors))]
    blend = BlendPredictor([Given() for _ in errors], np.full(len(errors), 1 / len(errors)), names=names)
    return Candidate(name, blend, outputs, parts=parts)


def test_models_of_an_ensemble_share_its_weight_and_calibrate_by_their_spread(rows, small):
    ensemble, single = shifted("networks", rows, 1.0, 3.0), given("trees", rows, -2.0, -2.0)
    fitted = blend_candidates([ensemble, single], rows, small.mae, "mae")
    assert fitted.weights == {"networks": 0.5, "trees": 0.5}
    assert fitted.blend.names == ["networks 0", "networks 1", "trees"]
    assert fitted.blend.weights[:, 0].tolist() == [0.25, 0.25, 0.5]
    # The deviation of 1, 3, -2, -2 around 0, with these weights.
    spread = np.sqrt(0.25 * 1 + 0.25 * 9 + 0.5 * 4)
    assert fitted.blend.calibration.floor == pytest.approx([spread, spread])
    assert [row["coverage"] for row in fitted.coverage] == [1.0, 1.0]  # of 4 molecules: 50 and 80 %


def test_the_calibration_of_a_single_model_has_no_spread_and_its_coverage_is_measured_on_test(rows, small):
    fitted = blend_candidates([given("a", rows, val=1.0, test=2.0)], rows, small.mae, "mae")
    calibration = fitted.blend.calibration
    assert calibration.floor is None
    assert [scores.tolist() for scores in calibration.scores] == [[1.0] * 4] * 2
    assert fitted.coverage[0] == {"confidence": 0.5, "coverage": 0.0, "width": 2.0, "count": 8}
    assert fitted.as_summary()["coverage"] == list(fitted.coverage)


def test_out_of_fold_predictions_have_no_spread(rows, small):
    fitted = blend_candidates([shifted("networks", rows, 1.0, 3.0)], rows, small.mae, "mae", source="out-of-fold")
    assert fitted.blend.calibration.source == "out-of-fold"
    assert fitted.blend.calibration.floor is None


def test_a_target_without_validation_labels_leaves_the_predictor_without_calibration(small):
    rows = MoleculeRows(small.dataset(), "mine")
    rows.target[rows.splits["val"], 1] = np.nan
    fitted = blend_candidates(small.fit(rows, "maccs"), rows, small.mae, "mae")
    assert fitted.blend.calibration is None
    assert list(fitted.coverage) == []
