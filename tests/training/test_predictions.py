import types

import pandas as pd
import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.task import Task
from pyg_samsa.training.predictions import PredictionCollector, write_predictions
from pyg_samsa.training.results import per_class_scores

TRAINER = types.SimpleNamespace(world_size=1)


def collect(rows, pred, target, nodes=1):
    collector = PredictionCollector()
    collector.on_test_epoch_start(TRAINER, None)
    for start in range(0, len(rows), 2):
        graphs = [
            Data(x=torch.zeros(nodes, 1), edge_index=torch.empty(2, 0, dtype=torch.long), row_id=torch.tensor([row]))
            for row in rows[start : start + 2]
        ]
        part = slice(start * nodes, (start + 2) * nodes)
        collector.on_test_batch_end(
            TRAINER, None, {"pred": pred[part], "target": target[part]}, Batch.from_data_list(graphs), 0
        )
    collector.on_test_epoch_end(TRAINER, None)
    return collector


def write(tmp_path, collector, task, names=(), dataset=None):
    path = tmp_path / "predictions.csv"
    write_predictions(path, collector, dataset=dataset or [Data()] * 10, task=Task(task, names))
    return pd.read_csv(path)


def test_rows_come_in_order_with_probabilities(tmp_path):
    collector = collect([5, 1, 3], torch.tensor([[0.0], [2.0], [-2.0]]), torch.tensor([[1.0], [float("nan")], [0.0]]))
    table = write(tmp_path, collector, "multilabel", ["toxic"], [Data(smiles="C" * row) for row in range(9)])
    assert table["row"].tolist() == [1, 3, 5]
    assert table["smiles"].tolist() == ["C", "CCC", "CCCCC"]
    assert table["toxic_pred"].tolist() == pytest.approx([0.880797, 0.119203, 0.5])
    assert table["toxic_true"].isna().tolist() == [True, False, False]


def test_regression_keeps_values(tmp_path):
    collector = collect([0, 1], torch.tensor([[1.5, 2.5], [3.5, 4.5]]), torch.zeros(2, 2))
    table = write(tmp_path, collector, "regression", ["a", "b"])
    assert table["b_pred"].tolist() == [2.5, 4.5]


def test_classes(tmp_path):
    table = write(
        tmp_path,
        collect([1, 0], torch.tensor([[0.0, 9.0], [9.0, 0.0]]), torch.tensor([1, 0])),
        "multiclass",
        ["no", "yes"],
    )
    assert (table["true"].tolist(), table["pred"].tolist()) == ([0, 1], [0, 1])
    assert table["yes_pred"][1] > 0.99


def test_nodes_know_their_graph_and_number(tmp_path):
    collector = collect([4, 2], torch.arange(6.0)[:, None], torch.zeros(6, 1), nodes=3)
    table = write(tmp_path, collector, "regression", ["height"])
    assert table["row"].tolist() == [2, 2, 2, 4, 4, 4]
    assert table["node"].tolist() == [0, 1, 2, 0, 1, 2]
    assert table["height_pred"].tolist() == [3, 4, 5, 0, 1, 2]


def test_scores_per_class_leave_unlabelled_entries_out():
    target = torch.tensor([[1.0, 0.0], [0.0, float("nan")], [1.0, 1.0]])
    task = Task("multilabel", ["a", "b"])
    scores = per_class_scores(collect([0, 1, 2], torch.tensor([[2.0, 0.0], [1.0, 5.0], [3.0, 1.0]]), target), task)
    assert scores == {
        "name": ["a", "b"],
        "ap": [1.0, 1.0],
        "base_rate": [pytest.approx(2 / 3), 0.5],
        "positives": [2, 1],
    }
    regression = Task("regression", ["a", "b"])
    assert per_class_scores(collect([0], torch.zeros(1, 2), torch.zeros(1, 2)), regression) == {}
