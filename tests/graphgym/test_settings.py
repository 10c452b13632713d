"""Settings are the options of their owners."""

from dataclasses import dataclass
from typing import Annotated

import pytest
from torch_geometric.graphgym.config import cfg, set_cfg

import pyg_samsa.experiments.fingerprint_baseline  # noqa: F401  # adds its settings
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym import settings
from pyg_samsa.graphgym.config import load_config
from pyg_samsa.graphgym.settings import SETTINGS, add_owner, key_of, value_of, values_for
from pyg_samsa.options import Option
from pyg_samsa.training.loggers import WandbOptions
from pyg_samsa.training.samplers import BatchOptions
from pyg_samsa.training.trainer import TrainerOptions

MOVED = {
    "samsa.precision": "train.precision",
    "samsa.strategy": "train.strategy",
    "samsa.compile": "train.compile",
    "samsa.matmul_precision": "train.matmul_precision",
    "samsa.eval_batch_size": "train.eval_batch_size",
    "samsa.run_name": "run_name",
    "samsa.label_smoothing": "model.label_smoothing",
    "samsa.pos_weight": "model.pos_weight",
}


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_key_that_has_moved_is_unknown_and_the_new_one_is_suggested(old, new, tmp_path):
    path = tmp_path / "exp.yaml"
    path.write_text("seed: 0")
    with pytest.raises(ConfigError, match="unknown setting") as caught:
        load_config(path, [old, "1"])
    assert new in caught.value.hint


def test_the_options_of_an_owner_become_settings_and_go_back(tmp_path, monkeypatch):
    @dataclass
    class Bakery:
        ovens: Annotated[int, Option("Ovens.", low=1)] = 2
        flour: Annotated[float | None, Option("Flour in kg; empty for any.", above=0)] = None

    monkeypatch.setattr(settings, "SETTINGS", SETTINGS)
    path = tmp_path / "exp.yaml"
    try:
        add_owner(Bakery, "bakery", keys={"flour": "bakery.kilos"})
        assert key_of(Bakery, "flour") == "bakery.kilos"
        path.write_text("bakery: {ovens: 3, kilos: 1}")
        load_config(path)
        assert values_for(Bakery, cfg) == {"ovens": 3, "flour": 1.0}
        assert type(cfg.bakery.kilos) is float
        path.write_text("bakery: {kilos: null}")
        load_config(path)
        assert Bakery(**values_for(Bakery, cfg)) == Bakery()
        for text, message in (("{ovens: 0}", "bakery.ovens: got 0"), ("{kilos: -1}", "bakery.kilos: got -1.0")):
            path.write_text(f"bakery: {text}")
            with pytest.raises(ConfigError, match=message):
                load_config(path)
        path.write_text("bakery: {kilos: many}")
        with pytest.raises(ConfigError, match="a number, or nothing"):
            load_config(path)
    finally:
        del SETTINGS["bakery.ovens"], SETTINGS["bakery.kilos"]


@pytest.mark.parametrize("owner", [TrainerOptions, BatchOptions, WandbOptions])
def test_the_defaults_of_the_configuration_are_allowed(owner):
    set_cfg(cfg)
    owner(**values_for(owner, cfg))


def test_groups_hold_one_meaning():
    """Training settings are in train.*, losses in model.*: samsa.* is the architecture."""
    training = {
        "precision",
        "strategy",
        "compile",
        "matmul_precision",
        "eval_batch_size",
        "run_name",
        "label_smoothing",
    }
    assert not {key for key in SETTINGS if key.startswith("samsa.") and key.split(".")[1] in training}


def test_value_of():
    assert value_of("optim.base_lr", cfg) == 0.01
    assert value_of("optim.no.such", cfg) is None
