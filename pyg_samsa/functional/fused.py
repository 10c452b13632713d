"""RMSNorm and the feed-forward branch of a block, computed in pieces that stay in the CPU's cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_samsa.functional.dropout import keep_mask

# Numbers of a piece: measured best on a machine with 512 KiB of L2 cache per core and 32 MiB of L3; half or twice as many cost little.
_CACHE_ELEMENTS = 2**19
_FEW_ELEMENTS = 2**15


def runs_in_pieces(x: Tensor) -> bool:
    """Whether the operators here compute ``x`` in pieces: on the CPU, in its own precision, and not while it is traced."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu")


def pieces(rows: int, width: int) -> list[tuple[int, int]]:
    """Cut ``rows`` rows of ``width`` numbers into even pieces that fit into a core's cache.

    Example:
        >>> pieces(4000, 256)
        [(0, 2000), (2000, 4000)]
    """
    count = -(-rows * width // _CACHE_ELEMENTS)
    step = -(-rows // max(count, 1))
    return [(begin, min(begin + step, rows)) for begin in range(0, rows, max(step, 1))]


def _unit_rms(x: Tensor, eps: float, rstd: Tensor) -> Tensor:
    """Divide the rows of ``x`` by their root mean square, whose inverse is written to ``rstd`` [rows, 1]."""
    torch.linalg.vector_norm(x, dim=-1, keepdim=True, out=rstd)
    rstd.square_().div_(x.size(-1)).add_(eps).rsqrt_()
    return x * rstd


def _unit_rms_backward(grad: Tensor, unit: Tensor, rstd: Tensor) -> Tensor:
    """Gradient of `_unit_rms` for its input; overwrites ``grad``."""
    along = torch.linalg.vecdot(grad, unit).unsqueeze(-1).div_(unit.size(-1))
    return grad.addcmul_(unit, along, value=-1).mul_(rstd)


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    out, rstd = torch.empty_like(x), x.new_empty(x.size(0), 1)
    for begin, end in pieces(*x.shape):
        torch.mul(_unit_rms(x[begin:end], eps, rstd[begin:end]), weight, out=out[begin:end])
    return out, rstd


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        out, rstd = _rms_norm(x, weight, eps)
        ctx.save_for_backward(x, weight, rstd)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, rstd = ctx.saved_tensors
        grad_x, grad_weight = torch.empty_like(x), torch.zeros_like(weight)
        for begin, end in pieces(*x.shape):
            unit, piece = x[begin:end] * rstd[begin:end], grad[begin:end]
            grad_weight.add_((piece * unit).sum(0))
            grad_x[begin:end] = _unit_rms_backward(piece * weight, unit, rstd[begin:end])
        return grad_x, grad_weight, None


# Without gradients the operators here go past autograd, whose calls cost more than what they compute for a few hundred tokens.


def rms_norm(x: Tensor, weight: Tensor, eps: float | None = None) -> Tensor:
    r"""Root mean square normalisation (`Zhang and Sennrich <https://arxiv.org/abs/1910.07467>`_), in one pass over memory on the CPU.

    .. math::
        y = \frac{x}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} \odot w

    Args:
        x: Tokens [T, D].
        weight: Gains [D].
        eps: Added to the mean square; None is the machine epsilon of the type, as in PyTorch.

    Returns:
        Tokens [T, D].

    Example:
        >>> rms_norm(torch.tensor([[3.0, 4.0]]), torch.ones(2))
        tensor([[0.8485, 1.1314]])

    Cost: O(T D).
    """
    # PyTorch's own makes a handful of passes over memory, which is cheaper than our calls as long as all fits into the cache.
    if not runs_in_pieces(x) or x.dim() != 2 or x.numel() <= _FEW_ELEMENTS:
        return F.rms_norm(x, weight.shape, weight, eps)
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    return _RMSNorm.apply(x, weight, eps) if torch.is_grad_enabled() else _rms_norm(x, weight, eps)[0]


class _Kept(NamedTuple):
    """What the backward pass of `feed_forward` needs besides its arguments."""

    rstd: Tensor
    pre: Tensor
    masks: list[Tensor]
    factor: float


def _feed_forward(
    x: Tensor,
    scale: Tensor,
    gain: Tensor,
    weight: Tensor,
    bias: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    keep: Tensor | None,
    eps: float,
    dropout: float,
    saving: bool,
) -> tuple[Tensor, _Kept]:
    rows, hidden = x.size(0), weight.size(0)
    parts = pieces(rows, hidden)
    out, rstd = torch.empty_like(x), x.new_empty(rows, 1)
    pre = x.new_empty(rows if saving else max((end - begin for begin, end in parts), default=0), hidden)
    gained, masks, factor, alpha = weight * gain, [], 1.0, float(scale)
    for begin, end in parts:
        unit = _unit_rms(x[begin:end], eps, rstd[begin:end])
        h = torch.addmm(bias, unit, gained.t(), out=pre[begin:end] if saving else pre[: end - begin])
        h = F.gelu(h) if saving else torch.ops.aten.gelu_(h)
        if dropout:
            mask, factor = keep_mask(h.shape, dropout)
            h.mul_(mask)
            masks.append(mask)
        y = torch.addmm(out_bias, h, out_weight.t(), alpha=factor)
        if dropout:
            mask, factor = keep_mask(y.shape, dropout)
            y.mul_(mask)
            masks.append(mask)
        if keep is not None:
            y.mul_(keep[begin:end])
        torch.add(x[begin:end], y, alpha=alpha * factor, out=out[begin:end])
    return out, _Kept(rstd, pre, masks, factor)


class _FeedForward(torch.autograd.Function):
    """Saves the input and the pre-activations; everything else is cheap to compute again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, gain: Tensor, weight: Tensor, bias: Tensor, out_weight: Tensor, *rest: Any
    ) -> Tensor:
        out_bias, keep, eps, dropout = rest
        saving = any(ctx.needs_input_grad)
        out, kept = _feed_forward(x, scale, gain, weight, bias, out_weight, out_bias, keep, eps, dropout, saving)
        if saving:
            ctx.save_for_backward(x, scale, gain, weight, out_weight, out_bias, keep, kept.rstd, kept.pre, *kept.masks)
            ctx.factor = kept.factor
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, gain, weight, out_weight, out_bias, keep, rstd, pre, *masks = ctx.saved_tensors
        alpha, factor = float(scale), ctx.factor
        gained = weight * gain
        grad_x, grad_scale = torch.empty_like(x), torch.zeros_like(scale)
        grad_gained, grad_bias = torch.zeros_like(weight), weight.new_zeros(weight.size(0))
        grad_out_weight, grad_out_bias = torch.zeros_like(out_weight), torch.zeros_like(out_bias)
        for number, (begin, end) in enumerate(pieces(*pre.shape)):
            # Gradients without the factor alpha, which is zero at the start and whose own gradient is needed all the same.
            dy, h = grad[begin:end], F.gelu(pre[begin:end])
            if masks:
                h.mul_(masks[2 * number])
                dy = (dy * masks[2 * number + 1]).mul_(factor)
            if keep is not None:
                dy = dy * keep[begin:end]
            grad_out_weight.addmm_(dy.t(), h, alpha=factor)
            grad_out_bias.add_(dy.sum(0))
            dh = dy @ out_weight
            grad_scale.add_(torch.dot(dh.flatten(), h.flatten()), alpha=factor)
            if masks:
                dh.mul_(masks[2 * number])
            dh = torch.ops.aten.gelu_backward(dh.mul_(alpha * factor), pre[begin:end])
            unit = x[begin:end] * rstd[begin:end]
            grad_gained.addmm_(dh.t(), unit)
            grad_bias.add_(dh.sum(0))
            torch.add(grad[begin:end], _unit_rms_backward(dh @ gained, unit, rstd[begin:end]), out=grad_x[begin:end])
        grad_scale.add_(torch.dot(grad_out_bias, out_bias))
        grad_gain = (grad_gained * weight).sum(0)
        grad_out_weight.mul_(alpha)
        return (
            grad_x,
            grad_scale,
            grad_gain,
            grad_gained.mul_(gain),
            grad_bias,
            grad_out_weight,
            grad_out_bias.mul_(alpha),
            None,
            None,
            None,
        )


def feed_forward(
    x: Tensor,
    scale: Tensor,
    gain: Tensor,
    weight: Tensor,
    bias: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    *,
    dropout: float = 0.0,
    keep: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    r"""The feed-forward branch of a pre-norm block with its residual, in pieces that stay in the CPU's cache.

    .. math::
        y = x + \alpha \, m \, \mathrm{Drop}\bigl(W_2 \, \mathrm{Drop}(\mathrm{GELU}(W_1 \, \mathrm{RMSNorm}(x) + b_1)) + b_2\bigr)

    Args:
        x: Tokens [T, D].
        scale: The scalar :math:`\alpha` of the residual branch.
        gain: Weight of the RMSNorm [D].
        weight: :math:`W_1` [F, D].
        bias: :math:`b_1` [F].
        out_weight: :math:`W_2` [D, F].
        out_bias: :math:`b_2` [D].
        dropout: Probability that an element is dropped, 0 to below 1.
        keep: Factors :math:`m` [T, 1] of stochastic depth, or None.
        eps: Of the RMSNorm; None is the machine epsilon of the type.

    Returns:
        Tokens [T, D].

    Example:
        >>> x = torch.randn(5, 4)
        >>> y = feed_forward(x, torch.zeros(()), torch.ones(4), torch.randn(8, 4), torch.zeros(8), torch.randn(4, 8), torch.zeros(4))
        >>> torch.equal(x, y)
        True

    Cost: O(T D F) time; O(T F) memory for the backward pass, and O(1) pieces without it.
    """
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    arguments = (x, scale, gain, weight, bias, out_weight, out_bias, keep, eps, dropout)
    return _FeedForward.apply(*arguments) if torch.is_grad_enabled() else _feed_forward(*arguments, saving=False)[0]


class _Residual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, branch: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(branch, scale)
        return torch.add(x, branch, alpha=float(scale))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        branch, scale = ctx.saved_tensors
        return grad, grad * scale, torch.dot(grad.flatten(), branch.flatten()).view_as(scale)


def residual(x: Tensor, branch: Tensor, scale: Tensor) -> Tensor:
    r"""Return :math:`x + \alpha b`, without writing :math:`\alpha b` to memory on the CPU.

    Args:
        x: Tokens [T, D].
        branch: Tokens :math:`b` [T, D].
        scale: The scalar :math:`\alpha`.

    Example:
        >>> residual(torch.ones(1, 2), torch.ones(1, 2), torch.tensor(0.5))
        tensor([[1.5000, 1.5000]])

    Cost: O(T D).
    """
    if not runs_in_pieces(x):
        return x + scale * branch
    return _Residual.apply(x, branch, scale) if torch.is_grad_enabled() else torch.add(x, branch, alpha=float(scale))
