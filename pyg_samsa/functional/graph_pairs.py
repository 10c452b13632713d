"""All ordered pairs of tokens of each graph of a packed batch, and tables of what is known of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pyg_samsa.functional.batch_vector import inverse_permutation
from pyg_samsa.functional.dense_layout import DenseLayout, make_layout
from pyg_samsa.functional.ragged import RaggedIndex
from pyg_samsa.typing import Float, Int, Shaped


class GraphPairs:
    r"""The ordered pairs (i, j) of tokens of one graph: graph after graph, row by row.

    .. math::
        \mathrm{row}(i, j) = \sum_{a < b} n_a^2 + (i - \mathrm{ptr}_b) \, n_b + (j - \mathrm{ptr}_b)

    for tokens i and j of graph b, with :math:`P = \sum_b n_b^2` pairs in all.

    Args:
        index: Where each graph begins and ends.

    Attributes:
        index: The same.
        first: The number of i in its graph, from 0, [P].
        second: Likewise of j, [P].

    Example:
        >>> pairs = GraphPairs(RaggedIndex(torch.tensor([0, 2, 3])))
        >>> pairs.first.tolist(), pairs.second.tolist(), pairs.rows(torch.tensor([1, 2]), torch.tensor([0, 2])).tolist()
        ([0, 0, 1, 1, 0], [0, 1, 0, 1, 0], [2, 4])

    Cost: O(P) integers, 24 to 48 bytes for each pair.
    """

    def __init__(self, index: RaggedIndex) -> None:
        self.index = index
        sizes = index.ptr.diff()
        self._begin = (sizes**2).cumsum(0) - sizes**2
        self._graph, _, self.first, self.second = _pairs_of(sizes, index.sizes)
        self.layouts: list[DenseLayout] = []
        """Tables of graphs of similar size: their widths lie between two powers of two."""
        self._cells: list[tuple[Tensor, Tensor]] = []
        for graphs in _groups(index.sizes):
            self._add_table(graphs)

    def __len__(self) -> int:
        return self.first.numel()

    @property
    def begin(self) -> Int[Tensor, " P"]:
        """Row of the first pair of the graph of each pair.

        Example:
            >>> GraphPairs(RaggedIndex(torch.tensor([0, 1, 3]))).begin
            tensor([0, 1, 1, 1, 1])
        """
        return self._begin[self._graph]

    @property
    def offset(self) -> Int[Tensor, " P"]:
        """The first token of the graph of each pair.

        Example:
            >>> GraphPairs(RaggedIndex(torch.tensor([0, 1, 3]))).offset
            tensor([0, 1, 1, 1, 1])
        """
        return self.index.ptr[self._graph]

    @property
    def size(self) -> Int[Tensor, " P"]:
        """Number of tokens of the graph of each pair.

        Example:
            >>> GraphPairs(RaggedIndex(torch.tensor([0, 1, 3]))).size
            tensor([1, 2, 2, 2, 2])
        """
        return self.index.ptr.diff()[self._graph]

    def _add_table(self, graphs: list[int]) -> None:
        numbers = torch.tensor(graphs, dtype=torch.long, device=self.index.device)
        own = [self.index.sizes[graph] for graph in graphs]
        sizes, width = self.index.ptr.diff()[numbers], max(own, default=0)
        self.layouts.append(make_layout(self.index.ptr[numbers], sizes, width, sum(own), graphs=numbers))
        place, size, first, second = _pairs_of(sizes, own)
        source = self._begin[numbers][place] + first * size + second
        self._cells.append((source, (place * width + first) * width + second))

    def rows(self, first: Int[Tensor, " L"], second: Int[Tensor, " L"]) -> Int[Tensor, " L"]:
        """Return the rows of some pairs.

        Args:
            first: Tokens i, as rows of the packed batch.
            second: Tokens j of the same graphs.

        Example:
            >>> GraphPairs(RaggedIndex(torch.tensor([0, 2, 3]))).rows(torch.tensor([2]), torch.tensor([2]))
            tensor([4])
        """
        graph, ptr = self.index.batch[first], self.index.ptr
        sizes, offset = ptr.diff()[graph], ptr[graph]
        return self._begin[graph] + (first - offset) * sizes + second - offset

    def tables(self, values: Shaped[Tensor, "P ..."], fill: float = 0) -> list[Shaped[Tensor, "G width width ..."]]:
        r"""Lay out one value for each pair, a table for each of the `layouts`.

        .. math::
            \mathrm{table}_{g, i - \mathrm{ptr}_g, j - \mathrm{ptr}_g} = \mathrm{value}_{\mathrm{row}(i, j)}

        Args:
            values: A value for each pair.
            fill: Value of cells without a pair.

        Example:
            >>> pairs = GraphPairs(RaggedIndex(torch.tensor([0, 1, 3])))
            >>> [table.tolist() for table in pairs.tables(torch.arange(5))]
            [[[[0]]], [[[1, 2], [3, 4]]]]

        Cost: O(P), up to 4 P cells.
        """
        made = []
        for layout, (source, cells) in zip(self.layouts, self._cells, strict=True):
            graphs, width = layout.real.shape
            table = values.new_full((graphs * width**2, *values.shape[1:]), fill)
            rows = values if len(self.layouts) == 1 else values.index_select(0, source)
            made.append(table.index_copy(0, cells, rows).unflatten(0, (graphs, width, width)))
        return made

    def join(self, tables: list[Shaped[Tensor, "G width ..."]]) -> Shaped[Tensor, "T ..."]:
        """Return the rows of all tokens, from a table with one row for each token for each of the `layouts`.

        Example:
            >>> pairs = GraphPairs(RaggedIndex(torch.tensor([0, 2, 3])))
            >>> pairs.join([layout.to_table(torch.tensor([5, 6, 7])) for layout in pairs.layouts])
            tensor([5, 6, 7])

        Cost: O(T) per channel.
        """
        rows = [layout.from_table(table) for layout, table in zip(self.layouts, tables, strict=True)]
        if len(rows) == 1:
            return rows[0]
        order = torch.cat([layout.tokens for layout in self.layouts if layout.tokens is not None])
        return torch.cat(rows).index_select(0, inverse_permutation(order))


class PairBias(NamedTuple):
    """A bias of attention for each pair, from `pair_bias`.

    Attributes:
        pairs: The pairs.
        tables: The bias [G, H, width, width] for each of ``pairs.layouts``.

    Example:
        >>> PairBias(GraphPairs(RaggedIndex(torch.tensor([0, 2]))), [torch.zeros(1, 8, 2, 2)]).pairs.index.sizes
        [2]
    """

    pairs: GraphPairs
    tables: list[Tensor]


def pair_bias(pairs: GraphPairs, values: Float[Tensor, "P H"]) -> PairBias:
    r"""Lay out a bias for attention of token i to token j, so that no token attends to padding.

    .. math::
        \mathrm{table}_{g h i j} = b_{i j h} \;\text{ for pairs of tokens, } -\infty \text{ where } j \text{ is padding}

    Padding itself attends to everything, so that no row is empty; what it attends to is not read.

    Args:
        pairs: The pairs.
        values: The bias of each pair and head.

    Example:
        >>> pair_bias(GraphPairs(RaggedIndex(torch.tensor([0, 3, 7]))), torch.ones(25, 1)).tables[0][0, 0].tolist()[0]
        [1.0, 1.0, 1.0, -inf]

    Cost: O(P H), up to 4 P H numbers.
    """
    tables = []
    for layout, table in zip(pairs.layouts, pairs.tables(values), strict=True):
        padding = layout.real[:, :, None] & ~layout.real[:, None, :]
        tables.append(table.permute(0, 3, 1, 2).masked_fill(padding[:, None], -torch.inf))
    return PairBias(pairs, tables)


def _groups(sizes: list[int]) -> list[list[int]]:
    """Return the graphs that are not empty, by the power of two that their size does not exceed; at least one list."""
    groups: dict[int, list[int]] = {}
    for graph, size in enumerate(sizes):
        if size:
            groups.setdefault((size - 1).bit_length(), []).append(graph)
    return list(groups.values()) or [[]]


def _pairs_of(sizes: Tensor, known: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return graph, its size and both numbers of each pair; the sizes are known, so nothing is read from the device."""
    counts = sizes**2
    graph = torch.repeat_interleave(
        torch.arange(len(known), device=sizes.device), counts, output_size=sum(size**2 for size in known)
    )
    size = sizes[graph]
    local = torch.arange(graph.numel(), device=sizes.device) - (counts.cumsum(0) - counts)[graph]
    return graph, size, local // size, local % size
