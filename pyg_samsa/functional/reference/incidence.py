"""Message passing between nodes and edge tokens, literally."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_samsa.typing import Float, Int


def incidence(
    x: Float[Tensor, "T D"],
    edge_index: Int[Tensor, "2 E"],
    edge_rows: Int[Tensor, " E"],
    as_source: Float[Tensor, "D D"],
    as_target: Float[Tensor, "D D"],
) -> Float[Tensor, "T D"]:
    r"""Let every edge token hear its two nodes, and every node its edges.

    .. math::
        m_e = x_e + A x_s + B x_t, \qquad m_i = x_i + \sum_{e: s(e) = i} A x_e + \sum_{e: t(e) = i} B x_e

    Args:
        x: Tokens.
        edge_index: Rows of source and target of each edge.
        edge_rows: Row of each edge.
        as_source: The matrix A.
        as_target: The matrix B.

    Returns:
        The sums m.

    Example:
        >>> x, one = torch.tensor([[1.0], [2.0], [4.0]]), torch.eye(1)
        >>> incidence(x, torch.tensor([[0], [1]]), torch.tensor([2]), one, one).tolist()
        [[5.0], [6.0], [7.0]]

    Cost: O(E D^2), one edge at a time.
    """
    sums = [row.clone() for row in x]
    for edge, (source, target) in zip(edge_rows.tolist(), edge_index.T.tolist(), strict=True):
        sums[edge] = sums[edge] + as_source @ x[source] + as_target @ x[target]
        sums[source] = sums[source] + as_source @ x[edge]
        sums[target] = sums[target] + as_target @ x[edge]
    return torch.stack(sums) if sums else x
