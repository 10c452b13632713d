import re

import pytest
import yaml
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import all_keys, load_config, resolved
from pyg_samsa.graphgym.data_defaults import DATA_RULES
from pyg_samsa.graphgym.defaults import RULES
from pyg_samsa.graphgym.settings import SETTINGS, value_of

FILES = {
    "gps": {"model": {"type": "gps"}, "gt": {"layer_type": "GINE+Transformer", "layer_norm": True, "layers": 3}},
    "own": {
        "train": {"eval_period": 10, "tokens_per_batch": 500},
        "optim": {"min_lr": 0.001, "base_lr": 0.01, "scheduler": "cos", "max_epoch": 30, "num_warmup_steps": 9},
        "metric_best": "ap",
        "metric_agg": "argmax",
        "samsa": {"attention": "performer", "channels": 16, "heads": 4},
        "performer": {"num_features": 8},
        "model": {"type": "samsa", "graph_pooling": "mean"},
        "dataset": {"format": "samsa", "name": "csv", "split_kind": "column", "split_column": "part"},
        "predictor": {"folds": 3, "members": "all"},
    },
    "ensemble": {
        "predictor": {"ensemble": 3, "members": "all", "tree_inputs": []},
        "model": {"type": "samsa"},
        "samsa": {"local": "incidence", "num_codes": 2, "num_eval_samples": 3},
    },
    "trees": {"predictor": {"members": "trees"}, "model": {"type": "samsa"}},
    "devices": {"devices": 2, "model": {"type": "samsa"}},
    "names": {"model": {"type": "samsa"}, "gt": {"dim_hidden": 64, "n_heads": 4}},
    "gates": {
        "model": {"type": "gps"},
        "gt": {"layer_type": "GINE+Transformer"},
        "pe": {"kind": "lap", "role": "gate"},
    },
}


@pytest.fixture
def load(tmp_path):
    """Loads a packaged configuration or one of FILES, and checks it: ``load("csv", "optim.max_epoch 1")``."""

    def read(name, words):
        path = name
        if name in FILES:
            path = tmp_path / f"{name}.yaml"
            path.write_text(yaml.safe_dump(FILES[name]))
        loaded = load_config(path, words.split())
        check_run()
        return loaded

    return read


@pytest.mark.parametrize(
    ("name", "asked", "expected"),
    [
        ("csv", "optim.max_epoch 1", {"optim.num_warmup_epochs": 0.5}),
        ("csv", "optim.max_epoch 3", {"optim.num_warmup_epochs": 1.5}),
        ("csv", "optim.max_epoch 4", {}),
        ("csv", "optim.num_warmup_steps 7", {"optim.num_warmup_epochs": 0.0}),
        ("own", "optim.num_warmup_epochs 1", {"optim.num_warmup_steps": 0}),
        ("csv", "optim.scheduler none", {"optim.num_warmup_epochs": 0.0}),
        ("csv", "optim.scheduler plateau", {"optim.num_warmup_epochs": 0.0}),
        ("own", "optim.max_epoch 2", {"train.eval_period": 2}),
        ("own", "optim.scheduler plateau", {"train.eval_period": 1, "optim.num_warmup_steps": 0}),
        ("own", "optim.base_lr 1e-4", {"optim.min_lr": 1e-4}),
        ("gps", "optim.clip_grad_norm_value 2", {"optim.clip_grad_norm": True}),
        ("own", "train.batch_size 4", {"train.tokens_per_batch": None}),
        ("own", "metric_best mae", {"metric_agg": "argmin"}),
        ("csv", "metric_best mae", {}),
        ("csv", "samsa.channels 50", {"samsa.heads": 2}),
        ("csv", "samsa.heads 6", {"samsa.channels": 60}),
        ("csv", "gt.dim_hidden 50", {"samsa.channels": 50, "samsa.heads": 2}),
        ("names", "samsa.heads 6", {"gt.n_heads": 0, "gt.dim_hidden": 60}),
        ("names", "gt.n_heads 6", {"gt.dim_hidden": 60}),
        ("gps", "gnn.dim_inner 15", {"gt.n_heads": 3}),
        ("gps", "gt.n_heads 7", {"gnn.dim_inner": 14}),
        ("csv", "gt.layers 5", {"samsa.layers": 5}),
        ("gps", "model.type samsa samsa.layers 5", {"gt.layers": 0, "gt.layer_norm": False, "gt.layer_type": "samsa"}),
        ("gps", "model.type gcn", {"gt.layer_type": "samsa"}),
        ("csv", "gt.layer_type GCN+SAMSA", {"samsa.local": "gcn"}),
        ("own", "samsa.attention samsa", {"performer.num_features": SETTINGS["performer.num_features"].default}),
        ("csv", "samsa.attention performer", {"samsa.num_samples": None, "samsa.sampling": None}),
        ("csv", "gt.layer_type GINE+Performer", {"samsa.num_samples": None, "samsa.sampling": None}),
        ("csv", "samsa.local incidence", {"samsa.bridge": True}),
        (
            "ensemble",
            "samsa.bridge False",
            {"samsa.local": None, "samsa.num_codes": 1, "samsa.num_eval_samples": 1},
        ),
        ("own", "samsa.pool attention", {"model.graph_pooling": "add"}),
        (
            "csv",
            "model.type bag_of_features",
            {"pe.kind": "none", "dataset.descriptors": [], "predictor.refit": "descriptors"},
        ),
        ("csv", "model.type gcn", {"predictor.refit": "descriptors"}),
        ("gates", "gt.layer_type GCN+Transformer", {"pe.role": "add"}),
        ("gates", "gt.layer_type CustomGatedGCN+Transformer", {}),
        ("gates", "model.type gcn", {"pe.role": "add", "gt.layer_type": "samsa"}),
        ("gates", "model.type gine", {"gt.layer_type": "samsa"}),
        ("gates", "pe.kind none", {"pe.role": "add"}),
        ("gates", "pe.kind rwse", {}),
        ("gates", "model.type bag_of_features", {"pe.role": "add", "pe.kind": "none", "gt.layer_type": "samsa"}),
        ("own", "predictor.ensemble 2", {"predictor.folds": 0}),
        ("ensemble", "predictor.folds 4", {"predictor.ensemble": 1}),
        ("trees", "predictor.ensemble 2", {"predictor.members": "all"}),
        ("ensemble", "predictor.members gp", {"predictor.ensemble": 1}),
        (
            "ensemble",
            "predictor.members trees",
            {"predictor.ensemble": 1, "predictor.tree_inputs": SETTINGS["predictor.tree_inputs"].default},
        ),
        ("own", "model.type gcn", {"predictor.folds": 0, "model.graph_pooling": "mean"}),
        ("own", "devices 2", {"predictor.folds": 0}),
        ("devices", "predictor.folds 3", {"devices": 1}),
        ("own", "dataset.split_kind random", {"dataset.split_column": None}),
        ("csv", "dataset.split_column part", {"dataset.split_kind": "column"}),
        ("quickstart", "dataset.name csv", {"dataset.max_residues": None}),
    ],
)
def test_a_setting_of_the_file_gives_way_to_one_that_was_asked_for(load, name, asked, expected):
    loaded = load(name, asked)
    assert {key: value_of(key, cfg) for key in expected} == expected
    noted = {note.split()[0] for note in loaded.changes.notes}
    assert noted == expected.keys() - {"model.graph_pooling" if asked == "model.type gcn" else ""}


