import torch
from torch_geometric.data import Batch, Data
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.init import init_weights
from torch_geometric.graphgym.models.layer import new_layer_config

from pyg_samsa.graphgym import layer


def test_layer_keeps_its_initialisation_and_widens():
    config = new_layer_config(5, 8, 1, has_act=False, has_bias=True, cfg=cfg)
    made = layer.SAMSAConvLayer(config)
    before = [weight.clone() for weight in made.parameters()]
    torch.nn.Sequential(made).apply(init_weights)
    assert all(torch.equal(old, new) for old, new in zip(before, made.parameters(), strict=True))
    made.apply(lambda module: [torch.nn.init.zeros_(weight) for weight in module.parameters(recurse=False)])
    assert all(float(weight.detach().abs().sum()) == 0 for weight in made.parameters())
    batch = Batch.from_data_list(
        [Data(x=torch.randn(n, 5), edge_index=torch.empty(2, 0, dtype=torch.long)) for n in (3, 1)]
    )
    assert made(batch).x.shape == (4, 8)
