import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.graphgym.config import cfg, set_cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.graphormer import check_degrees, edge_categories, make_structure, reads_paths, uses_structure


@pytest.fixture(autouse=True)
def fresh_cfg():
    set_cfg(cfg)
    yield
    set_cfg(cfg)


@pytest.mark.parametrize(
    ("network", "layer", "uses"),
    [
        ("graphormer", "samsa", True),
        ("gps", "GINE+BiasedTransformer", True),
        ("gps", "GINE+Transformer", False),
        ("samsa", "samsa", False),
    ],
)
def test_which_networks_have_a_structure(network, layer, uses):
    cfg.model.type, cfg.gt.layer_type = network, layer
    assert uses_structure() == reads_paths() == uses
    cfg.graphormer.node_degrees_only = True
    assert uses_structure() == uses
    assert not reads_paths()


def test_options_come_from_the_settings():
    cfg.graphormer.num_spatial_types, cfg.graphormer.num_in_degrees, cfg.graphormer.num_out_degrees = 5, 7, 9
    cfg.graphormer.use_graph_token, cfg.graphormer.input_dropout = False, 0.25
    cfg.share.edge_channels = [5, 6, 2]
    made = make_structure(8, 2)
    assert (made.num_spatial_types, made.edge_types, made.graph_token) == (5, (5, 6, 2), None)
    assert (made.in_degree.num_embeddings, made.out_degree.num_embeddings, made.dropout.p) == (7, 9, 0.25)
    assert made.edge.num_embeddings == 60
    assert edge_categories(2) is None


def graphs(**options):
    dataset = InMemoryDataset()
    edges = [torch.tensor([[0, 0, 1], [1, 2, 2]]), torch.tensor([[1, 2, 3], [0, 0, 0]])]
    made = [Data(x=torch.ones(4, 1), edge_index=edge) for edge in edges]
    dataset.data, dataset.slices = dataset.collate(made)
    return dataset


@pytest.mark.parametrize(("name", "most"), [("in", 3), ("out", 2)])
def test_larger_degrees_than_are_encoded_are_refused(name, most):
    cfg.graphormer[f"num_{name}_degrees"] = most + 1
    check_degrees(graphs())
    cfg.graphormer[f"num_{name}_degrees"] = most
    with pytest.raises(ConfigError, match=rf"graphormer.num_{name}_degrees: got {most}, expected at least {most + 1}"):
        check_degrees(graphs())


def test_what_is_not_in_memory_is_checked_later():
    cfg.graphormer.num_in_degrees = 1
    check_degrees([])
    without = InMemoryDataset()
    without.data = Data(x=torch.ones(2, 1), edge_index=torch.empty(2, 0, dtype=torch.long))
    check_degrees(without)
