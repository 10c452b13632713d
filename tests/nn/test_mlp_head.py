"""The head, with and without normalisation."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import MLPHead


def test_head():
    head = MLPHead(8, 3, hidden_channels=5)
    assert head(torch.randn(2, 8)).shape == (2, 3)
    assert head.net[0].out_features == 5
    with pytest.raises(ConfigError, match="out_channels"):
        MLPHead(8, 0)
    with pytest.raises(ConfigError, match="norm"):
        MLPHead(8, 3, norm="layer")


def test_head_that_normalises_over_the_batch():
    torch.manual_seed(0)
    head = MLPHead(4, 2, norm="batch")
    x = 5 + 1e-3 * torch.randn(200, 4)
    scaled = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(head(x), head.net(scaled), rtol=1e-3, atol=1e-4)
    for _ in range(200):
        head(x)
    head.eval()
    seen = (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt()
    torch.testing.assert_close(head(x), head.net(seen), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(head(x[:1]), head(x)[:1])
    assert head.train()(x[:1]).isfinite().all()  # one graph has no spread: running statistics serve
    head.reset_parameters()
    assert head.norm.module.running_mean.abs().max() == 0


def test_defaults(defaults):
    expected = {
        "dropout": 0.0,
        "norm": "none",
    }
    assert expected.items() <= defaults(MLPHead).items()
