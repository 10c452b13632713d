"""The relaxation of sampling without replacement and its gradient, as Triton kernels that never write the
probabilities.
"""

# Arguments of kernels are pointers and numbers that Triton types itself.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.reference import hard_sample_without_replacement, soft_sample_without_replacement
from pyg_samsa.functional.triton_support import (
    HAS_TRITON,
    is_exact,
    jit,
    kernel_op,
    largest_error,
    tile,
    wrap_triton,
)
from pyg_samsa.typing import Float

if HAS_TRITON:
    import triton.language as tl


@jit
def _soft(
    chosen, rivals, chosen_scores, rival_scores, out, rate, num_chosen, num_rivals, channels,
    ROWS: tl.constexpr, RIVALS: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """A tile of chosen vectors, each mixed with all rivals of its head."""
    head = tl.program_id(0).to(tl.int64)
    row, channel = tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, CHANNELS)
    real, inside = row < num_chosen, (channel < channels)[None, :]
    place = (head * num_chosen + row[:, None]) * channels + channel[None, :]
    score = tl.load(chosen_scores + head * num_chosen + row, mask=real, other=0.0)
    wins = tl.zeros([ROWS], tl.float32)
    sums = tl.zeros([ROWS, CHANNELS], tl.float32)
    for begin in range(0, num_rivals, RIVALS):
        number = begin + tl.arange(0, RIVALS)
        there = number < num_rivals
        rival_score = tl.load(rival_scores + head * num_rivals + number, mask=there, other=0.0)
        y = tl.load(
            rivals + (head * num_rivals + number[:, None]) * channels + channel[None, :],
            mask=there[:, None] & inside,
            other=0.0,
        )
        win = tl.sigmoid((score[:, None] - rival_score[None, :]) * rate)
        wins += tl.sum(tl.where(there[None, :], win, 0.0), 1)
        sums += tl.dot((1.0 - win).to(y.dtype), y, input_precision=PRECISION)
    x = tl.load(chosen + place, mask=real[:, None] & inside, other=0.0).to(tl.float32)
    tl.store(
        out + place, ((x * wins[:, None] + sums) / num_rivals).to(out.dtype.element_ty), mask=real[:, None] & inside
    )


