"""What all spectral encodings have in common; each is tested by being offered by `pyg_samsa.nn`."""

import copy

import pytest
import torch
from torch.autograd import gradcheck

from pyg_samsa import nn
from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import SpectralEncoding

OFFERED = [item for name, item in vars(nn).items() if name in nn.__all__ and isinstance(item, type)]
ENCODINGS = [kind for kind in OFFERED if issubclass(kind, SpectralEncoding) and kind is not SpectralEncoding]
every = pytest.mark.parametrize("kind", ENCODINGS)


@every
@pytest.mark.parametrize("num_dims", [1, 3])
def test_the_estimate_is_that_of_frequencies_and_ratios(perturbed, kind, num_dims):
    encoding = perturbed(kind, num_dims=num_dims, num_frequencies=5, length_scale=2.0)
    frequencies, ratio = encoding()
    assert frequencies.shape == (2, 5, num_dims)
    z = torch.randn(3, 4, num_dims, dtype=torch.float64)
    waves = torch.cos(2 * torch.pi * torch.einsum("abl,hml->habm", z, frequencies))
    torch.testing.assert_close(encoding.estimate(z), (ratio[:, None, None] * waves).mean(-1))


@every
def test_estimates_approach_the_kernel(perturbed, kind):
    encoding = perturbed(kind, num_frequencies=40_000, length_scale=2.0)
    z = torch.tensor([[0.0], [0.5], [1.0], [5.0]], dtype=torch.float64)
    torch.testing.assert_close(encoding.estimate(z), encoding.kernel(z), rtol=0, atol=0.12)


@every
def test_the_kernel_is_even_and_scales_with_its_length(perturbed, kind):
    one, other = (perturbed(kind, num_dims=2, length_scale=scale) for scale in (1.0, 3.0))
    z = torch.randn(7, 2, dtype=torch.float64)
    torch.testing.assert_close(one.kernel(z), one.kernel(-z))
    torch.testing.assert_close(one.kernel(z), other.kernel(3 * z))


@every
def test_draws_are_fixed_until_they_are_drawn_again(perturbed, kind):
    encoding = perturbed(kind, num_frequencies=4)
    before = encoding.draws.clone()
    encoding()
    assert torch.equal(encoding.draws, before)
    encoding.redraw(torch.Generator().manual_seed(5))
    assert not torch.equal(encoding.draws, before)
    again = copy.deepcopy(encoding)
    again.redraw(torch.Generator().manual_seed(5))
    assert torch.equal(encoding.draws, again.draws)
    assert "draws" in encoding.state_dict()


@every
def test_gradients_of_the_ratio_reach_every_weight(perturbed, kind):
    encoding = perturbed(kind, num_dims=2, num_frequencies=3)
    frequencies, ratio = encoding()
    (frequencies.square().sum() + ratio.square().sum()).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in encoding.parameters())


@every
def test_gradcheck_of_the_kernel(perturbed, kind):
    encoding = perturbed(kind, num_dims=2, num_frequencies=3)
    z = 0.3 + 0.2 * torch.rand(3, 2, dtype=torch.float64)
    assert gradcheck(lambda *_: encoding.kernel(z), tuple(encoding.parameters()))


@every
def test_the_representation_names_the_sizes(kind):
    assert "heads=2, num_dims=3, num_frequencies=16, length_scale=1" in repr(kind(2, 3))


@every
@pytest.mark.parametrize(
    "options",
    [
        {"heads": 0},
        {"heads": True},
        {"num_dims": 1.5},
        {"num_frequencies": 0},
        {"length_scale": 0.0},
        {"length_scale": float("inf")},
        {"length_scale": True},
    ],
    ids=str,
)
def test_wrong_arguments_are_named(kind, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        kind(**{"heads": 2, **options})
