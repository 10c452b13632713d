import sys
import time

import pytest
import yaml

from pyg_samsa import cli
from pyg_samsa.cli import _slurm, main
from pyg_samsa.cli._slurm import Command, parse
from pyg_samsa.errors import ConfigError, MissingDependencyError

SMALL = {
    "dataset": {"format": "samsa", "name": "shapes", "per_family": 3, "num_points": 8},
    "samsa": {"layers": 1, "channels": 8, "heads": 2, "num_samples": 4},
    "optim": {"max_epoch": 1, "num_warmup_epochs": 0},
    "accelerator": "cpu",
    "num_threads": 1,
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A small config in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(SMALL))
    return "tiny.yaml"


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("4:00:00", 240), ("1:30", 2), ("0:10:01", 11), ("2-00", 2880), ("1-12:30", 2190), ("1-0:0:1", 1441)],
)
def test_times_are_those_of_slurm(text, minutes):
    assert parse(f"time={text}")["time"] == minutes


def test_each_gpu_has_a_process_if_nothing_else_is_said():
    assert parse("time=1,gpus_per_node=4")["tasks_per_node"] == 4
    assert parse("time=1,gpus_per_node=4,tasks_per_node=1")["tasks_per_node"] == 1
    assert "tasks_per_node" not in parse("time=1,gpus_per_node=1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("parttion=gpu,time=1", "--slurm: got 'parttion', expected one of 'cluster', 'time', 'partition', 'nodes'"),
        ("partition,time=1", "--slurm: got 'partition', expected partition=VALUE"),
        ("partition=,time=1", "--slurm partition: got ''"),
        ("partition=gpu", "--slurm: got 'partition=gpu', expected the longest time of the job"),
        ("", "--slurm: got '', expected the longest time of the job"),
        ("time=soon", "--slurm time: got 'soon', expected a time such as 90"),
        ("time=0", "--slurm time: got '0', expected at least a minute"),
        ("time=1,nodes=²", "--slurm nodes: got '²', expected a whole number"),
        ("time=1,nodes=2,3", "--slurm nodes: got '2,3', expected a whole number"),
        ("time=1,nodes=0", "--slurm nodes: got '0', expected a whole number"),
        ("time=1,mem_gb=much", "--slurm mem_gb: got 'much', expected a number of gigabytes"),
        ("time=1,cluster=loca", "--slurm cluster: got 'loca', expected one of 'slurm', 'local'"),
        ("time=1,cluster=local,gpus_per_node=2", "--slurm tasks_per_node: got 2, expected 1 with cluster=local"),
    ],
)
def test_wrong_keys_and_values_are_one_line(config, capsys, text, told):
    assert main(["train", "--cfg", config, "--slurm", text]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"error: {told}")
    assert all(line.startswith("hint: ") for line in lines[1:])


def test_a_wrong_setting_is_told_before_anything_is_submitted(config, capsys, monkeypatch):
    monkeypatch.setattr(_slurm, "submit", None)
    assert main(["train", "--cfg", config, "--slurm", "time=1", "samsa.layer", "2"]) == 2
    assert "samsa.layer" in capsys.readouterr().err


def test_without_slurm_and_without_submitit_the_error_says_so(config, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert main(["train", "--cfg", config, "--slurm", "time=1"]) == 2
    told = capsys.readouterr().err
    assert "error: --slurm: got 'cluster=slurm,time=1', expected a job that can be submitted (Could not detect" in told
    assert "cluster=local" in told
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingDependencyError, match="submitit"):
        _slurm.submit(Command([], []), parse("time=1"), None)


def test_a_job_that_starts_again_continues_its_run(monkeypatch):
    pytest.importorskip("submitit")
    seen = []
    monkeypatch.setattr(cli, "main", lambda words: seen.append(words) or 0)
    command = Command(["train", "--cfg", "a"], ["train.auto_resume", "True"])
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    command()
    again = command.checkpoint().function
    again()
    again.checkpoint().function()
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    command()
    resumed = ["train", "--cfg", "a", "train.auto_resume", "True"]
    assert seen == [["train", "--cfg", "a"], resumed, resumed, resumed]
    monkeypatch.setattr(cli, "main", lambda words: 4)
    with pytest.raises(RuntimeError, match="exit code 4"):
        command()


@pytest.mark.slow
def test_a_job_of_this_machine_trains(config, tmp_path, capsys):
    pytest.importorskip("submitit")
    words = ["--out", "found", "--slurm", "cluster=local,time=10", "dataset.dir", str(tmp_path / "data")]
    assert main(["train", "--cfg", config, *words]) == 0
    shown = capsys.readouterr().out
    job = shown.split("submitted job ")[1].split()[0]
    log = tmp_path / "found" / "slurm" / f"{job}_0_log.out"
    assert f"tail -F {log}" in shown
    summary = tmp_path / "found" / "tiny" / "0" / "summary.json"
    for _ in range(600):
        if (log.with_name(f"{job}_0_result.pkl")).exists():
            break
        time.sleep(0.2)
    assert summary.is_file(), log.read_text()
    assert "Network with the weights" in log.read_text()


def test_the_time_is_needed():
    with pytest.raises(ConfigError, match="time=4:00:00"):
        parse("cluster=local")
