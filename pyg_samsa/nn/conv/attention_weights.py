"""What an operator returns besides tokens: attention weights of pairs of tokens, and the tokens that it sampled."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Float, Int

AttentionWeights = tuple[Int[Tensor, "2 M"], Float[Tensor, "M H"]]
"""Pairs [2, M] (attended row, attending row) and the weights of the heads [M, H], as PyG's operators return them."""


class SampledTokens(NamedTuple):
    """The tokens that each head of each graph sampled.

    Attributes:
        index: Rows of ``x``; -1 - s stands for support vector s.
        score: Their importance scores, in descending order.

    Example:
        >>> from pyg_samsa.nn import SAMSAConv
        >>> conv = SAMSAConv(16, heads=4, num_samples=8)
        >>> out, sampled = conv(torch.randn(30, 16), return_sampled_tokens=True)
        >>> sampled.index.shape
        torch.Size([1, 4, 8])
    """

    index: Int[Tensor, "B H K"]  # type: ignore[assignment]
    score: Float[Tensor, "B H K"]


def in_given_order(weights: AttentionWeights, perm: Int[Tensor, " T"] | None) -> AttentionWeights:
    """Turn rows of the sorted tokens into rows of the input; support vectors stay behind them.

    Args:
        weights: Pairs of rows of the sorted tokens, and their weights.
        perm: Row of the input of each sorted token, or None if they are the same.

    Returns:
        Pairs of rows of the input, and their weights.

    Example:
        >>> pairs, _ = in_given_order((torch.tensor([[0, 2], [1, 1]]), torch.ones(2, 1)), torch.tensor([1, 0]))
        >>> pairs.tolist()
        [[1, 2], [0, 0]]

    Cost: O(M).
    """
    if perm is None:
        return weights
    pairs, alpha = weights
    tokens = perm.numel()
    rows = perm[pairs.clamp_max(max(tokens - 1, 0))] if tokens else pairs
    return torch.where(pairs < tokens, rows, pairs), alpha


def weights_of_samples(
    alpha: Float[Tensor, "T H K"], candidates: Int[Tensor, "B H K"], index: RaggedIndex
) -> AttentionWeights:
    r"""Turn the weights of sampled keys into weights of pairs of tokens.

    Every head has its own keys. A pair is listed if any head attends to it; its weight is 0 for the other heads.

    Args:
        alpha: Attention weights.
        candidates: Tokens that the keys belong to; T + s is support vector s.
        index: Where each graph begins and ends.

    Returns:
        Pairs [2, M] of an attended and an attending row, and the weights [M, H].

    Example:
        >>> pairs, weights = weights_of_samples(
        ...     torch.ones(2, 1, 1), torch.tensor([[[1]]]), RaggedIndex(torch.tensor([0, 2])))
        >>> pairs.tolist(), weights.flatten().tolist()
        ([[1, 1], [0, 1]], [1.0, 1.0])

    Cost: O(T H min(n, H K)).
    """
    pairs, weights, begin = [], [], 0
    for graph, size in enumerate(index.sizes):
        sources, place = candidates[graph].unique(return_inverse=True)
        part = alpha[begin : begin + size]
        spread = part.new_zeros(size, part.size(1), sources.numel())
        spread.scatter_add_(2, place.expand(size, -1, -1), part)
        rows = torch.arange(begin, begin + size, device=alpha.device)
        pairs.append(torch.stack([sources.repeat(size), rows.repeat_interleave(sources.numel())]))
        weights.append(spread.transpose(1, 2).flatten(0, 1))
        begin += size
    return torch.cat(pairs, dim=1), torch.cat(weights)


def identity_values(index: RaggedIndex, heads: int, dtype: torch.dtype) -> Float[Tensor, "T H n"]:
    """Return values for which the output of an operator is its attention weights: an identity matrix per graph.

    Args:
        index: Where each graph begins and ends.
        heads: Number of heads H.
        dtype: Type of the values.

    Returns:
        Values; n is the size of the largest graph.

    Example:
        >>> identity_values(RaggedIndex(torch.tensor([0, 2, 3])), 1, torch.float32)[:, 0].tolist()
        [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    place = torch.arange(index.num_tokens, device=index.device) - index.ptr[index.batch]
    return F.one_hot(place, max(index.max_size, 1)).to(dtype).unsqueeze(1).expand(-1, heads, -1)


def weights_of_all(alpha: Float[Tensor, "T H n"], index: RaggedIndex) -> AttentionWeights:
    """Turn a table of attention weights into weights of all pairs of tokens of a graph.

    Args:
        alpha: Attention weights of each token to the tokens of its graph; n is the size of the largest graph.
        index: Where each graph begins and ends.

    Returns:
        Pairs [2, M] of an attended and an attending row, and the weights [M, H], with M the sum of squared sizes.

    Example:
        >>> pairs, weights = weights_of_all(torch.ones(2, 1, 2), RaggedIndex(torch.tensor([0, 2])))
        >>> pairs.tolist()
        [[0, 1, 0, 1], [0, 0, 1, 1]]
    """
    pairs, weights, begin = [], [], 0
    for size in index.sizes:
        rows = torch.arange(begin, begin + size, device=alpha.device)
        pairs.append(torch.stack([rows.repeat(size), rows.repeat_interleave(size)]))
        weights.append(alpha[begin : begin + size, :, :size].transpose(1, 2).flatten(0, 1))
        begin += size
    return torch.cat(pairs, dim=1), torch.cat(weights)
