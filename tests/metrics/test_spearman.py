import math

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from pyg_samsa.metrics.spearman import SpearmanCorrelation, spearman


def scipy_spearman(target, preds):
    return float(spearmanr(target, preds).statistic)


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_equals_scipy(assert_equals, seed, missing):
    assert_equals(SpearmanCorrelation(4), scipy_spearman, seed, missing=missing)


def test_ties_have_average_ranks():
    preds, target = np.array([3.0, 1.0, 3.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0, 3.0, 3.0])
    assert spearman(preds, target) == pytest.approx(scipy_spearman(target, preds), abs=1e-15)


def test_only_the_order_matters():
    target = np.array([0.3, -1.0, 2.0, 7.0])
    assert spearman(np.exp(target), target) == pytest.approx(1.0)
    assert spearman(-(target**3), target) == pytest.approx(-1.0)


def test_a_constant_prediction_has_no_rank_correlation():
    assert spearman(np.full(4, 0.5), np.arange(4.0)) == 0.0


@pytest.mark.parametrize("target", [[], [3.0], [2.0, 2.0, 2.0]])
def test_a_target_without_two_different_values_is_undefined(target):
    assert math.isnan(spearman(np.arange(float(len(target))), np.array(target)))


def test_a_constant_target_is_left_out():
    metric = SpearmanCorrelation(2)
    metric.update(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([[1.0, 5.0], [2.0, 5.0]]))
    assert metric.compute().item() == 1.0


def test_name_and_direction():
    assert (SpearmanCorrelation.name, SpearmanCorrelation.higher_is_better) == ("spearman", True)
