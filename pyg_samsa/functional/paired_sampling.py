"""The sampler of SFT: pairs of tokens without replacement, each pair mixed into one."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.ragged_sampling import Samples, candidate_lookup, rows_of_heads
from pyg_samsa.functional.sampling import check_k_tau
from pyg_samsa.functional.topk import ragged_topk
from pyg_samsa.typing import Float

# Below this, softplus(z) equals exp(z) up to rounding, and its logarithm is z.
_LOW = -40.0


def _share(first: Tensor, second: Tensor) -> Tensor:
    """Return softplus(first) / (softplus(first) + softplus(second)), also where both underflow."""
    return torch.sigmoid(_log_softplus(first) - _log_softplus(second))


def _log_softplus(z: Tensor) -> Tensor:
    return torch.where(z < _LOW, z, F.softplus(z.clamp_min(_LOW)).log())


def ragged_sample_paired(
    values: Float[Tensor, "T H C"] | Callable[[Tensor], Tensor],
    scores: Float[Tensor, "T H"],
    support_values: Float[Tensor, "S H C"],
    support_scores: Float[Tensor, "S H"],
    index: RaggedIndex,
    k: int,
    *,
    shuffle: bool = False,
) -> Samples:
    r"""Sample pairs of tokens and mix each into one, for every graph and head of a packed batch.

    The K best candidates t are paired with the next K, b:

    .. math::
        w = \frac{\mathrm{softplus}(z_t)}{\mathrm{softplus}(z_t) + \mathrm{softplus}(z_b)}, \qquad
        \tilde{x} = w \, x_t + (1 - w) \, x_b

    From `SFT <https://arxiv.org/abs/2408.05822>`_. Support tokens are candidates in every graph, so graphs with fewer
    than 2K tokens and empty graphs are allowed.

    Args:
        values: Vectors x of the tokens; or a function that computes those of some tokens [B, H, m] as [B, H, m, C].
        scores: Finite scores z of the tokens, noise included.
        support_values: Vectors of the support tokens.
        support_scores: Their scores.
        index: Where each graph begins and ends.
        k: Number of pairs K per graph and head, at least 1; S must be at least 2K.
        shuffle: Whether to pair at random, as in training. Otherwise pairs are formed by rank, which depends neither on
            the order of tokens nor on other graphs.

    Returns:
        `Samples`: the mixtures, with number and score of the better token of each pair, by descending score.

    Raises:
        ConfigError: ``k`` is out of range.
        ShapeError: There are fewer than 2K support tokens.

    Example:
        Tokens 1 and 2 have equal scores, so their mixture is the mean:

        >>> index, scores = RaggedIndex(torch.tensor([0, 3])), torch.tensor([[1.0], [9.0], [9.0]])
        >>> values, support = torch.tensor([[[1.0]], [[2.0]], [[4.0]]]), (torch.zeros(2, 1, 1), torch.zeros(2, 1))
        >>> samples = ragged_sample_paired(values, scores, *support, index, 1)
        >>> samples.candidates, samples.values
        (tensor([[[1]]]), tensor([[[[3.]]]]))

    Cost: O(T H) to choose, O(B H K C) to gather and mix.
    """
    check_k_tau(k, 1.0)
    if support_scores.size(0) < 2 * k:
        raise ShapeError("support_scores", list(support_scores.shape), f"[S, H] with S >= 2k = {2 * k}")
    candidates = ragged_topk(scores.detach(), support_scores.detach(), index, 2 * k)
    best, next_best = candidates.split(k, dim=-1)
    if shuffle:
        next_best = next_best.gather(-1, torch.rand(next_best.shape, device=next_best.device).argsort(-1))
    candidates = torch.cat([best, next_best], dim=-1)
    ranked = rows_of_heads(torch.cat([scores, support_scores]), candidates)
    look_up = candidate_lookup(values, support_values, index.num_tokens)
    first, second = look_up(candidates).split(k, dim=-2)
    share = _share(*ranked.split(k, dim=-1)).unsqueeze(-1).to(first.dtype)
    return Samples(torch.lerp(second, first, share), best, ranked[..., :k])
