"""Encoders, readouts and the head."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.nn import (
    AtomEncoder,
    BagOfFeatures,
    BondEncoder,
    CategoricalEncoder,
    Dropout,
    MLPHead,
    make_pool,
)


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


def test_attention_pool_is_a_weighted_mean_per_graph():
    pool = make_pool("attention", 4).double()
    x, batch = torch.randn(6, 4, dtype=torch.float64), torch.tensor([2, 0, 2, 0, 0, 2])
    out = pool(x, batch, dim_size=4)
    for graph in (0, 2):
        part = x[batch == graph]
        weight = pool.gate_nn(part).softmax(0)
        torch.testing.assert_close(out[graph], (weight * part).sum(0))
    assert (out[[1, 3]] == 0).all()


def test_mean_pool():
    x, batch = torch.randn(6, 4), torch.tensor([2, 0, 2, 0, 0, 2])
    out = make_pool("mean", 4)(x, batch, dim_size=4)
    torch.testing.assert_close(out[2], x[batch == 2].mean(0))
    assert (out[[1, 3]] == 0).all()


def test_head():
    head = MLPHead(8, 3, hidden_channels=5)
    assert head(torch.randn(2, 8)).shape == (2, 3)
    assert head.net[0].out_features == 5
    with pytest.raises(ConfigError, match="out_channels"):
        MLPHead(8, 0)
    with pytest.raises(ConfigError, match="norm"):
        MLPHead(8, 3, norm="layer")


def test_head_that_normalises_over_the_batch():
    torch.manual_seed(0)
    head = MLPHead(4, 2, norm="batch")
    x = 5 + 1e-3 * torch.randn(200, 4)
    scaled = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(head(x), head.net(scaled), rtol=1e-3, atol=1e-4)
    for _ in range(200):
        head(x)
    head.eval()
    seen = (x - x.mean(0)) / (x.var(0) + 1e-5).sqrt()
    torch.testing.assert_close(head(x), head.net(seen), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(head(x[:1]), head(x)[:1])
    assert head.train()(x[:1]).isfinite().all()  # one graph has no spread: running statistics serve
    head.reset_parameters()
    assert head.norm.module.running_mean.abs().max() == 0


def test_bag_of_features_sees_no_structure():
    torch.manual_seed(0)
    bag = BagOfFeatures([3], 2, edge_channels=2, channels=8).eval()
    x, edge_attr, batch = torch.tensor([[0], [1], [2], [1]]), torch.randn(3, 2), torch.tensor([1, 1, 1, 0])
    out = bag(x, torch.tensor([[0, 1, 2], [1, 2, 0]]), edge_attr, batch, batch_size=3)
    assert out.shape == (3, 2)
    rewired = bag(x, torch.tensor([[2, 2, 1], [0, 0, 1]]), edge_attr, batch, batch_size=3)
    torch.testing.assert_close(out, rewired)
    alone = bag(x[:3], torch.tensor([[0, 1, 2], [1, 2, 0]]), edge_attr)
    torch.testing.assert_close(out[1:2], alone)
    with pytest.raises(ShapeError, match="edge_attr"):
        bag(x)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.99])
def test_dropout_drops_at_its_rate_and_keeps_the_mean(p):
    torch.manual_seed(0)
    dropout, x = Dropout(p), torch.ones(1000, 1001, requires_grad=True)
    out = dropout(x)
    out.sum().backward()
    assert (out == 0).float().mean().item() == pytest.approx(p, abs=2e-3)
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(x.grad, out.detach())
    assert not torch.equal(dropout(x), out)
    columns = (out[:, :-1] == 0).float().mean(0)
    assert (columns - p).abs().max() < 6 * (p * (1 - p) / 1000) ** 0.5
    pairs = ((out[:, :1000] == 0).view(1000, 250, 4).float() - p).flatten(0, 1)
    assert (pairs.t() @ pairs / pairs.size(0) - p * (1 - p) * torch.eye(4)).abs().max() < 3e-3


def test_dropout_does_nothing_in_evaluation_and_follows_the_seed():
    x = torch.randn(7, 3, dtype=torch.float64)
    assert Dropout(0.5).eval()(x) is x
    first, second = (torch.manual_seed(3) and Dropout(0.5)(x) for _ in range(2))
    assert torch.equal(first, second)
    assert first.dtype == torch.float64
    with pytest.raises(ConfigError, match="dropout"):
        Dropout(1.0)
