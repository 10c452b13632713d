"""Runs that are killed between any two of the files that they write, and continued."""

import shutil
import sys

import pytest

from benchmarks.killed import KILLED, TRAININGS, content, run_command, warm_up

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are forked"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # fork in a process with threads
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_table):
    """``whole(kind)``: the data and the files of the run that nobody disturbs, and the names to which it renames."""
    for package in ("lightgbm", "rdkit.Chem"):
        pytest.importorskip(package)
    warm_up()  # here, so that not every child imports everything again
    made = {}

    def make(kind):
        if kind not in made:
            folder = write_table(tmp_path_factory.mktemp(kind))
            assert run_command(folder, TRAININGS[kind]) == 0  # prepares the data
            shutil.rmtree(folder / "results")
            assert run_command(folder, TRAININGS[kind]) == 0
            made[kind] = folder / "datasets", content(folder / "results"), (folder / "renamed").read_text().splitlines()
        return made[kind]

    return make


def moments(names, kind):
    """Numbers of the renamings at which a run is killed: the last one of each file, of a network the first one too.

    Every third or fifth of them is taken here; ``make torture`` takes all.
    """
    last = {name: number for number, name in enumerate(names, start=1)}
    first = {name: number for number, name in reversed(list(enumerate(names, start=1)))}
    chosen = sorted({*last.values(), *(first.values() if kind == "network" else ())})
    return chosen[:: 3 if kind == "network" else 5]


@pytest.mark.parametrize("kind", TRAININGS)
def test_a_run_that_is_killed_at_any_file_is_completed(tmp_path, whole, write_table, kind):
    datasets, expected, renamed = whole(kind)
    assert any(name.endswith("summary.json") for name in expected)
    assert {"summary.json", "predictor" if kind != "network" else "model"} <= set(renamed)
    for number in moments(renamed, kind):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_table(folder)
        shutil.copytree(datasets, folder / "datasets")
        assert run_command(folder, TRAININGS[kind], rename=number) == KILLED
        assert run_command(folder, TRAININGS[kind]) == 0
        found = content(folder / "results")
        assert sorted(found) == sorted(expected), number
        assert found == expected, number
