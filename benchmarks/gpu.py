"""``python -m benchmarks.gpu``: everything that a GPU machine has to tell, with one command and without network.

Stages run one after the other, each in its own processes: prepare the data; the tests marked cuda; every operator
against the CPU in float64; attention and blocks against full attention; launches of a training step; seconds of an
epoch in several precisions; the training itself, within a limit of minutes; a report. A stage that fails does not stop
the others. The same command again skips the stages that are done, and continues a training with more minutes.

    python -m benchmarks.gpu                  # on a GPU: peptides_func.yaml
    python -m benchmarks.gpu --device cpu     # dry run without a GPU, with a small network
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import gpu_report
from pyg_samsa.errors import ConfigError, SAMSAError
from pyg_samsa.io.files import atomic_write, check_folder

STAGES = ("data", "tests", "operators", "kernels", "launches", "epochs", "training")
PRECISIONS = {
    "float32": ["train.precision", "32-true"],
    "TF32": ["train.precision", "32-true", "train.matmul_precision", "high"],
    "bf16": ["train.precision", "bf16-mixed", "train.matmul_precision", "high"],
    "TF32, compiled": ["train.precision", "32-true", "train.matmul_precision", "high", "train.compile", "True"],
    "bf16, compiled": ["train.precision", "bf16-mixed", "train.matmul_precision", "high", "train.compile", "True"],
}
"""Settings of the runs whose epochs are timed."""


@dataclass(frozen=True)
class Plan:
    """What is measured, and where.

    Args:
        device: ``cuda`` or ``cpu``.
        cfg: Config of epochs and training.
        root: Folder of prepared data sets.
        out: Folder of the results.
        minutes: Minutes of the training.
        epochs: Epochs that are timed in each precision; the first one is not counted where there are several.
        limit: Minutes after which a command of another stage is stopped.
        settings: Overrides of the config, key and value in turn.
        resume: Whether runs that were stopped are continued.
    """

    device: str
    cfg: str
    root: str
    out: Path
    minutes: float
    epochs: int
    limit: float
    settings: tuple[str, ...] = ()
    resume: bool = True

    def train(self, name: str, *settings: str) -> list[str]:
        """Return the command of a run in the folder of the results."""
        fixed = ["out_dir", str(self.out / "runs"), "run_name", gpu_report.slug(name), "dataset.dir", self.root]
        fixed += ["accelerator", "cpu" if self.device == "cpu" else "gpu", "train.auto_resume", str(self.resume)]
        return [*_PYTHON, "pyg_samsa", "train", "--cfg", self.cfg, *fixed, *self.settings, *settings]


_PYTHON = [sys.executable, "-m"]


def commands(stage: str, plan: Plan) -> dict[str, list[str]]:
    """Return the commands of a stage by name.

    Args:
        stage: One of `STAGES`.
        plan: What is measured.
    """
    root, device = ["--root", plan.root], ["--device", plan.device]
    quick = ["--quick", "--rounds", "2"] if plan.device == "cpu" else []
    if stage == "data":
        return {"data": [*_PYTHON, "pyg_samsa", "data", "pack", str(plan.out / "data.zip"), *root, "--cfg", plan.cfg]}
    if stage == "tests":
        junit = f"--junitxml={plan.out / 'tests.xml'}"
        return {"tests": [*_PYTHON, "pytest", "-m", "cuda", junit, "-p", "no:cacheprovider", "tests"]}
    if stage == "operators":
        return {"operators": [*_PYTHON, "benchmarks.operators", *device, "--out", str(plan.out / "operators.json")]}
    if stage == "kernels":
        suites = ["--suite", "attention", "block", *root, *device, *quick]
        return {
            f"kernels in {dtype}": [
                *_PYTHON,
                "benchmarks.run",
                *suites,
                "--dtype",
                dtype,
                "--out",
                str(plan.out / "kernels" / dtype),
            ]
            for dtype in ("float32", "bfloat16")
        }
    if stage == "launches":
        few = ["--graphs", "4"] if quick else []
        return {"launches": [*_PYTHON, "benchmarks.step_counts", *root, *few, "--out", str(plan.out / "launches.json")]}
    if stage == "epochs":
        return {
            f"epochs of {name}": plan.train(name, "optim.max_epoch", str(plan.epochs), *settings)
            for name, settings in PRECISIONS.items()
        }
    time_limit = ["train.max_seconds", str(60 * plan.minutes), "train.fit_schedule", "True"]
    return {"training": plan.train("training", *time_limit, *PRECISIONS["bf16, compiled"])}


_OUTPUTS = {
    "tests": ("tests.xml",),
    "operators": ("operators.json",),
    "launches": ("launches.json",),
    **{f"kernels in {dtype}": (f"kernels/{dtype}/results.md",) for dtype in ("float32", "bfloat16")},
}


def run_stages(stages: Sequence[str], plan: Plan, *, again: bool) -> dict[str, Any]:
    """Run the commands of stages, and write what became of them into ``state.json`` after each.

    Args:
        stages: Names in `STAGES`.
        plan: What is measured.
        again: Whether commands that succeeded before are run again.

    Returns:
        Command, exit code and seconds of every command, by name.
    """
    path = plan.out / "state.json"
    state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for stage in stages:
        for name, command in commands(stage, plan).items():
            before = state.get(name, {})
            if not again and before.get("returncode") == 0 and before.get("command") == command:
                print(f"{name}: done before", flush=True)
                continue
            for old in _OUTPUTS.get(name, ()):  # what an earlier run left is no result of this one
                (plan.out / old).unlink(missing_ok=True)
            print(f"\n{name}: {' '.join(command[1:])}", flush=True)
            minutes = plan.limit + (plan.minutes if stage == "training" else 0)
            returncode, seconds = run_command(command, plan.out / "logs" / f"{gpu_report.slug(name)}.log", 60 * minutes)
            state[name] = {"command": command, "returncode": returncode, "seconds": round(seconds, 1)}
            with atomic_write(path) as partial:
                partial.write_text(json.dumps(state, indent=1), encoding="utf-8")
            print(f"{name}: {gpu_report.outcome(state[name])} after {seconds:.0f} s", flush=True)
    return state


def run_command(command: Sequence[str], log: Path, limit: float) -> tuple[int | None, float]:
    """Run a command, show its output, and write it to a file.

    Args:
        command: Program and arguments.
        log: File for the output.
        limit: Seconds after which it is interrupted, as by Ctrl-C, and 20 seconds later killed.

    Returns:
        Its exit code, None where it took too long, and its seconds.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    # A process group of its own, so that all processes of the command can be stopped.
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
    process = subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **options)
    late = threading.Event()
    timers = [threading.Timer(limit, late.set)]
    timers += [threading.Timer(limit + wait, _stop, (process, number)) for wait, number in _STOPS]
    for timer in timers:
        timer.start()
    try:
        assert process.stdout is not None
        with open(log, "wb") as file:
            for line in process.stdout:
                file.write(line)
                sys.stdout.write(line.decode("utf-8", "replace"))
                sys.stdout.flush()
        returncode = process.wait()
    finally:
        for timer in timers:
            timer.cancel()
        _stop(process, _KILL)
    return None if late.is_set() else returncode, time.perf_counter() - started


