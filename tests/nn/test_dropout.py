"""Dropout in training and in evaluation."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import Dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.99])
def test_dropout_drops_at_its_rate_and_keeps_the_mean(p):
    torch.manual_seed(0)
    dropout, x = Dropout(p), torch.ones(1000, 1001, requires_grad=True)
    out = dropout(x)
    out.sum().backward()
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=2e-3)
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(x.grad, out.detach())
    assert not torch.equal(dropout(x), out)
    columns = (out[:, :-1] == 0).float().mean(0)
    assert (columns - p).abs().max() < 6 * (p * (1 - p) / 1000) ** 0.5
    pairs = ((out[:, :1000] == 0).view(1000, 250, 4).float() - p).flatten(0, 1)
    assert (pairs.t() @ pairs / pairs.size(0) - p * (1 - p) * torch.eye(4)).abs().max() < 3e-3


def test_dropout_does_nothing_in_evaluation_and_follows_the_seed():
    x = torch.randn(7, 3, dtype=torch.float64)
    assert Dropout(0.5).eval()(x) is x
    first, second = (torch.manual_seed(3) and Dropout(0.5)(x) for _ in range(2))
    assert torch.equal(first, second)
    assert first.dtype == torch.float64
    with pytest.raises(ConfigError, match="dropout"):
        Dropout(1.0)
