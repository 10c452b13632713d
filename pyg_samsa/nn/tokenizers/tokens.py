from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.graph_index import check_ends
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Float, Int, Shaped


class Tokens(NamedTuple):
    """The tokens of a batch of graphs, packed without padding: the output of a tokenizer and the input of an encoder.

    Attributes:
        x: Tokens; those of a graph are contiguous, nodes before edges.
        index: Where each graph begins and ends.
        node_rows: Row in ``x`` of each node, in the order of the input.
        edge_rows: Row in ``x`` of each edge, in the order of the input; None if edges are not tokens.
        edge_index: Directed edges as rows of their nodes, in the order of the input; None if there are none.
        edge_attr: Encoded features of the edges, for local layers, if edges are not tokens; or None.
        pos: Positions of the tokens, or None.
        normal: Normals of the tokens, or None.
        edge_distance: Distances of the edges in positional encodings, for local layers, or None.

    Example:
        >>> tokens = Tokens(torch.ones(3, 2), RaggedIndex(torch.tensor([0, 3])), torch.arange(3))
        >>> tokens.index.num_tokens, tokens.edge_rows
        (3, None)
    """

    x: Float[Tensor, "T D"]
    index: RaggedIndex  # type: ignore[assignment]
    node_rows: Int[Tensor, " N"]
    edge_rows: Int[Tensor, " E"] | None = None
    edge_index: Int[Tensor, "2 E"] | None = None
    edge_attr: Float[Tensor, "E D"] | None = None
    pos: Float[Tensor, "T l"] | None = None
    normal: Float[Tensor, "T l"] | None = None
    edge_distance: Float[Tensor, "E 1"] | None = None

    def of_tokens(
        self, name: str, of_nodes: Shaped[Tensor, "N l"] | None, edge_index: Int[Tensor, "2 E"] | None
    ) -> Float[Tensor, "T l"] | None:
        r"""Return a vector for each token, given one for each node; an edge gets the mean of its two nodes.

        .. math::
            v_{ij} = \tfrac{1}{2} (v_i + v_j)

        Args:
            name: Name of the vectors, for the error message.
            of_nodes: Vectors of the nodes, or None.
            edge_index: Edges between the nodes.

        Returns:
            Vectors of the tokens, or None.

        Raises:
            ShapeError: There is not one row per node.

        Example:
                >>> index, edge_index = RaggedIndex(torch.tensor([0, 3])), torch.tensor([[0], [1]])
            >>> tokens = Tokens(torch.ones(3, 2), index, torch.tensor([0, 1]), torch.tensor([2]))
            >>> tokens.of_tokens("pos", torch.tensor([[0.0], [4.0]]), edge_index).flatten()
            tensor([0., 4., 2.])
        """
        if of_nodes is None:
            return None
        if of_nodes.dim() != 2 or of_nodes.size(0) != self.node_rows.size(0):
            raise ShapeError(name, list(of_nodes.shape), f"[{self.node_rows.size(0)}, l], one row per node")
        out = self.x.new_zeros(self.x.size(0), of_nodes.size(1))
        out[self.node_rows] = of_nodes.to(out.dtype)
        if self.edge_rows is not None and edge_index is not None:
            out[self.edge_rows] = (of_nodes[edge_index[0]] + of_nodes[edge_index[1]]).to(out.dtype) / 2
        return out


def check_edges(x: Tensor, edge_index: Tensor, channels: int, *, ends: bool = True) -> None:
    r"""Check encoded node features and the edges between them.

    .. math::
        x \in \mathbb{R}^{N \times D}, \qquad 0 \le \mathrm{edge\_index} < N

    Args:
        x: Encoded node features [N, D].
        edge_index: Directed edges [2, E].
        channels: D.
        ends: Whether the ends of the edges are checked too.

    Raises:
        ShapeError: A shape or type is wrong, or an edge names a node that does not exist.

    Example:
        >>> check_edges(torch.ones(2, 4), torch.tensor([[0], [1]]), 4)
    """
    if x.dim() != 2 or x.size(1) != channels or not x.is_floating_point():
        raise ShapeError("x", f"{list(x.shape)} {x.dtype}", f"floats [N, {channels}]")
    if (
        edge_index.dim() != 2
        or edge_index.size(0) != 2
        or edge_index.is_floating_point()
        or edge_index.dtype == torch.bool
    ):
        raise ShapeError("edge_index", f"{list(edge_index.shape)} {edge_index.dtype}", "integers [2, E]")
    if ends and edge_index.numel() and not torch.compiler.is_compiling():
        check_ends(edge_index, x.size(0))
