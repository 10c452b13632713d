"""The attention of SFT over the sampled keys of each graph, as Triton kernels that never write the scores."""

# Arguments of kernels are pointers and numbers that Triton types itself.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.maxout import EPS, MEAN_OF_MAX, STD_OF_MAX
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.reference import leaky_attention, maxout_score
from pyg_samsa.functional.triton_attention import find_tile
from pyg_samsa.functional.triton_support import (
    HAS_TRITON,
    is_exact,
    jit,
    kernel_op,
    largest_error,
    tile,
    wrap_triton,
)
from pyg_samsa.typing import Float, Shaped

if HAS_TRITON:
    import triton.language as tl


_ROWS = 32


@jit
def _maxima(q_rows, q_real, k_rows, k_real, channels, ROWS: tl.constexpr, KEYS: tl.constexpr):
    """Sums of channelwise maxima of queries and keys. A table of all channels would not fit into the registers."""
    total = tl.zeros([ROWS, KEYS], tl.float32)
    for channel in range(channels):
        q = tl.load(q_rows + channel, mask=q_real, other=0.0)
        k = tl.load(k_rows + channel, mask=k_real, other=0.0)
        total += tl.maximum(q[:, None], k[None, :])
    return total


@jit
def _softplus(x):
    small = tl.exp(-tl.abs(x))
    # The logarithm of 1 + small loses the digits of a small number.
    return tl.maximum(x, 0.0) + tl.where(small < 1e-3, small * (1.0 - 0.5 * small), tl.log(1.0 + small))


@jit
def _signs(
    slope, q_rows, q_real, k_rows, k_real, channels, AXIS: tl.constexpr, LINES: tl.constexpr, WIDTH: tl.constexpr
):
    """Gradients of the rows (AXIS 1) or of the keys (AXIS 0) of `_maxima`, doubled: a maximum is half of the sum and of
    the distance of its arguments.
    """
    sums = tl.zeros([LINES, WIDTH], tl.float32) + tl.sum(slope, AXIS)[:, None]
    for channel in range(channels):
        q = tl.load(q_rows + channel, mask=q_real, other=0.0)[:, None]
        k = tl.load(k_rows + channel, mask=k_real, other=0.0)[None, :]
        signed = tl.where(q > k, slope, 0.0) - tl.where(q < k, slope, 0.0)
        along = tl.sum(signed if AXIS == 1 else -signed, AXIS)
        sums += tl.where(tl.arange(0, WIDTH)[None, :] == channel, along[:, None], 0.0)
    return sums


@jit
def _relate(gates, place, mask, heads_samples, score, RELATION: tl.constexpr):
    """The score with the relative encoding of the pairs, its factor, and the logarithmic factor."""
    if RELATION:
        factor = tl.load(gates + place, mask=mask, other=0.0)
        gain = _softplus(factor)
        return score * gain + tl.load(gates + place + heads_samples, mask=mask, other=0.0), gain, factor
    else:
        return score, score, score


