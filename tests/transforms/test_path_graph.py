import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ShapeError
from pyg_samsa.transforms import PathGraph
from pyg_samsa.transforms.path_graph import path_edges


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3)])
@pytest.mark.parametrize("undirected", [False, True])
def test_edges_are_the_steps_of_the_path(shape, undirected):
    data = PathGraph(undirected)(Data(x=torch.zeros(shape, dtype=torch.long), y=torch.tensor([1])))
    there = {(place, place + 1) for place in range(4)}
    expected = there | {(end, begin) for begin, end in there} if undirected else there
    assert {tuple(edge) for edge in data.edge_index.t().tolist()} == expected
    assert data.edge_index.size(1) == len(expected)
    assert data.edge_index.dtype == torch.long
    assert data.y.tolist() == [1]
    assert data.is_undirected() == undirected


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("undirected", [False, True])
def test_short_sequences_have_an_empty_edge_index(count, undirected):
    data = PathGraph(undirected)(Data(x=torch.zeros(count, 1, dtype=torch.long)))
    assert tuple(data.edge_index.shape) == (2, 0)
    assert data.edge_index.dtype == torch.long


def test_paths_of_a_batch_stay_apart():
    graphs = [PathGraph()(Data(x=torch.zeros(count, 1, dtype=torch.long))) for count in (3, 0, 1, 2)]
    batch = Batch.from_data_list(graphs)
    assert batch.edge_index.tolist() == [[0, 1, 4], [1, 2, 5]]
    assert batch.num_graphs == 4


def test_the_given_data_is_not_changed_and_old_edges_are_replaced():
    data = Data(x=torch.zeros(3, 1, dtype=torch.long), edge_index=torch.tensor([[0], [0]]))
    assert PathGraph()(data).edge_index.tolist() == [[0, 1], [1, 2]]
    assert data.edge_index.tolist() == [[0], [0]]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (Data(), "x"),
        (Data(x=torch.tensor(1)), "x"),
        (Data(x=torch.zeros(2, 1), edge_attr=torch.zeros(1, 1)), "edge_attr"),
    ],
)
def test_bad_data(data, match):
    with pytest.raises(ShapeError, match=match):
        PathGraph()(data)


def test_repr_and_edges():
    assert repr(PathGraph(undirected=True)) == "PathGraph(undirected=True)"
    assert path_edges(4, undirected=True).tolist() == [[0, 1, 2, 1, 2, 3], [1, 2, 3, 0, 1, 2]]
