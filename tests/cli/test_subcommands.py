"""What holds for every subcommand; a new one is tested by its file in the folder."""

import argparse
import ast
from pathlib import Path

import pytest

import pyg_samsa.cli
from pyg_samsa.cli import explain, export, main, predict, train

COMMANDS = pyg_samsa.cli._commands()
FOLDER = Path(pyg_samsa.cli.__file__).parent
# What makes each parse, besides the argument that is tested.
WORDS = {
    "baseline": ["fingerprint", "--cfg", "quickstart"],
    "convert": ["quickstart"],
    "data": ["list"],
    "embed": ["model", "in.csv", "out.csv"],
    "explain": ["model", "CCO", "--out", "out"],
    "export": ["model", "out.pt2"],
    "predict": ["model", "CCO"],
    "report": ["runs"],
    "serve": ["model"],
}
HEAVY = ("torch", "torch_geometric", "rdkit", "matplotlib", "pandas", "sklearn", "pytorch_lightning")


def test_every_module_is_a_subcommand():
    files = {path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    assert set(COMMANDS) == files
    assert {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")} >= files


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_in_120_columns_and_begins_with_its_line(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert COMMANDS[name].HELP in shown
    assert f"pyg-samsa {name} " in COMMANDS[name].EPILOG
    assert max(map(len, shown.splitlines())) <= 120


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_one_line_and_exit_code_2(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, *WORDS.get(name, []), "--no-such-option"])
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    told, hint = shown.err.splitlines()
    assert told == "error: there is no option --no-such-option"
    assert hint.startswith("hint:  ")
    assert shown.out == ""


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "doctor"])
def test_without_arguments_a_command_says_in_two_lines_what_is_missing(name, capsys):
    try:
        code = main([name])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    shown = capsys.readouterr()
    told, hint = shown.err.splitlines()
    assert told.startswith("error: ")
    assert "missing" in told or "got nothing" in told
    assert hint.startswith(f"hint:  The command is `pyg-samsa {name} ") or "pyg-samsa " in hint
    assert shown.out == ""


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["-q", "-v"])
def test_every_subcommand_takes_verbosity(name, flag, monkeypatch):
    seen = []
    monkeypatch.setattr(COMMANDS[name], "run", lambda args: seen.append(args.verbosity))
    assert main([name, *WORDS.get(name, []), flag]) == 0
    assert seen == [{"-q": -1, "-v": 1}[flag]]


@pytest.mark.parametrize("name", COMMANDS)
def test_modules_import_slow_packages_inside_functions(name):
    tree = ast.parse(Path(COMMANDS[name].__file__).read_text(encoding="utf-8"))
    imported = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = [node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in imported]
    assert not [name for name in names if name.split(".")[0] in HEAVY]


@pytest.mark.parametrize("name", COMMANDS)
def test_run_has_a_docstring_and_help_is_a_lower_case_phrase(name):
    module = COMMANDS[name]
    assert module.run.__doc__
    assert module.configure.__doc__
    assert module.HELP[0].islower()
    assert not module.HELP.endswith(".")


def test_choices_and_defaults_are_those_of_the_library():
    # The command line starts without torch, so it cannot read them from there.
    from pyg_samsa.datasets.molecules.targets import CSV_TASKS
    from pyg_samsa.datasets.splits import SPLIT_KINDS
    from pyg_samsa.explain import METHODS
    from pyg_samsa.hub.program import FORMATS
    from pyg_samsa.predict.interface import MAX_ATOMS, UNCERTAINTY_DRAWS
    from pyg_samsa.task import MASKED
    from pyg_samsa.viz.molecules.canvas import THEMES

    def action(module, name):
        parser = argparse.ArgumentParser()
        module.configure(parser)
        return next(found for found in parser._actions if found.dest == name)

    assert set(action(train, "split").choices) == set(SPLIT_KINDS)
    assert set(action(train, "task").choices) == {*CSV_TASKS, MASKED}
    assert set(action(explain, "theme").choices) == set(THEMES)
    assert {*action(explain, "method").choices} - {"all"} <= set(METHODS)
    assert action(predict, "draws").default == UNCERTAINTY_DRAWS
    assert action(predict, "max_atoms").default == MAX_ATOMS
    assert action(export, "format").choices == FORMATS
