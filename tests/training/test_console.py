import importlib.util
import io
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from rich.console import Console

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.training import distributed
from pyg_samsa.training.console import Verbosity, make_console, print_header, quiet_libraries
from pyg_samsa.training.loggers import WandbOptions, build_loggers
from pyg_samsa.training.progress_display import EpochLines, short_time
from pyg_samsa.training.trainer import TrainerOptions


@pytest.mark.parametrize("monitor", ["val_ap", "val_accuracy_macro", "val_loss", None])
def test_epoch_lines_stay_within_80_columns_and_aligned(monitor):
    lines = EpochLines(monitor, higher_is_better=monitor != "val_loss", max_epochs=1000)
    row = {"epoch": 1000, "lr": 1e-12, "seconds": 3599, "train_loss": 1000.5, "val_loss": 0.1}
    if monitor:
        row |= {monitor: 0.5, monitor.replace("val", "train"): 0.5}
    head, line = lines.head().rstrip(), lines.line(row)
    assert max(len(head), len(line)) <= 80
    assert head.index("time") + 4 == line.index("m59s") + 4


def test_only_a_better_epoch_is_marked():
    lines = EpochLines("val_mae", higher_is_better=False, max_epochs=3)
    row = {"epoch": 1, "lr": 1e-3, "seconds": 1.0, "train_loss": 1.0}
    marked = [
        lines.line({**row, **values}).endswith("*")
        for values in ({"val_mae": 0.5}, {"val_mae": 0.5}, {}, {"val_mae": 0.4})
    ]
    assert marked == [True, False, False, True]


@pytest.mark.parametrize("seconds", [0, 59.94, 59.99, 60, 3599.6, 86400])
def test_times_are_short(seconds):
    assert len(short_time(seconds)) <= 6
    assert not short_time(seconds).startswith("60.0")


def test_header_folds_in_a_terminal_and_not_in_a_log():
    value = " ".join(["word"] * 40)
    terminal, log = io.StringIO(), io.StringIO()
    print_header(
        Console(file=terminal, width=80, force_terminal=True, no_color=True), "title", {"data": value, "longer": "x"}
    )
    print_header(Console(file=log, width=80, soft_wrap=True), "title", {"data": value, "longer": "x"})
    assert max(len(line) for line in terminal.getvalue().splitlines()) <= 100  # with escape codes
    assert value in log.getvalue()
    assert not any(line.endswith(" ") for line in log.getvalue().splitlines())


def test_console_is_plain_where_there_is_no_terminal(capsys):
    make_console().print("[bold]word[/bold]")
    assert capsys.readouterr().out == "word\n"
    make_console(quiet=True).print("word")
    assert capsys.readouterr().out == ""
    assert Verbosity(0, main=False).speaks is False


def test_known_noise_is_kept_and_other_warnings_are_not():
    logger = logging.getLogger("pytorch_lightning")
    before = logger.level
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with quiet_libraries(verbose=False):
            warnings.warn("The 'val_dataloader' does not have many workers which may be a bottleneck", stacklevel=1)
            warnings.warn("something that matters", stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["something that matters"]
    assert logger.level == before


def test_loggers(tmp_path, monkeypatch):
    assert build_loggers(tmp_path) == []
    assert [type(logger).__name__ for logger in build_loggers(tmp_path, tensorboard=True)] == ["TensorBoardLogger"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="tensorboard"):
        build_loggers(tmp_path, tensorboard=True)
    with pytest.raises(MissingDependencyError, match="wandb"):
        build_loggers(tmp_path, wandb=WandbOptions(use=True, project="x"))


@pytest.mark.parametrize(
    "wrong", [{"max_epochs": 0}, {"precision": "bf16-true"}, {"clip_norm": 0.0}, {"accumulate": 0}]
)
def test_trainer_options(wrong):
    with pytest.raises(ConfigError):
        TrainerOptions(**{"max_epochs": 1, **wrong})


def test_processes_agree(monkeypatch):
    for name in ("LOCAL_RANK", "RANK", distributed._HANDED_DOWN):
        monkeypatch.delenv(name, raising=False)
    assert distributed.agree(lambda: "here") == "here"
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.agree(lambda: pytest.fail("only the first process chooses")) == "here"
    monkeypatch.delenv(distributed._HANDED_DOWN)
    with pytest.raises(ConfigError, match="torchrun"):
        distributed.agree(lambda: "there")


@pytest.mark.slow
def test_processes_of_torchrun_agree(tmp_path):
    script = tmp_path / "go.py"
    script.write_text(
        "import os, sys\n"
        "from pyg_samsa.training.distributed import agree, join_torchrun\n"
        "join_torchrun()\n"
        "chosen = agree(lambda: 'from ' + os.environ['RANK'])\n"
        "open(os.path.join(sys.argv[1], os.environ['RANK']), 'w').write(chosen)\n"
    )
    root = str(Path(__file__).parents[2])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
    }
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        str(tmp_path),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["from 0", "from 0"]
