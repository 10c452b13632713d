import math

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import check_pairs, score_pairs

GRAPH = torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize("similarity", ["dot", "cosine_similarity"])
def test_scores_and_gradients_equal_a_loop(similarity):
    h = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    pairs = torch.tensor([[0, 1, 2, 2], [1, 0, 3, 2]])
    found = score_pairs(h, pairs, similarity)
    expected = []
    for i, j in pairs.T.tolist():
        score = sum(h[i, c] * h[j, c] for c in range(3))
        if similarity == "cosine_similarity":
            lengths = [sum(h[node, c] ** 2 for c in range(3)).sqrt() for node in (i, j)]
            score = score / (lengths[0] * lengths[1])
        expected.append(score.view(1))
    expected = torch.stack(expected)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    gradients = [torch.autograd.grad((out * weight).sum(), h)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_pairs_are_pairs_of_nodes_of_one_graph():
    pairs = torch.tensor([[0, 2], [1, 2]])
    assert check_pairs(pairs, GRAPH) is pairs
    none = torch.empty(2, 0, dtype=torch.long)
    assert check_pairs(none, GRAPH[:0]) is none


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (None, "because level is 'link'"),
        (torch.tensor([[0.0], [1.0]]), "integers"),
        (torch.tensor([0, 1]), r"\[2, L\]"),
        (torch.zeros(3, 2, dtype=torch.long), r"\[2, L\]"),
        (torch.tensor([[0, 0], [1, 4]]), r"the pair \(0, 4\), expected pairs of nodes 0 to 3"),
        (torch.tensor([[0, -1], [1, 0]]), r"the pair \(-1, 0\)"),
        (torch.tensor([[0, 1], [1, 2]]), r"the pair \(1, 2\)"),
    ],
)
def test_other_pairs_are_named(pairs, told):
    with pytest.raises(ShapeError, match=f"^edge_label_index: .*{told}"):
        check_pairs(pairs, GRAPH)


def test_pairs_need_nodes():
    with pytest.raises(ShapeError, match="there are no nodes"):
        check_pairs(torch.tensor([[0], [0]]), GRAPH[:0])


def test_the_cosine_is_that_of_the_angle():
    h = torch.tensor([[2.0, 0.0], [3.0, 3.0]])
    assert score_pairs(h, torch.tensor([[0], [1]]), "cosine_similarity").item() == pytest.approx(math.cos(math.pi / 4))
