import types

import pandas as pd
import pytest
import torch
from torch_geometric.data import Batch, Data

from pyg_samsa.task import Task
from pyg_samsa.training.predictions import PredictionCollector, write_predictions
from pyg_samsa.training.run_files import read_table


def write(tmp_path, collector, task, names=(), dataset=None):
    path = tmp_path / "predictions.csv"
    write_predictions(path, collector, dataset=dataset or [Data()] * 10, task=Task(task, names))
    return pd.read_csv(path)


def test_rows_come_in_order_with_probabilities(collect, tmp_path):
    collector = collect([5, 1, 3], torch.tensor([[0.0], [2.0], [-2.0]]), torch.tensor([[1.0], [float("nan")], [0.0]]))
    table = write(tmp_path, collector, "multilabel", ["toxic"], [Data(smiles="C" * row) for row in range(9)])
    assert table["row"].tolist() == [1, 3, 5]
    assert table["smiles"].tolist() == ["C", "CCC", "CCCCC"]
    assert table["toxic_pred"].tolist() == pytest.approx([0.880797, 0.119203, 0.5])
    assert table["toxic_true"].isna().tolist() == [True, False, False]


def test_regression_keeps_values(collect, tmp_path):
    collector = collect([0, 1], torch.tensor([[1.5, 2.5], [3.5, 4.5]]), torch.zeros(2, 2))
    table = write(tmp_path, collector, "regression", ["a", "b"])
    assert table["b_pred"].tolist() == [2.5, 4.5]


def test_classes(collect, tmp_path):
    table = write(
        tmp_path,
        collect([1, 0], torch.tensor([[0.0, 9.0], [9.0, 0.0]]), torch.tensor([1, 0])),
        "multiclass",
        ["no", "yes"],
    )
    assert (table["true"].tolist(), table["pred"].tolist()) == ([0, 1], [0, 1])
    assert table["yes_pred"][1] > 0.99
    three = collect([0, 1], torch.tensor([[0.0, 0.0, 9.0], [0.0, 9.0, 0.0]]), torch.tensor([0, 1]))
    assert write(tmp_path, three, "multiclass", ["a", "b", "c"])["pred"].tolist() == [2, 1]


def test_nodes_stay_in_order_in_large_graphs(collect):
    # A sort that is not stable keeps the order of a dozen values by chance.
    collector = collect([2, 1, 0], torch.arange(300.0)[:, None], torch.zeros(300, 1), nodes=100)
    assert torch.equal(collector.node, torch.arange(100).repeat(3))
    assert torch.equal(collector.pred.view(3, 100), torch.arange(300.0).view(3, 100).flip(0))


def test_labelled_pairs_know_their_graph_and_nodes(tmp_path):
    collector, trainer = PredictionCollector("binary", "link"), types.SimpleNamespace(world_size=1)
    collector.on_test_epoch_start(trainer, None)
    for row, size in ((7, 3), (2, 4)):  # one batch each; the second pair has no label
        pairs = torch.tensor([[size - 1, 0, 1], [0, 1, 1]])
        graph = Data(x=torch.zeros(size, 1), edge_label_index=pairs, row_id=torch.tensor([row]))
        other = Data(x=torch.zeros(5, 1), edge_label_index=pairs[:, :0], row_id=torch.tensor([row + 1]))
        outputs = {"pred": torch.tensor([[0.0], [9.0], [row * 1.0]]), "target": torch.tensor([1.0, float("nan"), 0.0])}
        collector.on_test_batch_end(trainer, None, outputs, Batch.from_data_list([other, graph]), 0)
    collector.on_test_epoch_end(trainer, None)
    table = write(tmp_path, collector, "binary", ["contact"])
    assert table.columns.tolist() == ["row", "source", "target", "contact_true", "contact_pred"]
    assert table.iloc[:, :4].values.tolist() == [[2, 3, 0, 1], [2, 1, 1, 0], [7, 2, 0, 1], [7, 1, 1, 0]]
    assert table["contact_pred"].tolist() == pytest.approx([0.5, 0.880797, 0.5, 0.999089])


def test_nodes_know_their_graph_and_number(collect, tmp_path):
    collector = collect([4, 2], torch.arange(6.0)[:, None], torch.zeros(6, 1), nodes=3)
    table = write(tmp_path, collector, "regression", ["height"])
    assert table["row"].tolist() == [2, 2, 2, 4, 4, 4]
    assert table["node"].tolist() == [0, 1, 2, 0, 1, 2]
    assert table["height_pred"].tolist() == [3, 4, 5, 0, 1, 2]


