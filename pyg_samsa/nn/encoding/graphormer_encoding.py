from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from torch import Tensor
from torch.nn import Dropout, Embedding, Module, Parameter
from torch.nn.functional import embedding_bag
from torch_geometric.utils import degree

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.functional.deferred_checks import require
from pyg_samsa.functional.graph_pairs import GraphPairs, PairBias, pair_bias
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.functional.shortest_paths import MOST_TYPES, batch_paths, edge_types, path_types
from pyg_samsa.options import Option, check_integer, check_probability, is_number
from pyg_samsa.typing import Float, Int, Shaped

_STD = 0.02


class WithStructure(NamedTuple):
    """Nodes to which `GraphormerEncoding` has added what it knows of the graph.

    Attributes:
        x: Tokens [T, D]: the nodes, after the graph token of each graph if there is one.
        index: Where each graph begins and ends among the tokens.
        node_rows: Token of each node [N].
        bias: Bias of the attention between tokens; None for none.

    Example:
        >>> x, index = torch.randn(2, 8), RaggedIndex(torch.tensor([0, 2]))
        >>> WithStructure(x, index, torch.arange(2), None).index.num_tokens
        2
    """

    x: Tensor
    index: RaggedIndex  # type: ignore[assignment]
    node_rows: Tensor
    bias: PairBias | None


