import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.graphgym.config import cfg

import tests.tiny
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.masked_network import make_samsa, masked_columns
from pyg_samsa.graphgym.network import SAMSANetwork
from pyg_samsa.graphgym.share import describe
from pyg_samsa.nn import MaskedEncoder
from pyg_samsa.task import Task
from pyg_samsa.training.masked import MaskedNetwork


@pytest.fixture
def tiny():
    """Describe small graphs with features of nodes and edges to ``cfg``, for a task."""

    def make(kind):
        dataset = tests.tiny.Tiny("multiclass")
        dataset.task = Task(kind, dataset.task.names, "node" if kind == "masked" else "graph")
        describe(dataset)
        cfg.model.type, cfg.samsa.channels, cfg.samsa.heads, cfg.samsa.layers = "samsa", 8, 2, 1
        return dataset

    yield make
    describe(None)


def test_with_labels_it_is_an_ordinary_network(tiny):
    tiny("multiclass")
    assert type(make_samsa(2, 3)) is SAMSANetwork


@pytest.mark.parametrize("bridge", [True, False])
def test_features_of_edges_are_hidden_where_edges_are_tokens(tiny, bridge):
    dataset = tiny("masked")
    cfg.samsa.bridge = bridge
    assert masked_columns([4, 4], [3]) == ([4, 4], [3] if bridge else [])
    network = make_samsa(2, 2).eval()
    assert type(network) is MaskedNetwork
    assert network.hides_edges == bridge
    assert isinstance(network.model.tokenizer.edge_encoder, MaskedEncoder) == bridge
    batch = Batch.from_data_list([dataset[0], dataset[1]])
    prediction, target = network(batch)
    rows = batch.num_nodes + (batch.num_edges if bridge else 0)
    assert prediction.shape == (rows, 11 if bridge else 8)
    assert target.shape == (rows, 3 if bridge else 2)
    assert torch.equal(
        target[: batch.num_nodes, 2:].isnan(), torch.ones(batch.num_nodes, int(bridge), dtype=torch.bool)
    )


@pytest.mark.parametrize("bridge", [True, False])
def test_hidden_features_leave_channels_to_encodings(tiny, bridge):
    dataset = tiny("masked")
    cfg.samsa.bridge, cfg.pe.kind, cfg.pe.dim, cfg.pe.channels = bridge, "rwse", 3, 2
    network = make_samsa(2, 2).eval()
    batch = Batch.from_data_list([dataset[0], dataset[1]])
    batch.pe = torch.rand(batch.num_nodes, 3)
    prediction, _ = network(batch)
    assert len(prediction) == batch.num_nodes + (batch.num_edges if bridge else 0)
    assert network.model.tokenizer.node_channels == 6


def test_encoders_of_other_code_are_refused(tiny):
    tiny("masked")
    cfg.dataset.node_encoder, cfg.dataset.node_encoder_name = True, "mine"
    with pytest.raises(ConfigError, match=r"dataset\.node_encoder: got True, expected False"):
        make_samsa(2, 2)
