import pytest
import torch
from torch_geometric.data import Batch

from pyg_samsa import metrics
from pyg_samsa.datasets.encodings import add_encoding
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.nodes.node_dataset import NodeDataset, one_graph, random_masks
from pyg_samsa.datasets.prepared import load_prepared, save_prepared
from pyg_samsa.errors import ConfigError
from pyg_samsa.task import Task
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.losses import cross_entropy, weighted_cross_entropy

TASK = Task("multiclass", ["a", "b", "c"], "node")
EDGES = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
Y = torch.tensor([0, 1, 2, 0, 1, 2])
TRAIN, VAL, TEST = [0, 1, 2], [3], [4, 5]


def masks(*parts):
    found = torch.zeros(3, 6, dtype=torch.bool)
    for row, part in enumerate(parts):
        found[row, part] = True
    return found


def dataset(x=None, *parts, **options):
    x = torch.eye(6) if x is None else x
    own = torch.stack([masks(*(parts or (TRAIN, VAL, TEST))), masks([5], [4], [3])])
    return NodeDataset(one_graph(x, EDGES, Y, own), TASK, Features(6), **options)


def test_rows_are_one_graph_with_the_labels_of_one_split():
    rows = dataset()
    assert [row.y.tolist() for row in rows] == [
        [0, 1, 2, -100, -100, -100],
        [-100, -100, -100, 0, -100, -100],
        [-100, -100, -100, -100, 1, 2],
    ]
    assert all(torch.equal(row.edge_index, EDGES) and torch.equal(row.x, torch.eye(6)) for row in rows)
    assert rows[0].x.data_ptr() == rows[1].x.data_ptr()  # nothing is stored three times
    assert rows[torch.tensor([2])][0].y.tolist() == rows[2].y.tolist()
    assert dataset(split_index=1)[0].y.tolist() == [-100] * 5 + [2]
    assert rows.num_classes == 3


def test_sizes_and_batches_are_those_of_any_data_set():
    rows = dataset()
    assert rows.count_tokens().tolist() == [12, 12, 12]
    assert rows[1:].count_tokens(edges=False).tolist() == [6, 6]
    batch = rows.make_batch([2, 0])
    assert isinstance(batch, Batch)
    assert batch.y.tolist() == rows[2].y.tolist() + rows[0].y.tolist()
    loaders = SplitData(rows, rows.split_idx, batch_size=4)
    assert [next(iter(loaders.loader(split))).y.tolist() for split in ("train", "val", "test")] == [
        row.y.tolist() for row in rows
    ]


def test_encodings_of_the_graph_are_those_of_every_row(tmp_path):
    widened = add_encoding(dataset(), "rwse", 3, folder=tmp_path, progress=False)
    assert len(widened) == 3
    assert torch.equal(widened[0].pe, widened[2].pe)
    assert widened[0].pe.shape == (6, 3)
    assert widened[2].y.tolist() == dataset()[2].y.tolist()


def test_a_split_without_nodes_has_no_row():
    rows = dataset(None, TRAIN, [], TEST)
    assert {split: index.tolist() for split, index in rows.split_idx.items()} == {"train": [0], "test": [2]}
    assert rows.node_sizes == {"train": 3, "test": 2}


@pytest.mark.parametrize(("factor", "dtype"), [(1, torch.uint8), (1 / 3, torch.float32), (-1, torch.float32),
                                               (300, torch.float32)])  # fmt: skip
def test_features_survive_the_file(factor, dtype, tmp_path):
    x = factor * torch.eye(6)
    prepared = one_graph(x, EDGES, Y, torch.stack([masks(TRAIN, VAL, TEST)]))
    assert prepared.data["x"].dtype == dtype
    save_prepared(prepared, tmp_path / "a.pt")
    found = NodeDataset(load_prepared(tmp_path / "a.pt"), TASK, Features(6))[0]
    assert torch.equal(found.x, x)
    assert found.x.dtype == torch.float32
    assert (found.y.dtype, found.edge_index.dtype) == (torch.int64, torch.int64)


@pytest.mark.parametrize("options", [{"split_index": 2}, {"split_index": -1}, {"node_split": "other"}])
def test_other_splits_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        dataset(**options)


@pytest.mark.parametrize("fractions", [[0.5, 0.25, 0.25], [0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])
def test_random_splits_hold_every_node_once(fractions):
    found = random_masks(12, fractions, seed=1)
    assert found.sum(0).tolist() == [1] * 12
    assert found.sum(1).tolist() == [round(12 * share) for share in [*fractions, 0][:3]]


def test_random_splits_refuse_other_shares():
    with pytest.raises(ConfigError, match="fractions"):
        random_masks(12, [0.5, 0.1, 0.1], seed=1)


@pytest.mark.parametrize("loss", [cross_entropy, weighted_cross_entropy])
def test_losses_and_metrics_see_the_split_alone(loss):
    torch.manual_seed(0)
    pred = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    row = dataset()[2]
    value = loss(pred, row.y)
    assert value.item() == pytest.approx(loss(pred[TEST], Y[TEST]).item(), abs=1e-12)
    value.backward()
    assert pred.grad.abs().sum(1).nonzero().flatten().tolist() == TEST
    for name in metrics.fitting(TASK):
        whole, part = metrics.build(name, 3), metrics.build(name, 3)
        whole.update(pred, row.y)
        part.update(pred[TEST], Y[TEST])
        assert whole.compute() == part.compute()
