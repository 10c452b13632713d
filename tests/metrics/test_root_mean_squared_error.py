import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from pyg_samsa.metrics.root_mean_squared_error import RootMeanSquaredError, root_mean_squared_error


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_equals_sklearn(assert_equals, seed, missing):
    assert_equals(RootMeanSquaredError(4), sklearn_metrics.root_mean_squared_error, seed, missing=missing)


def test_equals_ogb(values):
    evaluate = pytest.importorskip("ogb.graphproppred.evaluate", reason="ogb is not installed")
    preds, target = values(7, missing=0.2)
    evaluator = evaluate.Evaluator("ogbg-mollipo")
    evaluator.num_tasks = 4
    metric = RootMeanSquaredError(4)
    metric.update(preds, target)
    expected = evaluator.eval({"y_true": target.double(), "y_pred": preds.double()})["rmse"]
    assert metric.compute().item() == pytest.approx(expected)


def test_known_values():
    assert root_mean_squared_error(np.array([3.0, 0.0]), np.array([0.0, 4.0])) == pytest.approx(math.sqrt(12.5))
    assert root_mean_squared_error(np.array([1.0]), np.array([3.0])) == 2.0
    assert math.isnan(root_mean_squared_error(np.empty(0), np.empty(0)))


def test_a_target_without_labels_is_left_out(values):
    preds, target = values(0)
    full, metric = RootMeanSquaredError(4), RootMeanSquaredError(4)
    full.update(preds, target)
    target[:, 1] = math.nan
    metric.update(preds, target)
    assert metric.per_class().isnan().tolist() == [False, True, False, False]
    assert metric.compute().item() == pytest.approx(full.per_class()[[0, 2, 3]].mean().item())


def test_name_and_direction():
    assert (RootMeanSquaredError.name, RootMeanSquaredError.higher_is_better) == ("rmse", False)
