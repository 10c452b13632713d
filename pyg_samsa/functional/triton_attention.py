"""Attention of packed, ragged queries over the sampled keys of their graph, as Triton kernels."""

# Arguments of kernels are pointers and numbers that Triton types itself.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.triton_support import HAS_TRITON, jit, rowwise, tile
from pyg_samsa.typing import Float

if HAS_TRITON:
    import triton.language as tl

_LOG2_E = 1.4426950408889634


@jit
def _forward(
    query, key, value, out, lse, graphs, starts, ptr, scale,
    q_row, q_head, k_graph, k_head, k_row, v_graph, v_head, v_row,
    heads, samples, channels, ROWS: tl.constexpr, KEYS: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Output and logarithm (base 2) of the sum of weights of one tile of queries of one graph and head."""
    block, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    graph = tl.load(graphs + block)
    rows = tl.load(starts + block) + tl.arange(0, ROWS)
    channel = tl.arange(0, CHANNELS)
    real, inside = (rows < tl.load(ptr + graph + 1))[:, None], (channel < channels)[None, :]
    q = tl.load(query + rows[:, None] * q_row + head * q_head + channel[None, :], mask=real & inside, other=0.0)
    highest = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, CHANNELS], tl.float32)
    for begin in range(0, samples, KEYS):
        number = begin + tl.arange(0, KEYS)
        mask = (number < samples)[:, None] & inside
        k = tl.load(
            key + graph * k_graph + head * k_head + number[:, None] * k_row + channel[None, :], mask=mask, other=0.0
        )
        v = tl.load(
            value + graph * v_graph + head * v_head + number[:, None] * v_row + channel[None, :], mask=mask, other=0.0
        )
        score = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        score = tl.where((number < samples)[None, :], score, float("-inf"))
        now = tl.maximum(highest, tl.max(score, 1))
        weight = tl.exp2(score - now[:, None])
        fade = tl.exp2(highest - now)
        total = total * fade + tl.sum(weight, 1)
        sums = sums * fade[:, None] + tl.dot(weight.to(v.dtype), v, input_precision=PRECISION)
        highest = now
    tl.store(
        out + (rows[:, None] * heads + head) * channels + channel[None, :],
        (sums / total[:, None]).to(out.dtype.element_ty),
        mask=real & inside,
    )
    tl.store(lse + rows * heads + head, highest + tl.log2(total), mask=rows < tl.load(ptr + graph + 1))


@jit
def _backward_query(
    query, key, value, out, lse, grad, grad_query, delta, graphs, starts, ptr, scale, unit,
    q_row, q_head, k_graph, k_head, k_row, v_graph, v_head, v_row,
    heads, samples, channels, ROWS: tl.constexpr, KEYS: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradient of one tile of queries; also writes ``delta``, the products of outputs and their gradients, for
    `_backward_pairs`.
    """
    block, head = tl.program_id(0), tl.program_id(1).to(tl.int64)
    graph = tl.load(graphs + block)
    rows = tl.load(starts + block) + tl.arange(0, ROWS)
    channel = tl.arange(0, CHANNELS)
    row_real = rows < tl.load(ptr + graph + 1)
    inside = (channel < channels)[None, :]
    real = row_real[:, None] & inside
    packed = (rows[:, None] * heads + head) * channels + channel[None, :]
    q = tl.load(query + rows[:, None] * q_row + head * q_head + channel[None, :], mask=real, other=0.0)
    g = tl.load(grad + packed, mask=real, other=0.0)
    along = tl.sum(tl.load(out + packed, mask=real, other=0.0).to(tl.float32) * g.to(tl.float32), 1)
    tl.store(delta + rows * heads + head, along, mask=row_real)
    norm = tl.load(lse + rows * heads + head, mask=row_real, other=0.0)
    sums = tl.zeros([ROWS, CHANNELS], tl.float32)
    for begin in range(0, samples, KEYS):
        number = begin + tl.arange(0, KEYS)
        mask = (number < samples)[:, None] & inside
        k = tl.load(
            key + graph * k_graph + head * k_head + number[:, None] * k_row + channel[None, :], mask=mask, other=0.0
        )
        v = tl.load(
            value + graph * v_graph + head * v_head + number[:, None] * v_row + channel[None, :], mask=mask, other=0.0
        )
        score = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        weight = tl.where((number < samples)[None, :], tl.exp2(score - norm[:, None]), 0.0)
        slope = weight * (tl.dot(g, tl.trans(v), input_precision=PRECISION) - along[:, None])
        sums += tl.dot(slope.to(k.dtype), k, input_precision=PRECISION)
    tl.store(grad_query + packed, (sums * unit).to(grad_query.dtype.element_ty), mask=real)


@jit
def _backward_pairs(
    query, key, value, lse, grad, delta, grad_key, grad_value, ptr, scale, unit,
    q_row, q_head, k_graph, k_head, k_row, v_graph, v_head, v_row,
    heads, samples, channels, ROWS: tl.constexpr, KEYS: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of a block of keys and values of one graph and head, which sees all queries of its graph: nothing is
    added by two programs.
    """
    pair = tl.program_id(0).to(tl.int64)
    number = tl.program_id(1) * KEYS + tl.arange(0, KEYS)
    graph, head = pair // heads, pair % heads
    channel = tl.arange(0, CHANNELS)
    inside = (channel < channels)[None, :]
    mask = (number < samples)[:, None] & inside
    k = tl.load(
        key + graph * k_graph + head * k_head + number[:, None] * k_row + channel[None, :], mask=mask, other=0.0
    )
    v = tl.load(
        value + graph * v_graph + head * v_head + number[:, None] * v_row + channel[None, :], mask=mask, other=0.0
    )
    key_sums = tl.zeros([KEYS, CHANNELS], tl.float32)
    value_sums = tl.zeros([KEYS, CHANNELS], tl.float32)
    first, end = tl.load(ptr + graph), tl.load(ptr + graph + 1)
    for begin in range(0, end - first, ROWS):
        rows = first + begin + tl.arange(0, ROWS)
        row_real = rows < end
        real = row_real[:, None] & inside
        q = tl.load(query + rows[:, None] * q_row + head * q_head + channel[None, :], mask=real, other=0.0)
        g = tl.load(grad + (rows[:, None] * heads + head) * channels + channel[None, :], mask=real, other=0.0)
        norm = tl.load(lse + rows * heads + head, mask=row_real, other=0.0)
        along = tl.load(delta + rows * heads + head, mask=row_real, other=0.0)
        score = tl.dot(q, tl.trans(k), input_precision=PRECISION) * scale
        weight = tl.where(row_real[:, None], tl.exp2(score - norm[:, None]), 0.0)
        value_sums += tl.dot(tl.trans(weight.to(g.dtype)), g, input_precision=PRECISION)
        slope = weight * (tl.dot(g, tl.trans(v), input_precision=PRECISION) - along[:, None])
        key_sums += tl.dot(tl.trans(slope.to(q.dtype)), q, input_precision=PRECISION)
    place = (pair * samples + number[:, None]) * channels + channel[None, :]
    tl.store(grad_key + place, (key_sums * unit).to(grad_key.dtype.element_ty), mask=mask)
    tl.store(grad_value + place, value_sums.to(grad_value.dtype.element_ty), mask=mask)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, index: RaggedIndex) -> Tensor:
        query, key, value = rowwise(query), rowwise(key), rowwise(value)
        tokens, heads, channels = query.shape
        out = torch.empty(query.shape, dtype=query.dtype, device=query.device)
        lse = torch.empty(tokens, heads, dtype=torch.float32, device=query.device)
        size, how = tile(query)
        how = {"ROWS": size, "KEYS": size, **how}
        graphs, starts = index.tiles(size)
        scale = _LOG2_E / channels**0.5
        if tokens:
            _forward[graphs.numel(), heads](
                query, key, value, out, lse, graphs, starts, index.ptr, scale, *_strides(query, key, value), **how
            )
        ctx.save_for_backward(query, key, value, out, lse)
        ctx.index, ctx.scales, ctx.how = index, (scale, scale / _LOG2_E), how
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, lse = ctx.saved_tensors
        grad, index, how = grad.contiguous(), ctx.index, ctx.how
        grads = [torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device) for tensor in (query, key, value)]
        delta = torch.empty_like(lse)
        strides = _strides(query, key, value)
        graphs, starts = index.tiles(how["ROWS"])
        heads, samples = key.shape[1:3]
        if query.size(0):
            places = (graphs, starts, index.ptr)
            _backward_query[graphs.numel(), heads](
                query, key, value, out, lse, grad, grads[0], delta, *places, *ctx.scales, *strides, **how
            )
        blocks = -(-samples // how["KEYS"])
        _backward_pairs[key.size(0) * heads, blocks](
            query, key, value, lse, grad, delta, *grads[1:], index.ptr, *ctx.scales, *strides, **how
        )
        return *grads, None


def _strides(query: Tensor, key: Tensor, value: Tensor) -> tuple[int, ...]:
    return *query.stride()[:2], *key.stride()[:3], *value.stride()[:3], query.size(1), key.size(2), query.size(2)


def triton_attention(
    query: Float[Tensor, "T H C"], key: Float[Tensor, "B H K C"], value: Float[Tensor, "B H K C"], index: RaggedIndex
) -> Float[Tensor, "T H C"]:
    r"""Compute `sampled_attention` by three Triton kernels, without padding and without a table of weights in memory.

    .. math::
        o_{th} = \sum_k \mathrm{softmax}_k\bigl(q_{th}^\top k_{b(t)hk} / \sqrt{C}\bigr) \, v_{b(t)hk}

    A program takes a tile of queries of one graph and reads the keys of this graph in blocks, keeping a running maximum
    and sum, as in `FlashAttention <https://arxiv.org/abs/2205.14135>`_. In the backward pass a program takes a tile of
    queries, or a block of keys and all queries of its graph, so that nothing is added by two programs: gradients are
    the same in every run.

    Args:
        query: Packed queries, at most single precision, C at most 256.
        key: Sampled keys.
        value: Sampled values.
        index: Where each graph begins and ends.

    Returns:
        Output; sums are taken in single precision.

    Cost: O(T K H C) time, O(T H C) memory.
    """
    return _Attention.apply(query, key, value, index)
