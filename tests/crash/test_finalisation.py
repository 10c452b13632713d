"""Runs that are killed between any two of the files that they write, and continued."""

import json
import os
import shutil
import sys
import traceback

import pandas as pd
import pytest

from pyg_samsa.cli import main
from pyg_samsa.io import files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # fork in a process with threads
]
SMALL = ["samsa.layers", "1", "samsa.channels", "8", "samsa.heads", "2", "num_threads", "1", "accelerator", "cpu"]
TRAIN = ["train", "-q", "--csv", "table.csv", "--target-columns", "y", "--epochs", "2", *SMALL, "boosting.trees", "3"]
TRAIN += ["predictor.tree_inputs", '["maccs"]', "train.auto_resume", "True"]
KINDS = {
    "network": ["--only", "network", "predictor.refit", "none"],
    "refit": ["predictor.members", "all", "predictor.gp_inputs", '["maccs"]', "predictor.refit", "all"],
    "trees": ["--only", "trees"],
    "folds": ["--only", "network", "--folds", "2"],
}
KILLED = 99


def in_child(work):
    """Do some work in a process of its own, and return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
            code = 1
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train(folder, kind, *, kill_at=None):
    """Train, and end the process instead of the ``kill_at``-th renaming of a file; return the exit code."""

    def work():
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        replace, seen = os.replace, []

        def counted(source, target):
            seen.append(target)
            if len(seen) == kill_at:
                os._exit(KILLED)
            replace(source, target)
            (folder / "renamed").write_text("\n".join(os.path.basename(name) for name in seen))

        files.os.replace = counted
        return main([*TRAIN, *KINDS[kind]])

    return in_child(work)


def content(folder):
    """The names of all files below a folder of results, and what does not depend on the clock."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.name != ".lock"):
        name = path.relative_to(folder).as_posix()
        if name.endswith("summary.json"):
            found[name] = without_time(json.loads(path.read_text()))
        elif name.endswith("metrics.csv"):
            found[name] = pd.read_csv(path).drop(columns=["seconds", "total_seconds"]).to_csv()
        else:
            found[name] = path.read_bytes() if path.suffix in (".csv", ".safetensors", ".yaml") else None
    return found


def without_time(value):
    if isinstance(value, dict):
        return {key: without_time(inner) for key, inner in value.items() if "second" not in key and key != "written"}
    return [without_time(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_table):
    """``whole(kind)``: the data and the files of the run that nobody disturbs, and the names to which it renames."""
    for package in ("pyg_samsa.experiments.run", "lightgbm", "matplotlib.pyplot", "rdkit.Chem"):
        pytest.importorskip(package)  # here, so that not every child imports them again
    made = {}

    def make(kind):
        if kind not in made:
            folder = write_table(tmp_path_factory.mktemp(kind))
            assert train(folder, kind) == 0  # prepares the data
            shutil.rmtree(folder / "results")
            assert train(folder, kind) == 0
            made[kind] = folder / "datasets", content(folder / "results"), (folder / "renamed").read_text().splitlines()
        return made[kind]

    return make


def moments(names, kind):
    """Numbers of the renamings at which a run is killed: the last one of each file, of a network the first one too."""
    last = {name: number for number, name in enumerate(names, start=1)}
    first = {name: number for number, name in reversed(list(enumerate(names, start=1)))}
    return sorted({*last.values(), *(first.values() if kind == "network" else ())})


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_at_any_file_is_completed(tmp_path, whole, write_table, kind):
    datasets, expected, renamed = whole(kind)
    assert any(name.endswith("summary.json") for name in expected)
    assert {"summary.json", "predictor" if kind != "network" else "model"} <= set(renamed)
    for number in moments(renamed, kind):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_table(folder)
        shutil.copytree(datasets, folder / "datasets")
        assert train(folder, kind, kill_at=number) == KILLED
        assert train(folder, kind) == 0
        found = content(folder / "results")
        assert sorted(found) == sorted(expected), number
        assert found == expected, number
