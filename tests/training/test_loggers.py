import importlib.util

import pytest
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.training.loggers import WandbOptions, build_loggers


def test_loggers(tmp_path, monkeypatch):
    assert build_loggers(tmp_path) == []
    assert [type(logger).__name__ for logger in build_loggers(tmp_path, tensorboard=True)] == ["TensorBoardLogger"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="tensorboard"):
        build_loggers(tmp_path, tensorboard=True)
    with pytest.raises(MissingDependencyError, match="wandb"):
        build_loggers(tmp_path, wandb=WandbOptions(use=True, project="x"))


def test_weights_and_biases_gets_its_options(tmp_path, monkeypatch):
    made = {}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(pl.loggers, "WandbLogger", lambda **options: made.update(options) or "logger")
    options = WandbOptions(use=True, project="peptides", mode="offline")
    assert build_loggers(tmp_path, wandb=options, config={"seed": 1}) == ["logger"]
    assert made == {
        "save_dir": str(tmp_path),
        "project": "peptides",
        "entity": None,
        "name": None,
        "offline": True,
        "config": {"seed": 1},
    }


def test_weights_and_biases_is_off_unless_asked_for(tmp_path):
    assert build_loggers(tmp_path, wandb=WandbOptions(project="x")) == []


def test_tensorboard_writes_into_the_folder_of_the_run(tmp_path):
    (logger,) = build_loggers(tmp_path, tensorboard=True)
    logger.log_metrics({"val_ap": 0.5}, step=1)
    logger.finalize("success")
    assert [path.parent for path in tmp_path.rglob("events*")] == [tmp_path / "tensorboard"]


def test_the_mode_is_checked():
    with pytest.raises(ConfigError, match="mode: got 'onlin'"):
        WandbOptions(mode="onlin")


def test_defaults(defaults):
    expected = {
        "use": False,
        "project": "pyg_samsa",
        "mode": "online",
    }
    assert expected.items() <= defaults(WandbOptions).items()
