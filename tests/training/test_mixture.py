import itertools
import math

import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.errors import ConfigError
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.mixture import (
    MixedBatches,
    MixedData,
    MixtureOptions,
    count_batches,
    interleave,
    task_of,
)
from pyg_samsa.training.samplers import FixedSizeBatches, TokenBatches


def graphs(count, offset=0):
    return [Data(x=torch.full((row % 3 + 1, 1), float(offset + row)), y=torch.tensor([[1.0]])) for row in range(count)]


def part(count, offset=0, batch_size=2, seed=0, **options):
    rows = {"train": torch.arange(count - 2), "val": torch.tensor([count - 2]), "test": torch.tensor([count - 1])}
    return SplitData(graphs(count, offset), rows, batch_size=batch_size, seed=seed, **options)


def mixed(options=None, *, epochs=4, seed=0, **options_of_parts):
    parts = {"large": part(22, **options_of_parts), "small": part(6, offset=100, **options_of_parts)}
    return MixedData(parts, options or MixtureOptions(), max_epochs=epochs, seed=seed)


def values(batch):
    return sorted(set(batch.x.flatten().tolist()))


@pytest.mark.parametrize("sizes", [[1], [90, 30], [7, 1, 13, 2], [1, 1000]])
@pytest.mark.parametrize("exponent", [0.0, 0.3, 1.0])
def test_counts_follow_the_sizes_and_contain_every_task_in_full(sizes, exponent):
    counts = count_batches(sizes, exponent)
    assert all(count >= size for count, size in zip(counts, sizes, strict=True))
    total = sum(counts)
    weights = [size**exponent for size in sizes]
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) <= 1
    more = count_batches(sizes, exponent, total + 5)
    assert sum(more) == total + 5


def test_counts_of_the_named_mixings():
    assert count_batches([90, 30], MixtureOptions().exponent(0.3)) == [90, 30]
    assert count_batches([90, 30], MixtureOptions("equal").exponent(0.3)) == [90, 90]
    annealed = MixtureOptions("annealed")
    assert [annealed.exponent(progress) for progress in (0.0, 0.5, 1.0)] == [0.0, 0.5, 1.0]
    assert MixtureOptions(temperature=4.0).exponent(0.9) == 0.25
    with pytest.raises(ConfigError, match="temperature: got 2"):
        MixtureOptions("equal", temperature=2.0)
    with pytest.raises(ConfigError, match="mixing: got 'even'"):
        MixtureOptions("even")


def test_equally_many_batches_come_once_in_every_round():
    order = interleave([5, 5, 5], torch.Generator().manual_seed(3))
    rounds = [order[start : start + 3] for start in range(0, 15, 3)]
    assert all(sorted(each) == [0, 1, 2] for each in rounds)
    assert interleave([5, 5, 5], torch.Generator().manual_seed(3)) == order
    spread = interleave([2, 8], torch.Generator().manual_seed(0))
    first = spread.index(0)
    assert spread.index(0, first + 1) - first == 5


@pytest.mark.parametrize("options", [MixtureOptions(), MixtureOptions("equal"), MixtureOptions("annealed")])
@pytest.mark.parametrize("tokens", [None, 5])
def test_every_epoch_is_complete_equally_long_and_the_same_again(options, tokens):
    data = mixed(options, tokens_per_batch=tokens)
    lengths = set()
    for epoch in range(4):
        loader = data.loader("train", epoch=epoch)
        batches = list(loader)
        assert len(batches) == len(loader)
        lengths.add(len(batches))
        seen = {
            name: [value for batch in batches if task_of(batch) == name for value in values(batch)]
            for name in ("large", "small")
        }
        assert set(seen["large"]) == set(map(float, range(20)))
        assert set(seen["small"]) == set(map(float, range(100, 104)))
        again = [
            (task_of(batch), values(batch))
            for batch in mixed(options, tokens_per_batch=tokens).loader("train", epoch=epoch)
        ]
        assert [(task_of(batch), values(batch)) for batch in batches] == again
    assert len(lengths) == 1


def test_in_proportion_each_task_has_the_batches_that_it_has_alone():
    data = mixed(seed=5)
    for epoch in range(2):
        batches = list(data.loader("train", epoch=epoch))
        for name, alone in data.parts.items():
            found = [batch.x.tolist() for batch in batches if task_of(batch) == name]
            assert found == [batch.x.tolist() for batch in alone.loader("train", epoch=epoch)]


def test_further_passes_have_orders_of_their_own():
    data = mixed(MixtureOptions("equal"))
    small = [values(batch) for batch in data.loader("train") if task_of(batch) == "small"]
    passes = [small[start : start + 2] for start in range(0, 10, 2)]
    assert all(sorted(itertools.chain(*each)) == [100.0, 101.0, 102.0, 103.0] for each in passes)
    assert len({str(each) for each in passes}) > 1


def test_annealing_moves_from_equal_to_proportional():
    samplers = [FixedSizeBatches(rows, 1, shuffle=True) for rows in (16, 4)]
    batches = MixedBatches(samplers, MixtureOptions("annealed"), max_epochs=3, shuffle=True)
    counts = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        counts.append(batches.counts())
    assert counts[0] == [16, 16]
    assert counts[-1] == [26, 6]  # 32 in proportion 16 : 4
    assert counts[0][1] > counts[1][1] > counts[2][1]


def test_processes_meet_the_same_tasks_in_the_same_order():
    tasks = []
    for rank in (0, 1):
        kwargs = {"shuffle": True, "seed": 1, "rank": rank, "world_size": 2}
        samplers = [FixedSizeBatches(20, 2, **kwargs), TokenBatches(torch.arange(1, 12), 7, **kwargs)]
        batches = MixedBatches(samplers, MixtureOptions(temperature=2.0), max_epochs=2, **kwargs)
        tasks.append([task for ((task, _),) in batches])
    assert tasks[0] == tasks[1]
    assert set(tasks[0]) == {0, 1}


def test_evaluation_sees_every_row_once_with_its_number():
    data = mixed(MixtureOptions("equal"))
    batches = list(data.loader("val"))
    assert [(task_of(batch), batch.row_id.tolist()) for batch in batches] == [("large", [20]), ("small", [4])]
    assert data.has("test")
    assert not data.has("none")


def test_workers_load_the_same_batches():
    expected = [batch.x.tolist() for batch in mixed().loader("train")]
    data = mixed()
    data.num_workers = 1
    assert [batch.x.tolist() for batch in data.loader("train")] == expected


def test_batches_before_an_epoch_are_kept_for_each_task():
    data = mixed(MixtureOptions("equal"))
    found = data.batches_before(1, 3)
    last = list(data.loader("train", epoch=0))
    for name in ("large", "small"):
        expected = [batch.x.tolist() for batch in last if task_of(batch) == name][-3:]
        assert [batch.x.tolist() for batch in found if task_of(batch) == name] == expected
    assert data.batches_before(0, 3) == []


def test_too_many_processes_are_told_with_the_task():
    with pytest.raises(ConfigError, match=r"devices \(large\): got 2, expected at most 1, the number of val rows"):
        mixed().check_processes(2)


def test_a_batch_without_a_name_has_an_empty_one():
    assert task_of(Data()) == ""
    assert math.isclose(MixtureOptions().exponent(1.0), 1.0)
