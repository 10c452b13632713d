"""RMSNorm and the feed-forward branch of a block, computed in pieces that fit in the cache of the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_samsa.errors import check_choice
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.functional.dropout import dropped
from pyg_samsa.typing import Float, Shaped

# Numbers in a piece: measured best on a machine with 512 KiB of L2 cache per core and 32 MiB of L3. Half or twice as
# many cost little.
_CACHE_ELEMENTS = 2**19
_FEW_ELEMENTS = 2**15
_enabled = True


@contextmanager
def fused_kernels(enabled: bool = True) -> Iterator[None]:
    """Switch the fused CPU kernels on or off, for example to differentiate twice: they have first derivatives only.

    Args:
        enabled: Whether the kernels may run.

    Example:
        >>> with fused_kernels(False):
        ...     can_fuse(torch.ones(2, 2))
        False
    """
    global _enabled
    before, _enabled = _enabled, enabled
    try:
        yield
    finally:
        _enabled = before


def can_fuse(x: Shaped[Tensor, "..."]) -> bool:
    """Return whether the fused kernels can run on ``x``.

    They run on the CPU, in eager mode, without autocast, and outside transforms of ``torch.func``.

    Args:
        x: Tokens of any shape.

    Example:
        >>> can_fuse(torch.ones(2, 2))
        True
    """
    return (
        _enabled
        and takes_cpu_path(x)
        and type(x) in (Tensor, torch.nn.Parameter)
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
    )


def pieces(rows: int, width: int) -> list[tuple[int, int]]:
    """Cut ``rows`` rows of ``width`` numbers into even pieces that fit in the cache of a core.

    Args:
        rows: Number of rows.
        width: Number of numbers in a row.

    Example:
        >>> pieces(4000, 256)
        [(0, 2000), (2000, 4000)]
    """
    count = -(-rows * width // _CACHE_ELEMENTS)
    step = -(-rows // max(count, 1))
    return [(begin, min(begin + step, rows)) for begin in range(0, rows, max(step, 1))]


def _unit_rms(x: Tensor, eps: float, rstd: Tensor, out: Tensor | None = None) -> Tensor:
    """Divide the rows of ``x`` by their root mean square, whose inverse is written to ``rstd`` [rows, 1]."""
    torch.linalg.vector_norm(x, dim=-1, keepdim=True, out=rstd)
    rstd.square_().div_(x.size(-1)).add_(eps).rsqrt_()
    return torch.mul(x, rstd, out=out)


def _unit_rms_backward(grad: Tensor, unit: Tensor, rstd: Tensor) -> Tensor:
    """Return the gradient of `_unit_rms` for its input; overwrites ``grad``."""
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


def rms_norm(
    x: Float[Tensor, "*size"], weight: Float[Tensor, " D"], eps: float | None = None
) -> Float[Tensor, "*size"]:
    r"""Root mean square normalisation (`Zhang and Sennrich <https://arxiv.org/abs/1910.07467>`_).

    .. math::
        y = \frac{x}{\sqrt{\mathrm{mean}(x^2) + \epsilon}} \odot w

    Args:
        x: Tokens [..., D].
        weight: Gains w.
        eps: Added to the mean square; None means the machine epsilon of the dtype, as in PyTorch.

    Returns:
        Normalised tokens.

    Example:
        >>> rms_norm(torch.tensor([[3.0, 4.0]]), torch.ones(2))
        tensor([[0.8485, 1.1314]])

    Cost: O(T D), in one pass over memory on the CPU.
    """
    # For few numbers, PyTorch's version is faster than the calls of the kernel.
    if not can_fuse(x) or x.dim() != 2 or x.numel() <= _FEW_ELEMENTS:
        return F.rms_norm(x, weight.shape, weight, eps)
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    # Without gradients, autograd would take longer than the computation for a few hundred tokens.
    return _RMSNorm.apply(x, weight, eps) if torch.is_grad_enabled() else _rms_norm(x, weight, eps)[0]


class _Activation(NamedTuple):
    """What the feed-forward kernel needs of an activation.

    Attributes:
        keep: Called with pre-activations that the backward pass needs; ReLU overwrites them, because its output says as
            much.
        overwrite: The activation in place.
        again: The activation of what was kept.
        backward: Called with the gradient, which it overwrites, and with what was kept.
    """

    keep: Callable[[Tensor], Tensor]
    overwrite: Callable[[Tensor], Tensor]
    again: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


_ACTIVATIONS = {
    "gelu": _Activation(
        F.gelu,
        torch.ops.aten.gelu_,
        F.gelu,
        lambda grad, h: torch.ops.aten.gelu_backward.grad_input(grad, h, grad_input=grad),
    ),
    "relu": _Activation(
        torch.relu_,
        torch.relu_,
        lambda h: h,
        lambda grad, h: torch.ops.aten.threshold_backward.grad_input(grad, h, 0, grad_input=grad),
    ),
}
FUSED_ACTIVATIONS = tuple(_ACTIVATIONS)
"""Activations of `feed_forward`."""


class _Weights(NamedTuple):
    """The weights of a feed-forward network: W_1 with the gains of the norm and a last column for the bias."""

    first: Tensor
    second: Tensor
    bias: Tensor

    @classmethod
    def of(cls, gain: Tensor, weight: Tensor, bias: Tensor, out_weight: Tensor, out_bias: Tensor) -> _Weights:
        return cls(torch.cat([weight * gain, bias.unsqueeze(1)], dim=1), out_weight, out_bias)


class _Kept(NamedTuple):
    """Tensors that the backward pass of `feed_forward` needs besides its arguments."""

    rstd: Tensor
    pre: Tensor
    outer: Tensor | None
    factor: float


def _far_below_zero(dtype: torch.dtype) -> float:
    """Return a pre-activation at which the activations and their derivatives are exactly zero."""
    return 2.0**20 if dtype in (torch.float32, torch.float64) else 2.0**13


def _with_ones(x: Tensor) -> Tensor:
    """Return an empty [rows, D + 1] tensor whose last column is one, so that a product with it adds the bias."""
    unit = x.new_empty(x.size(0), x.size(1) + 1)
    unit[:, -1] = 1
    return unit


def _row_factors(outer: Tensor | None, keep: Tensor | None, begin: int, end: int, dtype: torch.dtype) -> Tensor | None:
    """Return the factors of the rows of the branch from dropout and stochastic depth; None means 1."""
    kept = None if keep is None else keep[begin:end]
    if outer is None:
        return kept
    mask = outer[begin:end].to(dtype)
    return mask if kept is None else mask.mul_(kept)


def _feed_forward(
    x: Tensor,
    alpha: float,
    weights: _Weights,
    keep: Tensor | None,
    eps: float,
    dropout: float,
    act: _Activation,
    saving: bool,
) -> tuple[Tensor, _Kept]:
    rows, hidden = x.size(0), weights.first.size(0)
    parts = pieces(rows, hidden)
    out, rstd = torch.empty_like(x), x.new_empty(rows, 1)
    pre = x.new_empty(rows if saving else max((end - begin for begin, end in parts), default=0), hidden)
    outer, factor = (torch.empty(x.shape, dtype=torch.int16) if dropout else None), 1.0
    for begin, end in parts:
        unit = _with_ones(x[begin:end])
        _unit_rms(x[begin:end], eps, rstd[begin:end], out=unit[:, :-1])
        h = pre[begin:end] if saving else pre[: end - begin]
        if dropout:
            # Dropped elements get a pre-activation at which the activation and its derivative are zero, so that no mask
            # has to be stored or multiplied, here or in the backward pass.
            mask, factor = dropped(h.shape, dropout)
            torch.addmm(h.copy_(mask), unit, weights.first.t(), beta=_far_below_zero(x.dtype), out=h)
            outer[begin:end] = dropped((end - begin, x.size(1)), dropout)[0].add_(1)  # type: ignore[index]
        else:
            torch.mm(unit, weights.first.t(), out=h)
        h = act.keep(h) if saving else act.overwrite(h)
        factors = _row_factors(outer, keep, begin, end, x.dtype)
        if factors is None:
            torch.add(x[begin:end], weights.bias * alpha, out=out[begin:end])
            out[begin:end].addmm_(h, weights.second.t(), alpha=alpha)
        else:
            y = torch.addmm(weights.bias, h, weights.second.t(), alpha=factor)
            torch.addcmul(x[begin:end], y, factors, value=alpha * factor, out=out[begin:end])
    return out, _Kept(rstd, pre, outer, factor)


class _FeedForward(torch.autograd.Function):
    """Saves the input, the pre-activations and 16 bits for each dropped output; the rest is computed again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, gain: Tensor, weight: Tensor, *rest: Any) -> Tensor:
        bias, out_weight, out_bias, keep, eps, dropout, act = rest
        weights, saving = _Weights.of(gain, weight, bias, out_weight, out_bias), any(ctx.needs_input_grad)
        out, kept = _feed_forward(x, float(scale), weights, keep, eps, dropout, act, saving)
        if saving:
            ctx.save_for_backward(
                x, scale, gain, weight, bias, out_weight, out_bias, keep, kept.rstd, kept.pre, kept.outer
            )
            ctx.factor, ctx.act = kept.factor, act
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, gain, weight, bias, out_weight, out_bias, keep, rstd, pre, outer = ctx.saved_tensors
        alpha, factor, act = float(scale), ctx.factor, ctx.act
        first = _Weights.of(gain, weight, bias, out_weight, out_bias).first
        down = out_weight * (alpha * factor**2)
        grad_x, grad_first = torch.empty_like(x), torch.zeros_like(first)
        # Without alpha: it is zero at the start, and its own gradient is needed nevertheless.
        grad_second, grad_out_bias = torch.zeros_like(out_weight), torch.zeros_like(out_bias)
        for begin, end in pieces(*pre.shape):
            dy, h = grad[begin:end], pre[begin:end]
            factors = _row_factors(outer, keep, begin, end, x.dtype)
            if factors is not None:
                dy = factors.mul_(dy) if outer is not None else dy * factors
            grad_second.addmm_(dy.t(), act.again(h), alpha=factor**2)
            grad_out_bias.add_(dy.sum(0), alpha=factor)
            dh = act.backward(dy @ down, h)
            unit = _with_ones(x[begin:end])
            torch.mul(x[begin:end], rstd[begin:end], out=unit[:, :-1])
            grad_first.addmm_(dh.t(), unit)
            through_norm = _unit_rms_backward(dh @ first[:, :-1], unit[:, :-1], rstd[begin:end])
            torch.add(grad[begin:end], through_norm, out=grad_x[begin:end])
        # <dy, W_2 h + b_2> summed over all tokens.
        grad_scale = (torch.vdot(grad_second.flatten(), out_weight.flatten()) + grad_out_bias.dot(out_bias)).view_as(
            scale
        )
        grad_gained, grad_bias = grad_first[:, :-1], grad_first[:, -1]
        grads = (grad_x, grad_scale, (grad_gained * weight).sum(0), grad_gained * gain, grad_bias.contiguous())
        return *grads, grad_second.mul_(alpha), grad_out_bias.mul_(alpha), None, None, None, None


