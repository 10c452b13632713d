"""The pairs of nodes of a batch: negatives that are drawn, and all pairs that a ranking needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

NEGATIVES = 2
"""Negatives that are drawn for each true pair, as in the Long Range Graph Benchmark."""
_TRIES = 10
_MIX = (0x2545F4914F6CDD1D, 0x1B873593CC9E2D51, 0x369DEA0F31A53F85)


def has_only_true_pairs(dataset: Any) -> bool:
    """Say whether all labelled pairs of a data set are true, so that negatives have to be drawn.

    Args:
        dataset: Graphs with ``edge_label``.

    Example:
        >>> from torch_geometric.data import Data
        >>> has_only_true_pairs([Data(edge_label=torch.ones(2)), Data(edge_label=torch.tensor([1.0, 0.0]))])
        False

    Cost: a pass over the labels; data sets that are not in memory are read once.
    """
    data = getattr(dataset, "_data", None)
    labels = [data.edge_label] if data is not None and "edge_label" in data else (graph.edge_label for graph in dataset)
    return all(bool((label == 1).all()) for label in labels)


def pair_step(*, training: bool, draws: bool, ranks: bool) -> Callable[[Any], Any] | None:
    """Return what a loader does with the pairs of a batch, or None for nothing.

    Args:
        training: Whether negatives are drawn anew for each batch. Others depend on the row alone.
        draws: Whether negatives are drawn, see `draw_negatives`.
        ranks: Whether all pairs are added that a ranking needs, see `add_candidates`.

    Example:
        >>> pair_step(training=True, draws=False, ranks=False) is None
        True
    """
    ranks = ranks and not training
    return partial(_add_pairs, training=training, draws=draws, ranks=ranks) if draws or ranks else None


def _add_pairs(batch: Any, *, training: bool, draws: bool, ranks: bool) -> Any:
    if draws:
        count = batch.num_graphs
        # The state of this generator is part of a checkpoint.
        seeds = torch.randint(2**31, (1,)).expand(count) + torch.arange(count) if training else batch.row_id
        batch = draw_negatives(batch, seeds)
    return add_candidates(batch) if ranks else batch


def draw_negatives(batch: Any, seeds: Tensor, count: int = NEGATIVES) -> Any:
    r"""Add pairs (i, k) with the label 0 for each true pair (i, j): k is any node of the graph that is no true partner.

    .. math::
        k \sim \mathrm{Uniform}\{\, k : (i, k) \text{ is no true pair and was not drawn before} \,\}

    Node i itself may be drawn, as in the benchmark. Where nearly all nodes are true partners of i, fewer are added:
    a draw is given up after 10 tries.

    Args:
        batch: A ``torch_geometric.data.Batch`` on the CPU with ``edge_label_index`` [2, L] and ``edge_label`` [L]; it
            is changed. Its nodes are sorted by graph.
        seeds: A number for each graph, int64 [B]: the draws of a graph depend on it alone.
        count: Pairs that are drawn for each true pair.

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> data = Data(x=torch.ones(3, 1), edge_label_index=torch.tensor([[0], [2]]), edge_label=torch.ones(1))
        >>> batch = draw_negatives(Batch.from_data_list([data]), torch.tensor([0]))
        >>> sorted(batch.edge_label_index.T.tolist()), batch.edge_label.tolist()
        ([[0, 0], [0, 1], [0, 2]], [1.0, 0.0, 0.0])

    Cost: O(L log L) for each of at most 10 tries.
    """
    pairs, label = batch.edge_label_index, batch.edge_label.reshape(-1)
    true = pairs[:, label == 1]
    nodes = batch.num_nodes
    known = true[0] * nodes + true[1]
    head, tail = (ends.repeat_interleave(count) for ends in true)
    graph = batch.batch[head]
    start, size = batch.ptr[graph], batch.ptr.diff()[graph]
    place = torch.arange(count).repeat(true.size(1))
    drawn = torch.full_like(head, -1)
    for attempt in range(_TRIES):
        open_ = (drawn < 0).nonzero().flatten()
        if not len(open_):
            break
        parts = (seeds[graph], head - start, tail - start, place)
        numbers = _hash([part[open_] for part in parts], attempt)
        keys = head[open_] * nodes + start[open_] + numbers % size[open_]
        keys = keys.masked_fill(torch.isin(keys, known) | torch.isin(keys, drawn), -1)
        drawn[open_] = keys.masked_fill(_repeats(keys), -1)
    found = drawn[drawn >= 0]
    batch.edge_label_index = torch.cat([pairs, torch.stack([found // nodes, found % nodes])], dim=1)
    batch.edge_label = torch.cat([label, label.new_zeros(len(found))])
    return batch


def _hash(parts: list[Tensor], attempt: int) -> Tensor:
    """Return numbers from 0 to 2^31 - 1 that look random."""
    mixed = torch.full_like(parts[0], 1 + attempt)
    for part in parts:
        for number, shift in zip(_MIX, (31, 27, 33), strict=True):
            mixed = (mixed + part + 1) * number
            mixed = mixed ^ (mixed >> shift)
    return (mixed >> 16) & (2**31 - 1)


def _repeats(keys: Tensor) -> Tensor:
    """Say which numbers occur at an earlier place."""
    order = keys.argsort(stable=True)
    repeats = torch.zeros_like(keys, dtype=torch.bool)
    repeats[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    return repeats


def add_candidates(batch: Any) -> Any:
    r"""Add all pairs (i, k) with the first node i of a true pair and any node k of its graph, without labels.

    The metrics `pyg_samsa.metrics.LinkRanking` rank a true pair (i, j) among them. Pairs that are labelled already are
    not added again. The label of an added pair is NaN, which losses and other metrics leave out.

    Args:
        batch: A ``torch_geometric.data.Batch`` on the CPU with ``edge_label_index`` [2, L] and ``edge_label`` [L]; it
            is changed. Its nodes are sorted by graph.

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> data = Data(x=torch.ones(3, 1), edge_label_index=torch.tensor([[0], [2]]), edge_label=torch.ones(1))
        >>> batch = add_candidates(Batch.from_data_list([data]))
        >>> batch.edge_label_index.tolist(), batch.edge_label.tolist()
        ([[0, 0, 0], [2, 0, 1]], [1.0, nan, nan])

    Cost: O(S n + L) for S first nodes of true pairs in graphs of n nodes.
    """
    pairs, label = batch.edge_label_index, batch.edge_label.reshape(-1)
    source = torch.unique(pairs[0][label == 1])
    graph = batch.batch[source]
    sizes, start = batch.ptr.diff()[graph], batch.ptr[graph]
    row = torch.repeat_interleave(torch.arange(len(source)), sizes)
    target = start[row] + torch.arange(len(row)) - (sizes.cumsum(0) - sizes)[row]
    candidates = torch.stack([source[row], target])
    nodes = batch.num_nodes
    new = ~torch.isin(candidates[0] * nodes + candidates[1], pairs[0] * nodes + pairs[1])
    batch.edge_label_index = torch.cat([pairs, candidates[:, new]], dim=1)
    label = label if label.is_floating_point() else label.float()
    batch.edge_label = torch.cat([label, label.new_full((int(new.sum()),), float("nan"))])
    return batch
