"""Batches of rows: seeded per epoch, resumable, and shared among processes without duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import Sampler

from pyg_samsa.errors import ConfigError


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
        ConfigError: there are fewer rows than processes.
    """

    def __init__(self, num_rows: int, *, shuffle: bool = False, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
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
        """Choose the order of epoch ``epoch`` (0 or more) and the seeds that the loader's workers get in it."""
        self.epoch = epoch
        self.worker_seeds.manual_seed((self.seed * 1_000_003 + epoch) % 2**62)

    def rows(self) -> list[int]:
        """Return the rows of this process in this epoch.

        A shuffled order is cut to a multiple of ``world_size``, so that every process takes the same number of steps (other rows are left
        out in each epoch); an unshuffled one is dealt out whole, so that every row is seen exactly once.
        """
        if not self.shuffle:
            return list(range(self.rank, self.num_rows, self.world_size))
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**62)
        order = torch.randperm(self.num_rows, generator=generator).tolist()
        return order[self.rank : self.num_rows - self.num_rows % self.world_size : self.world_size]

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
        if batch_size < 1:
            raise ConfigError("train.batch_size", batch_size, "a number of at least 1")
        self.batch_size = batch_size

    def batches(self) -> list[list[int]]:
        """Return all batches of this process in this epoch."""
        rows = self.rows()
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]

    def __len__(self) -> int:
        share = len(range(self.rank, self.num_rows, self.world_size)) if not self.shuffle else self.num_rows // self.world_size
        return -(-share // self.batch_size)


class BatchSamplerFactory(Protocol):
    """What :class:`~pyg_samsa.training.data.SplitData` calls to make the batches of one split: the seam for batches by token budget.

    ``rows`` is the split, a data set of Data that has a length, so that a factory can read the sizes of its graphs.
    """

    def __call__(self, rows: Any, *, shuffle: bool, seed: int, rank: int, world_size: int) -> BatchSampler:
        """Return the batch sampler of one split."""
        ...
