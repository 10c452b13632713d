from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.nn.aggr import Aggregation, AttentionalAggregation, MeanAggregation
from torch_geometric.nn.inits import reset

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.functional.autocast import at_least_float32, without_autocast
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.encoding.feature_encoder import one_hot_categories
from pyg_samsa.nn.graph_features import GraphFeatures, encode_graph_features
from pyg_samsa.nn.mlp_head import HEAD_NORMS, MLPHead
from pyg_samsa.nn.pair_decoder import PairDecoder
from pyg_samsa.nn.precision import as_weights
from pyg_samsa.nn.target_scale import TargetScale
from pyg_samsa.nn.tokenizers.tokens import Tokens
from pyg_samsa.options import check_integer, check_no_effect
from pyg_samsa.typing import Float, Int, Shaped

LEVELS = ("graph", "node", "token", "link")
POOLS = ("attention", "mean")
INTERACTIONS = ("concat", "nli")


def make_pool(pool: str | Aggregation, channels: int) -> Aggregation:
    r"""Return the aggregation of the tokens of a graph.

    .. math::
        \mathrm{attention}: \; y_b = \sum_{t \in b} \mathrm{softmax}_{t \in b}(u^\top x_t + c) \, x_t, \qquad
        \mathrm{mean}: \; y_b = \frac{1}{n_b} \sum_{t \in b} x_t

    Args:
        pool: ``"attention"`` (PyG's ``AttentionalAggregation``), ``"mean"`` (``MeanAggregation``), or any aggregation
            of PyG that returns [B, D].
        channels: Channels D of a token.

    Raises:
        ConfigError: There is no such aggregation.

    Example:
        >>> make_pool("mean", 16)
        MeanAggregation()
    """
    if isinstance(pool, Aggregation):
        return pool
    check_choice("pool", pool, POOLS)
    return AttentionalAggregation(Gate(channels, 1)) if pool == "attention" else MeanAggregation()


class Gate(Linear):
    """A linear layer that computes in at least float32, also under autocast.

    Its output are logits of a softmax, which half precision would round too much.

    Example:
        >>> with torch.autocast("cpu", torch.bfloat16):
        ...     Gate(4, 1)(torch.ones(2, 4)).dtype
        torch.float32
    """

    def forward(self, input: Float[Tensor, "*b D"]) -> Float[Tensor, "*b out"]:
        """Return the logits of the softmax.

        Example:
            >>> Gate(4, 1)(torch.ones(2, 4)).shape
            torch.Size([2, 1])
        """
        with without_autocast(input):
            return super().forward(as_weights(self, input))


