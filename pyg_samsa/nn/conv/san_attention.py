"""The attention of SAN: over the edges of a graph, and over all other pairs of its nodes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Linear, Module, Parameter
from torch_geometric.nn.inits import reset
from torch_geometric.utils import softmax

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.autocast import at_least_float32, without_autocast
from pyg_samsa.functional.graph_index import check_within_graphs
from pyg_samsa.functional.graph_pairs import GraphPairs
from pyg_samsa.options import check_integer, is_number
from pyg_samsa.typing import Bool, Float, Int

_MOST_SCORE = 5.0
_SMALLEST = 1e-6
_FIRST_GAMMA = 0.5


class OtherPairs(NamedTuple):
    """The pairs of nodes that no edge joins, with the one vector of features that all of them have.

    Attributes:
        pairs: All pairs of nodes of each graph.
        tables: Whether no edge leads from j to i and i is not j, bool [G, width, width] for each of ``pairs.layouts``.
        features: The features [D].

    Example:
        >>> from pyg_samsa.functional import RaggedIndex
        >>> pairs = GraphPairs(RaggedIndex(torch.tensor([0, 2])))
        >>> OtherPairs(pairs, [torch.eye(2)[None] == 0], torch.zeros(8)).tables[0].tolist()
        [[[False, True], [True, False]]]
    """

    pairs: GraphPairs
    tables: list[Tensor]
    features: Tensor


def other_pairs(pairs: GraphPairs, edge_index: Int[Tensor, "2 E"]) -> list[Bool[Tensor, "G width width"]]:
    r"""Return which pairs of nodes no edge joins, for `OtherPairs`.

    .. math::
        \mathrm{table}_{ij} = [\, i \ne j, \; (j \to i) \notin E \,]

    Args:
        pairs: All pairs of nodes of each graph.
        edge_index: Edges between their nodes.

    Raises:
        ShapeError: An edge joins two graphs.

    Example:
        >>> from pyg_samsa.functional import RaggedIndex
        >>> other_pairs(GraphPairs(RaggedIndex(torch.tensor([0, 2]))), torch.tensor([[0], [1]]))[0].tolist()
        [[[False, True], [False, False]]]

    Cost: O(E + P), up to 4 P cells of a byte, with P the sum of n^2 over the graphs.
    """
    check_within_graphs(edge_index, pairs.index.batch)
    free = pairs.first != pairs.second
    source, target = edge_index
    return pairs.tables(free.index_fill(0, pairs.rows(target, source), False), fill=False)


class SANAttention(Module):
    r"""Attention over the edges of a graph, and with less weight over all other pairs of its nodes.

    .. math::
        s_{ij} = \frac{1}{\sqrt{C}} \sum_c (W_Q x_i)_c \, (W_K x_j)_c \, (W_E e_{ij})_c, \qquad
        w_{ij} = \exp(\mathrm{clip}(s_{ij}, -5, 5)) \cdot
        \begin{cases} 1 / (1 + \gamma) & (j \to i) \in E \\ \gamma / (1 + \gamma) & \text{else} \end{cases}, \qquad
        x'_i = \frac{\sum_j w_{ij} W_V x_j}{\sum_j w_{ij} + 10^{-6}}

    from `"Rethinking Graph Transformers with Spectral Attention" <https://arxiv.org/abs/2106.03893>`_, where
    :math:`W_Q, W_K, W_E` are others for pairs that no edge joins. These pairs have one vector of features; a node is no
    pair with itself, unless it has a loop. With ``learned`` (SAN2 of GraphGPS), both kinds of pairs have a softmax of
    their own, and :math:`\gamma` is learned, from 0.5 on.

    Args:
        channels: Channels D, a multiple of ``heads``.
        heads: Number of heads H.
        gamma: Weight :math:`\gamma` of the other pairs, at least 0; not used with ``learned``.
        full_graph: Whether the other pairs take part; else :math:`\gamma` is 0.
        learned: Whether :math:`\gamma` is learned.

    Shapes:
        - **input:** nodes [N, D], sorted by graph, edges [2, E], features of edges [E, D] (*optional*)
        - **output:** nodes [N, D], the heads side by side

    Raises:
        ConfigError: An argument is out of range.

    Example:
        >>> attention, edges = SANAttention(8, heads=2, full_graph=False), torch.tensor([[0, 1], [1, 2]])
        >>> attention(torch.randn(3, 8), edges, torch.randn(2, 8)).shape
        torch.Size([3, 8])

    Cost: O((N + E) D^2 + P D) time and O((N + E) D + P H) memory, with P the sum of n^2 over the graphs, or up to 4
    times that where they differ in size. No tensor P x D exists.
    """

    def __init__(
        self, channels: int, heads: int, *, gamma: float = 1e-5, full_graph: bool = True, learned: bool = False
    ) -> None:
        super().__init__()
        check_integer("channels", channels)
        check_integer("heads", heads)
        if channels % heads:
            raise ConfigError("heads", heads, f"a divisor of channels = {channels}")
        if not is_number(gamma) or not 0 <= gamma < float("inf"):
            raise ConfigError("gamma", gamma, "a finite number of at least 0")
        self.channels, self.heads, self.learned = channels, heads, learned

        def linear() -> Linear:
            return Linear(channels, channels, bias=False)

        self.query, self.key, self.edge, self.value = linear(), linear(), linear(), linear()
        self.other_query, self.other_key, self.other_edge = (linear() if full_graph else None for _ in range(3))
        self.gamma = Parameter(torch.tensor(_FIRST_GAMMA)) if learned and full_graph else gamma if full_graph else 0.0

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for module in self.children():
            reset(module)
        if isinstance(self.gamma, Parameter):
            torch.nn.init.constant_(self.gamma, _FIRST_GAMMA)

    def forward(
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Float[Tensor, "E D"] | None = None,
        others: OtherPairs | None = None,
    ) -> Float[Tensor, "N D"]:
        r"""Return the mixed values of each node.

        .. math::
            x'_i = \frac{\sum_j w_{ij} W_V x_j}{\sum_j w_{ij} + 10^{-6}}

        Args:
            x: Nodes.
            edge_index: Directed edges. Parallel ones count each.
            edge_attr: Features of the edges; None for the factor 1 in the place of :math:`W_E e_{ij}`.
            others: The other pairs, needed with ``full_graph``.

        Raises:
            ConfigError: The other pairs are missing.

        Example:
            >>> from pyg_samsa.functional import RaggedIndex
            >>> pairs, edges = GraphPairs(RaggedIndex(torch.tensor([0, 3]))), torch.tensor([[0, 1], [1, 2]])
            >>> others = OtherPairs(pairs, other_pairs(pairs, edges), torch.randn(8))
            >>> SANAttention(8, heads=2)(torch.randn(3, 8), edges, None, others).shape
            torch.Size([3, 8])
        """
        source, target = edge_index
        values = self.value(x)
        value = self._heads(values)
        score = self._heads(self.query(x))[target] * self._heads(self.key(x))[source]
        if edge_attr is not None:
            score = score * self._heads(self.edge(edge_attr))
        scores = score.sum(-1) * (self.channels // self.heads) ** -0.5
        gamma = self.gamma
        bounded = scores.clamp(-_MOST_SCORE, _MOST_SCORE)
        weight = softmax(scores, target, num_nodes=len(x)) if self.learned else bounded.exp()
        weight = weight / (1 + gamma)
        messages = weight.unsqueeze(-1) * value[source]
        mixed = messages.new_zeros(value.shape).index_add(0, target, messages)
        total = weight.new_zeros(value.shape[:2]).index_add(0, target, weight)
        if self.other_query is not None:
            if others is None:
                raise ConfigError("others", None, "the other pairs of nodes, because full_graph is True")
            added, weights = self._others(x, value, others)
            mixed, total = mixed + gamma / (1 + gamma) * added, total + gamma / (1 + gamma) * weights
        return (mixed if self.learned else mixed / (total + _SMALLEST).unsqueeze(-1)).flatten(1).to(values.dtype)

    def _others(self, x: Tensor, value: Tensor, others: OtherPairs) -> tuple[Tensor, Tensor]:
        """Return weighted sums of the values of the other pairs [N, H, C] and of their weights [N, H]."""
        assert self.other_query is not None
        assert self.other_key is not None
        assert self.other_edge is not None
        # All pairs have the same features, so that their factor is one of the query.
        query = self._heads(self.other_query(x)) * self._heads(self.other_edge(others.features))
        key, scale = self._heads(self.other_key(x)), (self.channels // self.heads) ** -0.5
        sums, totals = [], []
        for layout, table in zip(others.pairs.layouts, others.tables, strict=True):
            q, k, v = (layout.to_table(part).transpose(1, 2) for part in (query * scale, key, value))
            with without_autocast(x):
                scores, among = q @ k.transpose(2, 3), table.unsqueeze(1)
                if self.learned:  # a node without other pairs has the weights 0
                    weight = scores.masked_fill(~among, torch.finfo(scores.dtype).min).softmax(-1) * among
                else:
                    weight = scores.clamp(-_MOST_SCORE, _MOST_SCORE).masked_fill(~among, -torch.inf).exp()
                sums.append((weight @ v).transpose(1, 2))
                totals.append(weight.sum(-1).transpose(1, 2))
        return others.pairs.join(sums), others.pairs.join(totals)

    def _heads(self, x: Tensor) -> Tensor:
        # Sums of weights up to exp(5) over some hundred nodes are more than float16 holds.
        return at_least_float32(x).unflatten(-1, (self.heads, -1))

    def extra_repr(self) -> str:
        """Return the sizes as they appear in the ``repr``.

        Example:
            >>> SANAttention(8, heads=2, gamma=0.1).extra_repr()
            '8, heads=2, gamma=0.1'
        """
        return f"{self.channels}, heads={self.heads}, gamma={'learned' if self.learned else self.gamma}"
