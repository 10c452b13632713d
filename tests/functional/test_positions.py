import math

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.positions import fourier_positions, sequence_positions, sinusoidal_positions


def literal(position, channels, period):
    return [
        (math.sin if channel % 2 == 0 else math.cos)(position * period ** (-2 * (channel // 2) / channels))
        for channel in range(channels)
    ]


@pytest.mark.parametrize("channels", [1, 2, 3, 8, 129])
@pytest.mark.parametrize("period", [10000.0, 50.0])
def test_formula(channels, period):
    places = torch.tensor([0, 1, 7, 3999])
    expected = torch.tensor([literal(place, channels, period) for place in places.tolist()], dtype=torch.float64)
    found = sinusoidal_positions(places, channels, max_period=period, dtype=torch.float64)
    assert torch.allclose(found, expected, atol=1e-12)
    single = sinusoidal_positions(places, channels, max_period=period)
    assert single.dtype == torch.float32
    # Angles in float32 would miss this by 1e-4 at place 3999.
    assert float((single.double() - expected).abs().max()) < 1e-7


@pytest.mark.parametrize("sizes", [[3], [2, 0, 4], [0, 0], [1, 1, 1]])
def test_positions_start_again_in_every_graph(sizes):
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    places = sequence_positions(index)
    assert places.tolist() == [place for size in sizes for place in range(size)]
    assert places.dtype == torch.long
    rows = sinusoidal_positions(index, 6)
    assert torch.equal(rows, sinusoidal_positions(places, 6))
    assert tuple(rows.shape) == (sum(sizes), 6)


def test_a_shift_is_a_rotation():
    """What makes sinusoids useful: the dot product of two positions depends on their distance alone."""
    rows = sinusoidal_positions(torch.arange(50), 16, dtype=torch.float64)
    products = rows @ rows.t()
    for distance in (0, 1, 13):
        assert float(products.diagonal(distance).std()) < 1e-10


def test_default_type_and_real_places():
    torch.set_default_dtype(torch.float64)
    try:
        assert sinusoidal_positions(torch.tensor([0.5]), 4).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert sinusoidal_positions(torch.tensor([0.5]), 2)[0, 0].item() == pytest.approx(math.sin(0.5))


@pytest.mark.parametrize("channels", [0, -1, 2.0, True])
def test_bad_channels(channels):
    with pytest.raises(ConfigError, match="channels"):
        sinusoidal_positions(torch.arange(2), channels)


@pytest.mark.parametrize("period", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_period(period):
    with pytest.raises(ConfigError, match="max_period"):
        sinusoidal_positions(torch.arange(2), 2, max_period=period)


def test_bad_positions():
    with pytest.raises(ShapeError, match="positions"):
        sinusoidal_positions(torch.zeros(2, 2), 2)


def test_fourier_positions():
    place = torch.tensor([[-1.0, 0.25], [0.3, 1.0]], dtype=torch.float64)
    out = fourier_positions(place, 2)
    for row, given in zip(out.tolist(), place.tolist(), strict=True):
        angles = [math.pi * 2**octave * coordinate for coordinate in given for octave in range(2)]
        assert row == pytest.approx([*given, *map(math.sin, angles), *map(math.cos, angles)], abs=1e-12)
    assert torch.equal(fourier_positions(place, 0), place)
    assert fourier_positions(torch.empty(0, 3), 4).shape == (0, 27)
    with pytest.raises(ConfigError, match="octaves"):
        fourier_positions(place, -1)
    for bad in (torch.zeros(3), torch.zeros(2, 2, dtype=torch.long)):
        with pytest.raises(ShapeError, match="place"):
            fourier_positions(bad, 1)
