import json
import sys

import pandas as pd
import pytest
import yaml

from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.experiments.grids import GRIDS, read_grid
from pyg_samsa.experiments.sweep import Outcome, Sweep
from pyg_samsa.experiments.sweep_runs import run_sweep

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


def test_settings_go_before_the_grids_and_seeds_before_its_seeds(grid, tmp_path):
    sweep = Sweep(
        read_grid(grid(grid={"samsa.layers": [1, 2]}, seeds=4), seeds=[7]),
        tmp_path,
        opts=["optim.max_epoch", "9"],
        jobs=64,
    )
    assert [(job.seed, job.epochs) for job in sweep.runs] == [(7, 9), (7, 9)]
    assert sweep.threads == 1
    assert len({job.key for job in sweep.runs}) == 2
    longer = Sweep(read_grid(grid(grid={"samsa.layers": [1, 2]}), seeds=[7]), tmp_path, opts=["optim.max_epoch", "10"])
    assert [job.key for job in longer.runs] == [job.key for job in sweep.runs]
    other = Sweep(read_grid(grid(grid={"samsa.layers": [1, 2]}), seeds=[7]), tmp_path, opts=["optim.base_lr", "0.5"])
    assert not {job.key for job in other.runs} & {job.key for job in sweep.runs}


def test_a_killed_run_says_so(grid, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Sweep,
        "command",
        lambda self, job: [sys.executable, "-S", "-c", "import os; print('half', flush=True); os.kill(os.getpid(), 9)"],
    )
    seen = []
    (outcome,) = run_sweep(Sweep(read_grid(grid(grid={"samsa.layers": [1]})), tmp_path / "out"), seen.append)
    assert seen == [outcome]
    assert outcome == Outcome(outcome.job, -9, "killed by signal 9, perhaps out of memory; half")


def test_results_of_a_metric_that_is_not_there(grid, tmp_path):
    sweep = Sweep(read_grid(grid(grid={"samsa.layers": [1]}, metric="mae")), tmp_path / "out")
    (job,) = sweep.runs
    run = tmp_path / "out" / "layers=1" / "0"
    run.mkdir(parents=True)
    summary = {
        "epochs": 1,
        "parameters": 5,
        "seconds": 1.0,
        "val": {"accuracy": 0.5},
        "test": {"accuracy": 0.25},
        "monitor": "val_accuracy",
    }
    (run / "summary.json").write_text(json.dumps(summary))
    answer = sweep._answer_path(job)
    answer.parent.mkdir(parents=True)
    answer.write_text(json.dumps({"key": job.key, "folder": str(run), "peak_memory_mib": None}))
    with pytest.raises(ConfigError, match="mae"):
        sweep.metric()
    fine = Sweep(read_grid(grid(grid={"samsa.layers": [1]})), tmp_path / "out")
    assert fine.metric() == "test_accuracy"
    assert fine.results()["test_accuracy"].tolist() == [0.25]
    other = Sweep(read_grid(grid(grid={"samsa.layers": [1]})), tmp_path / "out", opts=["optim.base_lr", "1"])
    assert other.results().empty


@pytest.mark.parametrize("name", sorted(path.stem for path in GRIDS.glob("*.yaml")))
def test_packaged_grids_are_valid(name, tmp_path):
    sweep = Sweep(read_grid(name), tmp_path)
    assert len(sweep.runs) == len(sweep.grid.cells) * len(sweep.grid.seeds) > 2
    assert not list(tmp_path.iterdir())


def test_failing_and_finished_jobs(grid, tmp_path, monkeypatch):
    sweep = Sweep(read_grid(grid(grid={"samsa.heads": [2, 4]})), tmp_path / "out")
    script = "import sys; print('error: no such thing', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(Sweep, "command", lambda self, job: [sys.executable, "-S", "-c", script])
    assert [(outcome.code, outcome.reason) for outcome in run_sweep(sweep)] == [(3, "no such thing")] * 2
    assert sweep.results().empty
    assert not (tmp_path / "out" / "results.csv").exists()
    for job in sweep.runs:
        folder = tmp_path / "out" / job.cell.name / "0"
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"test": {"ap": 0.5}, "val": {}, "epochs": job.epochs}))
        answer = sweep._answer_path(job)
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_text(json.dumps({"key": job.key, "folder": str(folder), "peak_memory_mib": None}))
    assert [outcome.reused for outcome in run_sweep(sweep)] == [True, True]
    assert pd.read_csv(sweep.write_results())["test_ap"].tolist() == [0.5, 0.5]
    monkeypatch.setattr(Sweep, "results", lambda self: pd.DataFrame({"cell": ["=1+1"], "test_=a": [-0.5]}))
    assert sweep.write_results().read_text() == "cell,test_=a\n'=1+1,-0.5\n"


def test_jobs_must_be_a_positive_integer(grid, tmp_path):
    with pytest.raises(ConfigError, match="--jobs"):
        Sweep(read_grid(grid(grid={"samsa.heads": [2]})), tmp_path / "out", jobs=0)


@pytest.mark.parametrize("setting", [("folds", "3"), ("ensemble", "2"), ("members", "trees")])
def test_settings_of_predictors_without_effect_are_refused(setting, grid, tmp_path):
    name, value = setting
    with pytest.raises(ConfigError, match=rf"predictor\.{name}: got '?{value}"):
        Sweep(read_grid(grid(grid={"samsa.heads": [2]})), tmp_path / "out", opts=[f"predictor.{name}", value])


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"key": 3, "folder": "x"}'])
def test_a_damaged_answer_of_a_run_is_named(grid, tmp_path, content):
    sweep = Sweep(read_grid(grid(grid={"samsa.layers": [1]}, seeds=1)), tmp_path / "out")
    path = tmp_path / "out" / ".cells" / "layers=1-0.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(DataIntegrityError, match=r"layers=1-0\.json") as caught:
        sweep.finished(sweep.runs[0])
    assert caught.value.hint == "Delete it: the same command then continues this run."


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"epochs": "1", "val": {}, "test": {}}'])
def test_a_damaged_summary_of_a_run_is_named(grid, tmp_path, content):
    sweep = Sweep(read_grid(grid(grid={"samsa.layers": [1]}, seeds=1)), tmp_path / "out")
    (job,) = sweep.runs
    answer, run = tmp_path / "out" / ".cells" / "layers=1-0.json", tmp_path / "out" / "layers=1" / "0"
    answer.parent.mkdir(parents=True)
    run.mkdir(parents=True)
    answer.write_text(json.dumps({"key": job.key, "folder": str(run)}))
    (run / "summary.json").write_text(content)
    with pytest.raises(DataIntegrityError, match=r"summary\.json"):
        sweep.finished(job)
