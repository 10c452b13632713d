"""A mixture of tasks: how many batches of each an epoch has, their order, and their loaders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch_geometric.data import Batch

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option, check_options, keep_plain
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.samplers import BatchSampler

TASK = "task_name"
"""Attribute of a batch of a mixture: the name of its task."""
MIXINGS = ("proportional", "equal", "annealed")
LOSS_WEIGHTS = ("fixed", "uncertainty")
# Passes over the rows of a small task have orders of their own.
_PASS = 2**31


def task_of(batch: Any) -> str:
    """Return the name of the task of a batch; empty if there is one task only.

    Example:
        >>> from torch_geometric.data import Data
        >>> task_of(Data(task_name="shapes")), task_of(Data())
        ('shapes', '')
    """
    return getattr(batch, TASK, "")


@dataclass(frozen=True)
class MixtureOptions:
    """Options of a mixture of tasks; the help of each option is in its annotation.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> MixtureOptions(mixing="equal").exponent(0.5)
        0.0
    """

    mixing: Annotated[
        str,
        Option(
            "Batches of the tasks in an epoch: in proportion to their sizes, equally many, or from equally many in the "
            "first epoch to in proportion in the last (annealed).",
            MIXINGS,
        ),
    ] = "proportional"
    temperature: Annotated[
        float, Option("In proportion to sizes ** (1 / temperature); above 1 small tasks get a larger share.", low=1)
    ] = 1.0
    loss_weights: Annotated[
        str, Option("Weights of the losses: fixed, or learned from the uncertainty of each task.", LOSS_WEIGHTS)
    ] = "fixed"
    share_tokenizers: Annotated[bool, Option("Whether tasks of one modality share their tokenizer.")] = False

    def __post_init__(self) -> None:
        check_options(MixtureOptions, vars(keep_plain(self)))
        if self.mixing == "equal" and self.temperature != 1:
            raise ConfigError("temperature", self.temperature, "1 with mixing 'equal', which does not use it")

    def exponent(self, progress: float) -> float:
        r"""Return the exponent a of the sizes, see `count_batches`, where T is the temperature.

        .. math::
            a = 1 / T \; \text{(proportional)}, \qquad 0 \; \text{(equal)}, \qquad p / T \; \text{(annealed)}

        Args:
            progress: Share p of the run that is over, from 0 in the first to 1 in the last epoch.

        Example:
            >>> MixtureOptions("annealed", temperature=2.0).exponent(0.5)
            0.25
        """
        return {"proportional": 1.0, "equal": 0.0, "annealed": progress}[self.mixing] / self.temperature


def count_batches(sizes: Sequence[int], exponent: float, total: int | None = None) -> list[int]:
    r"""Return how many batches of each task an epoch has, so that every task is seen at least once in full.

    .. math::
        c_t \approx N \frac{n_t^a}{\sum_s n_s^a} \ge n_t

    Args:
        sizes: Batches :math:`n_t` of each task, at least 1.
        exponent: a, from 0 (equally many of each task) to 1 (in proportion to the sizes).
        total: Batches N of the epoch; None for the smallest number with which all tasks are seen in full.

    Example:
        >>> count_batches([90, 30], 1.0), count_batches([90, 30], 0.0), count_batches([100, 25], 0.5)
        ([90, 30], [90, 90], [100, 50])
    """
    weights = [size**exponent for size in sizes]
    least = max(size * sum(weights) / weight for size, weight in zip(sizes, weights, strict=True))
    total = max(total or 0, math.ceil(least - 1e-6))
    quotas = [total * weight / sum(weights) for weight in weights]
    counts = [max(size, math.floor(quota)) for size, quota in zip(sizes, quotas, strict=True)]
    by_rest = sorted(range(len(sizes)), key=lambda task: (counts[task] - quotas[task], task))
    for task in by_rest[: total - sum(counts)]:
        counts[task] += 1
    return counts


def interleave(counts: Sequence[int], generator: torch.Generator) -> list[int]:
    r"""Return the tasks of all batches of an epoch in an order that spreads each task evenly.

    The i-th batch of a task is at :math:`(i + u) / c`, where u is a random number of the task and c its batches. So if
    tasks have equally many batches, each is once in every c-th part of the epoch.

    Args:
        counts: Batches c of each task.
        generator: Draws u.

    Example:
        >>> order = interleave([2, 4], torch.Generator().manual_seed(0))
        >>> order.count(0), order.count(1)
        (2, 4)
    """
    shifts = torch.rand(len(counts), generator=generator, dtype=torch.float64).tolist()
    places = [((i + shifts[task]) / count, task) for task, count in enumerate(counts) for i in range(count)]
    return [task for _, task in sorted(places)]


class MixedBatches(BatchSampler):
    """Batches of several tasks, each of one task: lists of one pair, the number of the task and positions of its rows.

    In training every epoch has the same number of batches and contains at least one pass over the rows of each task,
    see `count_batches`. The first pass of an epoch has the batches that the task would have had alone in that epoch;
    further passes over small tasks have other orders. In evaluation all rows come once, task by task.

    Args:
        samplers: Sampler of each task.
        options: Options of the mixture.
        max_epochs: Epochs of the run, over which the shares may change.
        kwargs: ``shuffle``, ``seed``, ``rank``, ``world_size`` of `BatchSampler`, as those of the samplers.

    Example:
        >>> from pyg_samsa.training.samplers import FixedSizeBatches
        >>> samplers = [FixedSizeBatches(3, 2), FixedSizeBatches(2, 2)]
        >>> list(MixedBatches(samplers, MixtureOptions(), max_epochs=1))
        [[(0, [0, 1])], [(0, [2])], [(1, [0, 1])]]

    Cost: That of the samplers.
    """

    def __init__(self, samplers: Sequence[Any], options: MixtureOptions, *, max_epochs: int, **kwargs: Any) -> None:
        self.samplers, self.options, self.max_epochs = samplers, options, max_epochs
        super().__init__(sum(sampler.num_rows for sampler in samplers), **kwargs)
        self._sizes = [len(sampler) for sampler in samplers]
        ends = [count_batches(self._sizes, options.exponent(progress)) for progress in (0.0, 1.0)]
        self._total = max(map(sum, ends)) if self.shuffle else sum(self._sizes)

    def __len__(self) -> int:
        return self._total

    def counts(self) -> list[int]:
        """Return the number of batches of each task in this epoch.

        Example:
            >>> from pyg_samsa.training.samplers import FixedSizeBatches
            >>> samplers = [FixedSizeBatches(rows, 2, shuffle=True) for rows in (8, 2)]
            >>> MixedBatches(samplers, MixtureOptions("equal"), max_epochs=1, shuffle=True).counts()
            [4, 4]
        """
        if not self.shuffle:
            return self._sizes
        progress = min(1.0, self.epoch / max(1, self.max_epochs - 1))
        return count_batches(self._sizes, self.options.exponent(progress), self._total)

    def batches(self) -> list[Any]:
        """Return all batches of this process in this epoch.

        Example:
            >>> from pyg_samsa.training.samplers import FixedSizeBatches
            >>> MixedBatches([FixedSizeBatches(2, 2)], MixtureOptions(), max_epochs=1).batches()
            [[(0, [0, 1])]]
        """
        counts = self.counts()
        streams = [iter(self._passes(task, count)) for task, count in enumerate(counts)]
        order = interleave(counts, self._generator()) if self.shuffle else _one_by_one(counts)
        return [[(task, next(streams[task]))] for task in order]

    def _passes(self, task: int, count: int) -> list[list[int]]:
        """Return ``count`` batches of a task: all of its rows, and again in another order where that is too few."""
        found: list[list[int]] = []
        number = 0
        while len(found) < count:
            self.samplers[task].set_epoch(self.epoch + number * _PASS)
            found += list(self.samplers[task])
            number += 1
        return found[:count]


def _one_by_one(counts: Sequence[int]) -> list[int]:
    return [task for task, count in enumerate(counts) for _ in range(count)]


class MixedRows(torch.utils.data.Dataset):
    """The rows of one split of several tasks; a batch is of one task, whose name it bears.

    Args:
        rows: Name of each task -> its rows.

    Example:
        >>> from pyg_samsa.training.data_module import SplitRows
        >>> len(MixedRows({"a": SplitRows([None] * 5, torch.arange(3)), "b": SplitRows([None], torch.arange(1))}))
        4
    """

    def __init__(self, rows: Mapping[str, Any]) -> None:
        self.names, self.rows = list(rows), list(rows.values())

    def __len__(self) -> int:
        return sum(map(len, self.rows))

    def __getitems__(self, pairs: Sequence[tuple[int, Sequence[int]]]) -> Batch:
        """Return the batch of a pair that `MixedBatches` yields.

        Example:
            >>> from torch_geometric.data import Data
            >>> from pyg_samsa.training.data_module import SplitRows
            >>> rows = MixedRows({"a": SplitRows([Data(x=torch.ones(2, 1))] * 5, torch.arange(3))})
            >>> rows.__getitems__([(0, [0, 2])]).task_name
            'a'
        """
        ((task, positions),) = pairs
        batch = self.rows[task].__getitems__(positions)
        batch[TASK] = self.names[task]
        return batch


class MixedData(SplitData):
    """Loaders of the splits of several tasks, whose batches are mixed; each batch is of one task.

    Args:
        parts: Name of each task -> its loaders.
        options: Options of the mixture.
        max_epochs: Epochs of the run.
        num_workers: Loader processes, 0 or more.
        seed: Seed of the order of the tasks.

    Example:
        >>> from torch_geometric.data import Data
        >>> graphs = [Data(x=torch.ones(2, 1), y=torch.ones(1)) for _ in range(4)]
        >>> part = SplitData(graphs, {"train": torch.arange(4)}, batch_size=2)
        >>> data = MixedData({"a": part, "b": part}, MixtureOptions(), max_epochs=1)
        >>> sorted(batch.task_name for batch in data.loader("train"))
        ['a', 'a', 'b', 'b']
    """

    def __init__(
        self,
        parts: Mapping[str, SplitData],
        options: MixtureOptions,
        *,
        max_epochs: int,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__([], {}, batch_size=1, num_workers=num_workers, seed=seed)
        self.parts, self.options, self.max_epochs = dict(parts), options, max_epochs

    def has(self, split: str) -> bool:
        """Whether a task has rows in the split.

        Example:
            >>> part = SplitData([None] * 4, {"train": torch.arange(4)}, batch_size=2)
            >>> data = MixedData({"a": part, "b": part}, MixtureOptions(), max_epochs=1)
            >>> data.has("train"), data.has("val")
            (True, False)
        """
        return any(part.has(split) for part in self.parts.values())

    def check_processes(self, count: int) -> None:
        """Raise an error unless every split of every task has a row for each process.

        Args:
            count: Number of processes.

        Raises:
            ConfigError: A split has fewer rows.

        Example:
            >>> part = SplitData([None] * 4, {"train": torch.arange(4)}, batch_size=2)
            >>> data = MixedData({"a": part, "b": part}, MixtureOptions(), max_epochs=1)
            >>> data.check_processes(4)
        """
        for name, part in self.parts.items():
            try:
                part.check_processes(count)
            except ConfigError as error:
                raise error.renamed(f"{error.key} ({name})") from None

    def source(self, split: str) -> tuple[torch.utils.data.Dataset, BatchSampler]:
        """Return the rows of a split of all tasks, and the sampler of their batches.

        Example:
            >>> part = SplitData([None] * 4, {"train": torch.arange(4)}, batch_size=2)
            >>> data = MixedData({"a": part, "b": part}, MixtureOptions(), max_epochs=1)
            >>> rows, sampler = data.source("train")
            >>> len(rows), len(sampler)
            (8, 4)
        """
        trainer = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        rows: dict[str, Any] = {}
        samplers: list[BatchSampler] = []
        for name, part in self.parts.items():
            if part.has(split):
                part.trainer = trainer
                rows[name], sampler = part.source(split)
                samplers.append(sampler)
        kwargs: dict[str, Any] = {"seed": self.seed, "rank": rank, "world_size": world_size}
        options = {"max_epochs": self.max_epochs, "shuffle": split == "train", **kwargs}
        return MixedRows(rows), MixedBatches(samplers, self.options, **options)

    def batches_before(self, epoch: int, count: int) -> list[Batch]:
        """Return the last training batches of each task before an epoch.

        Args:
            epoch: The epoch, from 0.
            count: Largest number of batches of a task.

        Example:
            >>> part = SplitData([None] * 4, {"train": torch.arange(4)}, batch_size=2)
            >>> data = MixedData({"a": part, "b": part}, MixtureOptions(), max_epochs=1)
            >>> data.batches_before(0, 2)
            []
        """
        found: dict[str, list[Batch]] = {name: [] for name in self.parts}
        rows, sampler = self.source("train")
        while epoch > 0 and any(len(batches) < count for batches in found.values()):
            epoch -= 1
            sampler.set_epoch(epoch)
            for pair in reversed(list(sampler)):
                batches = found[list(self.parts)[pair[0][0]]]  # type: ignore[index]
                if len(batches) < count:
                    batches.append(rows.__getitems__(pair))  # type: ignore[attr-defined]
        return [batch for batches in found.values() for batch in reversed(batches)]
