"""Attention weights as pairs of tokens."""

from __future__ import annotations

import torch

from pyg_samsa.functional import RaggedIndex
from pyg_samsa.nn.conv.attention_weights import (
    identity_values,
    in_given_order,
    weights_of_all,
    weights_of_samples,
)


def test_weights_of_samples_are_added_up_by_token():
    # The first head of the first graph sampled token 1 twice; the second head support vector 5, candidate 3 + 2 = 5.
    alpha = torch.tensor([[[0.5, 0.25], [0.75, 0.125]], [[0.25, 0.5], [0.5, 0.5]], [[1.0, 0.0], [0.5, 0.25]]])
    candidates = torch.tensor([[[1, 1], [0, 5]], [[2, 4], [2, 2]]])
    pairs, weights = weights_of_samples(alpha, candidates, RaggedIndex(torch.tensor([0, 2, 3])))
    found = {tuple(pair): weight for pair, weight in zip(pairs.T.tolist(), weights.tolist(), strict=True)}
    assert found == {
        (0, 0): [0.0, 0.75],
        (1, 0): [0.75, 0.0],
        (5, 0): [0.0, 0.125],
        (0, 1): [0.0, 0.5],
        (1, 1): [0.75, 0.0],
        (5, 1): [0.0, 0.5],
        (2, 2): [1.0, 0.75],
        (4, 2): [0.0, 0.0],
    }


def test_weights_of_all_list_every_pair_of_a_graph():
    alpha = torch.arange(6.0).view(3, 1, 2)
    pairs, weights = weights_of_all(alpha, RaggedIndex(torch.tensor([0, 2, 2, 3])))
    found = {tuple(pair): weight for pair, weight in zip(pairs.T.tolist(), weights.flatten().tolist(), strict=True)}
    assert found == {(0, 0): 0.0, (1, 0): 1.0, (0, 1): 2.0, (1, 1): 3.0, (2, 2): 4.0}


def test_identity_values_are_the_rows_of_an_identity_matrix_per_graph():
    values = identity_values(RaggedIndex(torch.tensor([0, 3, 3, 5])), 2, torch.float64)
    assert values.dtype == torch.float64
    for head in range(2):
        assert torch.equal(values[:3, head], torch.eye(3, dtype=torch.float64))
        assert torch.equal(values[3:, head], torch.eye(2, 3, dtype=torch.float64))


def test_rows_go_back_to_the_given_order_and_support_vectors_stay():
    pairs, weights = torch.tensor([[0, 2, 4], [1, 1, 0]]), torch.ones(3, 1)
    perm = torch.tensor([2, 0, 1])
    assert in_given_order((pairs, weights), perm)[0].tolist() == [[2, 1, 4], [0, 0, 2]]
    assert in_given_order((pairs, weights), None)[0] is pairs
    empty = torch.empty(2, 0, dtype=torch.long)
    assert in_given_order((empty, weights[:0]), torch.empty(0, dtype=torch.long))[0].shape == (2, 0)
