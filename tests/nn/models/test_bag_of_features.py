"""The baseline without structure."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.nn import BagOfFeatures


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


def test_it_is_the_mlp_of_the_means():
    torch.manual_seed(0)
    bag = BagOfFeatures(3, 2, channels=8).double()
    x, batch = torch.randn(5, 3, dtype=torch.float64), torch.tensor([1, 0, 1, 1, 0])
    h = bag.node_encoder(x)
    expected = bag.head(torch.stack([h[batch == graph].mean(0) for graph in range(2)]))
    torch.testing.assert_close(bag(x, batch=batch), expected)


def test_new_weights():
    bag = BagOfFeatures([3], 2, edge_channels=2, channels=8)
    before = [weight.detach().clone() for weight in bag.parameters()]
    bag.reset_parameters()
    assert not any(torch.equal(old, new) for old, new in zip(before, bag.parameters(), strict=True))


def test_defaults(defaults):
    expected = {
        "channels": 128,
        "dropout": 0.0,
    }
    assert expected.items() <= defaults(BagOfFeatures).items()
