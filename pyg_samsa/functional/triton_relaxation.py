"""The relaxation of sampling without replacement and its gradient, as Triton kernels that never write the
probabilities.
"""

# Arguments of kernels are pointers and numbers that Triton types itself.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyg_samsa.functional.triton_support import HAS_TRITON, jit, tile
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
    chosen, rivals, chosen_scores, rival_scores = (
        tensor.contiguous() for tensor in (chosen, rivals, chosen_scores, rival_scores)
    )
    out = torch.empty_like(chosen)
    sizes = _sizes(chosen)
    if out.numel():
        _soft[_grid(chosen_scores, "ROWS", sizes)](
            chosen, rivals, chosen_scores, rival_scores, out, 1 / tau, *_counts(chosen, rivals), **sizes
        )
    return out


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
    inputs = [tensor.contiguous() for tensor in (grad, chosen, rivals, chosen_scores, rival_scores)]
    _, chosen, rivals, chosen_scores, rival_scores = inputs
    # Without ``soft`` nothing is written to the gradients of the vectors, but a kernel must be given a place.
    of_vectors = (torch.empty_like(chosen), torch.empty_like(rivals)) if soft else (chosen, rivals)
    up, down = torch.empty_like(chosen_scores), torch.empty_like(rival_scores)
    sizes = _sizes(chosen)
    if chosen.numel():
        rest: Any = (1 / tau, *_counts(chosen, rivals), soft)
        _backward_chosen[_grid(chosen_scores, "ROWS", sizes)](*inputs, of_vectors[0], up, *rest, **sizes)
        _backward_rivals[_grid(rival_scores, "RIVALS", sizes)](*inputs, of_vectors[1], down, *rest, **sizes)
    return of_vectors if soft else None, (up, down)


def _counts(chosen: Tensor, rivals: Tensor) -> tuple[int, int, int]:
    return chosen.size(-2), rivals.size(-2), chosen.size(-1)


def _sizes(values: Tensor) -> dict[str, Any]:
    size, how = tile(values)
    return {"ROWS": size, "RIVALS": size, **how}


def _grid(scores: Tensor, side: str, sizes: dict[str, Any]) -> tuple[int, int]:
    return scores.numel() // scores.size(-1), -(-scores.size(-1) // sizes[side])
