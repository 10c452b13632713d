import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from pyg_samsa.chem import convert_smiles
from pyg_samsa.datasets import prepared as stored
from pyg_samsa.datasets.base import SplitDataset, check_described, per_graph
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.prepared import (
    load_prepared,
    molecules_to_prepared,
    save_prepared,
)
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.task import Task
from tests.datasets.few_molecules import SMILES, TASK, prepare


def test_attributes():
    dataset = SplitDataset(prepare(), TASK, MOLECULES, root="somewhere")
    assert (dataset.task.kind, dataset.task.level, dataset.task.num_targets, list(dataset.task.names)) == (
        "multilabel",
        "graph",
        2,
        ["a", "b"],
    )
    assert dataset.features.in_channels == [119, 5, 12, 12, 10, 6, 6, 2, 2]
    assert dataset.features.edge_channels == [5, 6, 2]
    assert dataset.get_idx_split() is dataset.split_idx
    assert dataset._data.x.size(0) == dataset.slices["x"][-1]
    assert dataset.num_node_features == 9
    assert repr(dataset) == "SplitDataset(5)"


def test_data_sets_without_description_or_training_rows_are_refused():
    with pytest.raises(DataError, match="lacks task, features, split_idx"):
        check_described([Data()])
    dataset = SplitDataset(prepare(), TASK, MOLECULES)
    check_described(dataset)
    dataset.split_idx = {"val": torch.tensor([1])}
    with pytest.raises(ConfigError, match="train"):
        check_described(dataset)


def test_scale_of_regression_targets_is_that_of_the_training_rows():
    prepared = prepare()
    prepared.data["y"] = torch.tensor([[1.0, 5.0], [9.0, 5.0], [3.0, float("nan")], [9.0, 9.0], [5.0, 5.0]])
    prepared.split_idx = {"train": torch.tensor([0, 2, 4])}
    mean, std = SplitDataset(prepared, Task("regression", ["a", "b"]), MOLECULES).target_scale
    assert mean.tolist() == [3.0, 5.0]
    assert std.tolist() == [pytest.approx((8 / 3) ** 0.5), 1.0]
    assert mean.dtype == std.dtype == torch.float64
    assert SplitDataset(prepare(), TASK, MOLECULES).target_scale is None


def test_subsets_batches_and_transforms():
    def mark(data: Data) -> Data:
        data.mark = torch.ones(1)
        return data

    dataset = SplitDataset(prepare(), TASK, MOLECULES, transform=mark)
    train = dataset[dataset.split_idx["train"]]
    assert [data.smiles for data in train] == SMILES[::2]
    batch = next(iter(DataLoader(train, batch_size=3)))
    assert batch.mark.tolist() == [1, 1, 1]
    assert batch.smiles == SMILES[::2]
    assert tuple(batch.y.shape) == (3, 2)
    assert batch.edge_index.max() < batch.num_nodes


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("rows", [[0], [3, 0, 4], [1, 1], [4, 2, 1, 0, 3]])
def test_make_batch_gives_what_pyg_gives(tmp_path, monkeypatch, rows, mapped):
    prepared = prepare()
    prepared.data |= {
        "edge_label_index": prepared.data["edge_index"].flip(1),
        "pos": torch.rand(len(prepared.data["x"]), 3),
    }
    prepared.slices |= {"edge_label_index": prepared.slices["edge_index"].clone(), "pos": prepared.slices["x"]}
    save_prepared(prepared, tmp_path / "set.pt")
    monkeypatch.setattr(stored, "_MAPPED_BYTES", 0 if mapped else 2**40)
    whole = SplitDataset(load_prepared(tmp_path / "set.pt"), TASK, MOLECULES)
    for dataset in (whole, whole[torch.tensor([4, 3, 2, 1, 0])]):
        found, expected = dataset.make_batch(rows), Batch.from_data_list([dataset[row] for row in rows])
        assert type(found) is type(expected)
        assert set(found.keys()) == set(expected.keys())
        assert found.num_graphs == expected.num_graphs == len(rows)
        for key, value in expected.items():
            assert (
                found[key] == value
                if isinstance(value, list)
                else torch.equal(found[key].nan_to_num(), value.nan_to_num())
            )
            assert isinstance(value, list) or found[key].dtype == value.dtype
        for one, other in zip(found.to_data_list(), expected.to_data_list(), strict=True):
            assert torch.equal(one.edge_index, other.edge_index)
            assert torch.equal(one.edge_label_index, other.edge_label_index)
            assert one.smiles == other.smiles
            assert torch.equal(one.pos, other.pos)


def test_make_batch_honours_transforms_and_counts_tokens():
    prepared = prepare()
    dataset = SplitDataset(
        prepared, TASK, MOLECULES, transform=lambda data: Data(x=data.x[:1], edge_index=data.edge_index[:, :0])
    )
    assert dataset.make_batch([0, 2]).num_nodes == 2
    assert dataset.count_tokens(edges=False).tolist() == [
        graph.size(0) for graph in prepared.data["x"].split(prepared.slices["x"].diff().tolist())
    ]
    plain = SplitDataset(prepared, TASK, MOLECULES)[torch.tensor([2, 0])]
    assert plain.count_tokens().tolist() == [graph.num_nodes + graph.num_edges for graph in plain]


def test_graphs_that_were_read_are_not_kept():
    dataset = SplitDataset(prepare(), TASK, MOLECULES)
    first = dataset[0]
    first.x += 1
    assert dataset._data_list is None
    assert torch.equal(dataset[0].x + 1, first.x)


def test_values_per_graph_are_those_of_single_graphs():
    dataset, changed = SplitDataset(prepare(), TASK, MOLECULES), SplitDataset(prepare(), TASK, MOLECULES)
    view = dataset[torch.tensor([2, 1])]
    changed.transform = lambda data: data.update({"y": data.y + 1})
    for one in (dataset, view, changed, list(dataset)):
        found = torch.cat([data.y for data in one])
        torch.testing.assert_close(per_graph(one, "y"), found, rtol=0, atol=0, equal_nan=True)
        assert list(per_graph(one, "smiles")) == [data.smiles for data in one]
    assert per_graph(dataset, "y").data_ptr() == dataset._data.y.data_ptr()


def test_features_of_graphs_follow_the_view():
    prepared = prepare()
    features = torch.arange(5.0)[:, None]
    prepared.data["graph_features"], prepared.slices["graph_features"] = features, torch.arange(6)
    dataset = SplitDataset(prepared, TASK, MOLECULES)
    assert dataset.graph_features is features
    assert dataset[[3, 1]].graph_features.flatten().tolist() == [3.0, 1.0]
    assert SplitDataset(prepare(), TASK, MOLECULES).graph_features is None


def test_the_scale_of_targets_follows_the_view():
    table = convert_smiles(SMILES, progress=False)
    prepared = molecules_to_prepared(table, {"train": torch.tensor([0, 1])}, y=torch.arange(5.0)[:, None])
    dataset = SplitDataset(prepared, Task("regression", ["y"]), MOLECULES)
    assert dataset.target_scale[0].item() == 0.5
    assert dataset[[3, 1, 0]].target_scale[0].item() == 2.0
