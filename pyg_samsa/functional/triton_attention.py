"""Attention of packed, ragged queries over the sampled keys of their graph, as Triton kernels."""

# Arguments of kernels are pointers and numbers that Triton types itself.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.reference import attention
from pyg_samsa.functional.triton_support import (
    HAS_TRITON,
    is_exact,
    jit,
    kernel_op,
    largest_error,
    rowwise,
    tile,
    wrap_triton,
)
from pyg_samsa.typing import Float

if HAS_TRITON:
    import triton.language as tl

_LOG2_E = 1.4426950408889634


@jit
def find_tile(ptr, graphs, slot, ROWS: tl.constexpr):
    r"""Return the graph of a slot of rows, and the first row of the slot, which may lie beyond the graph.

    .. math::
        \mathrm{slots\ of\ graph\ } b: \quad
        \lfloor \mathrm{ptr}_b / R \rfloor + b, \; \dots, \; \lfloor \mathrm{ptr}_{b+1} / R \rfloor + b

    So each graph has enough slots for its tiles of R rows, and T // R + B slots hold all tiles of a batch: the sizes of
    the graphs need not be known to launch a kernel.

    Args:
        ptr: Address of the offsets [B+1].
        graphs: B.
        slot: Number of the slot.
        ROWS: Rows R of a tile.

    Cost: O(log B).
    """
    low, high = tl.zeros([], tl.int32), tl.zeros([], tl.int32) + graphs
    while high - low > 1:
        middle = (low + high) // 2
        begins_before = tl.load(ptr + middle) // ROWS + middle <= slot
        low = tl.where(begins_before, middle, low)
        high = tl.where(begins_before, high, middle)
    begin = tl.load(ptr + low)
    return low.to(tl.int64), begin + (slot - begin // ROWS - low) * ROWS


@jit
def _forward(
    query, key, value, out, lse, ptr, graphs, scale,
    q_row, q_head, k_graph, k_head, k_row, v_graph, v_head, v_row,
    heads, samples, channels, ROWS: tl.constexpr, KEYS: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Output and logarithm (base 2) of the sum of weights of one tile of queries of one graph and head."""
    head = tl.program_id(1).to(tl.int64)
    graph, first = find_tile(ptr, graphs, tl.program_id(0), ROWS)
    end = tl.load(ptr + graph + 1)
    if first >= end:
        return
    rows = first + tl.arange(0, ROWS)
    channel = tl.arange(0, CHANNELS)
    real, inside = (rows < end)[:, None], (channel < channels)[None, :]
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
    tl.store(lse + rows * heads + head, highest + tl.log2(total), mask=rows < end)


@jit
def _backward_query(
    query, key, value, out, lse, grad, grad_query, delta, ptr, graphs, scale, unit,
    q_row, q_head, k_graph, k_head, k_row, v_graph, v_head, v_row,
    heads, samples, channels, ROWS: tl.constexpr, KEYS: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradient of one tile of queries; also writes ``delta``, the products of outputs and their gradients, for
    `_backward_pairs`.
    """
    head = tl.program_id(1).to(tl.int64)
    graph, first = find_tile(ptr, graphs, tl.program_id(0), ROWS)
    end = tl.load(ptr + graph + 1)
    if first >= end:
        return
    rows = first + tl.arange(0, ROWS)
    channel = tl.arange(0, CHANNELS)
    row_real = rows < end
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


@kernel_op("attention")
def _attention(query: Tensor, key: Tensor, value: Tensor, ptr: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
    """Return output [T, H, C] and the logarithms of the sums of weights [T, H]."""
    query, key, value = rowwise(query), rowwise(key), rowwise(value)
    out = query.new_empty(query.shape)
    lse = query.new_empty(query.shape[:2], dtype=torch.float32)
    grid, how, scale = _launch(query, ptr, exact)
    if query.size(0):
        wrap_triton(_forward)[grid](
            query, key, value, out, lse, ptr, ptr.numel() - 1, scale, *_strides(query, key, value), **how
        )
    return out, lse


@kernel_op("attention_backward")
def _attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, ptr: Tensor, out: Tensor, lse: Tensor, exact: bool
) -> tuple[Tensor, Tensor, Tensor]:
    grad, query, key, value = grad.contiguous(), rowwise(query), rowwise(key), rowwise(value)
    grads = [tensor.new_empty(tensor.shape) for tensor in (query, key, value)]
    delta = torch.empty_like(lse)
    grid, how, scale = _launch(query, ptr, exact)
    scales, strides = (scale, scale / _LOG2_E), _strides(query, key, value)
    if query.size(0):
        wrap_triton(_backward_query)[grid](
            query, key, value, out, lse, grad, grads[0], delta, ptr, ptr.numel() - 1, *scales, *strides, **how
        )
    pairs = key.size(0) * key.size(1), -(-key.size(2) // how["KEYS"])
    wrap_triton(_backward_pairs)[pairs](
        query, key, value, lse, grad, delta, grads[1], grads[2], ptr, *scales, *strides, **how
    )
    return grads[0], grads[1], grads[2]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.exact = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _gradient(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    grads = (None,) * 3 if grad is None else _attention_backward(grad, *ctx.saved_tensors, ctx.exact)
    return *grads, None, None


_attention.register_autograd(_gradient, setup_context=_keep)


def _launch(query: Tensor, ptr: Tensor, exact: bool) -> tuple[tuple[int, int], dict[str, Any], float]:
    """Return the grid of the kernels of tiles of queries, the constants of all kernels, and the scale of scores."""
    rows, how = tile(query.size(2), exact)
    grid = query.size(0) // rows + ptr.numel() - 1, query.size(1)
    return grid, {"ROWS": rows, "KEYS": rows, **how}, _LOG2_E / query.size(2) ** 0.5


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
    return _attention(query, key, value, index.ptr, is_exact(query.dtype))[0]


def self_test(device: torch.device, dtype: torch.dtype, channels: int) -> float:
    """Return the largest error of outputs and gradients on tiny graphs, compared with the literal attention.

    Args:
        device: Where the kernels run.
        dtype: Type of the vectors.
        channels: Channels C of a vector.

    Example:
        >>> from pyg_samsa.functional.triton_support import is_interpreted
        >>> not is_interpreted() or self_test(torch.device("cpu"), torch.float32, 8) < 1e-5
        True
    """
    generator = torch.Generator().manual_seed(0)
    sizes, heads, samples = [3, 0, 70], 2, 35
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    shapes = (73, heads, channels), *((3, heads, samples, channels),) * 2, (73, heads, channels)
    # Rounded to the type first, so that the reference has the same inputs.
    *inputs, upstream = (torch.randn(shape, generator=generator).to(dtype).double() for shape in shapes)
    query, key, value = (tensor.requires_grad_() for tensor in inputs)
    rows = [
        torch.stack([attention(query[ptr[b] : ptr[b + 1], h], key[b, h], value[b, h]) for h in range(heads)], dim=1)
        for b, size in enumerate(sizes)
        if size
    ]
    expected = torch.cat(rows)
    there = [tensor.detach().to(device, dtype).requires_grad_() for tensor in inputs]
    found = triton_attention(there[0], there[1], there[2], RaggedIndex(ptr.to(device)))
    grads = torch.autograd.grad(found, there, upstream.to(device, dtype))
    return largest_error([found, *grads], [expected, *torch.autograd.grad(expected, inputs, upstream)])
