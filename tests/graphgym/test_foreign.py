import numpy as np
import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg, set_cfg

from pyg_samsa.datasets.features import Features
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.experiments import run as runner
from pyg_samsa.graphgym.foreign import describe_foreign
from pyg_samsa.task import Task

SPLIT = {"train": [5, 0, 1, 2], "val": [3], "test": [4, 7]}


@pytest.fixture(autouse=True)
def settings():
    set_cfg(cfg)
    cfg.dataset.name = "set"
    yield
    set_cfg(cfg)


def graphs(count=8):
    generator = torch.Generator().manual_seed(0)
    edges = torch.tensor([[0, 1], [1, 0]])
    return [
        Data(x=torch.randn(3, 2, generator=generator), edge_index=edges, y=torch.tensor([row % 2]))
        for row in range(count)
    ]


class Several(InMemoryDataset):
    """A data set as other packages make them."""

    def __init__(self, made, **attributes):
        super().__init__()
        self._data, self.slices = self.collate(made)
        for name, value in attributes.items():
            setattr(self, name, value)


class LikeOGB(Several):
    def get_idx_split(self):
        return {"train": torch.tensor([5, 0, 1, 2]), "valid": np.array([3]), "test": [4, 7]}


class OneGraph(Several):
    """Nodes that are split by rows, as those of OGB's ogbn sets, and have classes in a column."""

    def __init__(self, **attributes):
        x = torch.eye(6)
        edges = torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]])
        y = torch.tensor([[0], [1], [2], [0], [1], [0]])
        super().__init__([Data(x=x, edge_index=edges, y=y, edge_attr=torch.ones(5, 2), **attributes)])


class OneGraphWithRows(OneGraph):
    def get_idx_split(self):
        return {"train": torch.tensor([0, 1, 2]), "valid": torch.tensor([4]), "test": torch.tensor([3])}


def as_mask(rows, count=8):
    mask = torch.zeros(count, dtype=torch.bool)
    mask[rows] = True
    return mask


@pytest.mark.parametrize(
    "dataset",
    [
        lambda: LikeOGB(graphs()),
        lambda: Several(graphs(), split_idx=SPLIT),
        lambda: Several(
            graphs(), split_idx={"train": SPLIT["train"], "validation": SPLIT["val"], "test": SPLIT["test"]}
        ),
        lambda: Several(graphs(), split_idx={key: np.array(rows, dtype=np.int32) for key, rows in SPLIT.items()}),
        lambda: Several(graphs(), own_split={key: torch.tensor(rows) for key, rows in SPLIT.items()}),
    ],
)
def test_a_split_is_all_that_a_data_set_needs(dataset):
    described = describe_foreign(dataset())
    assert {split: rows.tolist() for split, rows in described.split_idx.items()} == SPLIT
    assert all(rows.dtype == torch.int64 for rows in described.split_idx.values())
    assert list(described.split_idx) == ["train", "val", "test"]
    assert (described.task.kind, described.task.level, described.features.in_channels) == ("binary", "graph", 2)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8])
def test_a_split_may_be_masks(dtype):
    masks = {split: as_mask(rows).to(dtype) for split, rows in SPLIT.items()}
    described = describe_foreign(Several(graphs(), split_idx=masks))
    assert {split: rows.tolist() for split, rows in described.split_idx.items()} == {
        split: sorted(rows) for split, rows in SPLIT.items()
    }


def test_rows_of_bytes_are_no_masks():
    rows = {split: np.array(rows, dtype=np.uint8) for split, rows in SPLIT.items()}
    described = describe_foreign(Several(graphs(), split_idx=rows))
    assert {split: rows.tolist() for split, rows in described.split_idx.items()} == SPLIT


@pytest.mark.parametrize("complete", [True, False])
def test_the_splits_of_a_method_are_used(complete):
    parts = {"task": Task("regression", ["y"]), "features": Features([3])} if complete else {}
    described = describe_foreign(Several(graphs(), split_idx=lambda: SPLIT, **parts))
    assert {split: rows.tolist() for split, rows in described.split_idx.items()} == SPLIT


