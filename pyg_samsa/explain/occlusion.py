"""Occlusion: the change of a prediction if a node or bond is removed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pyg_samsa.explain._passes import Found, Passes, open_passes, read_out, run_from, sample
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.nn.conv.samsa_conv import SAMSAConv
from pyg_samsa.nn.models.samsa import SAMSA
from pyg_samsa.nn.tokenizers.tokens import Tokens


@torch.no_grad()
def occlusion_scores(model: SAMSA, batch: object, target: Tensor, *, draw: int = 0, max_tokens: int = 2**15) -> Found:
    r"""Remove each node, and each bond with both directions, and return the fall of the prediction.

    .. math::
        s_t = y(x) - y(x_{\setminus t})

    A token is removed after Graph-Bridge: it has no query, key or value in any layer and no part in the readout, while
    the codes of all other tokens stay the same. Features of the whole graph, such as descriptors, stay the same too.
    Both directions of a bond are removed together, because each carries
    the information of the other. Each gets half of the effect, so that the score of the bond is the whole effect. A
    positive score means that the token raises the prediction.

    Heads attend only to the tokens that they sample. Removing a token that no head of a layer sampled does not change
    the other tokens, so each variant is computed from the first layer in which one of its tokens was sampled. A token
    that was never sampled only leaves the readout. The result is exact.

    Args:
        model: The network, in evaluation.
        batch: One graph, as a PyG batch.
        target: Number of the prediction [1].
        draw: Number of the deterministic draw of codes.
        max_tokens: Tokens of variants that are computed at once.

    Returns:
        Scores [N + E] of nodes and edges, and the prediction [1, out_channels].

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> model = SAMSA.from_options(5, 1, channels=8, num_layers=1, heads=2, num_samples=4).eval()
        >>> batch = Batch.from_data_list([Data(x=torch.randn(3, 5), edge_index=torch.tensor([[0, 1], [1, 0]]))])
        >>> scores = occlusion_scores(model, batch, torch.tensor([0])).scores
        >>> scores.shape, bool(scores[3] == scores[4])
        (torch.Size([5]), True)

    Cost: at most n / 2 passes of n = N + E tokens; with K samples in each of H heads and L layers, at most L H K tokens
    need a pass.
    """
    passes = open_passes(model, batch, draw)
    tokens = passes.tokens
    prediction = read_out(model, tokens.x, tokens.index, passes.graph_features)
    unit, edge_unit = _units(tokens, batch.edge_index)  # type: ignore[attr-defined]
    everything = unit if tokens.edge_rows is not None else torch.cat([unit, edge_unit])
    size = torch.bincount(everything)
    if model.encoder.uses_edges:
        layers = torch.zeros_like(size)  # messages reach every token in the first layer
    else:
        never = torch.full_like(size, len(model.encoder.blocks))
        layers = never.scatter_reduce(0, unit, _first_sampled(model, passes), "amin")
    effect = prediction.new_zeros(size.numel())
    for layer in layers.unique().tolist():
        for some in (layers == layer).nonzero().flatten().split(max(1, max_tokens // max(1, unit.numel()))):
            without = _predict_without(model, passes, unit, edge_unit, some, layer)
            effect[some] = prediction[0, target] - without[:, target].flatten()
    scores = effect / size
    return Found(torch.cat([scores[unit[tokens.node_rows]], scores[edge_unit]]), prediction)


def _units(tokens: Tokens, edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of the unit of each token [T] and of each edge [E]: a node alone, or all edges of a bond."""
    nodes = tokens.node_rows.numel()
    low, high = edge_index.min(0).values, edge_index.max(0).values
    _, bond = torch.unique(low * nodes + high, return_inverse=True)
    unit = torch.empty(tokens.x.size(0), dtype=torch.long, device=edge_index.device)
    unit[tokens.node_rows] = torch.arange(nodes, device=edge_index.device)
    if tokens.edge_rows is not None:
        unit[tokens.edge_rows] = nodes + bond
    return unit, nodes + bond


def _first_sampled(model: SAMSA, passes: Passes) -> Tensor:
    """Return the first layer [T] in which a head sampled each token; L for tokens that were never sampled."""
    count = passes.tokens.x.size(0)
    first = torch.full((count,), len(model.encoder.blocks), device=passes.tokens.x.device)
    for layer in reversed(range(len(model.encoder.blocks))):
        conv = model.encoder.blocks[layer].conv
        if not isinstance(conv, SAMSAConv):
            return torch.zeros_like(first)
        seen = sample(model.encoder.blocks[layer], passes.inputs[layer], passes.tokens.index).candidates.flatten()
        first[seen[seen < count]] = layer
    return first


def _predict_without(
    model: SAMSA, passes: Passes, unit: Tensor, edge_unit: Tensor, withheld: Tensor, layer: int
) -> Tensor:
    """Return the predictions [V, out_channels] from the tokens before a layer, without each of V units."""
    keep = unit != withheld[:, None]
    sizes = keep.sum(1)
    index = RaggedIndex(torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]))
    edges = model.encoder.edges_of(passes.tokens)
    if edges.get("edge_index") is not None:
        edges = _edges_without(edges, keep, edge_unit != withheld[:, None])
    features = None if passes.graph_features is None else passes.graph_features.expand(len(withheld), -1)
    return run_from(model, passes.inputs[layer][keep.nonzero()[:, 1]], index, layer, edges, features)


def _edges_without(edges: Mapping[str, Tensor | None], keep: Tensor, keep_edge: Tensor) -> dict[str, Tensor | None]:
    """Return the edges of V variants of a graph, numbered as the tokens that are left.

    Args:
        edges: The edges of the whole graph, see `pyg_samsa.nn.Encoder.edges_of`.
        keep: Whether each variant has each token [V, T].
        keep_edge: Whether each variant has each edge [V, E]; an edge without one of its nodes is left out too.
    """
    names = ("edge_index", "edge_attr", "edge_rows", "edge_distance")
    edge_index, edge_attr, edge_rows, distance = (edges[name] for name in names)
    assert edge_index is not None
    row = keep.flatten().cumsum(0).view_as(keep) - 1
    variant, edge = (keep_edge & keep[:, edge_index[0]] & keep[:, edge_index[1]]).nonzero().T
    return {
        "edge_index": row[variant, edge_index[:, edge]],
        "edge_attr": None if edge_attr is None else edge_attr[edge],
        "edge_rows": None if edge_rows is None else row[variant, edge_rows[edge]],
        "edge_distance": None if distance is None else distance[edge],
    }
