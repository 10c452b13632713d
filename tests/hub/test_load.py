import json
import struct

import pytest
import torch
from safetensors.torch import save

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, SAMSAError
from pyg_samsa.hub import load_pretrained, save_pretrained, shipped
from pyg_samsa.hub.model_config import read_config
from pyg_samsa.nn import OPERATORS, SAMSA, AttentionConv, register_operator


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_codes": 2, "sigma": 0.5, "rezero": "shared", "pool": "mean"},
        {"level": "node", "context": True},
        {"sampling": "soft", "num_eval_samples": 3, "ffn_channels": 12, "dropout": 0.2},
        {"attention_options": {"support": False}},
    ],
)
def test_same_outputs_after_loading(tmp_path, network, inputs, options):
    model = network(**options)
    loaded, config = load_pretrained(save_pretrained(model, tmp_path / "m"))
    assert torch.equal(model(*inputs), loaded(*inputs))
    assert not loaded.training
    assert loaded.options == model.options
    assert config.options == model.options


def test_levels_of_more_features_than_any_weight_is_large(tmp_path):
    options = {"channels": 8, "num_layers": 1, "heads": 2, "graph_channels": 900, "graph_levels": 3}
    model = SAMSA.from_options([4, 3], 1, **options)
    loaded, _ = load_pretrained(save_pretrained(model, tmp_path / "m"))
    assert loaded.graph_features.in_channels == 900
    change(tmp_path / "m", options__graph_levels=10**9)
    with pytest.raises(DataIntegrityError, match="graph_levels"):
        load_pretrained(tmp_path / "m")


@pytest.mark.parametrize("name", shipped())
def test_shipped_models_load(name):
    model, config = load_pretrained(name)
    assert config.task is not None
    assert config.metrics["test"]
    assert config.num_parameters == sum(weight.numel() for weight in model.parameters())


def change(folder, **entries):
    config = json.loads((folder / "config.json").read_text())
    for key, value in entries.items():
        node, *rest = key.split("__")
        if rest:
            config[node][rest[0]] = value
        else:
            config[node] = value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("entries", "error", "told"),
    [
        ({"class": "os.system"}, ConfigError, "os.system"),
        ({"class": "torch.nn.Linear"}, ConfigError, "SAMSA"),
        ({"class": ["SAMSA"]}, ConfigError, "SAMSA"),
        ({"format": 99}, ConfigError, "99"),
        ({"format": "1"}, DataIntegrityError, "format"),
        ({"options": None}, DataIntegrityError, "options"),
        ({"options__warp_factor": 9}, ConfigError, "warp_factor"),
        ({"options__heads": 3}, ConfigError, "heads"),
        ({"options__sampling": "hrd"}, ConfigError, "sampling"),
        ({"options__channels": "8"}, SAMSAError, "channels"),
        ({"options__channels": 10**9}, DataIntegrityError, "channels"),
        ({"options__num_layers": 10**6}, DataIntegrityError, "num_layers"),
        *(
            ({f"options__{name}": 10**18}, SAMSAError, name)
            for name in (
                *("num_eval_samples", "heads", "num_samples", "ffn_channels", "out_channels", "in_channels"),
                *("edge_channels", "towers", "num_categories", "graph_channels", "graph_levels", "graph_hidden"),
                "pe_channels",
            )
        ),
        ({"options__num_eval_samples": 1001}, ConfigError, "num_eval_samples: got 1001, .* of at most 1000"),
        ({"options__attention_options": {"num_features": 10**18}}, DataIntegrityError, "num_features"),
        ({"options__pe_options": {"channels": 10**4}}, DataIntegrityError, "channels of the weights"),
        ({"options__in_channels": [10**18]}, DataIntegrityError, "in_channels"),
        ({"options__num_layers": 3}, DataIntegrityError, "missing"),
        ({"options__num_layers": 1}, DataIntegrityError, "more"),
        ({"options__in_channels": [5, 2]}, DataIntegrityError, "node_encoder"),
        ({"options__in_channels": {"__class__": "Popen"}}, SAMSAError, "in_channels"),
        ({"task__kind": "oracle"}, ConfigError, "oracle"),
        ({"task__level": "planet"}, ConfigError, "planet"),
        ({"task__names": []}, ConfigError, "names"),
        ({"task": "regression"}, ConfigError, "task"),
        ({"metrics": []}, DataIntegrityError, "metrics"),
        ({"versions": "1"}, DataIntegrityError, "versions"),
    ],
)
def test_a_wrong_configuration_is_explained(saved, entries, error, told):
    change(saved, **entries)
    with pytest.raises(error, match=told) as caught:
        load_pretrained(saved)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\x00", "{" + " " * 2**21 + "}"])
def test_a_damaged_configuration_is_explained(saved, text):
    (saved / "config.json").write_text(text)
    with pytest.raises(DataIntegrityError, match=r"config\.json"):
        load_pretrained(saved)


def test_damaged_weights_are_explained(saved):
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (
        whole[:-7],
        whole[: len(whole) // 2],
        whole[:5],
        b"",
        struct.pack("<Q", 2**62) + whole[8:],
        b"\x80\x04pickle" * 9,
    ):
        path.write_bytes(damaged)
        with pytest.raises(DataIntegrityError, match=r"model\.safetensors"):
            load_pretrained(saved)
    path.unlink()
    with pytest.raises(DataNotFoundError, match=r"model\.safetensors"):
        load_pretrained(saved)


def test_a_pickle_beside_it_is_never_read(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    torch.save({"w": Bomb()}, saved / "pytorch_model.bin")
    torch.save({"w": Bomb()}, saved / "model.safetensors")
    with pytest.raises(DataIntegrityError):
        load_pretrained(saved)
    assert not (tmp_path / "harm").exists()


def test_a_part_of_the_users_own_is_named_with_its_module(tmp_path):

    @register_operator("own")
    class OwnConv(AttentionConv):
        """An operator of the user's own."""

    try:
        model = SAMSA.from_options([4, 2], 1, channels=8, num_layers=1, heads=2, attention="own")
        OwnConv.__module__ = "my_ops"
        folder = save_pretrained(model, tmp_path / "model")
        assert read_config(folder).modules == ("my_ops",)
        assert load_pretrained(folder)[0].options["attention"] == "own"
    finally:
        del OPERATORS["own"]
    with pytest.raises(ConfigError, match=r"attention: got 'own', expected one of 'full'") as caught:
        load_pretrained(folder)
    assert "pass --import my_ops" in caught.value.hint


def test_networks_of_this_package_need_no_modules(saved):
    assert read_config(saved).modules == ()
    assert "modules" not in json.loads((saved / "config.json").read_text())


def test_many_layers_of_wide_matrices_are_not_built(tmp_path):
    """Each number is one of the weights, but their product is not."""
    model = SAMSA.from_options([4, 3], 1, channels=8, num_layers=1, heads=2)
    folder = save_pretrained(model, tmp_path / "m")
    state = {f"weight_{number}": torch.zeros(1) for number in range(1000)} | {"long": torch.zeros(60_000)}
    (folder / "model.safetensors").write_bytes(save(state))
    change(folder, options__channels=60_000, options__num_layers=1000, options__num_samples=None)
    with pytest.raises(SAMSAError, match="weights") as caught:
        load_pretrained(folder)
    assert "\n" not in str(caught.value)
