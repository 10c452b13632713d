"""Sampling for packed batches: each head of attention picks its own K tokens of each graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError, check_choice
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.sampling import MODES, check_k_tau, draw_indices, gumbel_noise
from pyg_samsa.functional.sampling_gradients import Relaxation, StraightThroughCategorical
from pyg_samsa.functional.topk import candidate_table, ragged_topk
from pyg_samsa.typing import Float, Int, Shaped


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


def rows_of_heads(table: Shaped[Tensor, "R H *c"], numbers: Int[Tensor, "B H m"]) -> Shaped[Tensor, "B H m *c"]:
    r"""Return rows of a table, each of its own head.

    .. math::
        y_{b h m} = \mathrm{table}_{i_{b h m}, h}

    Args:
        table: Vectors or numbers of every row and head.
        numbers: Rows to take.

    Example:
        >>> rows_of_heads(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[[0, 1], [1, 1]]]))
        tensor([[[1, 3],
                 [4, 4]]])

    Cost: O(B H m) rows.
    """
    rows = torch.add(torch.arange(table.size(1), device=table.device)[:, None], numbers, alpha=table.size(1))
    return table.flatten(0, 1).index_select(0, rows.flatten()).view(*rows.shape, *table.shape[2:])


def candidate_lookup(
    values: Float[Tensor, "T H C"] | Callable[[Tensor], Tensor], support_values: Float[Tensor, "S H C"], tokens: int
) -> Callable[[Tensor], Tensor]:
    """Return a function from numbers of candidates [B, H, m] to their vectors [B, H, m, C].

    Args:
        values: Vectors of the tokens; or a function that computes those of some tokens [B, H, m] as [B, H, m, C].
        support_values: Vectors of the support tokens.
        tokens: Number of tokens T; candidate T + s is support token s.

    Example:
        >>> look_up = candidate_lookup(torch.ones(3, 1, 1), torch.zeros(2, 1, 1), 3)
        >>> look_up(torch.tensor([[[2, 3]]])).flatten()
        tensor([1., 0.])

    Cost: O(B H m C) per call.
    """
    if isinstance(values, Tensor):
        table = torch.cat([values, support_values.to(values.dtype)])
        return lambda candidates: rows_of_heads(table, candidates)

    def look_up(candidates: Tensor) -> Tensor:
        vectors = values(candidates.clamp_max(tokens - 1))
        support, is_support = support_values.to(vectors.dtype), candidates >= tokens
        if takes_cpu_path(vectors):
            # Few candidates are support tokens, and on the CPU alone it costs nothing to find out which.
            place = is_support.nonzero(as_tuple=True)
            return vectors.index_put(place, support[candidates[place] - tokens, place[1]])
        return torch.where(
            is_support.unsqueeze(-1), rows_of_heads(support, (candidates - tokens).clamp_min(0)), vectors
        )

    return look_up


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
            which is cheaper if few of many are chosen.
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
    check_k_tau(k, tau)
    if support_scores.size(0) < 2 * k:
        raise ShapeError("support_scores", list(support_scores.shape), f"[S, H] with S >= 2k = {2 * k}")
    differentiable = torch.is_grad_enabled() and (scores.requires_grad or support_scores.requires_grad)
    relaxed = mode == "soft" or differentiable
    candidates = ragged_topk(scores.detach(), support_scores.detach(), index, 2 * k if relaxed else k)
    ranked = rows_of_heads(torch.cat([scores, support_scores]), candidates)
    look_up = candidate_lookup(values, support_values, index.num_tokens)
    chosen = look_up(candidates[..., :k])
    if relaxed:
        with torch.set_grad_enabled(torch.is_grad_enabled() and mode == "soft"):
            rivals = look_up(candidates[..., k:])
        chosen = Relaxation.apply(chosen, rivals, ranked[..., :k], ranked[..., k:], tau, mode == "soft")
    return Samples(chosen, candidates[..., :k], ranked[..., :k])


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
        noise: Whether to draw at random; otherwise draws are systematic and deterministic.

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
    check_k_tau(k, tau)
    numbers = torch.arange(scores.size(0) + support_scores.size(0), device=scores.device)
    numbers = numbers[:, None].expand(-1, scores.size(1))
    pieces = []
    for layout in index.layouts():
        table = candidate_table(layout, scores, support_scores, fill=-torch.inf)
        gumbel = gumbel_noise(table, (*table.shape[:2], k, table.size(2))) if noise else None
        logits, drawn = draw_indices(table, k, tau, gumbel)
        vectors = candidate_table(layout, values, support_values.to(values.dtype))
        chosen = candidate_table(layout, *numbers.split_with_sizes([scores.size(0), support_scores.size(0)]))
        pieces.append(
            (StraightThroughCategorical.apply(vectors, logits, drawn), chosen.gather(2, drawn), table.gather(2, drawn))
        )
    return Samples(*(index.join_graphs(list(piece)) for piece in zip(*pieces, strict=True)))
