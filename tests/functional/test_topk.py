from __future__ import annotations

import pytest
import torch

from pyg_samsa.functional import RaggedIndex, ragged_topk, topk


def literal(scores: list[float], k: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_topk_breaks_ties_by_the_lower_index(dtype):
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        n = int(torch.randint(1, 30, (), generator=generator))
        scores = torch.randint(-3, 4, (n,), generator=generator).to(dtype)
        k = int(torch.randint(0, n + 1, (), generator=generator))
        assert topk(scores, k).tolist() == literal(scores.tolist(), k)


def test_zero_and_minus_zero_tie():
    assert topk(torch.tensor([-0.0, 0.0, -0.0]), 3).tolist() == [0, 1, 2]


def test_extreme_values_keep_their_order():
    scores = torch.tensor([-3e38, 3e38, 1e-45, -1e-45, 0.0, -1.0, 1.0])
    assert topk(scores, 7).tolist() == literal(scores.tolist(), 7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [[4, 0, 9, 1], [0, 0], [600] + [2] * 40])
def test_ragged_topk_is_a_literal_sort_of_each_graph(sizes, dtype):
    generator = torch.Generator().manual_seed(1)
    heads, supports, k = 2, 6, 6
    index = RaggedIndex(torch.tensor([0, *sizes]).cumsum(0))
    scores = torch.randint(-5, 6, (sum(sizes), heads), generator=generator).to(dtype)
    support = torch.randint(-5, 6, (supports, heads), generator=generator).to(dtype)
    found = ragged_topk(scores, support, index, k)
    for graph, size in enumerate(sizes):
        begin = int(index.ptr[graph])
        numbers = [*range(begin, begin + size), *range(sum(sizes), sum(sizes) + supports)]
        for head in range(heads):
            column = scores[begin : begin + size, head].tolist() + support[:, head].tolist()
            assert found[graph, head].tolist() == [numbers[i] for i in literal(column, k)]
