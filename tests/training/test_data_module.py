import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.errors import ConfigError
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.samplers import FixedSizeBatches, TokenBatches


def graphs(count=11):
    return [
        Data(
            x=torch.full((row % 3 + 1, 1), float(row)),
            edge_index=torch.empty(2, 0, dtype=torch.long),
            y=torch.tensor([row]),
        )
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
    samplers = [
        FixedSizeBatches(11, 2, shuffle=True, seed=5, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
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


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_by_token_budget_are_complete_and_within_it(shuffle, world_size):
    sizes = torch.randint(1, 40, (200,), generator=torch.Generator().manual_seed(world_size))
    samplers = [
        TokenBatches(sizes, 100, shuffle=shuffle, seed=3, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for epoch in range(4):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        shares = [list(sampler) for sampler in samplers]
        assert (
            [len(share) for share in shares]
            == [len(sampler) for sampler in samplers]
            == [len(samplers[0])] * world_size
        )
        batches = [batch for share in shares for batch in share]
        assert sorted(row for batch in batches for row in batch) == list(range(200))
        assert max(int(sizes[batch].sum()) for batch in batches) <= 100


def test_batches_by_token_budget_change_with_the_epoch_alone_and_keep_lengths_together():
    sizes = torch.arange(1, 401)
    sampler = TokenBatches(sizes, 2000, shuffle=True, seed=1)
    first, again = list(sampler), list(sampler)
    sampler.set_epoch(1)
    assert first == again != list(sampler)
    spread = [int(sizes[batch].max() - sizes[batch].min()) for batch in first]
    assert sorted(spread)[len(spread) // 2] < 150  # 400 rows in one order have spreads of some 350


def test_a_row_above_the_budget_and_rows_that_do_not_divide():
    assert list(TokenBatches(torch.tensor([7, 1, 1]), 3)) == [[1, 2], [0]]
    lonely = [TokenBatches(torch.full((5,), 9), 3, shuffle=True, rank=rank, world_size=2) for rank in range(2)]
    assert [len(list(sampler)) for sampler in lonely] == [len(sampler) for sampler in lonely] == [2, 2]
    dealt = [TokenBatches(torch.full((5,), 9), 3, rank=rank, world_size=2) for rank in range(2)]
    assert [len(list(sampler)) for sampler in dealt] == [len(sampler) for sampler in dealt] == [3, 2]
    with pytest.raises(ConfigError, match="tokens_per_batch"):
        TokenBatches(torch.ones(3), 0)


@pytest.mark.parametrize("edges", [False, True])
def test_loaders_by_token_budget(edges):
    dataset = [
        Data(x=torch.ones(n, 1), edge_index=torch.zeros(2, n, dtype=torch.long), y=torch.tensor([n]))
        for n in (1, 2, 3, 1, 2)
    ]
    data = SplitData(
        dataset, splits(train=range(5), test=[4, 0]), batch_size=1, tokens_per_batch=4, edges_are_tokens=edges
    )
    batches = list(data.loader("train"))
    assert sorted(int(y) for batch in batches for y in batch.y) == [1, 1, 2, 2, 3]
    assert len(batches) > 3 if edges else max(batch.num_nodes for batch in batches) <= 4
    assert sorted(int(row) for batch in data.loader("test") for row in batch.row_id) == [0, 4]


def test_bad_splits():
    with pytest.raises(ConfigError, match="row numbers"):
        SplitData(graphs(), splits(train=[11]), batch_size=2)
