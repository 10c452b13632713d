import pytest
import torch
from torch_geometric.graphgym import register

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.pooling import AttentionPooling


def test_it_is_registered():
    assert isinstance(register.pooling_dict["attention"], AttentionPooling)


def test_equal_gates_are_a_mean():
    pool = AttentionPooling().build(3)
    with torch.no_grad():
        for parameter in pool.parameters():
            parameter.zero_()
    x = torch.tensor([[1.0, 2, 3], [3.0, 2, 1], [5.0, 5, 5]])
    found = pool(x, torch.tensor([0, 0, 1]))
    assert found.tolist() == [[2.0, 2.0, 2.0], [5.0, 5.0, 5.0]]


def test_every_head_gets_weights_of_its_own():
    first, second = (AttentionPooling().build(3) for _ in range(2))
    assert sum(parameter.numel() for parameter in first.parameters()) == 4
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def test_without_weights_it_names_the_heads_that_have_them():
    with pytest.raises(ConfigError, match="add, mean or max") as caught:
        AttentionPooling()(torch.ones(2, 3), torch.zeros(2, dtype=torch.long))
    assert "gnn.head mlp_graph" in caught.value.hint
