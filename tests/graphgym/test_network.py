import torch
from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym import network


def test_network_takes_widths_from_whoever_knows_them(molecules):
    cfg.samsa.layers, cfg.samsa.channels, cfg.samsa.heads = 1, 8, 2
    cfg.dataset.task = "graph"
    made = network.SAMSANetwork(dim_in=5, dim_out=2)
    assert made.model.tokenizer.node_encoder.in_features == 5
    cfg.share.in_channels, cfg.share.edge_channels, cfg.share.level = (
        [119, 5, 12, 12, 10, 6, 6, 2, 2],
        [5, 6, 2],
        "node",
    )
    made = network.SAMSANetwork(dim_in=9, dim_out=2)
    batch = molecules
    assert made(batch)[0].shape == (9, 2)


def test_networks_encode_features_of_graphs_by_levels_where_there_are_any(molecules, monkeypatch):
    cfg.dataset.task = "graph"
    cfg.samsa.graph_levels, cfg.samsa.graph_hidden, cfg.samsa.graph_dropout = 6, 10, 0.25
    assert network.SAMSANetwork(dim_in=9, dim_out=2).graph_features is None
    cfg.share.graph_channels = 4
    monkeypatch.setattr(network, "graph_features", lambda: (torch.rand(9, 4), None))
    features = network.SAMSANetwork(dim_in=9, dim_out=2).graph_features
    assert (features.levels, features.channels, features.net[0].p) == (6, 10, 0.25)
