import numpy as np
import pandas as pd
import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.task import Task
from pyg_samsa.viz.report.prediction_tables import (
    bounds,
    clipped,
    find_task,
    frame_of,
    labels,
    mean_over_seeds,
    task_of,
)


def test_kinds_of_predictions_are_told_apart(frame):
    assert find_task(frame("labels"), ["ap"]).kind == "multilabel"
    assert find_task(frame("labels").assign(source=0, target=1), ["ap"]).level == "link"
    assert find_task(frame("values"), []).kind == "regression"
    assert find_task(frame("labels"), ["mae"]).kind == "regression"
    assert find_task(frame("classes", names=("x", "y", "z")), ["accuracy"]).names == ("x", "y", "z")


def test_means_over_seeds_need_the_same_rows(frame):
    one, two = frame("labels"), frame("labels")
    two["a_pred"] = 0.0
    mean = mean_over_seeds([one, two])
    assert np.allclose(mean["a_pred"], one["a_pred"] / 2)
    assert mean_over_seeds([one, two.assign(row=two["row"] + 1)]) is None


def test_the_task_is_read_from_the_summary(frame, record):
    saved = record(predictions=frame("labels"))
    saved.summary["task"] = Task("regression", ["a", "b"]).as_dict()
    assert task_of(saved) == Task("regression", ["a", "b"])
    saved.summary["task"] = {"kind": "unknown", "names": ["a"]}
    with pytest.raises(ConfigError, match="task"):
        task_of(saved)


def test_bounds_are_read_and_predictions_beyond_them_are_exact(tmp_path):
    table = pd.DataFrame(
        {"a_true": [5.0, 5.0, 5.0, np.nan], "a_pred": [7.0, 7.0, 7.0, 7.0], "b_true": 1.0, "b_pred": 2.0}
    )
    table["a_bound"] = [">", "<", "", ">"]
    table.to_csv(tmp_path / "predictions.csv", index=False)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert bounds(table, ["a", "b"]).tolist() == [[1, 0], [-1, 0], [0, 0], [1, 0]]
    true, pred = clipped(table, ["a", "b"])
    np.testing.assert_array_equal(true, labels(table, ["a", "b"])[0])
    assert pred[:, 0].tolist() == [5.0, 7.0, 7.0, 7.0]
    assert pred[:, 1].tolist() == [2.0] * 4


def test_only_parts_of_the_own_category_are_predicted(page, frame, record):
    names = ("leg", "seat", "wing", "tail")
    table = frame("classes", names=names, smiles=False).assign(node=np.arange(80) % 8)
    table["row"] = np.arange(80) // 8
    table["true"] = np.where(table["row"] < 5, np.arange(80) % 2, 2 + np.arange(80) % 2)
    run = record(predictions=table, test={"miou": 0.5})
    run.summary["task"] = Task("multiclass", names, "node", parts=[[0, 1], [2, 3]]).as_dict()
    found = frame_of(run)
    assert set(found["pred"][:40]) <= {0, 1}
    assert set(found["pred"][40:]) <= {2, 3}
    assert found[[f"{name}_pred" for name in names]].sum(axis=1).to_numpy() == pytest.approx(1.0)
    text, _ = page(run)
    assert "the predicted part of a point is one of its shape" in text
    assert 'title="leg → wing: 0 of 20"' in text
