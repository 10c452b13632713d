import numpy as np
import pytest

from pyg_samsa.predict.conformal import Calibration, calibrate
from pyg_samsa.predict.coverage import describe_coverage, mean_coverage, measure_coverage
from pyg_samsa.task import Task

REGRESSION, LABELS = Task("regression", ["logS", "logP"]), Task("multilabel", ["toxic", "active"])
CLASSES = Task("multiclass", ["acid", "base", "other"])


@pytest.mark.parametrize(("task", "classes"), [(REGRESSION, False), (CLASSES, True)])
def test_missing_and_unreadable_rows_are_not_counted(task, classes):
    generator = np.random.default_rng(4)
    if classes:
        values, target = np.full((30, 3), 1 / 3), generator.integers(0, 3, size=30).astype(float)
        values[3], target[5] = np.nan, np.nan
    else:
        values, target = np.zeros((30, 2)), generator.normal(size=(30, 2))
        values[3], target[5, 0] = np.nan, np.nan
    rows = measure_coverage(task, calibrate(task, values, target), values, target)
    assert [row["count"] for row in rows] == [28 if classes else 57] * 4


def test_labels_that_are_missing_are_not_counted():
    generator = np.random.default_rng(4)
    probabilities, labels = generator.uniform(size=(30, 2)), generator.integers(0, 2, size=(30, 2)).astype(float)
    labels[2, 1] = np.nan
    assert measure_coverage(LABELS, calibrate(LABELS, probabilities, labels), probabilities, labels)[0]["count"] == 59


def test_measured_coverage_and_width():
    calibration = Calibration("regression", (np.array([0.5, 1.0, 2.0]), np.array([1.0, 1.0, 1.0])))
    values, target = np.zeros((2, 2)), np.array([[0.9, -1.5], [-1.1, 0.5]])
    (row,) = measure_coverage(REGRESSION, calibration, values, target, confidences=[0.5, 0.9])
    assert row == {"confidence": 0.5, "coverage": 0.5, "width": 2.0, "count": 4}
    classes = Calibration("multiclass", (np.array([0.1, 0.3, 0.6]),))
    values = np.array([[0.8, 0.1, 0.1], [0.45, 0.45, 0.1], [0.2, 0.2, 0.6]])
    (row,) = measure_coverage(CLASSES, classes, values, np.array([0, 2, 2]), confidences=[0.75])
    assert row == {"confidence": 0.75, "coverage": pytest.approx(2 / 3), "size": pytest.approx(4 / 3), "count": 3}


def test_the_coverage_as_a_sentence():
    rows = [{"confidence": level, "coverage": 0.4, "width": 1.0, "count": 9} for level in (0.5, 0.8, 0.95)]
    assert describe_coverage(rows, confidence=0.4) == ""
    assert describe_coverage(rows, confidence=0.5).startswith("50 % intervals hold 40.0 % of 9 test values")
    assert describe_coverage(rows).startswith("80 % intervals")


def test_the_mean_coverage_of_runs_leaves_out_what_not_all_have():
    row = {"confidence": 0.5, "coverage": 0.4, "size": 1.0, "count": 9}
    runs = [[row, {**row, "confidence": 0.9}], [{**row, "coverage": 0.6, "size": 2.0}]]
    assert mean_coverage(runs) == [{"confidence": 0.5, "coverage": 0.5, "size": 1.5, "count": 9}]
    assert mean_coverage([]) == []


def test_confidences_that_the_calibration_does_not_reach_are_left_out():
    calibration = Calibration("regression", (np.arange(1.0, 10.0),))
    task, zeros = Task("regression", ["y"]), np.zeros((3, 1))
    rows = measure_coverage(task, calibration, zeros, zeros, confidences=[0.999, 0.5])
    assert [row["confidence"] for row in rows] == [0.5]
