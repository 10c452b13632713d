"""Ragged batches: graphs of different size, packed one after the other without padding."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pyg_samsa.errors import ShapeError
from pyg_samsa.functional.batch_vector import batch_to_ptr, inverse_permutation
from pyg_samsa.functional.dense_layout import DenseLayout, full_layout, make_layout
from pyg_samsa.typing import Int, Shaped

if TYPE_CHECKING:
    from typing_extensions import Self

# A table of graphs of different size has at most this many times as many cells as there are tokens.
_MOST_WASTE = 4.0


class RaggedIndex:
    r"""Where each graph of a packed batch begins and ends.

    It is made once per forward pass and passed from layer to layer, so that the sizes are copied from the device to the
    host only once.

    Args:
        ptr: Offsets [B+1] int64, non-decreasing, from 0 to T: the rows of graph :math:`b` are ``ptr[b]:ptr[b+1]``.

    Attributes:
        ptr: Offsets [B+1] int64, on the device of the tokens.
        sizes: Number of tokens of each graph, a list of B Python integers.
        num_graphs: B.
        num_tokens: T.
        max_size: Number of tokens of the largest graph.
        uniform: Whether all graphs have the same number of tokens, so that [T, ...] can be viewed as [B, n, ...].

    Raises:
        ShapeError: ``ptr`` is not a one-dimensional integer tensor that starts at 0 and never decreases.

    Example:
        >>> index = RaggedIndex(torch.tensor([0, 3, 3, 5]))
        >>> index.sizes, index.max_size, index.batch
        ([3, 0, 2], 3, tensor([0, 0, 0, 2, 2]))

    Cost: O(B), and one copy of B+1 integers to the host.
    """

    def __init__(self, ptr: Int[Tensor, " offsets"]) -> None:
        if ptr.dim() != 1 or ptr.numel() == 0 or ptr.is_floating_point() or ptr.dtype == torch.bool:
            raise ShapeError("ptr", f"{list(ptr.shape)} {ptr.dtype}", "integers [B+1]")
        offsets: list[int] = ptr.tolist()
        sizes = [end - begin for begin, end in itertools.pairwise(offsets)]
        if offsets[0] != 0 or any(size < 0 for size in sizes):
            raise ShapeError("ptr", "offsets that do not rise from 0", "0 = ptr[0] <= ptr[1] <= ... <= ptr[B] = T")
        self._describe(ptr.long(), sizes)

    def _describe(self, ptr: Tensor, sizes: list[int]) -> None:
        self.ptr = ptr
        self.sizes = sizes
        self.num_graphs = len(self.sizes)
        self.num_tokens = sum(sizes)
        self.max_size = max(self.sizes, default=0)
        self.uniform = self.max_size * self.num_graphs == self.num_tokens
        self._batch: Tensor | None = None
        self._occupied: RaggedIndex | None = None
        self._parts: dict[int, list[tuple[slice, RaggedIndex]]] = {}
        self._tiles: dict[int, tuple[Tensor, Tensor]] = {}
        self._cells: dict[int, tuple[Tensor, Tensor]] = {}
        self._layouts: list[DenseLayout] | None = None
        self._table: DenseLayout | None = None

    @classmethod
    def from_sizes(
        cls, sizes: list[int], device: torch.device | None = None, *, ptr: Int[Tensor, " offsets"] | None = None
    ) -> RaggedIndex:
        r"""Make the index of graphs whose sizes are known, without reading from the device.

        .. math::
            \mathrm{ptr}_b = \sum_{a < b} n_a

        Args:
            sizes: Number of tokens of each graph.
            device: Device of the tokens; the CPU by default.
            ptr: The offsets, if they are on the device already.

        Example:
            >>> RaggedIndex.from_sizes([3, 0, 2]).ptr
            tensor([0, 3, 3, 5])
        """
        index = cls.__new__(cls)
        index._describe(torch.tensor([0, *itertools.accumulate(sizes)], device=device) if ptr is None else ptr, sizes)
        return index

    @classmethod
    def from_batch(cls, batch: Int[Tensor, " T"], batch_size: int | None = None) -> RaggedIndex:
        """Make the index of a sorted ``batch`` vector.

        Args:
            batch: Graph number of each token, ascending.
            batch_size: Number of graphs, if some at the end may be empty.

        Example:
            >>> RaggedIndex.from_batch(torch.tensor([0, 0, 2]), batch_size=4).ptr
            tensor([0, 2, 2, 3, 3])
        """
        return cls(batch_to_ptr(batch, batch_size))

    @property
    def device(self) -> torch.device:
        """Device of ``ptr``.

        Example:
            >>> RaggedIndex(torch.tensor([0, 2])).device
            device(type='cpu')
        """
        return self.ptr.device

    @property
    def batch(self) -> Int[Tensor, " T"]:
        r"""Graph number of every token, ascending.

        .. math::
            \mathrm{batch}_t = b \quad\text{for}\quad \mathrm{ptr}_b \le t < \mathrm{ptr}_{b+1}

        Example:
            >>> RaggedIndex(torch.tensor([0, 2, 2, 3])).batch
            tensor([0, 0, 2])
        """
        if self._batch is None and self.num_graphs == 1:
            self._batch = torch.zeros(self.num_tokens, dtype=torch.long, device=self.device)
        if self._batch is None:
            counts = self.ptr.diff()
            graphs = torch.arange(self.num_graphs, device=self.device)
            self._batch = torch.repeat_interleave(graphs, counts, output_size=self.num_tokens)
        return self._batch

    def without_empty(self) -> RaggedIndex:
        """Return the index of the graphs that have tokens, if most graphs have none; otherwise the index itself.

        The rows of the tokens are the same. Tables with a row for each graph are then as small as the tokens need. If
        no graph has tokens, one empty graph is left.

        Example:
            >>> RaggedIndex(torch.tensor([0, 0, 0, 3, 3, 3])).without_empty().sizes
            [3]
            >>> RaggedIndex(torch.tensor([0, 0, 3])).without_empty().sizes
            [0, 3]

        Cost: O(B) in the first call, then O(1).
        """
        if torch.compiler.is_compiling():
            return self  # a look at the sizes would compile anew for each batch
        if self._occupied is None:
            occupied = [size for size in self.sizes if size]
            few = 2 * len(occupied) < self.num_graphs
            self._occupied = RaggedIndex.from_sizes(occupied or [0], self.device) if few else self
        return self._occupied

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the index on another device; sizes are kept, so that nothing is read from it.

        Args:
            device: The device.
            non_blocking: Whether the copy may go on in the background, from pinned memory.

        Example:
            >>> RaggedIndex(torch.tensor([0, 3])).to("meta").device
            device(type='meta')
        """
        return self._with(self.ptr.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Return the index in pinned memory, as loaders do with batches."""
        return self._with(self.ptr.pin_memory())

    def _with(self, ptr: Tensor) -> Self:
        moved = copy.copy(self)
        moved._describe(ptr, self.sizes)
        return moved

    def groups(self, max_waste: float = _MOST_WASTE) -> Iterator[tuple[Int[Tensor, " G"] | None, int]]:
        """Yield ``(graphs, width)``: sets of graphs of similar size, for one dense [G, width] table each.

        All graphs form one set, ``(None, max_size)``, if its table has at most ``max_waste`` times as many cells as
        there are tokens. Otherwise there is one set per power of two, so that one large graph among many small ones
        costs no more than its own size.

        Args:
            max_waste: Largest number of cells per token for which all graphs form one set.

        Example:
            >>> list(RaggedIndex(torch.tensor([0, 2, 3])).groups())
            [(None, 2)]
            >>> list(RaggedIndex(torch.tensor([0, 1000, *range(1001, 1101)])).groups())[0]
            (tensor([0]), 1000)
        """
        for graphs in self._buckets(max_waste):
            numbers = None if graphs is None else torch.tensor(graphs, device=self.device)
            yield numbers, self.max_size if graphs is None else max(self.sizes[graph] for graph in graphs)

    def _buckets(self, max_waste: float) -> list[list[int] | None]:
        slack = 64 * self.num_graphs
        # Compiled code must not depend on the sizes of one batch.
        if torch.compiler.is_compiling() or self.max_size * self.num_graphs <= max_waste * self.num_tokens + slack:
            return [None]
        buckets: dict[int, list[int] | None] = {}
        for graph, size in enumerate(self.sizes):
            buckets.setdefault(max(size - 1, 0).bit_length(), []).append(graph)  # type: ignore[union-attr]
        return list(buckets.values())

    def layouts(self) -> list[DenseLayout]:
        """Return the dense table of each of the `groups`; together they hold every token once.

        Example:
            >>> [layout.real.tolist() for layout in RaggedIndex(torch.tensor([0, 2, 3])).layouts()]
            [[[True, True], [True, False]]]

        Cost: O(cells) in the first call, then O(1).
        """
        if torch.compiler.is_compiling():  # compiled code must not change the index, or depend on the sizes
            return [self._table or self._layout(None)]
        if self._layouts is None:
            self._layouts = [self._layout(graphs) for graphs in self._buckets(_MOST_WASTE)]
        return self._layouts

    def prepare(self) -> None:
        """Compute what compiled layers need of the index, so that all of them get it in the same state.

        Otherwise the first layer would add to the index, and the second one would be compiled anew.

        Example:
            >>> RaggedIndex(torch.tensor([0, 2, 3])).prepare()
        """
        self._table = self._layout(None) if self._table is None else self._table
        _ = self.batch

    def _layout(self, graphs: list[int] | None) -> DenseLayout:
        if self.uniform:
            return full_layout(self.num_graphs, self.max_size, self.device)
        begin, sizes = self.ptr[:-1], self.ptr.diff()
        if graphs is None:
            return make_layout(begin, sizes, self.max_size, self.num_tokens, rows=self.batch)
        numbers, own = torch.tensor(graphs, device=self.device), [self.sizes[graph] for graph in graphs]
        return make_layout(begin[numbers], sizes[numbers], max(own), sum(own), graphs=numbers)

    def in_tables(self, run: Callable[[DenseLayout], Shaped[Tensor, "G width ..."]]) -> Shaped[Tensor, "T ..."]:
        r"""Compute one table for each of the `layouts` and return the rows of the tokens.

        .. math::
            x_t = \mathrm{run}(\mathrm{layout})_{g, t - \mathrm{ptr}_g} \quad \text{for token } t \text{ of graph } g

        Args:
            run: Maps a layout to a table.

        Example:
            >>> index = RaggedIndex(torch.tensor([0, 1, 3]))
            >>> index.in_tables(lambda layout: layout.to_table(torch.tensor([7, 8, 9])) + 1)
            tensor([ 8,  9, 10])
        """
        layouts = self.layouts()
        rows = [layout.from_table(run(layout)) for layout in layouts]
        if len(layouts) == 1:
            return rows[0]
        order = torch.cat([layout.tokens for layout in layouts if layout.tokens is not None])
        return torch.cat(rows).index_select(0, inverse_permutation(order))

    def join_graphs(self, pieces: list[Shaped[Tensor, "G ..."]]) -> Shaped[Tensor, "B ..."]:
        r"""Return one row per graph of the batch, given the rows of the graphs in each of the `layouts`.

        .. math::
            \mathrm{out}_{\mathrm{graphs}_g} = \mathrm{piece}_g

        Example:
            >>> RaggedIndex(torch.tensor([0, 1, 3])).join_graphs([torch.tensor([5, 6])])
            tensor([5, 6])
        """
        if len(pieces) == 1:
            return pieces[0]
        order = torch.cat([layout.graphs for layout in self.layouts() if layout.graphs is not None])
        return torch.cat(pieces).index_select(0, inverse_permutation(order))

    def parts(self, max_tokens: int) -> list[tuple[slice, RaggedIndex]]:
        """Return batches of consecutive graphs, each as its rows and its own index.

        Args:
            max_tokens: Largest number of tokens of a batch; a larger graph is a batch of its own.

        Example:
            >>> [(rows.start, rows.stop) for rows, _ in RaggedIndex(torch.tensor([0, 2, 3, 9])).parts(4)]
            [(0, 3), (3, 9)]
        """
        if max_tokens not in self._parts:
            cuts, room = [0], max_tokens
            for graph, size in enumerate(self.sizes):
                if size > room and graph > cuts[-1]:
                    cuts.append(graph)
                    room = max_tokens
                room -= size
            cuts.append(self.num_graphs)
            parts = [
                RaggedIndex(self.ptr[begin : end + 1] - self.ptr[begin]) for begin, end in itertools.pairwise(cuts)
            ]
            rows = itertools.pairwise(itertools.accumulate([0, *(part.num_tokens for part in parts)]))
            self._parts[max_tokens] = [(slice(*bounds), part) for bounds, part in zip(rows, parts, strict=True)]
        return self._parts[max_tokens]

    def tiles(self, rows: int) -> tuple[Int[Tensor, " tiles"], Int[Tensor, " tiles"]]:
        """Cut every graph into tiles of ``rows`` tokens and return the graph and the first token of each tile.

        The device computes them without synchronisation.

        Args:
            rows: Number of tokens of a tile; the last tile of a graph may be shorter.

        Example:
            >>> RaggedIndex(torch.tensor([0, 3, 3, 4])).tiles(2)
            (tensor([0, 0, 2]), tensor([0, 2, 3]))
        """
        if rows not in self._tiles:
            counts = (self.ptr.diff() + rows - 1) // rows
            total = sum(-(-size // rows) for size in self.sizes)
            graphs = torch.repeat_interleave(
                torch.arange(self.num_graphs, device=self.device), counts, output_size=total
            )
            before = torch.arange(total, device=self.device) - (counts.cumsum(0) - counts)[graphs]
            self._tiles[rows] = graphs, self.ptr[graphs] + before * rows
        return self._tiles[rows]

    def tile_cells(self, rows: int) -> tuple[Int[Tensor, " cells"], Int[Tensor, " T"]]:
        """Lay out the `tiles` as a table with ``rows`` cells per tile.

        Args:
            rows: Number of cells of a tile.

        Returns:
            The token of every cell, which is the first one of the tile for cells without a token; and the cell of every
            token.

        Example:
            >>> RaggedIndex(torch.tensor([0, 3, 3, 4])).tile_cells(2)
            (tensor([0, 1, 2, 2, 3, 3]), tensor([0, 1, 2, 4]))
        """
        if rows not in self._cells:
            graphs, first = self.tiles(rows)
            tokens = first[:, None] + torch.arange(rows, device=self.device)
            real = tokens < self.ptr[graphs + 1][:, None]
            cells = real.flatten().nonzero().flatten()
            self._cells[rows] = torch.where(real, tokens, first[:, None]).flatten(), cells
        return self._cells[rows]

    def __repr__(self) -> str:
        sizes = f"num_graphs={self.num_graphs}, num_tokens={self.num_tokens}, max_size={self.max_size}"
        return f"{type(self).__name__}({sizes})"
