"""Vectors of nodes as vectors of tokens."""

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn import Tokens

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
