"""The scale of the targets."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import TargetScale
from pyg_samsa.nn.target_scale import scale_of


def fitted() -> TargetScale:
    scale = TargetScale(2)
    scale.fit(torch.tensor([1e8, 0.0], dtype=torch.float64), torch.tensor([1e-2, 3.0], dtype=torch.float64))
    return scale


def test_a_new_scale_is_the_identity():
    x = torch.randn(3, 2)
    assert torch.equal(TargetScale(2)(x), x.double())


def test_standardize_is_the_inverse():
    x, scale = torch.randn(3, 2, dtype=torch.float64), fitted()
    torch.testing.assert_close(scale.standardize(scale(x)), x, rtol=0, atol=1e-5)


def test_a_small_deviation_of_a_large_mean_is_kept():
    scale = fitted().float().half()
    assert scale.mean.dtype == torch.float64
    assert scale(torch.tensor([[1.0, 1.0]]))[0].tolist() == [1e8 + 1e-2, 3.0]


def test_the_scale_is_saved():
    scale = TargetScale(2)
    scale.load_state_dict(fitted().state_dict())
    assert scale.std.tolist() == [1e-2, 3.0]


def test_scale_of_leaves_nan_out_and_constant_targets_have_deviation_one():
    y = torch.tensor([[1.0, 5.0], [torch.nan, 5.0], [3.0, 5.0]])
    mean, std = scale_of(y)
    assert mean.tolist() == [2.0, 5.0]
    assert std.tolist() == [1.0, 1.0]


def test_scale_of_neither_overflows_nor_underflows():
    for factor in (1e-200, 1e200):
        _, std = scale_of(torch.tensor([[-1.0], [1.0]], dtype=torch.float64) * factor)
        assert std.item() == pytest.approx(factor)


@pytest.mark.parametrize(
    ("mean", "std", "name"),
    [
        ([1.0], [1.0, 1.0], "mean"),
        ([1.0, torch.inf], [1.0, 1.0], "mean"),
        ([1.0, 1.0], [1.0, 0.0], "std"),
        ([1.0, 1.0], [torch.nan, 1.0], "std"),
    ],
    ids=str,
)
def test_bad_scales_are_named(mean, std, name):
    with pytest.raises(ConfigError, match=f"target scale: {name}"):
        TargetScale(2).fit(torch.tensor(mean), torch.tensor(std))
