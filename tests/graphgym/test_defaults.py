import importlib.util

import pytest
import yaml
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.graphgym.config import load_config, resolved
from pyg_samsa.graphgym.defaults import check_run


def _check(words):
    load_config("csv", words.split())
    check_run()


def value(key):
    group, _, name = key.rpartition(".")
    return cfg[group][name]


@pytest.mark.parametrize(
    ("asked", "key", "expected"),
    [
        ({"optim.max_epoch": 1}, "optim.num_warmup_epochs", 0.5),
        ({"optim.max_epoch": 3}, "optim.num_warmup_epochs", 1.5),
        ({"optim.max_epoch": 4}, "optim.num_warmup_epochs", 3.0),
        ({"optim.num_warmup_steps": 7}, "optim.num_warmup_epochs", 0.0),
        ({"optim.scheduler": "none"}, "optim.num_warmup_epochs", 0.0),
        ({"optim.scheduler": "plateau"}, "optim.num_warmup_epochs", 0.0),
        ({"samsa.channels": 50}, "samsa.heads", 2),
        ({"samsa.heads": 6}, "samsa.channels", 60),
        ({"model.type": "bag_of_features", "dataset.descriptors": "[]"}, "pe.kind", "none"),
    ],
)
def test_a_setting_of_the_file_gives_way_to_one_that_was_asked_for(asked, key, expected):
    loaded = load_config("csv", [word for pair in asked.items() for word in map(str, pair)])
    check_run()
    assert value(key) == expected
    assert [note.split()[0] for note in loaded.notes] == ([] if expected == 3.0 else [key])


def test_rates_and_validation_give_way(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("train: {eval_period: 10}\noptim: {min_lr: 0.001, base_lr: 0.01, scheduler: cos, max_epoch: 30}")
    loaded = load_config(path, ["optim.max_epoch", "2", "optim.base_lr", "1e-4"])
    check_run()
    assert (cfg.train.eval_period, cfg.optim.min_lr) == (2, 1e-4)
    assert loaded.notes == (
        "optim.min_lr 0.001 -> 0.0001 (optim.base_lr is lower)",
        "train.eval_period 10 -> 2 (optim.max_epoch is 2)",
    )


def test_a_resolved_config_is_accepted_again(tmp_path):
    loaded = load_config("csv", ["optim.max_epoch", "1"])
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(resolved(loaded)))
    assert load_config(path).notes == ()
    check_run()
    assert cfg.optim.num_warmup_epochs == 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("optim.max_epoch 2 optim.num_warmup_epochs 2", "optim.num_warmup_epochs: got 2.0, expected less than"),
        ("optim.num_warmup_epochs 60", "optim.num_warmup_epochs: got 60.0, expected less than optim.max_epoch"),
        ("optim.scheduler none optim.num_warmup_epochs 2", "optim.num_warmup_epochs: got 2.0, expected 0 for"),
        ("optim.max_epoch 2 train.eval_period 3", "train.eval_period: got 3, expected at most 2 epochs"),
        ("optim.base_lr 0.1 optim.min_lr 0.2", "optim.min_lr: got 0.2, expected at most"),
        ("model.type sams", "model.type: got 'sams'"),
        ("optim.optimizer adamw2", "optim.optimizer: got 'adamw2'"),
        ("optim.scheduler cosin", "optim.scheduler: got 'cosin'"),
        ("model.type gps gt.layer_type GIN+Transformer dataset.descriptors []", "gt.layer_type: got 'GIN"),
        ("model.type gcn gt.layer_type GINE+Transformer dataset.descriptors []", "gt.layer_type: got 'GINE"),
    ],
)
def test_two_settings_that_were_asked_for_and_names_are_checked_without_data(words, message):
    with pytest.raises(ConfigError) as caught:
        _check(words)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("key", "package"), [("wandb.use", "wandb"), ("tensorboard_each_run", "tensorboard")])
def test_a_logger_that_is_not_installed_is_found_without_data(monkeypatch, key, package):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else found(name, *rest)
    )
    load_config("csv", [key, "True"])
    with pytest.raises(MissingDependencyError, match=package):
        check_run()
