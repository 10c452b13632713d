"""Score and probability of SFT: a sum of maxima instead of a dot product, a ReLU and a leak instead of the softmax."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_samsa.errors import ShapeError, check_choice
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.typing import Float

LEAKS = ("softplus", "relu", "none")
# Mean and standard deviation of the larger of two independent standard normal numbers.
MEAN_OF_MAX = 1 / math.sqrt(math.pi)
STD_OF_MAX = math.sqrt(1 - 1 / math.pi)
EPS = 1e-9


class _MaxoutScore(torch.autograd.Function):
    """Channel by channel, so that nothing larger than the [n, K] result exists, forward or backward."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor) -> Tensor:
        ctx.save_for_backward(query, key)
        # A maximum commutes with increasing functions: standardise queries and keys, which are smaller than the scores.
        channels = _channels((query - MEAN_OF_MAX) * _scale(query), (key - MEAN_OF_MAX) * _scale(key))
        total = query.new_zeros(*query.shape[:-1], key.size(-2)) if not channels else torch.maximum(*channels[0])
        larger: Tensor | None = None
        for q, k in channels[1:]:
            larger = (
                torch.maximum(q, k)
                if larger is None or torch.compiler.is_compiling()
                else torch.maximum(q, k, out=larger)
            )
            total.add_(larger)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        query, key = ctx.saved_tensors
        # max(q, k) = (q + k + |q - k|) / 2: half of the gradient goes to both, the other half with the sign of the
        # difference.
        query_signs, key_signs = _sign_sums(grad.contiguous(), query, key)
        half = _scale(query) / 2
        return query_signs.add_(grad.sum(-1, keepdim=True)).mul_(half), key_signs.add_(grad.sum(-2).unsqueeze(-1)).mul_(
            half
        )


def _scale(x: Tensor) -> float:
    return 1 / (STD_OF_MAX * math.sqrt(x.size(-1))) if x.size(-1) else 1.0


