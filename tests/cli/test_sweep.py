import io
import json
import os
import signal
import sys
import threading
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml

from pyg_samsa.cli import main
from pyg_samsa.experiments import sweep_cell
from pyg_samsa.experiments import sweep_runs as module
from pyg_samsa.experiments.sweep import Sweep

TINY = {"dataset.per_family": 3, "dataset.num_points": 8, "optim.max_epoch": 1, "optim.num_warmup_epochs": 0}
TINY |= {"samsa": {"layers": 1, "channels": 8, "heads": 2, "ffn_channels": 8}}


@pytest.fixture
def grid(tmp_path):
    """Writes a grid over a tiny data set."""

    def write(name="tiny.yaml", **content):
        path = tmp_path / name
        path.write_text(
            yaml.safe_dump(
                {"base": "small/shapes", "set": {**TINY, "dataset.dir": str(tmp_path / "data")}, **content},
                sort_keys=False,
            )
        )
        return path

    return write


def run_here(command, **options):
    """Carry out the command of a cell in this process; what is returned looks like one that has ended."""
    assert command[:3] == [sys.executable, "-m", "pyg_samsa.experiments.sweep_cell"]
    code = sweep_cell.main(command[3:])
    return SimpleNamespace(stdin=io.BytesIO(), stderr=io.BytesIO(), returncode=code, poll=lambda: code, pid=os.getpid())


