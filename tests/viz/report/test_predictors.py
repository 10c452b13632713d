import math

import pytest

from pyg_samsa.viz.report.groups import group_runs
from pyg_samsa.viz.report.predictors import coverage_rows, predictor_rows


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
    first, last = predictor_rows(groups)
    assert (first["name"], first["metric"], first["weight"]) == ("net", "ap", 0.25)
    assert first["test"] == pytest.approx(0.6)
    assert math.isnan(last["weight"])


def test_coverage_is_a_mean_over_the_seeds(record):
    groups = group_runs([with_predictor(record, 0, coverage=0.8), with_predictor(record, 1, coverage=0.9)])
    (row,) = coverage_rows(groups)
    assert (row["confidence"], row["coverage"], row["size"], row["count"]) == (0.9, pytest.approx(0.85), 2.0, 64)


def test_the_page_shows_them_only_where_they_are(page, record):
    text, structure = page(with_predictor(record, 0, coverage=0.875))
    assert "Coverage on test" in text
    assert "87.5 %" in text
    assert "predictor" in structure.ids
    text, structure = page(record(0))
    assert "predictor" not in structure.ids
