"""The flat options of a network."""

import pytest
import torch

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
