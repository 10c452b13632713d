"""The flat options of a network."""

import pytest
import torch

import pyg_samsa.options as options_module
from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import OPERATORS, SAMSA, SAMSAOptions

SMALL = {"channels": 16, "num_layers": 2, "heads": 4}


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_is_made_from_options(name):
    positions = {"attention_options": {"encoding": "none"}} if name == "flt" else {}
    model = SAMSA.from_options(3, 2, attention=name, **SMALL, **positions)
    assert all(type(block.conv) is OPERATORS[name] for block in model.encoder.blocks)
    assert model(torch.randn(4, 3)).shape == (1, 2)


def test_options_of_the_operator_are_those_that_are_set():
    options = SAMSAOptions(num_samples=32, tau=0.5, attn_dropout=0.1, attention_options={"shared_sets": True})
    assert options.operator() == {"heads": 8, "dropout": 0.1, "num_samples": 32, "tau": 0.5, "shared_sets": True}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"channels": 0}, "channels"),
        ({"attention": "linear"}, "attention"),
        ({"bridge": False, "num_codes": 2}, "num_codes"),
        ({"bridge": False, "sigma": 2.0}, "sigma"),
        ({"coordinate_free": True}, "coordinate_free"),
        ({"bridge": False, "centroid_distance": True}, "centroid_distance"),
        ({"bridge": False, "coordinate_free": True, "positions": "sinusoidal"}, "positions"),
        ({"flip_signs": True}, "flip_signs"),
        ({"bridge": False, "num_eval_samples": 4}, "num_eval_samples"),
        ({"num_codes": 0, "num_eval_samples": 4}, "num_eval_samples"),
    ],
    ids=str,
)
def test_options_without_effect_are_named(options, name):
    with pytest.raises(ConfigError, match=f"{name}:"):
        SAMSAOptions(**options)


def test_an_option_that_is_set_twice_is_named():
    with pytest.raises(ConfigError, match="attention_options: tau"):
        SAMSAOptions(tau=0.5, attention_options={"tau": 1.0}).operator()


@pytest.mark.parametrize("attention", OPERATORS)
def test_dropout_of_the_attention_reaches_the_operator(attention):
    model = SAMSA.from_options(
        3, 2, channels=8, heads=2, num_layers=1, attention=attention, dropout=0.3, attn_dropout=0.1
    )
    (block,) = model.encoder.blocks
    assert (block.conv.dropout, block.ffn.drop1.p) == (0.1, 0.3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": 10**6}, "channels: got 1000000, expected a number of at least 1, of at most 65536"),
        ({"num_layers": 10**9}, "num_layers: got 1000000000, .* of at most 1000"),
        ({"graph_hidden": 10**6}, "graph_hidden: got 1000000, .* of at most 65536"),
        ({"num_eval_samples": 10**18}, "num_eval_samples: .* of at most 1000"),
        (
            {"channels": 60_000, "num_layers": 1000},
            "channels: got 60000, expected fewer: .* at least 160,933 GiB, .* of mem",
        ),
        ({"num_layers": 900, "channels": 16_000}, "channels: got 16000, expected fewer"),
        ({"channels": 256, "ffn_channels": 2**18, "num_layers": 1000}, "ffn_channels: got 262144, expected fewer"),
        ({"num_samples": 2**20, "num_layers": 1000}, "num_samples: got 1048576, expected fewer"),
        ({"graph_hidden": 2**16, "graph_levels": 2**20}, "graph_levels: got 1048576, expected fewer"),
    ],
)
def test_networks_that_no_machine_holds_are_not_built(monkeypatch, options, words):
    monkeypatch.setattr(options_module, "machine_memory", lambda: 2.0**36)
    with pytest.raises(ConfigError, match=words) as caught:
        SAMSAOptions(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("attention", sorted(OPERATORS))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels": 64, "ffn_channels": 8, "num_layers": 3},
        {"graph_channels": 30, "graph_hidden": 40},
        {"graph_channels": 30, "graph_levels": 50, "out_channels": 3},
    ],
)
def test_a_network_has_at_least_the_least_weights(attention, options):
    options = {"channels": 16, "num_layers": 2, "heads": 2, "attention": attention, **options}
    network = SAMSA.from_options(5, options.pop("out_channels", 1), **options)
    least = SAMSAOptions(**options).least_weights()
    assert least <= sum(value.numel() for value in network.state_dict().values()) < 20 * least


def test_defaults(defaults):
    expected = {
        "channels": 128,
        "num_layers": 24,
        "act": "gelu",
        "dropout": 0.0,
        "drop_path": 0.0,
        "rezero": "shared",
        "checkpointing": False,
        "attention": "samsa",
        "heads": 8,
        "attn_dropout": 0.0,
        "bridge": True,
        "num_codes": 1,
        "eval_codes": "structural",
        "sigma": 1.0,
        "positions": "none",
        "coordinate_free": False,
        "centroid_distance": False,
        "pe_channels": 0,
        "flip_signs": False,
        "num_eval_samples": 1,
        "level": "graph",
        "pool": "attention",
        "towers": 1,
        "interaction": "concat",
        "context": False,
        "num_categories": 0,
        "graph_channels": 0,
        "graph_levels": 0,
        "head_norm": "none",
        "scale_targets": False,
    }
    assert expected.items() <= defaults(SAMSAOptions).items()
