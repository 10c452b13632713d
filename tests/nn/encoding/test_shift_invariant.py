"""Kernels of the distance, every one of the registry."""

import math

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import ShiftInvariantEncoding
from pyg_samsa.nn.encoding.shift_invariant import KERNELS

VALUES = {
    "gaussian": lambda d: math.exp(-(d**2) / 2),
    "exponential": lambda d: math.exp(-d),
    "matern32": lambda d: (1 + math.sqrt(3) * d) * math.exp(-math.sqrt(3) * d),
    "matern52": lambda d: (1 + math.sqrt(5) * d + 5 * d**2 / 3) * math.exp(-math.sqrt(5) * d),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_closed_forms(kernel):
    encoding = ShiftInvariantEncoding(heads=2, num_dims=2, kernel=kernel).double()
    with torch.no_grad():
        encoding.amplitude.copy_(torch.tensor([1.0, -2.0]))
        encoding.log_length.copy_(torch.tensor([0.0, 4.0]).sqrt())
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    expected = [[a * VALUES[kernel](d / length) for d in (0, 5)] for a, length in ((1, 1), (-2, math.exp(2)))]
    torch.testing.assert_close(encoding.kernel(z), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("kernel", KERNELS)
def test_estimates_approach_the_kernel_in_three_dimensions(kernel):
    torch.manual_seed(0)
    encoding = ShiftInvariantEncoding(heads=1, num_dims=3, num_frequencies=50_000, kernel=kernel).double()
    z = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1.0, -1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(encoding.estimate(z), encoding.kernel(z), rtol=0, atol=0.02)


@pytest.mark.parametrize("kernel", KERNELS)
def test_rotations_change_nothing(kernel):
    encoding = ShiftInvariantEncoding(heads=1, num_dims=3, kernel=kernel).double()
    z, turn = torch.randn(5, 3, dtype=torch.float64), torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    torch.testing.assert_close(encoding.kernel(z), encoding.kernel(z @ turn))


def test_unknown_kernels_are_named():
    with pytest.raises(ConfigError, match="kernel"):
        ShiftInvariantEncoding(2, kernel="sinc")
    assert "kernel='matern32'" in repr(ShiftInvariantEncoding(2, kernel="matern32"))


def test_defaults(defaults):
    expected = {
        "num_dims": 1,
        "num_frequencies": 16,
        "length_scale": 1.0,
        "kernel": "gaussian",
    }
    assert expected.items() <= defaults(ShiftInvariantEncoding).items()
