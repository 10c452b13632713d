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


def test_on_a_device_without_float64_the_scale_stays_on_the_cpu(float32_device):
    scale, x = fitted().to(float32_device), torch.tensor([[1.0, 1.0], [2.0, -1.0]])
    assert (scale.mean.device.type, scale.mean.dtype) == ("cpu", torch.float64)
    moved = x.to(float32_device).requires_grad_()
    found = scale(moved)
    assert found.tolist() == fitted()(x).tolist() == [[1e8 + 1e-2, 3.0], [1e8 + 2e-2, -3.0]]
    torch.testing.assert_close(scale.standardize(found), x.double(), rtol=0, atol=1e-5)
    scale.standardize(found).sum().backward()
    assert moved.grad.device == float32_device
    assert scale.half().float().to("cpu").mean.tolist() == [1e8, 0.0]
    assert scale.state_dict()["mean"].tolist() == [1e8, 0.0]


def test_the_scale_follows_its_network_to_meta_and_back():
    scale = fitted().to("meta")
    assert scale.mean.device.type == "meta"
    assert scale.to_empty(device="cpu").mean.dtype == torch.float64
