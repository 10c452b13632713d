import argparse
from pathlib import Path

import pytest

from pyg_samsa.cli import _arguments

ADDERS = {
    "add_verbosity": {"quiet": 0, "verbose": 0},
    "add_config": {"cfg_file": None},
    "add_data_folder": {"root": Path("datasets")},
    "add_smiles_column": {"smiles_column": ""},
    "add_decimal": {"decimal": "auto"},
    "add_device": {"device": "cpu"},
    "add_max_atoms": {"max_atoms": 100_000},
    "add_model": {"model": "m"},
    "add_import": {"imports": [], "custom": False},
    "add_overrides": {"opts": []},
    "add_storage": {"storage": None},
}


def parser_of(*names, **options):
    parser = argparse.ArgumentParser(exit_on_error=False)
    for name in names:
        needed = {"add_storage": {"default": "study.log"}, "add_max_atoms": {"what": "a prediction"}}
        given = needed.get(name, options)
        getattr(_arguments, name)(parser, **given)
    return parser


def test_every_adder_is_tested():
    assert {name for name in vars(_arguments) if name.startswith("add_")} == set(ADDERS)


@pytest.mark.parametrize("name", ADDERS)
def test_arguments_that_are_not_given_have_their_defaults(name):
    assert vars(parser_of(name).parse_args(["m"] if name == "add_model" else [])) == ADDERS[name]


@pytest.mark.parametrize("name", ADDERS)
def test_every_argument_has_a_lower_case_help_text(name):
    actions = [action for action in parser_of(name)._actions if action.dest != "help"]
    assert all(action.help[0].islower() or action.help.startswith("YAML") for action in actions)
    assert not any(action.help.endswith(".") for action in actions)


def test_they_go_together():
    parser = parser_of(
        "add_model", "add_verbosity", "add_config", "add_data_folder", "add_smiles_column", "add_overrides"
    )
    words = ["-qq", "-v", "--cfg", "quickstart", "--root", "d", "--smiles-column", "2", "m", "a", "1"]
    found = vars(parser.parse_args(words))
    assert found == {
        "model": "m",
        "quiet": 2,
        "verbose": 1,
        "cfg_file": "quickstart",
        "root": Path("d"),
        "smiles_column": "2",
        "opts": ["a", "1"],
    }


def test_a_required_config_is_asked_for():
    assert parser_of("add_config", required=True).parse_args(["--cfg", "x"]).cfg_file == "x"
    with pytest.raises(SystemExit):
        argparse.ArgumentParser.parse_args(parser_of("add_config", required=True), [])


def test_verbosity_below_another_parser_keeps_what_was_given_above():
    above = parser_of("add_verbosity")
    below = above.add_subparsers().add_parser("sub")
    _arguments.add_verbosity(below, default=argparse.SUPPRESS)
    assert above.parse_args(["-q", "sub"]).quiet == 1
    assert above.parse_args(["sub", "-v"]).verbose == 1
