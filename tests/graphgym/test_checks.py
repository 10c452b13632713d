import importlib.util
from pathlib import Path

import pytest
import torch
from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError, DataNotFoundError, MissingDependencyError
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import load_config


def _check(words):
    load_config("csv", words.split())
    check_run()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model.type sams", "model.type: got 'sams', expected one of"),
        ("optim.optimizer adamw2", "optim.optimizer: got 'adamw2', expected one of"),
        ("optim.scheduler cosin", "optim.scheduler: got 'cosin', expected one of"),
        ("model.loss_fun msse", "model.loss_fun: got 'msse', expected one of 'bce'"),
        ("metric_best maee", "metric_best: got 'maee', expected one of 'accuracy'"),
        ("custom_metrics [mae,maee]", "custom_metrics: got 'maee', expected one of 'accuracy'"),
        ("dataset.format samse", "dataset.format: got 'samse', expected one of 'samsa'"),
        ("dataset.name cvs", "dataset.name: got 'cvs', expected one of 'aan'"),
        ("dataset.task graphs", "dataset.task: got 'graphs', expected one of 'graph', 'node'"),
        ("dataset.task_type regresion", "dataset.task_type: got 'regresion', expected one of"),
        ("dataset.split [0.5,0.2]", "dataset.split: got [0.5, 0.2], expected two or three shares"),
        ("dataset.node_encoder True dataset.node_encoder_name Atm", "dataset.node_encoder_name: got 'Atm', expected"),
        ("dataset.edge_encoder True dataset.edge_encoder_name Bnd", "dataset.edge_encoder_name: got 'Bnd', expected"),
        ("samsa.tokenizer segments", "samsa.tokenizer: got 'segments', expected the name of a registered tokenizer"),
        ("model.type gnn gnn.layer_type gcn_conv", "gnn.layer_type: got 'gcn_conv', expected one of"),
        ("model.type gnn gnn.stage_type stac", "gnn.stage_type: got 'stac', expected one of"),
        ("model.type gnn gnn.act rel", "gnn.act: got 'rel', expected one of"),
        ("model.type gnn model.graph_pooling avg", "model.graph_pooling: got 'avg', expected one of"),
        ("model.type gcn gnn.act rel", "gnn.act: got 'rel', expected one of"),
        ("model.type gcn gnn.layers_mp 0", "gnn.layers_mp: got 0, expected an integer from 1"),
        ("model.type gps gnn.dim_inner 0", "gnn.dim_inner: got 0, expected an integer from 1"),
        ("model.type san gnn.dropout 2", "gnn.dropout: got 2.0, expected a probability"),
        ("model.type gps gt.dropout 1", "gt.dropout: got 1.0, expected a probability"),
        ("model.type gcn gnn.layers_post_mp 101", "gnn.layers_post_mp: got 101, expected an integer"),
        ("model.graph_pooling add", "model.graph_pooling: got 'add', expected attention or mean with the network"),
        ("model.type Exphormer", "model.type: got 'Exphormer', expected another value: there are no expander graphs"),
        ("share.foo 1", "unknown setting: got 'share.foo', expected a name that exists (command line)"),
        ("model.type gps gt.layer_type GINN+Transformer", "gt.layer_type: got 'GINN+Transformer', expected one of"),
        ("model.type gcn gt.layer_type GINE+Transformer", "gt.layer_type: got 'GINE+Transformer'"),
        ("model.type gps gt.n_heads 3 gnn.dim_inner 16", "gt.n_heads: got 3, expected a divisor of 16"),
        ("train.strategy dpd", "train.strategy: got 'dpd', expected one of 'auto', 'ddp'"),
        ("optim.scheduler step optim.steps [3,2]", "optim.steps: got [3, 2], expected increasing epochs"),
        ("optim.scheduler step optim.lr_decay 2.0", "optim.lr_decay: got 2.0, expected a number"),
        ("model.loss_fun bce model.label_smoothing 2", "model.label_smoothing: got 2.0, expected a number"),
        ("flt.encoding nothing samsa.attention flt", "flt.encoding: got 'nothing'"),
        ("train.max_seconds 0", "train.max_seconds: got 0"),
        ("train.max_seconds .inf", "train.max_seconds: got inf, expected a finite number"),
        ("optim.base_lr .inf", "optim.base_lr: got inf, expected a finite number"),
        ("optim.max_epoch 2 train.eval_period 3", "train.eval_period: got 3, expected at most 2 epochs"),
        (
            "optim.scheduler plateau train.eval_period 2",
            "train.eval_period: got 2, expected 1 with optim.scheduler plateau",
        ),
        (
            "train.strategy fsdp accelerator cpu",
            "train.strategy: got 'fsdp', expected a strategy that can be used here",
        ),
        ("samsa.attn_backend varlen accelerator cpu", "samsa.attn_backend: got 'varlen', expected one that can run"),
        ("dataset.split [x,y]", "dataset.split: got ['x', 'y'], expected two or three shares"),
        ("train.fit_schedule True", "train.fit_schedule: got True, expected False where train.max_seconds is empty"),
        (
            "train.fit_schedule True train.max_seconds 60 optim.scheduler plateau",
            "optim.scheduler: got 'plateau', expected a schedule that has an end",
        ),
    ],
)
def test_names_and_values_are_checked_without_data(words, message, monkeypatch):
    # With a loader of other code, other formats may exist.
    monkeypatch.setattr(register, "loader_dict", {"samsa": register.loader_dict["samsa"]})
    with pytest.raises(ConfigError) as caught:
        _check(words)
    assert str(caught.value).startswith(message)


