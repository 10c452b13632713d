from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.experiments import boosting
from pyg_samsa.experiments.boosting import BoostingOptions, fit_boosting

MODELS = [
    "sklearn",
    pytest.param(
        "lightgbm", marks=pytest.mark.skipif(find_spec("lightgbm") is None, reason="lightgbm is not installed")
    ),
]


def counts(rows=240, size=12, seed=0):
    return np.random.default_rng(seed).integers(0, 6, (rows, size)).astype(np.uint16)


@pytest.mark.parametrize("model", MODELS)
class TestTasks:
    def options(self, model, **changes):
        return BoostingOptions(model, trees=30, leaves=6, **changes)

    def test_labels_some_of_them_missing(self, model):
        x, rows = counts(), np.arange(160)
        y = np.stack([x[:, 0] > 2, x[:, 1] + x[:, 2] > 5], 1).astype(float)
        truth = y.copy()
        y[::3, 1] = np.nan
        steps = []
        logits = fit_boosting(x, y, rows, "multilabel", 2, self.options(model, threads=2), on_target=steps.append)
        assert logits.shape == (240, 2)
        assert sum(steps) == 2
        assert ((logits[160:] > 0) == (truth[160:] > 0)).mean() > 0.93
        # A label that is missing is not an information, and a label outside the training rows is never seen.
        filled = y.copy()
        filled[160:] = 1 - truth[160:]
        assert np.array_equal(logits, fit_boosting(x, filled, rows, "multilabel", 2, self.options(model, threads=2)))
        assert not np.array_equal(
            logits, fit_boosting(x, np.nan_to_num(y), rows, "multilabel", 2, self.options(model, threads=2))
        )

    def test_threads_change_nothing(self, model):
        x = counts()
        y = (x[:, :3] > 2).astype(float)
        one, three = (
            fit_boosting(x, y, np.arange(200), "multilabel", 3, self.options(model, threads=threads))
            for threads in (1, 3)
        )
        assert np.array_equal(one, three)

    def test_one_label_for_all(self, model):
        x = counts()
        y = np.ones((240, 1))
        assert (fit_boosting(x, y, np.arange(200), "binary", 1, self.options(model)) > 10).all()
        assert (fit_boosting(x, 1 - y, np.arange(200), "binary", 1, self.options(model)) < -10).all()

    def test_classes_some_of_them_unseen(self, model):
        x, rows = counts(), np.arange(160)
        y = np.where(x[:, 0] > 3, 3, np.where(x[:, 1] > 2, 1, 0))
        logits = fit_boosting(x, y, rows, "multiclass", 4, self.options(model))
        assert (logits.argmax(1)[160:] == y[160:]).mean() > 0.9
        np.testing.assert_allclose(np.exp(logits).sum(1), 1, atol=1e-6)
        assert (logits.argmax(1) != 2).all()

    def test_values(self, model):
        x, rows = counts(600), np.arange(500)
        y = np.stack([x[:, 0] * 2.0 - x[:, 1], x[:, 2] - 3.0], 1)
        y[::5, 0] = np.nan
        values = fit_boosting(x, y, rows, "regression", 2, self.options(model))
        known = ~np.isnan(y[500:, 0])
        assert np.corrcoef(values[500:, 0][known], y[500:, 0][known])[0, 1] > 0.95
        assert np.corrcoef(values[500:, 1], y[500:, 1])[0, 1] > 0.99

    def test_balance_lifts_what_is_rare(self, model):
        x = counts(400)
        rare = (np.random.default_rng(1).random(400) < 0.05).astype(float)[:, None]
        plain, balanced = (
            fit_boosting(x, rare, np.arange(200), "binary", 1, replace(self.options(model), trees=3, balance=balance))
            for balance in (False, True)
        )
        assert (1 / (1 + np.exp(-plain[200:]))).mean() < 0.2
        assert (1 / (1 + np.exp(-balanced[200:]))).mean() > (1 / (1 + np.exp(-plain[200:]))).mean() + 0.1

    def test_absolute_errors_go_to_the_median(self, model):
        x = np.zeros((300, 1), np.uint16)
        y = np.where(np.arange(300) % 3, 0.0, 9.0)[:, None]
        squared, absolute = (
            fit_boosting(x, y, np.arange(300), "regression", 1, replace(self.options(model), loss=loss))
            for loss in ("squared", "absolute")
        )
        np.testing.assert_allclose(squared, 3, atol=1e-5)
        np.testing.assert_allclose(absolute, 0, atol=1e-5)

    def test_constant_columns_are_left_out(self, model):
        x, y = counts(), (counts()[:, :1] > 2).astype(float)
        wide = np.concatenate([np.zeros_like(x), x, np.full_like(x, 3)], 1)
        plain, padded = (
            fit_boosting(values, y, np.arange(200), "binary", 1, self.options(model)) for values in (x, wide)
        )
        assert np.array_equal(plain, padded)
        nothing = fit_boosting(np.zeros_like(x), y, np.arange(200), "binary", 1, self.options(model))
        np.testing.assert_allclose(nothing, np.log(y[:200].mean() / (1 - y[:200].mean())), atol=1e-3)


def test_auto_and_what_is_missing(monkeypatch):
    monkeypatch.setattr(boosting, "find_spec", lambda _: None)
    assert BoostingOptions("auto").model == "sklearn"
    with pytest.raises(MissingDependencyError, match="lightgbm"):
        BoostingOptions("lightgbm")
    monkeypatch.setattr(boosting, "find_spec", lambda _: object())
    assert BoostingOptions("auto").model == "lightgbm"
    with pytest.raises(ConfigError, match="xgboost"):
        BoostingOptions("xgboost")


def test_a_target_without_labels_is_named():
    x, y = counts(), np.full((240, 2), np.nan)
    y[:, 0] = 1
    with pytest.raises(ConfigError, match="target 1"):
        fit_boosting(x, y, np.arange(100), "regression", 2, BoostingOptions("sklearn"))
