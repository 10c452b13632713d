"""The sum of embeddings of categorical features."""

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn.encoding import categorical
from pyg_samsa.nn.encoding.categorical import (
    ATOM_CARDINALITIES,
    BOND_CARDINALITIES,
    AtomEncoder,
    BondEncoder,
    CategoricalEncoder,
)


def test_gradients_go_to_the_rows_that_were_looked_up():
    encoder = CategoricalEncoder([3, 2], 4)
    encoder(torch.tensor([[2, 0], [2, 1]])).sum().backward()
    assert encoder.weight.grad.sum(1).tolist() == [0.0, 0.0, 8.0, 4.0, 4.0]


def test_no_rows():
    assert CategoricalEncoder([3, 2], 4)(torch.zeros(0, 2, dtype=torch.long)).shape == (0, 4)


@pytest.mark.parametrize(
    ("encoder", "cardinalities"), [(AtomEncoder, ATOM_CARDINALITIES), (BondEncoder, BOND_CARDINALITIES)]
)
def test_the_last_category_of_every_feature_is_legal_and_the_next_is_not(encoder, cardinalities):
    last = torch.tensor([cardinalities]) - 1
    module = encoder(5)
    assert bool(torch.isfinite(module(last)).all())
    for feature in range(len(cardinalities)):
        beyond = last.clone()
        beyond[0, feature] += 1
        with pytest.raises(ShapeError, match=f"feature {feature} of row 0"):
            module(beyond)


def test_resetting_draws_anew():
    encoder = CategoricalEncoder([5], 4)
    before = encoder.weight.detach().clone()
    encoder.reset_parameters()
    assert not torch.equal(before, encoder.weight)


@pytest.mark.parametrize("channels", [0, -1])
def test_bad_channels(channels):
    with pytest.raises(ConfigError, match="channels"):
        CategoricalEncoder([3], channels)


def test_categorical_encoder_is_the_sum_of_its_embeddings():
    encoder = CategoricalEncoder([3, 4], 5)
    first, second = encoder.weight.split([3, 4])
    x = torch.tensor([[0, 3], [2, 0], [1, 1]])
    torch.testing.assert_close(encoder(x), first[x[:, 0]] + second[x[:, 1]])
    assert str(encoder) == "CategoricalEncoder([3, 4], 5)"
    assert list(encoder.state_dict()) == ["weight"]


def test_one_feature_may_be_a_vector():
    assert CategoricalEncoder([7], 5)(torch.tensor([0, 6])).shape == (2, 5)


def test_ogb_cardinalities():
    features = pytest.importorskip("ogb.utils.features")
    assert list(AtomEncoder(4).cardinalities) == features.get_atom_feature_dims()
    assert list(BondEncoder(4).cardinalities) == features.get_bond_feature_dims()


@pytest.mark.parametrize(
    "x", [torch.tensor([[3, 0]]), torch.tensor([[-1, 0]]), torch.zeros(2, 2), torch.zeros(2, 3, dtype=torch.long)]
)
def test_categories_out_of_range_are_named(x):
    with pytest.raises(ShapeError):
        CategoricalEncoder([3, 4], 5)(x)


@pytest.mark.parametrize("cardinalities", [[], [0], [True], [2.5]])
def test_bad_cardinalities(cardinalities):
    with pytest.raises(ConfigError, match="cardinalities"):
        CategoricalEncoder(cardinalities, 5)


def test_categories_that_are_told_later_read_no_other_memory(monkeypatch):
    encoder = CategoricalEncoder([2, 3], 4)
    monkeypatch.setattr(categorical, "takes_cpu_path", lambda x: False)  # as on an accelerator
    monkeypatch.setattr(categorical, "require", lambda wrong, explain: None)
    inside = torch.tensor([[1, 2], [0, 0]])
    expected = encoder.weight[0 + inside[:, 0]] + encoder.weight[2 + inside[:, 1]]
    torch.testing.assert_close(encoder(inside), expected)
    outside = encoder(torch.tensor([[-9, 99]]))
    torch.testing.assert_close(outside[0], encoder.weight[0] + encoder.weight[4])
