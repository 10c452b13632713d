"""Sweeps whose runs are small scripts that write what a run writes."""

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytest.importorskip("optuna")

from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.experiments import sweep_runs
from pyg_samsa.experiments.grids import read_grid
from pyg_samsa.experiments.journal import import_optuna
from pyg_samsa.experiments.storage import open_storage
from pyg_samsa.experiments.sweep import Sweep
from pyg_samsa.experiments.sweep_runs import run_sweep
from tests import fresh_process

SMALL = {"optim.max_epoch": 4, "optim.num_warmup_epochs": 0, "samsa": {"layers": 1, "channels": 8, "heads": 2}}
# Arguments: log, answer, key. It notes its start, waits while a file `hold` is there, and then writes its results.
RUN = """
import json, os, pathlib, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
log, answer, key, epochs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
with open(log, "a") as file:
    file.write(answer.stem + " " + str(os.getpid()) + chr(10))
while (log.parent / "hold").exists():
    time.sleep(0.01)
time.sleep(float(os.environ.get("SECONDS_OF_A_RUN", "0")))
folder = log.parent / "runs" / answer.stem
folder.mkdir(parents=True, exist_ok=True)
accuracy = 0.1 * int(answer.stem.partition('=')[2][0])
summary = {"epochs": epochs, "parameters": 5, "seconds": 1.0, "monitor": "val_accuracy"}
(folder / "summary.json").write_text(json.dumps({**summary, "val": {"accuracy": accuracy}, "test": {}}))
answer.parent.mkdir(parents=True, exist_ok=True)
answer.write_text(json.dumps({"key": key, "folder": str(folder), "peak_memory_mib": None}))
"""


