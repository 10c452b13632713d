"""The data module: loaders of the splits of a data set."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch
from torch_geometric.graphgym.imports import pl
from torch_geometric.loader.dataloader import Collater

from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.float64 import has_float64
from pyg_samsa.options import check_integer
from pyg_samsa.training.batch_network import attach_graph_index
from pyg_samsa.training.labelled_pairs import has_only_true_pairs, pair_step
from pyg_samsa.training.samplers import BatchSampler, FixedSizeBatches, TokenBatches


class SplitRows(torch.utils.data.Dataset):
    """The rows of one split, in the order of its indices.

    Args:
        dataset: Anything indexable by a row number that gives a Data.
        index: Row numbers [n].
        with_row_id: Whether each Data is a shallow copy with its row number ``row_id`` [1].
        prepare: Called with each batch, which it may change; None for nothing.

    Example:
        >>> from torch_geometric.data import Data
        >>> edge_index = torch.empty(2, 0, dtype=torch.long)
        >>> graphs = [Data(x=torch.ones(2, 1), edge_index=edge_index, y=torch.ones(1)) for _ in range(5)]
        >>> rows = SplitRows(graphs, torch.tensor([4, 1]), with_row_id=True)
        >>> len(rows), rows[0].row_id.item()
        (2, 4)
    """

    def __init__(
        self,
        dataset: Any,
        index: Tensor,
        *,
        with_row_id: bool = False,
        prepare: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self.dataset, self.index, self.with_row_id = dataset, index.tolist(), with_row_id
        self.prepare = prepare
        self._collate = Collater(dataset)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> Any:
        row = self.index[position]
        data = self.dataset[row]
        if self.with_row_id:
            data = copy.copy(data)
            data.row_id = torch.tensor([row])
        return data

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """Return the batch of some rows; with ``make_batch`` of the data set, which is fast enough for a GPU."""
        if hasattr(self.dataset, "make_batch"):
            rows = [self.index[position] for position in positions]
            batch = self.dataset.make_batch(rows)
            if self.with_row_id:
                batch.row_id = torch.tensor(rows)
        else:
            batch = self._collate([self[position] for position in positions])
        return attach_graph_index(batch if self.prepare is None else self.prepare(batch))


def _as_it_is(batch: Batch) -> Batch:
    return batch


def count_tokens(rows: SplitRows, *, edges: bool = True) -> Tensor:
    """Return the nodes, and with ``edges`` the directed edges too, of each row: int64 [n].

    Example:
        >>> from torch_geometric.data import Data
        >>> graphs = [Data(x=torch.ones(n, 1), edge_index=torch.zeros(2, 3, dtype=torch.long)) for n in (1, 2)]
        >>> count_tokens(SplitRows(graphs, torch.arange(2))).tolist()
        [4, 5]

    Cost: O(n) for the data sets of this package; others are read once.
    """
    if hasattr(rows.dataset, "count_tokens"):
        return rows.dataset.count_tokens(edges=edges)[torch.tensor(rows.index)]
    return torch.tensor(
        [data.num_nodes + (data.num_edges if edges else 0) for data in map(rows.dataset.__getitem__, rows.index)]
    )


class SplitData(pl.LightningDataModule):
    """Loaders of the training, validation and test split of one dataset.

    The training order depends only on (``seed``, epoch), so a resumed run sees the batches that an uninterrupted one
    would have seen. With several processes every validation and test row is seen exactly once.

    Args:
        dataset: Anything indexable by a row number that gives a Data.
        split_idx: Row numbers [n] of ``train`` and, where there are, ``val`` and ``test``; copied, so that nobody can
            change them later.
        batch_size: Graphs of a training batch and process.
        eval_batch_size: Graphs of an evaluation batch; None for ``batch_size``.
        num_workers: Loader processes, 0 or more.
        seed: Seed of the order.
        tokens_per_batch: Tokens of a batch, in place of ``batch_size`` graphs: see
            :class:`~pyg_samsa.training.samplers.TokenBatches`.
        edges_are_tokens: Whether edges count as tokens besides nodes.
        rank_pairs: Whether evaluation batches of pairs of nodes get all pairs that a ranking needs, see
            `pyg_samsa.training.labelled_pairs`.
        pin_memory: Whether memory is pinned; by default if there is a CUDA device.

    Raises:
        ConfigError: Sizes are out of range, or a row number does not exist or is no integer.

    Example:
        >>> from torch_geometric.data import Data
        >>> edge_index = torch.empty(2, 0, dtype=torch.long)
        >>> graphs = [Data(x=torch.ones(2, 1), edge_index=edge_index, y=torch.ones(1)) for _ in range(5)]
        >>> data = SplitData(graphs, {"train": torch.tensor([0, 1, 2]), "test": torch.tensor([3, 4])}, batch_size=2)
        >>> [batch.num_graphs for batch in data.loader("train")], next(iter(data.loader("test"))).row_id.tolist()
        ([2, 1], [3, 4])
    """

    def __init__(
        self,
        dataset: Any,
        split_idx: Mapping[str, Tensor],
        *,
        batch_size: int,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        seed: int = 0,
        tokens_per_batch: int | None = None,
        edges_are_tokens: bool = True,
        rank_pairs: bool = False,
        pin_memory: bool | None = None,
    ) -> None:
        super().__init__()
        check_integer("num_workers", num_workers, low=0)
        self.dataset = dataset
        self.split_idx = {
            split: torch.as_tensor(index).clone().flatten() for split, index in split_idx.items() if len(index) > 0
        }
        for split, index in self.split_idx.items():
            if index.dtype == torch.bool or index.is_floating_point():
                hint = "Row numbers of a mask are mask.nonzero().flatten()."
                raise ConfigError(f"split_idx[{split!r}]", index.dtype, "row numbers, which are integers", hint=hint)
            if int(index.min()) < 0 or int(index.max()) >= len(dataset):
                raise ConfigError(
                    f"split_idx[{split!r}]",
                    [int(index.min()), int(index.max())],
                    f"row numbers from 0 to {len(dataset) - 1}",
                )
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.num_workers, self.seed = num_workers, seed
        self.tokens_per_batch, self.edges_are_tokens = tokens_per_batch, edges_are_tokens
        self.rank_pairs = rank_pairs
        self.first_epoch = 0
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory

    def has(self, split: str) -> bool:
        """Whether the split exists and has rows.

        Example:
            >>> from torch_geometric.data import Data
            >>> edge_index = torch.empty(2, 0, dtype=torch.long)
            >>> graphs = [Data(x=torch.ones(2, 1), edge_index=edge_index, y=torch.ones(1)) for _ in range(5)]
            >>> data = SplitData(graphs, {"train": torch.arange(3), "test": torch.tensor([3, 4])}, batch_size=2)
            >>> data.has("train"), data.has("val")
            (True, False)
        """
        return split in self.split_idx

    def check_processes(self, count: int) -> None:
        """Raise an error unless every split has a row for each process, which loaders would only tell when it is used.

        Args:
            count: Number of processes.

        Raises:
            ConfigError: A split has fewer rows.

        Example:
            >>> data = SplitData([None] * 5, {"train": torch.arange(4), "test": torch.tensor([4])}, batch_size=2)
            >>> data.check_processes(2)
            Traceback (most recent call last):
            pyg_samsa.errors.ConfigError: devices: got 2, expected at most 1, the number of test rows
        """
        for split, rows in self.split_idx.items():
            if len(rows) < count:
                raise ConfigError("devices", count, f"at most {len(rows)}, the number of {split} rows")

    def loader(self, split: str, *, epoch: int = 0) -> torch.utils.data.DataLoader:
        """Return a fresh loader of one split, its order set to epoch ``epoch``.

        Example:
            >>> from torch_geometric.data import Data
            >>> edge_index = torch.empty(2, 0, dtype=torch.long)
            >>> graphs = [Data(x=torch.ones(2, 1), edge_index=edge_index, y=torch.ones(1)) for _ in range(5)]
            >>> data = SplitData(graphs, {"train": torch.arange(3), "test": torch.tensor([3, 4])}, batch_size=2)
            >>> len(data.loader("train", epoch=3))
            2
        """
        rows, sampler = self.source(split)
        sampler.set_epoch(epoch)
        # The loader draws the seeds of its workers from this generator and not from the global one, whose state a
        # checkpoint holds.
        return torch.utils.data.DataLoader(
            rows,
            batch_sampler=sampler,
            collate_fn=_as_it_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=self.pin_memory,
            generator=sampler.worker_seeds,
        )

    def source(self, split: str) -> tuple[torch.utils.data.Dataset, BatchSampler]:
        """Return the rows of a split and the sampler of its batches; training rows do not know their numbers.

        Example:
            >>> data = SplitData([None] * 5, {"train": torch.arange(4), "test": torch.tensor([4])}, batch_size=2)
            >>> rows, sampler = data.source("train")
            >>> len(rows), len(sampler)
            (4, 2)
        """
        training = split == "train"
        prepare = pair_step(training=training, draws=self._draws_pairs, ranks=self.rank_pairs)
        rows = SplitRows(self.dataset, self.split_idx[split], with_row_id=not training, prepare=prepare)
        return rows, self._sampler(rows, training)

    @cached_property
    def _draws_pairs(self) -> bool:
        task = getattr(self.dataset, "task", None)
        return task is not None and task.level == "link" and has_only_true_pairs(self.dataset)

    def batches_before(self, epoch: int, count: int) -> list[Batch]:
        """Return the last training batches before an epoch, of several epochs if they are short.

        Args:
            epoch: The epoch, from 0.
            count: Largest number of batches.

        Example:
            >>> from torch_geometric.data import Data
            >>> edge_index = torch.empty(2, 0, dtype=torch.long)
            >>> graphs = [Data(x=torch.ones(2, 1), edge_index=edge_index, y=torch.ones(1)) for _ in range(5)]
            >>> data = SplitData(graphs, {"train": torch.arange(3)}, batch_size=2)
            >>> [batch.num_graphs for batch in data.batches_before(2, 3)], data.batches_before(0, 3)
            ([1, 2, 1], [])
        """
        found: list[Batch] = []
        rows, sampler = self.source("train")
        while epoch > 0 and len(found) < count:
            epoch -= 1
            sampler.set_epoch(epoch)
            places = list(sampler)[len(found) - count :]
            found = [rows.__getitems__(positions) for positions in places] + found  # type: ignore[attr-defined]
        return found

    def _sampler(self, rows: SplitRows, training: bool) -> BatchSampler:
        trainer = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        options = {"shuffle": training, "seed": self.seed, "rank": rank, "world_size": world_size}
        if self.tokens_per_batch is not None:
            return TokenBatches(count_tokens(rows, edges=self.edges_are_tokens), self.tokens_per_batch, **options)
        return FixedSizeBatches(len(rows), self.batch_size if training else self.eval_batch_size, **options)

    def train_dataloader(self) -> torch.utils.data.DataLoader:
        """Return the training loader, in the order of the epoch that comes next."""
        return self.loader("train", epoch=self.first_epoch)

    def state_dict(self) -> dict[str, int]:
        """Return the number of epochs that are over, for the checkpoint.

        Example:
            >>> from torch_geometric.data import Data
            >>> edge_index = torch.empty(2, 0, dtype=torch.long)
            >>> graphs = [Data(x=torch.ones(2, 1), edge_index=edge_index, y=torch.ones(1)) for _ in range(5)]
            >>> data = SplitData(graphs, {"train": torch.arange(3), "test": torch.tensor([3, 4])}, batch_size=2)
            >>> data.state_dict()
            {'epochs': 0}
        """
        return {
            "epochs": self.trainer.fit_loop.epoch_progress.current.processed
            if self.trainer is not None
            else self.first_epoch
        }

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on after the epochs of a checkpoint.

        Lightning makes the first iterator before it restores its own count of epochs, so the loader itself must know
        where to go on.
        """
        self.first_epoch = int(state_dict["epochs"])

    def val_dataloader(self) -> torch.utils.data.DataLoader | list:
        """Return the validation loader; an empty list where there is no such split.

        Example:
            >>> from torch_geometric.data import Data
            >>> edge_index = torch.empty(2, 0, dtype=torch.long)
            >>> graphs = [Data(x=torch.ones(2, 1), edge_index=edge_index, y=torch.ones(1)) for _ in range(5)]
            >>> data = SplitData(graphs, {"train": torch.arange(3), "test": torch.tensor([3, 4])}, batch_size=2)
            >>> data.val_dataloader()
            []
        """
        return self.loader("val") if self.has("val") else []

    def test_dataloader(self) -> torch.utils.data.DataLoader | list:
        """Return the test loader; an empty list where there is no such split.

        Example:
            >>> from torch_geometric.data import Data
            >>> edge_index = torch.empty(2, 0, dtype=torch.long)
            >>> graphs = [Data(x=torch.ones(2, 1), edge_index=edge_index, y=torch.ones(1)) for _ in range(5)]
            >>> data = SplitData(graphs, {"train": torch.arange(3), "test": torch.tensor([3, 4])}, batch_size=2)
            >>> next(iter(data.test_dataloader())).row_id.tolist()
            [3, 4]
        """
        return self.loader("test") if self.has("test") else []

    def predict_dataloader(self) -> torch.utils.data.DataLoader | list:
        """Return the loader whose rows are predicted: the test split."""
        return self.test_dataloader()

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch, without waiting where its memory is pinned.

        For a device without float64, such features become float32, and such targets stay on the CPU, where losses and
        metrics see them with all digits.
        """
        if has_float64(device):
            return batch.to(device, non_blocking=self.pin_memory)
        target = batch.get("y")
        stays = target is not None and target.dtype == torch.float64
        batch = batch.apply(lambda value: value.float() if value.dtype == torch.float64 else value)
        batch = batch.to(device, non_blocking=self.pin_memory)
        if stays:
            batch.y = target
        return batch
