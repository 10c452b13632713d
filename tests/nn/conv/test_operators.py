"""The operators by name; `test_added_operator.py` adds one."""

from __future__ import annotations

import pytest
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.nn import OPERATORS, AttentionConv, TokenConv, make_operator, register_operator
from pyg_samsa.nn.conv.operators import operator_options


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_is_made_by_its_name(name):
    conv = make_operator(name, 16, heads=4, dropout=0.1)
    assert type(conv) is OPERATORS[name]
    assert (conv.channels, conv.heads, conv.dropout) == (16, 4, 0.1)


@pytest.mark.parametrize("name", OPERATORS)
def test_options_of_every_operator_are_arguments_with_their_defaults(name):
    options = operator_options(name)
    assert {"heads", "dropout", "bias"} <= set(options)
    given = make_operator(name, 16, **{key: option.default for key, option in options.items()})
    assert repr(given) == repr(make_operator(name, 16))
    assert {key: value.shape for key, value in given.state_dict().items()} == {
        key: value.shape for key, value in make_operator(name, 16).state_dict().items()
    }


def test_an_unknown_name_or_option_is_named():
    with pytest.raises(ConfigError, match="attention"):
        make_operator("linear", 16, heads=4)
    with pytest.raises(ConfigError, match="encoding: got 'dist', expected left out"):
        make_operator("samsa", 16, heads=4, encoding="dist")
    with pytest.raises(ConfigError, match="attention"):
        operator_options("linear")


def test_a_taken_name_is_refused_and_a_class_may_register_again():
    class Other(TokenConv):
        def attend(self, x: torch.Tensor, context: object) -> tuple[torch.Tensor, None]:
            return self.split_heads(x), None

    with pytest.raises(ConfigError, match="AttentionConv has this one"):
        register_operator("full")(Other)
    assert register_operator("full")(AttentionConv) is AttentionConv
    assert OPERATORS["full"] is AttentionConv


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("samsa", "support", "yes"),
        ("samsa", "tau", 0.0),
        ("samsa", "shared_sets", 1),
        ("sft", "length_scale", -1.0),
        ("flt", "num_frequencies", 0),
        ("flt", "causal", "no"),
        ("performer", "num_features", -5),
        ("full", "heads", True),
    ],
)
def test_values_that_are_not_allowed_are_named(name, option, value):
    with pytest.raises(ConfigError, match=f"{option}: got {value!r}"):
        make_operator(name, 16, **{option: value})
    with pytest.raises(ConfigError, match=f"{option}: got {value!r}"):
        OPERATORS[name](16, **{option: value})
