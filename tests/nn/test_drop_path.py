"""Stochastic depth."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import DropPath


def test_graphs_are_dropped_as_a_whole_at_the_rate():
    torch.manual_seed(0)
    index = RaggedIndex(torch.arange(0, 6001, 3))
    keep = DropPath(0.3).keep(torch.ones(6000, 2), index).view(2000, 3)
    assert (keep == keep[:, :1]).all()
    assert set(keep[:, 0].tolist()) == {0.0, torch.tensor(1.0).div(0.7).item()}
    assert (keep[:, 0] == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_the_branch_is_multiplied_by_its_factor():
    index, x = RaggedIndex(torch.tensor([0, 2, 5])), torch.randn(5, 4, dtype=torch.float64)
    torch.manual_seed(0)
    keep = DropPath(0.5).keep(x, index)
    torch.manual_seed(0)
    assert torch.equal(DropPath(0.5)(x, index), x * keep)


def test_nothing_is_dropped_in_evaluation_or_at_rate_zero():
    index, x = RaggedIndex(torch.tensor([0, 2])), torch.randn(2, 4)
    assert DropPath(0.5).eval()(x, index) is x
    assert DropPath(0.0)(x, index) is x
    assert DropPath()(x, index) is x


def test_a_bad_rate_is_named():
    with pytest.raises(ConfigError, match="drop_path"):
        DropPath(1.0)
