"""Differentiable sampling: each head of attention picks its own K tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.fused import can_fuse, pieces
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.topk import dense_candidates, ragged_topk, topk
from pyg_samsa.functional.triton_support import runs_in_triton
from pyg_samsa.typing import Float, Int

MODES = ("hard", "soft")


class Samples(NamedTuple):
    """What each head of each graph sampled: vectors :math:`y`, where they come from, and their scores :math:`z`.

    Attributes:
        values: Sampled vectors.
        candidates: Where they come from: a number below T is a token, T + s is support token s.
        scores: Their scores, with the noise that was added.

    Example:
        >>> Samples(torch.ones(1, 1, 2, 4), torch.tensor([[[3, 0]]]), torch.tensor([[[2.0, 1.0]]])).candidates
        tensor([[[3, 0]]])
    """

    values: Float[Tensor, "B H K C"]
    candidates: Int[Tensor, "B H K"]
    scores: Float[Tensor, "B H K"]


class _Relaxation(torch.autograd.Function):
    """Values of the chosen tokens, with the gradient of the local-search relaxation for the scores.

    Saves the gathered values and scores only. The K x J probabilities are computed again in the backward pass, on the
    CPU for a few heads at a time, so that they never leave the cache, and on CUDA tile by tile where Triton is there,
    so that they are never written at all.
    """

    @staticmethod
    def forward(
        ctx: Any, chosen: Tensor, rivals: Tensor, chosen_scores: Tensor, rival_scores: Tensor, tau: float, soft: bool
    ) -> Tensor:
        ctx.save_for_backward(chosen, rivals, chosen_scores, rival_scores)
        ctx.tau, ctx.soft = tau, soft
        count = rivals.size(-2)
        if not soft or count == 0:
            return chosen.view_as(chosen)
        if runs_in_triton(chosen, chosen_scores):
            from pyg_samsa.functional.triton_relaxation import relax

            return relax(chosen, rivals, chosen_scores, rival_scores, tau)
        # The share of rival v is (1 - P_mv) / J: the mean of the rivals, less what P takes of them.
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
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
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
        if runs_in_triton(chosen, chosen_scores):
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


def _check_k_tau(k: int, tau: float) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigError("num_samples", k, "an integer of at least 1")
    if not tau > 0:
        raise ConfigError("tau", tau, "a temperature above 0")


def _check_dense(values: Tensor, scores: Tensor, k: int, tau: float) -> None:
    _check_k_tau(k, tau)
    if values.shape[:-1] != scores.shape:
        raise ShapeError(
            "scores", list(scores.shape), f"{list(values.shape[:-1])}, the shape of values without its last dimension"
        )


def _gather(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(-2, index.unsqueeze(-1).expand(*index.shape, values.size(-1)))


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
    chosen = _gather(values, order[..., :k])
    if not relaxed:
        return chosen
    rivals = _gather(values if mode == "soft" else values.detach(), order[..., k:])
    ranked = scores.gather(-1, order)
    return _Relaxation.apply(chosen, rivals, ranked[..., :k], ranked[..., k:], tau, mode == "soft")


class _StraightThroughCategorical(torch.autograd.Function):
    """Plain gather forward; the gradient of ``softmax(logits) @ values`` for the logits backward, noise included."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, logits: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(values, logits, index)
        return _gather(values, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
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

    Cost: O(K n C) time and O(K n) memory: not linear, as an ablation may be.
    """
    _check_dense(values, scores, k, tau)
    logits, index = _draw(scores, k, tau, noise)
    return _StraightThroughCategorical.apply(values, logits, index)


def _draw(scores: Tensor, k: int, tau: float, noise: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the logits [..., k, n] whose softmax carries the gradient, and the drawn indices [..., k]."""
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
        like: Its dtype and device, and its shape where none is given, are those of the noise.
        shape: Shape of the noise.

    Example:
        The mean is Euler's constant, 0.577:

        >>> gumbel = gumbel_noise(torch.zeros(200_000))
        >>> bool((gumbel.mean() - 0.577).abs() < 0.02)
        True

    Cost: O(elements).
    """
    exponential = torch.empty(shape or like.shape, dtype=like.dtype, device=like.device).exponential_()
    return exponential.clamp_min_(torch.finfo(like.dtype).tiny).log_().neg_()


def ragged_sample_without_replacement(
    values: Float[Tensor, "T H C"] | Callable[[Tensor], Tensor],
    scores: Float[Tensor, "T H"],
    support_values: Float[Tensor, "S H C"],
    support_scores: Float[Tensor, "S H"],
    index: RaggedIndex,
    k: int,
    *,
    tau: float = 1.0,
    mode: str = "hard",
) -> Samples:
    r"""`sample_without_replacement` for every graph and head of a packed batch, support tokens included.

    .. math::
        y_{bh} = \mathrm{Sample}_K\bigl( [\, X_{th} \,]_{t \in b} \,\Vert\, [\, X'_{sh} \,]_s, \;
            [\, z_{th} \,]_{t \in b} \,\Vert\, [\, z'_{sh} \,]_s \bigr)

    Algorithm 1, lines 8 and 9, of `SAMSA <https://arxiv.org/abs/2408.05391>`_. With S at least 2K support tokens,
    samples and rivals always exist, in an empty graph too.

    Args:
        values: Vectors X of the tokens; or a function that computes those of some tokens [B, H, m] as [B, H, m, C],
            which is cheaper where few of many are chosen.
        scores: Finite scores z of the tokens, noise included.
        support_values: Vectors X' of the support tokens, which every graph may choose.
        support_scores: Their scores z'.
        index: Where each graph begins and ends.
        k: Number of vectors K per graph and head, at least 1; S must be at least 2K.
        tau: Temperature, above 0.
        mode: ``"hard"`` or ``"soft"``.

    Returns:
        `Samples`, by descending score.

    Raises:
        ConfigError: ``k``, ``tau`` or ``mode`` is out of range.
        ShapeError: There are fewer than 2K support tokens.

    Example:
        Of the first graph token 1 is chosen; the second graph is empty and gets support token 0, candidate 3:

        >>> index, scores = RaggedIndex(torch.tensor([0, 3, 3])), torch.tensor([[1.0], [9.0], [2.0]])
        >>> support_values, support_scores = torch.zeros(2, 1, 2), torch.zeros(2, 1)
        >>> ragged_sample_without_replacement(
        ...     torch.ones(3, 1, 2), scores, support_values, support_scores, index, 1).candidates.flatten()
        tensor([1, 3])

    Cost: O(T H) to choose, O(B H K C) to gather; O(B H K^2 C) more for ``soft`` and for every backward pass.
    """
    check_choice("mode", mode, MODES)
    _check_k_tau(k, tau)
    if support_scores.size(0) < 2 * k:
        raise ShapeError("support_scores", list(support_scores.shape), f"[S, H] with S >= 2k = {2 * k}")
    differentiable = torch.is_grad_enabled() and (scores.requires_grad or support_scores.requires_grad)
    relaxed = mode == "soft" or differentiable
    candidates = ragged_topk(scores.detach(), support_scores.detach(), index, 2 * k if relaxed else k)
    ranked = _rows(torch.cat([scores, support_scores]), candidates)
    look_up = (
        _from_table(values, support_values)
        if isinstance(values, Tensor)
        else _computed(values, support_values, index.num_tokens)
    )
    chosen = look_up(candidates[..., :k])
    if relaxed:
        with torch.set_grad_enabled(torch.is_grad_enabled() and mode == "soft"):
            rivals = look_up(candidates[..., k:])
        chosen = _Relaxation.apply(chosen, rivals, ranked[..., :k], ranked[..., k:], tau, mode == "soft")
    return Samples(chosen, candidates[..., :k], ranked[..., :k])


def _from_table(values: Tensor, support_values: Tensor) -> Callable[[Tensor], Tensor]:
    """Look the vectors of candidates [B, H, m] up among those of all tokens and support tokens."""
    table = torch.cat([values, support_values.to(values.dtype)])
    return lambda candidates: _rows(table, candidates)


def _computed(values: Callable[[Tensor], Tensor], support_values: Tensor, tokens: int) -> Callable[[Tensor], Tensor]:
    """Compute the vectors of the candidates that are tokens, and look those of support tokens up."""

    def look_up(candidates: Tensor) -> Tensor:
        vectors = values(candidates.clamp_max(tokens - 1))
        support, is_support = support_values.to(vectors.dtype), candidates >= tokens
        if vectors.device.type == "cpu" and not torch.compiler.is_compiling():
            # Few candidates are support tokens, and on the CPU alone it costs nothing to learn which.
            place = is_support.nonzero(as_tuple=True)
            return vectors.index_put(place, support[candidates[place] - tokens, place[1]])
        return torch.where(is_support.unsqueeze(-1), _rows(support, (candidates - tokens).clamp_min(0)), vectors)

    return look_up


def _rows(table: Tensor, numbers: Tensor) -> Tensor:
    """Return the rows ``numbers`` [B, H, m] of a table [R, H, ...], each of its own head: [B, H, m, ...]."""
    rows = torch.add(torch.arange(table.size(1), device=table.device)[:, None], numbers, alpha=table.size(1))
    return table.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, *table.shape[2:])


def ragged_sample_with_replacement(
    values: Float[Tensor, "T H C"],
    scores: Float[Tensor, "T H"],
    support_values: Float[Tensor, "S H C"],
    support_scores: Float[Tensor, "S H"],
    index: RaggedIndex,
    k: int,
    *,
    tau: float = 1.0,
    noise: bool = False,
) -> Samples:
    r"""`sample_with_replacement` for every graph and head of a packed batch, support tokens included.

    .. math::
        y_{bhm} = \bigl( [\, X_{th} \,]_{t \in b} \,\Vert\, [\, X'_{sh} \,]_s \bigr)_{\arg\max_t (z_{th} + g_{bhmt})}

    Args:
        values: Vectors X of the tokens.
        scores: Finite scores z of the tokens, without noise.
        support_values: Vectors X' of the support tokens, at least one.
        support_scores: Their scores.
        index: Where each graph begins and ends.
        k: Number of draws K per graph and head, at least 1.
        tau: Temperature of the gradient, above 0.
        noise: Draw at random; otherwise the draws are systematic and deterministic.

    Returns:
        `Samples`, in the order of the draws.

    Raises:
        ConfigError: ``k`` or ``tau`` is out of range.

    Example:
        >>> index, scores = RaggedIndex(torch.tensor([0, 1])), torch.tensor([[9.0]])
        >>> support_values, support_scores = torch.zeros(2, 1, 2), torch.zeros(2, 1)
        >>> ragged_sample_with_replacement(
        ...     torch.ones(1, 1, 2), scores, support_values, support_scores, index, 3).candidates
        tensor([[[0, 0, 0]]])

    Cost: O(K n C) time and O(K n) memory for each graph and head, n being the largest graph among those of similar
    size.
    """
    _check_k_tau(k, tau)
    heads, tokens = scores.size(1), index.num_tokens
    table, score_table = torch.cat([values, support_values.to(values.dtype)]), torch.cat([scores, support_scores])
    support_number = torch.arange(tokens, score_table.size(0), device=scores.device)
    parts, order = [], []
    for graphs, width in index.groups():
        number, real = dense_candidates(index, graphs, width)
        number = torch.cat([number, support_number.expand(number.size(0), -1)], dim=1)
        real = torch.cat([real, real.new_ones(real.size(0), support_number.numel())], dim=1)
        dense_scores = score_table[number].transpose(1, 2).masked_fill(~real[:, None], -torch.inf)
        gumbel = gumbel_noise(dense_scores, (*dense_scores.shape[:2], k, dense_scores.size(2))) if noise else None
        logits, draw = _draw(dense_scores, k, tau, gumbel)
        values_drawn = _StraightThroughCategorical.apply(table[number].transpose(1, 2), logits, draw)
        chosen = number[:, None].expand(-1, heads, -1).gather(2, draw)
        parts.append(Samples(values_drawn, chosen, dense_scores.gather(2, draw)))
        order.append(torch.arange(index.num_graphs, device=scores.device) if graphs is None else graphs)
    if len(parts) == 1:
        return parts[0]
    back = torch.cat(order).argsort()
    return Samples(*(torch.cat(piece)[back] for piece in zip(*parts, strict=True)))
