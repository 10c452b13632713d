"""The contestants of ``benchmarks.molecules``: commands that train on a table, and readers of what they leave."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from benchmarks.molecule_sets import SPLIT_COLUMN, MoleculeSet
from pyg_samsa.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("chemprop", "lightgbm", "lightgbm-morgan", "lightgbm+val", "lightgbm-morgan+val")
Scores = dict[str, dict[str, float]]
"""Name of a row of the table -> ``"test"`` and, where it is known, ``"val"`` -> value of the metric."""


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        data: The table.
        split: The split column.
        seed: The seed.
        threads: Number of threads.
        folder: Empty folder of the job; its ``table.csv`` holds the table.
    """

    data: MoleculeSet
    split: str
    seed: int
    threads: int
    folder: Path

    @property
    def table(self) -> Path:
        """The table as all contestants get it."""
        return self.folder / "table.csv"

    def rows(self, part: str) -> np.ndarray:
        """Return which rows belong to train, val or test, bool [G]."""
        return self.data.splits[self.split] == part


class Contestant(Protocol):
    """A command that trains on a table.

    Attributes:
        name: Name in the table.
        flags: Options of the user.
        own_environment: Whether the program brings its own packages, so that ours must be hidden from it.
        seeded: Whether the result depends on the seed; if not, only the first seed is run.
    """

    name: str
    flags: str
    own_environment: bool
    seeded: bool

    def command(self, job: Job) -> list[str]:
        """Return the command, which runs in the folder of the job."""

    def scores(self, job: Job) -> Scores:
        """Read the values of the metric from the folder of the job; the first one is the contestant's own."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that matter."""


@dataclass(frozen=True)
class Ours:
    """``pyg-samsa train --csv``.

    Its metrics are read from the folder of the run: those of the saved predictor, and those of the network alone.

    Args:
        name: Name in the table.
        flags: Further arguments of the command, with the quotes of a shell.
        program: The command line.
    """

    name: str
    flags: str = ""
    program: Sequence[str] = (sys.executable, "-m", "pyg_samsa")
    own_environment: bool = False
    seeded: bool = True

    def command(self, job: Job) -> list[str]:
        """Return the command; overrides come first, because some options take all words after them."""
        settings = {
            "seed": job.seed,
            "num_threads": job.threads,
            "accelerator": "cpu",
            "dataset.dir": job.folder / "datasets",
        }
        return [
            *self.program,
            "train",
            *(str(word) for setting in settings.items() for word in setting),
            "--csv",
            str(job.table),
            "--smiles-column",
            job.data.smiles,
            "--split-column",
            SPLIT_COLUMN,
            "--target-columns",
            *job.data.targets,
            "--out",
            str(job.folder / "results"),
            *shlex.split(self.flags),
        ]

    def scores(self, job: Job) -> Scores:
        """Read the metrics of the predictor, and of the network or networks in it.

        Raises:
            DataError: There is no test value, or there are several runs that are not members of one predictor.
        """
        results = job.folder / "results"
        predictors = [_metrics(job, path, "metrics") for path in _shallowest(results, "predictor.json")]
        summaries = _shallowest(results, "summary.json")
        found = predictors or [_metrics(job, path) for path in summaries]
        if len(found) != 1 or "test" not in found[0]:
            raise DataError(f"{len(found)} results with a test {job.data.metric}, expected 1")
        scores: Scores = {self.name: found[0]}
        from pyg_samsa.experiments.candidates import NETWORK

        candidates = json.loads(summaries[0].read_text(encoding="utf-8")).get("predictor", {}).get("scores", {})
        for name, values in candidates.items():
            if name == NETWORK or name.endswith(" networks"):
                scores[f"{self.name}, {name} alone"] = _values(job, values)
        return scores

    def versions(self) -> dict[str, str]:
        """Return the version of this package and of torch."""
        return {name: metadata.version(name) for name in ("pyg-samsa", "torch")} | _commit()


@dataclass(frozen=True)
class Chemprop:
    """chemprop 2 with its defaults, in its own environment.

    Args:
        program: Its executable.
    """

    program: str
    name: str = "chemprop"
    flags: str = ""
    own_environment: bool = True
    seeded: bool = True

    def command(self, job: Job) -> list[str]:
        """Return the command; chemprop predicts the test rows at the end of a training."""
        return [
            self.program,
            "train",
            "--data-path",
            str(job.table),
            "--output-dir",
            str(job.folder / "out"),
            "--task-type",
            "regression" if job.data.task == "regression" else "classification",
            "--smiles-columns",
            job.data.smiles,
            "--target-columns",
            *job.data.targets,
            "--splits-column",
            SPLIT_COLUMN,
            "--pytorch-seed",
            str(job.seed),
            "--accelerator",
            "cpu",
            "--num-workers",
            "0",
        ]

    def scores(self, job: Job) -> Scores:
        """Score its predictions for the test rows."""
        path = job.folder / "out" / "model_0" / "test_predictions.csv"
        place = job.data.header.index(job.data.smiles)
        expected = [row[place] for row, test in zip(job.data.rows, job.rows("test"), strict=True) if test]
        if pd.read_csv(path, dtype=str)[job.data.smiles].tolist() != expected:
            raise DataError(f"{path}: the molecules are not the test rows of {job.data.name} in their order")
        return {self.name: {"test": _score(job, _read(path, job.data.targets), "test")}}

    def versions(self) -> dict[str, str]:
        """Return the version that the program names."""
        found = subprocess.run([self.program, "--version"], capture_output=True, text=True, env=environment(self))
        return {"chemprop": (found.stdout.split() or ["unknown"])[-1]}