class Readout(Module):
    r"""Predicts from tokens: pools them or takes those of the nodes, then applies a head and the scale of the targets.

    .. math::
        \mathrm{graph}: \; \hat y_b = \mathrm{Head}([\mathrm{pool}_{t \in b}(x_t), h_b]), \qquad
        \mathrm{node}: \; \hat y_i = \mathrm{Head}([x_i, \mathrm{pool}_{t \in b(i)}(x_t), c_{b(i)}])

    The encoded features of the graph :math:`h` (see `GraphFeatures`), the pooled vector at node level and the one-hot
    category :math:`c` are optional. At token level, the predictions of the edges follow those of the nodes, if edges
    are tokens. At link level, `PairDecoder` scores pairs of nodes, with the input of the head at node level.

    Args:
        channels: Channels D of a token.
        out_channels: Number of predictions per graph, node or pair.
        level: ``"graph"``: one prediction per graph; ``"node"``: one per node; ``"token"``: one per node, then one per
            edge, both in the order of the input; ``"link"``: one per pair of nodes that is passed. What follows for
            node level holds for the last two too.
        pool: Graph level, or with ``context``: ``"attention"``, ``"mean"``, or an aggregation of PyG, see `make_pool`.
        towers: Graph level: number of consecutive graphs that share one prediction (2 for pairs of documents).
        interaction: Graph level, two towers with pooled vectors a and b: ``"concat"``: the head sees [a, b], as in the
            paper; ``"nli"``: it sees :math:`[a, b, a \odot b, |a - b|]`, as models of natural language inference do.
        context: Node level: whether the head also sees the pooled vector of the graph.
        num_categories: Node level: number of categories of graphs, which the head sees; 0 for none.
        graph_channels: Graph level: number F of features of a graph, which the head sees encoded; 0 for none.
        graph_levels: Largest number of thresholds by which these features are encoded, see `GraphFeatures`; 0 for
            scaled values.
        graph_hidden: Channels of the encoded features; None for ``channels``.
        graph_dropout: Dropout of the features before they are encoded, 0 to below 1; None for ``dropout``.
        edge_decoding: Link level: ``"dot"``, ``"concat"`` or ``"cosine_similarity"``, see `PairDecoder`.
        dropout: Dropout of the head and of the features of graphs, 0 to below 1.
        head_norm: ``"none"`` (the paper) or ``"batch"``, see `MLPHead`.
        scale_targets: Whether predictions are scaled to the units of the targets, see `TargetScale`.

    Shapes:
        - **input:** `Tokens` of B graphs, categories [B] if ``num_categories`` is set, features of graphs [B, F] if
          ``graph_channels`` is set, pairs int64 [2, L] for ``level="link"``
        - **output:** [B / towers, out_channels], [N, out_channels] for ``level="node"``, [N + E, out_channels] for
          ``level="token"`` with edges as tokens, or [L, out_channels] for ``level="link"``; the pooled vector of an
          empty graph is zero

    Raises:
        ConfigError: An argument is out of range, or has no effect.
        ShapeError: The inputs do not fit each other.

    Example:
        >>> from pyg_samsa.functional import RaggedIndex
        >>> tokens = Tokens(torch.randn(5, 16), RaggedIndex(torch.tensor([0, 3, 5])), torch.arange(5))
        >>> Readout(16, 2)(tokens).shape, Readout(16, 2, level="node")(tokens).shape
        (torch.Size([2, 2]), torch.Size([5, 2]))
        >>> Readout(16, 1, level="link")(tokens, edge_label_index=torch.tensor([[0, 3], [2, 4]])).shape
        torch.Size([2, 1])

    Cost: O(T D + B D^2), or O(N D^2) for ``level="node"``; for ``level="link"`` also O(L D), or O(L D^2) with
    ``edge_decoding="concat"``.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        level: str = "graph",
        pool: str | Aggregation = "attention",
        towers: int = 1,
        interaction: str = "concat",
        context: bool = False,
        num_categories: int = 0,
        graph_channels: int = 0,
        graph_levels: int = 0,
        graph_hidden: int | None = None,
        graph_dropout: float | None = None,
        edge_decoding: str = "dot",
        dropout: float = 0.0,
        head_norm: str = "none",
        scale_targets: bool = False,
    ) -> None:
        super().__init__()
        check_choice("level", level, LEVELS)
        check_choice("interaction", interaction, INTERACTIONS)
        check_choice("head_norm", head_norm, HEAD_NORMS)
        check_integer("out_channels", out_channels)
        check_integer("towers", towers)
        check_integer("num_categories", num_categories, low=0)
        check_integer("graph_channels", graph_channels, low=0)
        _check_level(level, towers, interaction, context, num_categories)
        check_integer("graph_levels", graph_levels, low=0)
        check_integer("graph_hidden", graph_hidden if graph_hidden is not None else 1)
        _check_graph_channels(graph_channels, level, towers)
        if not graph_channels:
            unused = {"graph_levels": graph_levels, "graph_hidden": graph_hidden, "graph_dropout": graph_dropout}
            check_no_effect(Readout, unused, reason="graph_channels is 0")
        if level != "graph" and not context:
            check_no_effect(Readout, {"pool": pool}, reason=f"level is {level!r} and context is False")
        if level != "link":
            check_no_effect(Readout, {"edge_decoding": edge_decoding}, reason=f"level is {level!r}")
        self.channels, self.level, self.towers, self.interaction = channels, level, towers, interaction
        self.out_channels = out_channels
        self.context, self.num_categories, self.head_norm = context, num_categories, head_norm
        self.pool = make_pool(pool, channels) if level == "graph" or context else None
        if level == "graph":
            width = (2 * towers if interaction == "nli" else towers) * channels
        else:
            width = (1 + context) * channels + num_categories
        self.graph_features: GraphFeatures | None = None
        """Encodes the features of graphs; None without ``graph_channels``."""
        if graph_channels:
            encoded = graph_hidden or channels
            own = dropout if graph_dropout is None else graph_dropout
            self.graph_features = GraphFeatures(graph_channels, encoded, dropout=own, levels=graph_levels)
            width += encoded
        make_head = partial(MLPHead, dropout=dropout, norm=head_norm)
        self.pair_decoder = PairDecoder(make_head, width, out_channels, edge_decoding) if level == "link" else None
        """Scores pairs of nodes, with the head; None at other levels."""
        self.head = None if level == "link" else make_head(width, out_channels)
        self.scale = TargetScale(out_channels) if scale_targets else None

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the optional inputs that the readout uses.

        Example:
            >>> Readout(16, 2, graph_channels=5).inputs, Readout(16, 2, level="node", num_categories=3).inputs
            (frozenset({'graph_features'}), frozenset({'category'}))
        """
        parts = {"graph_features": self.graph_features, "edge_label_index": self.pair_decoder}
        names = {name for name, part in parts.items() if part is not None}
        return frozenset(names | ({"category"} if self.num_categories else set()))

    def reset_parameters(self) -> None:
        """Draw new weights and keep the scales of features and targets."""
        for module in (self.pool, self.graph_features, self.head, self.pair_decoder):
            if module is not None:
                reset(module)

    def forward(
        self,
        tokens: Tokens,
        category: Int[Tensor, "..."] | None = None,
        graph_features: Shaped[Tensor, "B F"] | None = None,
        edge_label_index: Int[Tensor, "2 L"] | None = None,
    ) -> Float[Tensor, "rows out"]:
        """Return the predictions.

        Args:
            tokens: The tokens after the encoder.
            category: Category of each graph [B], if ``num_categories`` is set.
            graph_features: Features of each graph, if ``graph_channels`` is set; NaN where a value is missing.
            edge_label_index: Pairs of nodes, for ``level="link"``.

        Raises:
            ShapeError: The number of graphs is not a multiple of ``towers``, or the categories, features or pairs do
                not fit.

        Example:
            >>> from pyg_samsa.functional import RaggedIndex
            >>> tokens = Tokens(torch.randn(5, 16), RaggedIndex(torch.tensor([0, 3, 5])), torch.arange(5))
            >>> Readout(16, 10, towers=2)(tokens).shape
            torch.Size([1, 10])
        """
        if edge_label_index is not None and self.pair_decoder is None:
            raise ShapeError("edge_label_index", list(edge_label_index.shape), f"None, because level is {self.level!r}")
        occupied = tokens.index.without_empty()
        if self.pair_decoder is not None:
            graph = tokens.index.batch[tokens.node_rows]
            out = self.pair_decoder(self.features(tokens, category, graph_features), edge_label_index, graph)
        elif occupied is not tokens.index and self._sees_tokens_alone:
            out = self._expand(tokens._replace(index=occupied), tokens.index)
        else:
            out = self._predict(self.features(tokens, category, graph_features))
        return out if self.scale is None else self.scale(out)

    def _predict(self, seen: Tensor) -> Tensor:
        assert self.head is not None  # not at link level
        return self.head(seen)

    @property
    def _sees_tokens_alone(self) -> bool:
        """Whether the head sees nothing but tokens, and takes no statistics: empty graphs then have one prediction."""
        return (
            self.level == "graph"
            and self.towers == 1
            and self.graph_features is None
            and not (self.training and self.head_norm != "none")
        )

    def _expand(self, tokens: Tokens, index: RaggedIndex) -> Tensor:
        """Return predictions for all graphs of an index, most of which are empty, from the tokens of the others."""
        seen = self.features(tokens)
        predicted = self._predict(torch.cat([seen, seen.new_zeros(1, seen.size(1))]))
        rows = index.ptr.diff().nonzero().flatten()
        return predicted[-1:].expand(index.num_graphs, -1).index_copy(0, rows, predicted[: rows.numel()])

    def features(
        self,
        tokens: Tokens,
        category: Int[Tensor, "..."] | None = None,
        graph_features: Shaped[Tensor, "B F"] | None = None,
    ) -> Float[Tensor, "rows width"]:
        """Return the input of the head, with B / towers or N rows, or of `PairDecoder`; arguments as in `forward`.

        Example:
            >>> from pyg_samsa.functional import RaggedIndex
            >>> tokens = Tokens(torch.randn(5, 16), RaggedIndex(torch.tensor([0, 3, 5])), torch.arange(5))
            >>> Readout(16, 2, towers=2, interaction="nli").features(tokens).shape
            torch.Size([1, 64])
        """
        index = tokens.index
        encoded = encode_graph_features(self.graph_features, graph_features, index.num_graphs)
        # Sums over the tokens of a graph need the precision of float32.
        x = at_least_float32(tokens.x)
        pooled = None if self.pool is None else self.pool(x, index.batch, dim_size=index.num_graphs)
        if self.level != "graph":
            return self._features_of_tokens(tokens, pooled, category)
        assert pooled is not None
        if index.num_graphs % self.towers:
            raise ShapeError("batch", f"{index.num_graphs} graphs", f"a multiple of towers = {self.towers}")
        seen = pooled.view(-1, self.towers * self.channels)
        if self.interaction == "nli":
            first, second = seen.chunk(2, dim=1)
            seen = torch.cat([seen, first * second, (first - second).abs()], dim=1)
        return seen if encoded is None else torch.cat([seen, encoded.to(seen.dtype)], dim=1)

    def _features_of_tokens(self, tokens: Tokens, pooled: Tensor | None, category: Tensor | None) -> Tensor:
        rows = tokens.node_rows
        if self.level == "token" and tokens.edge_rows is not None:
            rows = torch.cat([rows, tokens.edge_rows])
        graph = tokens.index.batch[rows]
        seen = [tokens.x.index_select(0, rows)]
        if pooled is not None:
            seen.append(pooled[graph])
        if self.num_categories:
            one_hot = one_hot_categories(category, tokens.index.num_graphs, self.num_categories)
            seen.append(one_hot.to(tokens.x.dtype)[graph])
        return torch.cat(seen, dim=1)

    def extra_repr(self) -> str:
        """Return the level and the number of towers as they appear in the ``repr``.

        Example:
            >>> Readout(16, 2).extra_repr()
            "level='graph', towers=1"
        """
        return f"level={self.level!r}, towers={self.towers}"


def _check_graph_channels(graph_channels: int, level: str, towers: int) -> None:
    if graph_channels and (level != "graph" or towers > 1):
        raise ConfigError("graph_channels", graph_channels, "0, unless there is one prediction per graph")


def _check_level(level: str, towers: int, interaction: str, context: bool, num_categories: int) -> None:
    """Raise a `ConfigError` if options of the readout contradict each other."""
    if level == "graph" and (context or num_categories):
        name = "context" if context else "num_categories"
        raise ConfigError(name, context or num_categories, "left out for predictions of graphs (level='graph')")
    if level != "graph" and towers > 1:
        raise ConfigError("towers", towers, f"1 for predictions of {level}s (level={level!r})")
    if interaction == "nli" and towers != 2:
        raise ConfigError("interaction", interaction, "'concat', or pairs of graphs (towers=2)")
