import math

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from pyg_samsa.metrics.r2 import R2, r2


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_equals_sklearn(assert_equals, seed, missing):
    assert_equals(R2(4), r2_score, seed, missing=missing)


def test_known_values():
    target = np.array([1.0, 2.0, 3.0])
    assert r2(target, target) == 1.0
    assert r2(np.full(3, 2.0), target) == 0.0
    assert r2(target[::-1].copy(), target) == -3.0


def test_fewer_than_two_rows_are_undefined():
    assert math.isnan(r2(np.array([1.0]), np.array([3.0])))
    assert math.isnan(r2(np.empty(0), np.empty(0)))


def test_a_constant_target():
    constant, varied = np.full(3, 2.0), np.array([1.0, 2.0, 3.0])
    assert r2(constant, constant) == 1.0
    assert r2(varied, constant) == 0.0


def test_far_from_zero_nothing_cancels():
    target = 1000 + torch.linspace(0, 0.25, 64)
    preds = target + 0.015625
    metric = R2(1)
    metric.update(preds, target)
    assert metric.compute().item() == pytest.approx(r2_score(target.double(), preds.double()), abs=1e-9)


def test_a_target_without_labels_is_left_out(values):
    preds, target = values(0)
    full, metric = R2(4), R2(4)
    full.update(preds, target)
    target[1:, 1] = math.nan  # one labelled row has no variance
    metric.update(preds, target)
    assert metric.per_class().isnan().tolist() == [False, True, False, False]
    assert metric.compute().item() == pytest.approx(full.per_class()[[0, 2, 3]].mean().item())


def test_name_and_direction():
    assert (R2.name, R2.higher_is_better) == ("r2", True)
