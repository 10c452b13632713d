import pytest
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


@pytest.mark.parametrize(
    ("kind", "unused"),
    [
        ("samsa", ["gnn.act"]),
        ("gnn", []),  # its layer samsaconv reads them
        ("gcn", ["gt.layers", "samsa.channels", "samsa.heads", "sft.leak"]),
        ("gps", ["samsa.channels", "samsa.heads", "sft.leak"]),
        ("bag_of_features", ["gnn.act", "gt.layers", "samsa.heads", "sft.leak"]),
    ],
)
def test_settings_of_another_network_are_named(kind, unused):
    cfg.model.type = kind
    given = ["sft.leak", "samsa.heads", "samsa.channels", "optim.base_lr", "gnn.act", "gnn.head", "gt.layers"]
    assert network.unused_settings(given) == unused


ENCODING = ["graphormer.input_dropout", "graphormer.num_in_degrees", "graphormer.num_spatial_types"]
LAYERS = ["graphormer.dropout", "graphormer.mlp_dropout", "graphormer.num_heads", "graphormer.num_layers"]


@pytest.mark.parametrize(
    ("settings", "unused"),
    [
        ({"model.type": "gps"}, [*ENCODING, *LAYERS]),
        ({"model.type": "gps", "gt.layer_type": "GINE+Transformer"}, [*ENCODING, *LAYERS]),
        ({"model.type": "gps", "gt.layer_type": "GINE+BiasedTransformer"}, LAYERS),
        ({"model.type": "graphormer"}, []),
        ({"model.type": "graphormer", "graphormer.node_degrees_only": True}, ["graphormer.num_spatial_types"]),
        ({"model.type": "san"}, [*ENCODING, *LAYERS]),
    ],
)
def test_settings_of_graphormer_count_where_they_are_read(settings, unused):
    cfg.merge_from_list([part for pair in settings.items() for part in pair])
    assert network.unused_settings([*settings, *LAYERS, *ENCODING]) == sorted(unused)


@pytest.mark.parametrize("kind", ["san", "san2"])
def test_without_other_pairs_they_have_no_weight(kind):
    cfg.model.type, cfg.gt.full_graph = kind, False
    assert network.unused_settings(["gt.full_graph", "gt.gamma"]) == ["gt.gamma"]


@pytest.mark.parametrize("head", ["graphormer_graph", "ogb_code_graph", "san_graph"])
@pytest.mark.parametrize("kind", ["gcn", "gps", "graphormer", "san"])
def test_heads_that_have_a_fixed_number_of_layers_read_none(kind, head):
    cfg.model.type = kind
    assert network.unused_settings(["gnn.head", "gnn.layers_post_mp"]) == []
    cfg.gnn.head = head
    assert network.unused_settings(["gnn.head", "gnn.layers_post_mp"]) == ["gnn.layers_post_mp"]


def test_settings_of_features_are_unused_where_graphs_have_none():
    cfg.model.type = "samsa"
    given = ["samsa.graph_levels", "samsa.graph_hidden", "samsa.graph_dropout", "samsa.heads"]
    assert network.unused_settings(given) == sorted(given[:3])
    cfg.share.graph_channels = 4
    assert network.unused_settings(given) == []


def test_networks_encode_features_of_graphs_by_levels_where_there_are_any(molecules, monkeypatch):
    cfg.dataset.task = "graph"
    cfg.samsa.graph_levels, cfg.samsa.graph_hidden, cfg.samsa.graph_dropout = 6, 10, 0.25
    assert network.SAMSANetwork(dim_in=9, dim_out=2).graph_features is None
    cfg.share.graph_channels = 4
    monkeypatch.setattr(network, "train_graph_features", lambda: torch.rand(9, 4))
    features = network.SAMSANetwork(dim_in=9, dim_out=2).graph_features
    assert (features.levels, features.channels, features.net[0].p) == (6, 10, 0.25)