@pytest.mark.slow
@pytest.mark.painted
def test_cells_run_are_skipped_and_continued(grid, tmp_path, capsys, monkeypatch):
    path, out = grid(cells={"few": {"samsa.num_samples": 2}}), tmp_path / "out"
    assert main(["sweep", str(path), "--out", str(out)]) == 0
    assert "[1/1] few, seed 0: test_accuracy" in capsys.readouterr().out
    row = pd.read_csv(out / "results.csv").iloc[0]
    summary = json.loads((out / "few" / "0" / "summary.json").read_text())
    assert row["test_accuracy"] == pytest.approx(summary["test"]["accuracy"])
    assert (row["cell"], row["samsa.num_samples"], row["seed"], row["parameters"], row["epochs"]) == (
        "few",
        2,
        0,
        summary["parameters"],
        1,
    )
    assert row["peak_memory_mib"] > 50
    assert (out / "sweep.png").stat().st_size > 10_000
    assert (out / "curves.png").stat().st_size > 10_000

    with monkeypatch.context() as patch:
        # A finished run that were started again would fail here.
        patch.setattr(module.subprocess, "Popen", None)
        assert main(["sweep", str(path), "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("already finished") == 1

    # A longer run goes on in the same folder. It is not a process of its own, which would import everything again.
    monkeypatch.setattr(module, "subprocess", SimpleNamespace(Popen=run_here, PIPE=None))
    assert main(["sweep", str(path), "optim.max_epoch", "2", "--out", str(out)]) == 0
    assert pd.read_csv(out / "few" / "0" / "metrics.csv")["epoch"].tolist() == [1, 2]
    assert not (out / "few" / "0-2").exists()


def test_a_failing_cell_is_reported_and_others_go_on(grid, tmp_path, monkeypatch, capsys):
    def command(self, job):
        shout = "print('words'); print('error: channels: got 8', file=sys.stderr)"
        code = f"import sys; {shout}; sys.exit({3 if job.seed else 2})"
        return [sys.executable, "-S", "-c", code]

    monkeypatch.setattr(Sweep, "command", command)
    assert (
        main(["sweep", str(grid(grid={"samsa.heads": [1, 2]}, seeds=2)), "--out", str(tmp_path / "out"), "--jobs", "2"])
        == 3
    )
    shown = capsys.readouterr().out
    assert "4 of 4 runs failed" in shown
    # The same reason is told once, with all runs that it stopped.
    assert (
        "failed: channels: got 8\n        heads=1, seed 0; heads=1, seed 1; heads=2, seed 0; heads=2, seed 1\n" in shown
    )
    assert "words" in (tmp_path / "out" / "logs" / "heads=1-0.log").read_text()
    assert not (tmp_path / "out" / "results.csv").exists()


def test_dry_run_lists_the_cells_and_writes_nothing(grid, tmp_path, capsys):
    path = grid(grid={"samsa.num_samples": [2, 4], "samsa.sampling": ["hard", "soft"]}, seeds=[3, 5])
    assert main(["sweep", str(path), "--dry-run", "--out", str(tmp_path / "out"), "--jobs", "2"]) == 0
    shown = capsys.readouterr().out
    assert "8 runs" in shown
    for label in ("num_samples=2, sampling=hard", "num_samples=4, sampling=soft"):
        assert label in shown
    assert shown.count("3, 5") == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "opts", "culprit"),
    [
        ({"grid": {"samsa.num_sample": [2]}}, [], "samsa.num_sample"),
        ({"grid": {"samsa.sampling": ["hard", "hrd"]}}, [], "hrd"),
        ({"grid": {"samsa.layers": [1]}}, ["no.such", "1"], "no.such"),
        ({"grid": {"samsa.layers": [1]}}, ["samsa.layers", "2"], "samsa.layers"),
        ({"grid": {"samsa.layers": [1]}, "metric": "no_such"}, [], "no_such"),
        ({"grid": {"samsa.layers": [1]}}, ["--jobs", "0"], "--jobs"),
        ({"grid": {"samsa.layers": [1]}}, ["--seeds", "none"], "--seeds"),
        ({"grid": {"samsa.layers": [1]}}, ["--base", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_refused_before_anything_runs(grid, tmp_path, capsys, monkeypatch, content, opts, culprit):
    monkeypatch.setattr(module.subprocess, "Popen", None)
    assert main(["sweep", str(grid(**content)), *opts, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert culprit in error
    assert not (tmp_path / "out").exists()


def test_ctrl_c_reaches_the_runs_once_and_tells_how_to_go_on(grid, tmp_path, monkeypatch, capsys, request):
    code = (
        "import pathlib, signal, sys, time\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "def stop(*_):\n"
        "    path.write_text(path.read_text() + 'stopped ')\n"
        "    sys.exit(130)\n"
        "signal.signal(signal.SIGINT, stop)\n"
        "path.write_text('started ')\n"
        "for _ in range(600): time.sleep(0.1)\n"
    )
    monkeypatch.setattr(
        Sweep, "command", lambda self, job: [sys.executable, "-S", "-c", code, str(tmp_path / f"seen{job.seed}")]
    )

    def interrupt():
        for _ in range(2400):  # the imports of the command take long on a busy machine
            if (tmp_path / "seen0").exists() and (tmp_path / "seen0").read_text() == "started ":
                break
            threading.Event().wait(0.05)
        # To this thread, as some systems do: the main thread's wait is not ended by it.
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    # A process started in the background of a shell ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    threading.Thread(target=interrupt).start()
    path = grid(grid={"samsa.layers": [1]}, seeds=2)
    assert main(["sweep", str(path), "optim.max_epoch", "2", "--out", str(tmp_path / "out")]) == 130
    assert (tmp_path / "seen0").read_text() == "started stopped "
    assert not (tmp_path / "seen1").exists()
    assert f"pyg-samsa sweep {path} optim.max_epoch 2 --out {tmp_path / 'out'}" in capsys.readouterr().err


def test_list_of_grids(capsys):
    assert main(["sweep", "--list"]) == 0
    shown = capsys.readouterr().out
    assert {"samples", "sampling", "bridge"} <= {line.split()[0] for line in shown.splitlines()}
    assert main(["sweep"]) == 2


def test_settings_may_stand_behind_options(grid, tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "run_sweep", lambda sweep, _: seen.append([job.opts for job in sweep.runs]) or [])
    path = grid(grid={"samsa.layers": [1]})
    for words in (["optim.max_epoch", "3", "--jobs", "1"], ["--jobs", "1", "optim.max_epoch", "3"]):
        main(["sweep", str(path), *words, "--out", str(tmp_path / "out")])
    assert seen[0] == seen[1]
    assert "optim.max_epoch" in seen[0][0]
    with pytest.raises(SystemExit, match="2"):
        main(["sweep", str(path), "--jobs", "1", "optim.max_epoch", "3", "--no-such-option"])
    assert "--no-such-option" in capsys.readouterr().err


def test_a_base_and_a_grid_that_do_not_exist_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "samples", "--base", "nothing", "--dry-run"]) == 2
    assert "error: --base: got 'nothing', expected a YAML file that exists" in capsys.readouterr().err
    (tmp_path / "table.csv").touch()
    assert main(["sweep", "table.csv"]) == 2
    assert "error: GRID: got 'table.csv', expected a file that ends in .yaml or .txt" in capsys.readouterr().err
