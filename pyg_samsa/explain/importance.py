"""The importance of each node and edge of a graph for a prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.explain._passes import (
    Found,
    check_network,
    check_sampling,
    evaluating,
    of_nodes_and_edges,
    open_passes,
    read_out,
)
from pyg_samsa.explain.gradient import gradient_scores
from pyg_samsa.explain.occlusion import occlusion_scores
from pyg_samsa.explain.sampled import chosen_scores, contribution_scores, sampled_scores
from pyg_samsa.functional.codes import feature_keys, gaussian_codes
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.models.samsa import SAMSA

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("sampled", "contribution", "chosen", "occlusion", "gradient", "random")
_TOKENS_AT_ONCE = 2**15


@dataclass(frozen=True)
class TokenImportance:
    """The importance of the tokens of one graph of N nodes and E directed edges.

    Attributes:
        method: Method of the scores, see :func:`token_importance`.
        target: Number of the explained prediction.
        node: Scores of the nodes [N].
        edge: Scores of the directed edges [E].
        edge_index: The edges [2, E].
        prediction: Predictions of the graph [out_channels].

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> node, edge = torch.zeros(3), torch.tensor([0.25, 0.25, 0.0, 0.5])
        >>> found = TokenImportance("sampled", 0, node, edge, edge_index, prediction=torch.zeros(1))
        >>> found.bond_index.tolist(), found.bond
        ([[0, 1], [1, 2]], tensor([0.5000, 0.5000]))
    """

    method: str
    target: int
    node: Tensor
    edge: Tensor
    edge_index: Tensor
    prediction: Tensor

    @cached_property
    def _bonds(self) -> tuple[Tensor, Tensor]:
        low, high = self.edge_index.min(0).values, self.edge_index.max(0).values
        pair, place = torch.unique(low * (self.node.numel() + 1) + high, return_inverse=True)
        first = torch.full((pair.numel(),), place.numel(), device=place.device)
        first = first.scatter_reduce(0, place, torch.arange(place.numel(), device=place.device), "amin")
        order = torch.argsort(first)
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(order.numel(), device=order.device))
        return torch.stack([low, high])[:, first[order]], rank[place]

    @property
    def bond_index(self) -> Tensor:
        """The bonds [2, E / 2]: pairs of nodes, smaller number first, in the order of the edges.

        Example:
            >>> edges = torch.tensor([[1, 0], [0, 1]])
            >>> found = TokenImportance("sampled", 0, torch.ones(2), torch.ones(2), edges, prediction=torch.zeros(1))
            >>> found.bond_index.tolist()
            [[0], [1]]
        """
        return self._bonds[0]

    @property
    def bond(self) -> Tensor:
        """Scores of the bonds [E / 2], the sum of both directions.

        Example:
            >>> edges = torch.tensor([[1, 0], [0, 1]])
            >>> found = TokenImportance("sampled", 0, torch.ones(2), torch.ones(2), edges, prediction=torch.zeros(1))
            >>> found.bond
            tensor([2.])
        """
        index, place = self._bonds
        return self.edge.new_zeros(index.size(1)).index_add(0, place, self.edge)

    def to_frame(self, symbols: Sequence[str] | None = None) -> pd.DataFrame:
        """Return a table with a row per token: nodes, then directed edges.

        Args:
            symbols: Name of each node, such as the element of an atom.

        Returns:
            A table with the columns ``token`` (node or edge), ``source`` and ``target`` (numbers of nodes; equal for a
            node), ``symbol`` (with ``symbols``) and a column named after the method.

        Raises:
            ShapeError: There are not as many symbols as nodes.

        Example:
            >>> edge_index, node, edge = torch.tensor([[0], [1]]), torch.tensor([0.5, 0.25]), torch.tensor([0.25])
            >>> found = TokenImportance("sampled", 0, node, edge, edge_index, prediction=torch.zeros(1))
            >>> print(found.to_frame(["C", "N"]).to_string(index=False))
            token  source  target symbol  sampled
             node       0       0      C     0.50
             node       1       1      N     0.25
             edge       0       1    C-N     0.25
        """
        import pandas as pd

        count = self.node.numel()
        if symbols is not None and len(symbols) != count:
            raise ShapeError("symbols", f"{len(symbols)} names", f"{count} names, one per node")
        source = [*range(count), *self.edge_index[0].tolist()]
        target = [*range(count), *self.edge_index[1].tolist()]
        columns: dict[str, Any] = {
            "token": ["node"] * count + ["edge"] * self.edge.numel(),
            "source": source,
            "target": target,
        }
        if symbols is not None:
            columns["symbol"] = [*symbols, *(f"{symbols[a]}-{symbols[b]}" for a, b in self.edge_index.T.tolist())]
        columns[self.method] = torch.cat([self.node, self.edge]).tolist()
        return pd.DataFrame(columns)


def token_importance(
    model: Module,
    data: Data | Sequence[Data],
    method: str = "sampled",
    *,
    target: int | Sequence[int] = 0,
    max_tokens: int = _TOKENS_AT_ONCE,
    advance: Callable[[float], None] | None = None,
) -> list[TokenImportance]:
    r"""Compute the importance of each node and edge for the prediction of a graph.

    ============= ==================================================================================================
    method        score of a token
    ============= ==================================================================================================
    sampled       share of all attention that it receives, see :func:`~pyg_samsa.explain.sampled.sampled_scores`
    contribution  first-order effect of this attention, see :func:`~pyg_samsa.explain.sampled.contribution_scores`
    chosen        share of all heads of all layers that sampled it
    occlusion     fall of the prediction without it, see :func:`~pyg_samsa.explain.occlusion.occlusion_scores`
    gradient      token times gradient, see :func:`~pyg_samsa.explain.gradient.gradient_scores`
    random        a standard normal number that depends on its position: a baseline
    ============= ==================================================================================================

    Scores of a graph do not depend on its batch, and permuting nodes permutes them. With ``num_eval_samples`` > 1 they
    are means over the draws of codes, like predictions.

    Args:
        model: A :class:`pyg_samsa.nn.SAMSA` network with Graph-Bridge and one prediction per graph.
        data: One graph or several, with ``graph_features`` [1, F] if the network reads features of whole graphs.
        method: One of the methods above.
        target: Number of the prediction to explain, for all graphs or for each.
        max_tokens: Number of tokens that are computed at once.
        advance: Called with the number of finished graphs, to show progress.

    Returns:
        The importance of each graph.

    Raises:
        ConfigError: An argument is not allowed, the network has no edge tokens or does not sample tokens, or it reads
            features of whole graphs that a graph does not have.

    Example:
        >>> model = SAMSA.from_options(in_channels=5, out_channels=2, channels=16, num_layers=2, heads=4, num_samples=8)
        >>> graph = Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
        >>> importance, = token_importance(model, graph)
        >>> importance.node.shape, importance.edge.shape, importance.bond.shape
        (torch.Size([3]), torch.Size([4]), torch.Size([2]))

    Cost: about two passes through the network for ``sampled`` and ``chosen``, three for ``gradient``, four for
    ``contribution``, and up to one per node and bond for ``occlusion``.
    """
    check_choice("method", method, METHODS)
    network = check_network(model)
    if method in ("sampled", "contribution", "chosen"):
        check_sampling(network, method)
    graphs = [data] if isinstance(data, Data) else list(data)
    targets = [target] * len(graphs) if isinstance(target, int) else list(target)
    if len(targets) != len(graphs):
        raise ConfigError("target", f"{len(targets)} numbers", f"one, or one for each of {len(graphs)} graphs")
    if "graph_features" in network.inputs and any(graph.get("graph_features") is None for graph in graphs):
        hint = "Set data.graph_features to the features with which the network was trained."
        raise ConfigError("graph_features", None, "features of every graph, which the network reads", hint=hint)
    outputs = network.readout.head.out_channels  # type: ignore[union-attr]
    if any(not 0 <= number < outputs for number in targets):
        raise ConfigError("target", target, f"a number from 0 to {outputs - 1}")
    out: list[TokenImportance] = []
    with evaluating(network):
        for chunk in _chunks(graphs, 1 if method == "occlusion" else max_tokens):
            out += _importance(network, graphs[chunk], method, targets[chunk], max_tokens)
            if advance is not None:
                advance(chunk.stop - chunk.start)
    return out


def _chunks(graphs: Sequence[Data], max_tokens: int) -> list[slice]:
    if not graphs:
        return []
    sizes = torch.tensor([0, *(graph.num_nodes + graph.num_edges for graph in graphs)])
    bounds, begin = [], 0
    for _, part in RaggedIndex(sizes.cumsum(0)).parts(max_tokens):
        bounds.append(slice(begin, begin + part.num_graphs))
        begin += part.num_graphs
    return bounds


def _importance(
    model: SAMSA, graphs: Sequence[Data], method: str, targets: Sequence[int], max_tokens: int
) -> list[TokenImportance]:
    device = next(model.parameters()).device
    keys = ("x", "edge_index", "edge_attr", "graph_features")
    batch: Any = Batch.from_data_list(
        [Data(**{key: graph[key] for key in keys if graph.get(key) is not None}) for graph in graphs]
    ).to(device)
    if "edge_attr" not in batch:
        batch.edge_attr = None
    wanted = torch.tensor(list(targets), device=device)
    compute = {
        "sampled": sampled_scores,
        "contribution": contribution_scores,
        "chosen": chosen_scores,
        "gradient": gradient_scores,
        "random": _random_scores,
    }
    scores: Any = 0.0
    predictions: Any = 0.0
    for draw in range(model.num_eval_samples):
        if method == "occlusion":
            found = occlusion_scores(model, batch, wanted, draw=draw, max_tokens=max_tokens)
        else:
            found = compute[method](model, batch, wanted, draw=draw)
        scores = scores + found.scores / model.num_eval_samples
        predictions = predictions + found.predictions / model.num_eval_samples
    node, edge = scores[: batch.num_nodes], scores[batch.num_nodes :]
    nodes, edges = [graph.num_nodes for graph in graphs], [graph.num_edges for graph in graphs]
    pieces = zip(graphs, targets, node.split(nodes), edge.split(edges), predictions, strict=True)
    return [
        TokenImportance(method, number, n.cpu(), e.cpu(), graph.edge_index.cpu(), p.cpu())
        for graph, number, n, e, p in pieces
    ]


@torch.no_grad()
def _random_scores(model: SAMSA, batch: Any, target: Tensor, *, draw: int = 0) -> Found:
    """Return a random number for each token, by its position in the graph."""
    passes = open_passes(model, batch, draw)
    tokens = passes.tokens
    place = torch.arange(tokens.x.size(0), device=tokens.x.device) - tokens.index.ptr[tokens.index.batch]
    scores = gaussian_codes(feature_keys(place), 1, dtype=tokens.x.dtype).flatten()
    return Found(of_nodes_and_edges(scores, tokens), read_out(model, tokens.x, tokens.index, passes.graph_features))
