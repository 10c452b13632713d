"""Masks of dropout."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.functional import dropout, dropped, keep_mask


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.99])
def test_masks_have_their_rate_and_factor(p):
    torch.manual_seed(0)
    mask, factor = dropped((500, 401), p)
    assert mask.dtype == torch.int16
    assert set(mask.unique().tolist()) <= {-1, 0}
    assert -mask.float().mean().item() == pytest.approx(p, abs=4e-3)
    assert factor == pytest.approx(1 / (1 - p), rel=4e-3)


def test_keep_mask_is_the_complement():
    torch.manual_seed(0)
    mask, factor = dropped((5, 7), 0.4)
    torch.manual_seed(0)
    kept, same = keep_mask((5, 7), 0.4)
    assert torch.equal(kept, 1 + mask)
    assert factor == same


def test_the_factor_fits_the_rounded_rate():
    rate = round(0.3 * 2**15) / 2**15
    assert dropped((1,), 0.3)[1] == pytest.approx(1 / (1 - rate), rel=1e-12)


def test_the_gradient_has_the_mask_of_the_output():
    torch.manual_seed(0)
    x = torch.randn(40, 30, dtype=torch.float64, requires_grad=True)
    out = dropout(x, 0.3)
    (grad,) = torch.autograd.grad(out, x, torch.ones_like(x))
    torch.testing.assert_close(out, x * grad)
    assert set(grad.unique().tolist()) == {0.0, dropped((1,), 0.3)[1]}


def test_the_seed_decides_and_no_element_is_a_legal_number():
    first, second = (torch.manual_seed(3) and dropped((9,), 0.5)[0] for _ in range(2))
    assert torch.equal(first, second)
    assert dropped((0, 4), 0.5)[0].shape == (0, 4)


def test_the_largest_rate_keeps_one_level():
    assert dropped((1,), 1 - 2**-15)[1] == 2**15
    assert dropped((1,), 1 - 2**-20)[1] == 2**15