def _channels(query: Tensor, key: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return each channel of the queries [..., n, 1] and of the keys [..., 1, K], contiguous."""
    queries, keys = query.movedim(-1, 0).contiguous(), key.movedim(-1, 0).contiguous()
    return list(zip(queries.unsqueeze(-1).unbind(), keys.unsqueeze(-2).unbind(), strict=True))


def _sign_sums(grad: Tensor, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Return sum_j G_ij sign(q_ic - k_jc) [..., n, C] and sum_i G_ij sign(k_jc - q_ic) [..., K, C]."""
    if _has_sign_kernel(grad):
        # It wants the distances too, which it does not read where p = 1.
        flipped = grad.mT.contiguous()
        return torch.ops.aten._cdist_backward(grad, query, key, 1.0, grad), torch.ops.aten._cdist_backward(
            flipped, key, query, 1.0, flipped
        )
    query_sums, key_sums = [], []
    for q, k in _channels(query, key):
        signed = (q - k).sign_().mul_(grad)
        query_sums.append(signed.sum(-1))
        key_sums.append(signed.sum(-2).neg_())
    if not query_sums:
        return torch.zeros_like(query), torch.zeros_like(key)
    return torch.stack(query_sums, dim=-1), torch.stack(key_sums, dim=-1)


def _has_sign_kernel(grad: Tensor) -> bool:
    """Whether PyTorch's gradient of L1 distances can be used: off the CPU it would make a table [n, K, C]."""
    return takes_cpu_path(grad) and grad.numel() > 0


def maxout_score(query: Float[Tensor, "... n C"], key: Float[Tensor, "... K C"]) -> Float[Tensor, "... n K"]:
    r"""Score every query against every key by the sum of their channelwise maxima.

    .. math::
        S_{ij} = \frac{1}{\sqrt{C}} \sum_c \frac{\max(q_{ic}, k_{jc}) - \mu}{s},
        \qquad \mu = \tfrac{1}{\sqrt{\pi}}, \quad s = \sqrt{1 - 1 / \pi}

    From `SFT <https://arxiv.org/abs/2408.05822>`_. :math:`\mu` and s are mean and standard deviation of the larger of
    two standard normal numbers, so that queries and keys of independent standard normal channels have scores with mean
    0 and variance 1. The score is convex in both together.

    Args:
        query: Queries q.
        key: Keys k, with the same leading dimensions.

    Returns:
        Scores S. Where a query and a key are equal in a channel, each gets half of the gradient.

    Raises:
        ShapeError: The keys do not fit the queries.

    Example:
        >>> maxout_score(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0], [1.0, 2.0]])).round(decimals=4)
        tensor([[2.4593, 1.6029]])

    Cost: O(n K C) time in elementwise operations, several times that of a dot product; O((n + K) (K + C)) memory, no
    table [n, K, C].
    """
    if (
        query.dim() < 2
        or key.dim() != query.dim()
        or key.shape[:-2] != query.shape[:-2]
        or key.size(-1) != query.size(-1)
    ):
        raise ShapeError("key", list(key.shape), f"[..., K, {query.size(-1)}] to fit queries {list(query.shape)}")
    return _MaxoutScore.apply(query, key)


def leak_mass(leak: Float[Tensor, "... K"], mode: str = "softplus") -> Float[Tensor, "..."]:
    r"""Return the probability mass that leaks.

    .. math::
        \Lambda = \sum_j \mathrm{softplus}(c_j)

    From `SFT <https://arxiv.org/abs/2408.05822>`_, which calls c the "C" of Q, K, V, C.

    Args:
        leak: One number c per sampled token.
        mode: ``"softplus"``; ``"relu"``, which replaces the softplus; or ``"none"``, a mass of 0.

    Returns:
        Masses, at least 0.

    Raises:
        ConfigError: Unknown mode.

    Example:
        >>> leak_mass(torch.tensor([1.0, -2.0]), "relu")
        tensor(1.)

    Cost: O(K).
    """
    check_choice("leak", mode, LEAKS)
    if mode == "none":
        return leak.new_zeros(leak.shape[:-1])
    return (F.softplus(leak) if mode == "softplus" else leak.relu()).sum(-1)


def leaky_weights(
    scores: Float[Tensor, "*b n K"], leak: Float[Tensor, "*b"]
) -> tuple[Float[Tensor, "*b n K"], Float[Tensor, "*b n 1"]]:
    r"""Return numerator and denominator of `leaky_probability`, to be divided after the values are summed.

    .. math::
        w_{ij} = \mathrm{ReLU}(S_{ij}), \qquad m_i = \sum_j w_{ij} + \Lambda + 10^{-9}

    Args:
        scores: Scores S.
        leak: Masses :math:`\Lambda`, at least 0.

    Example:
        >>> weights, mass = leaky_weights(torch.tensor([[1.0, 2.0, -1.0]]), torch.tensor(1.0))
        >>> weights, mass
        (tensor([[1., 2., 0.]]), tensor([[4.]]))

    Cost: O(n K).
    """
    weights = scores.relu()
    return weights, weights.sum(-1, keepdim=True) + (leak[..., None, None] + EPS)


def leaky_softmax_weights(
    scores: Float[Tensor, "*b n K"], leak: Float[Tensor, "*b"]
) -> tuple[Float[Tensor, "*b n K"], Float[Tensor, "*b n 1"]]:
    r"""Return numerator and denominator of a softmax that leaks, both scaled so that nothing overflows.

    .. math::
        w_{ij} = e^{S_{ij} - M_i}, \qquad m_i = \sum_j w_{ij} + \Lambda e^{-M_i}, \qquad
        M_i = \max\bigl(\max_j S_{ij}, \log \Lambda\bigr)

    The ablation ``score="softmax"`` of `relative_attention`. [ours]

    Args:
        scores: Scores S.
        leak: Masses :math:`\Lambda`, at least 0.

    Example:
        >>> weights, mass = leaky_softmax_weights(torch.tensor([[0.0, 0.0]]), torch.tensor(2.0))
        >>> weights / mass  # 1 / (1 + 1 + 2)
        tensor([[0.2500, 0.2500]])

    Cost: O(n K).
    """
    leak = leak[..., None, None]
    log_leak = torch.where(leak > 0, leak.clamp_min(torch.finfo(leak.dtype).tiny).log(), -torch.inf)
    top = torch.maximum(scores.detach().amax(-1, keepdim=True), log_leak.detach())
    weights = torch.exp(scores - top)
    return weights, weights.sum(-1, keepdim=True) + torch.exp(log_leak - top)


def leaky_probability(scores: Float[Tensor, "*b n K"], leak: Float[Tensor, "*b"]) -> Float[Tensor, "*b n K"]:
    r"""Turn scores into the leaky probabilities of `SFT <https://arxiv.org/abs/2408.05822>`_.

    .. math::
        A_{ij} = \frac{\mathrm{ReLU}(S_{ij})}{\sum_j \mathrm{ReLU}(S_{ij}) + \Lambda + 10^{-9}}

    Rows sum to less than 1, and a row without a positive score is zero.

    Args:
        scores: Scores S.
        leak: Leaking masses :math:`\Lambda \ge 0`, see `leak_mass`.

    Returns:
        Probabilities A.

    Raises:
        ShapeError: ``leak`` does not fit the scores.

    Example:
        >>> leaky_probability(torch.tensor([[1.0, 2.0, -1.0], [-1.0, -2.0, 0.0]]), torch.tensor(1.0))
        tensor([[0.2500, 0.5000, 0.0000],
                [0.0000, 0.0000, 0.0000]])

    Cost: O(n K).
    """
    if leak.shape != scores.shape[:-2]:
        raise ShapeError(
            "leak", list(leak.shape), f"{list(scores.shape[:-2])}, one mass for scores {list(scores.shape)}"
        )
    weights, mass = leaky_weights(scores, leak)
    return weights / mass
