"""Performer is linear attention without positions."""

from __future__ import annotations

import torch

from pyg_samsa.functional import reference
from pyg_samsa.nn import FLTConv, PerformerConv


def tokens() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(7, 8, dtype=torch.float64)


def test_it_is_the_literal_attention_without_positions():
    conv, x = PerformerConv(8, heads=2, num_features=5).double(), tokens()
    expected = reference.flt_conv(conv, x, [3, 4])
    torch.testing.assert_close(conv(x, ptr=torch.tensor([0, 3, 7])), expected)


def test_it_is_flt_without_an_encoding():
    conv, other = PerformerConv(8, heads=2).double(), FLTConv(8, heads=2, encoding="none").double()
    other.load_state_dict(conv.state_dict())
    assert torch.equal(conv(tokens()), other(tokens()))


def test_positions_are_ignored():
    conv, x = PerformerConv(8, heads=2).double(), tokens()
    assert not conv.uses_positions
    assert torch.equal(conv(x, pos=x[:, :3]), conv(x))
    assert repr(conv) == "PerformerConv(8, heads=2, encoding='none', num_features=64)"


def test_defaults(defaults):
    expected = {
        "heads": 8,
        "num_features": 64,
        "causal": False,
        "dropout": 0.0,
        "bias": True,
    }
    assert expected.items() <= defaults(PerformerConv).items()
