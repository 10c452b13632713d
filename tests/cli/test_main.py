import errno
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

import pyg_samsa.cli
from pyg_samsa import __version__, errors
from pyg_samsa.cli import main
from tests import fresh_process

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(monkeypatch):
    """Adds a subcommand ``probe`` that does what it is told."""

    def add(run, **attributes):
        module = types.SimpleNamespace(
            HELP="a probe",
            EPILOG="",
            configure=lambda parser: parser.add_argument("word", nargs="*"),
            run=run,
            **attributes,
        )
        found = pyg_samsa.cli._commands()
        monkeypatch.setattr(pyg_samsa.cli, "_commands", lambda: {**found, "probe": module})

    return add


def raising(error):
    def run(args):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("samsa.tau", 0, "above 0"), 2),
        (errors.DataNotFoundError("no file", hint="put it there"), 3),
        (errors.SmilesError(4, "C(C"), 3),
        (errors.NumericalError("loss", "is nan"), 4),
        (errors.MissingDependencyError("wandb", "wandb", "wandb.use"), 2),
    ],
)
def test_errors_are_one_line_a_hint_and_a_code(command, capsys, error, code):
    command(raising(error))
    assert main(["probe"]) == code
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert lines[0] == f"error: {error}"
    assert lines[1:] == ([f"hint:  {error.hint}"] if error.hint else [])
    assert shown.out == ""


