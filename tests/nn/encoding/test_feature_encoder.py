"""Encoders are chosen by what the features are, and wrong features are named."""

import pytest
import torch
from torch.nn import Identity, Linear, Sequential

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.nn import CategoricalEncoder
from pyg_samsa.nn.encoding.feature_encoder import check_finite, encode_features, make_encoder, one_hot_categories


def test_the_encoder_follows_the_features():
    own = Identity()
    assert make_encoder("x", own, 4) is own
    assert isinstance(make_encoder("x", 3, 4), Linear)
    assert make_encoder("x", 3, 4).weight.shape == (4, 3)
    assert isinstance(make_encoder("x", (3, 2), 4), CategoricalEncoder)


@pytest.mark.parametrize("features", [0, -2, True, None, "many", 2.5])
def test_anything_else_is_an_error(features):
    with pytest.raises(ConfigError, match="in_channels"):
        make_encoder("in_channels", features, 4)


def test_encoding_is_the_encoder():
    encoder, x = Linear(3, 4), torch.randn(5, 3)
    torch.testing.assert_close(encode_features("x", encoder, x, 4), encoder(x))
    assert encode_features("x", encoder, x[:0], 4).shape == (0, 4)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(5, 2),
        torch.zeros(5, 4),
        torch.zeros(5),
        torch.zeros(5, 3, dtype=torch.long),
        torch.zeros(2, 5, 3),
    ],
    ids=str,
)
def test_features_that_do_not_fit_are_named(x):
    with pytest.raises(ShapeError, match=r"x: got .*floats \[\*, 3\]"):
        encode_features("x", Linear(3, 4), x, 4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bool])
def test_floats_get_the_type_of_the_weights(dtype):
    x = torch.tensor([[1.0, 0.0, 1.0]]).to(dtype)
    encoder = Linear(3, 4)
    assert torch.equal(encode_features("x", encoder, x, 4), encoder(x.float()))
    own = Sequential(Linear(3, 8), Linear(8, 4)).double()
    assert torch.equal(encode_features("x", own, x, 4), own(x.double()))


def test_a_vector_is_one_feature_of_each_row():
    encoder, x = Linear(1, 4), torch.tensor([1.0, 2.0])
    assert torch.equal(encode_features("x", encoder, x, 4), encoder(x[:, None]))


def test_an_encoder_of_another_width_is_named():
    with pytest.raises(ShapeError, match="encoded edge_attr"):
        encode_features("edge_attr", Linear(3, 5), torch.zeros(2, 3), 4)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_row_of_a_bad_number_is_named(value):
    x = torch.zeros(4, 3)
    x[2, 1] = value
    with pytest.raises(NumericalError, match="row 2"):
        check_finite("x", x)
    with pytest.raises(NumericalError, match="row 2"):
        encode_features("x", Linear(3, 4), x, 4)


def test_integers_are_finite():
    assert check_finite("x", torch.ones(2, 2, dtype=torch.long)) is None


def test_one_hot_categories():
    assert one_hot_categories(torch.tensor([[2], [0]]), 2, 3).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    "category",
    [None, torch.tensor([1]), torch.tensor([0.0, 1.0]), torch.tensor([0, 3]), torch.tensor([-1, 0])],
    ids=str,
)
def test_bad_categories(category):
    with pytest.raises(ShapeError, match="category"):
        one_hot_categories(category, 2, 3)


def test_categories_in_the_place_of_floats_name_two_cures():
    for name, option in (("x", "in_channels"), ("edge_attr", "edge_channels")):
        with pytest.raises(ShapeError, match="expected floats") as caught:
            encode_features(name, make_encoder(option, 9, 16), torch.zeros(3, 9, dtype=torch.long), 16)
        assert f"Pass {name}.float()" in caught.value.hint
        assert option in caught.value.hint
    with pytest.raises(ShapeError) as caught:
        encode_features("x", make_encoder("in_channels", 9, 16), torch.zeros(3, 8), 16)
    assert caught.value.hint == ""