@pytest.mark.parametrize("network", ["gps", "san", "gcn", "graphormer"])
def test_sizes_of_samsa_do_not_change_those_of_networks_that_do_not_read_them(network, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"model: {{type: {network}}}\ngt: {{dim_hidden: 48, layers: 3}}\nsamsa: {{layers: 2}}\n")
    loaded = load_config(path, ["samsa.channels", "64", "samsa.heads", "3", "gt.n_heads", "4"])
    assert loaded.changes.notes == []
    assert (cfg.gt.dim_hidden, cfg.gt.layers, cfg.gt.n_heads, cfg.samsa.layers) == (48, 3, 4, 2)


def test_the_notes_say_why(load):
    assert load("own", "optim.max_epoch 2 optim.base_lr 1e-4").changes.notes == [
        "train.eval_period 10 -> 2 (optim.max_epoch is 2)",
        "optim.min_lr 0.001 -> 0.0001 (optim.base_lr is lower)",
    ]


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("csv", "optim.max_epoch 2 optim.num_warmup_epochs 2", "optim.num_warmup_epochs: got 2.0, expected less than"),
        ("csv", "optim.num_warmup_epochs 60", "optim.num_warmup_epochs: got 60.0, expected less than optim.max_epoch"),
        ("csv", "optim.scheduler none optim.num_warmup_epochs 2", "optim.num_warmup_epochs: got 2.0, expected 0 for"),
        ("csv", "optim.max_epoch 2 train.eval_period 3", "train.eval_period: got 3, expected at most 2 epochs"),
        ("csv", "optim.base_lr 0.1 optim.min_lr 0.2", "optim.min_lr: got 0.2, expected at most"),
        ("csv", "samsa.channels 50 samsa.heads 4", "samsa.heads: got 4, expected a divisor of channels = 50"),
        ("csv", "samsa.attention performer samsa.num_samples 4", "samsa.num_samples: got 4, expected null"),
        ("csv", "performer.num_features 8", "performer.num_features: got 8, expected 64, because samsa.attention"),
        ("csv", "samsa.bridge False samsa.local incidence", "samsa.local: got 'incidence', expected a layer for nodes"),
        ("csv", "dataset.name csv dataset.max_residues 5", "dataset.max_residues: got 5, expected nothing, because"),
        ("csv", "gt.layers 3 samsa.layers 5", "gt.layers: got 3, expected the same as samsa.layers"),
    ],
)
def test_two_settings_that_were_asked_for_and_choices_do_not_give_way(load, name, asked, message):
    with pytest.raises(ConfigError) as caught:
        load(name, asked)
    assert str(caught.value).startswith(message)


def test_two_settings_of_a_file_do_not_give_way(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("optim: {num_warmup_epochs: 3, max_epoch: 2, scheduler: cosine_with_warmup}")
    load_config(path)
    with pytest.raises(ConfigError, match=r"optim\.num_warmup_epochs: got 3\.0"):
        check_run()


def test_a_resolved_config_is_accepted_again_and_gives_way_to_more_epochs(load, tmp_path):
    loaded = load("csv", "optim.max_epoch 1")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(resolved(loaded)))
    again = load_config(path)
    check_run()
    assert again.changes.notes == loaded.changes.notes
    assert cfg.optim.num_warmup_epochs == 0.5
    assert resolved(again) == resolved(loaded)
    assert load_config(path, ["optim.max_epoch", "9"]).changes.notes == []
    assert cfg.optim.num_warmup_epochs == 3.0


def test_every_rule_names_settings_that_exist():
    known = set(all_keys())
    for rule in [*RULES, *DATA_RULES]:
        assert rule.becomes
        assert rule.because
        assert rule.to <= known
        for name in re.findall("`([^`]+)`", rule.what + rule.because):
            key = name.partition(" ")[0].removesuffix(".*")
            assert key in known or any(other.startswith(f"{key}.") for other in known), name
