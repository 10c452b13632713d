"""Differentiable sampling of K vectors out of n, by their scores."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.sampling_gradients import Relaxation, StraightThroughCategorical, gather
from pyg_samsa.functional.topk import topk
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int

MODES = ("hard", "soft")


def check_k_tau(k: int, tau: float) -> None:
    """Check the number of samples and the temperature.

    Raises:
        ConfigError: ``k`` is not an integer of at least 1, or ``tau`` is not above 0.

    Example:
        >>> check_k_tau(0, 1.0)
        Traceback (most recent call last):
        ...
        pyg_samsa.errors.ConfigError: num_samples: got 0, expected an integer of at least 1
    """
    check_integer("num_samples", k)
    if not tau > 0:
        raise ConfigError("tau", tau, "a temperature above 0")


def _check_dense(values: Tensor, scores: Tensor, k: int, tau: float) -> None:
    check_k_tau(k, tau)
    if values.shape[:-1] != scores.shape:
        raise ShapeError(
            "scores", list(scores.shape), f"{list(values.shape[:-1])}, the shape of values without its last dimension"
        )


def sample_without_replacement(
    values: Float[Tensor, "*b n C"], scores: Float[Tensor, "*b n"], k: int, *, tau: float = 1.0, mode: str = "hard"
) -> Float[Tensor, "*b K C"]:
    r"""Sample the ``k`` best-scored vectors, with a gradient for the scores.

    With :math:`i` the indices of the K largest scores and :math:`j` those of the next K,

    .. math::
        P_{mv} = \sigma\bigl((z_{i_m} - z_{j_v}) / \tau\bigr), \qquad
        \mathrm{soft}: \; y_m = \tfrac{1}{K} \sum_v P_{mv} X_{i_m} + (1 - P_{mv}) X_{j_v}, \qquad
        \mathrm{hard}: \; y_m = X_{i_m}.

    ``hard`` is straight-through: for the upstream gradient G the scores get the gradient of ``soft``,

    .. math::
        \tfrac{\partial}{\partial z_{i_m}} = \tfrac{1}{K\tau}\sum_v P_{mv} (1 - P_{mv}) G_m^\top (X_{i_m} - X_{j_v}) \\
        \tfrac{\partial}{\partial z_{j_v}} = -\tfrac{1}{K \tau} \sum_m P_{mv} (1 - P_{mv}) G_m^\top (X_{i_m} - X_{j_v}),

    and the values that of a plain gather. Section 4.2 of `SAMSA <https://arxiv.org/abs/2408.05391>`_; the gradient is
    our derivation. To sample at random, add Gumbel noise to the scores first, see `gumbel_noise`. Ties are broken by
    the lower index.

    Args:
        values: Vectors X to choose from.
        scores: Finite importance scores z.
        k: Number of vectors K, 1 to n. With n < 2K there are only n - K rivals :math:`j`, and the mean over :math:`v`
            runs over those.
        tau: Temperature, above 0.
        mode: ``"hard"`` or ``"soft"``.

    Returns:
        Sampled vectors y, in descending order of score.

    Raises:
        ConfigError: ``k``, ``tau`` or ``mode`` is out of range.
        ShapeError: ``scores`` does not fit ``values``, or n < K.

    Example:
        >>> values, scores = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0.0, 5.0, 1.0], requires_grad=True)
        >>> sample_without_replacement(values, scores, 2).detach()
        tensor([[2.],
                [3.]])

        The gradient raises the scores of vectors that are larger than their rival:

        >>> sample_without_replacement(values, scores, 2).sum().backward()
        >>> scores.grad.round(decimals=4)
        tensor([-0.3999,  0.0066,  0.3932])

    Cost: O(n) to choose; O(K^2 C) more for ``soft`` and for every backward pass, in K x K matrix products (no [K, K, C]
    tensor).
    """
    check_choice("mode", mode, MODES)
    _check_dense(values, scores, k, tau)
    n = scores.size(-1)
    if n < k:
        raise ShapeError("values", f"{n} vectors", f"at least k = {k}")
    relaxed = mode == "soft" or (torch.is_grad_enabled() and scores.requires_grad)
    order = topk(scores.detach(), min(2 * k, n) if relaxed else k)
    chosen = gather(values, order[..., :k])
    if not relaxed:
        return chosen
    rivals = gather(values if mode == "soft" else values.detach(), order[..., k:])
    ranked = scores.gather(-1, order)
    return Relaxation.apply(chosen, rivals, ranked[..., :k], ranked[..., k:], tau, mode == "soft")


def sample_with_replacement(
    values: Float[Tensor, "*b n C"],
    scores: Float[Tensor, "*b n"],
    k: int,
    *,
    tau: float = 1.0,
    noise: Float[Tensor, "*b K n"] | None = None,
) -> Float[Tensor, "*b K C"]:
    r"""Sample ``k`` vectors independently of each other: the ablation ``Sample_1``.

    Every draw :math:`m` is a straight-through Gumbel-softmax over all candidates,

    .. math::
        y_m = X_{\arg\max_t (z_t + g_{mt})}, \qquad
        \partial y_m / \partial z := \partial\, \mathrm{softmax}((z + g_m) / \tau)^\top X / \partial z.

    Section 4.2 of `SAMSA <https://arxiv.org/abs/2408.05391>`_. Without noise (evaluation) the draws are systematic, see
    `systematic_draws` [ours].

    Args:
        values: Vectors X to choose from.
        scores: Importance scores z; minus infinity marks a candidate that must not be drawn.
        k: Number of draws K, at least 1; it may exceed n.
        tau: Temperature of the gradient, above 0.
        noise: Gumbel(0, 1) noise g, or None.

    Returns:
        Sampled vectors y.

    Raises:
        ConfigError: ``k`` or ``tau`` is out of range.
        ShapeError: The shapes do not fit.

    Example:
        The second candidate has probability 0.73, so three of four draws take it:

        >>> values = torch.tensor([[1.0], [2.0]])
        >>> sample_with_replacement(values, torch.tensor([0.0, 1.0]), 4).flatten()
        tensor([2., 2., 2., 1.])

    Cost: O(K n C) time and O(K n) memory; it is an ablation and not linear in n.
    """
    _check_dense(values, scores, k, tau)
    logits, index = draw_indices(scores, k, tau, noise)
    return StraightThroughCategorical.apply(values, logits, index)


def draw_indices(
    scores: Float[Tensor, "*b n"], k: int, tau: float, noise: Float[Tensor, "*b K n"] | None
) -> tuple[Float[Tensor, "*b K n"], Int[Tensor, "*b K"]]:
    """Draw with replacement, and return what its gradient is computed from.

    Args:
        scores: Scores z; minus infinity marks a candidate that must not be drawn.
        k: Number of draws K.
        tau: Temperature of the gradient, above 0.
        noise: Gumbel(0, 1) noise, or None for `systematic_draws`.

    Returns:
        The logits whose softmax carries the gradient, and the drawn indices.

    Raises:
        ShapeError: There is no candidate, or the noise does not fit.

    Example:
        >>> logits, index = draw_indices(torch.tensor([0.0, 9.0]), 2, 1.0, None)
        >>> logits.shape, index
        (torch.Size([2, 2]), tensor([1, 1]))

    Cost: O(K n).
    """
    if scores.size(-1) == 0:
        raise ShapeError("scores", list(scores.shape), "at least one candidate")
    if noise is None:
        return (scores / tau).unsqueeze(-2).expand(*scores.shape[:-1], k, scores.size(-1)), systematic_draws(
            scores.detach(), k
        )
    if noise.shape != (*scores.shape[:-1], k, scores.size(-1)):
        raise ShapeError("noise", list(noise.shape), [*scores.shape[:-1], k, scores.size(-1)])
    noisy = scores.unsqueeze(-2) + noise
    return noisy / tau, noisy.argmax(-1)


def systematic_draws(scores: Float[Tensor, "*b n"], k: int) -> Int[Tensor, "*b K"]:
    r"""Draw ``k`` indices from :math:`\mathrm{softmax}(z)` with evenly spaced quantiles instead of random ones.

    .. math::
        t_m = \min \{\, t : \sum_{u \le t} \mathrm{softmax}(z)_u > \frac{m - 1/2}{K} \,\}, \qquad m = 1, \dots, K,
        \qquad z_1 \ge z_2 \ge \dots

    Deterministic, and the number of draws of a candidate is within 1 of K times its probability. [ours]

    Args:
        scores: Scores z; minus infinity marks a candidate that must not be drawn.
        k: Number of draws K.

    Returns:
        Indices, by descending score.

    Example:
        >>> systematic_draws(torch.tensor([0.5, 0.3, 0.2]).log(), 10)
        tensor([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])

    Cost: O(n log n + K log n).
    """
    ranked, order = torch.sort(scores, dim=-1, descending=True, stable=True)
    cumulative = torch.softmax(ranked, dim=-1).cumsum(-1)
    quantile = (torch.arange(k, device=scores.device, dtype=scores.dtype) + 0.5) / k
    place = torch.searchsorted(cumulative, quantile.expand(*scores.shape[:-1], k).contiguous(), right=True)
    last = (ranked > -torch.inf).sum(-1, keepdim=True) - 1
    return order.gather(-1, torch.minimum(place, last))


def gumbel_noise(like: Float[Tensor, "..."], shape: tuple[int, ...] | None = None) -> Float[Tensor, "..."]:
    r"""Return Gumbel(0, 1) noise: adding it to scores turns the largest K into a random sample.

    .. math::
        g = -\log(-\log U), \quad U \sim \mathcal{U}(0, 1), \qquad
        P\bigl(\arg\max_t (z_t + g_t) = t\bigr) = \mathrm{softmax}(z)_t

    Args:
        like: Tensor with the dtype and the device of the noise.
        shape: Shape of the noise; by default that of ``like``.

    Example:
        The mean is Euler's constant, 0.577:

        >>> gumbel = gumbel_noise(torch.zeros(200_000))
        >>> bool((gumbel.mean() - 0.577).abs() < 0.02)
        True

    Cost: O(elements).
    """
    exponential = torch.empty(shape or like.shape, dtype=like.dtype, device=like.device).exponential_()
    return exponential.clamp_min_(torch.finfo(like.dtype).tiny).log_().neg_()
