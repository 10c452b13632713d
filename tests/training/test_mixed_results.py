import json
import types

import pandas as pd
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from pyg_samsa.task import Task
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.mixed_results import MixedOutput, MixedTask
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder

TRAINER = types.SimpleNamespace(world_size=1)


def output(draw=None):
    rows = [Data(x=torch.ones(2, 1)) for _ in range(4)]
    data = SplitData(rows, {"train": torch.arange(4)}, batch_size=2)
    tasks = {
        "shapes": MixedTask(data, Task("multilabel", ["a"]), nn.Linear(2, 3), {"run_name": "t-shapes"}, "val_ap"),
        "shapes_parts": MixedTask(data, Task("regression", ["y"]), nn.Linear(1, 1), {}, "val_mae"),
    }
    return MixedOutput(tasks, draw)


def batch(task, rows):
    made = Batch.from_data_list([Data(x=torch.ones(2, 1), row_id=torch.tensor([row])) for row in rows])
    made.task_name = task
    return made


def collect(made):
    made.callback.on_test_epoch_start(TRAINER, None)
    for task, rows, value in (("shapes", [3, 1], 0.0), ("shapes_parts", [2], 5.0), ("shapes", [0], 2.0)):
        values = torch.full((len(rows), 1), value)
        made.callback.on_test_batch_end(
            TRAINER, None, {"pred": values, "target": (values > 1).float()}, batch(task, rows), 0
        )
    made.callback.on_test_epoch_end(TRAINER, None)


def test_predictions_are_kept_by_task_in_the_order_of_rows():
    made = output()
    collect(made)
    assert made.callback.of["shapes"].row_id.tolist() == [0, 1, 3]
    assert made.callback.of["shapes"].pred.flatten().tolist() == [2.0, 0.0, 0.0]
    assert made.callback.of["shapes_parts"].row_id.tolist() == [2]


def test_each_task_has_its_own_values_history_and_predictions(tmp_path):
    drawn, finished = [], []
    made = output(draw=lambda result, rows: drawn.append((result.seed, len(rows))))
    collect(made)
    folder = RunFolder(tmp_path)
    folder.write_json("environment.json", {"torch": "2"})
    folder.write_json("summary.json", {"status": "of an earlier part"})
    test = {"score": 0.5, "loss": 1.0, "shapes/ap": 0.9, "shapes_parts/mae": 0.1, "shapes_parts/loss": 0.2}
    result = RunResult(folder, 7, 1, val={"shapes/ap": 0.8}, test=test, parameters=99, epochs=1, seconds=3.0)
    row = {"epoch": 1, "step": 4, "lr": 0.1, "seconds": 3.0, "total_seconds": 3.0, "val_score": 0.5, "val_loss": 1.0}
    rows = [{**row, "train_shapes/loss": 0.3, "val_shapes/ap": 0.8, "val_shapes_parts/mae": 0.4}]

    def finish(name, part, own, collected):
        assert not (part.folder.path / "summary.json").exists()
        assert not (tmp_path / "summary.json").exists()
        finished.append((name, dict(part.test), own[0].get("val_mae"), len(collected.row_id)))

    assert made.per_class() == {}
    made.write(result, rows, "val_score", finish)
    assert finished == [("shapes", {"ap": 0.9}, None, 3), ("shapes_parts", {"mae": 0.1, "loss": 0.2}, 0.4, 1)]
    assert drawn == [(7, 1)]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["monitor"], list(summary["tasks"]), summary["test"]) == (
        "val_score",
        ["shapes", "shapes_parts"],
        test,
    )
    own = tmp_path / "tasks" / "shapes"
    told = json.loads((own / "summary.json").read_text())
    assert (told["monitor"], told["val"], told["parameters"], told["seed"]) == ("val_ap", {"ap": 0.8}, 9, 7)
    assert told["per_class"]["name"] == ["a"]
    assert list(pd.read_csv(own / "metrics.csv")) == [
        "epoch",
        "step",
        "lr",
        "seconds",
        "total_seconds",
        "train_loss",
        "val_ap",
    ]
    assert (own / "config.yaml").read_text() == "run_name: t-shapes\n"
    assert json.loads((own / "environment.json").read_text()) == {"torch": "2"}
    assert pd.read_csv(own / "predictions_test.csv")["row"].tolist() == [0, 1, 3]
