import argparse

import numpy as np
import pytest
import yaml
from torch_geometric.graphgym.config import cfg, load_cfg, set_cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import PACKAGED, find_config, load_config, packaged_configs, resolved
from pyg_samsa.graphgym.settings import ALIASES, SETTINGS, values_for
from pyg_samsa.graphgym.without_effect import describe_without_effect, unused_settings, why_never
from pyg_samsa.nn import SAMSAOptions


def write(tmp_path, text, name="exp.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_every_option_has_help_and_an_allowed_default():
    for key, setting in SETTINGS.items():
        assert setting.option.help, key
        assert type(setting.default) in setting.types, key
        if setting.default not in (None, "") and setting.added:
            setting.argument.check(setting.default)
    assert all(key in SETTINGS for pair in ALIASES.items() for key in pair)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("optim: {base_lr: 1}", "optim.base_lr", 1.0),
        ("optim: {base_lr: 1e-3}", "optim.base_lr", 0.001),
        ("samsa: {dropout: 0}", "samsa.dropout", 0.0),
        ("train: {batch_size: 16.0}", "train.batch_size", 16),
        ("devices: auto", "devices", "auto"),
        ("devices: 2", "devices", 2),
        ("optim: {scheduler: null}", "optim.scheduler", "none"),
        ("optim:", "optim.base_lr", 0.01),
        ("dataset: {name: 12}", "dataset.name", "12"),
        ("run_dir: results/x\nparams: 3\nshare: {dim_in: 9}", "share.dim_in", 1),
        ("posenc_LapPE: {enable: False, eigen: {max_freqs: 4}}\nprep: {exp: False}", "seed", 0),
        ("gnn: {residual: True}\ngt: {layer_norm: False}", "gnn.residual", True),
    ],
)
def test_values_are_read_kindly(tmp_path, text, key, value):
    load_config(write(tmp_path, text))
    found = cfg
    for part in key.split("."):
        found = found[part]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "culprit", "hint"),
    [
        ("optim: {base_rl: 1}", "optim.base_rl", "optim.base_lr"),
        ("sampling: hard", "sampling", "samsa.sampling"),
        ("samsa: {sampling: hrd}", "samsa.sampling", "hard"),
        ("samsa: {layers: 2.5}", "samsa.layers", ""),
        ("samsa: {layers: 0}", "samsa.layers", ""),
        ("samsa: {dropout: 2}", "samsa.dropout", ""),
        ("samsa: {layers: {a: 1}}", "samsa.layers.a", ""),
        ("samsa: 3", "samsa", "samsa."),
        ("samsa: {bridge: 1}", "samsa.bridge", ""),
        ("samsa: {tau: .nan}", "samsa.tau", ""),
        ("devices: 0", "devices", ""),
        ("devices: many", "devices", ""),
        ("train: {mode: inference-only}", "train.mode", ""),
        ("train: {epoch_resume: 3}", "train.epoch_resume", ""),
        ("posenc_LapPE: {enable: True}", "posenc_LapPE.enable", "pe.kind spectrum"),
        ("gt: {layer_type: CustomGatedGCN+Mamba}", "gt.layer_type", ""),
        ("optim: {num_warmup_epochs: 1, num_warmup_steps: 2}", "optim.num_warmup_steps", ""),
        ("run_name: ../up", "run_name", ""),
        ("run_name: ..", "run_name", "out_dir"),
        ("run_name: 'a\\b'", "run_name", "out_dir"),
        ("name_tag: /../../x", "name_tag", "out_dir"),
        (f"name_tag: {'x' * 101}", "name_tag", "out_dir"),
        ("a: b: c", "line 1", ""),
        ("- a\n- b", "a list", ""),
        ("", "nothing", ""),
        ("just words", "plain text", ""),
    ],
)
def test_mistakes_are_named_in_one_line(tmp_path, text, culprit, hint):
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, text))
    assert culprit in str(caught.value)
    assert "\n" not in str(caught.value)
    assert hint in caught.value.hint


def test_not_text_is_refused(tmp_path):
    path = tmp_path / "exp.yaml"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(path)


def test_missing_file_suggests_a_packaged_name():
    with pytest.raises(ConfigError) as caught:
        load_config("quickstrt.yaml")
    assert "quickstart" in caught.value.hint


def test_command_line_goes_before_the_file(tmp_path):
    path = write(tmp_path, "samsa: {layers: 3}")
    loaded = load_config(
        path, ["samsa.layers", "4", "optim.base_lr", "1e-3", "samsa.sampling=soft", "wandb.name", "12"]
    )
    assert (cfg.samsa.layers, cfg.optim.base_lr, cfg.samsa.sampling, cfg.wandb.name) == (4, 0.001, "soft", "12")
    assert loaded.given == {"samsa.layers", "optim.base_lr", "samsa.sampling", "wandb.name"}
    with pytest.raises(ConfigError, match="value after every key"):
        load_config(path, ["samsa.layers"])


