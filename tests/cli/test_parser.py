import argparse

import pytest

from pyg_samsa.cli import main
from pyg_samsa.cli._parser import Parser


def told(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    error, hint = shown.err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint:  ")
    return error.removeprefix("error: "), hint.removeprefix("hint:  ")


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            ["explain", "peptides", "CCO"],
            "--out DIR is missing",
            "The command is `pyg-samsa explain MODEL SMILES|TABLE --out DIR`; `pyg-samsa explain --help` describes all "
            "arguments.",
        ),
        (
            ["explain"],
            "MODEL, SMILES|TABLE and --out DIR are missing",
            "The command is `pyg-samsa explain MODEL SMILES|TABLE --out DIR`; `pyg-samsa explain --help` describes all "
            "arguments.",
        ),
        (
            ["predict", "peptides"],
            "IN is missing",
            "The command is `pyg-samsa predict MODEL IN`; `pyg-samsa predict --help` describes all arguments.",
        ),
        (
            ["convert"],
            "CONFIG is missing",
            "The command is `pyg-samsa convert CONFIG`; `pyg-samsa convert --help` describes all arguments.",
        ),
        (
            ["data", "import"],
            "NAME is missing",
            "The command is `pyg-samsa data import NAME`; `pyg-samsa data import --help` describes all arguments.",
        ),
        ([], "COMMAND is missing", "The command is `pyg-samsa COMMAND`; `pyg-samsa --help` describes all arguments."),
        (
            ["explain", "m", "C", "--out", "x", "--method", "ocluson"],
            "--method: got 'ocluson', expected one of 'all', 'sampled', 'contribution', 'occlusion'",
            "Did you mean 'occlusion'? `pyg-samsa explain --help` describes all.",
        ),
        (
            ["predict", "m", "C", "--draws", "1.5"],
            "--draws: got '1.5', expected a whole number",
            "The command is `pyg-samsa predict MODEL IN`; `pyg-samsa predict --help` describes all arguments.",
        ),
        (
            ["predict", "m", "C", "--interval", "much"],
            "--interval: got 'much', expected a number",
            "The command is `pyg-samsa predict MODEL IN`; `pyg-samsa predict --help` describes all arguments.",
        ),
        (
            ["train", "--csv"],
            "--csv: got nothing, expected a value",
            "The command is `pyg-samsa train`; `pyg-samsa train --help` describes all arguments.",
        ),
        (
            ["train", "--csv", "a.csv", "--target-columns"],
            "--target-columns: got nothing, expected one or more values",
            "The command is `pyg-samsa train`; `pyg-samsa train --help` describes all arguments.",
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_the_cure_another(words, error, hint, capsys):
    assert told(words, capsys) == (error, hint)


def test_a_command_that_does_not_exist_is_compared_with_those_that_do(capsys):
    error, hint = told(["pedict"], capsys)
    assert error.startswith("COMMAND: got 'pedict', expected one of 'train', ")
    assert hint == "Did you mean 'predict'? `pyg-samsa --help` describes all."
    error, hint = told(["zzz"], capsys)
    assert hint.startswith("The command is `pyg-samsa COMMAND`; ")


def test_other_messages_of_argparse_stay(capsys):
    parser = Parser(prog="tool")
    group = parser.add_mutually_exclusive_group()
    for name in ("--a", "--b"):
        group.add_argument(name, action="store_true")
    with pytest.raises(SystemExit):
        parser.parse_args(["--a", "--b"])
    assert capsys.readouterr().err.startswith(
        "error: --b: not allowed with argument --a\nhint:  The command is `tool`; "
    )


def test_arguments_in_a_group_and_with_two_names_are_named(capsys):
    parser = Parser(prog="tool")
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    with pytest.raises(SystemExit):
        parser.parse_args([])
    assert capsys.readouterr().err.startswith("error: --out OUT is missing\nhint:  The command is `tool ")
