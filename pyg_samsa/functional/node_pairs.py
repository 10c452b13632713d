"""Pairs of nodes: their check, and the scores that are computed from the vectors of both nodes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.functional.inputs import check_tensor
from pyg_samsa.typing import Float, Int

SIMILARITIES = ("dot", "cosine_similarity")
"""Scores of a pair without weights."""


def check_pairs(pairs: Int[Tensor, "2 L"] | None, graph: Int[Tensor, " N"]) -> Int[Tensor, "2 L"]:
    r"""Return the pairs, or raise an error unless each joins two nodes of one graph.

    .. math::
        0 \le i, j < N, \qquad \mathrm{graph}(i) = \mathrm{graph}(j) \quad \text{for every pair } (i, j)

    Args:
        pairs: Pairs of nodes, ``edge_label_index``.
        graph: Graph number of each node.

    Raises:
        ShapeError: There are no pairs, they have another shape, or a pair is not in one graph.

    Example:
        >>> check_pairs(torch.tensor([[0], [2]]), torch.tensor([0, 0, 1]))
        Traceback (most recent call last):
        pyg_samsa.errors.ShapeError: edge_label_index: got the pair (0, 2), expected pairs of nodes 0 to 2 of one graph

    Cost: O(L).
    """
    name = "edge_label_index"
    pairs = check_tensor(name, pairs, "pairs of nodes, integers [2, L], because level is 'link'")
    if pairs.dim() != 2 or pairs.size(0) != 2 or pairs.is_floating_point() or pairs.dtype == torch.bool:
        raise ShapeError(name, f"{list(pairs.shape)} {pairs.dtype}", "integers [2, L]")
    if not pairs.size(1):
        return pairs
    count = graph.numel()
    if not count:
        raise ShapeError(name, f"{pairs.size(1)} pairs", "none, because there are no nodes")
    inside = pairs.clamp(0, count - 1)
    wrong = (inside != pairs).any(0) | (graph[inside[0]] != graph[inside[1]])

    def explain() -> ShapeError:
        first, second = pairs[:, wrong][:, 0].tolist()
        return ShapeError(name, f"the pair ({first}, {second})", f"pairs of nodes 0 to {count - 1} of one graph")

    require(wrong.any(), explain)
    return pairs


def score_pairs(h: Float[Tensor, "N D"], pairs: Int[Tensor, "2 L"], similarity: str = "dot") -> Float[Tensor, "L 1"]:
    r"""Return the similarity of the vectors of both nodes of each pair.

    .. math::
        \mathrm{dot}: \; s_{ij} = h_i^\top h_j, \qquad
        \mathrm{cosine\_similarity}: \; s_{ij} = \frac{h_i^\top h_j}{\lVert h_i \rVert \, \lVert h_j \rVert}

    Args:
        h: Vectors of the nodes.
        pairs: Pairs of nodes.
        similarity: One of :obj:`SIMILARITIES`.

    Example:
        >>> score_pairs(torch.tensor([[1.0, 2.0], [3.0, 0.0]]), torch.tensor([[0, 0], [0, 1]])).tolist()
        [[5.0], [3.0]]

    Cost: O(L D).
    """
    first, second = (h.index_select(0, ends) for ends in pairs)
    if similarity == "dot":
        return (first * second).sum(-1, keepdim=True)
    return F.cosine_similarity(first, second, dim=-1).unsqueeze(-1)
