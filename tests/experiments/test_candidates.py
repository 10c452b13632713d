import numpy as np
import pytest

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.experiments.candidates import check_conformal, check_trees, has_model, network_candidate
from pyg_samsa.experiments.measure import measure
from pyg_samsa.predict import BoostingOptions

pytest.importorskip("lightgbm")


def test_trees_learn_the_training_rows_and_predict_the_others(rows, trees, small):
    assert [one.name for one in trees] == ["trees maccs", "trees maccs+rdkit2d"]
    for one in trees:
        assert set(one.outputs) == {"val", "test"}
        # Rows are in the order of the data set: 40, 42, 44, 47.
        texts = [small.smiles[row] for row in (40, 42, 44, 47)]
        np.testing.assert_allclose(one.predictor.predict(texts).values, one.outputs["val"], rtol=1e-6)
    score = measure(small.mae, trees[1].outputs["val"], rows.target[rows.splits["val"]], small.task)
    assert (
        score["mae"] < measure(small.mae, np.full((4, 2), 6.0), rows.target[rows.splits["val"]], small.task)["mae"] / 2
    )


def test_trees_are_fitted_again_with_the_validation_rows(rows, trees, small):
    again = small.fit(rows, "maccs")[0]
    # Weights are chosen by trees that have not seen the validation rows.
    np.testing.assert_array_equal(again.outputs["val"], trees[0].outputs["val"])
    assert not np.array_equal(again.outputs["test"], trees[0].outputs["test"])
    texts = [small.smiles[row] for row in rows.splits["test"]]
    np.testing.assert_allclose(again.predictor.predict(texts).values, again.outputs["test"], rtol=1e-6)


def test_gaussian_processes_are_fitted_likewise(rows, small):
    first, again = (small.fit(rows, gp_inputs=["rdkit2d"], refit=refit)[0] for refit in (False, True))
    assert first.name == "Gaussian process rdkit2d"
    np.testing.assert_array_equal(again.outputs["val"], first.outputs["val"])
    assert not np.array_equal(again.outputs["test"], first.outputs["test"])
    assert measure(small.mae, first.outputs["test"], rows.target[rows.splits["test"]], small.task)["mae"] < 1
    texts = [small.smiles[row] for row in rows.splits["test"]]
    np.testing.assert_allclose(again.predictor.predict(texts).values, again.outputs["test"], rtol=1e-6)


def test_the_network_predicts_as_it_was_saved(rows, model, small):
    candidate = network_candidate(rows, small.result(model))
    texts = [small.smiles[row] for row in (41, 43, 45, 46)]
    np.testing.assert_allclose(candidate.predictor.predict(texts).values, candidate.outputs["test"], rtol=1e-5)
    assert (candidate.name, candidate.seconds) == ("network", 3.0)


def test_a_second_training_predicts_the_test_rows(rows, model, tmp_path, small):
    other = small.save_network(tmp_path / "refit" / "model", seed=1)
    assert has_model(small.result(other))
    assert not has_model(small.result(tmp_path / "refit" / "deeper" / "model"))
    found, first, second = (
        network_candidate(rows, *results)
        for results in ((small.result(model), small.result(other)), (small.result(model),), (small.result(other),))
    )
    np.testing.assert_array_equal(found.outputs["val"], first.outputs["val"])
    np.testing.assert_array_equal(found.outputs["test"], second.outputs["test"])
    assert not np.array_equal(first.outputs["test"], second.outputs["test"])
    np.testing.assert_array_equal(
        found.predictor.predict(small.smiles).values, second.predictor.predict(small.smiles).values
    )
    assert found.seconds == 6.0


def test_trees_need_lightgbm(monkeypatch, small):
    with pytest.raises(ConfigError, match=r"boosting\.model"):
        check_trees(BoostingOptions("sklearn"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError):
        check_trees(small.boosting)


def test_without_crepes_the_error_comes_before_the_training(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="crepes"):
        check_conformal()
