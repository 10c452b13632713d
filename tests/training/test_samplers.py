import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.training.samplers import BatchOptions, BatchSampler, FixedSizeBatches, TokenBatches


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
    assert [len(list(sampler)) for sampler in lonely] == [len(sampler) for sampler in lonely] == [3, 3]
    dealt = [TokenBatches(torch.full((5,), 9), 3, rank=rank, world_size=2) for rank in range(2)]
    assert [len(list(sampler)) for sampler in dealt] == [len(sampler) for sampler in dealt] == [3, 2]
    with pytest.raises(ConfigError, match="tokens_per_batch"):
        TokenBatches(torch.ones(3), 0)


@pytest.mark.parametrize("world_size", [2, 3, 5, 6, 7])
@pytest.mark.parametrize("sizes", [[9] * 7, [1, 1, 1, 9, 9, 9, 9], [1] * 7, [2, 3, 4, 5, 6, 7, 8]])
def test_no_row_is_left_out_where_they_do_not_divide(sizes, world_size):
    samplers = [
        TokenBatches(torch.tensor(sizes), 10, shuffle=True, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    repeated = set()
    for epoch in range(20):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        shares = [list(sampler) for sampler in samplers]
        assert (
            [len(share) for share in shares] == [len(sampler) for sampler in samplers] == [len(shares[0])] * world_size
        )
        rows = [row for share in shares for batch in share for row in batch]
        assert set(rows) == set(range(7))
        assert len(rows) - 7 < world_size
        repeated |= {row for row in rows if rows.count(row) > 1}
    assert not repeated or len(repeated) > 4


def permutation(num_rows, seed, epoch):
    """The order that the documentation promises: one permutation per (seed, epoch)."""
    return torch.randperm(num_rows, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)).tolist()


def test_processes_take_turns_in_one_order():
    order = permutation(11, seed=5, epoch=2)
    for rank in range(3):
        sampler = FixedSizeBatches(11, 2, shuffle=True, seed=5, rank=rank, world_size=3)
        sampler.set_epoch(2)
        # 11 rows and 3 processes: 9 rows are used, and every third one belongs to a process.
        assert [row for batch in sampler for row in batch] == order[:9][rank::3]
        assert [len(batch) for batch in sampler] == [2, 1]


def test_the_rows_that_are_left_out_change_with_the_epoch():
    sampler = FixedSizeBatches(7, 3, shuffle=True, world_size=2)
    other = FixedSizeBatches(7, 3, shuffle=True, rank=1, world_size=2)
    left = set()
    for epoch in range(20):
        sampler.set_epoch(epoch)
        other.set_epoch(epoch)
        left |= set(range(7)) - {row for batch in [*sampler, *other] for row in batch}
    assert left == set(range(7))


@pytest.mark.parametrize("batch_size", [1, 4, 5, 100])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("num_rows", [1, 4, 5, 9])
def test_lengths_without_iterating(num_rows, shuffle, batch_size):
    sampler = FixedSizeBatches(num_rows, batch_size, shuffle=shuffle)
    assert len(sampler) == len(list(sampler)) == -(-num_rows // batch_size)


def test_worker_seeds_follow_the_epoch():
    sampler = FixedSizeBatches(3, 1, seed=2)

    def drawn():
        return int(torch.empty((), dtype=torch.int64).random_(generator=sampler.worker_seeds))

    first = drawn()
    assert drawn() != first
    sampler.set_epoch(0)
    assert drawn() == first
    sampler.set_epoch(1)
    assert drawn() != first


def test_lightning_finds_set_epoch():
    sampler = FixedSizeBatches(3, 1, shuffle=True)
    assert sampler.sampler is sampler
    sampler.sampler.set_epoch(4)
    assert sampler.epoch == 4


def test_the_base_makes_no_batches():
    with pytest.raises(NotImplementedError):
        list(BatchSampler(3))


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_epoch_of_a_token_budget_has_the_same_length(world_size):
    sizes = torch.randint(1, 60, (97,), generator=torch.Generator().manual_seed(0))
    sampler = TokenBatches(sizes, 64, shuffle=True, world_size=world_size)
    lengths = set()
    for epoch in range(30):
        sampler.set_epoch(epoch)
        lengths.add(len(list(sampler)))
    assert lengths == {len(sampler)}


def test_equal_sizes_fill_the_budget():
    batches = list(TokenBatches(torch.full((12,), 5), 20))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_one_row_alone():
    for shuffle in (False, True):
        assert list(TokenBatches(torch.tensor([3]), 5, shuffle=shuffle)) == [[0]]


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"eval_batch_size": 0}, {"tokens_per_batch": -1}])
def test_sizes_are_checked(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=name):
        BatchOptions(**wrong)


def test_defaults(defaults):
    expected = {
        "batch_size": 32,
    }
    assert expected.items() <= defaults(BatchOptions).items()
