import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.datasets import paths
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.nodes.node_dataset import NodeDataset, one_graph
from pyg_samsa.datasets.paths import add_paths
from pyg_samsa.datasets.prepared import Prepared
from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.functional.shortest_paths import batch_paths
from pyg_samsa.task import Task

NONE = torch.empty(2, 0, dtype=torch.long)
EDGES = [torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), NONE, torch.tensor([[1, 0], [0, 1]]), NONE]
NODES = [3, 1, 4, 2]


def dataset():
    ends = torch.tensor([0, *(edges.size(1) for edges in EDGES)]).cumsum(0)
    data = {"x": torch.ones(10, 1), "edge_index": torch.cat(EDGES, 1), "edge_attr": torch.arange(6)[:, None] % 3}
    slices = {"x": torch.tensor([0, *NODES]).cumsum(0), "edge_index": ends, "edge_attr": ends}
    return SplitDataset(Prepared(data, slices, {"train": torch.arange(4)}), Task("binary", ["y"]), Features(1, [3]))


@pytest.mark.parametrize("cardinalities", [None, [3]])
@pytest.mark.parametrize("pairs", [1, 12, 1000])
def test_graphs_and_batches_have_their_paths(cardinalities, pairs, monkeypatch):
    monkeypatch.setattr(paths, "_CHUNK_PAIRS", pairs)
    plain = dataset()
    made = add_paths(plain, 4, cardinalities, progress=False)
    assert "paths" not in plain._data
    assert made._data.paths.dtype == torch.int16
    for graph, edges, nodes in zip(made, EDGES, NODES, strict=True):
        types = None if cardinalities is None else graph.edge_attr.flatten()
        assert torch.equal(graph.paths, batch_paths(edges, RaggedIndex.from_sizes([nodes]), 4, types))
        assert graph.paths.dtype == torch.int16
    batch = made.make_batch([2, 0, 1])
    types = None if cardinalities is None else batch.edge_attr.flatten()
    assert batch.paths.dtype == torch.int16
    assert torch.equal(batch.paths, batch_paths(batch.edge_index, RaggedIndex(batch.ptr), 4, types))
    assert torch.equal(batch.paths, Batch.from_data_list([made[row] for row in (2, 0, 1)]).paths)


def test_one_graph_whose_nodes_are_split():
    masks = torch.eye(3, dtype=torch.bool)[None]
    prepared = one_graph(torch.eye(3), EDGES[0], torch.tensor([1, 0, 1]), masks)
    made = add_paths(NodeDataset(prepared, Task("multiclass", ["a", "b"], "node"), Features(3)), 4, progress=False)
    assert [graph.paths.flatten().tolist() for graph in made] == 3 * [[0, 1, 2, 1, 0, 1, 2, 1, 0]]


def test_a_set_that_is_not_in_memory_stays_as_it_is():
    graphs = [Data(x=torch.ones(2, 1))]
    assert add_paths(graphs, 4, progress=False) is graphs


def test_paths_that_fill_the_memory_are_left_to_the_batches(monkeypatch, caplog):
    plain = dataset()
    monkeypatch.setattr(paths, "machine_memory", lambda: 4 * 2 * 30 - 1)  # 30 pairs of two bytes
    assert add_paths(plain, 4, progress=False) is plain
    assert "model.type and gt.layer_type" in caplog.text
    monkeypatch.setattr(paths, "machine_memory", lambda: 4 * 2 * 30)
    assert "paths" in add_paths(plain, 4, progress=False)._data


def test_a_graph_with_too_many_nodes_is_refused_at_once():
    data = {"x": torch.ones(2**15 + 1, 1), "edge_index": NONE}
    slices = {"x": torch.tensor([0, 2**15 + 1]), "edge_index": torch.tensor([0, 0])}
    large = SplitDataset(Prepared(data, slices, {"train": torch.arange(1)}), Task("binary", ["y"]), Features(1))
    with pytest.raises(ShapeError, match="32,768"):
        add_paths(large, 4, progress=False)