def test_what_is_there_is_kept():
    task, features = Task("regression", ["y"]), Features([3])
    whole = Several(graphs(), task=task, features=features, split_idx={"train": torch.tensor([1])})
    assert describe_foreign(whole) is whole
    for missing in ("task", "features", "split_idx"):
        parts = {"task": task, "features": features, "split_idx": SPLIT}
        del parts[missing]
        described = describe_foreign(Several(graphs(), **parts))
        assert (described.task is task) == (missing != "task")
        assert (described.features is features) == (missing != "features")
        assert (described.split_idx["test"].tolist() == [4, 7]) == (missing != "split_idx")
    valid = Several(graphs(), task=task, features=features, split_idx={"train": [0], "valid": [1]})
    assert describe_foreign(valid).split_idx["val"].tolist() == [1]
    assert "val" not in valid.split_idx  # the loader's own is not changed


@pytest.mark.parametrize(
    ("split", "told"),
    [
        ([1, 2], "got 'list', expected rows of train, val, test: numbers from 0 to 7, or a mask of 8"),
        ({"val": [1]}, r"got \['val'\], expected rows of train"),
        ({"train": [0], "dev": [1]}, r"got \['dev', 'train'\], expected the splits train, val, test, each once"),
        ({"train": [0], "val": [1], "valid": [2]}, "each once"),
        ({"train": [0, 8]}, r"\['train'\]: got '2 values from 0 to 8 \(torch.int64\)', expected rows"),
        ({"train": [-1]}, "from -1 to -1"),
        ({"train": [0.0]}, r"float32"),
        ({"train": torch.ones(3, dtype=torch.bool)}, r"3 values True or False"),
        ({"train": np.array([0, 9], dtype=np.uint16)}, "from 0 to 9"),
        ({"train": "abc"}, r"\['train'\]: got 'str', expected rows"),
        ({"train": None}, r"\['train'\]: got 'NoneType', expected rows"),
        (
            {"train": [0, 1, 1, 0], "test": [2]},
            "got 'row 0 in train twice, and 1 more like it', expected each row in one split at most, and there once",
        ),
        ({"train": [0, 1], "test": [3, 1]}, "got 'row 1 in train and test', expected"),
        ({"train": as_mask([0, 1]), "valid": as_mask([1])}, "got 'row 1 in train and val', expected"),
        ({"train": as_mask([0, 1]).int()}, "row 0 in train twice"),
        ({"train": torch.ones(3, dtype=torch.uint8)}, "row 1 in train twice"),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_splits_of_something_else_are_refused(split, told, complete):
    parts = {"task": Task("regression", ["y"]), "features": Features([3])} if complete else {}
    with pytest.raises(ConfigError, match=r"^set \(Several\)\.split_idx" + "[^\n]*" + told):
        describe_foreign(Several(graphs(), split_idx=split, **parts))


def test_whole_numbers_need_an_encoder():
    made = graphs()
    for graph in made:
        graph.x = graph.x.long()
    with pytest.raises(ConfigError, match=r"set \(LikeOGB\), features x of nodes: got 'torch.int64'") as caught:
        describe_foreign(LikeOGB(made))
    assert "dataset.node_encoder_name" in caught.value.hint
    assert "Features([" in caught.value.hint
    cfg.dataset.node_encoder = True
    assert describe_foreign(LikeOGB(made)).features.in_channels is None


def test_data_sets_without_targets_or_graphs():
    cfg.dataset.name = "mine"
    with pytest.raises(DataError, match=r"mine \(list\): no graphs"):
        describe_foreign([])
    with pytest.raises(DataError, match=r"mine \(list\): the graphs have no targets y") as caught:
        describe_foreign([Data(x=torch.ones(2, 1))] * 4)
    assert caught.value.hint
    with pytest.raises(DataError, match="2 graphs cannot be split") as caught:
        describe_foreign(graphs(2))
    assert "get_idx_split" in caught.value.hint


@pytest.mark.parametrize("way", ["rows", "split_idx", "masks", "masks of bytes"])
def test_the_nodes_of_one_graph_are_split(way):
    rows = {"train": [0, 1, 2], "val": [4], "test": [3]}
    if way == "rows":
        dataset = OneGraphWithRows()
    elif way == "split_idx":
        dataset = OneGraph()
        dataset.split_idx = rows
    else:
        dtype = torch.uint8 if way == "masks of bytes" else torch.bool
        dataset = OneGraph(**{f"{split}_mask": as_mask(part, 6).to(dtype) for split, part in rows.items()})
    described = describe_foreign(dataset)
    assert described.node_sizes == {"train": 3, "val": 1, "test": 1}
    assert [graph.y.tolist() for graph in described] == [
        [0, 1, 2, -100, -100, -100],
        [-100, -100, -100, -100, 1, -100],
        [-100, -100, -100, 0, -100, -100],
    ]
    assert (described.task.kind, described.task.level, described.task.num_targets) == ("multiclass", "node", 3)
    assert (described.features.in_channels, described.features.edge_channels) == (6, 2)
    assert torch.equal(described[0].x, torch.eye(6))
    assert described[0].edge_attr.shape == (5, 2)


def test_one_of_several_splits_of_the_nodes():
    masks = {f"{split}_mask": torch.eye(6, dtype=torch.bool)[:, row : row + 2] for row, split in enumerate(SPLIT)}
    cfg.dataset.split_index = 1
    assert describe_foreign(OneGraph(**masks)).masks.nonzero().tolist() == [[0, 1], [1, 2], [2, 3]]
    cfg.dataset.split_index = 2
    with pytest.raises(ConfigError, match="split_index"):
        describe_foreign(OneGraph(**masks))


def test_nodes_in_two_masks_are_refused():
    masks = {"train_mask": as_mask([0, 1, 2], 6), "val_mask": as_mask([2, 3], 6), "test_mask": as_mask([4, 2], 6)}
    told = r"set \(OneGraph\): got 'node 2 in train_mask and val_mask and test_mask', expected each node in one split"
    with pytest.raises(ConfigError, match=told):
        describe_foreign(OneGraph(**masks))
    several = {"train_mask": torch.eye(6, 2).bool(), "test_mask": torch.eye(6, 2).roll(1, 1).bool()}
    assert len(describe_foreign(OneGraph(**several)).masks)
    several["test_mask"][1, 1] = True  # only in the second of the splits
    with pytest.raises(ConfigError, match="node 1 in train_mask and test_mask"):
        describe_foreign(OneGraph(**several))
    cfg.dataset.node_split, cfg.dataset.split = "random", [0.5, 0.5]
    assert describe_foreign(OneGraph(**masks)).node_sizes == {"train": 3, "val": 3}


def test_the_nodes_of_one_graph_without_split_are_split_at_random():
    cfg.dataset.split = [0.5, 0.5]
    assert describe_foreign(OneGraph()).node_sizes == {"train": 3, "val": 3}
    cfg.dataset.node_split = "random"
    assert describe_foreign(OneGraphWithRows()).node_sizes == {"train": 3, "val": 3}


def test_single_graphs_that_cannot_be_learned_from():
    one = OneGraph()
    one._data.x = one._data.x.long()
    with pytest.raises(ConfigError, match=r"set \(OneGraph\).*int64.*float features"):
        describe_foreign(one)
    one = OneGraph()
    one._data.y = torch.rand(6, 3)
    with pytest.raises(ConfigError, match=r"a single graph: got .*\[6, 3\].*one class for each node"):
        describe_foreign(one)
    cfg.dataset.task_type = "regression"
    with pytest.raises(ConfigError, match=r"dataset\.task_type regression"):
        describe_foreign(OneGraph())
    set_cfg(cfg)
    one = OneGraphWithRows()
    one._data.y[4] = -1
    with pytest.raises(DataError, match="labels below 0"):
        describe_foreign(one)
    with pytest.raises(ConfigError, match=r"train_mask: got '\[5\] \(torch.bool\)', expected .*6 nodes"):
        describe_foreign(OneGraph(train_mask=torch.ones(5, dtype=torch.bool)))


@pytest.mark.parametrize("made", [lambda: LikeOGB(graphs()), OneGraphWithRows])
def test_they_are_trained_on(made, tmp_path, monkeypatch):
    monkeypatch.setitem(register.loader_dict, "like_ogb", lambda format, *_: made() if format == "like_ogb" else None)
    config = tmp_path / "a.yaml"
    task = "node" if made is OneGraphWithRows else "graph"
    config.write_text(
        f"out_dir: {tmp_path / 'results'}\nnum_threads: 1\ndataset: {{format: like_ogb, name: mine, task: {task}}}\n"
        "train: {batch_size: 4}\nmodel: {type: samsa}\noptim: {max_epoch: 1}\n"
        "samsa: {layers: 1, channels: 8, heads: 2, num_samples: 2}\n"
    )
    results = runner.run(config, repeat=1)
    assert results[0].test["loss"] > 0
    table = (results[0].folder.path / "predictions_test.csv").read_text().splitlines()
    assert len(table) == (2 if task == "node" else 3)
