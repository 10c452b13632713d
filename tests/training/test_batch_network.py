import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import ToSparseTensor

from pyg_samsa.errors import DataError
from pyg_samsa.nn import TargetScale
from pyg_samsa.training.batch_network import BatchNetwork


def graph(nodes, **fields):
    return Data(x=torch.ones(nodes, 1), edge_index=torch.empty(2, 0, dtype=torch.long), **fields)


class Recorder(nn.Module):
    """Keeps what it is called with."""

    def __init__(self, *inputs):
        super().__init__()
        self.inputs = inputs

    def forward(self, x, edge_index, edge_attr, batch, **told):
        self.told = told
        return torch.zeros(told["batch_size"], 1).index_add(0, batch, x)


def test_each_row_belongs_to_its_graph():
    batch = Batch.from_data_list([graph(2, y=torch.tensor([1.0])), graph(3, y=torch.tensor([2.0]))])
    prediction, target = BatchNetwork(Recorder())(batch)
    assert prediction.tolist() == [[2.0], [3.0]]
    assert target.tolist() == [1.0, 2.0]


def test_the_documents_of_a_pair_become_two_graphs():
    pairs = [graph(3, document=torch.tensor([0, 1, 1])), graph(2, document=torch.tensor([1, 0]))]
    network = BatchNetwork(Recorder())
    assert network(Batch.from_data_list(pairs))[0].tolist() == [[1.0], [2.0], [1.0], [1.0]]
    assert network.model.told == {"batch_size": 4}


class Edges(nn.Module):
    """Returns the edges that it is called with."""

    def forward(self, x, edge_index, edge_attr, batch, **told):
        return edge_index, edge_attr


def test_a_sparse_matrix_takes_the_place_of_the_edges():
    edges, weight = torch.tensor([[0, 1], [1, 2]]), torch.tensor([[5.0], [7.0]])
    sparse = ToSparseTensor()(Data(x=torch.ones(3, 1), edge_index=edges, edge_attr=weight))
    (found, attr), _ = BatchNetwork(Edges())(Batch.from_data_list([sparse, sparse]))
    assert found.tolist() == [[0, 1, 3, 4], [1, 2, 4, 5]]
    assert attr.flatten().tolist() == [5.0, 7.0, 5.0, 7.0]


def test_only_the_named_inputs_are_handed_over():
    batch = Batch.from_data_list([graph(2, pos=torch.zeros(2, 3), normal=torch.ones(2, 3), pe=torch.ones(2, 1))])
    network = BatchNetwork(Recorder("pos", "pe", "category"))
    network(batch)
    assert sorted(network.model.told) == ["batch_size", "pe", "pos"]
    rows = [graph(2, graph_features=torch.tensor([[row, 0.5]])) for row in (1.0, 2.0)]
    network = BatchNetwork(Recorder("graph_features"))
    network(Batch.from_data_list(rows))
    assert network.model.told["graph_features"].tolist() == [[1.0, 0.5], [2.0, 0.5]]


def test_rows_without_targets():
    assert BatchNetwork(Recorder())(Batch.from_data_list([graph(2)]))[1] is None


def test_graphs_without_features_are_an_error():
    bare = Batch.from_data_list([Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=2)])
    with pytest.raises(DataError, match="no node features") as caught:
        BatchNetwork(Recorder())(bare)
    assert "Constant" in caught.value.hint


class Add(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, batch):
        batch.x = batch.x * 10 + self.number
        return batch


def test_encoders_run_before_the_model_nodes_first():
    network = BatchNetwork(Recorder(), node_encoder=Add(1), edge_encoder=Add(2))
    assert network(Batch.from_data_list([graph(1)]))[0].item() == 112.0


def test_the_scale_is_that_of_the_model():
    model = Recorder()
    assert BatchNetwork(model).scale is None
    model.scale = TargetScale(1)
    assert BatchNetwork(model).scale is model.scale