def test_values_from_python_may_be_those_of_numpy(tmp_path):
    opts = ["optim.base_lr", np.float64(0.25), "samsa.heads", np.int64(2), "samsa.bridge", np.False_, "gnn.act", "relu"]
    load_config(write(tmp_path, "seed: 3\n"), opts)
    found = (cfg.optim.base_lr, cfg.samsa.heads, cfg.samsa.bridge)
    assert found == (0.25, 2, False)
    assert [type(value) for value in found] == [float, int, bool]
    with pytest.raises(ConfigError, match=r"samsa.heads: got 2.5, expected a whole number"):
        load_config(write(tmp_path, "seed: 3\n"), ["samsa.heads", np.float64(2.5)])


def test_values_that_were_put_into_cfg_may_be_those_of_numpy(tmp_path):
    loaded = load_config(write(tmp_path, "seed: 3\n"))
    cfg.samsa["heads"], cfg.optim["base_lr"] = np.int64(2), np.float64(0.25)
    assert type(values_for(SAMSAOptions, cfg)["heads"]) is int
    assert yaml.safe_load(yaml.safe_dump(resolved(loaded)))["optim"]["base_lr"] == 0.25


def test_every_load_starts_from_the_defaults(tmp_path):
    load_config(write(tmp_path, "samsa: {layers: 3}"))
    load_config(write(tmp_path, "seed: 1"))
    assert cfg.samsa.layers == SETTINGS["samsa.layers"].default


def test_dumped_configuration_loads_to_itself(tmp_path):
    dumped = resolved(load_config(write(tmp_path, "samsa: {layers: 3}\ndevices: auto\nname_tag: wide")))
    again = load_config(write(tmp_path, yaml.safe_dump(dumped), "config.yaml"))
    assert again.name == "exp-wide"
    assert resolved(again) == dumped
    assert "share" not in dumped


def test_one_word_is_a_list_of_one(tmp_path):
    path = write(tmp_path, "dataset: {format: samsa, name: csv, standardize: fragment}")
    load_config(path, ["dataset.descriptors", "maccs"])
    assert (cfg.dataset.standardize, cfg.dataset.descriptors) == (["fragment"], ["maccs"])
    for value in ("3", "''"):
        with pytest.raises(ConfigError, match=r"dataset\.standardize: got .*a list"):
            load_config(path, ["dataset.standardize", value])


def test_settings_without_effect_are_told(tmp_path):
    loaded = load_config(write(tmp_path, "gpu_mem: True\nseed: 1\nround: 4"))
    assert loaded.changed == {"gpu_mem", "seed"}
    assert loaded.of_user == loaded.given
    # The configuration in the folder of a run names every setting.
    again = load_config(write(tmp_path, yaml.safe_dump(resolved(loaded)), "config.yaml"))
    assert (again.changed, again.of_user) == (loaded.changed | {"run_name"}, frozenset())
    assert unused_settings(again.changed) == []


def test_pyg_can_load_our_settings(tmp_path):
    set_cfg(cfg)
    load_cfg(
        cfg,
        argparse.Namespace(
            cfg_file=str(write(tmp_path, "dataset: {task: graph}\nsamsa: {layers: 3}")), opts=["samsa.heads", "4"]
        ),
    )
    assert (cfg.samsa.layers, cfg.samsa.heads) == (3, 4)


@pytest.mark.parametrize("name", packaged_configs())
def test_packaged_configurations_load_and_are_commented(name, tmp_path, monkeypatch):
    loaded = load_config(name)
    assert loaded.name == name.replace("/", "-")
    monkeypatch.chdir(tmp_path)
    assert (
        find_config(f"{name}.yaml")
        == find_config(f"graphgym_configs/{name}.yaml")
        == find_config(name)
        == PACKAGED / f"{name}.yaml"
    )
    with pytest.raises(ConfigError, match="a YAML file that exists"):
        find_config(f"elsewhere/{name}.yaml")
    assert describe_without_effect(loaded, why_never) == []
    text = find_config(name).read_text()
    assert text.startswith("#")
    assert PACKAGED in find_config(name).parents


def test_packaged_configurations_are_those_of_the_paper():
    load_config("peptides_func")
    assert (cfg.samsa.layers, cfg.samsa.channels, cfg.samsa.heads, cfg.samsa.num_samples, cfg.samsa.sampling) == (
        24,
        128,
        8,
        256,
        "hard",
    )
    assert (cfg.samsa.dropout, cfg.samsa.drop_path, cfg.optim.base_lr, cfg.optim.weight_decay, cfg.optim.max_epoch) == (
        0.3,
        0.2,
        4e-4,
        0.01,
        160,
    )
    assert (cfg.train.batch_size, cfg.optim.num_warmup_steps, cfg.optim.clip_grad_norm_value, cfg.optim.scheduler) == (
        32,
        2000,
        2.0,
        "cosine_with_warmup",
    )
    load_config("peptides_struct")
    assert (cfg.samsa.layers, cfg.optim.base_lr, cfg.optim.max_epoch, cfg.model.loss_fun, cfg.metric_best) == (
        24,
        1e-3,
        240,
        "smooth_l1",
        "mae",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("samsa: &a {channels: 8, x: *a}", "contains itself"),
        ("samsa: " + "{a: " * 1000, "more than 50 levels"),
        (
            "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 12)),
            "more than 100,000",
        ),
        ("x" * 2**23, "more than 4,194,304 bytes"),
        ("seed: 2001-99-99", "month"),
    ],
)
def test_files_that_ask_for_much(tmp_path, text, words):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
