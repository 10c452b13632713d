"""The largest scores of each graph and head; ties are broken by the lower index."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Bool, Float, Int

_LOW = 0xFFFFFFFF


def _sort_keys(scores: Tensor, complements: Tensor) -> Tensor:
    """Pack float32 scores and the complements of candidate numbers into int64 keys whose order is (score, lower number
    first).

    The bits of the magnitude of a float32, read as an integer and given the sign of the number, keep its order. With
    the complement in the low half all keys differ: a plain, unstable top-k is then exact and breaks ties by the lower
    number.
    """
    return torch.add(complements, scores.abs().view(torch.int32) * scores.sign().int(), alpha=2**32)


def _complements(count: int, device: torch.device) -> Tensor:
    return torch.arange(_LOW, _LOW - count, -1, device=device)


def _candidates(keys: Tensor) -> Tensor:
    return _LOW - (keys & _LOW)


def topk(scores: Float[Tensor, "... n"], k: int) -> Int[Tensor, "... K"]:
    r"""Return the indices of the ``k`` largest scores, in descending order; ties are broken by the lower index.

    .. math::
        i = (i_1, \dots, i_K) \quad\text{with}\quad
        z_{i_1} \ge \dots \ge z_{i_K} \ge z_t \;\text{ for all other } t,
        \qquad i_m < i_{m+1} \;\text{ if }\; z_{i_m} = z_{i_{m+1}}

    These are the indices i of section 4.2 of `SAMSA <https://arxiv.org/abs/2408.05391>`_; the paper does not define the
    order of ties.

    Args:
        scores: Finite scores z; half precision is compared as float32.
        k: Number of indices K, 0 to n.

    Returns:
        Indices, int64.

    Example:
        >>> topk(torch.tensor([1.0, 3.0, 3.0, 2.0]), 3)
        tensor([1, 2, 3])

    Cost: O(n + K log K) in float32, O(n log n) in float64.
    """
    if scores.dtype == torch.float64:
        return torch.sort(scores, dim=-1, descending=True, stable=True).indices[..., :k]
    return _sort_keys(scores.float(), _complements(scores.size(-1), scores.device)).topk(k, dim=-1).indices


def ragged_topk(
    scores: Float[Tensor, "T H"], support_scores: Float[Tensor, "S H"], index: RaggedIndex, k: int
) -> Int[Tensor, "B H K"]:
    r"""Return the ``k`` best candidates of each graph and head: tokens of the graph and support tokens.

    .. math::
        i_{bh} = \operatorname{topk}\bigl( [\, z_{th} \,]_{t \in b} \,\Vert\, [\, z'_{sh} \,]_s, \; K \bigr)

    Support tokens are candidates in every graph, so graphs with fewer than K tokens and empty graphs are allowed
    (section 4.2 of `SAMSA <https://arxiv.org/abs/2408.05391>`_).

    Args:
        scores: Finite scores z of the tokens.
        support_scores: Finite scores z' of the S support tokens, S at least K.
        index: Where each graph begins and ends.
        k: Number of candidates K to keep.

    Returns:
        Candidate numbers, int64, in descending order of score: a number below T is a token, T + s is support token s.
        Ties are broken by the lower number.

    Example:
        The second graph is empty, so it takes support tokens only:

        >>> index = RaggedIndex(torch.tensor([0, 2, 2]))
        >>> ragged_topk(torch.tensor([[5.0], [1.0]]), torch.tensor([[2.0], [3.0]]), index, 2)
        tensor([[[0, 3]],
        <BLANKLINE>
                [[3, 2]]])

    Cost: O(T H + B H (S + K log K)) in float32. Memory: one dense table of scores, never of tokens, for each group of
    graphs of similar size.
    """
    if index.num_graphs == 1:
        return topk(torch.cat([scores, support_scores]).t(), k).unsqueeze(0)
    heads = scores.size(1)
    groups = list(index.groups())
    if len(groups) == 1 and groups[0][0] is None:
        return _group_topk(scores, support_scores, index, None, index.max_size, k)
    out = torch.empty(index.num_graphs, heads, k, dtype=torch.long, device=scores.device)
    for graphs, width in groups:
        out[graphs] = _group_topk(scores, support_scores, index, graphs, width, k)
    return out


def dense_candidates(
    index: RaggedIndex, graphs: Int[Tensor, " G"] | None, width: int
) -> tuple[Int[Tensor, "G width"], Bool[Tensor, "G width"]]:
    r"""Return the token numbers of some graphs as a dense table, and which of its cells are real.

    .. math::
        \text{number}_{gc} = \text{ptr}_g + c, \qquad \text{real}_{gc} = [\, c < n_g \,]

    Args:
        index: Where each graph begins and ends.
        graphs: The graphs; None means all.
        width: Columns of the table, at least the tokens of the largest of the graphs.

    Returns:
        Token numbers, int64, 0 for padding; and the mask of the cells that are not padding.

    Example:
        >>> dense_candidates(RaggedIndex(torch.tensor([0, 1, 3])), None, 2)
        (tensor([[0, 0],
                [1, 2]]), tensor([[ True, False],
                [ True,  True]]))

    Cost: O(G width).
    """
    begin, size = index.ptr[:-1], index.ptr.diff()
    if graphs is not None:
        begin, size = begin[graphs], size[graphs]
    column = torch.arange(width, device=index.device)
    real = column < size[:, None]
    return torch.where(real, begin[:, None] + column, 0), real


def _group_topk(
    scores: Tensor, support_scores: Tensor, index: RaggedIndex, graphs: Tensor | None, width: int, k: int
) -> Tensor:
    heads, supports, tokens = scores.size(1), support_scores.size(0), index.num_tokens
    if scores.dtype != torch.float64:
        all_scores = torch.cat([scores, support_scores]).float()
        keys, support_keys = _sort_keys(all_scores, _complements(tokens + supports, scores.device)[:, None]).split(
            [tokens, supports]
        )
        if index.uniform:
            pieces = [
                keys.view(index.num_graphs, width, heads).transpose(1, 2),
                support_keys.t().expand(index.num_graphs, -1, -1),
            ]
            return _candidates(torch.cat(pieces, dim=-1).topk(k, dim=-1).values)
    number, real = dense_candidates(index, graphs, width)
    groups = number.size(0)
    if scores.dtype == torch.float64:
        table = scores.new_full((groups, heads, width + supports), -torch.inf)
        table[..., :width] = _rows(scores, number, tokens).masked_fill_(~real[:, None], -torch.inf)
        table[..., width:] = support_scores.t()
        numbers = torch.cat(
            [number, torch.arange(tokens, tokens + supports, device=scores.device).expand(groups, -1)], dim=1
        )
        best = torch.sort(table, dim=-1, descending=True, stable=True).indices[..., :k]
        return numbers[:, None].expand(-1, heads, -1).gather(2, best)
    table = torch.empty(groups, heads, width + supports, dtype=torch.long, device=scores.device)
    table[..., :width] = _rows(keys, number, tokens).masked_fill_(~real[:, None], torch.iinfo(torch.long).min)
    table[..., width:] = support_keys.t()
    return _candidates(table.topk(k, dim=-1).values)


def _rows(table: Tensor, number: Tensor, tokens: int) -> Tensor:
    """Look up rows of ``table`` [T, H] as [G, H, width]; zeros if there are no tokens."""
    if tokens == 0:
        return table.new_zeros(number.size(0), table.size(1), number.size(1))
    return table.t()[:, number].transpose(0, 1).contiguous()
