import dataclasses
import json
import math
import types

import pandas as pd
import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.task import Task
from pyg_samsa.training.predictions import PredictionCollector
from pyg_samsa.training.results import MAX_CLASSES, RunResult, is_finished, per_class_scores, write_run
from pyg_samsa.training.run_folder import RunFolder


def test_scores_per_class_leave_unlabelled_entries_out(collect):
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


def result(folder, **changes):
    values = {
        "seed": 3,
        "best_epoch": 2,
        "val": {"ap": 0.5},
        "test": {"ap": 0.25},
        "parameters": 10,
        "epochs": 4,
        "seconds": 10.0,
        "waited": 2,
        "per_class": {"name": ["a"], "ap": [0.5]},
    }
    return RunResult(RunFolder(folder), **{**values, **changes})


def test_a_summary_gives_the_result_back(tmp_path):
    first = result(tmp_path)
    summary = json.loads(json.dumps(first.as_summary()))
    assert summary["seconds_per_epoch"] == 2.5
    assert RunResult.from_summary(first.folder, summary) == dataclasses.replace(first, reused=True)


@pytest.mark.parametrize(
    ("epochs", "waited", "patience", "finished"),
    [(5, 0, 0, True), (4, 4, 0, False), (4, 2, 3, False), (4, 3, 3, True), (4, 4, 3, True), (6, 0, 3, True)],
)
def test_a_run_is_finished_after_all_epochs_or_when_its_patience_is_exhausted(epochs, waited, patience, finished):
    summary = {"epochs": epochs, "waited": waited}
    assert is_finished(summary, max_epochs=5, patience=patience) is finished


@pytest.mark.parametrize(
    ("reached", "limit", "finished"),
    [(None, None, False), (60.0, 60.0, True), (60.0, 30.0, True), (60.0, 61.0, False), (60.0, None, False)],
)
def test_a_run_that_had_no_more_time_is_finished_until_it_gets_more(reached, limit, finished):
    summary = {"epochs": 4, "waited": 0} | ({} if reached is None else {"time_limit": reached})
    assert is_finished(summary, max_epochs=5, max_seconds=limit) is finished


def test_a_run_without_epochs_has_no_time_per_epoch(tmp_path):
    assert result(tmp_path, epochs=0, seconds=0.0).as_summary()["seconds_per_epoch"] == 0.0


@pytest.mark.parametrize(("kind", "count"), [("multilabel", MAX_CLASSES + 1), ("multiclass", 3), ("binary", 1)])
def test_only_few_labels_have_scores_of_their_own(collect, kind, count):
    task = Task(kind, [f"class {number}" for number in range(count)])
    assert per_class_scores(collect([0, 1], torch.zeros(2, count), torch.tensor([[0.0], [1.0]])), task) == {}


def test_without_test_predictions_there_are_no_scores():
    assert per_class_scores(PredictionCollector(), Task("multilabel", ["a", "b"])) == {}


def test_a_class_without_labels(collect):
    target = torch.tensor([[1.0, float("nan")], [0.0, float("nan")]])
    scores = per_class_scores(
        collect([0, 1], torch.tensor([[2.0, 0.0], [1.0, 5.0]]), target), Task("multilabel", ["a", "b"])
    )
    assert scores["positives"] == [1, 0]
    assert scores["base_rate"] == [0.5, 0.0]
    assert scores["ap"][0] == 1.0
    assert math.isnan(scores["ap"][1])


def test_the_summary_is_written_last(collect, tmp_path):
    collected = collect([1, 0], torch.tensor([[2.0], [1.0]]), torch.tensor([[2.5], [1.5]]))
    data = types.SimpleNamespace(dataset=[Data()] * 2)
    rows, seen = [{"epoch": 1.0}], []

    def draw(*given):
        assert given == (made, rows, collected)
        seen.extend(path.name for path in tmp_path.iterdir())

    made, task = result(tmp_path), Task("regression", ["logS"])
    write_run(made, rows, collected, data, task, "val_mae", draw)
    assert seen == ["predictions_test.csv"]
    assert pd.read_csv(tmp_path / "predictions_test.csv")["logS_pred"].tolist() == [1.0, 2.0]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["task"] == task.as_dict()
    assert summary["monitor"] == "val_mae"
    assert summary["written"] > 1.6e9


def test_without_test_predictions_only_the_summary_is_written(tmp_path):
    data = types.SimpleNamespace(dataset=[])
    write_run(result(tmp_path, test={}), [], PredictionCollector(), data, Task("regression", ["a"]), None)
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
