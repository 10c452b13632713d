"""Regressions on which the metrics are compared with other libraries."""

import numpy as np
import pytest
import torch


@pytest.fixture
def values():
    """Makes predictions and targets [40, 4] with ties; ``values(seed, missing=0.3)`` removes 30 % of the labels."""

    def make(seed, *, missing=0.0, rows=40, targets=4):
        generator = torch.Generator().manual_seed(seed)
        target = torch.randn(rows, targets, generator=generator) * torch.tensor([1.0, 10.0, 0.1, 1.0]) + 5
        preds = target + torch.randn(rows, targets, generator=generator).round(decimals=1)
        target = target.round(decimals=1)
        target[torch.rand(rows, targets, generator=generator) < missing] = float("nan")
        return preds, target

    return make


@pytest.fixture
def assert_equals(values):
    """Compares a metric, fed in portions, with a function of one target: ``assert_equals(metric, function, seed)``."""

    def check(metric, function, seed, *, missing):
        preds, target = values(seed, missing=missing)
        for p, t in zip(preds.split(11), target.split(11), strict=True):
            metric.update(p, t)
        p, t = preds.numpy().astype(np.float64), target.numpy().astype(np.float64)
        known = ~np.isnan(t)
        expected = [function(t[known[:, c], c], p[known[:, c], c]) for c in range(4)]
        np.testing.assert_allclose(metric.per_class().numpy(), expected, rtol=1e-12)
        assert metric.compute().item() == pytest.approx(np.mean(expected), rel=1e-12)

    return check