@jit
def _backward_chosen(
    grad, chosen, rivals, chosen_scores, rival_scores, grad_chosen, up, rate, num_chosen, num_rivals, channels,
    SOFT: tl.constexpr, ROWS: tl.constexpr, RIVALS: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of a tile of chosen vectors and of their scores."""
    head = tl.program_id(0).to(tl.int64)
    row, channel = tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, CHANNELS)
    real, inside = row < num_chosen, (channel < channels)[None, :]
    place, mask = (head * num_chosen + row[:, None]) * channels + channel[None, :], real[:, None] & inside
    score = tl.load(chosen_scores + head * num_chosen + row, mask=real, other=0.0)
    g = tl.load(grad + place, mask=mask, other=0.0)
    own = tl.sum(g.to(tl.float32) * tl.load(chosen + place, mask=mask, other=0.0).to(tl.float32), 1)
    wins = tl.zeros([ROWS], tl.float32)
    slopes = tl.zeros([ROWS], tl.float32)
    for begin in range(0, num_rivals, RIVALS):
        number = begin + tl.arange(0, RIVALS)
        there = number < num_rivals
        rival_score = tl.load(rival_scores + head * num_rivals + number, mask=there, other=0.0)
        y = tl.load(
            rivals + (head * num_rivals + number[:, None]) * channels + channel[None, :],
            mask=there[:, None] & inside,
            other=0.0,
        )
        win = tl.where(there[None, :], tl.sigmoid((score[:, None] - rival_score[None, :]) * rate), 0.0)
        gain = own[:, None] - tl.dot(g, tl.trans(y), input_precision=PRECISION)
        wins += tl.sum(win, 1)
        slopes += tl.sum(gain * win * (1.0 - win), 1)
    tl.store(up + head * num_chosen + row, slopes * (rate / num_rivals), mask=real)
    if SOFT:
        tl.store(
            grad_chosen + place,
            (g.to(tl.float32) * (wins / num_rivals)[:, None]).to(grad_chosen.dtype.element_ty),
            mask=mask,
        )


@jit
def _backward_rivals(
    grad, chosen, rivals, chosen_scores, rival_scores, grad_rivals, down, rate, num_chosen, num_rivals, channels,
    SOFT: tl.constexpr, ROWS: tl.constexpr, RIVALS: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of a tile of rivals and of their scores: nothing is added by two programs."""
    head = tl.program_id(0).to(tl.int64)
    number, channel = tl.program_id(1) * RIVALS + tl.arange(0, RIVALS), tl.arange(0, CHANNELS)
    there, inside = number < num_rivals, (channel < channels)[None, :]
    place, mask = (head * num_rivals + number[:, None]) * channels + channel[None, :], there[:, None] & inside
    rival_score = tl.load(rival_scores + head * num_rivals + number, mask=there, other=0.0)
    y = tl.load(rivals + place, mask=mask, other=0.0)
    slopes = tl.zeros([RIVALS], tl.float32)
    sums = tl.zeros([RIVALS, CHANNELS], tl.float32)
    for begin in range(0, num_chosen, ROWS):
        row = begin + tl.arange(0, ROWS)
        real = row < num_chosen
        from_row = (head * num_chosen + row[:, None]) * channels + channel[None, :]
        score = tl.load(chosen_scores + head * num_chosen + row, mask=real, other=0.0)
        g = tl.load(grad + from_row, mask=real[:, None] & inside, other=0.0)
        own = tl.sum(
            g.to(tl.float32) * tl.load(chosen + from_row, mask=real[:, None] & inside, other=0.0).to(tl.float32), 1
        )
        win = tl.sigmoid((score[:, None] - rival_score[None, :]) * rate)
        # Rows beyond the last are zeros in ``g`` and ``own``, and so in ``gain``.
        gain = own[:, None] - tl.dot(g, tl.trans(y), input_precision=PRECISION)
        slopes += tl.sum(gain * win * (1.0 - win), 0)
        if SOFT:
            sums += tl.dot(tl.trans((1.0 - win).to(g.dtype)), g, input_precision=PRECISION)
    tl.store(down + head * num_rivals + number, -slopes * (rate / num_rivals), mask=there)
    if SOFT:
        tl.store(grad_rivals + place, (sums / num_rivals).to(grad_rivals.dtype.element_ty), mask=mask)


@kernel_op("relax")
def _relax(
    chosen: Tensor, rivals: Tensor, chosen_scores: Tensor, rival_scores: Tensor, tau: float, exact: bool
) -> Tensor:
    inputs = [tensor.contiguous() for tensor in (chosen, rivals, chosen_scores, rival_scores)]
    out = torch.empty_like(inputs[0])
    sizes = _sizes(chosen, exact)
    if out.numel():
        wrap_triton(_soft)[_grid(chosen_scores, "ROWS", sizes)](
            *inputs, out, 1 / tau, *_counts(chosen, rivals), **sizes
        )
    return out


@kernel_op("relax_backward")
def _relax_backward(
    grad: Tensor,
    chosen: Tensor,
    rivals: Tensor,
    chosen_scores: Tensor,
    rival_scores: Tensor,
    tau: float,
    soft: bool,
    exact: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of the vectors, which are empty without ``soft``, and of the scores."""
    inputs = [tensor.contiguous() for tensor in (grad, chosen, rivals, chosen_scores, rival_scores)]
    _, chosen, rivals, chosen_scores, rival_scores = inputs
    of_vectors = [tensor.new_empty(tensor.shape if soft else 0) for tensor in (chosen, rivals)]
    up, down = torch.empty_like(chosen_scores), torch.empty_like(rival_scores)
    sizes = _sizes(chosen, exact)
    if chosen.numel():
        rest: Any = (1 / tau, *_counts(chosen, rivals), soft)
        wrap_triton(_backward_chosen)[_grid(chosen_scores, "ROWS", sizes)](*inputs, of_vectors[0], up, *rest, **sizes)
        wrap_triton(_backward_rivals)[_grid(rival_scores, "RIVALS", sizes)](
            *inputs, of_vectors[1], down, *rest, **sizes
        )
    return of_vectors[0], of_vectors[1], up, down


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.tau, ctx.exact = inputs
    ctx.save_for_backward(*tensors)


def _gradient(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return *_relax_backward(grad, *ctx.saved_tensors, ctx.tau, True, ctx.exact), None, None


_relax.register_autograd(_gradient, setup_context=_keep)


def relax(
    chosen: Float[Tensor, "*b K C"],
    rivals: Float[Tensor, "*b J C"],
    chosen_scores: Float[Tensor, "*b K"],
    rival_scores: Float[Tensor, "*b J"],
    tau: float,
) -> Float[Tensor, "*b K C"]:
    r"""Return the soft samples of `sample_without_replacement`.

    .. math::
        y_m = \tfrac{1}{J} \sum_v P_{mv} X_{i_m} + (1 - P_{mv}) X_{j_v}, \qquad
        P_{mv} = \sigma\bigl((z_{i_m} - z_{j_v}) / \tau\bigr)

    Args:
        chosen: Chosen vectors.
        rivals: Rivals, J at least 1.
        chosen_scores: Scores of the chosen vectors.
        rival_scores: Scores of the rivals.
        tau: Temperature, above 0.

    Returns:
        Mixtures y.

    Cost: O(K J C) time for each head; the K x J probabilities are never written to memory.
    """
    return _relax(chosen, rivals, chosen_scores, rival_scores, tau, is_exact(chosen.dtype))


def relax_backward(
    grad: Float[Tensor, "*b K C"],
    chosen: Float[Tensor, "*b K C"],
    rivals: Float[Tensor, "*b J C"],
    chosen_scores: Float[Tensor, "*b K"],
    rival_scores: Float[Tensor, "*b J"],
    tau: float,
    soft: bool,
) -> tuple[tuple[Tensor, Tensor] | None, tuple[Tensor, Tensor]]:
    r"""Return the gradients of `relax` for the upstream gradient :math:`G`.

    .. math::
        \frac{\partial}{\partial X_{i_m}} = G_m \tfrac{1}{J} \sum_v P_{mv}, \qquad
        \frac{\partial}{\partial X_{j_v}} = \tfrac{1}{J} \sum_m (1 - P_{mv}) G_m

    and those of the scores as in `sample_without_replacement`.

    Args:
        grad: Upstream gradient G.
        chosen: Chosen vectors.
        rivals: Rivals.
        chosen_scores: Scores of the chosen vectors.
        rival_scores: Scores of the rivals.
        tau: Temperature, above 0.
        soft: Whether the gradients of the vectors are wanted.

    Returns:
        The gradients of the vectors, or None without ``soft``; and the gradients of the scores.

    Cost: O(K J C) time for each head, twice.
    """
    exact = is_exact(chosen.dtype)
    of_chosen, of_rivals, up, down = _relax_backward(
        grad, chosen, rivals, chosen_scores, rival_scores, tau, soft, exact
    )
    return (of_chosen, of_rivals) if soft else None, (up, down)


def self_test(device: torch.device, dtype: torch.dtype, channels: int) -> float:
    """Return the largest error of samples and gradients of a few vectors, compared with the literal sampling.

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
    k, tau = 35, 0.5
    values, upstream = (torch.randn(n, channels, generator=generator).to(dtype).double() for n in (2 * k, k))
    scores = torch.randn(2 * k, generator=generator).sort(descending=True).values.double().requires_grad_()
    values.requires_grad_()
    soft = soft_sample_without_replacement(values, scores, k, tau)
    of_soft = torch.autograd.grad(soft, (values, scores), upstream)
    hard = hard_sample_without_replacement(values, scores, k, tau)
    (of_hard,) = torch.autograd.grad(hard, scores, upstream)
    x, g = values.detach().to(device, dtype), upstream.to(device, dtype)
    z = scores.detach().to(device, torch.float32)
    parts = x[:k], x[k:], z[:k], z[k:]
    of_vectors, of_scores = relax_backward(g, *parts, tau, True)
    assert of_vectors is not None
    _, again = relax_backward(g, *parts, tau, False)
    found = [relax(*parts, tau), torch.cat(of_vectors), torch.cat(of_scores), torch.cat(again)]
    return largest_error(found, [soft, *of_soft, of_hard])


def _counts(chosen: Tensor, rivals: Tensor) -> tuple[int, int, int]:
    return chosen.size(-2), rivals.size(-2), chosen.size(-1)


def _sizes(values: Tensor, exact: bool) -> dict[str, Any]:
    size, how = tile(values.size(-1), exact)
    return {"ROWS": size, "RIVALS": size, **how}


def _grid(scores: Tensor, side: str, sizes: dict[str, Any]) -> tuple[int, int]:
    return scores.numel() // scores.size(-1), -(-scores.size(-1) // sizes[side])
