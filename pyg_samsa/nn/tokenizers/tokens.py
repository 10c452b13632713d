from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.ragged import RaggedIndex


class Tokens(NamedTuple):
    """The tokens of a batch of graphs, packed without padding: what a tokenizer makes and an encoder works on.

    Attributes:
        x: Tokens [T, D]; those of a graph are contiguous, nodes before edges.
        index: Where each graph begins and ends.
        node_rows: Rows of the nodes in ``x`` [N], in the order in which the nodes were given.
        edge_rows: Rows of the edges in ``x`` [E], in the order in which the edges were given; None where edges are not
            tokens.
        pos: Positions of the tokens [T, l], or None.
        normal: Normals of the tokens [T, l], or None.

    Example:
        >>> import torch
        >>> tokens = Tokens(torch.ones(3, 2), RaggedIndex(torch.tensor([0, 3])), torch.arange(3))
        >>> tokens.index.num_tokens, tokens.edge_rows
        (3, None)
    """

    x: Tensor
    index: RaggedIndex  # type: ignore[assignment]
    node_rows: Tensor
    edge_rows: Tensor | None = None
    pos: Tensor | None = None
    normal: Tensor | None = None

    def of_tokens(self, name: str, of_nodes: Tensor | None, edge_index: Tensor | None) -> Tensor | None:
        r"""Return a vector for each token from a vector for each node; an edge gets the mean of its two nodes.

        .. math::
            v_{ij} = \tfrac{1}{2} (v_i + v_j)

        Args:
            name: What the vectors are, for the error.
            of_nodes: Vectors [N, l], or None.
            edge_index: Edges [2, E] between the nodes.

        Returns:
            Vectors [T, l], or None.

        Raises:
            ShapeError: There is not one row per node.
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
