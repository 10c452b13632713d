"""Where the nodes and edges of each graph of a batch lie, found out before the batch is copied to a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Int

if TYPE_CHECKING:
    from typing_extensions import Self


class GraphIndex(RaggedIndex):
    r"""The `RaggedIndex` of the nodes of a batch whose edges are sorted by graph too, with valid edges.

    A loader makes it on the CPU, in place of the ``batch`` vector: the sizes are known, and the edges are checked, so
    that nothing has to be read from the device later.

    .. math::
        b(1) \le \dots \le b(N), \qquad b(s_e) = b(t_e), \qquad b(s_1) \le \dots \le b(s_E)

    for the graph numbers :math:`b` of the nodes and the edges :math:`(s_e, t_e)`.

    Args:
        ptr: Offsets [B+1] of the nodes.
        edges: The index of the edges.

    Example:
        >>> index = GraphIndex.from_edges(torch.tensor([[0, 2], [1, 2]]), torch.tensor([0, 0, 1]), 2)
        >>> index.sizes, index.edges.sizes
        ([2, 1], [1, 1])
    """

    def __init__(self, ptr: Int[Tensor, " offsets"], edges: RaggedIndex) -> None:
        super().__init__(ptr)
        self.edges = edges

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the index on another device, see `RaggedIndex.to`."""
        moved = super().to(device, non_blocking)
        moved.edges = self.edges.to(device, non_blocking)
        return moved

    def pin_memory(self) -> Self:
        """Return the index in pinned memory, see `RaggedIndex.pin_memory`."""
        moved = super().pin_memory()
        moved.edges = self.edges.pin_memory()
        return moved

    @classmethod
    def from_edges(
        cls, edge_index: Int[Tensor, "2 E"] | None, batch: Int[Tensor, " N"], num_graphs: int
    ) -> GraphIndex | None:
        r"""Return the index of a batch, or None if nodes or edges are not sorted by graph.

        .. math::
            m_a = |\{\, e : b(s_e) = a \,\}|

        Args:
            edge_index: Directed edges; None means no edges.
            batch: Graph number of every node.
            num_graphs: Number of graphs B.

        Raises:
            ShapeError: An edge names a node that does not exist, or joins two graphs.

        Example:
            >>> GraphIndex.from_edges(None, torch.tensor([1, 0]), 2) is None
            True

        Cost: O(N + E).
        """
        if bool((batch.diff() < 0).any()):
            return None
        nodes = RaggedIndex.from_batch(batch, num_graphs)
        if edge_index is None or not edge_index.numel():
            return cls(nodes.ptr, RaggedIndex.from_sizes([0] * num_graphs))
        check_ends(edge_index, batch.numel())
        check_within_graphs(edge_index, batch)
        graph = batch[edge_index[0]]
        if bool((graph.diff() < 0).any()):
            return None
        return cls(nodes.ptr, RaggedIndex.from_batch(graph, num_graphs))

    def token_rows(self) -> tuple[RaggedIndex, Int[Tensor, " N"], Int[Tensor, " E"]]:
        r"""Return the index of the tokens if nodes and edges are tokens, and the rows of both.

        In each graph, nodes come before edges. With :math:`n_a` nodes and :math:`m_a` edges in graph a,

        .. math::
            \mathrm{row}(i) = i + \sum_{a < b(i)} m_a, \qquad \mathrm{row}(e) = e + \sum_{a \le b(e)} n_a.

        Example:
            >>> index = GraphIndex.from_edges(torch.tensor([[0, 2], [1, 2]]), torch.tensor([0, 0, 1]), 2)
            >>> index.token_rows()[1:]
            (tensor([0, 1, 3]), tensor([2, 4]))

        Cost: O(N + E).
        """
        edges = self.edges
        sizes = [nodes + links for nodes, links in zip(self.sizes, edges.sizes, strict=True)]
        node_rows = torch.arange(self.num_tokens, device=self.device) + edges.ptr[self.batch]
        edge_rows = torch.arange(edges.num_tokens, device=self.device) + self.ptr[edges.batch + 1]
        return RaggedIndex.from_sizes(sizes, ptr=self.ptr + edges.ptr), node_rows, edge_rows


def check_ends(edge_index: Int[Tensor, "2 E"], num_nodes: int) -> None:
    r"""Check that every edge joins nodes that exist, :math:`0 \le \mathrm{edge\_index} < N`.

    Args:
        edge_index: Directed edges, at least one.
        num_nodes: Number of nodes N.

    Raises:
        ShapeError: An edge names a node that does not exist.

    Example:
        >>> check_ends(torch.tensor([[0], [1]]), 2)
    """
    low, high = (int(bound) for bound in edge_index.aminmax())
    if low < 0 or high >= num_nodes:
        raise ShapeError("edge_index", f"node {low if low < 0 else high}", f"nodes 0 to {num_nodes - 1}")


def check_within_graphs(edge_index: Int[Tensor, "2 E"], graph: Int[Tensor, " N"]) -> None:
    r"""Check that every edge joins two nodes of one graph.

    .. math::
        \mathrm{graph}(s) = \mathrm{graph}(t) \quad \text{for every edge } (s, t)

    Args:
        edge_index: Directed edges.
        graph: Graph number of each node.

    Raises:
        ShapeError: An edge joins two graphs.

    Example:
        >>> check_within_graphs(torch.tensor([[0], [1]]), torch.tensor([0, 0, 1]))
    """
    if torch.compiler.is_compiling():
        return
    if bool((graph[edge_index[0]] != graph[edge_index[1]]).any()):
        raise ShapeError("edge_index", "an edge between two graphs of the batch", "edges within one graph")