def test_nodes_without_a_class_are_left_out(tmp_path):
    collector = PredictionCollector("multiclass", "node")
    graph = Data(x=torch.zeros(4, 1), row_id=torch.tensor([2]))
    pred = torch.tensor([[0.0, 9.0], [9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    batch = Batch.from_data_list([graph])
    collector.on_test_batch_end(None, None, {"pred": pred, "target": torch.tensor([-100, 0, -100, 0])}, batch, 0)
    batch = Batch.from_data_list([Data(x=torch.zeros(4, 1), row_id=torch.tensor([1]))])
    target = torch.tensor([1.0, float("nan"), float("nan"), float("nan")])
    collector.on_test_batch_end(None, None, {"pred": pred, "target": target}, batch, 0)
    collector.on_test_epoch_end(types.SimpleNamespace(world_size=1), None)
    table = write(tmp_path, collector, "multiclass", ["a", "b"])
    assert table[["row", "node", "true", "pred"]].values.tolist() == [[1, 0, 1, 1], [2, 1, 0, 0], [2, 3, 0, 1]]


def test_graphs_without_a_class_have_an_empty_field(collect, tmp_path):
    table = write(tmp_path, collect([0, 1], torch.eye(2), torch.tensor([1, -100])), "multiclass", ["a", "b"])
    assert table["true"].fillna(-1).tolist() == [1, -1]
    assert (tmp_path / "predictions.csv").read_text().splitlines()[1].startswith("0,1,0,")


def test_graphs_of_one_node_have_numbers_of_nodes_too(tmp_path):
    collector = PredictionCollector()
    batches = [[Data(x=torch.ones(n, 1), row_id=torch.tensor([row]))] for row, n in ((7, 1), (3, 2))]
    for batch in map(Batch.from_data_list, batches):
        values = torch.arange(float(batch.num_nodes))[:, None] + batch.row_id
        collector.on_test_batch_end(None, None, {"pred": values, "target": values}, batch, 0)
    collector.on_test_epoch_end(types.SimpleNamespace(world_size=1), None)
    table = write(tmp_path, collector, "regression", ["height"])
    assert table.to_dict("list") == {
        "row": [3, 3, 7],
        "node": [0, 1, 0],
        "height_true": [3, 4, 7],
        "height_pred": [3, 4, 7],
    }


class Bounded(list):
    """Graphs with bounds, as a data set of this package holds them."""

    def __init__(self, bounds):
        super().__init__(Data(y_bound=torch.tensor([row])) for row in bounds)
        self._data = Data(y_bound=torch.tensor(bounds))


def test_bounds_have_a_column_of_their_own(collect, tmp_path):
    collector = collect([2, 0], torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[10.0, 1.0], [0.5, 2.0]]))
    dataset = Bounded([[-1, 0], [1, 0], [0, 0]])
    write(tmp_path, collector, "regression", ["a", "b"], dataset)
    header, *rows = (tmp_path / "predictions.csv").read_text().splitlines()
    assert header == "row,a_true,a_bound,a_pred,b_true,b_pred"
    assert rows == ["0,0.5,<,3,2,4", "2,10,,1,1,2"]
    write(tmp_path, collector, "regression", ["a", "b"], Bounded([[0, 0]] * 3))
    assert "bound" not in (tmp_path / "predictions.csv").read_text()


def test_names_and_texts_are_no_formulas(collect, tmp_path):
    rows = [Data(smiles=smiles) for smiles in ("C", "=C", "-0.5")]
    names = ["=1+1", "-x"]
    write(tmp_path, collect([0, 1], torch.tensor([[-1.5, 2], [3, 4]]), -torch.ones(2, 2)), "regression", names, rows)
    path = tmp_path / "predictions.csv"
    assert path.read_text().splitlines() == [
        "row,smiles,'=1+1_true,'=1+1_pred,'-x_true,'-x_pred",
        "0,C,-1,-1.5,-1,2",
        "1,'=C,-1,3,-1,4",
    ]
    table = read_table(path)
    assert list(table) == ["row", "smiles", "=1+1_true", "=1+1_pred", "-x_true", "-x_pred"]
    assert table["smiles"].tolist() == ["C", "=C"]
    assert table["=1+1_pred"].tolist() == [-1.5, 3]


def test_predictions_without_a_second_axis_are_one_column(collect, tmp_path):
    collector = collect([4, 2], torch.tensor([0.5, 1.5]), torch.tensor([1.0, 2.0]))
    table = write(tmp_path, collector, "regression", ["y"])
    assert table.to_dict("list") == {"row": [2, 4], "y_true": [2.0, 1.0], "y_pred": [1.5, 0.5]}
