import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.errors import ConfigError
from pyg_samsa.training.data_module import SplitData


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
    for mask in (torch.ones(5, dtype=torch.bool), torch.ones(5)):
        with pytest.raises(ConfigError, match=r"split_idx\['val'\]: .* expected row numbers") as caught:
            SplitData(graphs(), {"train": torch.arange(2), "val": mask}, batch_size=2)
        assert "nonzero" in caught.value.hint


def test_targets_stay_on_the_cpu_of_a_device_without_float64(float32_device):
    y = torch.tensor([[-1e6], [-1e6 + 0.001]], dtype=torch.float64)
    batch = Batch(x=torch.ones(2, 1, dtype=torch.float64), y=y, row_id=torch.arange(2))
    data = SplitData([Data()] * 2, {"train": torch.arange(2)}, batch_size=2)
    moved = data.transfer_batch_to_device(batch, float32_device, 0)
    assert (moved.x.device, moved.row_id.device, moved.y.device.type) == (float32_device, float32_device, "cpu")
    assert torch.equal(moved.y, y)
    labels = data.transfer_batch_to_device(Batch(x=torch.ones(2, 1), y=torch.ones(2, 1)), float32_device, 0)
    assert labels.y.device == float32_device


def test_defaults_of_loaders():
    data = SplitData(graphs(5), splits(train=[0, 1, 2], test=[3, 4]), batch_size=2)
    assert (data.num_workers, data.seed, data.eval_batch_size, data.edges_are_tokens) == (0, 0, 2, True)
    assert data.pin_memory is torch.cuda.is_available()
    assert data.first_epoch == 0
    loader = data.loader("train")
    assert (loader.num_workers, loader.persistent_workers) == (0, False)
    assert SplitData(graphs(5), splits(train=[0]), batch_size=2, eval_batch_size=3, pin_memory=True).pin_memory


@pytest.mark.parametrize("num_workers", [-1, 0.5])
def test_a_number_of_workers_is_a_count(num_workers):
    with pytest.raises(ConfigError, match=r"^num_workers: got"):
        SplitData(graphs(5), splits(train=[0]), batch_size=2, num_workers=num_workers)


def test_rows_that_do_not_exist_are_named():
    for index, told in (([-1, 2], r"\[-1, 2\]"), ([0, 5], r"\[0, 5\]")):
        with pytest.raises(ConfigError, match=rf"^split_idx\['train'\]: got {told}, expected row numbers from 0 to 4$"):
            SplitData(graphs(5), splits(train=index), batch_size=2)
    assert SplitData(graphs(5), splits(train=[0, 4]), batch_size=2).has("train")


def test_every_process_has_a_row_of_every_split():
    data = SplitData(graphs(5), splits(train=[0, 1, 2], test=[3, 4]), batch_size=2)
    data.check_processes(2)
    with pytest.raises(ConfigError, match=r"^devices: got 3, expected at most 2, the number of test rows$"):
        data.check_processes(3)


@pytest.mark.parametrize(("epoch", "count", "sizes"), [(3, 2, [2, 1]), (3, 3, [1, 2, 1]), (1, 5, [2, 1]), (3, 0, [])])
def test_the_last_batches_before_an_epoch(epoch, count, sizes):
    data = SplitData(graphs(3), splits(train=range(3)), batch_size=2)
    found = data.batches_before(epoch, count)
    assert [batch.num_graphs for batch in found] == sizes
    every = [batch.y.tolist() for batch in data.batches_before(epoch, 99)]
    assert [batch.y.tolist() for batch in found] == every[len(every) - len(found) :]
