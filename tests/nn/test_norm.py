"""RMSNorm equals PyTorch's."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.nn import RMSNorm


@pytest.mark.parametrize("rows", [3, 3000])
def test_it_is_that_of_pytorch(rows):
    torch.manual_seed(0)
    ours, theirs = RMSNorm(16).double(), torch.nn.RMSNorm(16).double()
    weight = torch.randn(16, dtype=torch.float64)
    x = torch.randn(rows, 16, dtype=torch.float64, requires_grad=True)
    upstream, results = torch.randn(rows, 16, dtype=torch.float64), []
    for norm in (ours, theirs):
        norm.weight.data.copy_(weight)
        out = norm(x)
        results.append((out, *torch.autograd.grad(out, (x, norm.weight), upstream)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_eps_is_used():
    x = torch.zeros(2, 4)
    assert RMSNorm(4, eps=1.0)(x + 1).flatten().tolist() == pytest.approx([0.5**0.5] * 8)
    assert RMSNorm(4)(x).isfinite().all()
