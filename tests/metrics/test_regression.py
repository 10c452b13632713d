"""The four metrics of regression against scikit-learn and scipy, target by target."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error as sk_mae
from sklearn.metrics import mean_squared_error, r2_score

from pyg_samsa import metrics
from pyg_samsa.metrics.mean_absolute_error import mean_absolute_error
from pyg_samsa.metrics.r2 import r2
from pyg_samsa.metrics.root_mean_squared_error import root_mean_squared_error
from pyg_samsa.metrics.spearman import spearman


def scipy_spearman(target: np.ndarray, preds: np.ndarray) -> float:
    return float(pytest.importorskip("scipy.stats").spearmanr(target, preds).statistic)


REFERENCES = {
    "mae": sk_mae,
    "rmse": lambda target, preds: np.sqrt(mean_squared_error(target, preds)),
    "r2": r2_score,
    "spearman": scipy_spearman,
}


def data(seed: int, *, missing: float, rows: int = 40, targets: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(rows, targets, generator=generator) * torch.tensor([1.0, 10.0, 0.1, 1.0]) + 5
    preds = target + torch.randn(rows, targets, generator=generator).round(decimals=1)
    target = target.round(decimals=1)
    target[torch.rand(rows, targets, generator=generator) < missing] = float("nan")
    return preds, target


@pytest.mark.parametrize("name", list(REFERENCES))
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(4))
def test_equals_reference(name: str, missing: float, seed: int) -> None:
    preds, target = data(seed, missing=missing)
    metric = metrics.build(name, 4)
    for p, t in zip(preds.split(11), target.split(11), strict=True):
        metric.update(p, t)
    p, t = preds.numpy().astype(np.float64), target.numpy().astype(np.float64)
    expected = [REFERENCES[name](t[~np.isnan(t[:, c]), c], p[~np.isnan(t[:, c]), c]) for c in range(4)]
    np.testing.assert_allclose(metric.per_class().numpy(), expected, rtol=1e-12)
    assert metric.compute().item() == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.parametrize("name", list(REFERENCES))
def test_target_without_labels_is_left_out(name: str) -> None:
    preds, target = data(0, missing=0.0)
    full = metrics.build(name, 4)
    full.update(preds, target)
    target[:, 1] = float("nan")
    metric = metrics.build(name, 4)
    metric.update(preds, target)
    assert metric.per_class().isnan().tolist() == [False, True, False, False]
    assert metric.compute().item() == pytest.approx(full.per_class()[[0, 2, 3]].mean().item())


def test_rmse_equals_ogb() -> None:
    evaluate = pytest.importorskip("ogb.graphproppred.evaluate", reason="ogb is not installed")
    preds, target = data(7, missing=0.2)
    evaluator = evaluate.Evaluator("ogbg-mollipo")
    evaluator.num_tasks = 4
    metric = metrics.build("rmse", 4)
    metric.update(preds, target)
    assert metric.compute().item() == pytest.approx(
        evaluator.eval({"y_true": target.double(), "y_pred": preds.double()})["rmse"]
    )


def test_r2_far_from_zero_does_not_cancel() -> None:
    target = 1000 + torch.linspace(0, 0.25, 64)
    preds = target + 0.015625
    metric = metrics.build("r2", 1)
    metric.update(preds, target)
    assert metric.compute().item() == pytest.approx(r2_score(target.double(), preds.double()), abs=1e-9)


def test_one_row() -> None:
    one = np.array([1.0]), np.array([3.0])
    assert mean_absolute_error(*one) == 2.0
    assert root_mean_squared_error(*one) == 2.0
    assert np.isnan(r2(*one))
    assert np.isnan(spearman(*one))


@pytest.mark.parametrize("core", [mean_absolute_error, root_mean_squared_error, r2, spearman])
def test_no_row_is_nan(core) -> None:
    assert np.isnan(core(np.empty(0), np.empty(0)))


def test_constant_target() -> None:
    constant, varied = np.full(3, 2.0), np.array([1.0, 2.0, 3.0])
    assert r2(constant, constant) == 1.0
    assert r2(varied, constant) == 0.0
    assert np.isnan(spearman(varied, constant))


def test_constant_prediction_has_no_rank_correlation() -> None:
    assert spearman(np.full(4, 0.5), np.arange(4.0)) == 0.0


def test_spearman_of_ties_is_that_of_scipy() -> None:
    preds, target = np.array([3.0, 1.0, 3.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0, 3.0, 3.0])
    assert spearman(preds, target) == pytest.approx(scipy_spearman(target, preds), abs=1e-15)
