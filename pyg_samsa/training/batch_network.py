"""Wraps a model of plain tensors, so that it maps a PyG batch to (prediction, target)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from torch import Tensor, nn

from pyg_samsa.errors import DataError, ShapeError
from pyg_samsa.functional.graph_index import GraphIndex
from pyg_samsa.functional.inputs import edges_of
from pyg_samsa.functional.tower_batch import tower_batch
from pyg_samsa.nn import GraphFeatures, TargetScale

PAIRS = "edge_label_index"
"""The input of models of pairs of nodes."""


def graphs_of(batch: Any) -> tuple[Tensor, int]:
    """Return the graph number of each node and the number of graphs; the documents of a pair are two graphs.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Batch, Data
        >>> batch = Batch.from_data_list([Data(x=torch.ones(2, 1)), Data(x=torch.ones(1, 1))])
        >>> graphs_of(batch)
        (tensor([0, 0, 1]), 2)
    """
    if "document" in batch:
        return tower_batch(batch.batch, batch.document), 2 * batch.num_graphs
    return batch.batch, batch.num_graphs


def attach_graph_index(batch: Any) -> Any:
    """Add a `pyg_samsa.functional.GraphIndex` to a batch as ``graphs``, so that the network reads no sizes.

    Batches that are not sorted by graph, or whose edges are not valid, are left as they are.

    Args:
        batch: A ``torch_geometric.data.Batch`` on the CPU; it is changed.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Batch, Data
        >>> batch = Batch.from_data_list([Data(x=torch.ones(n, 1)) for n in (2, 1)])
        >>> attach_graph_index(batch).graphs.sizes
        [2, 1]

    Cost: O(N + E).
    """
    if batch.get("batch") is None or "adj_t" in batch:
        return batch
    graph, count = graphs_of(batch)
    with suppress(ShapeError):  # the network says what is wrong
        if (index := GraphIndex.from_edges(batch.get("edge_index"), graph, count)) is not None:
            batch.graphs = index
    return batch


class BatchNetwork(nn.Module):
    """Feeds a model of plain tensors, such as :class:`pyg_samsa.nn.SAMSA`, from a batch.

    The two documents of a pair (``document`` 0 or 1 of each node) become two graphs, 2b and 2b + 1. ``category``,
    ``pos``, ``normal``, ``pe``, ``paths``, ``graph_features`` and ``edge_label_index`` are passed to models whose
    attribute ``inputs`` names them. Edges may be given as ``adj_t`` instead of ``edge_index``.

    Any ``nn.Module`` with ``forward(batch) -> (prediction, target)`` can be used instead: models of pairs, baselines,
    GraphGym networks.

    Args:
        model: Called as ``model(x, edge_index, edge_attr, batch, batch_size=B)``.
        node_encoder: Called with the batch before the model, as GraphGym's node encoders are; may be None.
        edge_encoder: Likewise for edges.

    Shapes:
        - **input**: a ``torch_geometric.data.Batch`` of B graphs
        - **output**: prediction [B, C], [N, C] or [L, C], and target as the batch holds it, or None: ``edge_label`` for
          models of pairs of nodes, which take ``edge_label_index`` [2, L], and ``y`` for others

    Raises:
        DataError: The batch has no node features.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Batch, Data
        >>> class Count(nn.Module):
        ...     def forward(self, x, edge_index, edge_attr, batch, *, batch_size):
        ...         return x.new_zeros(batch_size, 1).index_add(0, batch, x)
        >>> no_edges = torch.empty(2, 0, dtype=torch.long)
        >>> batch = Batch.from_data_list([Data(x=torch.ones(n, 1), edge_index=no_edges) for n in (2, 3)])
        >>> BatchNetwork(Count())(batch)[0].tolist()
        [[2.0], [3.0]]
    """

    def __init__(
        self, model: nn.Module, *, node_encoder: nn.Module | None = None, edge_encoder: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.node_encoder = node_encoder
        self.edge_encoder = edge_encoder

    @property
    def scale(self) -> TargetScale | None:
        """The scale of the targets of the model, or None.

        Example:
            >>> BatchNetwork(nn.Identity()).scale is None
            True
        """
        return getattr(self.model, "scale", None)

    @property
    def graph_features(self) -> GraphFeatures | None:
        """The encoder of features of whole graphs of the model, or None.

        Example:
            >>> BatchNetwork(nn.Identity()).graph_features is None
            True
        """
        return getattr(self.model, "graph_features", None)

    def arguments(self, batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the named arguments of the model for a batch, whose features are encoded.

        Example:
            >>> import torch
            >>> from torch_geometric.data import Batch, Data
            >>> edges = torch.empty(2, 0, dtype=torch.long)
            >>> batch = Batch.from_data_list([Data(x=torch.ones(2, 1), edge_index=edges)])
            >>> BatchNetwork(nn.Identity()).arguments(batch)[1]
            {'batch_size': 1}
        """
        for encoder in (self.node_encoder, self.edge_encoder):
            if encoder is not None:
                batch = encoder(batch)
        if batch.x is None:
            raise DataError(
                "The graphs have no node features x",
                hint="Add some, for example by torch_geometric.transforms.Constant.",
            )
        graph, count = graphs_of(batch)
        index = batch.get("graphs") if getattr(self.model, "takes_graph_index", False) else None
        # A loader has found out where the graphs lie; the batch may have been changed since.
        if index is not None and index.device == batch.x.device and index.num_tokens == batch.x.size(0):
            graph = index
        inputs = {name: batch[name] for name in getattr(self.model, "inputs", ()) if batch.get(name) is not None}
        edge_index, edge_attr = edges_of(batch.edge_index, batch.edge_attr)
        if edge_index is None and "adj_t" in batch:
            edge_index, edge_attr = edges_of(batch.adj_t, edge_attr)
        return (batch.x, edge_index, edge_attr, graph), {"batch_size": count, **inputs}

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (prediction, target) of a batch."""
        places, named = self.arguments(batch)
        target = "edge_label" if PAIRS in getattr(self.model, "inputs", ()) else "y"
        return self.model(*places, **named), batch.get(target)
