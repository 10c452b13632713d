"""One token per point, with and without coordinates."""

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn import PointTokenizer


def test_tokens_with_coordinates_are_linear_in_the_features():
    torch.manual_seed(0)
    tokenizer, x = PointTokenizer(8, 6).double(), torch.randn(5, 6, dtype=torch.float64)
    torch.testing.assert_close(tokenizer(x).x, tokenizer.node_encoder(x))
    torch.testing.assert_close(tokenizer(2 * x).x - tokenizer(x).x, tokenizer(x).x - tokenizer(0 * x).x)


@pytest.mark.parametrize("distance", [False, True])
def test_coordinate_free_tokens_depend_on_distances_only(distance):
    torch.manual_seed(0)
    tokenizer = PointTokenizer(8, 3, coordinate_free=True, centroid_distance=distance).double().eval()
    pos, batch = torch.randn(7, 3, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 1, 0, 0])
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    out = tokenizer(pos, batch=batch, pos=pos).x
    moved = pos @ turn.T + 2
    torch.testing.assert_close(tokenizer(moved, batch=batch, pos=moved).x, out, rtol=0, atol=1e-9)
    assert not torch.allclose(tokenizer(pos, batch=batch, pos=1.5 * pos).x, out)


def test_coordinate_free_tokens_need_positions():
    tokenizer = PointTokenizer(8, 3, coordinate_free=True)
    assert tokenizer.inputs == {"pos"}
    with pytest.raises(ShapeError, match="pos"):
        tokenizer(torch.randn(5, 3))


def test_distances_are_for_coordinate_free_tokens():
    with pytest.raises(ConfigError, match="centroid_distance"):
        PointTokenizer(8, 3, centroid_distance=True)


def test_defaults(defaults):
    expected = {
        "coordinate_free": False,
        "centroid_distance": False,
        "pe_channels": 0,
        "flip_signs": False,
    }
    assert expected.items() <= defaults(PointTokenizer).items()
