"""Sweeps: the runs of a grid, their commands and their results. `pyg_samsa.experiments.sweep_runs` carries them out."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, DataIntegrityError, check_choice
from pyg_samsa.experiments import grids
from pyg_samsa.experiments.grids import Cell, Grid
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import cfg, load_config, resolved
from pyg_samsa.graphgym.repeats import check_one_split
from pyg_samsa.io.files import atomic_write
from pyg_samsa.io.formulas import escape_table
from pyg_samsa.options import check_integer, plain
from pyg_samsa.predict.predictor_options import MEMBER_KINDS
from pyg_samsa.training.environment import available_cpus
from pyg_samsa.training.results import is_finished
from pyg_samsa.training.run_files import check_summary, read_mapping
from pyg_samsa.training.run_folder import SUMMARY, settings

RESULTS, LOGS, ANSWERS, STUDY = "results.csv", "logs", ".cells", "study.log"
_LOOK_AGAIN = "Delete it: the same command then continues this run."
SAMPLERS = ("grid", "tpe")
_NUMBERS = ("parameters", "best_epoch", "epochs", "seconds", "seconds_per_epoch")


@dataclass(frozen=True, eq=False)
class Job:
    """A cell of the grid with a seed.

    Args:
        cell: The cell.
        seed: The seed.
        opts: Overrides ``key value ...`` of the run.
        key: Digest of all settings of the run, including defaults, except how long it trains.
        epochs: Number of epochs.
        patience: Patience of early stopping; 0 for none.
        max_seconds: Limit of the time; None for none.

    Example:
        >>> cell = Cell("layers=2", "layers=2", {"samsa.layers": 2})
        >>> Job(cell, 3, ("samsa.layers", "2", "seed", "3"), "digest", epochs=5).title
        'layers=2, seed 3'
    """

    cell: Cell
    seed: int
    opts: tuple[str, ...]
    key: str
    epochs: int
    patience: int = 0
    max_seconds: float | None = None

    @property
    def title(self) -> str:
        """Text for the user."""
        return f"{self.cell.label}, seed {self.seed}"

    def is_done(self, summary: Mapping[str, Any]) -> bool:
        """Say whether a run with these results did all epochs, stopped early, or had no time.

        Args:
            summary: Has ``epochs``, ``waited`` and ``time_limit`` as in ``summary.json``.

        Example:
            >>> Job(Cell("layers=2", "layers=2", {}), 0, (), "digest", epochs=5).is_done({"epochs": 3})
            False
        """
        return is_finished(summary, max_epochs=self.epochs, patience=self.patience, max_seconds=self.max_seconds)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Args:
        job: The job.
        code: Exit code: 0 if finished, 130 if stopped.
        reason: Why the job failed or was stopped early; empty otherwise.
        reused: Whether the job had finished before.
        pruned: Whether it was stopped early, because others are better.
        elsewhere: Whether another worker carried it out.

    Example:
        >>> job = Job(Cell("layers=2", "layers=2", {}), 0, (), "digest", epochs=1)
        >>> Outcome(job).code, Outcome(job, 137, "killed by signal 9").reason
        (0, 'killed by signal 9')
    """

    job: Job
    code: int = 0
    reason: str = ""
    reused: bool = False
    pruned: bool = False
    elsewhere: bool = False


