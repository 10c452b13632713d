import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.transforms import ToSparseTensor

from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.estimators._graphs import add_walks, list_items, read_graphs, texts_of
from pyg_samsa.functional.node_encodings import return_probabilities

RING = torch.tensor([[0, 1, 2], [1, 2, 0]])
NONE = torch.empty(2, 0, dtype=torch.long)


def graph(**changes):
    values = {"x": torch.ones(3, 4), "edge_index": RING, "edge_attr": torch.full((3, 2), 0.5), **changes}
    return Data(**{name: value for name, value in values.items() if value is not None})


def second(**changes):
    return read_graphs([graph(), graph(**changes)])[1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bool])
def test_floats_and_booleans_become_float32(dtype):
    found = second(x=torch.ones(3, 4, dtype=dtype), edge_attr=torch.ones(3, 2, dtype=dtype))
    assert (found.x.dtype, found.edge_attr.dtype) == (torch.float32, torch.float32)
    assert bool((found.x == 1).all())


def test_vectors_are_one_feature_and_arrays_become_tensors():
    given = graph(x=np.array([1.0, 2.0, 3.0]), edge_attr=np.ones(3), edge_index=np.array([[0.0, 1, 2], [1, 2, 0]]))
    (found,) = read_graphs([given])
    assert found.x.tolist() == [[1.0], [2.0], [3.0]]
    assert found.edge_attr.shape == (3, 1)
    assert torch.equal(found.edge_index, RING)
    assert isinstance(given.x, np.ndarray)


def test_integers_stay_integers():
    assert read_graphs([graph(x=torch.ones(3, 4, dtype=torch.int32))])[0].x.dtype == torch.int64


def test_a_graph_without_edges_needs_no_features_of_edges():
    assert second(edge_index=NONE, edge_attr=None).edge_attr.shape == (0, 2)
    assert second(edge_index=None, edge_attr=None).edge_index.shape == (2, 0)
    assert read_graphs([graph(edge_attr=None)])[0].edge_attr is None


def test_a_sparse_matrix_is_read_as_edges():
    weights = torch.tensor([0.5, 2.0, 3.0])
    (plain,) = read_graphs([ToSparseTensor()(graph(edge_attr=weights[:, None]))])
    (values,) = read_graphs([ToSparseTensor(attr="edge_attr")(graph(edge_attr=weights))])
    for found in (plain, values):
        edges = map(tuple, found.edge_index.T.tolist())
        assert dict(zip(edges, found.edge_attr.flatten().tolist(), strict=True)) == {
            (0, 1): 0.5,
            (1, 2): 2.0,
            (2, 0): 3.0,
        }
    assert read_graphs([ToSparseTensor()(graph(edge_attr=None))])[0].edge_attr is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": None}, "x is missing"),
        ({"x": torch.ones(3, 5)}, "x has 5 features, and graph 0 4"),
        ({"x": torch.ones(3, 4).long()}, "x holds integers, and graph 0 floats"),
        ({"x": torch.ones(3, 4, 1)}, r"x has the shape \[3, 4, 1\]"),
        ({"x": "CCO"}, "x is a str, expected a tensor of numbers"),
        ({"x": torch.full((3, 4), float("nan"))}, "x: NaN or infinite value in row 0"),
        ({"x": torch.full((3, 4), 1e300, dtype=torch.float64)}, r"x: 1e\+300 is too large"),
        ({"edge_attr": None}, "edge_attr is missing, and graph 0 has it"),
        ({"edge_attr": torch.ones(3, 5)}, "edge_attr has 5 features, and graph 0 2"),
        ({"edge_attr": torch.ones(5, 2)}, "edge_attr has 5 rows for 3 edges"),
        ({"edge_index": RING + 5}, "edge_index names node 7, and the graph has 3 nodes"),
        ({"edge_index": RING - 1}, "edge_index names node -1"),
        ({"edge_index": RING.T[:, :2].reshape(3, 2)}, r"edge_index has the shape \[3, 2\]"),
        ({"edge_index": RING + 0.5}, "edge_index holds torch.float32"),
    ],
)
def test_what_does_not_fit_is_named_with_its_graph(changes, text):
    with pytest.raises(DataError, match=f"^graph 1: {text}"):
        second(**changes)


def test_graphs_must_match_those_of_the_training():
    like = graph()
    assert read_graphs([graph()], like)[0].edge_attr.shape == (3, 2)
    with pytest.raises(DataError, match="graph 0: x has 5 features, and the graphs of the training 4"):
        read_graphs([graph(x=torch.ones(3, 5))], like)
    with pytest.raises(DataError, match="graph 0: edge_attr is missing, and the graphs of the training have it"):
        read_graphs([graph(edge_attr=None)], like)
    assert read_graphs([graph()], graph(edge_attr=None))[0].edge_attr is None


def test_lists_batches_and_single_graphs():
    assert list_items([graph(), graph()])[1].num_nodes == 3
    assert len(list_items(graph())) == 1
    parts = list_items(Batch.from_data_list([graph(), graph(edge_index=NONE, edge_attr=torch.ones(0, 2))]))
    assert [part.num_edges for part in parts] == [3, 0]
    assert list_items("CCO") == ["CCO"]
    assert texts_of([" C ", None, 3]) == ["C", None, 3]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (HeteroData(), "X is a HeteroData"),
        ([HeteroData()], "graph 0 is a HeteroData"),
        ([Batch.from_data_list([graph(), graph()])], "graph 0 is a batch of 2 graphs"),
        ([graph(), "CCO"], "item 1 is a str, and item 0 is a Data"),
        (["CCO", graph()], "item 1 is a Data, and item 0 is a str"),
    ],
)
def test_other_graphs_are_named(given, text):
    with pytest.raises(DataError, match=text) as error:
        list_items(given)
    assert error.value.hint


def test_no_list_is_named():
    with pytest.raises(ConfigError, match="X: got 'dict'"):
        list_items({"smiles": ["CCO"]})


def test_walks_of_many_graphs_are_those_of_each(monkeypatch):
    monkeypatch.setattr("pyg_samsa.estimators._graphs._CHUNK_NODES", 50)
    bare = graph(edge_index=None, edge_attr=None)
    graphs = [graph(x=torch.ones(3 + number % 4, 4)) if number % 3 else bare.clone() for number in range(130)]
    add_walks(graphs, 5)
    for one in graphs:
        edges = np.empty((2, 0), np.int64) if one.edge_index is None else one.edge_index.numpy()
        np.testing.assert_array_equal(one.pe, return_probabilities(edges, len(one.x), 5))
    assert any(one.pe.any() for one in graphs)
    assert {tuple(one.pe.shape) for one in graphs} == {(size, 5) for size in (3, 4, 5, 6)}
    add_walks([], 5)
