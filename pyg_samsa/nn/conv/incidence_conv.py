from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torch.nn import Linear, Module

from pyg_samsa.errors import ShapeError
from pyg_samsa.options import check_integer
from pyg_samsa.typing import Float, Int


class IncidenceConv(Module):
    r"""Message passing between the nodes and the edges of a graph whose edges are tokens.

    An edge :math:`e = (s, t)` hears its two nodes, and a node hears its edges:

    .. math::
        m_e = x_e + A x_s + B x_t, \qquad
        m_i = x_i + \sum_{e: s(e) = i} A x_e + \sum_{e: t(e) = i} B x_e, \qquad
        x' = W \, \mathrm{GELU}(C m)

    `GraphBridge` gives every edge a code that tells which nodes it joins. This layer uses what the bridge knows
    exactly, so that the network need not learn to match codes. The matrices are shared by nodes and edges.

    Args:
        channels: Channels D of a token.

    Shapes:
        - **input:** tokens [T, D], edges [2, E] as rows of the tokens of their nodes, rows of the tokens of the edges
          [E]
        - **output:** tokens [T, D]

    Raises:
        ConfigError: ``channels`` is less than 1.
        ShapeError: There is not one row per edge.

    Example:
        >>> import torch
        >>> conv = IncidenceConv(16)
        >>> x = torch.randn(5, 16)  # three nodes and the edges 0 -> 1 and 1 -> 2
        >>> conv(x, torch.tensor([[0, 1], [1, 2]]), torch.tensor([3, 4])).shape
        torch.Size([5, 16])

    Cost: O(T D^2 + E D).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        check_integer("channels", channels)
        self.channels = channels
        self.message = Linear(channels, 2 * channels, bias=False)
        self.hidden = Linear(channels, channels)
        self.out = Linear(channels, channels)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        for layer in (self.message, self.hidden, self.out):
            layer.reset_parameters()

    def forward(
        self, x: Float[Tensor, "T D"], edge_index: Int[Tensor, "2 E"], edge_rows: Int[Tensor, " rows"]
    ) -> Float[Tensor, "T D"]:
        r"""Let nodes and edges hear each other.

        .. math::
            x' = W \, \mathrm{GELU}(C m)

        Args:
            x: Tokens.
            edge_index: Directed edges: the rows in ``x`` of their two nodes.
            edge_rows: Row in ``x`` of each edge.

        Example:
            >>> import torch
            >>> conv, x = IncidenceConv(16), torch.randn(3, 16)
            >>> conv(x, torch.tensor([[0], [1]]), torch.tensor([2])).shape
            torch.Size([3, 16])
        """
        if edge_rows.shape != edge_index.shape[1:]:
            raise ShapeError("edge_rows", list(edge_rows.shape), f"[{edge_index.size(1)}], one row per edge")
        source, target = edge_index
        as_source, as_target = self.message(x).chunk(2, dim=1)
        of_nodes = as_source.index_select(0, source) + as_target.index_select(0, target)
        mixed = x.index_add(0, edge_rows, of_nodes)
        mixed = mixed.index_add(0, source, as_source.index_select(0, edge_rows))
        mixed = mixed.index_add(0, target, as_target.index_select(0, edge_rows))
        return self.out(F.gelu(self.hidden(mixed)))

    def extra_repr(self) -> str:
        """Return the channels as they appear in the ``repr``.

        Example:
            >>> IncidenceConv(16).extra_repr()
            '16'
        """
        return str(self.channels)
