"""Features of pairs: every encoding of the registry against the literal reference, and their invariance."""

import pytest
import torch
from torch.autograd import gradcheck

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional import reference
from pyg_samsa.functional.pair_features import PAIR_FEATURES, pair_features

ENCODINGS = [name for name, count in PAIR_FEATURES.items() if count]


def places(normal, encoding, *shape):
    """Positions, and normals behind them where the encoding wants them."""
    return normal(*shape[:-1], 2 * shape[-1] if encoding == "dist_normal" else shape[-1])


@pytest.fixture
def field():
    return torch.tensor([0.5, 1.5, 0.8, 1.0, 2.0], dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("n", "k", "dims"), [(1, 1, 1), (3, 4, 3), (2, 5, 2)], ids=str)
def test_every_encoding_is_the_reference(same, normal, field, encoding, n, k, dims):
    place, other = places(normal, encoding, n, dims), places(normal, encoding, k, dims)
    fast = pair_features(encoding, place, other, field)
    literal = [[reference.pair_features(encoding, p, o, field) for o in other] for p in place]
    literal = torch.stack([torch.stack(row) for row in literal]).permute(2, 0, 1)
    inputs = (place, other, field) if encoding == "field" else (place, other)
    same(fast, literal, *inputs)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_number_of_features_and_leading_dimensions(normal, field, encoding):
    place, other = places(normal, encoding, 2, 1, 3, 2), places(normal, encoding, 1, 4, 5, 2)
    assert pair_features(encoding, place, other, field).shape == (2, 4, PAIR_FEATURES[encoding], 3, 5)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rotations_reflections_and_shifts_change_nothing(normal, field, encoding):
    place, other = places(normal, encoding, 4, 3), places(normal, encoding, 5, 3)
    rotation = torch.linalg.qr(normal(3, 3)).Q
    shift = torch.ones(3, dtype=torch.float64)

    def move(points):
        position, rest = points[:, :3] @ rotation + shift, points[:, 3:]
        return torch.cat([position, rest @ rotation if rest.size(1) else rest], dim=1)

    before, after = (pair_features(encoding, *pair, field) for pair in ((place, other), (move(place), move(other))))
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_tokens(normal, field, encoding):
    assert pair_features(encoding, places(normal, encoding, 0, 2), places(normal, encoding, 3, 2), field).numel() == 0


def test_the_gradient_at_distance_zero_is_zero(field):
    place = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(pair_features("field", place, place.detach(), field).sum(), place)
    assert grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_gradcheck(normal, field, encoding):
    inputs = (places(normal, encoding, 2, 2), places(normal, encoding, 3, 2), field)
    assert gradcheck(lambda place, other, numbers: pair_features(encoding, place, other, numbers), inputs)


def test_wrong_arguments_are_named():
    points = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="encoding"):
        pair_features("none", points, points)
    with pytest.raises(ShapeError, match="other"):
        pair_features("dist", points, points[:, :2])
    with pytest.raises(ShapeError, match="even number"):
        pair_features("dist_normal", points, points)
    with pytest.raises(ShapeError, match="field"):
        pair_features("field", points, points)
