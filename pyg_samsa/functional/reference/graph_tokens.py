"""Nodes and edges as tokens, and pooling of tokens, literally (section 4.3 of arXiv 2408.05391)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.typing import Float, Int


def graph_bridge(
    x: Float[Tensor, "N F"],
    edge_index: Int[Tensor, "2 E"],
    edge_attr: Float[Tensor, "E Fe"] | None,
    eps: Float[Tensor, "N D"] | Sequence[Tensor],
    sigma: Float[Tensor, "..."],
    phi: Callable[[Tensor], Tensor],
    phi_v: Callable[[Tensor], Tensor],
    phi_e: Callable[[Tensor], Tensor],
    batch: Int[Tensor, " N"] | None = None,
    batch_size: int | None = None,
) -> tuple[Float[Tensor, "T channels"], list[int]]:
    r"""Turn every node and every directed edge into a token (Graph-Bridge, section 4.3).

    With one code per node,

    .. math::
        p_i = \epsilon_i \sigma + \phi(x_i), \qquad p_{ij} = p_i - p_j, \qquad
        h_i = \phi_V([p_i, x_i]), \qquad h_{ij} = \phi_E([p_{ij}, e_{ij}]).

    With two codes per node, as in the authors' code, each has its own sigma and phi:

    .. math::
        L_i = \epsilon^1_i \sigma^1 + \phi^1(x_i), \qquad R_i = \epsilon^2_i \sigma^2 + \phi^2(x_i), \qquad
        p_{ij} = L_i - R_j, \qquad h_i = \phi_V([L_i, R_i, x_i]).

    Args:
        x: Encoded node features [N, F].
        edge_index: Sources and targets [2, E]; self-loops, duplicates and E = 0 are allowed.
        edge_attr: Encoded edge features [E, F_e], or None: then h_ij = phi_E(p_ij).
        eps: Standard normal codes [N, D], or a sequence of two of them.
        sigma: Their standard deviations, already positive: [D], or [2, D] for two codes.
        phi: Map of one node's features [F] to [D], or to [2D] for two codes: the first D are phi1.
        phi_v: Map of [p_i, x_i] [D + F], or of [L_i, R_i, x_i] [2D + F], to a token [D].
        phi_e: Map of [p_ij, e_ij] [D + F_e] to a token [D].
        batch: Graph of every node [N], in any order; None means one graph.
        batch_size: Number of graphs B; by default one more than the largest number in ``batch``.

    Returns:
        tokens [T, D], T = N + E: of every graph its nodes, then its edges, both in their given order; and ptr [B+1],
        where each graph begins.

    Raises:
        ShapeError: An edge joins two graphs, there are neither one nor two codes, or ``batch`` exceeds ``batch_size``.

    Example:
        >>> x, edges = torch.tensor([[1.0], [2.0]]), torch.tensor([[0], [1]])
        >>> same, total = (lambda features: features), (lambda inputs: inputs.sum(0, keepdim=True))
        >>> bond, codes, sigma = torch.tensor([[10.0]]), torch.tensor([[1.0], [0.0]]), torch.tensor([0.5])
        >>> tokens, ptr = graph_bridge(x, edges, bond, codes, sigma, same, total, total)
        >>> tokens.tolist(), ptr  # p = 1.5, 2; h_0 = 1.5 + 1, h_1 = 2 + 2, h_01 = -0.5 + 10
        ([[2.5], [4.0], [9.5]], [0, 3])

    Cost: One call of phi and phi_V per node and of phi_E per edge, and O(B (N + E)).
    """
    codes = [eps] if isinstance(eps, Tensor) else list(eps)
    if len(codes) not in (1, 2):
        raise ShapeError("eps", f"{len(codes)} codes", "one or two")
    graph_of = [0] * x.size(0) if batch is None else [int(graph) for graph in batch]
    num_graphs = max([*graph_of, 0 if batch is None else -1]) + 1 if batch_size is None else batch_size
    if any(not 0 <= graph < num_graphs for graph in graph_of):
        raise ShapeError("batch", f"graphs {min(graph_of)} to {max(graph_of)}", f"0 to {num_graphs - 1}")
    d, sigmas = codes[0].size(1), sigma.reshape(len(codes), -1)
    positions = [
        [code[i] * sigmas[number] + phi(x[i])[number * d : (number + 1) * d] for i in range(x.size(0))]
        for number, code in enumerate(codes)
    ]
    left, right = positions[0], positions[-1]

    tokens, ptr = [], [0]
    for graph in range(num_graphs):
        for i in range(x.size(0)):
            if graph_of[i] == graph:
                tokens.append(phi_v(torch.cat([*(position[i] for position in positions), x[i]])))
        for edge in range(edge_index.size(1)):
            i, j = int(edge_index[0, edge]), int(edge_index[1, edge])
            if graph_of[i] != graph_of[j]:
                raise ShapeError(
                    "edge_index",
                    f"edge {edge} from graph {graph_of[i]} to graph {graph_of[j]}",
                    "both ends in one graph",
                )
            if graph_of[i] == graph:
                p = left[i] - right[j]
                tokens.append(phi_e(p if edge_attr is None else torch.cat([p, edge_attr[edge]])))
        ptr.append(len(tokens))
    return torch.stack(tokens) if tokens else x.new_zeros((0, d)), ptr


def attention_pool(
    x: Float[Tensor, "T D"],
    ptr: Int[Tensor, " _"] | Sequence[int],
    weight: Float[Tensor, "1 D"],
    bias: Float[Tensor, "1"] | None,
) -> Float[Tensor, "B D"]:
    r"""Average the tokens of every graph with learned weights; a graph without tokens gives zeros.

    .. math::
        y_b = \sum_{t \in b} \mathrm{softmax}_{t \in b}(w^\top x_t + b) \, x_t

    Args:
        x: Tokens [T, D].
        ptr: Where each graph begins, and the end [B+1].
        weight: w [1, D].
        bias: b [1] or None; it cancels.

    Returns:
        [B, D].

    Example:
        >>> attention_pool(torch.tensor([[1.0], [3.0], [7.0]]), [0, 2, 2, 3], torch.zeros(1, 1), None).tolist()
        [[2.0], [0.0], [7.0]]
    """
    rows = []
    for begin, end in pairwise([int(bound) for bound in ptr]):
        pooled = x.new_zeros(x.size(1))
        if begin < end:
            logits = torch.stack(
                [(weight[0] * token).sum() + (0.0 if bias is None else bias[0]) for token in x[begin:end]]
            )
            probability = torch.softmax(logits, dim=0)
            for t in range(end - begin):
                pooled = pooled + probability[t] * x[begin + t]
        rows.append(pooled)
    return torch.stack(rows) if rows else x.new_zeros((0, x.size(1)))


def mean_pool(x: Float[Tensor, "T D"], ptr: Int[Tensor, " _"] | Sequence[int]) -> Float[Tensor, "B D"]:
    r"""Average the tokens of every graph, :math:`\tfrac{1}{n_b} \sum_{t \in b} x_t`; a graph without tokens gives
    zeros.

    Example:
        >>> mean_pool(torch.tensor([[1.0], [3.0], [7.0]]), [0, 2, 2, 3]).tolist()
        [[2.0], [0.0], [7.0]]
    """
    rows = []
    for begin, end in pairwise([int(bound) for bound in ptr]):
        pooled = x.new_zeros(x.size(1))
        for t in range(begin, end):
            pooled = pooled + x[t] / (end - begin)
        rows.append(pooled)
    return torch.stack(rows) if rows else x.new_zeros((0, x.size(1)))
