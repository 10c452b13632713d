"""The best candidates of each graph and head, as a Triton kernel."""

# Arguments of kernels are pointers and numbers that Triton types itself.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.reference import rank
from pyg_samsa.functional.triton_support import HAS_TRITON, jit, kernel_op, wrap_triton
from pyg_samsa.typing import Float, Int

if HAS_TRITON:
    import triton.language as tl

_LEAST = 128


@jit
def _sort_keys(score, number, there):
    """Return integers whose order is (score, lower number first); the lowest integer where there is no candidate.

    The bits of the magnitude of a float32, read as an integer and given the sign of the number, keep its order. What is
    not a number ranks as 0, as in PyTorch's path.
    """
    bits = score.to(tl.float32).to(tl.int32, bitcast=True)
    magnitude = bits & 0x7FFFFFFF
    signed = tl.where(bits < 0, -magnitude, magnitude)
    signed = tl.where(magnitude > 0x7F800000, 0, signed).to(tl.int64)
    key = signed * 0x100000000 + (0xFFFFFFFF - number)
    return tl.where(there, key, -0x7FFFFFFFFFFFFFFF)


@jit
def _merge(x, RUN: tl.constexpr, SIZE: tl.constexpr, FALLING: tl.constexpr):
    """Sort runs of 2^RUN elements that rise and fall only once: every other run falls, the first one if FALLING.

    One round compares elements half a run apart, the next one elements a quarter of a run apart, and so on.
    """
    for step in tl.static_range(RUN):
        pairs = tl.reshape(x, [SIZE >> (RUN - step), 2, 1 << (RUN - 1 - step)])
        left, right = tl.split(tl.permute(pairs, [0, 2, 1]))
        high, low = tl.maximum(left, right), tl.minimum(left, right)
        falls = (((tl.arange(0, SIZE >> (RUN - step)) >> step) & 1) != FALLING)[:, None]
        pairs = tl.join(tl.where(falls, high, low), tl.where(falls, low, high))
        x = tl.reshape(tl.permute(pairs, [0, 2, 1]), [SIZE])
    return x


@jit
def _keep_best(best, keys, STEPS: tl.constexpr, SIZE: tl.constexpr):
    """Return the best of two blocks of 2^STEPS, in descending order like ``best``.

    The larger of each pair of a falling and a rising sequence are the best of both, and they rise and fall only once.
    ``tl.sort`` does the same, but in the interpreter it takes seconds.
    """
    for run in tl.static_range(1, STEPS + 1):
        keys = _merge(keys, run, SIZE, 0)
    return _merge(tl.maximum(best, keys), STEPS, SIZE, 1)


@jit
def _rank(
    scores, support_scores, ptr, out, tokens, supports, heads, k, row, head_step, support_row, support_head_step,
    STEPS: tl.constexpr, SIZE: tl.constexpr,
):  # fmt: skip
    """The best candidates of one graph and head, which are read in blocks."""
    graph, head = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    begin = tl.load(ptr + graph)
    size = tl.load(ptr + graph + 1) - begin
    lane = tl.arange(0, SIZE)
    best = tl.full([SIZE], -0x7FFFFFFFFFFFFFFF, tl.int64)
    for first in range(0, supports, SIZE):
        number = (first + lane).to(tl.int64)
        there = number < supports
        place = support_scores + number * support_row + head * support_head_step
        best = _keep_best(best, _sort_keys(tl.load(place, mask=there, other=0.0), tokens + number, there), STEPS, SIZE)
    for first in range(0, size, SIZE):
        number = (first + lane).to(tl.int64)
        there = number < size
        place = scores + (begin + number) * row + head * head_step
        best = _keep_best(best, _sort_keys(tl.load(place, mask=there, other=0.0), begin + number, there), STEPS, SIZE)
    tl.store(out + (graph * heads + head) * k + lane, 0xFFFFFFFF - (best & 0xFFFFFFFF), mask=lane < k)


@kernel_op("ranking")
def _ranking(scores: Tensor, support_scores: Tensor, ptr: Tensor, k: int) -> Tensor:
    graphs, heads = ptr.numel() - 1, scores.size(1)
    out = torch.empty(graphs, heads, k, dtype=torch.long, device=scores.device)
    size = _block(k)
    counts = scores.size(0), support_scores.size(0), heads, k
    if out.numel():
        wrap_triton(_rank)[graphs, heads](
            scores, support_scores, ptr, out, *counts, *scores.stride(), *support_scores.stride(),
            STEPS=size.bit_length() - 1, SIZE=size, num_warps=4 if size <= 512 else 8,
        )  # fmt: skip
    return out


def _block(k: int) -> int:
    """Return the candidates that are sorted at a time."""
    return max(_LEAST, 1 << max(k - 1, 0).bit_length())


def triton_ranking(
    scores: Float[Tensor, "T H"], support_scores: Float[Tensor, "S H"], index: RaggedIndex, k: int
) -> Int[Tensor, "B H K"]:
    r"""Compute `ragged_topk` by one Triton kernel, without tables of scores.

    .. math::
        i_{bh} = \operatorname{topk}\bigl( [\, z_{th} \,]_{t \in b} \,\Vert\, [\, z'_{sh} \,]_s, \; K \bigr)

    A program ranks the candidates of one graph and head. It reads them in blocks of at least K, sorts each block and
    keeps the best K of those that it has seen.

    Args:
        scores: Scores z of the tokens, at most single precision.
        support_scores: Scores z' of the support tokens, S at least K.
        index: Where each graph begins and ends.
        k: Number of candidates K to keep, small enough that a block fits into the registers: `ragged_topk` asks for
            at most 2048.

    Returns:
        Candidate numbers as those of `ragged_topk`, equal ones in the same order.

    Cost: O((n + S) log(K)^2) for each graph of n tokens and head; O(B H K) memory.
    """
    return _ranking(scores, support_scores, index.ptr, k)


def self_test(device: torch.device, dtype: torch.dtype, _: int) -> float:
    """Return 0 if the kernel ranks a few candidates with many ties as a literal sort does, otherwise infinity.

    Args:
        device: Where the kernel runs.
        dtype: Type of the scores.
        _: Number of heads, for which the kernel is always the same.

    Example:
        >>> from pyg_samsa.functional.triton_support import is_interpreted
        >>> not is_interpreted() or self_test(torch.device("cpu"), torch.float32, 2) == 0
        True
    """
    generator = torch.Generator().manual_seed(0)
    sizes, supports, heads, k = [0, 3, 300], 12, 2, 9
    scores, support = (
        torch.randint(-9, 9, (n, heads), generator=generator).to(dtype) / 3 for n in (sum(sizes), supports)
    )
    found = triton_ranking(scores.to(device), support.to(device), RaggedIndex.from_sizes(sizes, device), k).tolist()
    for graph, (begin, end) in enumerate(itertools.pairwise(itertools.accumulate([0, *sizes]))):
        numbers = [*range(begin, end), *range(sum(sizes), sum(sizes) + supports)]
        for head in range(heads):
            best = rank(torch.cat([scores[begin:end, head], support[:, head]]))[:k]
            if found[graph][head] != [numbers[place] for place in best]:
                return float("inf")
    return 0.0