def test_names_of_the_users_own_are_known(monkeypatch):
    monkeypatch.setitem(register.loss_dict, "own_loss", lambda pred, target: None)
    monkeypatch.setitem(register.network_dict, "own_net", nn.Identity)
    monkeypatch.setitem(register.node_encoder_dict, "OwnNode", nn.Identity)
    monkeypatch.setitem(register.loader_dict, "own", lambda *names: None)
    _check(
        "model.loss_fun own_loss model.type own_net dataset.node_encoder True dataset.node_encoder_name OwnNode "
        "dataset.format mine dataset.name anything"
    )


def test_the_losses_of_graphgyms_own_runner_are_not_offered():
    with pytest.raises(ConfigError) as caught:
        _check("model.loss_fun samsa_bcee")
    assert "samsa_bce'" not in str(caught.value)


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_a_device_that_is_not_there_is_named(monkeypatch, accelerator):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"accelerator: got '{accelerator}', expected a device that is there"):
        _check(f"accelerator {accelerator}")


def test_more_gpus_than_there_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="devices: got 2, expected at most 1, the number of GPUs"):
        _check("accelerator gpu devices 2")


def test_only_samsa_hides_features():
    with pytest.raises(ConfigError, match=r"model\.type: got 'gcn', expected 'samsa' with the task masked"):
        _check("dataset.task_type masked model.type gcn")


def test_weights_to_start_from_are_looked_for():
    with pytest.raises(DataNotFoundError, match="no/such/run: no saved model found"):
        _check("train.start_from no/such/run")
    _check("train.start_from peptides")


def test_a_folder_of_results_that_is_a_file_is_named(tmp_path):
    path = tmp_path / "results"
    path.touch()
    with pytest.raises(ConfigError, match=r"out_dir: got .*results/deeper', expected a folder; .*results is a file"):
        _check(f"out_dir {path / 'deeper'}")
    assert not Path(tmp_path / "results" / "deeper").exists()


@pytest.mark.parametrize(("key", "package"), [("wandb.use", "wandb"), ("tensorboard_each_run", "tensorboard")])
def test_a_logger_that_is_not_installed_is_found_without_data(monkeypatch, key, package):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else found(name, *rest)
    )
    load_config("csv", [key, "True"])
    with pytest.raises(MissingDependencyError, match=package):
        check_run()


def test_nothing_of_a_run_is_made_before_names_are_known(tmp_path, monkeypatch):
    from pyg_samsa.experiments import run as runner

    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("smiles,y\nCC,1\nCCC,2\nC,3\n")
    for words in (["metric_best", "maee"], ["model.loss_fun", "msse"], ["predictor.tree_inputs", "[rdkit3d]"]):
        with pytest.raises(ConfigError):
            runner.run("csv", ["dataset.csv", "table.csv", *words])
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    assert cfg.share.task is None


@pytest.mark.parametrize("censored", ["refuse", "missing", "exact"])
def test_a_loss_with_bounds_contradicts_other_readings(censored):
    with pytest.raises(ConfigError) as caught:
        _check(f"model.loss_fun bounded_mse dataset.censored {censored}")
    assert str(caught.value) == f"dataset.censored: got '{censored}', expected 'bounds' with model.loss_fun bounded_mse"
    assert caught.value.hint == "Leave out --censored, or use model.loss_fun mse."
    _check("model.loss_fun bounded_mse dataset.censored bounds")
    _check("model.loss_fun bounded_mse")


def test_a_loss_with_bounds_needs_a_table():
    with pytest.raises(ConfigError, match=r"model.loss_fun: got 'bounded_l1', expected a loss without bounds") as told:
        _check("model.loss_fun bounded_l1 dataset.name zinc")
    assert told.value.hint == "Use model.loss_fun l1."
