"""Commands that write to a disk without space, or into a folder that they may not write to."""

import errno
import os
import shutil
import subprocess

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest
import torch

from pyg_samsa.cli import main
from pyg_samsa.datasets.points import shapes
from pyg_samsa.experiments import sweep_cell
from pyg_samsa.io import files
from pyg_samsa.predict import stream
from pyg_samsa.viz.molecules.drawing import MoleculeDrawing

SMALL = ["samsa.layers", "1", "samsa.channels", "8", "samsa.heads", "2", "num_threads", "1", "accelerator", "cpu"]
TABLE = ["--csv", "table.csv", "--target-columns", "y"]
TRAIN = ["train", "-q", *TABLE, "--epochs", "1", "--only", "network", *SMALL, "predictor.refit", "none"]
COMMANDS = {
    "predict": ["predict", "-q", "peptides", "table.csv", "out/predictions.csv"],
    "explain": ["explain", "-q", "peptides", "CCO", "CCCN", "--out", "out/explained"],
    "report": ["report", "-q", "run", "--out", "out/report.html"],
    "train": [*TRAIN, "--out", "out/results"],
    "baseline": ["baseline", "fingerprint", "-q", *TABLE, "--size", "64", "out_dir", "out/results", "num_threads", "1"],
    "tune": ["tune", "-q", *TABLE, "--minutes", "0.01", "--only", "trees", "--out", "out/results", "num_threads", "1"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, write_table):
    """A table, and the folder of a run."""
    folder = write_table(tmp_path_factory.mktemp("trained"))
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert main([*TRAIN, "--out", "results"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def folder(tmp_path, trained, monkeypatch):
    """A working folder with the table and the run."""
    shutil.copy(trained / "table.csv", tmp_path)
    shutil.copytree(trained / "results" / "table" / "0", tmp_path / "run")
    shutil.copytree(trained / "datasets", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_in_torch(*_, **__):
    raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 128 vs 0")


def written(folder):
    """The files below out/, without locks."""
    return sorted(path.name for path in folder.glob("out/**/*") if path.is_file() and not path.name.endswith(".lock"))


def check(capsys, name, code=2):
    """Run a command, and return its error and its hint."""
    capsys.readouterr()
    assert main(COMMANDS[name]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error:", "hint:", "Trace"))]
    assert len(lines) == 2
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("hint:  ")
    return lines


@pytest.mark.parametrize(
    ("name", "place", "target", "writer", "named", "left"),
    [
        ("predict", stream, "_write_state", full, "out/predictions.csv", ["predictions.csv.partial"]),
        ("predict", files, "_sync", full, "out/predictions.csv", ["predictions.csv.partial"]),
        ("explain", MoleculeDrawing, "save", full, "out/explained", []),
        ("explain", pd.DataFrame, "to_csv", full, "out/explained", []),
        ("report", files, "_sync", full, "out/report.html", []),
        ("baseline", pd.DataFrame, "to_csv", full, "out/results/table-fingerprint/0/predictions_test.csv", []),
        (
            "train",
            torch,
            "save",
            full_in_torch,
            "checkpoints/last.ckpt",
            ["config.yaml", "environment.json", "metrics.csv"],
        ),
        ("train", matplotlib.figure.Figure, "savefig", full, "learning_curves.png", None),
        ("tune", os, "fsync", full, "out/results/tune-table/study.log", ["study.log"]),
    ],
)
def test_a_full_disk_is_one_line_that_names_the_file(
    folder, monkeypatch, capsys, name, place, target, writer, named, left
):
    # A library may report a full disk by an error of its own; then the folder is tried.
    monkeypatch.setattr(files, "_why_unwritable", lambda _: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    monkeypatch.setattr(place, target, writer)
    error, hint = check(capsys, name)
    assert error.endswith(f"{named}: no space left on device")
    assert hint.startswith("hint:  Free some space, or write to another disk. ")
    if left is not None:
        assert written(folder) == left


def test_a_prediction_goes_on_when_there_is_space(folder, monkeypatch, capsys):
    assert main([*COMMANDS["predict"][:-1], "whole.csv"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(stream, "_write_state", full)
        check(capsys, "predict")
    assert main(COMMANDS["predict"]) == 0
    assert (folder / "out" / "predictions.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    assert written(folder) == ["predictions.csv"]


def test_a_search_goes_on_after_a_full_disk(folder, monkeypatch, capsys):
    pytest.importorskip("optuna")
    assert main([*COMMANDS["tune"], "--trials", "1"]) == 0
    journal = folder / "out" / "results" / "tune-table" / "study.log"
    before = journal.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        check(capsys, "tune")
    # A journal is only appended to: what it held is still there.
    assert journal.read_bytes().startswith(before)
    assert main([*COMMANDS["tune"], "--trials", "1"]) == 0


def test_a_run_of_a_sweep_says_in_one_line_what_it_could_not_write(folder, monkeypatch, capsys):
    def run(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/layers=1/0/config.yaml")

    monkeypatch.setattr("pyg_samsa.experiments.run.run", run)
    assert sweep_cell.main(["quickstart", "out/answer.json", "key"]) == 2
    assert capsys.readouterr().err == "error: out/layers=1/0/config.yaml: no space left on device\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_below_a_file_is_one_line_before_any_work(folder, capsys, name):
    (folder / "out").touch()
    error, _ = check_line(capsys, name)
    assert "out" in error
    assert "is a file" in error


def check_line(capsys, name):
    assert main(COMMANDS[name]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert lines[0].startswith("error: ")
    return lines[0], lines[1:]


@pytest.fixture
def small_disk(folder):
    """Mounts a file system of 64 KiB as out/; skips where that is not allowed."""
    place = folder / "out"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a file system is not allowed")
    yield place
    # Lazily, because the frames of an error may hold an open file.
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["predict", "explain", "report", "train", "tune"])
def test_a_disk_of_64_kib(folder, small_disk, capsys, name):
    (small_disk / "filler").write_bytes(bytes(61_000 if name == "tune" else 40_000))
    if name == "predict":
        (folder / "table.csv").write_text("smiles,name\n" + "".join(f"CCO,{'x' * 80}{n}\n" for n in range(2000)))
    error, _ = check(capsys, name)
    assert error.endswith(": no space left on device")
    finished = {"predictions.csv", "index.html", "report.html", "summary.json", "best.yaml", "best.ckpt", "last.ckpt"}
    assert not finished & set(written(folder))


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 160, 320])
def test_a_disk_that_fills_while_checkpoints_and_results_are_written(folder, small_disk, capsys, size):
    command = [word if word != "1" else "2" for word in TRAIN[: TRAIN.index("--only")]]
    command += [*TRAIN[TRAIN.index("--only") :], "train.auto_resume", "True"]
    assert main([*command, "--out", "whole"]) == 0
    (small_disk / "filler").write_bytes(bytes(32_000))
    subprocess.run(["mount", "-o", f"remount,size={size}k", str(small_disk)], check=True)
    capsys.readouterr()
    assert main([*command, "--out", "out/results"]) == 2
    error, hint = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error:", "hint:"))]
    assert error.endswith(": no space left on device")
    assert "Free some space" in hint
    assert not [name for name in written(folder) if ".part" in name or name == "summary.json"]
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert main([*command, "--out", "out/results"]) == 0
    places = [folder / "whole" / "table" / "0", small_disk / "results" / "table" / "0"]
    names, scores = zip(
        *(({path.name for path in place.rglob("*")}, (place / "predictions_test.csv").read_text()) for place in places),
        strict=True,
    )
    assert names[0] - {".lock"} == names[1] - {".lock"}
    assert scores[0] == scores[1]


@pytest.fixture
def read_only(folder, small_disk):
    """Makes the disk of out/ read-only, also for the administrator: ``read_only()``."""

    def make():
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    return make


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ([*TRAIN, "--out", "out/results"], "out_dir: got 'out/results', expected a folder that can be written to"),
        ([*TRAIN, "dataset.dir", "out"], "table-"),
        ([*TRAIN, "pe.dim", "9", "dataset.dir", "out/data"], "dataset.dir: got 'out/data', expected a folder that"),
        (["report", "-q", "out/run"], "--out: got 'out/run', expected a folder that can be written to"),
        (["predict", "-q", "peptides", "table.csv", "out/new.csv"], "OUT: got 'out', expected a folder that can"),
        (["data", "prepare", "shapes", "-q", "--root", "out"], "--root: got 'out', expected a folder that can"),
    ],
)
def test_a_read_only_disk_is_one_line(folder, small_disk, read_only, capsys, command, told):
    (small_disk / "run").mkdir()
    (small_disk / "run" / "config.yaml").write_text("seed: 0")
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    shutil.copytree(folder / "datasets", small_disk / "data")
    read_only()
    capsys.readouterr()
    assert main(command) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("error:", "hint:"))]
    assert told in lines[0]
    assert ".part" not in lines[0]
    assert ".lock" not in lines[0]
    assert "Traceback" not in lines[0]


@pytest.mark.slow
def test_data_that_do_not_fit_leave_nothing(folder, small_disk, capsys, monkeypatch):
    blank = np.zeros((512, 6), np.float32)
    monkeypatch.setattr(shapes, "generate_shape", lambda *_: (blank, []))
    assert main(["data", "prepare", "shapes", "-q", "--root", "out/data"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error.endswith("shapes-200x512-seed0-v1.pt: no space left on device")
    assert hint == "hint:  Free some space, or write to another disk. Then run the same command again."
    assert written(folder) == []
