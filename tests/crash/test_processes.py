"""Kills of workers of a sweep and of processes of a run; they take minutes and are skipped unless asked for.

``PYG_SAMSA_TORTURE=1 python -m pytest tests/crash/test_processes.py`` runs them.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.skipif(os.environ.get("PYG_SAMSA_TORTURE") != "1", reason="PYG_SAMSA_TORTURE is not 1")
HERE = Path(__file__).parent
KILLS = 40
# Starts workers by fork, which is fast, and kills each after a while; the last one finishes the sweep.
SWEEP = """
import json, os, random, signal, sys, time
sys.path.insert(0, sys.argv[1])
import test_sweep_runs as tests
grid, out, kills = tests.read_grid(sys.argv[2]), sys.argv[3], int(sys.argv[4])
tests.Sweep.command = tests.fake_command
tests.sweep_runs.POLL_SECONDS = 0.02
random.seed(0)
for _ in range(kills):
    if not (worker := os.fork()):
        tests.run_sweep(tests.Sweep(grid, out))
        os._exit(0)
    time.sleep(random.uniform(0.5, 2.5))
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
outcomes = tests.run_sweep(tests.Sweep(grid, out))
print(json.dumps([[outcome.code, outcome.reused] for outcome in outcomes]))
"""
CONFIG = {
    "dataset": {"format": "tiny", "name": "multilabel", "task": "graph", "task_type": "classification_multilabel"},
    "metric_best": "ap",
    "num_threads": 1,
    "accelerator": "cpu",
    "train": {"batch_size": 2, "process_timeout": 1.0},
    "model": {"type": "samsa", "loss_fun": "cross_entropy"},
    "samsa": {"layers": 2, "channels": 8, "heads": 2, "num_samples": 4},
    "optim": {"optimizer": "adamW", "base_lr": 0.01, "max_epoch": 2000},
}
TRAIN = """
import runpy, sys
runpy.run_path({tiny!r})
from pyg_samsa.cli import main
if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
"""


def environment():
    clean = {key: value for key, value in os.environ.items() if key not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    return {**clean, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def test_a_sweep_whose_workers_are_killed_again_and_again(tmp_path):
    settings = {"optim.max_epoch": 4, "optim.num_warmup_epochs": 0, "samsa": {"channels": 8, "heads": 2}}
    cells = 2 * KILLS
    grid = {"base": "small/shapes", "set": settings, "grid": {"samsa.layers": [1]}, "seeds": cells}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(grid))
    words = [str(HERE.parent / "experiments"), str(tmp_path / "small.yaml"), str(tmp_path / "out"), str(KILLS)]
    variables = {**environment(), "STARTS": str(tmp_path / "starts"), "SECONDS_OF_A_RUN": "0.4"}
    command = [sys.executable, "-c", SWEEP, *words]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    assert [code for code, _ in outcomes] == [0] * cells
    starts = [line.split()[0] for line in (tmp_path / "starts").read_text().splitlines()]
    print(f"{KILLS} kills, {len(starts)} starts of {cells} runs")
    assert len(set(starts)) == cells
    # Only a run whose worker was killed starts again.
    assert len(starts) <= cells + KILLS
    assert len(pd.read_csv(tmp_path / "out" / "results.csv")) == cells


@pytest.mark.parametrize("starter", ["torchrun", "devices"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_is_one_message_and_the_run_is_continued(tmp_path, starter, blow):
    (tmp_path / "exp.yaml").write_text(yaml.safe_dump(CONFIG))
    (tmp_path / "go.py").write_text(TRAIN.format(tiny=str(HERE.parent / "tiny.py")))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["go.py", "--cfg", "exp.yaml", *([] if starter == "torchrun" else ["devices", "2"])]
    command = [sys.executable, *(torchrun if starter == "torchrun" else []), *words]
    metrics = tmp_path / "results" / "exp" / "0" / "metrics.csv"
    with open(tmp_path / "log", "w") as log:
        run = subprocess.Popen(command, env=environment(), cwd=tmp_path, stdout=log, stderr=log)
        try:
            epochs = wait_for_epoch(run, metrics, 2)
            time.sleep(random.uniform(0, 0.5))
            os.kill(children(run.pid)[-1], blow)
            code = run.wait(timeout=240)
        finally:
            for process in (*children(run.pid), run.pid):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
    told = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("error:")]
    reason = "has ended" if blow == signal.SIGKILL else "did not answer in time"
    assert told == [f"error: another process of this run {reason}"]
    assert code != 0
    again = [*command, "train.auto_resume", "True", "optim.max_epoch", str(epochs + 200)]
    with open(tmp_path / "again", "w") as log:
        subprocess.run(again, env=environment(), cwd=tmp_path, stdout=log, stderr=log, timeout=400, check=True)
    assert pd.read_csv(metrics)["epoch"].tolist() == list(range(1, epochs + 201))


def wait_for_epoch(run, metrics, epoch):
    for _ in range(1200):
        assert run.poll() is None
        if metrics.is_file() and (count := len(metrics.read_text().splitlines()) - 1) >= epoch:
            return count
        time.sleep(0.1)
    raise TimeoutError(metrics)


def children(pid):
    """Return the processes that a process started, oldest first."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(child) for child in found]
