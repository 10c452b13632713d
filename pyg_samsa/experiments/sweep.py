"""Sweeps: every cell of a grid is a run in its own process; finished runs are not repeated."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.experiments import grids
from pyg_samsa.experiments.grids import Cell, Grid
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import cfg, load_config, resolved
from pyg_samsa.io.files import atomic_write
from pyg_samsa.io.formulas import escape_table
from pyg_samsa.options import check_integer, plain
from pyg_samsa.predict.predictor_options import MEMBER_KINDS
from pyg_samsa.training.environment import available_cpus
from pyg_samsa.training.results import is_finished
from pyg_samsa.training.run_files import check_summary, read_mapping
from pyg_samsa.training.run_folder import SUMMARY, settings

RESULTS, LOGS, ANSWERS = "results.csv", "logs", ".cells"
_LOOK_AGAIN = "Delete it: the same command then continues this run."
GRACE_SECONDS, POLL_SECONDS = 30.0, 0.5
_NUMBERS = ("parameters", "best_epoch", "epochs", "seconds", "seconds_per_epoch")


@contextmanager
def interrupts_noted() -> Iterator[threading.Event]:
    """Set an event on Ctrl-C, beside the exception, which Python drops where it arrives in a callback.

    Example:
        >>> with interrupts_noted() as interrupted:
        ...     interrupted.is_set()
        False
    """
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield noted
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        noted.set()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True, eq=False)
class Job:
    """A cell of the grid with a seed.

    Args:
        cell: The cell.
        seed: The seed.
        opts: Overrides ``key value ...`` of the run.
        key: Digest of all settings of the run, including defaults.
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


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Args:
        job: The job.
        code: Exit code: 0 if finished, 130 if stopped.
        reason: Why the job failed; empty otherwise.
        reused: Whether the job had finished before.

    Example:
        >>> job = Job(Cell("layers=2", "layers=2", {}), 0, (), "digest", epochs=1)
        >>> Outcome(job).code, Outcome(job, 137, "killed by signal 9").reason
        (0, 'killed by signal 9')
    """

    job: Job
    code: int = 0
    reason: str = ""
    reused: bool = False


class Sweep:
    """The runs of a grid.

    Args:
        grid: The grid.
        out: Folder of all results: ``out/<cell>/<seed>`` and ``results.csv``.
        opts: Overrides ``key value ...`` for all cells; they override the ``set`` of the grid.
        jobs: Number of parallel runs, which share the processors.
        imports: Modules of your own that every run imports, see `pyg_samsa.io.user_code`.

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
    ) -> None:
        check_integer("--jobs", jobs)
        if grid.metric and grid.metric not in (known := ["loss", *metrics.available()]):
            raise ConfigError("metric", grid.metric, known)
        self.grid, self.out, self.jobs = grid, Path(out).expanduser(), jobs
        self.imports = list(imports)
        self.threads = max(1, available_cpus() // jobs)
        for word in opts:
            if (key := word.partition("=")[0]) in grid.keys:
                raise ConfigError("command line", key, "a setting that the grid does not vary")
        self.runs = [job for cell in grid.cells for job in self._check(cell, list(opts))]
        self._stop, self._running, self._guard = threading.Event(), set[subprocess.Popen](), threading.Lock()

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
        _check_predictor()
        config, epochs = settings(resolved(loaded)), int(cfg.optim.max_epoch)
        for seed in self.grid.seeds:
            key = hashlib.sha256(
                json.dumps({**config, "seed": seed}, sort_keys=True, default=str).encode()
            ).hexdigest()[:16]
            limits = (epochs, int(cfg.train.patience), plain(cfg.train.max_seconds))
            yield Job(cell, seed, (*words, *own, "seed", str(seed)), key, *limits)

    def finished(self, job: Job) -> bool:
        """Say whether a job has finished with the same settings and at least as many epochs."""
        answer, summary = self._answer(job), self._summary(job)
        if answer is None or answer["key"] != job.key or summary is None:
            return False
        return is_finished(summary, max_epochs=job.epochs, patience=job.patience, max_seconds=job.max_seconds)

    def run(self, on_outcome: Callable[[Outcome], None] = lambda _: None) -> list[Outcome]:
        """Run all unfinished jobs; a failing run does not stop the others.

        Args:
            on_outcome: Called in this thread with each outcome.

        Raises:
            KeyboardInterrupt: The user stopped the sweep. All runs were stopped and can be continued.

        Returns:
            The outcomes, in the order of the jobs.
        """
        outcomes = {job: Outcome(job, reused=True) for job in self.runs if self.finished(job)}
        for outcome in outcomes.values():
            on_outcome(outcome)
        self.write_results()
        with interrupts_noted() as interrupted, ThreadPoolExecutor(self.jobs) as pool:
            try:
                waiting = {pool.submit(self._run, job) for job in self.runs if job not in outcomes}
                while waiting:
                    # With a timeout, because on Windows Ctrl-C does not end a wait.
                    done, waiting = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
                    for outcome in [future.result() for future in done]:
                        outcomes[outcome.job] = outcome
                        self.write_results()
                        on_outcome(outcome)
                    if interrupted.is_set():
                        raise KeyboardInterrupt
            except BaseException:
                self._halt()
                raise
        return [outcomes[job] for job in self.runs]

    def _run(self, job: Job) -> Outcome:
        log = self.out / LOGS / f"{job.cell.name}-{job.seed}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        with open(log, "w", encoding="utf-8") as file:
            # Under the guard, so that a stopped sweep starts no further process.
            with self._guard:
                if self._stop.is_set():
                    return Outcome(job, 130, "stopped before its start")
                # In its own session, so that Ctrl-C reaches only this process, which forwards it once. Errors come
                # through a pipe, because a full disk would lose them.
                process = subprocess.Popen(
                    self.command(job), stdout=file, stderr=subprocess.PIPE, env=environment, start_new_session=True
                )
                self._running.add(process)
            try:
                errors = process.communicate()[1].decode("utf-8", "replace")
            finally:
                with self._guard:
                    self._running.discard(process)
        with suppress(OSError), open(log, "a", encoding="utf-8") as file:
            file.write(errors)
        return Outcome(
            job, process.returncode, _reason(process.returncode, errors or log.read_text("utf-8", "replace"))
        )

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

    def _halt(self) -> None:
        """Interrupt all runs, and kill those that do not stop."""
        with self._guard:
            self._stop.set()
            running = list(self._running)
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()

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

    def results(self) -> pd.DataFrame:
        """Return a row per finished run: cell, settings, seed, ``val_*`` and ``test_*`` metrics, cost and folder."""
        rows: list[dict[str, Any]] = []
        for job in self.runs:
            if not self.finished(job):
                continue
            answer, summary = self._answer(job) or {}, self._summary(job) or {}
            row: dict[str, Any] = {
                "cell": job.cell.label,
                **({"name": job.cell.given} if "name" in self.grid.columns else {}),
            }
            row |= {
                key: grids.show_value(job.cell.varied[key]) if key in job.cell.varied else "" for key in self.grid.keys
            }
            row |= {
                "seed": job.seed,
                **{f"{split}_{name}": value for split in ("val", "test") for name, value in summary[split].items()},
            }
            row |= {name: summary.get(name) for name in _NUMBERS}
            rows.append({**row, "peak_memory_mib": answer.get("peak_memory_mib"), "folder": answer["folder"]})
        return pd.DataFrame(rows)

    def metric(self) -> str:
        """Return the column that tables and plots show, of the test split if there is one.

        It is the metric of the grid, or by default the one that chose the best epoch.

        Raises:
            ConfigError: The runs have no such metric.
        """
        table = self.results()
        summary = next(
            summary for job in self.runs if self.finished(job) and (summary := self._summary(job)) is not None
        )
        name = self.grid.metric or str(summary.get("monitor") or "val_loss").removeprefix("val_")
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


def _reason(code: int, told: str) -> str:
    """Return why a run ended, from its exit code and what it wrote last."""
    if code == 0:
        return ""
    if code == 130:
        return "stopped"
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    message = next(
        (line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")),
        lines[-1] if lines else "",
    )
    killed = f"killed by signal {-code}" + (", perhaps out of memory" if code == -signal.SIGKILL else "")
    return "; ".join(part for part in (killed if code < 0 else "", message) if part) or f"exit code {code}"
