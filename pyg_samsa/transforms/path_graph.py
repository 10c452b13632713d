"""A sequence of symbols as the graph of its path."""

from __future__ import annotations

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from pyg_samsa.errors import ShapeError


def path_edges(num_nodes: int, *, undirected: bool = False, device: torch.device | None = None) -> Tensor:
    """Return the edges of the path 0 -> 1 -> ... -> n-1.

    Args:
        num_nodes: Number n of nodes.
        undirected: Add the edges of the way back, after those of the way there.
        device: Device of the result.

    Returns:
        Edges [2, n-1] int64, or [2, 2(n-1)]; [2, 0] for n <= 1.

    Example:
        >>> path_edges(3)
        tensor([[0, 1],
                [1, 2]])
        >>> path_edges(3, undirected=True)
        tensor([[0, 1, 1, 2],
                [1, 2, 0, 1]])
    """
    nodes = torch.arange(max(num_nodes, 1), device=device)
    edges = torch.stack([nodes[:-1], nodes[1:]])
    return torch.cat([edges, edges.flip(0)], dim=1) if undirected else edges


class PathGraph(BaseTransform):
    """Connect the symbols of a sequence to a path graph, i -> i+1.

    What ``edge_index`` held before is replaced. Sequences of no or one symbol get no edge, but an ``edge_index`` [2,
    0], which batching needs.

    Args:
        undirected: Add the edges of the way back.

    Shapes:
        - **input:** ``data.x`` [n] or [n, F]
        - **output:** ``data.edge_index`` int64 [2, n-1], or [2, 2(n-1)] when undirected; everything else as it was

    Raises:
        ShapeError: ``data.x`` is missing or has no row for each symbol, or there are edge features, which cannot fit
            the new edges.

    Example:
        >>> PathGraph()(Data(x=torch.tensor([7, 1, 4]))).edge_index
        tensor([[0, 1],
                [1, 2]])

    Cost: O(n).
    """

    def __init__(self, undirected: bool = False) -> None:
        self.undirected = undirected

    def forward(self, data: Data) -> Data:
        """Return the data with the path's edges."""
        x = data.x
        if not isinstance(x, Tensor) or x.dim() < 1:
            raise ShapeError(
                "x", "nothing" if x is None else list(getattr(x, "shape", [])), "[n] or [n, F], one row a symbol"
            )
        if data.edge_attr is not None:
            raise ShapeError(
                "edge_attr", list(data.edge_attr.shape), "no features of edges, because the edges are replaced"
            )
        data.edge_index = path_edges(x.size(0), undirected=self.undirected, device=x.device)
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(undirected={self.undirected})"