class GraphormerEncoding(Module):
    r"""The structural encodings of Graphormer: degrees, a graph token, and a bias of the attention by shortest paths.

    .. math::
        h_i = x_i + z^-_{\deg^-(i)} + z^+_{\deg^+(i)}, \qquad
        b_{ij} = s_{\phi(i, j)} + \frac{1}{\max(\phi(i, j), 1)} \sum_{k=1}^{K} W_k \, e_{t_k(i, j)}

    from `"Do Transformers Really Perform Bad for Graph Representation?" <https://arxiv.org/abs/2106.05234>`_, in the
    form of GraphGPS. :math:`\phi` is the length of the shortest path, at most K - 1, or K where no path leads, and
    :math:`t_k` are the types of the edges along it; after its end :math:`t_k = 0`. See
    `pyg_samsa.functional.shortest_paths`. The graph token comes first in its graph; all pairs with it have one learned
    bias.

    Args:
        channels: Channels D of a node.
        heads: Number of heads H.
        num_spatial_types: Number K of spatial types.
        num_in_degrees: Number of in-degrees, from 0.
        num_out_degrees: Number of out-degrees, from 0.
        edge_types: Number of categories of each feature of the edges, whose combinations are the types of the edges;
            None if edges have no types.
        node_degrees_only: Whether there is no bias.
        use_graph_token: Whether each graph gets a graph token.
        input_dropout: Dropout of the tokens, 0 to below 1.

    Shapes:
        - **input:** nodes [N, D], sorted by graph, edges [2, E], types of edges [E] or [E, F] (*optional*)
        - **output:** `WithStructure`

    Raises:
        ConfigError: An argument is out of range.
        ShapeError: A degree is too large, or the features of the edges do not fit.

    Example:
        >>> encoding, index = GraphormerEncoding(8, heads=2), RaggedIndex(torch.tensor([0, 3, 5]))
        >>> found = encoding(torch.randn(5, 8), torch.tensor([[0, 1], [1, 2]]), index)
        >>> found.x.shape, [table.shape for table in found.bias.tables]
        (torch.Size([7, 8]), [torch.Size([2, 2, 4, 4])])

    Cost: O(N D + P H (1 + K)) time and O(N D + P (H + K)) memory, with P the sum of n^2 over the graphs, and that of
    `pyg_samsa.functional.shortest_paths.batch_paths` where ``paths`` are not given.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        num_spatial_types: Annotated[
            int, Option("Lengths of shortest paths that have biases of their own, from 0.", low=1, high=1000)
        ] = 20,
        num_in_degrees: Annotated[int, Option("Number of in-degrees, from 0.", low=1, high=2**24)] = 64,
        num_out_degrees: Annotated[int, Option("Number of out-degrees, from 0.", low=1, high=2**24)] = 64,
        edge_types: Sequence[int] | None = None,
        node_degrees_only: Annotated[bool, Option("Whether only degrees are encoded, without biases.")] = False,
        use_graph_token: Annotated[bool, Option("Whether a token is added to each graph.")] = True,
        input_dropout: Annotated[float, Option("Dropout of nodes with their degrees.", low=0, below=1)] = 0.0,
    ) -> None:
        super().__init__()
        counts = {"channels": channels, "heads": heads, "num_spatial_types": num_spatial_types}
        counts |= {"num_in_degrees": num_in_degrees, "num_out_degrees": num_out_degrees}
        for name, count in counts.items():
            check_integer(name, count)
        check_probability("input_dropout", input_dropout)
        if edge_types is not None:
            whole = bool(len(edge_types)) and all(is_number(kinds, whole=True) and kinds > 0 for kinds in edge_types)
            if not whole or math.prod(edge_types) > MOST_TYPES:
                expected = f"numbers of categories, with 1 to {MOST_TYPES:,} combinations"
                raise ConfigError("edge_types", edge_types, expected)
        self.channels, self.heads, self.num_spatial_types = channels, heads, num_spatial_types
        self.edge_types = None if edge_types is None or node_degrees_only else tuple(edge_types)
        self.in_degree, self.out_degree = Embedding(num_in_degrees, channels), Embedding(num_out_degrees, channels)
        self.graph_token = Parameter(torch.empty(channels)) if use_graph_token else None
        self.spatial = None if node_degrees_only else Embedding(num_spatial_types + 1, heads)
        self.token_bias = Parameter(torch.empty(heads)) if use_graph_token and not node_degrees_only else None
        self.edge = self.steps = None
        if self.edge_types is not None:
            self.edge = Embedding(math.prod(self.edge_types), heads)
            self.steps = Parameter(torch.empty(num_spatial_types, heads, heads))
        self.dropout = Dropout(input_dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, normal with deviation 0.02."""
        for weight in self.parameters():
            torch.nn.init.normal_(weight, std=_STD)

    def forward(
        self,
        x: Float[Tensor, "N D"],
        edge_index: Int[Tensor, "2 E"],
        index: RaggedIndex,
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        paths: Int[Tensor, "pairs columns"] | None = None,
    ) -> WithStructure:
        r"""Return the tokens and the bias of their attention.

        .. math::
            h_i = x_i + z^-_{\deg^-(i)} + z^+_{\deg^+(i)}

        Args:
            x: Nodes.
            edge_index: Directed edges. Parallel ones count each in the degrees.
            index: Where each graph begins and ends.
            edge_attr: Categories of the edges, read if the module was made with ``edge_types``.
            paths: `pyg_samsa.functional.shortest_paths.shortest_paths` of all graphs, if they were computed before.

        Example:
            >>> encoding = GraphormerEncoding(8, heads=2, node_degrees_only=True, use_graph_token=False)
            >>> found = encoding(torch.randn(2, 8), torch.tensor([[0], [1]]), RaggedIndex(torch.tensor([0, 2])))
            >>> found.x.shape, found.bias is None
            (torch.Size([2, 8]), True)
        """
        h = x + self._degree("in", edge_index[1], len(x)) + self._degree("out", edge_index[0], len(x))
        rows, bias = torch.arange(len(h), device=h.device), None
        pairs = GraphPairs(index) if self.spatial is not None else None
        if pairs is not None:
            bias = self.pair_values(pairs, edge_index, edge_attr, paths)
        if self.graph_token is not None:
            rows = rows + index.batch + 1
            index = RaggedIndex.from_sizes([size + 1 for size in index.sizes], index.device)
            h = self.graph_token.to(h.dtype).repeat(index.num_tokens, 1).index_copy(0, rows, h)
            if pairs is not None and bias is not None and self.token_bias is not None:
                nodes, pairs = pairs, GraphPairs(index)
                first, second = (rows[nodes.offset + place] for place in (nodes.first, nodes.second))
                bias = self.token_bias.repeat(len(pairs), 1).index_copy(0, pairs.rows(first, second), bias)
        found = None if pairs is None or bias is None else pair_bias(pairs, bias)
        return WithStructure(self.dropout(h), index, rows, found)

    def pair_values(
        self,
        pairs: GraphPairs,
        edge_index: Int[Tensor, "2 E"],
        edge_attr: Shaped[Tensor, "E ..."] | None = None,
        paths: Int[Tensor, "pairs columns"] | None = None,
    ) -> Float[Tensor, "P H"]:
        r"""Return the bias of each pair of nodes.

        .. math::
            b_{ij} = s_{\phi(i, j)} + \frac{1}{\max(\phi(i, j), 1)} \sum_{k=1}^{K} W_k \, e_{t_k(i, j)}

        Args:
            pairs: The pairs of nodes.
            edge_index: Directed edges.
            edge_attr: As for `forward`.
            paths: As for `forward`.

        Raises:
            ConfigError: The module was made with ``node_degrees_only``.
            ShapeError: The features of the edges, or the paths, do not fit.

        Example:
            >>> pairs = GraphPairs(RaggedIndex(torch.tensor([0, 3])))
            >>> GraphormerEncoding(8, heads=2).pair_values(pairs, torch.tensor([[0, 1], [1, 2]])).shape
            torch.Size([9, 2])
        """
        if self.spatial is None:
            raise ConfigError("node_degrees_only", True, "False, because biases are asked for")
        if paths is None:
            types = self._types(edge_attr, edge_index.size(1))
            paths = batch_paths(edge_index, pairs.index, self.num_spatial_types, types)
        expected = [len(pairs), 1 if self.edge is None else 3]
        if list(paths.shape) != expected:
            raise ShapeError("paths", list(paths.shape), expected)
        self._check_paths(paths, pairs)
        distance = paths[:, 0].long()
        bias = self.spatial(distance)
        if self.edge is None or self.steps is None:
            return bias
        of_step = (self.edge.weight @ self.steps).flatten(0, 1)  # [K types, H]
        types = path_types(paths, pairs, self.num_spatial_types, self.edge.num_embeddings)
        along = embedding_bag(types, of_step, mode="sum")
        return bias + along / distance.clamp_min(1).unsqueeze(1)

    def _check_paths(self, paths: Tensor, pairs: GraphPairs) -> None:
        """Refuse paths that are not those of `shortest_paths` for these graphs and these types."""
        if paths.is_floating_point() or paths.dtype == torch.bool:
            raise ShapeError("paths", str(paths.dtype), "integers")
        outside = (paths < 0).any() | (paths[:, 0] > self.num_spatial_types).any()
        if self.edge is not None:
            outside = outside | (paths[:, 1] >= self.edge.num_embeddings).any() | (paths[:, 2] >= pairs.size).any()

        def explain() -> ShapeError:
            expected = "those of these graphs, with the same num_spatial_types and edge_types"
            return ShapeError("paths", "lengths, types or nodes out of range", expected)

        require(outside, explain)

    def _types(self, edge_attr: Tensor | None, edges: int) -> Tensor | None:
        if self.edge_types is None:
            return None
        if edge_attr is None and edges:
            raise ShapeError("edge_attr", None, f"types of {edges} edges, because edge_types is set")
        if edge_attr is not None and edge_attr.size(0) != edges:
            raise ShapeError("edge_attr", list(edge_attr.shape), f"[{edges}, ...], one row per edge")
        empty = torch.zeros(0, len(self.edge_types), dtype=torch.long)
        return edge_types(empty if edge_attr is None else edge_attr, self.edge_types)

    def _degree(self, name: str, ends: Tensor, nodes: int) -> Tensor:
        encoder = self.in_degree if name == "in" else self.out_degree
        counts = degree(ends, nodes, dtype=torch.long)
        limit = encoder.num_embeddings
        found = counts.clamp_max(limit - 1)

        def explain() -> ShapeError:
            expected = f"at most {limit - 1}: num_{name}_degrees is {limit}"
            return ShapeError(f"{name}-degree", int(counts.max()), expected)

        require((found != counts).any(), explain)
        return encoder(found)

    def __repr__(self) -> str:
        sizes = f"{self.channels}, heads={self.heads}, num_spatial_types={self.num_spatial_types}"
        return f"{type(self).__name__}({sizes}, edge_types={self.edge_types})"
