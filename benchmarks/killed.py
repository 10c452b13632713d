"""Kills commands at random moments and at every file, runs them again, and compares the result with an undisturbed run.

    python -m benchmarks.killed --scenario training --kills 30 --out training.json

A command runs in a process that is forked from this one, where all packages are imported already, so that most of its
time is work. Killed means SIGKILL to its process group, or, where a scenario goes by files, the end of the process in
place of the renaming that puts a file into its place. Linux only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch

from pyg_samsa.io import files

KILLED = 99
"""Exit code of a process that ends itself in place of a renaming."""
_SMALL = ["samsa.layers", "1", "samsa.channels", "8", "samsa.heads", "2", "num_threads", "1", "accelerator", "cpu"]
_TABLE = ["--csv", "table.csv", "--target-columns", "y"]
_TRAIN = ["train", "-q", *_TABLE, "--epochs", "2", *_SMALL, "boosting.trees", "3", "train.auto_resume", "True"]
_TRAIN += ["predictor.tree_inputs", '["maccs"]']
_PREDICT = ["predict", "-q", "model", "many.csv", "out.csv"]
TRAININGS = {
    "network": [*_TRAIN, "--only", "network", "predictor.refit", "none"],
    "refit": [*_TRAIN, "predictor.members", "all", "predictor.gp_inputs", '["maccs"]', "predictor.refit", "all"],
    "trees": [*_TRAIN, "--only", "trees"],
    "folds": [*_TRAIN, "--only", "network", "--folds", "2"],
}
"""Commands of trainings whose files are completed after a kill."""


def write_table(folder: Path, rows: int = 40, name: str = "table.csv") -> Path:
    """Write a table of alkanes and alcohols with a target ``y``; return the folder."""
    lines = "".join(f"{'C' * (n % 9 + 1)}{'O' * (n % 2)},{n % 9}.5\n" for n in range(rows))
    (folder / name).write_text(f"smiles,y\n{lines}")
    return folder


Command = Sequence[str] | Callable[[], int]
"""Arguments of ``pyg-samsa``, or a function that returns an exit code."""


def run_command(folder: Path, command: Command, *, rename: int | None = None, after: float | None = None) -> int:
    """Run a command in a process of its own, and return its exit code, or minus the number of the signal.

    The names to which it renames files are written into the file ``renamed`` of the folder.

    Args:
        folder: Folder to run it in.
        command: The command.
        rename: The process ends in place of this renaming, counted from 1; None for never.
        after: Seconds until its process group is killed; None for never.
    """
    from pyg_samsa.cli import main

    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            os.chdir(folder)
            log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            _count_renames(folder, rename)
            code = command() if callable(command) else main(list(command))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if after is not None:
        time.sleep(after)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _count_renames(folder: Path, last: int | None) -> None:
    replace, seen = os.replace, []

    def counted(source: Any, target: Any) -> None:
        seen.append(os.path.basename(target))
        if len(seen) == last:
            os._exit(KILLED)
        replace(source, target)
        (folder / "renamed").write_text("\n".join(seen))

    files.os.replace = counted  # type: ignore[assignment]


def content(folder: Path) -> dict[str, Any]:
    """Return the names of all files below a folder of results, and what in them does not depend on the clock."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if not path.name.endswith(".lock")):
        name = path.relative_to(folder).as_posix()
        if name.endswith("summary.json"):
            found[name] = _without_time(json.loads(path.read_text(encoding="utf-8")))
        elif name.endswith("metrics.csv"):
            found[name] = pd.read_csv(path).drop(columns=["seconds", "total_seconds"]).to_csv()
        else:
            found[name] = path.read_bytes() if path.suffix in (".csv", ".safetensors", ".yaml") else None
    return found


def _without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_time(inner) for key, inner in value.items() if "second" not in key and key != "written"}
    return [_without_time(inner) for inner in value] if isinstance(value, list) else value


def _results(folder: Path) -> Any:
    return content(folder / "results")


def _open_table(folder: Path) -> Any:
    from pyg_samsa.datasets import CSVMolecules

    return CSVMolecules(folder / "datasets", csv=folder / "table.csv", target_columns=["y"], progress=False)