def feed_forward(
    x: Float[Tensor, "T D"],
    scale: Float[Tensor, ""],
    gain: Float[Tensor, " D"],
    weight: Float[Tensor, "F D"],
    bias: Float[Tensor, " F"],
    out_weight: Float[Tensor, "D F"],
    out_bias: Float[Tensor, " D"],
    *,
    dropout: float = 0.0,
    keep: Float[Tensor, "T 1"] | None = None,
    eps: float | None = None,
    act: str = "gelu",
) -> Float[Tensor, "T D"]:
    r"""The feed-forward branch of a pre-norm block with its residual (SAMSA, Algorithm 1), fused for the CPU.

    .. math::
        y = x + \alpha \, m \, \mathrm{Drop}\bigl(W_2 \, \mathrm{Drop}(\sigma(W_1 \, \mathrm{RMSNorm}(x) + b_1)) +
        b_2\bigr)

    Args:
        x: Tokens.
        scale: The scalar :math:`\alpha` of the residual branch.
        gain: Weight of the RMSNorm.
        weight: Weight :math:`W_1`.
        bias: Bias :math:`b_1`.
        out_weight: Weight :math:`W_2`.
        out_bias: Bias :math:`b_2`.
        dropout: Probability that an element is dropped, 0 to below 1.
        keep: Factors :math:`m` of stochastic depth, or None.
        eps: Epsilon of the RMSNorm; None means the machine epsilon of the dtype.
        act: Activation :math:`\sigma`: ``"gelu"`` or ``"relu"``.

    Returns:
        Tokens with the branch added.

    Raises:
        ConfigError: There is no such activation.

    Example:
        >>> x = torch.randn(5, 4)
        >>> weights = torch.ones(4), torch.randn(8, 4), torch.zeros(8), torch.randn(4, 8), torch.zeros(4)
        >>> torch.equal(feed_forward(x, torch.zeros(()), *weights), x)
        True

    Cost: O(T D F) time; O(T F) memory for the backward pass, and constant memory without it.
    """
    check_choice("act", act, FUSED_ACTIVATIONS)
    eps, activation = torch.finfo(x.dtype).eps if eps is None else eps, _ACTIVATIONS[act]
    if torch.is_grad_enabled():
        return _FeedForward.apply(x, scale, gain, weight, bias, out_weight, out_bias, keep, eps, dropout, activation)
    weights = _Weights.of(gain, weight, bias, out_weight, out_bias)
    return _feed_forward(x, float(scale), weights, keep, eps, dropout, activation, saving=False)[0]


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


def residual(
    x: Float[Tensor, "*size"], branch: Float[Tensor, "*size"], scale: Float[Tensor, ""]
) -> Float[Tensor, "*size"]:
    r"""Add a scaled residual branch (`ReZero <https://arxiv.org/abs/2003.04887>`_): :math:`x + \alpha b`.

    On the CPU :math:`\alpha b` is not written to memory.

    Args:
        x: Tokens.
        branch: Output :math:`b` of the branch.
        scale: The scalar :math:`\alpha`.

    Returns:
        Tokens with the branch added.

    Example:
        >>> residual(torch.ones(1, 2), torch.ones(1, 2), torch.tensor(0.5))
        tensor([[1.5000, 1.5000]])

    Cost: O(T D).
    """
    if not can_fuse(x) or not can_fuse(branch):
        return x + scale * branch
    return _Residual.apply(x, branch, scale) if torch.is_grad_enabled() else torch.add(x, branch, alpha=float(scale))
