"""The oracle of linear attention against numbers worked out by hand, and against softmax attention in the limit."""

import math

import pytest
import torch

from pyg_samsa.functional.fourier_features import orthogonal_gaussian
from pyg_samsa.functional.reference import flt
from pyg_samsa.nn import FLTConv


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def test_features_by_hand():
    phi, psi = flt.fourier_features(double([[0.5], [0.25]]), double([[1.0]]), double([2.0]))
    torch.testing.assert_close(phi.real.flatten(), double([-2.0, 0.0]))
    torch.testing.assert_close(phi.imag.flatten(), double([0.0, 2.0]))
    torch.testing.assert_close(psi.imag.flatten(), double([0.0, -1.0]))


def test_the_encoding_is_a_function_of_the_difference():
    """One frequency with ratio 1 gives cos(2 pi w (r_i - r_j))."""
    pos = double([[0.0], [0.1], [0.4]])
    matrix = flt.encoding_matrix(pos, double([[2.0]]), double([1.0]))
    torch.testing.assert_close(matrix, torch.cos(2 * math.pi * 2.0 * (pos - pos.T)))


def test_extended_products_are_logits():
    torch.manual_seed(0)
    query, key, pos = (torch.randn(3, width, dtype=torch.float64) for width in (4, 4, 2))
    omega, ratio = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    longer = flt.extended(query, key, pos, omega, ratio)
    torch.testing.assert_close(longer[0] @ longer[1].T / 2, query @ key.T / 2 + flt.encoding_matrix(pos, omega, ratio))


@pytest.mark.parametrize("causal", [False, True])
def test_rows_sum_to_one_and_the_future_has_no_weight(causal):
    torch.manual_seed(0)
    query, key = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    matrix = flt.attention_matrix(query, key, torch.randn(6, 3, dtype=torch.float64), 3, causal, 1e-6)
    torch.testing.assert_close(matrix.sum(1), torch.ones(4, dtype=torch.float64))
    assert bool((matrix.triu(1) == 0).all()) == causal


def test_many_features_approach_softmax_attention():
    torch.manual_seed(0)
    query, key = 0.7 * torch.randn(4, 3, dtype=torch.float64), 0.7 * torch.randn(4, 3, dtype=torch.float64)
    projection = orthogonal_gaussian(1, 30_000, 3, dtype=torch.float64)[0]
    matrix = flt.attention_matrix(query, key, projection, 3, False, 0.0)
    torch.testing.assert_close(matrix, (query @ key.T / math.sqrt(3)).softmax(1), rtol=0, atol=0.02)


def test_graphs_are_separate_and_empty_ones_legal():
    torch.manual_seed(0)
    query, key, value = (torch.randn(4, 2, 3, dtype=torch.float64) for _ in range(3))
    projection = torch.randn(2, 5, 3, dtype=torch.float64)
    together = flt.flt_attention(query, key, value, projection, [3, 0, 1])
    torch.testing.assert_close(together[:3], flt.flt_attention(query[:3], key[:3], value[:3], projection, [3]))
    torch.testing.assert_close(together[3], value[3])
    assert flt.flt_attention(query[:0], key[:0], value[:0], projection, [0]).shape == (0, 2, 3)


@pytest.mark.parametrize("dims", [1, 2])
def test_the_mixture_and_its_kernel_are_a_fourier_pair(dims):
    """The integral of g(w) cos(2 pi w z) on a grid."""
    torch.manual_seed(0)
    amplitude, mean, width = torch.randn(2), 0.3 * torch.randn(2, dims), 0.2 + 0.2 * torch.rand(2)
    amplitude, mean, width = (tensor.double() for tensor in (amplitude, mean, width))
    z, line = 0.4 * torch.ones(dims, dtype=torch.float64), torch.linspace(-3, 3, 41, dtype=torch.float64)
    grid = torch.cartesian_prod(*[line] * dims).view(-1, dims)
    g = torch.stack([flt.gaussian_mixture_spectrum(omega, amplitude, mean, width) for omega in grid])
    integral = (g * torch.cos(2 * math.pi * grid @ z)).sum() * float(line[1] - line[0]) ** dims
    torch.testing.assert_close(integral, flt.gaussian_mixture_kernel(z, amplitude, mean, width), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("z", "value"), [(0.0, 1.0), (0.6, 0.4), (1.5, 0.0)])
def test_the_tent_is_the_transform_of_its_spectrum(z, value):
    omega = (torch.arange(-40_000, 40_000, dtype=torch.float64) + 0.5) / 500
    g = torch.sin(math.pi * omega).div(math.pi * omega).square()
    some = torch.tensor([0, 39_000, 40_123])
    one = torch.ones(1, dtype=torch.float64)
    literal = torch.stack([flt.local_tent_spectrum(omega[i : i + 1], one[0], one) for i in some.tolist()])
    torch.testing.assert_close(literal, g[some])
    integral = float((g * torch.cos(2 * math.pi * omega * z)).sum() / 500)
    assert abs(integral - value) < 2e-3


def test_the_box_at_the_first_zero_of_its_spectrum():
    one = torch.ones(1, dtype=torch.float64)
    assert abs(float(flt.local_box_spectrum(0.5 * one, one[0], one))) < 1e-12
    torch.testing.assert_close(flt.local_box_spectrum(1e-6 * one, 3 * one[0], 2 * one), 12 * one[0])


@pytest.mark.parametrize("causal", [False, True])
def test_the_operator_places_tokens_by_their_graph(causal):
    torch.manual_seed(0)
    conv = FLTConv(
        4, heads=2, num_dims=2, num_features=8, num_frequencies=4, encoding="gaussian_mixture", causal=causal
    )
    conv = conv.double().eval()
    x, pos = torch.randn(5, 4).double(), torch.randn(5, 2).double()
    found = flt.flt_conv(conv, x, [3, 2], pos)
    torch.testing.assert_close(found, conv(x, ptr=torch.tensor([0, 3, 5]), pos=pos), rtol=0, atol=1e-9)
    moved = pos + torch.tensor([[7.0, -3.0]] * 3 + [[1.0, 2.0]] * 2).double()
    torch.testing.assert_close(flt.flt_conv(conv, x, [3, 2], moved), found, rtol=0, atol=1e-9)
    assert not torch.allclose(flt.flt_conv(conv, x, [3, 2], 2 * pos), found)
