import math
import re
from dataclasses import replace

import pytest

from pyg_samsa.viz.report.groups import group_runs
from pyg_samsa.viz.report.predictors import coverage_parts, predictor_parts


def with_predictor(record, seed, shift=0.0, coverage=0.9):
    scores = {
        name: {split: {"ap": 0.5 + shift, "loss": 9.0} for split in ("val", "test")} for name in ("net", "predictor")
    }
    rows = [{"confidence": 0.9, "coverage": coverage, "width": 2.0, "count": 64}]
    run = record(seed)
    run.summary["predictor"] = {"scores": scores, "weights": {"net": 0.25}, "coverage": rows}
    return run


def test_members_are_means_over_the_seeds(record):
    groups = group_runs([with_predictor(record, 0), with_predictor(record, 1, shift=0.2), record(0, folder="other")])
    (part,) = predictor_parts(groups)
    first, last = part["rows"]
    assert (first["name"], part["metric"], first["weight"], part["scored"]) == ("net", "ap", 0.25, True)
    assert first["test"] == pytest.approx(0.6)
    assert math.isnan(last["weight"])


def test_coverage_is_a_mean_over_the_seeds(record):
    groups = group_runs([with_predictor(record, 0, coverage=0.8), with_predictor(record, 1, coverage=0.9)])
    (part,) = coverage_parts(groups)
    (row,) = part["rows"]
    assert part["unit"] == "width"
    assert (row["confidence"], row["coverage"], row["size"], row["count"]) == (0.9, pytest.approx(0.85), 2.0, 64)


def test_the_page_shows_them_only_where_they_are(page, record):
    text, structure = page(with_predictor(record, 0, coverage=0.875))
    assert "Coverage on test" in text
    assert "87.5 %" in text
    assert "predictor" in structure.ids
    text, structure = page(record(0))
    assert "predictor" not in structure.ids


def test_the_page_tells_how_the_weights_were_chosen(page, record):
    run = with_predictor(record, 0)
    text, _ = page(run)
    assert "The weights were chosen on validation predictions, not on test." in text
    assert "fitted again" not in text
    run.summary["predictor"]["refit"] = "all"
    assert "test: all fitted again with the validation rows" in page(run)[0]
    folds = with_predictor(record, 0)
    folds.settings["predictor.folds"] = 3
    assert "chosen on out-of-fold predictions" in page(folds)[0]
    run.summary["predictor"]["scores"] = {"net": {"val": {}, "test": {}}, "predictor": {}}
    text, _ = page(run)
    assert "all members have the same weight" in text
    assert "validation ap" not in text


def test_metrics_of_network_and_predictor_stand_apart(page, record):
    text, _ = page(with_predictor(record, 0, shift=0.25))
    assert re.search(r">Network</th>.*<b>0\.5000</b>.*>Predictor</th>.*<b>0\.7500</b>", text, flags=re.S)
    assert "<dt>Average precision (AP) of the predictor, test</dt><dd>0.7500</dd>" in text
    assert "<dt>Average precision (AP) of the network, test</dt><dd>0.5000</dd>" in text


def test_a_run_without_a_network_shows_the_predictor_only(page, record):
    run = with_predictor(record, 0)
    run.summary.update(parameters=0, best_epoch=40, epochs=40)
    text, _ = page(replace(run, history=None))
    assert "Values of the predictor" in text
    assert ">Network</th>" not in text
    assert "Best epoch" not in text
    assert "metrics.csv" not in text
    run.summary["parameters"], run.summary["predictor"]["members"] = 30, [{"name": "seed 0"}]
    assert "pyg-samsa report results/exp/0/members" in page(replace(run, history=None))[0]


def test_what_differs_between_predictors_stands_below_each(page, record):
    runs = [with_predictor(record, 0), record(0, folder="other")]
    runs[1].summary["predictor"] = {**runs[0].summary["predictor"], "refit": "all"}
    runs[0].summary["predictor"] = {**runs[0].summary["predictor"], "refit": "models on descriptors"}
    text, _ = page(*runs)
    assert text.count("The weights were chosen on validation predictions, not on test.") == 1
    for told in ("test: all fitted again", "test: models on descriptors fitted again"):
        assert text.count(told) == 1
