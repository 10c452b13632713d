"""Tables with one row per graph, for operations that need graphs side by side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_samsa.typing import Bool, Int, Shaped


@dataclass(frozen=True, eq=False)
class DenseLayout:
    r"""Where the tokens of some graphs lie in a table with one row per graph and one column per token.

    .. math::
        \mathrm{table}_{g, t - \mathrm{ptr}_g} = x_t \quad \text{for the tokens } t \text{ of graph } g

    Tokens are written into an empty table and read back by their cells. Both directions, and their gradients, touch
    every token once; cells without a token are never read. No step waits for the device.

    Attributes:
        graphs: Numbers of the graphs in the table; None means all.
        tokens: Rows of the packed tensor in the table; None means all.
        cells: Cell of each of these tokens, counted row by row; None if every cell holds a token, in this order.
        real: Which cells hold a token.

    Example:
        >>> from pyg_samsa.functional import RaggedIndex
        >>> (layout,) = RaggedIndex(torch.tensor([0, 1, 3])).layouts()
        >>> layout.to_table(torch.tensor([7, 8, 9]))
        tensor([[7, 0],
                [8, 9]])
        >>> layout.from_table(torch.tensor([[1, 2], [3, 4]]))
        tensor([1, 3, 4])
    """

    graphs: Int[Tensor, " G"] | None
    tokens: Int[Tensor, " t"] | None
    cells: Int[Tensor, " t"] | None
    real: Bool[Tensor, "G width"]

    def to_table(self, x: Shaped[Tensor, "T ..."], fill: float = 0) -> Shaped[Tensor, "G width ..."]:
        r"""Lay out one row per token.

        .. math::
            \mathrm{table}_{g c} = x_{\mathrm{ptr}_g + c} \;\text{ if } c < n_g, \text{ else fill}

        Args:
            x: Packed rows of all tokens of the batch.
            fill: Value of the cells without a token.

        Example:
            >>> from pyg_samsa.functional import RaggedIndex
            >>> RaggedIndex(torch.tensor([0, 1, 3])).layouts()[0].to_table(torch.tensor([7, 8, 9]), fill=-1).tolist()
            [[7, -1], [8, 9]]

        Cost: O(G width) per channel; nothing if all cells hold a token.
        """
        if self.cells is None:
            return x.unflatten(0, tuple(self.real.shape))
        rows = x if self.tokens is None else x.index_select(0, self.tokens)
        table = x.new_full((self.real.numel(), *x.shape[1:]), fill)
        return table.index_copy(0, self.cells, rows).unflatten(0, tuple(self.real.shape))

    def from_table(self, table: Shaped[Tensor, "G width ..."]) -> Shaped[Tensor, "t ..."]:
        r"""Return the rows of the tokens of this table, in the order of the packed tensor.

        .. math::
            x_t = \mathrm{table}_{g, t - \mathrm{ptr}_g}

        Example:
            >>> from pyg_samsa.functional import RaggedIndex
            >>> RaggedIndex(torch.tensor([0, 1, 3])).layouts()[0].from_table(torch.tensor([[1, 2], [3, 4]])).tolist()
            [1, 3, 4]

        Cost: O(t) per channel.
        """
        rows = table.flatten(0, 1)
        return rows if self.cells is None else rows.index_select(0, self.cells)

    def of_graphs(self, x: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "G ..."]:
        """Return the rows of the graphs in the table, of a tensor with one row per graph of the batch.

        Example:
            >>> from pyg_samsa.functional import RaggedIndex
            >>> RaggedIndex(torch.tensor([0, 1, 3])).layouts()[0].of_graphs(torch.tensor([5, 6])).tolist()
            [5, 6]
        """
        return x if self.graphs is None else x.index_select(0, self.graphs)


def full_layout(num_graphs: int, width: int, device: torch.device) -> DenseLayout:
    """Return the layout of graphs that all have ``width`` tokens: a view of the packed tensor.

    Example:
        >>> full_layout(2, 1, torch.device("cpu")).to_table(torch.tensor([7, 8])).tolist()
        [[7], [8]]
    """
    return DenseLayout(None, None, None, torch.ones(num_graphs, width, dtype=torch.bool, device=device))


def make_layout(
    begin: Int[Tensor, " G"],
    sizes: Int[Tensor, " G"],
    width: int,
    num_tokens: int,
    *,
    rows: Int[Tensor, " t"] | None = None,
    graphs: Int[Tensor, " G"] | None = None,
) -> DenseLayout:
    r"""Make the layout of some graphs.

    .. math::
        \mathrm{cell}_t = g \cdot \mathrm{width} + t - \mathrm{ptr}_g

    Args:
        begin: First token of each graph.
        sizes: Number of tokens of each graph.
        width: Columns of the table, at least the largest size.
        num_tokens: Sum of the sizes, so that nothing has to be read from the device.
        rows: Row of each token in the table, if it is known.
        graphs: Numbers of the graphs in the batch; None means all of them.

    Example:
        >>> make_layout(torch.tensor([0, 1]), torch.tensor([1, 2]), 2, 3).cells
        tensor([0, 2, 3])

    Cost: O(G width).
    """
    numbers = torch.arange(sizes.size(0), device=sizes.device)
    if rows is None:
        rows = torch.repeat_interleave(numbers, sizes, output_size=num_tokens)
    # The k-th token of this layout is in column k minus the number of tokens in the rows above.
    first = sizes.cumsum(0) - sizes
    order = torch.arange(num_tokens, device=sizes.device)
    cells = order + (numbers * width - first)[rows]
    tokens = None if graphs is None else order + (begin - first)[rows]
    return DenseLayout(graphs, tokens, cells, torch.arange(width, device=sizes.device) < sizes[:, None])
