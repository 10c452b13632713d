import math

import numpy as np
import pytest
import torch

from pyg_samsa import metrics
from pyg_samsa.experiments.measure import measure, measure_raw
from pyg_samsa.task import Task


def test_values_and_raw_outputs_are_measured_alike():
    auc = {"auc": metrics.build("auc", 1)}
    raw, labels = torch.tensor([[2.0], [-1.0], [0.5]]), torch.tensor([[1.0], [0.0], [0.0]])
    values = raw.sigmoid().numpy()
    assert measure(auc, values, labels.numpy(), Task("binary", ["y"])) == measure_raw(auc, raw, labels) == {"auc": 1.0}


def test_classes_are_numbers():
    accuracy = {"accuracy": metrics.build("accuracy", 3)}
    values = np.array([[0.1, 0.8, 0.1], [0.7, 0.2, 0.1]])
    found = measure(accuracy, values, np.array([1.0, 2.0]), Task("multiclass", ["a", "b", "c"]))
    assert found == {"accuracy": 0.5}


def test_a_prediction_on_the_right_side_of_a_bound_has_no_error():
    mae = {"mae": metrics.build("mae", 1)}
    raw, target = torch.tensor([[12.0], [8.0]]), torch.tensor([[10.0], [10.0]])
    assert measure_raw(mae, raw, target, torch.tensor([[1], [1]]))["mae"] == pytest.approx(1.0)
    assert measure_raw(mae, raw, target)["mae"] == pytest.approx(2.0)


@pytest.mark.filterwarnings("error")
def test_an_undefined_metric_is_nan_without_a_warning():
    found = measure_raw({"auc": metrics.build("auc", 1)}, torch.zeros(2, 1), torch.ones(2, 1))
    assert math.isnan(found["auc"])
