"""Ranking by a Triton kernel against a literal sort and against PyTorch, on a GPU or in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.functional import RaggedIndex, ragged_topk

pytestmark = pytest.mark.cuda


def by_kernel(device, scores, support, index, k):
    from pyg_samsa.functional.triton_ranking import triton_ranking

    there = RaggedIndex(index.ptr.to(device))
    return triton_ranking(scores.to(device), support.to(device), there, k).cpu()


def by_torch(scores, support, index, k, monkeypatch):
    monkeypatch.setenv("PYG_SAMSA_TRITON", "0")
    return ragged_topk(scores, support, index, k)


def literal(scores, support, index, k):
    numbers = range(index.num_tokens, index.num_tokens + support.size(0))
    both, best = torch.cat([scores, support]).double(), []
    for begin, end in zip(index.ptr.tolist(), index.ptr.tolist()[1:], strict=False):
        own = [*range(begin, end), *numbers]
        for head in range(scores.size(1)):
            # -0.0 and 0.0 are equal for Python too.
            best.append(sorted(own, key=lambda row: (-float(both[row, head]), row))[:k])
    return torch.tensor(best).view(index.num_graphs, scores.size(1), k)


@pytest.mark.parametrize(
    ("sizes", "heads", "supports", "k"),
    [
        ([4, 0, 9, 1], 2, 6, 6),
        ([0, 0], 1, 3, 2),
        ([200, 2, 131], 2, 40, 40),
        ([1], 1, 1, 1),
        ([129, 128, 127], 2, 128, 128),
        ([300, 5], 2, 259, 129),
        ([700], 1, 12, 5),
        ([3_000, 3], 1, 1100, 1000),
        ([40], 1, 2100, 1025),
    ],
    ids=str,
)
@pytest.mark.parametrize("ties", [False, True])
def test_ranking_kernel_is_a_literal_sort(device, sizes, heads, supports, k, ties):
    generator = torch.Generator().manual_seed(k)
    index = RaggedIndex.from_sizes(sizes)
    scores, support = (torch.randn(n, heads, generator=generator) for n in (index.num_tokens, supports))
    if ties:
        scores, support = scores.round(), support.round()
    assert torch.equal(by_kernel(device, scores, support, index, k), literal(scores, support, index, k))


@pytest.mark.parametrize("seed", range(4))
def test_ranking_kernel_equals_pytorch_on_random_batches(device, seed, monkeypatch):
    generator = torch.Generator().manual_seed(seed)

    def draw(most):
        return int(torch.randint(1, most + 1, (), generator=generator))

    graphs, heads, k = draw(4), draw(2), draw(150)
    index = RaggedIndex.from_sizes(torch.randint(0, 300, (graphs,), generator=generator).tolist())
    values = torch.tensor([-3e38, -1.5, -1e-45, -0.0, 0.0, 1e-45, 1e-3, 1.5, 3e38])
    scores, support = (
        torch.randn(n, heads, generator=generator)
        if seed % 2
        else values[torch.randint(0, len(values), (n, heads), generator=generator)]
        for n in (index.num_tokens, k + draw(99))
    )
    expected = by_torch(scores, support, index, k, monkeypatch)
    assert torch.equal(by_kernel(device, scores, support, index, k), expected)
    # Columns of a transposed tensor, as some callers have them.
    turned = [x.t().contiguous().t() for x in (scores, support)]
    assert torch.equal(by_kernel(device, *turned, index, k), expected)


def test_ranking_kernel_ranks_what_is_not_finite_as_pytorch_does(device, monkeypatch):
    nan, inf = float("nan"), float("inf")
    scores = torch.tensor([nan, -inf, inf, -nan, 1.0, -1.0, 0.0])[:, None]
    support = torch.tensor([0.0, -inf, nan, inf])[:, None]
    index = RaggedIndex.from_sizes([4, 0, 3])
    expected = by_torch(scores, support, index, 4, monkeypatch)
    assert expected[0].tolist() == [[2, 10, 0, 3]]
    assert torch.equal(by_kernel(device, scores, support, index, 4), expected)


def test_ranking_kernel_takes_half_precision(device, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    scores, support = (torch.randn(n, 2, generator=generator).half() for n in (90, 30))
    index = RaggedIndex.from_sizes([80, 10])
    assert torch.equal(by_kernel(device, scores, support, index, 20), by_torch(scores, support, index, 20, monkeypatch))


def test_ragged_topk_takes_the_ranking_kernel(device, monkeypatch):
    monkeypatch.setenv("PYG_SAMSA_TRITON", "1")
    calls = []
    monkeypatch.setattr(
        "pyg_samsa.functional.triton_ranking.triton_ranking", lambda *args: calls.append(args) or "kernel"
    )
    index = RaggedIndex.from_sizes([3, 0])
    scores, support = torch.randn(3, 1, device=device), torch.randn(4, 1, device=device)
    assert ragged_topk.__wrapped__(scores, support, index, 2) == "kernel"
    assert len(calls) == 1
    # In double precision and for very long graphs PyTorch ranks.
    assert ragged_topk(scores.double(), support.double(), index, 2).shape == (2, 1, 2)
    long = RaggedIndex.from_sizes([9000])
    assert ragged_topk(torch.zeros(9000, 1, device=device), -support.abs(), long, 2).tolist() == [[[0, 1]]]
    assert len(calls) == 1


def test_ranking_kernel_is_an_operator(device):
    from pyg_samsa.functional import triton_ranking as module

    index = RaggedIndex.from_sizes([3, 0, 5], device)
    scores, support = (torch.randn(n, 2, device=device) for n in (8, 6))
    torch.library.opcheck(module._ranking, (scores, support, index.ptr, 6))
