import dataclasses

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets.features import Features
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.changes import Changes
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.data_defaults import fit_to_data, optimizer_steps, validates
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.graphgym.plan import make_plan
from pyg_samsa.graphgym.settings import value_of
from pyg_samsa.task import Task
from pyg_samsa.training.run_folder import open_run_folder

ANOTHER = {"dataset.name", "dataset.format"}


class Graphs(list):
    """Graphs with a task and splits, without SMILES and without edges."""

    def __init__(self, kind="regression", names=("y",), splits=("train", "val", "test"), count=20):
        edge_index = torch.empty(2, 0, dtype=torch.long)
        super().__init__(Data(x=torch.ones(2, 3), edge_index=edge_index, y=torch.ones(1, 1)) for _ in range(count))
        self.task, self.features = Task(kind, names), Features(3)
        parts = {"train": torch.arange(count - 4), "val": torch.tensor([count - 4]), "test": torch.tensor([count - 2])}
        self.split_idx = {split: parts[split] for split in splits}


@pytest.mark.parametrize(
    ("dataset", "file", "asked", "expected"),
    [
        (Graphs(), {"dataset.task_type": "classification_multilabel"}, ANOTHER, {"dataset.task_type": "regression"}),
        (Graphs(), {"dataset.task_type": "classification"}, ANOTHER, {}),
        (Graphs(), {"model.loss_fun": "bce"}, ANOTHER, {"model.loss_fun": "mse"}),
        (Graphs(), {"model.loss_fun": "smooth_l1"}, ANOTHER, {}),
        (Graphs("binary"), {"model.loss_fun": "cross_entropy"}, ANOTHER, {}),
        (Graphs(), {"metric_best": "ap"}, ANOTHER, {"metric_best": "auto"}),
        (Graphs(), {"metric_best": "rmse"}, ANOTHER, {}),
        (Graphs(), {"metric_best": "loss"}, ANOTHER, {}),
        (
            Graphs(),
            {"metric_best": "accuracy", "metric_agg": "argmax", "custom_metrics": ["accuracy", "rmse"]},
            ANOTHER,
            {"metric_best": "auto", "metric_agg": "argmin", "custom_metrics": ["rmse"]},
        ),
        (
            Graphs(),
            {"dataset.descriptors": ["maccs"], "predictor.members": "all", "pe.kind": "rwse", "pe.role": "gate"},
            ANOTHER,
            {"dataset.descriptors": [], "predictor.members": "auto", "pe.kind": "none", "pe.role": "add"},
        ),
        (
            Graphs(),
            {"pe.kind": "rwse", "pe.channels": 4, "pe.model": "mlp", "pe.layers": 3},
            ANOTHER,
            {"pe.kind": "none", "pe.channels": None, "pe.model": None, "pe.layers": None},
        ),
        (Graphs(count=6), {"predictor.folds": 9}, ANOTHER, {"predictor.folds": 3}),
        (Graphs(splits=("train", "test")), {"train.patience": 5}, (), {"train.patience": 0}),
        (Graphs(splits=("train", "test")), {"optim.scheduler": "plateau"}, (), {"optim.scheduler": "none"}),
        (Graphs(splits=("train", "test")), {"train.patience": 5, "predictor.folds": 3}, (), {}),
        (Graphs(), {"train.patience": 5, "optim.scheduler": "plateau"}, (), {}),
        (
            Graphs(),
            {"optim.num_warmup_steps": 9, "optim.max_epoch": 4, "train.batch_size": 8},
            {"optim.max_epoch"},
            {"optim.num_warmup_steps": 4},
        ),
        (
            Graphs(),
            {"optim.num_warmup_steps": 7, "optim.max_epoch": 4, "train.batch_size": 8},
            {"optim.max_epoch"},
            {},
        ),
        (
            Graphs(),
            {"optim.num_warmup_steps": 5, "optim.max_epoch": 4, "optim.batch_accumulation": 2, "train.batch_size": 8},
            {"train.batch_size"},
            {"optim.num_warmup_steps": 2},
        ),
    ],
)
def test_a_setting_of_the_file_gives_way_to_the_data(dataset, file, asked, expected):
    for key, value in file.items():
        group, _, name = key.rpartition(".")
        (cfg[group] if group else cfg)[name] = value
    changes = Changes(asked, given={*file, *asked})
    fit_to_data(changes, dataset)
    assert {key: value_of(key, cfg) for key in file} == {**file, **expected}
    assert {note.split()[0] for note in changes.notes} == expected.keys()
    fit_to_data(changes, dataset)
    assert len(changes.notes) == len(expected)


def test_what_was_asked_for_stays_and_is_named():
    cfg.predictor.folds = 99
    with pytest.raises(
        ConfigError, match=r"predictor\.folds: got 99, expected at most 17, the number of molecules outside"
    ):
        fit_to_data(Changes({"predictor.folds", *ANOTHER}), Graphs())
    cfg.predictor.folds, cfg.optim.num_warmup_steps, cfg.optim.max_epoch = 0, 99, 2
    with pytest.raises(ConfigError, match=r"optim\.num_warmup_steps: got 99, expected fewer than the 2 optimiser"):
        fit_to_data(Changes({"optim.num_warmup_steps", "optim.max_epoch"}), Graphs())


def test_settings_of_one_file_do_not_give_way():
    cfg.metric_best, cfg.model.loss_fun, cfg.dataset.task_type = "ap", "bce", "classification_multilabel"
    changes = Changes({"optim.max_epoch"}, given={"model.loss_fun", "metric_best"})
    fit_to_data(changes, Graphs())
    assert changes.notes == []


def test_the_number_of_steps_is_that_of_the_trainer(config):
    loaded = load_config(config(optim={"max_epoch": 3, "batch_accumulation": 2}))
    dataset = load_for_runner(progress=False)
    plan = make_plan(loaded, dataset, seed=0)
    seen = []

    def schedule(optimizer, total_steps, steps_per_epoch):
        seen.append(total_steps)

    plan = dataclasses.replace(plan, scheduler=schedule)
    folder = open_run_folder(cfg.out_dir, "steps", 0, {})
    plan.train(plan.build_network(), folder)
    assert seen == [optimizer_steps(dataset)]


@pytest.mark.parametrize(("folds", "splits", "expected"), [(0, ("train",), False), (3, ("train",), True)])
def test_folds_validate(folds, splits, expected):
    cfg.predictor.folds = folds
    assert validates(Graphs(splits=splits)) == expected
    assert validates(Graphs())


def test_a_run_with_another_task_trains_and_tells_what_changed(config, tiny):
    path = config(train={"patience": 4})
    loaded = load_config(path, ["dataset.name", "regression", "optim.max_epoch", "1"])
    dataset = load_for_runner(loaded.changes, progress=False)
    plan = make_plan(loaded, dataset, seed=0)
    assert plan.description["changed"].splitlines() == [
        "dataset.task_type classification_multilabel -> regression (the task is regression)",
        "model.loss_fun cross_entropy -> mse (the task is regression)",
        "metric_best ap -> auto (the task is regression)",
    ]
    assert plan.monitor == "val_mae"