@dataclass(frozen=True)
class LightGBM:
    """RDKit's descriptors and LightGBM, both with their defaults, which use no random numbers.

    Args:
        name: ``"lightgbm"``, ``"lightgbm-morgan"`` to add counts of Morgan fragments; with ``"+val"`` the trees are
            fitted to training and validation rows, because they do not need the latter for anything else.
    """

    name: str = "lightgbm"
    flags: str = ""
    own_environment: bool = False
    seeded: bool = False

    def command(self, job: Job) -> list[str]:
        """Return the command."""
        return [
            sys.executable,
            "-m",
            "benchmarks.lightgbm_peer",
            str(job.table),
            str(job.folder / "predictions.csv"),
            "--smiles-column",
            job.data.smiles,
            "--split-column",
            SPLIT_COLUMN,
            "--seed",
            str(job.seed),
            "--threads",
            str(job.threads),
            *(["--labels"] if job.data.task != "regression" else []),
            *(["--morgan"] if "-morgan" in self.name else []),
            *(["--fit-validation"] if self.name.endswith("+val") else []),
            "--target-columns",
            *job.data.targets,
        ]

    def scores(self, job: Job) -> Scores:
        """Score its predictions for test rows, and for validation rows if it was not fitted to them."""
        predicted = _read(job.folder / "predictions.csv", job.data.targets)
        parts = ("test",) if self.name.endswith("+val") else ("val", "test")
        return {self.name: {part: _score(job, predicted[job.rows(part)], part) for part in parts}}

    def versions(self) -> dict[str, str]:
        """Return the versions of LightGBM and RDKit."""
        return {name: metadata.version(name) for name in ("lightgbm", "rdkit")}


def _shallowest(folder: Path, name: str) -> list[Path]:
    """Return the files of a name that lie least deep in a folder, in order."""
    paths = sorted(folder.rglob(name))
    least = min((len(path.parts) for path in paths), default=0)
    return [path for path in paths if len(path.parts) == least]


def _metrics(job: Job, path: Path, key: str | None = None) -> dict[str, float]:
    """Return the values of the metric in a JSON file of a run, by split."""
    values = json.loads(path.read_text(encoding="utf-8"))
    return _values(job, values[key] if key else values)


def _values(job: Job, values: Mapping[str, Any]) -> dict[str, float]:
    metric = job.data.metric
    return {part: float(values[part][metric]) for part in ("val", "test") if metric in values.get(part, {})}


def _read(path: Path, targets: Sequence[str]) -> np.ndarray:
    return pd.read_csv(path)[list(targets)].to_numpy(np.float64)


def _score(job: Job, predicted: np.ndarray, part: str) -> float:
    rows = job.rows(part)
    if len(predicted) != rows.sum():
        raise DataError(f"{job.data.name}: {len(predicted)} predictions for {rows.sum()} rows of {part}")
    return job.data.score(predicted, rows)


def _commit() -> dict[str, str]:
    """Return the commit of this checkout; empty outside of one."""
    if shutil.which("git") is None:
        return {}
    found = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    return {"commit": found.stdout.strip()} if found.returncode == 0 else {}


def environment(contestant: Contestant) -> dict[str, str]:
    """Return the environment variables of a contestant: our packages are on the path of ours only."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    if not contestant.own_environment:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return env


def find_chemprop(given: str | None) -> str | None:
    """Return the path of chemprop's executable, or None where there is none.

    Args:
        given: Path or name; None searches ``PATH``.

    Raises:
        ConfigError: ``given`` cannot be run.
    """
    found = shutil.which(given or "chemprop")
    if given and found is None:
        raise ConfigError("--chemprop", given, "the path of an executable, such as chemprop-venv/bin/chemprop")
    return os.path.abspath(found) if found else None


def parse_ours(text: str) -> Ours:
    """Read ``NAME=FLAGS``.

    Raises:
        ConfigError: The name is missing, or is that of a peer, or a quote is not closed.
    """
    name, equals, flags = text.partition("=")
    name = name.strip()
    if not equals or not name or name in PEERS or name.startswith("-"):
        raise ConfigError("--ours", text, 'NAME=FLAGS, such as "mse=model.loss_fun mse"')
    try:
        words: list[Any] = shlex.split(flags)
    except ValueError:
        raise ConfigError("--ours", text, "quotes in pairs") from None
    return Ours(name, shlex.join(words))
