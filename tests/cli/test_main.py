import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import pyg_samsa.cli
from pyg_samsa import __version__, errors
from pyg_samsa.cli import main, train

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


def test_ctrl_c_in_training_tells_how_to_go_on(monkeypatch, capsys):
    from pyg_samsa.experiments import run as runner

    monkeypatch.setattr(runner, "run", raising_any(KeyboardInterrupt()))
    assert main(["train", "--cfg", "quickstart", "--repeat", "2", "samsa.layers", "3"]) == 130
    assert (
        "pyg-samsa train --cfg quickstart --repeat 2 samsa.layers 3 train.auto_resume True" in capsys.readouterr().err
    )


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


def test_train_takes_graphgyms_arguments(monkeypatch):
    from pyg_samsa.experiments import run as runner

    seen = []
    monkeypatch.setattr(runner, "run", lambda cfg, opts, **options: seen.append((cfg, opts, options)))
    assert main(["train", "-q", "--cfg", "quickstart", "--repeat", "3", "optim.max_epoch", "2"]) == 0
    assert main(["train", "--cfg", "quickstart", "train.epoch_resume", "-1", "a=b", "-v"]) == 0
    assert seen[0] == ("quickstart", ["optim.max_epoch", "2"], {"repeat": 3, "verbosity": -1})
    assert seen[1] == ("quickstart", ["train.epoch_resume", "-1", "a=b"], {"repeat": 1, "verbosity": 1})


def test_mark_done_renames_the_file_but_never_a_packaged_one(monkeypatch, tmp_path):
    from pyg_samsa.experiments import run as runner

    monkeypatch.setattr(runner, "run", lambda *args, **options: [])
    path = tmp_path / "exp.yaml"
    path.write_text("seed: 1")
    assert main(["train", "--cfg", str(path), "--mark_done"]) == 0
    assert [child.name for child in tmp_path.iterdir()] == ["exp.yaml_done"]
    assert main(["train", "--cfg", "quickstart", "--mark_done"]) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "--cfg", "nowhere.yaml"],
        ["train", "--cfg", "quickstart", "--repeat", "0"],
        ["train", "--cfg", "quickstart", "no.such", "1"],
    ],
)
def test_bad_training_arguments(capsys, arguments):
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert "Traceback" not in shown


def test_list_of_configurations(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["train", "--list"]) == 0
    shown = capsys.readouterr().out
    assert {line.split()[0] for line in shown.splitlines()} >= {
        "quickstart",
        "peptides_func",
        "peptides_struct",
        "peptides_func_small",
    }
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_help_of_everything(capsys):
    for name, module in pyg_samsa.cli._commands().items():
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
        assert module.HELP in capsys.readouterr().out


def test_resume_hint_quotes():
    import argparse

    parser = argparse.ArgumentParser()
    train.configure(parser)
    hint = train.resume_hint(parser.parse_args(["--cfg", "my file.yaml", "train.auto_resume", "True"]))
    assert "'my file.yaml'" in hint
    assert hint.count("auto_resume") == 1


@pytest.mark.slow
@pytest.mark.parametrize("module", ["graphgym", "pyg_samsa"])
def test_as_modules_from_the_repository(module, tmp_path):
    arguments = ["--cfg", "nowhere"] if module == "graphgym" else ["train", "--cfg", "nowhere"]
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --cfg: got 'nowhere'")


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