def test_an_error_of_ours_keeps_its_traceback(command):
    command(raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        main(["probe"])


def test_ctrl_c(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert main(["probe"]) == 130
    assert "stopped" in capsys.readouterr().err


def raising_any(error):
    def run(*args, **kwargs):
        raise error

    return run


def test_verbosity(command):
    seen = []
    command(lambda args: seen.append(args.verbosity))
    for flags in (["-q"], [], ["-v"], ["-v", "-q"]):
        assert main(["probe", *flags]) == 0
    assert seen == [-1, 0, 1, 0]


def test_help_of_everything(capsys):
    for name, module in pyg_samsa.cli._commands().items():
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        assert module.HELP in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"), [(["graphgym", "--cfg", "nowhere"], "--cfg: got 'nowhere'"), (["pyg_samsa", "trian"], "COMMAND")]
)
def test_as_modules_from_the_repository(words, told):
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {told}")


def test_graphgym_shim_leaves_room_for_the_other_package(tmp_path):
    other = tmp_path / "graphgym"
    other.mkdir()
    (other / "__init__.py").touch()
    (other / "register.py").write_text("WHO = 'other'")
    code = "import graphgym.register, graphgym.__main__; print(graphgym.register.WHO)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "other", done.stderr


def test_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert __version__ in capsys.readouterr().out


def test_an_error_in_a_module_of_the_user_is_shown_with_its_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_heads.py").write_text("def make():\n    return swish\n\nmake()\n")
    assert main(["train", "--cfg", "quickstart", "--import", "own_heads"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert f'  File "{tmp_path / "own_heads.py"}", line 4, in <module>' == lines[1]
    assert lines[-1] == "error: own_heads cannot be imported: NameError: name 'swish' is not defined"


@pytest.mark.parametrize(
    ("command", "custom"),
    [
        (["train", "--cfg", "c"], True),
        (["tune", "--cfg", "c"], True),
        (["sweep", "grid"], True),
        (["baseline", "fingerprint", "--cfg", "c"], True),
        (["convert", "c"], True),
        (["predict", "peptides", "CC"], False),
        (["explain", "peptides", "CC", "--out", "o"], False),
    ],
)
def test_commands_that_build_networks_import_modules_before_anything_else(
    command, custom, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "custom_graphgym").mkdir()
    (tmp_path / "custom_graphgym" / "__init__.py").write_text("raise ValueError('custom')\n")
    assert main([*command, "--import", "no_such_module"]) == 2
    error = capsys.readouterr().err
    assert ("custom_graphgym cannot be imported: ValueError: custom" in error) == custom
    assert ("--import: got 'no_such_module'" in error) != custom


@pytest.mark.parametrize(
    ("number", "cure"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "another place"), (errno.EACCES, "another place")],
)
def test_a_full_disk_and_an_unwritable_output_are_one_line(monkeypatch, capsys, number, cure):
    def fail(args):
        raise OSError(number, os.strerror(number), "out.csv")

    monkeypatch.setattr("pyg_samsa.cli.data.run", fail)
    assert main(["data", "list"]) == errors.EXIT_USER
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: out.csv: {os.strerror(number).lower()}"
    assert hint.startswith("hint:")
    assert cure in hint


OPERATOR = """
from pyg_samsa.nn import AttentionConv, register_operator

@register_operator("mine")
class MyConv(AttentionConv):
    pass
"""
HEAD = """
from torch import nn
from torch_geometric.graphgym.register import register_head

@register_head("mine")
class MyHead(nn.Module):
    def __init__(self, dim_in, dim_out):
        super().__init__()
        self.lin = nn.Linear(dim_in, dim_out)

    def forward(self, batch):
        rows = self.lin(batch.x)
        return rows.new_zeros(batch.num_graphs, rows.size(1)).index_add(0, batch.batch, rows), batch.y
"""
SMALL = ["samsa.layers", "1", "samsa.channels", "8", "samsa.heads", "2", "num_threads", "1", "accelerator", "cpu"]


@pytest.fixture
def shell(tmp_path):
    """Runs ``pyg-samsa`` in a process of its own, in a folder with a table and modules of the user's own."""
    rows = "".join(f"{'C' * (n % 9 + 1)}{'O' * (n % 2)},{n % 9}.5\n" for n in range(30))
    (tmp_path / "table.csv").write_text(f"smiles,y\n{rows}")
    (tmp_path / "my_ops.py").write_text(OPERATOR)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "my_heads.py").write_text(HEAD)
    (tmp_path / "my_broken.py").write_text("def make():\n    return swish\n\nmake()\n")

    def run(*words):
        code = "import sys; from pyg_samsa.cli import main; sys.exit(main(sys.argv[1:]))"
        return fresh_process.run(code, *words, cwd=tmp_path, env={"COLUMNS": "100"})

    return run


TABLE = ["--csv", "table.csv", "--target-columns", "y", "--epochs", "1", "--only", "network"]


@pytest.mark.slow
def test_an_operator_of_the_users_own_is_trained_and_predicts(shell):
    train = ["train", *TABLE, *SMALL, "samsa.attention", "mine"]
    refused = shell(*train)
    assert refused.returncode == 2
    assert "error: samsa.attention: got 'mine', expected one of" in refused.stderr
    done = shell(*train, "--import", "my_ops")
    assert done.returncode == 0, done.stderr
    assert "pyg-samsa predict results/table/0 new.csv predictions.csv --import my_ops" in done.stdout
    refused = shell("predict", "results/table/0", "CCO")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[1].startswith("hint:  A part of this network was registered by my_ops: pass --i")
    done = shell("convert", "csv", "samsa.attention", "mine", "--import", "my_ops")
    assert (done.returncode, "attention: mine" in done.stdout) == (0, True), done.stderr
    done = shell("predict", "results/table/0", "CCO", "--import", "my_ops")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("CCO,")
    assert shell("explain", "results/table/0", "CCO", "--import", "my_ops", "--out", "explained").returncode == 0


@pytest.mark.slow
def test_a_head_of_the_users_own_is_trained_and_its_header_says_that_it_is_not_saved(shell):
    done = shell("train", *TABLE, *SMALL, "--import", "parts/my_heads.py", "gnn.head", "mine")
    assert done.returncode == 0, done.stderr
    told = "because of gnn.head mine: only networks with gnn.head default are saved"
    assert re.search(rf"\n  saved +no, {told} for pyg-samsa predict\n", done.stdout)
    refused = shell("predict", "results/table/0", "CCO")
    assert refused.returncode == 3
    assert f"results/table/0: the network of this run is not saved, {told}" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", [["train", "--cfg", "quickstart"], ["predict", "peptides", "CC"]])
def test_modules_that_are_missing_or_broken_end_the_command(shell, command):
    missing = shell(*command, "--import", "my_opps")
    assert missing.returncode == 2
    assert missing.stderr.splitlines() == [
        "error: --import: got 'my_opps', expected a module or a Python file that exists",
        "hint:  Modules are found in the working folder and among the installed packages.",
    ]
    broken = shell(*command, "--import", "my_broken")
    assert (broken.returncode, broken.stdout) == (2, "")
    lines = broken.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'my_broken.py", line 4, in <module>' in lines[1]
    assert not [line for line in lines if "importlib" in line or "user_code" in line]
    assert lines[-1] == "error: my_broken cannot be imported: NameError: name 'swish' is not defined"


@pytest.mark.parametrize(
    ("words", "name", "expected"),
    [
        (["predict", "m", "in.csv", "--smiles-column", "1", "out.csv"], "output", "out.csv"),
        (["predict", "m", "in.csv", "out.csv", "--smiles-column", "1"], "output", "out.csv"),
        (["explain", "m", "C", "--out", "o", "CC", "CCC"], "molecules", ["C", "CC", "CCC"]),
        (["explain", "m", "--out", "o", "C"], "molecules", ["C"]),
        (["report", "a", "--out", "o", "b"], "runs", [Path("a"), Path("b")]),
        (
            ["train", "--cfg", "c", "a", "2", "--repeat", "2", "seed", "3"],
            "opts",
            ["a", "2", "seed", "3"],
        ),
    ],
)
def test_words_after_options_belong_to_the_arguments_before(words, name, expected):
    assert getattr(pyg_samsa.cli._parse(words), name) == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["train", "--cfg", "c", "--ensembel", "3"],
            "error: there is no option --ensembel\nhint:  Did you mean '--ensemble'?\n",
        ),
        (
            ["predict", "m", "in.csv", "out.csv", "more"],
            "error: more arguments than expected: more\nhint:  The command is `pyg-samsa predict MODEL IN`; ",
        ),
        (
            ["predict", "m", "in", "--smiles-col=1", "--wrong"],
            "error: there is no option --wrong\n",
        ),
        (
            ["doctor", "more"],
            "error: more arguments than expected: more\nhint:  The command is `pyg-samsa doctor`; "
            "`pyg-samsa doctor --help` describes all arguments.\n",
        ),
    ],
)
def test_unknown_arguments_are_told_by_their_command(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize(
    ("setting", "value"), [("samsa.channels", 10**6), ("samsa.graph_hidden", 10**6), ("samsa.num_eval_samples", 10**9)]
)
def test_settings_of_absurd_size_are_one_line(tmp_path, capsys, setting, value):
    words = ["train", "--cfg", "quickstart", setting, str(value), "out_dir", str(tmp_path / "out")]
    assert main(words) == errors.EXIT_USER
    assert capsys.readouterr().err.startswith(
        f"error: {setting}: got {value}, expected a number of at least 1, of at most"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes."
            ),
            "one tensor needs 4.0 GiB",
        ),
        (MemoryError("Unable to allocate 8.00 GiB for an array"), "Unable to allocate 8.00 GiB for an array"),
        (MemoryError(), "Python could not get more"),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried"), "CUDA out of memory."),
    ],
)
def test_missing_memory_is_one_line(command, capsys, error, words):
    command(raising_any(error))
    assert main(["probe"]) == errors.EXIT_USER
    told = capsys.readouterr().err
    assert told.splitlines()[0] == f"error: there is not enough memory: {words}"
    assert len(told.splitlines()) == 2
