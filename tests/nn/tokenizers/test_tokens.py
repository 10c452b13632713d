"""Vectors of nodes as vectors of tokens."""

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import Tokens
from pyg_samsa.nn.tokenizers.tokens import check_edges

EDGES = torch.tensor([[0, 2], [1, 0]])


def tokens(edge_rows: torch.Tensor | None) -> Tokens:
    return Tokens(torch.zeros(5, 4), RaggedIndex(torch.tensor([0, 5])), torch.tensor([1, 0, 3]), edge_rows)


def test_an_edge_gets_the_mean_of_its_nodes():
    vectors = torch.tensor([[2.0, 0.0], [4.0, 1.0], [8.0, 3.0]])
    out = tokens(torch.tensor([2, 4])).of_tokens("pos", vectors, EDGES)
    assert out.tolist() == [[4.0, 1.0], [2.0, 0.0], [3.0, 0.5], [8.0, 3.0], [5.0, 1.5]]


def test_vectors_get_the_type_of_the_tokens():
    assert tokens(None).of_tokens("pos", torch.ones(3, 1, dtype=torch.long), None).dtype == torch.float32


def test_no_vectors_are_none():
    assert tokens(None).of_tokens("pos", None, EDGES) is None


@pytest.mark.parametrize("shape", [(2, 3), (3,), (3, 1, 1)], ids=str)
def test_wrong_vectors_are_named(shape):
    with pytest.raises(ShapeError, match="normal"):
        tokens(None).of_tokens("normal", torch.zeros(shape), None)


@pytest.mark.parametrize(
    ("edge_index", "told"),
    [
        (torch.zeros(2), r"\[2\] torch.float32"),
        (torch.zeros(3, 1, dtype=torch.long), r"\[3, 1\] torch.int64"),
        (torch.zeros(2, 1), r"\[2, 1\] torch.float32"),
        (torch.zeros(2, 1, dtype=torch.bool), r"\[2, 1\] torch.bool"),
        (torch.zeros(2, dtype=torch.long), r"\[2\] torch.int64"),
    ],
)
def test_edges_are_pairs_of_integers(edge_index, told):
    with pytest.raises(ShapeError, match=rf"^edge_index: got {told}, expected integers \[2, E\]$"):
        check_edges(torch.ones(2, 4), edge_index, 4)


def test_nodes_of_edges_exist_and_features_are_floats():
    ends = torch.tensor([[0], [2]])
    check_edges(torch.ones(3, 4), ends, 4)
    check_edges(torch.ones(2, 4), ends, 4, ends=False)
    with pytest.raises(ShapeError, match="node 2"):
        check_edges(torch.ones(2, 4), ends, 4)
    for x in (torch.ones(3, 5), torch.ones(3), torch.ones(3, 4, dtype=torch.long)):
        with pytest.raises(ShapeError, match=r"^x: got .* expected floats \[N, 4\]$"):
            check_edges(x, ends, 4)
