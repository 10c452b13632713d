import numpy as np
import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import ToSparseTensor

from pyg_samsa.errors import NumericalError, ShapeError
from pyg_samsa.functional import cast_floats, check_edge_shape, check_tensor, edges_of

EDGES = torch.tensor([[0, 1, 2, 0], [1, 0, 3, 2]])


@pytest.mark.parametrize(
    ("value", "got", "hint"),
    [
        (None, "None", "torch_geometric.transforms.Constant"),
        ((torch.ones(2), torch.ones(2)), "a tuple", "to_homogeneous"),
        ({"atom": torch.ones(2)}, "a dict", "to_homogeneous"),
        (Data(x=torch.ones(2)), "a Data", "data.x, data.edge_index"),
        (np.ones(2), "an ndarray", "torch.from_numpy"),
        ([1.0], "a list", ""),
    ],
)
def test_an_input_that_is_no_tensor_is_named_with_its_cure(value, got, hint):
    with pytest.raises(ShapeError, match=f"x: got {got}, expected a tensor: floats") as error:
        check_tensor("x", value, "floats [N, 2]")
    assert hint in error.value.hint


def test_a_tensor_is_returned_as_it_is():
    x = torch.ones(2)
    assert check_tensor("x", x, "floats") is x


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_floats_get_the_type_of_the_weights(dtype):
    cast = cast_floats("x", torch.tensor([0.5, -2.0, float("inf")], dtype=dtype), torch.float32)
    assert cast.dtype == torch.float32
    assert cast.tolist() == [0.5, -2.0, float("inf")]


def test_booleans_become_zero_and_one_and_integers_stay():
    assert cast_floats("x", torch.tensor([True, False]), torch.float64).tolist() == [1.0, 0.0]
    assert cast_floats("x", torch.tensor([3]), torch.float32).dtype == torch.int64


def test_a_number_that_the_weights_cannot_hold_is_named():
    with pytest.raises(NumericalError, match=r"x: 1e\+300 is too large for torch.float32"):
        cast_floats("x", torch.tensor([1.0, 1e300], dtype=torch.float64), torch.float32)
    with pytest.raises(NumericalError, match=r"x: 70000 is too large for torch.float16"):
        cast_floats("x", torch.tensor([7e4]), torch.float16)


@pytest.mark.parametrize("layout", ["csr", "csc", "coo"])
def test_a_sparse_matrix_is_read_as_the_transposed_adjacency(layout):
    graph = ToSparseTensor(attr=None)(Data(edge_index=EDGES.clone(), num_nodes=4))
    matrix = {"csr": graph.adj_t, "csc": graph.adj_t.to_sparse_csc(), "coo": graph.adj_t.to_sparse_coo()}[layout]
    edges, values = edges_of(matrix)
    assert set(map(tuple, edges.T.tolist())) == set(map(tuple, EDGES.T.tolist()))
    assert values.tolist() == [1.0] * 4


def test_edge_features_of_a_matrix_are_in_the_order_of_its_rows():
    weight = torch.tensor([10.0, 11.0, 12.0, 13.0])
    graph = ToSparseTensor(attr=None)(Data(edge_index=EDGES.clone(), edge_attr=weight[:, None], num_nodes=4))
    edges, attr = edges_of(graph.adj_t, graph.edge_attr)
    pairs = {tuple(edge): float(value) for edge, value in zip(edges.T.tolist(), attr, strict=True)}
    assert pairs == {(0, 1): 10.0, (1, 0): 11.0, (2, 3): 12.0, (0, 2): 13.0}
    edges, attr = edges_of(ToSparseTensor(attr="edge_attr")(Data(edge_index=EDGES, edge_attr=weight)).adj_t)
    assert {tuple(edge): float(value) for edge, value in zip(edges.T.tolist(), attr, strict=True)} == pairs


def test_dense_edges_and_no_edges_stay():
    assert edges_of(None) == (None, None)
    assert edges_of(EDGES)[0] is EDGES
    with pytest.raises(ShapeError, match="edge_index: got a list"):
        edges_of([[0], [1]])


def test_graph_numbers_in_the_place_of_edges_are_refused():
    with pytest.raises(ShapeError, match=r"edge_index: got \[3\] torch.int64, expected integers \[2, E\]") as error:
        check_edge_shape(torch.tensor([0, 0, 1]))
    assert error.value.hint == "Pass graph numbers by name: batch=batch."
    check_edge_shape(EDGES)
    check_edge_shape(torch.eye(3).to_sparse())
    check_edge_shape(None)
