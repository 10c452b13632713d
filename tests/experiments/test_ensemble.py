"""Ensembles and cross-validations of networks of one epoch over sixty molecules."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import run as runner
from pyg_samsa.hub import load_pretrained
from pyg_samsa.predict import load_predictor
from pyg_samsa.training.run_record import find_run_folders

pytest.importorskip("lightgbm")
SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O", "C1CC1")]
TINY = [
    "samsa.layers",
    "1",
    "samsa.channels",
    "8",
    "samsa.heads",
    "2",
    "samsa.num_samples",
    "4",
    "optim.max_epoch",
    "1",
]
TINY += [
    "num_threads",
    "1",
    "accelerator",
    "cpu",
    "optim.num_warmup_epochs",
    "0",
    "boosting.trees",
    "10",
    "predictor.gp_inputs",
    "[]",
    "predictor.refit",
    "descriptors",
]
TINY += ["predictor.tree_inputs", "[maccs]", "out_dir", "results", "run_name", "length"]


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Trains on the length of SMILES: ``train("predictor.folds", "3")`` returns the result and its summary."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"smiles": SMILES, "length": [len(text) for text in SMILES]})
    frame["kind"] = ["ring" if "c1" in text else "chain" for text in SMILES]
    frame.to_csv("table.csv", index=False)

    def run(*opts, target="length", **options):
        data = ["dataset.csv", "table.csv", "dataset.target_columns", f"[{target}]"]
        (result,) = runner.run("csv", [*data, *TINY, *opts], verbosity=-1, **options)
        return result, json.loads(result.folder.file("summary.json").read_text())

    return run


def test_an_ensemble_is_the_mean_of_its_networks(train):
    result, summary = train("predictor.ensemble", "2", "predictor.members", "network", "seed", "5")
    folders = sorted((result.folder.path / "members").iterdir())
    assert [path.name for path in folders] == ["seed-5", "seed-6"]
    models = [load_predictor(path / path.name[-1] / "model") for path in folders]
    blend = load_predictor(result.folder.path)
    assert (len(blend.members), blend.weights.round(6).tolist()) == (2, [[0.5]] * 2)
    values = np.stack([model.predict(SMILES).values for model in models])
    found = blend.predict(SMILES, uncertainty=True, interval=0.5)
    np.testing.assert_allclose(found.values, values.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.spread, values.std(0), rtol=1e-3, atol=1e-5)
    assert blend.calibration.source == "validation"
    np.testing.assert_allclose(
        (found.high - found.low) / 2 / (found.spread + blend.calibration.floor),
        np.full((60, 1), np.ptp([found.low[0], found.high[0]]) / 2 / (found.spread[0] + blend.calibration.floor)),
        rtol=1e-5,
    )
    weights = [load_pretrained(path / path.name[-1] / "model")[0].readout.head for path in folders]
    assert not torch.equal(next(weights[0].parameters()), next(weights[1].parameters()))
    assert [one["name"] for one in summary["predictor"]["members"]] == ["seed 5", "seed 6"]
    written = pd.read_csv(result.folder.file("predictions_test.csv"))
    error = (written["length_true"] - written["length_pred"]).abs().mean()
    assert summary["test"]["mae"] == pytest.approx(error, rel=1e-4)
    assert find_run_folders([result.folder.path.parent]) == [result.folder.path]


def test_the_networks_of_an_ensemble_are_trained_again(train):
    opts = ["predictor.ensemble", "2", "predictor.members", "network", "predictor.refit", "all"]
    result, summary = train(*opts, "train.auto_resume", "True")
    assert summary["predictor"]["refit"] == "all"
    again = [path / "0" for path in sorted((result.folder.path / "members").glob("seed-?/?/refit"))]
    models = [load_predictor(path.parent / path.parent.parent.name / "model") for path in again]
    values = np.mean([model.predict(SMILES).values for model in models], axis=0)
    np.testing.assert_allclose(load_predictor(result.folder.path).predict(SMILES).values, values, rtol=1e-5)
    assert [path.parent.parent.name for path in again] == ["0", "1"]
    assert find_run_folders([result.folder.path.parent]) == [result.folder.path]
    times = [path.stat().st_mtime_ns for path in result.folder.path.glob("members/*/*/refit/*/history.csv")]
    train(*opts, "train.auto_resume", "True")
    assert [p.stat().st_mtime_ns for p in result.folder.path.glob("members/*/*/refit/*/history.csv")] == times


def test_folds_leave_out_each_row_once_and_never_see_the_test_rows(train):
    result, summary = train("predictor.folds", "2")
    assert summary["predictor"]["refit"] == ""
    members = sorted((result.folder.path / "members").iterdir())
    assert [path.name for path in members] == ["fold-1", "fold-2"]
    tested = pd.read_csv(result.folder.file("predictions_test.csv"))
    for path in members:
        own = pd.read_csv(path / "0" / "predictions_test.csv")
        assert own["smiles"].tolist() == tested["smiles"].tolist()
    blend = load_predictor(result.folder.path)
    assert blend.calibration.source == "out-of-fold"
    assert len(blend.calibration.scores[0]) == 60 - len(tested)
    np.testing.assert_allclose(blend.predict(tested["smiles"].tolist()).values[:, 0], tested["length_pred"], rtol=1e-4)
    assert blend.weights.sum() == pytest.approx(1)
    assert len(blend.members) % 2 == 0
    assert set(summary["predictor"]["scores"]) == {"2 networks", "2 x trees maccs", "predictor"}
    assert summary["val"] == summary["predictor"]["scores"]["predictor"]["val"]
    assert {row["confidence"] for row in summary["predictor"]["coverage"]} == {0.5, 0.8, 0.9, 0.95}
    assert {row["count"] for row in summary["predictor"]["coverage"]} == {len(tested)}


def test_out_of_fold_predictions_are_those_of_the_model_that_left_the_row_out(train, monkeypatch):
    from pyg_samsa.experiments import ensemble

    seen = []
    original = ensemble.join_folds

    def join(models, folds, name):
        seen.append((models, folds, original(models, folds, name)))
        return seen[-1][2]

    monkeypatch.setattr(ensemble, "join_folds", join)
    train("predictor.folds", "2", "predictor.members", "trees")
    ((models, folds, joined),) = seen
    pool = np.sort(np.concatenate(folds))
    for model, fold in zip(models, folds, strict=True):
        texts = [SMILES[row] for row in fold]
        own = model.predictor.predict(texts).values
        np.testing.assert_allclose(joined.outputs["val"][np.searchsorted(pool, fold)], own, rtol=1e-6)
    means = np.mean([model.outputs["test"] for model in models], axis=0)
    np.testing.assert_array_equal(joined.outputs["test"], means)


def test_folds_of_trees_alone_for_classes_and_by_scaffold(train):
    opts = ["predictor.folds", "2", "predictor.members", "trees", "boosting.min_leaf", "2"]
    result, summary = train(*opts, "dataset.split_kind", "scaffold", "dataset.split", "[0.8, 0.0, 0.2]")
    assert result.parameters == 0
    assert summary["epochs"] == 10
    result, summary = train(*opts, "name_tag", "kinds", "dataset.csv_task", "multiclass", target="kind")
    assert load_predictor(result.folder.path).task.names == ("chain", "ring")
    assert summary["predictor"]["coverage"][0]["size"] <= 2


def test_an_interrupted_ensemble_goes_on_with_its_next_network(train, monkeypatch):
    original, calls = runner.run_once, []

    def once(plan, **options):
        calls.append(plan.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(plan, **options)

    monkeypatch.setattr(runner, "run_once", once)
    opts = ["predictor.ensemble", "2", "train.auto_resume", "True"]
    with pytest.raises(KeyboardInterrupt):
        train(*opts)
    result, summary = train(*opts)
    assert result.folder.path.name == "0"
    assert calls == ["seed-0", "seed-1", "seed-0", "seed-1"]
    first = result.folder.path / "members" / "seed-0"
    assert [path.name for path in first.iterdir()] == ["0"]  # it was not trained again
    assert len(summary["predictor"]["members"]) == 2


@pytest.mark.parametrize(
    ("opts", "told"),
    [
        (["predictor.folds", "1"], r"predictor\.folds: got 1"),
        (["predictor.folds", "3", "predictor.ensemble", "2"], r"predictor\.ensemble: got 2"),
        (["predictor.folds", "99"], r"predictor\.folds: got 99, expected at most 5\d, the number of molecules"),
        (["predictor.ensemble", "2", "predictor.members", "trees"], r"predictor\.ensemble: got 2"),
        (["predictor.ensemble", "2", "devices", "2"], "devices: got 2"),
        (["predictor.ensemble", "2", "model.type", "gcn", "dataset.descriptors", "[]"], r"model\.type: got 'gcn'"),
    ],
)
def test_settings_that_contradict_each_other_are_named_before_the_training(train, monkeypatch, opts, told):
    monkeypatch.setattr(runner, "run_once", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(ConfigError, match=told):
        train(*opts)


def test_an_ensemble_is_not_repeated(train):
    with pytest.raises(ConfigError, match="--repeat"):
        train("predictor.ensemble", "2", repeat=2)
