"""The mixture of Gaussians against the literal spectrum and kernel."""

import math

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.reference import flt
from pyg_samsa.nn import GaussianMixtureEncoding


@pytest.mark.parametrize("num_dims", [1, 2])
def test_ratio_and_kernel_are_the_reference(perturbed, num_dims):
    encoding = perturbed(GaussianMixtureEncoding, num_dims=num_dims, num_frequencies=4, num_components=3)
    omega, ratio = encoding()
    variance = 1 / math.pi**2
    log_p = -omega.square().sum(-1) / (2 * variance) - num_dims / 2 * math.log(2 * math.pi * variance)
    z = torch.randn(4, num_dims, dtype=torch.float64)
    for h in range(2):
        weights = encoding.amplitude[h], encoding.mean[h], encoding.log_width[h].exp()
        literal = torch.stack([flt.gaussian_mixture_spectrum(w, *weights) for w in omega[h]])
        torch.testing.assert_close(ratio[h] * log_p[h].exp(), literal)
        kernel = torch.stack([flt.gaussian_mixture_kernel(each, *weights) for each in z])
        torch.testing.assert_close(encoding.kernel(z)[h], kernel)


def test_components_start_different():
    encoding = GaussianMixtureEncoding(heads=1, num_dims=3)
    assert encoding.mean.unique(dim=1).size(1) == 25
    assert encoding.amplitude.min() < 0 < encoding.amplitude.max()


def test_far_frequencies_have_a_finite_ratio():
    encoding = GaussianMixtureEncoding(heads=1)
    encoding.draws.fill_(1e3)
    assert bool(torch.isfinite(encoding().ratio).all())


@pytest.mark.parametrize("count", [0, True, 2.0])
def test_bad_numbers_of_components(count):
    with pytest.raises(ConfigError, match="num_components"):
        GaussianMixtureEncoding(2, num_components=count)


def test_defaults(defaults):
    expected = {
        "num_dims": 1,
        "num_frequencies": 16,
        "length_scale": 1.0,
        "num_components": 25,
    }
    assert expected.items() <= defaults(GaussianMixtureEncoding).items()
