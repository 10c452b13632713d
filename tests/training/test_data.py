import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.training.data import SplitData, TaskSpec
from pyg_samsa.training.samplers import BatchSampler, FixedSizeBatches


def graphs(count=11):
    return [
        Data(x=torch.full((row % 3 + 1, 1), float(row)), edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.tensor([row]))
        for row in range(count)
    ]


def splits(**rows):
    return {name: torch.tensor(index) for name, index in rows.items()}


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("num_rows", [3, 7, 12])
def test_evaluation_deals_every_row_out_once(num_rows, world_size):
    seen = []
    for rank in range(world_size):
        sampler = FixedSizeBatches(num_rows, 2, rank=rank, world_size=world_size)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        seen += [row for batch in batches for row in batch]
    assert sorted(seen) == list(range(num_rows))


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_training_gives_every_process_the_same_number_of_steps_and_no_row_twice(world_size):
    samplers = [FixedSizeBatches(11, 2, shuffle=True, seed=5, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert len({len(sampler) for sampler in samplers}) == 1
    rows = [row for sampler in samplers for batch in sampler for row in batch]
    assert len(rows) == len(set(rows)) == 11 - 11 % world_size
    assert all(len(list(sampler)) == len(sampler) for sampler in samplers)


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = FixedSizeBatches(20, 20, shuffle=True, seed=seed)
        sampler.set_epoch(epoch)
        torch.rand(3)
        return next(iter(sampler))

    assert order(1, 4) == order(1, 4)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_too_few_rows_and_bad_sizes():
    with pytest.raises(ConfigError, match="devices"):
        FixedSizeBatches(1, 2, world_size=2)
    with pytest.raises(ConfigError, match="batch_size"):
        FixedSizeBatches(4, 0)


def test_loaders_leave_the_data_set_alone():
    dataset, index = graphs(), splits(train=[4, 2, 0], val=[1], test=[3, 5])
    data = SplitData(dataset, index, batch_size=2, eval_batch_size=5)
    batch = next(iter(data.loader("test")))
    assert batch.row_id.tolist() == [3, 5]
    assert batch.y.tolist() == [3, 5]
    assert "row_id" not in next(iter(data.loader("train")))
    assert not any("row_id" in graph for graph in dataset)
    index["train"][0] = 10
    assert sorted(int(y) for batch in data.loader("train") for y in batch.y) == [0, 2, 4]


@pytest.mark.parametrize("workers", [0, 1])
def test_order_of_a_loader(workers):
    data = SplitData(graphs(), splits(train=range(11)), batch_size=3, num_workers=workers, seed=7)
    state = torch.get_rng_state()
    first = [batch.y.tolist() for batch in data.loader("train", epoch=2)]
    assert torch.equal(state, torch.get_rng_state())
    data.load_state_dict({"epochs": 2})
    assert first == [batch.y.tolist() for batch in data.train_dataloader()]
    assert first != [batch.y.tolist() for batch in data.loader("train", epoch=3)]


def test_missing_splits():
    data = SplitData(graphs(), splits(train=[0, 1], val=[]), batch_size=2)
    assert (data.has("val"), data.val_dataloader(), data.test_dataloader()) == (False, [], [])


def test_batches_by_token_budget_have_a_place():
    class ByTokens(BatchSampler):
        def __init__(self, rows, budget, **options):
            super().__init__(len(rows), **options)
            self.sizes, self.budget = [row.num_nodes for row in rows], budget

        def batches(self):
            batches, room = [], 0
            for row in self.rows():
                if self.sizes[row] > room:
                    batches.append([])
                    room = self.budget
                batches[-1].append(row)
                room -= self.sizes[row]
            return batches

        def __len__(self):
            return len(self.batches())

    data = SplitData(graphs(), splits(train=range(11)), batch_size=1, batch_sampler=lambda rows, **options: ByTokens(rows, 4, **options))
    batches = list(data.loader("train"))
    assert max(batch.num_nodes for batch in batches) <= 4
    assert sum(batch.num_graphs for batch in batches) == 11


def test_bad_splits():
    with pytest.raises(ConfigError, match="row numbers"):
        SplitData(graphs(), splits(train=[11]), batch_size=2)
    with pytest.raises(ConfigError, match="train"):
        TaskSpec(splits(val=[1]), task="regression", level="graph", num_targets=1)
    with pytest.raises(ConfigError, match="regression"):
        TaskSpec(splits(train=[1]), task="regresion", level="graph", num_targets=1)
    with pytest.raises(DataError, match="lacks split_idx"):
        TaskSpec.of(graphs())
