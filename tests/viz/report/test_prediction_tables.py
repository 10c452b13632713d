import numpy as np
import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.task import Task
from pyg_samsa.viz.report.prediction_tables import find_task, mean_over_seeds, task_of


def test_kinds_of_predictions_are_told_apart(frame):
    assert find_task(frame("labels"), ["ap"]).kind == "multilabel"
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
