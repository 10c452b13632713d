"""The gradients of sampling: of the local-search relaxation, and of draws with replacement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_samsa.functional.fused import can_fuse, pieces
from pyg_samsa.functional.triton_support import runs_in_triton
from pyg_samsa.typing import Float, Int, Shaped


class Relaxation(torch.autograd.Function):
    """The chosen vectors, with the gradient of the relaxation of `sample_without_replacement` for the scores.

    Only the gathered vectors and scores are saved. The K x J probabilities are computed again in the backward pass: on
    the CPU for a few heads at a time, so that they stay in the cache; on CUDA tile by tile with Triton, see
    `runs_in_triton`, so that they are never written to memory.

    Example:
        >>> chosen, rivals = torch.ones(1, 1), torch.zeros(1, 1)
        >>> scores, rival_scores = torch.zeros(1, requires_grad=True), torch.zeros(1)
        >>> Relaxation.apply(chosen, rivals, scores, rival_scores, 1.0, False).sum().backward()
        >>> scores.grad
        tensor([0.2500])

    Cost: O(K^2 C) in the backward pass, and for the soft values.
    """

    @staticmethod
    def forward(
        ctx: Any,
        chosen: Float[Tensor, "*b K C"],
        rivals: Float[Tensor, "*b J C"],
        chosen_scores: Float[Tensor, "*b K"],
        rival_scores: Float[Tensor, "*b J"],
        tau: float,
        soft: bool,
    ) -> Float[Tensor, "*b K C"]:
        """Return the chosen vectors, or their relaxation where ``soft``."""
        ctx.save_for_backward(chosen, rivals, chosen_scores, rival_scores)
        ctx.tau, ctx.soft = tau, soft
        count = rivals.size(-2)
        if not soft or count == 0:
            return chosen.view_as(chosen)
        if _runs_in_triton(chosen, chosen_scores):
            from pyg_samsa.functional.triton_relaxation import relax

            return relax(chosen, rivals, chosen_scores, rival_scores, tau)
        # The weight of rival v is (1 - P_mv) / J, so the sum is the mean of the rivals minus a product with P.
        rest = rivals.mean(-2, keepdim=True)
        parts = []
        for x, y, x_scores, y_scores in _few(chosen, rivals, chosen_scores, rival_scores):
            win = _win_probability(x_scores, y_scores, tau)
            parts.append(
                torch.baddbmm(x * win.mean(-1, keepdim=True).to(x.dtype), win.to(x.dtype), y, alpha=-1 / count)
            )
        return _join(parts, chosen) + rest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "*b K C"]) -> tuple[Tensor | None, ...]:
        """Return the gradients of the vectors and of the scores."""
        chosen, rivals, chosen_scores, rival_scores = ctx.saved_tensors
        count = rivals.size(-2)
        if count == 0:
            return (
                grad,
                torch.zeros_like(rivals),
                torch.zeros_like(chosen_scores),
                torch.zeros_like(rival_scores),
                None,
                None,
            )
        if _runs_in_triton(chosen, chosen_scores):
            from pyg_samsa.functional.triton_relaxation import relax_backward

            of_vectors, of_scores = relax_backward(grad, chosen, rivals, chosen_scores, rival_scores, ctx.tau, ctx.soft)
            return *(of_vectors or (grad, None)), *of_scores, None, None
        parts = []
        for g, x, y, x_scores, y_scores in _few(grad, chosen, rivals, chosen_scores, rival_scores):
            win = _win_probability(x_scores, y_scores, ctx.tau)
            gain = (g @ y.transpose(-1, -2)).to(win.dtype)
            gain = torch.sub((g * x).sum(-1, keepdim=True), gain)
            grad_x = grad_y = g.new_empty(0)
            if ctx.soft:
                grad_x = g * win.mean(-1, keepdim=True).to(g.dtype)
                grad_y = torch.baddbmm(
                    g.sum(-2, keepdim=True), win.to(g.dtype).transpose(-1, -2), g, beta=1 / count, alpha=-1 / count
                )
            slope = torch.ops.aten.sigmoid_backward(gain, win)
            parts.append((grad_x, grad_y, slope.sum(-1), slope.sum(-2)))
        chosen_parts, rival_parts, up, down = zip(*parts, strict=True)
        scale = 1 / (ctx.tau * count)
        grads = (_join(up, chosen_scores) * scale, _join(down, rival_scores) * -scale)
        if ctx.soft:
            return _join(chosen_parts, chosen), _join(rival_parts, rivals), *grads, None, None
        return grad, None, *grads, None, None


def _runs_in_triton(values: Tensor, scores: Tensor) -> bool:
    return scores.dtype == torch.float32 and runs_in_triton("relaxation", values)


def _few(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield some of the heads of tensors [..., K, C] and [..., K] at a time, their leading dimensions made one."""
    scores, rival_scores = tensors[-2:]
    flat = [tensor.reshape(-1, *tensor.shape[scores.dim() - 1 :]) for tensor in tensors]
    heads = flat[0].size(0)
    parts = pieces(heads, scores.size(-1) * rival_scores.size(-1)) if can_fuse(scores) else [(0, heads)]
    for begin, end in parts or [(0, heads)]:
        yield tuple(tensor[begin:end] for tensor in flat)


def _join(parts: Sequence[Tensor], like: Tensor) -> Tensor:
    return (parts[0] if len(parts) == 1 else torch.cat(tuple(parts))).view(like.shape)


def _win_probability(chosen_scores: Tensor, rival_scores: Tensor, tau: float) -> Tensor:
    difference = chosen_scores.unsqueeze(-1) - rival_scores.unsqueeze(-2)
    return torch.sigmoid(difference if tau == 1 else difference / tau)


class StraightThroughCategorical(torch.autograd.Function):
    """The drawn vectors, with the gradient of ``softmax(logits) @ values`` for the logits, noise included.

    Example:
        >>> logits = torch.zeros(1, 2, requires_grad=True)
        >>> StraightThroughCategorical.apply(torch.eye(2), logits, torch.tensor([1]))[0, 1].backward()
        >>> logits.grad
        tensor([[-0.2500,  0.2500]])

    Cost: O(K C), and O(K n C) in the backward pass.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Float[Tensor, "*b n C"], logits: Float[Tensor, "*b K n"], index: Int[Tensor, "*b K"]
    ) -> Float[Tensor, "*b K C"]:
        """Return the drawn vectors."""
        ctx.save_for_backward(values, logits, index)
        return gather(values, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "*b K C"]) -> tuple[Tensor | None, ...]:
        """Return the gradients of the vectors and of the logits."""
        values, logits, index = ctx.saved_tensors
        grad_values = grad_logits = None
        if ctx.needs_input_grad[0]:
            rows = index.unsqueeze(-1).expand(grad.shape)
            grad_values = torch.zeros_like(values).scatter_add_(-2, rows, grad)
        if ctx.needs_input_grad[1]:
            weight = torch.softmax(logits, dim=-1)
            gain = (grad @ values.transpose(-1, -2)).to(weight.dtype)
            grad_logits = weight * (gain - (weight * gain).sum(-1, keepdim=True))
        return grad_values, grad_logits, None


def gather(values: Shaped[Tensor, "*b n C"], index: Int[Tensor, "*b K"]) -> Shaped[Tensor, "*b K C"]:
    """Return the vectors with these indices.

    Example:
        >>> gather(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0])).flatten()
        tensor([3., 1.])

    Cost: O(K C).
    """
    return values.gather(-2, index.unsqueeze(-1).expand(*index.shape, values.size(-1)))
