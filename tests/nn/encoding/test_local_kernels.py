"""Box and tent against the literal spectra."""

import math

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.reference import flt
from pyg_samsa.nn import LocalBoxEncoding, LocalTentEncoding


@pytest.mark.parametrize("num_dims", [1, 2])
def test_the_ratio_of_the_tent_is_its_spectrum_over_a_cauchy_density(perturbed, num_dims):
    encoding = perturbed(LocalTentEncoding, num_dims=num_dims, num_frequencies=4)
    omega, ratio = encoding()
    density = (1 / (1 + (math.pi * omega).square())).prod(-1)
    for h in range(2):
        literal = torch.stack(
            [flt.local_tent_spectrum(w, encoding.amplitude[h], encoding.log_width[h].exp()) for w in omega[h]]
        )
        torch.testing.assert_close(ratio[h] * density[h], literal)


@pytest.mark.parametrize("num_dims", [1, 2])
def test_the_ratio_of_the_box_is_its_spectrum_over_the_density(perturbed, num_dims):
    encoding = perturbed(LocalBoxEncoding, num_dims=num_dims, num_frequencies=4, cutoff=5.0)
    omega, ratio = encoding()
    density = (1 / ((0.5 + omega.abs()) * 2 * math.log(1 + 5.0 / 0.5))).prod(-1)
    for h in range(2):
        literal = torch.stack(
            [flt.local_box_spectrum(w, encoding.amplitude[h], encoding.log_width[h].exp()) for w in omega[h]]
        )
        torch.testing.assert_close(ratio[h] * density[h], literal)


def test_frequencies_of_the_box_stay_below_its_cutoff():
    encoding = LocalBoxEncoding(heads=4, num_frequencies=5_000, cutoff=3.0)
    assert float(encoding.draws.abs().max()) <= 3.0
    below = (encoding.draws.abs() < 0.5).double().mean()
    assert abs(float(below) - math.log(2) / math.log(7)) < 0.02


@pytest.mark.parametrize(
    ("kind", "values"), [(LocalBoxEncoding, [1.0, 1.0, 0.0]), (LocalTentEncoding, [1.0, 0.25, 0.0])]
)
def test_kernels_by_hand_in_two_dimensions(kind, values):
    z = torch.tensor([[0.0, 0.0], [0.5, -0.5], [0.1, 1.5]])
    assert kind(heads=1, num_dims=2).kernel(z)[0].tolist() == values


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan"), True])
def test_bad_cutoffs(cutoff):
    with pytest.raises(ConfigError, match="cutoff"):
        LocalBoxEncoding(2, cutoff=cutoff)


def test_defaults_of_local_box_encoding(defaults):
    expected = {
        "num_dims": 1,
        "num_frequencies": 16,
        "length_scale": 1.0,
        "cutoff": 8.0,
    }
    assert expected.items() <= defaults(LocalBoxEncoding).items()


def test_defaults_of_local_tent_encoding(defaults):
    expected = {
        "num_dims": 1,
        "num_frequencies": 16,
        "length_scale": 1.0,
    }
    assert expected.items() <= defaults(LocalTentEncoding).items()
