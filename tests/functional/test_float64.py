import pytest
import torch

from pyg_samsa.functional import (
    RaggedIndex,
    farthest_points,
    feature_keys,
    fit_feature_scale,
    gaussian_codes,
    sinusoidal_positions,
    structural_keys,
)
from pyg_samsa.functional.float64 import has_float64, to_float64


def test_the_device_of_these_tests_refuses_float64(float32_device):
    x = torch.ones(3).to(float32_device)
    assert x.device == float32_device
    for compute in (x.double, lambda: x.to(torch.float64), lambda: torch.zeros(2, dtype=torch.float64).to(x.device)):
        with pytest.raises(TypeError, match="float64"):
            compute()
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(3)


def test_float64_is_on_the_cpu_where_the_device_has_none(float32_device):
    x = torch.tensor([0.1, 0.2], device=float32_device, requires_grad=True)
    assert not has_float64(x.device)
    wide = to_float64(x)
    assert (wide.device.type, wide.dtype) == ("cpu", torch.float64)
    (wide * torch.tensor([2.0, 3.0], dtype=torch.float64)).sum().backward()
    assert x.grad.device == float32_device
    assert x.grad.tolist() == [2.0, 3.0]
    here = torch.ones(2, dtype=torch.float64)
    assert to_float64(here) is here


FEATURES = torch.arange(12.0).view(6, 2) % 5
EDGES = torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]])
INDEX = torch.tensor([0, 3, 6])
CASES = {
    "keys": lambda move: feature_keys(move(FEATURES)),
    "structure": lambda move: structural_keys(feature_keys(move(FEATURES)), move(EDGES), RaggedIndex(move(INDEX))),
    "codes": lambda move: gaussian_codes(feature_keys(move(FEATURES)), 5),
    "positions": lambda move: sinusoidal_positions(move(torch.arange(7)), 6),
    "positions of a batch": lambda move: sinusoidal_positions(RaggedIndex(move(INDEX)), 6),
    "points": lambda move: farthest_points(move(FEATURES), 2, ptr=move(INDEX)),
    "scale": lambda move: fit_feature_scale(move(FEATURES))[1],
}


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_the_cpu(case, float32_device):
    expected = CASES[case](lambda tensor: tensor)
    found = CASES[case](lambda tensor: tensor.to(float32_device))
    assert (found.device == float32_device) == (found.dtype != torch.float64)
    torch.testing.assert_close(torch.tensor(found.tolist(), dtype=expected.dtype), expected, rtol=0, atol=0)
