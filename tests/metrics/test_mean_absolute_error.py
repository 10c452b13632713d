import math

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from pyg_samsa.metrics.mean_absolute_error import MeanAbsoluteError, mean_absolute_error


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_equals_sklearn(assert_equals, seed, missing):
    assert_equals(MeanAbsoluteError(4), sklearn_metrics.mean_absolute_error, seed, missing=missing)


def test_known_values():
    assert mean_absolute_error(np.array([1.0, -2.0, 0.0]), np.array([2.0, 2.0, 1.0])) == 2.0
    assert mean_absolute_error(np.array([1.0]), np.array([3.0])) == 2.0
    assert math.isnan(mean_absolute_error(np.empty(0), np.empty(0)))


def test_targets_weigh_the_same_whatever_their_number_of_labels():
    metric = MeanAbsoluteError(2)
    metric.update(torch.zeros(3, 2), torch.tensor([[1.0, 8.0], [2.0, math.nan], [3.0, math.nan]]))
    assert metric.per_class().tolist() == [2.0, 8.0]
    assert metric.compute().item() == 5.0


def test_a_target_without_labels_is_left_out(values):
    preds, target = values(0)
    full, metric = MeanAbsoluteError(4), MeanAbsoluteError(4)
    full.update(preds, target)
    target[:, 1] = math.nan
    metric.update(preds, target)
    assert metric.per_class().isnan().tolist() == [False, True, False, False]
    assert metric.compute().item() == pytest.approx(full.per_class()[[0, 2, 3]].mean().item())


def test_name_and_direction():
    assert (MeanAbsoluteError.name, MeanAbsoluteError.higher_is_better) == ("mae", False)
