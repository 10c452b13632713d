"""The largest scores of each graph and head; ties are broken by the lower index."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.functional.dense_layout import DenseLayout
from pyg_samsa.functional.device_path import is_exporting
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.triton_support import DTYPES, runs_in_triton
from pyg_samsa.typing import Float, Int, Shaped

_LOW = 0xFFFFFFFF
# One program of the kernel ranks all candidates of a graph and head, in blocks of K. For few long graphs the top-k of
# PyTorch, which shares them out among programs, should be faster. The limits follow from the instructions of a block;
# they have not been measured.
_MOST_RANKED, _MOST_BLOCKS = 2048, 64


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
    # ONNX has no view of a float as an integer, and its sort is stable.
    if scores.dtype == torch.float64 or is_exporting():
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
    if _runs_in_triton(scores, support_scores, index, k):
        from pyg_samsa.functional.triton_ranking import triton_ranking

        return triton_ranking(scores, support_scores, index, k)
    if index.num_graphs == 1:
        return topk(torch.cat([scores, support_scores]).t(), k).unsqueeze(0)
    return index.join_graphs([_table_topk(scores, support_scores, layout, k) for layout in index.layouts()])


def _runs_in_triton(scores: Tensor, support_scores: Tensor, index: RaggedIndex, k: int) -> bool:
    return (
        support_scores.dtype in DTYPES
        and k <= _MOST_RANKED
        and runs_in_triton("ranking", scores)
        and index.max_size + support_scores.size(0) <= _MOST_BLOCKS * max(k, 128)
    )


def candidate_table(
    layout: DenseLayout, of_tokens: Shaped[Tensor, "T H ..."], of_support: Shaped[Tensor, "S H ..."], *, fill: float = 0
) -> Shaped[Tensor, "G H candidates ..."]:
    r"""Lay out the candidates of each graph and head in a table: its tokens, padding, and all support tokens.

    .. math::
        \mathrm{table}_{gh} = [\, x_{th} \,]_{t \in g} \,\Vert\, \mathrm{fill} \dots
            \,\Vert\, [\, x'_{sh} \,]_s

    Args:
        layout: Where the tokens lie.
        of_tokens: What there is to lay out, for each token and head.
        of_support: The same for each support token and head.
        fill: Value of the padding.

    Example:
        >>> from pyg_samsa.functional import RaggedIndex
        >>> (layout,) = RaggedIndex(torch.tensor([0, 1, 3])).layouts()
        >>> candidate_table(layout, torch.tensor([[1], [2], [3]]), torch.tensor([[9]])).squeeze(1).tolist()
        [[1, 0, 9], [2, 3, 9]]

    Cost: O(G H (width + S)) per channel.
    """
    table = layout.to_table(of_tokens, fill)
    support = of_support.expand(table.size(0), *of_support.shape)
    return torch.cat([table.transpose(1, 2), support.transpose(1, 2)], dim=2)


def _table_topk(scores: Tensor, support_scores: Tensor, layout: DenseLayout, k: int) -> Tensor:
    """Return the candidates of the graphs in a table: [G, H, K]."""
    tokens, candidates = scores.size(0), scores.size(0) + support_scores.size(0)
    parts = [tokens, candidates - tokens]
    if scores.dtype == torch.float64:
        numbers = torch.arange(candidates, device=scores.device)[:, None].expand(-1, scores.size(1))
        table = candidate_table(layout, scores, support_scores, fill=-torch.inf)
        best = torch.sort(table, dim=-1, descending=True, stable=True).indices[..., :k]
        return candidate_table(layout, *numbers.split_with_sizes(parts)).gather(2, best)
    complements = _complements(candidates, scores.device)[:, None]
    keys = _sort_keys(torch.cat([scores, support_scores]).float(), complements).split_with_sizes(parts)
    return _candidates(candidate_table(layout, *keys, fill=torch.iinfo(torch.long).min).topk(k, dim=-1).values)
