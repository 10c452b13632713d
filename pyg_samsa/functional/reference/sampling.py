"""Sampling keys and values, literally (section 4.2 of arXiv 2408.05391)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.typing import Float


def rank(scores: Float[Tensor, " n"]) -> list[int]:
    r"""Return the order :math:`z_{i_1} \ge z_{i_2} \ge \dots`; of equal scores the lower index comes first.

    Raises:
        NumericalError: A score is not finite.

    Example:
        >>> rank(torch.tensor([1.0, 3.0, 3.0, 2.0]))
        [1, 2, 3, 0]
    """
    numbers = scores.tolist()
    for index, number in enumerate(numbers):
        if not math.isfinite(number):
            raise NumericalError(
                "scores", f"score {index} is {number}", hint="Look for diverging weights or NaN features."
            )
    return sorted(range(len(numbers)), key=lambda index: (-numbers[index], index))


def soft_sample_without_replacement(
    values: Float[Tensor, "n C"], scores: Float[Tensor, " n"], k: int, tau: float = 1.0
) -> Float[Tensor, "K C"]:
    r"""Sample ``k`` vectors without replacement, each softly compared with the ``k`` runners-up (section 4.2).

    With i the K best candidates and j the J = min(K, n - K) next ones,

    .. math::
        y_m = \frac{1}{J} \sum_v P_{mv} X_{i_m} + (1 - P_{mv}) X_{j_v}, \qquad
        P_{mv} = \sigma\bigl((z_{i_m} - z_{j_v}) / \tau\bigr), \qquad
        y_m = X_{i_m} \;\text{ if } J = 0

    Args:
        values: X, the candidates [n, C].
        scores: z, their importance scores [n], Gumbel noise already added.
        k: Number of samples, 1 to n.
        tau: Temperature, positive.

    Returns:
        y [k, C], best first.

    Raises:
        ConfigError: ``k`` or ``tau`` is out of range.
        ShapeError: ``values`` and ``scores`` do not match.
        NumericalError: A score is not finite.

    Example:
        >>> values, scores = torch.tensor([[0.0], [4.0]]).double(), torch.tensor([1.0, 3.0]).double().log()
        >>> soft_sample_without_replacement(values, scores, k=1).round(decimals=9).tolist()  # P = 3/4
        [[3.0]]

    Cost: O(k² C) time.
    """
    _check_sampling(values, scores, k, tau)
    order = rank(scores)
    i, j = order[:k], order[k : 2 * k]
    samples = []
    for m in range(k):
        if not j:
            # The zero keeps the scores in autograd's graph: their gradient is zero, not missing.
            samples.append(values[i[m]] + (0.0 * scores).sum())
            continue
        total = torch.zeros_like(values[i[m]])
        for v in range(len(j)):
            p = torch.sigmoid((scores[i[m]] - scores[j[v]]) / tau)
            total = total + (p * values[i[m]] + (1 - p) * values[j[v]])
        samples.append(total / len(j))
    return torch.stack(samples)


def hard_sample_without_replacement(
    values: Float[Tensor, "n C"], scores: Float[Tensor, " n"], k: int, tau: float = 1.0
) -> Float[Tensor, "K C"]:
    r"""Sample the ``k`` best candidates, with the score gradient of `soft_sample_without_replacement`.

    Straight-through (section 4.2). Forward :math:`y_m = X_{i_m}`. Backward: the scores get exactly the gradient that
    the soft sample would give them for the same upstream gradient; X[i_m] gets the gradient of plain gathering, the
    runners-up X[j_v] get none. Arguments, shapes, errors and cost are those of the soft sample.

    Example:
        >>> values, scores = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([0.5, 0.1, 0.9])
        >>> hard_sample_without_replacement(values, scores, k=2).tolist()
        [[3.0], [1.0]]
    """
    soft = soft_sample_without_replacement(values.detach(), scores, k, tau)
    hard = torch.stack([values[index] for index in rank(scores)[:k]])
    # The difference is exactly zero forward and has the soft sample's gradient with respect to the scores backward.
    return hard + (soft - soft.detach())


def sample_score_gradient(
    values: Float[Tensor, "n C"],
    scores: Float[Tensor, " n"],
    upstream: Float[Tensor, "K C"],
    k: int,
    tau: float = 1.0,
) -> Float[Tensor, " n"]:
    r"""Return the gradient of <G, y> for the scores, for the soft and the hard sample, without autograd.

    .. math::
        \frac{\partial}{\partial z_{i_m}} = \frac{1}{J} \sum_v s_{mv} \, G_m^\top (X_{i_m} - X_{j_v}), \quad
        \frac{\partial}{\partial z_{j_v}} = -\frac{1}{J} \sum_m s_{mv} \, G_m^\top (X_{i_m} - X_{j_v}), \quad
        s_{mv} = \frac{P_{mv} (1 - P_{mv})}{\tau}

    Args:
        values: X [n, C].
        scores: z [n].
        upstream: G [k, C].
        k: Number of samples, 1 to n.
        tau: Temperature, positive.

    Returns:
        dz [n]; zero for every candidate that is neither a sample nor a runner-up.

    Raises:
        ConfigError: ``k`` or ``tau`` is out of range.
        ShapeError: The tensors do not match.
        NumericalError: A score is not finite.

    Example:
        >>> values, scores = torch.tensor([[0.0], [4.0]]).double(), torch.tensor([1.0, 3.0]).double().log()
        >>> sample_score_gradient(values, scores, torch.ones(1, 1), k=1).round(decimals=9).tolist()  # 3/4 * 1/4 * 4
        [-0.75, 0.75]

    Cost: O(k² C) time.
    """
    _check_sampling(values, scores, k, tau)
    if upstream.shape != (k, values.size(1)):
        raise ShapeError("upstream", list(upstream.shape), [k, values.size(1)])
    x, z, g = values.tolist(), scores.tolist(), upstream.tolist()
    order = rank(scores)
    i, j = order[:k], order[k : 2 * k]
    gradient = [0.0] * len(z)
    for m in range(k):
        for v in range(len(j)):
            p = 1.0 / (1.0 + math.exp(-(z[i[m]] - z[j[v]]) / tau))
            slope = p * (1.0 - p) / tau
            inner = 0.0
            for c in range(values.size(1)):
                inner += g[m][c] * (x[i[m]][c] - x[j[v]][c])
            gradient[i[m]] += slope * inner / len(j)
            gradient[j[v]] -= slope * inner / len(j)
    return torch.tensor(gradient, dtype=scores.dtype)


def sample_with_replacement(
    values: Float[Tensor, "n C"],
    scores: Float[Tensor, " n"],
    k: int,
    tau: float,
    gumbel: Float[Tensor, "K n"] | None,
) -> Float[Tensor, "K C"]:
    r"""Draw ``k`` candidates independently, each by a straight-through Gumbel-softmax (the paper's Sample_1).

    .. math::
        y_m = w_m^\top X, \qquad w_m = \mathrm{onehot}\bigl(\arg\max (z + g_m)\bigr) + s_m - \mathrm{stop}(s_m), \qquad
        s_m = \mathrm{softmax}\bigl((z + g_m) / \tau\bigr)

    The scores get the gradient of :math:`s_m^\top X`; of the values only the picked one gets a gradient, since forward
    w is one-hot.

    Args:
        values: X [n, C].
        scores: z [n], without noise.
        k: Number of draws, at least 1; it may exceed n.
        tau: Temperature, positive.
        gumbel: g [k, n], independent Gumbel(0, 1) noise for every draw and candidate, or None: then g = 0 in soft and
            draw m picks candidate ``systematic_draws(scores, k)[m]``.

    Returns:
        y [k, C], in the order of the draws.

    Raises:
        ConfigError: ``k`` or ``tau`` is out of range.
        ShapeError: The tensors do not match.
        NumericalError: A score with its noise is not finite.

    Example:
        >>> values, scores = torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 0.5])
        >>> sample_with_replacement(values, scores, 2, 1.0, torch.tensor([[0.0, 0.0], [1.0, 0.0]])).tolist()
        [[2.0], [1.0]]

    Cost: O(k n C) time.
    """
    _check_sampling(values, scores, k, tau, replacement=True)
    n = scores.size(0)
    if gumbel is not None and gumbel.shape != (k, n):
        raise ShapeError("gumbel", list(gumbel.shape), [k, n])
    samples = []
    for m in range(k):
        perturbed = scores if gumbel is None else scores + gumbel[m]
        soft = torch.softmax(perturbed / tau, dim=0)
        onehot = torch.zeros_like(soft)
        onehot[systematic_draws(scores, k)[m] if gumbel is None else rank(perturbed)[0]] = 1.0
        weights = onehot + (soft - soft.detach())
        sample = torch.zeros_like(values[0])
        for candidate in range(n):
            sample = sample + weights[candidate] * values[candidate]
        samples.append(sample)
    return torch.stack(samples)


def systematic_draws(scores: Float[Tensor, " n"], k: int) -> list[int]:
    r"""Pick ``k`` candidates with replacement and without noise, in proportion to :math:`\mathrm{softmax}(z)`.

    Evaluation of `sample_with_replacement`, not in the paper [ours]. The candidates are laid end to end in descending
    order of score; draw m, from 0, takes the first one whose cumulative probability exceeds (m + 1/2) / K, or the last
    one where rounding leaves none.

    Args:
        scores: z [n], n at least 1.
        k: Number of draws, at least 1.

    Returns:
        Indices [k], in ascending m.

    Raises:
        ConfigError: ``k`` is out of range.
        ShapeError: There is no candidate.
        NumericalError: A score is not finite.

    Example:
        The cumulative probabilities are .6, .9 and 1, the draws at .125, .375, .625 and .875:

        >>> systematic_draws(torch.tensor([0.1, 0.6, 0.3]).double().log(), k=4)
        [1, 1, 2, 2]

    Cost: O(k n) time.
    """
    _check_sampling(scores[:, None], scores, k, 1.0, replacement=True)
    order = rank(scores)
    probability = torch.softmax(scores.detach(), dim=0).tolist()
    draws = []
    for m in range(k):
        picked, cumulative = order[-1], 0.0
        for candidate in order:
            cumulative += probability[candidate]
            if cumulative > (m + 0.5) / k:
                picked = candidate
                break
        draws.append(picked)
    return draws


def _check_sampling(values: Tensor, scores: Tensor, k: int, tau: float, *, replacement: bool = False) -> None:
    if values.dim() != 2 or scores.shape != values.shape[:1]:
        raise ShapeError("values, scores", f"{list(values.shape)}, {list(scores.shape)}", "[n, C], [n]")
    if scores.size(0) == 0:
        raise ShapeError("scores", "no candidate", "at least one")
    if k < 1 or (k > scores.size(0) and not replacement):
        raise ConfigError("k", k, "at least 1" if replacement else f"a number from 1 to n = {scores.size(0)}")
    if not tau > 0:
        raise ConfigError("tau", tau, "a positive number")