class Sweep:
    """The runs of a grid.

    Args:
        grid: The grid.
        out: Folder of all results: ``out/<cell>/<seed>`` and ``results.csv``.
        opts: Overrides ``key value ...`` for all cells; they override the ``set`` of the grid.
        jobs: Number of parallel runs of this process, which share the processors.
        imports: Modules of your own that every run imports, see `pyg_samsa.io.user_code`.
        storage: Journal file, or URL of a database, that all workers of the sweep share; None is ``out/study.log``.
        sampler: ``"grid"`` carries out every cell with every seed, ``"tpe"`` as many runs as ``trials`` says, of cells
            that Optuna's tree-structured Parzen estimator chooses.
        trials: Number of runs of the sampler ``tpe``, of all workers together; at least 1.
        prune: Whether runs are stopped early whose validation is worse than the median of the others.

    Raises:
        ConfigError: A setting of a cell is unknown or not allowed; nothing is run then.

    Example:
        >>> grid = Grid("depth", "quickstart", {}, [Cell("layers=2", "layers=2", {"samsa.layers": 2})], seeds=[0, 1])
        >>> [job.title for job in Sweep(grid, "results/depth").runs]
        ['layers=2, seed 0', 'layers=2, seed 1']
    """

    def __init__(
        self,
        grid: Grid,
        out: str | os.PathLike[str],
        *,
        opts: Sequence[str] = (),
        jobs: int = 1,
        imports: Sequence[str] = (),
        storage: str | None = None,
        sampler: str = "grid",
        trials: int | None = None,
        prune: bool = False,
    ) -> None:
        check_integer("--jobs", jobs)
        check_choice("--sampler", sampler, SAMPLERS)
        if (sampler == "tpe") != (trials is not None):
            given = "none" if trials is None else trials
            raise ConfigError("--trials", given, "a number of runs with --sampler tpe, and nothing without it")
        if trials is not None:
            check_integer("--trials", trials)
        if grid.metric and grid.metric not in (known := ["loss", *metrics.available()]):
            raise ConfigError("metric", grid.metric, known)
        self.grid, self.out, self.jobs = grid, Path(out).expanduser(), jobs
        self.storage, self.sampler, self.trials, self.prune = storage, sampler, trials, prune
        self.imports = list(imports)
        self.threads = max(1, available_cpus() // jobs)
        for word in opts:
            if (key := word.partition("=")[0]) in grid.keys:
                raise ConfigError("command line", key, "a setting that the grid does not vary")
        self.identity: dict[str, Any] = {}
        self.runs = [job for cell in grid.cells for job in self._check(cell, list(opts))]
        self.elsewhere: dict[Job, Mapping[str, Any]] = {}

    def _check(self, cell: Cell, opts: Sequence[str]) -> Iterator[Job]:
        """Load the config of a cell like its runs, which finds all errors."""
        words = [*_words(self.grid.common), *opts, *_words(cell.varied)]
        own = [
            "out_dir",
            str(self.out),
            "run_name",
            cell.name,
            "num_threads",
            str(self.threads),
            "train.auto_resume",
            "True",
        ]
        loaded = load_config(self.grid.base, [*words, *own])
        check_run()
        check_one_split()
        _check_predictor()
        config, epochs = settings(resolved(loaded)), int(cfg.optim.max_epoch)
        # What all cells share.
        known = self.identity if self.identity else {**config, "grid": list(self.grid.axes)}
        self.identity = {
            name: value
            for name, value in known.items()
            if name == "grid" or (name not in ("seed", *self.grid.keys) and config.get(name) == value)
        }
        for seed in self.grid.seeds:
            key = hashlib.sha256(
                json.dumps({**config, "seed": seed}, sort_keys=True, default=str).encode()
            ).hexdigest()[:16]
            limits = (epochs, int(cfg.train.patience), plain(cfg.train.max_seconds))
            yield Job(cell, seed, (*words, *own, "seed", str(seed)), key, *limits)

    def finished(self, job: Job) -> bool:
        """Say whether the folder holds a finished run with the same settings and at least as many epochs."""
        answer, summary = self._answer(job), self._summary(job)
        return answer is not None and answer["key"] == job.key and summary is not None and job.is_done(summary)

    def command(self, job: Job) -> list[str]:
        """Return the command of the process of a job."""
        return [
            sys.executable,
            "-m",
            "pyg_samsa.experiments.sweep_cell",
            *(word for name in self.imports for word in ("--import", name)),
            self.grid.base,
            str(self._answer_path(job)),
            job.key,
            *job.opts,
        ]

    def params(self, cell: Cell) -> dict[str, str]:
        """Return the parameters of a cell in Optuna's study: column of the grid -> value as text."""
        values = {"name": cell.given, **{key: grids.show_value(value) for key, value in cell.varied.items()}}
        return {name: values.get(name, "") for name in self.grid.columns or ["name"]}

    def _answer_path(self, job: Job) -> Path:
        return self.out / ANSWERS / f"{job.cell.name}-{job.seed}.json"

    def _answer(self, job: Job) -> Mapping[str, Any] | None:
        path = self._answer_path(job)
        answer = read_mapping(path, hint=_LOOK_AGAIN)
        if answer is not None and not all(isinstance(answer.get(name), str) for name in ("key", "folder")):
            raise DataIntegrityError(path, "key and folder of a run", "something else", hint=_LOOK_AGAIN)
        return answer

    def _summary(self, job: Job) -> Mapping[str, Any] | None:
        answer = self._answer(job)
        if answer is None:
            return None
        path = Path(answer["folder"]) / SUMMARY
        summary = read_mapping(path)
        if summary is not None:
            check_summary(path, summary, needed=("epochs", "val", "test"))
        return summary

    def result(self, job: Job) -> Mapping[str, Any] | None:
        """Return values of the summary of a finished job, its peak memory and folder; None if it is not finished."""
        if not self.finished(job):
            return self.elsewhere.get(job)
        answer, summary = self._answer(job) or {}, self._summary(job) or {}
        names = ("val", "test", "monitor", "waited", "time_limit", *_NUMBERS)
        own = {"peak_memory_mib": answer.get("peak_memory_mib"), "folder": answer["folder"]}
        return {**{name: summary.get(name) for name in names}, **own}

    def results(self) -> pd.DataFrame:
        """Return a row per finished run: cell, settings, seed, ``val_*`` and ``test_*`` metrics, cost and folder."""
        rows: list[dict[str, Any]] = []
        for job in self.runs:
            if (result := self.result(job)) is None:
                continue
            row: dict[str, Any] = {
                "cell": job.cell.label,
                **({"name": job.cell.given} if "name" in self.grid.columns else {}),
            }
            row |= {
                key: grids.show_value(job.cell.varied[key]) if key in job.cell.varied else "" for key in self.grid.keys
            }
            row |= {
                "seed": job.seed,
                **{f"{split}_{name}": value for split in ("val", "test") for name, value in result[split].items()},
            }
            rows.append({**row, **{name: result.get(name) for name in (*_NUMBERS, "peak_memory_mib", "folder")}})
        return pd.DataFrame(rows)

    def metric(self) -> str:
        """Return the column that tables and plots show, of the test split if there is one.

        It is the metric of the grid, or by default the one that chose the best epoch.

        Raises:
            ConfigError: The runs have no such metric.
        """
        table = self.results()
        first = next(result for job in self.runs if (result := self.result(job)) is not None)
        name = self.grid.metric or str(first.get("monitor") or "val_loss").removeprefix("val_")
        known = [column for column in map(str, table) if column.startswith(("val_", "test_"))]
        column = next((column for column in (f"test_{name}", f"val_{name}", name) if column in known), None)
        if column is None:
            raise ConfigError("metric", name, sorted({column.partition("_")[2] for column in known}))
        return column

    def write_results(self) -> Path:
        """Write the table of all finished runs atomically."""
        path = self.out / RESULTS
        table = self.results()
        if len(table) or path.exists():
            with atomic_write(path) as temporary:
                escape_table(table).to_csv(temporary, index=False)
        return path


def _check_predictor() -> None:
    """Refuse settings of predictors that would have no effect: a sweep compares networks."""
    chosen = cfg.predictor
    for name, effect, wanted in (
        ("folds", chosen.folds, 0),
        ("ensemble", chosen.ensemble > 1, 1),
        ("members", "network" not in MEMBER_KINDS.get(chosen.members, ("network",)), "network"),
    ):
        if effect:
            raise ConfigError(f"predictor.{name}", chosen[name], f"{wanted} in a sweep, which compares networks")


def _words(values: Mapping[str, Any]) -> list[str]:
    """Return settings as words of the command line, written as JSON, which YAML reads."""
    return [
        word for key, value in values.items() for word in (key, value if isinstance(value, str) else json.dumps(value))
    ]
