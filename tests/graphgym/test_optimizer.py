import pytest
import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.optim import create_optimizer

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym import optimizer
from pyg_samsa.training.optimizers import parameter_groups


def test_adamw_of_the_registry():
    cfg.optim.optimizer, cfg.optim.base_lr = "adamW", 0.5
    made = create_optimizer(torch.nn.Linear(2, 2).parameters(), cfg.optim)
    assert isinstance(made, torch.optim.AdamW)
    assert made.param_groups[0]["lr"] == 0.5
    groups = optimizer.choose_optimizer()([{"params": list(torch.nn.Linear(2, 2).parameters()), "weight_decay": 0.25}])
    assert groups.param_groups[0]["weight_decay"] == 0.25


@pytest.mark.parametrize("name", sorted(map(str, register.optimizer_dict)))
def test_every_optimiser_moves_the_weights_and_keeps_the_decay_of_a_group(name):
    cfg.optim.optimizer, cfg.optim.base_lr, cfg.optim.weight_decay = name, 0.1, 0.0
    layer = torch.nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    made = optimizer.choose_optimizer()(parameter_groups(layer, 0.25))
    assert [group["weight_decay"] for group in made.param_groups] == [0.25, 0.0]
    layer(torch.ones(1, 2)).sum().backward()
    made.step()
    assert not torch.equal(before, layer.weight)


def test_an_unknown_optimiser_is_named():
    cfg.optim.optimizer = "adamWW"
    with pytest.raises(ConfigError, match=r"optim\.optimizer") as caught:
        optimizer.choose_optimizer()
    assert "adamW" in caught.value.hint
