"""Sampling of packed batches: every graph and head equals the literal reference alone."""

import pytest
import torch

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional import ragged_sampling, reference
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.ragged_sampling import (
    candidate_lookup,
    ragged_sample_with_replacement,
    ragged_sample_without_replacement,
    rows_of_heads,
)
from pyg_samsa.functional.sampling import MODES

LITERAL = {
    "hard": reference.hard_sample_without_replacement,
    "soft": reference.soft_sample_without_replacement,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("sizes", [[0], [1], [5, 0, 2], [3, 3]], ids=str)
def test_ragged_is_each_graph_and_head(same, normal, sizes, computed, mode):
    tokens, heads, k = sum(sizes), 2, 2
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    values, scores, supports, support_scores = (
        normal(tokens, heads, 3),
        normal(tokens, heads),
        normal(4, heads, 3),
        normal(4, heads),
    )
    if computed and tokens == 0:
        pytest.skip("nothing to compute")

    def look_up(candidates):
        return values[candidates, torch.arange(heads)[:, None]]

    fast = ragged_sample_without_replacement(
        look_up if computed else values, scores, supports, support_scores, index, k, mode=mode
    )
    literal = []
    for begin, size in zip(index.ptr.tolist(), sizes, strict=False):
        own = slice(begin, begin + size)
        literal += [
            LITERAL[mode](
                torch.cat([values[own, h], supports[:, h]]), torch.cat([scores[own, h], support_scores[:, h]]), k
            )
            for h in range(heads)
        ]
    same(fast.values.flatten(0, 1), torch.stack(literal), values, scores, supports, support_scores)


def test_too_few_support_tokens_are_an_error():
    index, zeros = RaggedIndex(torch.tensor([0, 1])), torch.zeros(3, 1, 2)
    with pytest.raises(ShapeError, match="S >= 2k = 4"):
        ragged_sample_without_replacement(zeros[:1], zeros[:1, :, 0], zeros, zeros[..., 0], index, 2)


@pytest.mark.parametrize("sizes", [[0], [1], [4, 0, 2], [300, 1, 1, 1]], ids=str)
def test_ragged_with_replacement_is_each_graph_and_head(same, normal, sizes):
    tokens, heads, k = sum(sizes), 2, 3
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    values, scores, supports, support_scores = (
        normal(tokens, heads, 2),
        normal(tokens, heads),
        normal(1, heads, 2),
        normal(1, heads),
    )
    fast = ragged_sample_with_replacement(values, scores, supports, support_scores, index, k)
    literal = []
    for begin, size in zip(index.ptr.tolist(), sizes, strict=False):
        own = slice(begin, begin + size)
        for h in range(heads):
            z = torch.cat([scores[own, h], support_scores[:, h]])
            vectors = torch.cat([values[own, h], supports[:, h]])
            literal.append(reference.sample_with_replacement(vectors, z, k, 1.0, None))
    same(fast.values.flatten(0, 1), torch.stack(literal), values, scores, supports, support_scores)


def test_random_draws_with_replacement_differ_from_draw_to_draw():
    torch.manual_seed(0)
    index, zeros = RaggedIndex(torch.tensor([0, 50])), torch.zeros(50, 1)
    samples = ragged_sample_with_replacement(
        zeros[..., None], zeros, zeros[:1, :, None], zeros[:1], index, 20, noise=True
    )
    assert samples.candidates.unique().numel() > 10


def test_rows_of_heads_are_those_of_indexing(normal):
    table, numbers = normal(5, 2, 3, grad=False), torch.tensor([[[4, 0], [1, 1]], [[2, 3], [0, 4]]])
    assert torch.equal(rows_of_heads(table, numbers), table[numbers, torch.arange(2)[:, None]])
    assert torch.equal(rows_of_heads(table[..., 0], numbers), table[..., 0][numbers, torch.arange(2)[:, None]])


@pytest.mark.parametrize("cpu", [True, False])
def test_looked_up_and_computed_vectors_are_equal(normal, monkeypatch, cpu):
    monkeypatch.setattr(ragged_sampling, "takes_cpu_path", lambda *_: cpu)
    values, support = normal(40, 2, 3, grad=False), normal(3, 2, 3, grad=False)
    candidates = torch.tensor([[[0, 42], [39, 40]]])
    computed = candidate_lookup(lambda tokens: rows_of_heads(values, tokens), support, 40)
    expected = torch.cat([values, support])[candidates, torch.arange(2)[:, None]]
    assert torch.equal(candidate_lookup(values, support, 40)(candidates), expected)
    assert torch.equal(computed(candidates), expected)
