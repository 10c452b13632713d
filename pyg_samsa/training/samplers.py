"""Batch samplers: seeded per epoch, resumable, and distributed without duplicates."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.utils.data import Sampler

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option, check_integer, check_options, keep_plain


@dataclass(frozen=True)
class BatchOptions:
    """Sizes of batches; the help of each option is in its annotation.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> BatchOptions(batch_size=16).eval_batch_size is None
        True
    """

    batch_size: Annotated[int, Option("Graphs of a training batch.", low=1)] = 32
    eval_batch_size: Annotated[
        int | None, Option("Graphs of an evaluation batch; empty for train.batch_size.", low=1)
    ] = None
    tokens_per_batch: Annotated[
        int | None,
        Option("Tokens of a batch (nodes, and edges if they are tokens), in place of train.batch_size graphs.", low=1),
    ] = None

    def __post_init__(self) -> None:
        check_options(BatchOptions, vars(keep_plain(self)))


class BatchSampler(Sampler[list[int]]):
    """Base of samplers that yield lists of row positions and whose order depends only on (seed, epoch).

    Lightning looks for ``set_epoch`` on ``batch_sampler.sampler``: that is this object itself.

    Args:
        num_rows: Rows to draw from, at least one for each process.
        shuffle: Whether the order changes with the epoch; without it the rows come in their own order.
        seed: Seed of the order.
        rank: Number of this process, 0 to ``world_size - 1``.
        world_size: Number of processes.

    Raises:
        ConfigError: There are fewer rows than processes.

    Example:
        >>> class Whole(BatchSampler):
        ...     def batches(self):
        ...         return [self.rows()]
        >>> list(Whole(5, rank=1, world_size=2))
        [[1, 3]]
    """

    def __init__(
        self, num_rows: int, *, shuffle: bool = False, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if num_rows < world_size:
            raise ConfigError("devices", world_size, f"at most {num_rows} processes for a split of {num_rows} rows")
        self.num_rows, self.shuffle, self.seed, self.rank, self.world_size = num_rows, shuffle, seed, rank, world_size
        self.epoch = 0
        self.worker_seeds = torch.Generator()
        self.set_epoch(0)

    @property
    def sampler(self) -> BatchSampler:
        """This object: where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of epoch ``epoch`` (0 or more) and the seeds that the loader's workers get in it.

        Example:
            >>> sampler = FixedSizeBatches(100, 100, shuffle=True)
            >>> first = list(sampler)
            >>> sampler.set_epoch(1)
            >>> first == list(sampler)
            False
        """
        self.epoch = epoch
        self.worker_seeds.manual_seed(self._epoch_seed())

    def rows(self) -> list[int]:
        """Return the rows of this process in this epoch.

        A shuffled order is cut to a multiple of ``world_size``, so that every process takes the same number of steps
        (other rows are left out in each epoch); an unshuffled one is dealt out whole, so that every row is seen exactly
        once.

        Example:
            >>> [FixedSizeBatches(5, 2, rank=rank, world_size=2).rows() for rank in (0, 1)]
            [[0, 2, 4], [1, 3]]
            >>> [len(FixedSizeBatches(5, 2, shuffle=True, rank=rank, world_size=2).rows()) for rank in (0, 1)]
            [2, 2]
        """
        if not self.shuffle:
            return list(range(self.rank, self.num_rows, self.world_size))
        order = torch.randperm(self.num_rows, generator=self._generator()).tolist()
        return order[self.rank : self.num_rows - self.num_rows % self.world_size : self.world_size]

    def _generator(self) -> torch.Generator:
        """Return the generator of this epoch's order."""
        return torch.Generator().manual_seed(self._epoch_seed())

    def _epoch_seed(self) -> int:
        return (self.seed * 1_000_003 + self.epoch) % 2**62

    def batches(self) -> list[list[int]]:
        """Return all batches of this process in this epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches())


class FixedSizeBatches(BatchSampler):
    """Batches of a fixed number of rows; the last one may be smaller.

    Args:
        num_rows: Rows to draw from.
        batch_size: Rows of a batch, at least 1.
        options: ``shuffle``, ``seed``, ``rank``, ``world_size`` of :class:`BatchSampler`.

    Raises:
        ConfigError: ``batch_size`` is below 1.

    Example:
        >>> sampler = FixedSizeBatches(5, 2)
        >>> list(sampler), len(sampler)
        ([[0, 1], [2, 3], [4]], 3)
        >>> [list(FixedSizeBatches(5, 2, rank=rank, world_size=2)) for rank in (0, 1)]
        [[[0, 2], [4]], [[1, 3]]]
        >>> shuffled = FixedSizeBatches(5, 5, shuffle=True, seed=1)
        >>> first = list(shuffled)
        >>> shuffled.set_epoch(1)
        >>> first == list(shuffled), sorted(first[0]) == sorted(next(iter(shuffled)))
        (False, True)
    """

    def __init__(self, num_rows: int, batch_size: int, **options: Any) -> None:
        super().__init__(num_rows, **options)
        check_integer("train.batch_size", batch_size)
        self.batch_size = batch_size

    def batches(self) -> list[list[int]]:
        """Return all batches of this process in this epoch.

        Example:
            >>> FixedSizeBatches(5, 2).batches()
            [[0, 1], [2, 3], [4]]
        """
        rows = self.rows()
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]

    def __len__(self) -> int:
        share = (
            len(range(self.rank, self.num_rows, self.world_size))
            if not self.shuffle
            else self.num_rows // self.world_size
        )
        return -(-share // self.batch_size)


class TokenBatches(BatchSampler):
    r"""Batches of rows of similar length that hold at most a given number of tokens.

    The rows of an epoch are shuffled, sorted by length within windows of :obj:`WINDOW` batches' worth of tokens, cut
    into batches by the budget, and the batches shuffled. Every row comes once per epoch, whatever its length; which
    rows it meets changes from epoch to epoch. All epochs have the same number of batches, a multiple of
    ``world_size``, so that schedules and several processes agree: where the cuts of an epoch give fewer, its batches
    of most rows are halved, and where none can be halved, fewer than ``world_size`` rows come once more. The mean loss
    of a batch weighs its rows alike, so a row in a batch of few (long) rows weighs more.

    Args:
        sizes: Tokens of each row, int64 [n].
        tokens_per_batch: Budget, at least 1. A row that is larger makes a batch of its own.
        options: ``shuffle``, ``seed``, ``rank``, ``world_size`` of :class:`BatchSampler`.

    Raises:
        ConfigError: ``tokens_per_batch`` is below 1.

    Example:
        >>> list(TokenBatches(torch.tensor([5, 1, 9, 2, 3]), 8))
        [[1, 3, 4], [0], [2]]

    Cost: O(n log n) per epoch.
    """

    WINDOW = 32

    def __init__(self, sizes: Tensor, tokens_per_batch: int, **options: Any) -> None:
        check_integer("train.tokens_per_batch", tokens_per_batch)
        self.sizes, self.tokens_per_batch = sizes.tolist(), tokens_per_batch
        super().__init__(len(self.sizes), **options)
        self._by_length = sorted(range(self.num_rows), key=lambda row: (self.sizes[row], row))
        count = len(self._cut(self._by_length))
        # Cuts of a shuffled order leave more room unused than those of the sorted one.
        count = min(count + count // self.WINDOW + 1, self.num_rows) if self.shuffle else count
        count = -(-count // self.world_size) * self.world_size
        self._count = count if self.shuffle else min(count, self.num_rows)

    def batches(self) -> list[list[int]]:
        """Return all batches of this process in this epoch.

        Example:
            >>> TokenBatches(torch.tensor([5, 5, 5, 5]), 10).batches()
            [[0, 1], [2, 3]]
        """
        generator = self._generator()
        batches = self._halve(self._epoch(generator) if self.shuffle else self._cut(self._by_length))
        if self.shuffle:
            order = torch.randperm(len(batches), generator=generator).tolist()
            batches = [batches[place] for place in [*order, *order[: self._count - len(batches)]]]
        return batches[self.rank :: self.world_size]

    def _epoch(self, generator: torch.Generator) -> list[list[int]]:
        order = torch.randperm(self.num_rows, generator=generator).tolist()
        room = self.WINDOW * self.tokens_per_batch
        windows: dict[int, list[int]] = {}
        for row, end in zip(order, itertools.accumulate(self.sizes[row] for row in order), strict=True):
            windows.setdefault(end // room, []).append(row)
        batches = self._cut([row for window in windows.values() for row in sorted(window, key=self.sizes.__getitem__)])
        return batches if len(batches) <= self._count else self._cut(self._by_length)

    def _halve(self, batches: list[list[int]]) -> list[list[int]]:
        """Halve the batches of most rows until there are as many as in every epoch."""
        fresh = itertools.count()
        heap = [(-len(batch), next(fresh), batch) for batch in batches]
        heapq.heapify(heap)
        while len(heap) < min(self._count, self.num_rows):
            rows = heapq.heappop(heap)[2]
            for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
                heapq.heappush(heap, (-len(half), next(fresh), half))
        return sorted((batch for _, _, batch in heap), key=lambda batch: (self.sizes[batch[0]], batch[0]))

    def _cut(self, order: list[int]) -> list[list[int]]:
        batches: list[list[int]] = []
        room = 0
        for row in order:
            room -= self.sizes[row]
            if not batches or room < 0:
                batches.append([])
                room = self.tokens_per_batch - self.sizes[row]
            batches[-1].append(row)
        return batches

    def __len__(self) -> int:
        return len(range(self.rank, self._count, self.world_size))