def fake_command(self, job):
    log, answer = Path(os.environ["STARTS"]), self._answer_path(job)
    return [sys.executable, "-S", "-c", RUN, str(log), str(answer), job.key, str(job.epochs)]


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Makes sweeps over a grid of three numbers of layers: ``sweep(seeds=2, storage=None)``."""
    monkeypatch.setattr(Sweep, "command", fake_command)
    monkeypatch.setattr(sweep_runs, "POLL_SECONDS", 0.02)
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))

    def make(grid=None, seeds=1, out="out", **options):
        grid = {"samsa.layers": [1, 2, 3]} if grid is None else grid
        (tmp_path / "small.yaml").write_text(yaml.safe_dump({"base": "small/shapes", "set": SMALL, "grid": grid}))
        return Sweep(read_grid(tmp_path / "small.yaml", seeds=list(range(seeds))), tmp_path / out, **options)

    make.starts = lambda: [line.split()[0] for line in (tmp_path / "starts").read_text().splitlines()]
    return make


def trials(sweep):
    storage = open_storage(sweep.storage or sweep.out / "study.log")
    return import_optuna().load_study(study_name="sweep-small", storage=storage).trials


def run_together(*sweeps):
    with ThreadPoolExecutor(len(sweeps)) as pool:
        return list(pool.map(run_sweep, sweeps))


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_workers_share_the_runs_and_nothing_runs_twice(sweep, tmp_path, storage):
    place = None if storage is None else f"sqlite:///{tmp_path / 'trials.db'}"
    # With a database the workers need no common folder.
    others = ["out", "out", "out"] if storage is None else ["out", "second", "third"]
    sweeps = [sweep(seeds=2, out=out, storage=place) for out in others]
    outcomes = run_together(*sweeps)
    assert sorted(sweep.starts()) == sorted(f"layers={n}-{seed}" for n in (1, 2, 3) for seed in (0, 1))
    for made, seen in zip(sweeps, outcomes, strict=True):
        assert [outcome.code for outcome in seen] == [0] * 6
        assert len(pd.read_csv(made.write_results())) == 6
    assert sum(not (outcome.elsewhere or outcome.reused) for seen in outcomes for outcome in seen) == 6
    again = run_sweep(sweep(seeds=2, out="out", storage=place))
    assert all(outcome.reused for outcome in again)
    assert len(sweep.starts()) == 6


def test_values_parameters_and_results_are_in_the_study(sweep):
    made = sweep(seeds=2)
    run_sweep(made)
    found = {trial.user_attrs["cell"] + str(trial.user_attrs["seed"]): trial for trial in trials(made)}
    assert found["layers=21"].params == {"samsa.layers": "2"}
    assert found["layers=20"].value == pytest.approx(-0.2)  # more accuracy is better
    assert found["layers=21"].user_attrs["result"]["val"]["accuracy"] == pytest.approx(0.2)


def test_a_deleted_run_more_epochs_and_more_values_are_carried_out(sweep, tmp_path):
    run_sweep(sweep())
    (tmp_path / "out" / ".cells" / "layers=2-0.json").unlink()
    assert [outcome.reused for outcome in run_sweep(sweep())] == [True, False, True]
    assert [outcome.reused for outcome in run_sweep(sweep(opts=["optim.max_epoch", "5"]))] == [False] * 3
    assert [outcome.reused for outcome in run_sweep(sweep(opts=["optim.max_epoch", "3"]))] == [True] * 3
    more = sweep({"samsa.layers": [1, 2, 3, 4]}, opts=["optim.max_epoch", "5"])
    assert [outcome.reused for outcome in run_sweep(more)] == [True, True, True, False]


def test_finished_runs_of_a_folder_without_a_study_count(sweep, tmp_path):
    run_sweep(sweep())
    (tmp_path / "out" / "study.log").unlink()
    assert all(outcome.reused for outcome in run_sweep(sweep()))
    assert len(trials(sweep())) == 3
    assert len(sweep.starts()) == 3


def test_a_storage_of_another_grid_is_named(sweep, tmp_path):
    storage = str(tmp_path / "shared.log")
    run_sweep(sweep(storage=storage))
    rate = ["optim.base_lr", "0.5"]
    for changed, name in (({"opts": rate}, "optim.base_lr"), ({"grid": {"samsa.heads": [1]}}, "grid")):
        with pytest.raises(ConfigError, match=r"--storage: got '.*shared\.log', expected one without") as caught:
            run_sweep(sweep(storage=storage, **changed))
        assert name in caught.value.hint
    run_sweep(sweep())
    with pytest.raises(ConfigError, match="--out: got"):
        run_sweep(sweep(opts=rate))


def test_a_failure_is_told_by_all_workers_and_tried_again_by_a_new_command(sweep, tmp_path, monkeypatch):
    (tmp_path / "hold").touch()
    script = "import sys; print('error: loss: is nan', file=sys.stderr); sys.exit(4)"

    def command(self, job):
        return [sys.executable, "-S", "-c", script] if job.cell.label == "layers=2" else fake_command(self, job)

    monkeypatch.setattr(Sweep, "command", command)
    released = threading.Timer(1.0, (tmp_path / "hold").unlink)
    released.start()
    for outcomes in run_together(sweep(), sweep()):
        assert [(outcome.code, outcome.reason) for outcome in outcomes] == [(0, ""), (4, "loss: is nan"), (0, "")]
    monkeypatch.setattr(Sweep, "command", fake_command)
    assert [(outcome.code, outcome.reused) for outcome in run_sweep(sweep())] == [(0, True), (0, False), (0, True)]


def test_a_run_that_was_killed_once_is_repeated(sweep, tmp_path, monkeypatch):
    def command(self, job):
        if job.cell.label != "layers=2" or (tmp_path / "killed").exists():
            return fake_command(self, job)
        (tmp_path / "killed").touch()
        return [sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)"]

    monkeypatch.setattr(Sweep, "command", command)
    assert [outcome.code for outcome in run_sweep(sweep())] == [0, 0, 0]


def test_the_run_of_a_killed_worker_ends_and_is_repeated_by_another(sweep, tmp_path):
    (tmp_path / "hold").touch()
    sweep()
    script = (
        "import sys, pathlib\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import test_sweep_runs as tests\n"
        "tests.Sweep.command = tests.fake_command\n"
        f"grid = tests.read_grid({str(tmp_path / 'small.yaml')!r})\n"
        f"tests.run_sweep(tests.Sweep(grid, {str(tmp_path / 'out')!r}))\n"
    )
    worker = fresh_process.start(script)
    try:
        while not (tmp_path / "starts").exists() or not (tmp_path / "starts").read_text().endswith("\n"):
            assert worker.poll() is None
            time.sleep(0.05)
    finally:
        worker.kill()
        worker.communicate(60)
    (run,) = (int(line.split()[1]) for line in (tmp_path / "starts").read_text().splitlines())
    wait_until(lambda: not is_alive(run))
    (tmp_path / "hold").unlink()
    outcomes = run_sweep(sweep())
    assert [(outcome.code, outcome.reused) for outcome in outcomes] == [(0, False)] * 3
    assert sorted(sweep.starts()) == ["layers=1-0", "layers=1-0", "layers=2-0", "layers=3-0"]


def wait_until(what):
    for _ in range(1200):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within a minute")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_tpe_runs_as_many_cells_as_asked_and_none_twice(sweep):
    grid = {"samsa.layers": [1, 2, 3], "samsa.heads": [1, 2]}
    first = sweep(grid, seeds=2, sampler="tpe", trials=3)
    second = sweep(grid, seeds=2, sampler="tpe", trials=3)
    outcomes = run_together(first, second)
    assert all(len(seen) == 3 for seen in outcomes)
    assert len(set(sweep.starts())) == len(sweep.starts()) == 3
    more = run_sweep(sweep(grid, seeds=2, sampler="tpe", trials=20, jobs=3))
    assert sum(outcome.reused for outcome in more) == 3
    assert len(set(sweep.starts())) == len(sweep.starts()) == len(more) == 12
    with pytest.raises(ConfigError, match="--sampler: got 'tpe', expected a study with the same values") as caught:
        run_sweep(sweep({**grid, "samsa.heads": [1, 2, 4]}, sampler="tpe", trials=15))
    assert "another --out" in caught.value.hint


def test_tpe_prefers_cells_with_better_values(sweep):
    run_sweep(sweep({"samsa.layers": [1, 2, 3, 4, 5, 6]}, seeds=6, sampler="tpe", trials=18))
    counts = pd.Series(sweep.starts()).str.split("-").str[0].value_counts()
    assert counts.idxmax() == "layers=6"


@pytest.mark.parametrize(("sampler", "trials"), [("grid", 3), ("tpe", None), ("tpe", 0), ("random", None)])
def test_wrong_samplers_are_refused(sweep, sampler, trials):
    with pytest.raises(ConfigError, match=r"--trials|--sampler"):
        sweep(sampler=sampler, trials=trials)


def test_a_run_that_another_worker_took_over_is_stopped(sweep, tmp_path):
    (tmp_path / "hold").touch()
    grid, outcomes = sweep({"samsa.layers": [1]}), []
    worker = threading.Thread(target=lambda: outcomes.extend(run_sweep(grid)))
    worker.start()
    wait_until(lambda: (tmp_path / "starts").exists() and (tmp_path / "starts").read_text().endswith("\n"))
    first = int((tmp_path / "starts").read_text().split()[1])
    # The machine of the worker slept, and others held it for dead.
    study = import_optuna().load_study(study_name="sweep-small", storage=open_storage(grid.out / "study.log"))
    study.tell(0, state=import_optuna().trial.TrialState.FAIL)
    wait_until(lambda: len(sweep.starts()) == 2)
    assert not is_alive(first)
    (tmp_path / "hold").unlink()
    worker.join()
    assert [(outcome.code, outcome.reason) for outcome in outcomes] == [(0, "")]
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]


@pytest.mark.parametrize("storage", [None, "sqlite"])
def test_a_storage_that_breaks_in_the_middle_is_one_line_and_stops_the_runs(sweep, tmp_path, storage):
    (tmp_path / "hold").touch()
    place = None if storage is None else f"sqlite:///{tmp_path / 'trials.db'}"
    grid, errors = sweep(storage=place), []

    def work():
        try:
            run_sweep(grid)
        except DataError as error:
            errors.append(str(error))

    worker = threading.Thread(target=work)
    worker.start()
    wait_until(lambda: (tmp_path / "starts").exists() and (tmp_path / "starts").read_text().endswith("\n"))
    pid = int((tmp_path / "starts").read_text().split()[1])
    file = tmp_path / "trials.db" if storage else grid.out / "study.log"
    file.write_bytes(b"neither one nor the other\n" * 1000)
    file.with_name("trials.db-journal").unlink(missing_ok=True)
    worker.join()
    told = "the database does not answer" if storage else "study.log: got damaged lines"
    assert [told in error for error in errors] == [True]
    assert not is_alive(pid)