@jit
def _forward(
    query, key, value, leak, out, mass, ptr, graphs, gates, keep, keep_scale, scale, mean,
    heads, samples, channels, widths, ROWS: tl.constexpr, KEYS: tl.constexpr, CHANNELS: tl.constexpr,
    VALUES: tl.constexpr, RELATION: tl.constexpr, DROPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Output and denominator of one tile of queries of one graph and head."""
    head = tl.program_id(1).to(tl.int64)
    graph, first = find_tile(ptr, graphs, tl.program_id(0), ROWS)
    end = tl.load(ptr + graph + 1)
    if first >= end:
        return
    rows, column = first + tl.arange(0, ROWS), tl.arange(0, VALUES)
    real, pair = rows < end, graph * heads + head
    total = tl.zeros([ROWS], tl.float32) + tl.load(leak + pair)
    sums = tl.zeros([ROWS, VALUES], tl.float32)
    for begin in range(0, samples, KEYS):
        number = begin + tl.arange(0, KEYS)
        there = number < samples
        both = real[:, None] & there[None, :]
        found = pair * samples + number
        score = _maxima(
            query + (rows * heads + head) * channels, real, key + found * channels, there, channels, ROWS, KEYS
        )
        place = (rows[:, None] * (2 * heads) + head) * samples + number[None, :]
        score, _, _ = _relate(gates, place, both, heads * samples, (score - mean) * scale, RELATION)
        weight = tl.where(both, tl.maximum(score, 0.0), 0.0)
        total += tl.sum(weight, 1)
        if DROPS:
            kept = tl.load(keep + (rows[:, None] * heads + head) * samples + number[None, :], mask=both, other=0)
            weight *= kept.to(tl.float32) * keep_scale
        v = tl.load(
            value + found[:, None] * widths + column[None, :],
            mask=there[:, None] & (column < widths)[None, :],
            other=0.0,
        )
        sums += tl.dot(weight, v, input_precision=PRECISION)
    tl.store(
        out + (rows[:, None] * heads + head) * widths + column[None, :],
        sums / total[:, None],
        mask=real[:, None] & (column < widths)[None, :],
    )
    tl.store(mass + rows * heads + head, total, mask=real)


@jit
def _backward_query(
    query, key, value, out, mass, grad, grad_query, grad_gates, delta, ptr, graphs, gates, keep, keep_scale, scale,
    mean, heads, samples, channels, widths, ROWS: tl.constexpr, KEYS: tl.constexpr, CHANNELS: tl.constexpr,
    VALUES: tl.constexpr, RELATION: tl.constexpr, DROPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of one tile of queries and of its relative encodings; also writes ``delta``, the negative gradients of
    the denominators, for `_backward_pairs`.
    """
    head = tl.program_id(1).to(tl.int64)
    graph, first = find_tile(ptr, graphs, tl.program_id(0), ROWS)
    end = tl.load(ptr + graph + 1)
    if first >= end:
        return
    rows, column = first + tl.arange(0, ROWS), tl.arange(0, VALUES)
    real, pair = rows < end, graph * heads + head
    packed = (rows[:, None] * heads + head) * widths + column[None, :]
    inside = real[:, None] & (column < widths)[None, :]
    g = tl.load(grad + packed, mask=inside, other=0.0)
    inverse = 1.0 / tl.load(mass + rows * heads + head, mask=real, other=1.0)
    along = tl.sum(g * tl.load(out + packed, mask=inside, other=0.0), 1) * inverse
    tl.store(delta + rows * heads + head, along, mask=real)
    sums = tl.zeros([ROWS, CHANNELS], tl.float32)
    q_rows = query + (rows * heads + head) * channels
    for begin in range(0, samples, KEYS):
        number = begin + tl.arange(0, KEYS)
        there = number < samples
        both = real[:, None] & there[None, :]
        found = pair * samples + number
        k_rows = key + found * channels
        raw = (_maxima(q_rows, real, k_rows, there, channels, ROWS, KEYS) - mean) * scale
        place = (rows[:, None] * (2 * heads) + head) * samples + number[None, :]
        score, gain, factor = _relate(gates, place, both, heads * samples, raw, RELATION)
        v = tl.load(
            value + found[:, None] * widths + column[None, :],
            mask=there[:, None] & (column < widths)[None, :],
            other=0.0,
        )
        slope = tl.dot(g, tl.trans(v), input_precision=PRECISION) * inverse[:, None]
        if DROPS:
            kept = tl.load(keep + (rows[:, None] * heads + head) * samples + number[None, :], mask=both, other=0)
            slope *= kept.to(tl.float32) * keep_scale
        slope = tl.where(both & (score > 0.0), slope - along[:, None], 0.0)
        if RELATION:
            tl.store(grad_gates + place, slope * raw * tl.sigmoid(factor), mask=both)
            tl.store(grad_gates + place + heads * samples, slope, mask=both)
            slope *= gain
        sums += _signs(slope, q_rows, real, k_rows, there, channels, 1, ROWS, CHANNELS)
    channel = tl.arange(0, CHANNELS)[None, :]
    tl.store(
        grad_query + (rows[:, None] * heads + head) * channels + channel,
        sums * (0.5 * scale),
        mask=real[:, None] & (channel < channels),
    )


@jit
def _backward_pairs(
    query, key, value, mass, grad, delta, grad_key, grad_value, grad_leak, ptr, gates, keep, keep_scale, scale, mean,
    heads, samples, channels, widths, ROWS: tl.constexpr, KEYS: tl.constexpr, CHANNELS: tl.constexpr,
    VALUES: tl.constexpr, RELATION: tl.constexpr, DROPS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of a block of keys and values, and of the leak, of one graph and head, which sees all queries of its
    graph: nothing is added by two programs.
    """
    pair = tl.program_id(0).to(tl.int64)
    number, column = tl.program_id(1) * KEYS + tl.arange(0, KEYS), tl.arange(0, VALUES)
    graph, head = pair // heads, pair % heads
    there = number < samples
    found = pair * samples + number
    k_rows = key + found * channels
    v_place = found[:, None] * widths + column[None, :]
    v_mask = there[:, None] & (column < widths)[None, :]
    v = tl.load(value + v_place, mask=v_mask, other=0.0)
    sums = tl.zeros([KEYS, CHANNELS], tl.float32)
    value_sums = tl.zeros([KEYS, VALUES], tl.float32)
    leaks = tl.zeros([ROWS], tl.float32)
    first, end = tl.load(ptr + graph), tl.load(ptr + graph + 1)
    for begin in range(0, end - first, ROWS):
        rows = first + begin + tl.arange(0, ROWS)
        real = rows < end
        both = real[:, None] & there[None, :]
        q_rows = query + (rows * heads + head) * channels
        raw = (_maxima(q_rows, real, k_rows, there, channels, ROWS, KEYS) - mean) * scale
        place = (rows[:, None] * (2 * heads) + head) * samples + number[None, :]
        score, gain, _ = _relate(gates, place, both, heads * samples, raw, RELATION)
        g = tl.load(
            grad + (rows[:, None] * heads + head) * widths + column[None, :],
            mask=real[:, None] & (column < widths)[None, :],
            other=0.0,
        )
        inverse = 1.0 / tl.load(mass + rows * heads + head, mask=real, other=1.0)
        along = tl.load(delta + rows * heads + head, mask=real, other=0.0)
        leaks -= along
        slope = tl.dot(g, tl.trans(v), input_precision=PRECISION) * inverse[:, None]
        weight = tl.where(both, tl.maximum(score, 0.0), 0.0) * inverse[:, None]
        if DROPS:
            kept = tl.load(keep + (rows[:, None] * heads + head) * samples + number[None, :], mask=both, other=0)
            dropped = kept.to(tl.float32) * keep_scale
            slope *= dropped
            weight *= dropped
        value_sums += tl.dot(tl.trans(weight), g, input_precision=PRECISION)
        slope = tl.where(both & (score > 0.0), slope - along[:, None], 0.0)
        if RELATION:
            slope *= gain
        sums += _signs(slope, q_rows, real, k_rows, there, channels, 0, KEYS, CHANNELS)
    channel = tl.arange(0, CHANNELS)[None, :]
    tl.store(
        grad_key + found[:, None] * channels + channel, sums * (0.5 * scale), mask=there[:, None] & (channel < channels)
    )
    tl.store(grad_value + v_place, value_sums, mask=v_mask)
    # All programs of a graph and head have the same sum; one writes it.
    if tl.program_id(1) == 0:
        tl.store(grad_leak + pair, tl.sum(leaks, 0))


@kernel_op("relative")
def _relative(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    leak: Tensor,
    ptr: Tensor,
    gates: Tensor | None,
    keep: Tensor | None,
    keep_scale: float,
    exact: bool,
) -> tuple[Tensor, Tensor]:
    """Return output [T, H, Cv] and denominators [T, H]; ``gates`` [T, 2 H, K], ``keep`` [T, H, K]."""
    query, key, value, leak = (tensor.contiguous() for tensor in (query, key, value, leak))
    out = query.new_empty(*query.shape[:2], value.size(3))
    mass = query.new_empty(query.shape[:2])
    grid, numbers, how = _launch(query, key, value, ptr, gates, keep, exact)
    optional = _present(query, gates), _present(query, keep), keep_scale
    if query.size(0):
        wrap_triton(_forward)[grid](
            query, key, value, leak + EPS, out, mass, ptr, ptr.numel() - 1, *optional, *numbers, **how
        )
    return out, mass


@kernel_op("relative_backward")
def _relative_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    ptr: Tensor,
    gates: Tensor | None,
    keep: Tensor | None,
    out: Tensor,
    mass: Tensor,
    keep_scale: float,
    exact: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of queries, keys, values, leaks and gates; the last is empty without gates."""
    grad, query, key, value = (tensor.contiguous() for tensor in (grad, query, key, value))
    grads = [tensor.new_empty(tensor.shape) for tensor in (query, key, value)]
    grad_leak, delta = query.new_empty(key.shape[:2]), query.new_empty(mass.shape)
    grad_gates = query.new_empty(0 if gates is None else gates.shape)
    grid, numbers, how = _launch(query, key, value, ptr, gates, keep, exact)
    optional = _present(query, gates), _present(query, keep), keep_scale
    if query.size(0):
        wrap_triton(_backward_query)[grid](
            query, key, value, out, mass, grad, grads[0], grad_gates, delta, ptr, ptr.numel() - 1,
            *optional, *numbers, **how,
        )  # fmt: skip
    pairs = key.size(0) * key.size(1), -(-key.size(2) // how["KEYS"])
    wrap_triton(_backward_pairs)[pairs](
        query, key, value, mass, grad, delta, grads[1], grads[2], grad_leak, ptr, *optional, *numbers, **how
    )
    return grads[0], grads[1], grads[2], grad_leak, grad_gates


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, _, ptr, gates, keep, ctx.keep_scale, ctx.exact = inputs
    ctx.save_for_backward(query, key, value, ptr, gates, keep, *output)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _gradient(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 9
    saved = ctx.saved_tensors  # a checkpoint computes them again whenever they are asked for
    *grads, of_gates = _relative_backward(grad, *saved, ctx.keep_scale, ctx.exact)
    return *grads, None, None if saved[4] is None else of_gates, None, None, None


_relative.register_autograd(_gradient, setup_context=_keep)


def _present(query: Tensor, table: Tensor | None) -> Tensor:
    """Return the table; without one nothing is read, but a kernel must be given a place."""
    return query if table is None else table.contiguous()


def _launch(
    query: Tensor, key: Tensor, value: Tensor, ptr: Tensor, gates: Tensor | None, keep: Tensor | None, exact: bool
) -> tuple[tuple[int, int], tuple[float, ...], dict[str, Any]]:
    """Return the grid of the kernels of tiles of queries, and the numbers and constants of all kernels."""
    channels, widths = query.size(2), value.size(3)
    # Elementwise operations take most of the time; with the larger tiles of TF32 their tables leave the registers.
    rows, how = tile(max(channels, widths), exact)
    rows = min(rows, _ROWS)
    grid = query.size(0) // rows + ptr.numel() - 1, query.size(1)
    numbers = 1 / (STD_OF_MAX * channels**0.5), channels * MEAN_OF_MAX, query.size(1), key.size(2), channels, widths
    how = {"ROWS": rows, "KEYS": rows, **how, "CHANNELS": tile(channels, exact)[1]["CHANNELS"], "num_warps": 8}
    how |= {"VALUES": tile(widths, exact)[1]["CHANNELS"], "RELATION": gates is not None, "DROPS": keep is not None}
    return grid, numbers, how


def triton_relative_attention(
    query: Float[Tensor, "T H C"],
    key: Float[Tensor, "B H K C"],
    value: Float[Tensor, "B H K Cv"],
    leak: Float[Tensor, "B H"],
    index: RaggedIndex,
    gates: Float[Tensor, "T 2*H K"] | None = None,
    keep: Shaped[Tensor, "T H K"] | None = None,
    keep_scale: float = 1.0,
) -> Float[Tensor, "T H Cv"]:
    r"""Compute `relative_attention` with maxout scores by three Triton kernels, without a table of scores in memory.

    .. math::
        S'_{ij} = S_{ij} \, \mathrm{softplus}(F_{ij}) + G_{ij}, \qquad
        o_i = \sum_j \frac{\mathrm{ReLU}(S'_{ij})}{\sum_j \mathrm{ReLU}(S'_{ij}) + \Lambda + 10^{-9}} v_j

    One launch forward and two backward; PyTorch needs some ten for each channel. A program takes a tile of queries of
    one graph, or a block of keys and all queries of its graph, so that nothing is added by two programs.

    Args:
        query: Packed queries, single precision, like all others.
        key: Sampled keys.
        value: Sampled values v, C and Cv at most 256.
        leak: Leaking masses.
        index: Where each graph begins and ends.
        gates: F of all heads, then G of all heads; None is :math:`S' = S`.
        keep: Mask of the weights that are not dropped, booleans.
        keep_scale: Factor of those that are not.

    Returns:
        Output o.

    Cost: O(T K H C) time, O(T H C) memory besides the gates.
    """
    return _relative(query, key, value, leak, index.ptr, gates, keep, keep_scale, is_exact(query.dtype))[0]


def self_test(device: torch.device, dtype: torch.dtype, channels: int) -> float:
    """Return the largest error of outputs and gradients on tiny graphs, compared with the literal attention.

    Args:
        device: Where the kernels run.
        dtype: Single precision.
        channels: Channels C of a vector.

    Example:
        >>> from pyg_samsa.functional.triton_support import is_interpreted
        >>> not is_interpreted() or self_test(torch.device("cpu"), torch.float32, 8) < 1e-5
        True
    """
    generator = torch.Generator().manual_seed(0)
    sizes, heads, samples = [3, 0, 40], 2, 35
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    shapes = (43, heads, channels), *((3, heads, samples, channels),) * 2, (3, heads), (43, 2 * heads, samples)
    inputs = [torch.randn(shape, generator=generator).double().requires_grad_() for shape in shapes]
    query, key, value, leak, gates = inputs
    rows = []
    for b, size in enumerate(sizes):
        own = slice(int(ptr[b]), int(ptr[b]) + size)
        for h in range(heads if size else 0):
            factor, term = gates[own, h], gates[own, heads + h]
            score = maxout_score(query[own, h], key[b, h]) * torch.nn.functional.softplus(factor) + term
            # The reference adds up the leaks of all samples; here one has all of it.
            leaks = torch.cat([leak[b, h].square()[None], leak.new_zeros(samples - 1)])
            rows.append(leaky_attention(score, value[b, h], leaks, "relu"))
    heads_of_graphs = [torch.stack(rows[at : at + heads], dim=1) for at in range(0, len(rows), heads)]
    expected = torch.cat(heads_of_graphs)
    there = [tensor.detach().to(device, dtype).requires_grad_() for tensor in inputs]
    index = RaggedIndex(ptr.to(device))
    found = triton_relative_attention(there[0], there[1], there[2], there[3].square(), index, there[4])
    upstream = torch.randn(found.shape, generator=generator)
    grads = torch.autograd.grad(found, there, upstream.to(device))
    return largest_error([found, *grads], [expected, *torch.autograd.grad(expected, inputs, upstream.double())])
