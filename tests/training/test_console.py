import io
import logging
import shutil
import warnings

from lightning_fabric.plugins.environments import SLURMEnvironment
from rich.console import Console

from pyg_samsa.training.console import Verbosity, make_console, print_header, quiet_libraries


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


def test_a_value_of_several_lines_keeps_its_column():
    log = io.StringIO()
    print_header(Console(file=log, width=80, soft_wrap=True), "title", {"changed": "a -> b\nc -> d", "data": "x"})
    assert log.getvalue().splitlines()[2:5] == ["  changed  a -> b", "           c -> d", "  data     x"]


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


def test_a_machine_of_a_cluster_may_train_without_srun(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SLURMEnvironment.detect()
        assert "srun" in str(caught.pop().message)
        with quiet_libraries(verbose=False):
            SLURMEnvironment.detect()
    assert caught == []


def test_a_narrow_terminal_folds_at_20_characters():
    terminal = io.StringIO()
    console = Console(file=terminal, width=10, force_terminal=True, no_color=True, soft_wrap=True)
    print_header(console, "title", {"data": f"{'x' * 20} y"})
    lines = [line.split("m")[-1].strip() for line in terminal.getvalue().splitlines()]
    assert any(line.endswith("x" * 20) for line in lines)
    assert "y" in lines