def _prepare_here() -> int:
    return int(len(_open_table(Path.cwd())) == 0)


def _prepared(folder: Path) -> Any:
    """Return the names of the files below the folder of data sets, and a hash of each prepared tensor."""
    names = sorted(path.name for path in (folder / "datasets").rglob("*") if not path.name.endswith(".lock"))
    data = _open_table(folder)
    tensors = [value for _, value in sorted(data._data.to_dict().items()) if isinstance(value, torch.Tensor)]
    return names, [hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for tensor in tensors]


def _with_features(folder: Path) -> Any:
    """Return the data set with encodings and descriptors, which are computed in parts of some hundred rows."""
    from pyg_samsa.datasets import add_descriptors, base, encodings, molecule_descriptors

    with (
        patch.object(base, "_MAPPED_BYTES", 2**10),
        patch.object(encodings, "_PART_NODES", 500),
        patch.object(molecule_descriptors, "_PART_ROWS", 150),
    ):
        dataset = encodings.add_encoding(_open_table(folder), "lap+rwse", 4, folder=folder / "datasets", progress=False)
        return add_descriptors(dataset, ["maccs", "morgan_count"], folder=folder / "datasets", progress=False)


def _add_features() -> int:
    return int(len(_with_features(Path.cwd())) == 0)


def _features(folder: Path) -> Any:
    """Return the names of the files below the folder of data sets, and hashes of encodings and descriptors."""
    names = sorted(path.name for path in (folder / "datasets").rglob("*") if not path.name.endswith(".lock"))
    data = _with_features(folder)._data
    return names, [hashlib.sha256(data[key].numpy().tobytes()).hexdigest() for key in ("pe", "graph_features")]


def _output(folder: Path) -> Any:
    return (folder / "out.csv").read_bytes(), sorted(path.name for path in folder.glob("out*"))


def _table(folder: Path) -> Any:
    table = pd.read_csv(folder / "results" / "sweep-grid" / "results.csv")
    return table[
        [name for name in table if "second" not in name and "memory" not in name and name != "folder"]
    ].to_csv()


@dataclass(frozen=True)
class Scenario:
    """A command that is killed.

    Args:
        title: What it does.
        command: The command.
        outcome: What the command must leave in its folder, whatever happened before.
        prepare: Fills a new folder.
        by_file: Whether it is ended at each of its files, not at random moments.
    """

    title: str
    command: Command
    outcome: Callable[[Path], Any]
    prepare: Callable[[Path], Any]
    by_file: bool = False


def _for_training(folder: Path) -> None:
    write_table(folder)


def _for_prediction(folder: Path) -> None:
    from pyg_samsa.hub import find_pretrained

    shutil.copytree(find_pretrained("peptides"), folder / "model")
    write_table(folder, 1500, "many.csv")


def _for_preparation(folder: Path) -> None:
    write_table(folder, 3000)


def _for_features(folder: Path) -> None:
    write_table(folder, 1000)
    _open_table(folder)


def _for_sweep(folder: Path) -> None:
    write_table(folder)
    settings = {
        "dataset.csv": "table.csv",
        "dataset.target_columns": ["y"],
        "optim.max_epoch": 1,
        "predictor.members": "network",
    }
    grid = {"base": "csv", "set": settings, "grid": {"samsa.layers": [1, 2]}, "seeds": 1, "metric": "mae"}
    (folder / "grid.yaml").write_text(json.dumps(grid))


def _for_mixture(folder: Path) -> None:
    write_table(folder)
    table: dict[str, Any] = {"csv": "table.csv", "descriptors": []}
    tasks = [
        {"cfg": "csv", "name": "labels", "dataset": {**table, "target_columns": ["y"]}},
        {"cfg": "csv", "name": "hidden", "dataset": {**table, "task_type": "masked"}},
    ]
    content = {"tasks": tasks, "trunk": {"mixing": "annealed", "loss_weights": "uncertainty"}}
    (folder / "mixture.yaml").write_text(json.dumps(content))