_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_STOPS = ((0.0, signal.SIGINT), (20.0, _KILL))


def _stop(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to all processes of a command; some may live on after the first has ended."""
    if not hasattr(os, "killpg"):
        process.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def main(argv: list[str] | None = None) -> int:
    """Run the stages and write the report; return 1 where a command failed, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"], help="cpu for a dry run (default: cuda)")
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES, help="default: all")
    parser.add_argument(
        "--cfg", default="", help="config of epochs and training (default: peptides_func; small/peptides_bridge on cpu)"
    )
    parser.add_argument("--minutes", type=float, help="minutes of the training (default: 15; 1 on cpu)")
    parser.add_argument("--epochs", type=int, help="epochs timed in each precision (default: 3; 1 on cpu)")
    parser.add_argument(
        "--limit", type=float, default=10, help="minutes after which another command is stopped (default: 10)"
    )
    parser.add_argument("--again", action="store_true", help="run stages again that are done")
    parser.add_argument("--root", default="datasets", help="folder of prepared data sets (default: datasets)")
    parser.add_argument("--out", default="results/gpu", help="folder of the results (default: results/gpu)")
    parser.add_argument("settings", nargs="*", metavar="key value", help="overrides of the config")
    args = parser.parse_args(argv)
    cpu = args.device == "cpu"
    plan = Plan(
        device=args.device,
        cfg=args.cfg or ("small/peptides_bridge" if cpu else "peptides_func"),
        root=args.root,
        out=Path(args.out),
        minutes=args.minutes if args.minutes is not None else 1 if cpu else 15,
        epochs=args.epochs if args.epochs is not None else 1 if cpu else 3,
        limit=args.limit,
        settings=tuple(args.settings),
        resume=not args.again,
    )
    try:
        _check(plan)
    except SAMSAError as error:
        parser.error(str(error))
    state = run_stages(args.stages, plan, again=args.again)
    print(f"\nwritten: {gpu_report.write(plan.out, state, list(PRECISIONS))}")
    asked = [name for stage in args.stages for name in commands(stage, plan)]
    return int(any(state[name]["returncode"] != 0 for name in asked))


def _check(plan: Plan) -> None:
    """Raise ConfigError for what cannot work, before anything runs."""
    import torch

    for option, value in (("--minutes", plan.minutes), ("--epochs", plan.epochs), ("--limit", plan.limit)):
        if value <= 0:
            raise ConfigError(option, value, "a number above 0")
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device", "cuda", "a GPU that torch sees", hint="For a dry run without one: --device cpu")
    check_folder("--out", plan.out)
    check_config(plan)


def check_config(plan: Plan) -> None:
    """Raise ConfigError where the config or its overrides are wrong."""
    from pyg_samsa.graphgym.checks import check_run
    from pyg_samsa.graphgym.config import load_config

    train = plan.train("training")
    load_config(plan.cfg, train[train.index("--cfg") + 2 :])
    check_run()


if __name__ == "__main__":
    sys.exit(main())