_MIXTURE = ["train", "-q", "--cfg", "mixture.yaml", "optim.max_epoch", "6", *_SMALL, "train.auto_resume", "True"]
SCENARIOS = {
    "training": Scenario("training a network", TRAININGS["network"], _results, _for_training),
    "mixture": Scenario("training on two tasks together", _MIXTURE, _results, _for_mixture),
    **{
        f"finalisation-{kind}": Scenario(f"finalisation, {kind}", argv, _results, _for_training, by_file=True)
        for kind, argv in TRAININGS.items()
    },
    "prediction": Scenario("prediction of a table", _PREDICT, _output, _for_prediction),
    "preparation": Scenario("preparation of a data set", _prepare_here, _prepared, _for_preparation),
    "features": Scenario("encodings and descriptors", _add_features, _features, _for_features),
    "sweep": Scenario("sweep of two cells", ["sweep", "grid.yaml", *_SMALL[2:]], _table, _for_sweep),
}


def kill_all(name: str, kills: int, *, seed: int = 0) -> dict[str, Any]:
    """Kill a command again and again, each time in a new folder, and let it complete its work.

    Args:
        name: Name in `SCENARIOS`.
        kills: Number of kills at random moments; ``finalisation`` has one for every file.
        seed: Seed of the moments.

    Returns:
        ``kills``, ``late`` (commands that ended before their kill, which do not count), ``failures`` (texts), and
        ``seconds``.
    """
    scenario, generator = SCENARIOS[name], random.Random(seed)
    started = time.perf_counter()
    failures: list[str] = []
    done = late = 0
    with tempfile.TemporaryDirectory() as top:

        def new(number: object) -> Path:
            folder = Path(top) / str(number)
            folder.mkdir()
            scenario.prepare(folder)
            return folder

        whole = new("whole")
        run_command(
            new("warm"), scenario.command
        )  # the disk has read everything, so that the time below is that of work
        begun = time.perf_counter()
        if code := run_command(whole, scenario.command):
            log = (whole / "log").read_text(encoding="utf-8")[-2000:]
            raise RuntimeError(f"{name}: the undisturbed command ended with exit code {code}:\n{log}")
        seconds = time.perf_counter() - begun
        expected = scenario.outcome(whole)
        renames = len((whole / "renamed").read_text(encoding="utf-8").splitlines()) if scenario.by_file else 0
        number = 0
        while number < renames if scenario.by_file else done < kills:
            number += 1
            folder = new(number)
            moment = generator.uniform(0, seconds)
            how: dict[str, Any] = {"rename": number} if scenario.by_file else {"after": moment}
            code = run_command(folder, scenario.command, **how)
            if code not in (KILLED, -signal.SIGKILL):
                late += 1
                if late > 4 * max(kills, renames):
                    raise RuntimeError(f"{name}: the command ends before it can be killed")
                continue
            done += 1
            told = f"kill {number}" if scenario.by_file else f"kill after {moment:.2f} of {seconds:.2f} s"
            if code := run_command(folder, scenario.command):
                log = (folder / "log").read_text(encoding="utf-8").strip().splitlines()[-1:]
                failures.append(f"{told}: exit code {code}: {' '.join(log)}")
            elif scenario.outcome(folder) != expected:
                failures.append(f"{told}: another result")
            shutil.rmtree(folder)
    return {"kills": done, "late": late, "failures": failures, "seconds": round(time.perf_counter() - started, 1)}


def warm_up() -> None:
    """Import what the commands need, so that not every process imports it again."""
    import lightgbm  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import rdkit.Chem  # noqa: F401

    import pyg_samsa.cli
    import pyg_samsa.datasets
    import pyg_samsa.estimators
    import pyg_samsa.experiments.run
    import pyg_samsa.predict  # noqa: F401


def main(argv: list[str] | None = None) -> int:
    """Kill one command and write the outcome; return 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.killed", description=str(__doc__).splitlines()[0])
    parser.add_argument("--scenario", required=True, choices=SCENARIOS)
    parser.add_argument("--kills", type=int, default=30, help="kills at random moments (default: 30)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the outcome")
    args = parser.parse_args(argv)
    warm_up()
    found = kill_all(args.scenario, args.kills, seed=args.seed)
    with files.atomic_write(args.out) as partial:
        partial.write_text(json.dumps(found), encoding="utf-8")
    print(found)
    return int(bool(found["failures"]))


if __name__ == "__main__":
    sys.exit(main())
