"""Carries out the runs of a sweep as trials of an Optuna study that any number of workers share."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import study as studies
from pyg_samsa.experiments.journal import import_optuna
from pyg_samsa.experiments.storage import open_storage, show_storage, storage_errors
from pyg_samsa.experiments.study import JOB, REASON, Worker, ask, drop, finish, holders, median_pruner
from pyg_samsa.experiments.sweep import LOGS, STUDY, Job, Outcome, Sweep
from pyg_samsa.experiments.sweep_cell import EXIT_INTERRUPTED, EXIT_PRUNED, TRIAL
from pyg_samsa.training.launch import without_launch

WORKERS = ".workers"
GRACE_SECONDS, POLL_SECONDS = 30.0, 0.5
_LATE_SECONDS = 5.0
_MOST_KILLS = 2
_SUGGESTIONS = 20
_SIGKILL = getattr(signal, "SIGKILL", 9)  # Windows has no name for it


@dataclass
class _Process:
    """A run of this worker."""

    job: Job
    trial: Any
    process: subprocess.Popen[bytes]
    log: Path

    def __post_init__(self) -> None:
        self._told: list[bytes] = []
        # A pipe that nobody reads would hold a run that writes much.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with suppress(OSError, ValueError):
            self._told += iter(self.process.stderr)

    def errors(self) -> str:
        """Return what the process wrote to its stderr, after its end."""
        self._reader.join(_LATE_SECONDS)
        for pipe in (self.process.stdin, self.process.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return b"".join(self._told).decode("utf-8", "replace")


def run_sweep(sweep: Sweep, on_outcome: Callable[[Outcome], None] = lambda _: None) -> list[Outcome]:
    """Carry out all unfinished runs of a sweep, together with its other workers; a failing run stops no others.

    Args:
        sweep: The sweep.
        on_outcome: Called with each outcome.

    Raises:
        ConfigError: The storage cannot be opened, or belongs to another grid.
        DataError: The storage does not answer any more; the runs of this process are stopped then.
        MissingDependencyError: Optuna is not installed.
        KeyboardInterrupt: The user stopped the sweep. All runs of this process were stopped and can be continued.

    Returns:
        The outcomes, in the order of the runs.
    """
    with storage_errors(_place(sweep)):
        return _run_sweep(sweep, on_outcome)


def _place(sweep: Sweep) -> str | Path:
    return sweep.storage or sweep.out / STUDY


def _run_sweep(sweep: Sweep, on_outcome: Callable[[Outcome], None]) -> list[Outcome]:
    study = open_study(sweep)
    with Worker(study, sweep.out / WORKERS) as worker:
        return _Runs(sweep, study, worker, on_outcome).carry_out()


def open_study(sweep: Sweep) -> Any:
    """Return the Optuna study of a sweep, which minimises: metrics of which more is better have the opposite sign.

    Args:
        sweep: The sweep.

    Raises:
        ConfigError: The storage cannot be opened, or belongs to another grid.
    """
    optuna = import_optuna()
    pruner = median_pruner(max(job.epochs for job in sweep.runs)) if sweep.prune else optuna.pruners.NopPruner()
    key, shown = ("--storage", show_storage(sweep.storage)) if sweep.storage else ("--out", str(sweep.out))
    told = {"key": key, "place": shown, "what": "sweep", "cure": "Give another --out, or another --storage."}
    name = f"sweep-{sweep.grid.name}"
    return studies.open_study(open_storage(_place(sweep)), name, sweep.identity, **told, pruner=pruner)


class _Runs:
    """The loop of one worker: start runs that nobody has, and tell the study and the user how they end."""

    def __init__(self, sweep: Sweep, study: Any, worker: Worker, on_outcome: Callable[[Outcome], None]) -> None:
        optuna = import_optuna()
        self.sweep, self.study, self.worker, self.on_outcome = sweep, study, worker, on_outcome
        self.states, self.create_trial = optuna.trial.TrialState, optuna.create_trial
        self.by_name = {_name(job): job for job in sweep.runs}
        self.outcomes: dict[Job, Outcome] = {}
        self.running: list[_Process] = []
        self.kills: dict[Job, int] = {}
        before = study.get_trials(deepcopy=False)
        self.before: set[int] = set()
        # Workers that start together draw differently.
        seed = zlib.crc32(f"{len(before)} {len(study.user_attrs)}".encode())
        self.random = random.Random(seed)
        if sweep.sampler == "tpe":
            study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)

    def carry_out(self) -> list[Outcome]:
        self.worker.fail_dead(self.study)
        self._import_finished()
        self.before |= {trial.number for trial in self._trials() if trial.state.is_finished()}
        self._look()
        self.sweep.write_results()
        try:
            while not self._is_complete():
                while len(self.running) < self.sweep.jobs and self._start():
                    pass
                if not self._collect():
                    time.sleep(POLL_SECONDS)
                self._look()
        except BaseException:
            self._halt()
            raise
        return [self.outcomes[job] for job in self.sweep.runs if job in self.outcomes]

    def _is_complete(self) -> bool:
        wanted = len(self.sweep.runs)
        if self.sweep.trials is not None:
            wanted = min(wanted, self.sweep.trials)
        return len(self.outcomes) >= wanted and not self.running

    def _import_finished(self) -> None:
        """Tell the study about runs that are finished in the folder, such as those of a sweep without a study."""
        known = {trial.user_attrs.get(JOB) for trial in self._trials(self.states.COMPLETE)}
        for name, job in self.by_name.items():
            if name not in known and self.sweep.finished(job):
                attrs = {**self._attrs(job), "result": self.sweep.result(job)}
                cost = _cost(attrs["result"])
                self.study.add_trial(self.create_trial(state=self.states.COMPLETE, value=cost, user_attrs=attrs))

    def _trials(self, *states: Any) -> list[Any]:
        return list(self.study.get_trials(deepcopy=False, states=states or None))

    def _attrs(self, job: Job) -> dict[str, Any]:
        return {JOB: _name(job), "cell": job.cell.label, "seed": job.seed}

    def _counts(self, trial: Any) -> bool:
        """Say whether the run of an ended trial is not to be repeated."""
        job = self.by_name.get(trial.user_attrs.get(JOB, ""))
        if job is None:
            return False
        if trial.state == self.states.PRUNED:
            return self.sweep.prune
        if trial.state != self.states.COMPLETE or not job.is_done(trial.user_attrs["result"]):
            return False
        # Who deletes the folder of a run wants it again. Files of a run of this moment may not be seen here yet.
        return self.sweep.storage is not None or trial.number not in self.before or self.sweep.finished(job)

    def _look(self) -> None:
        """Look at what all workers did, and enqueue what nobody has."""
        for trial in self.worker.fail_dead(self.study):
            if (job := self.by_name.get(trial.user_attrs.get(JOB, ""))) is not None:
                self.kills[job] = self.kills.get(job, 0) + 1
        held: dict[Job, Any] = {}
        failed: dict[Job, tuple[int, str]] = {}
        trials = self._trials()
        self._leave({trial.number for trial in trials if trial.state.is_finished()})
        for trial in trials:
            job = self.by_name.get(trial.user_attrs.get(JOB, ""))
            if job is None:
                continue
            if not trial.state.is_finished() or self._counts(trial):
                held.setdefault(job, trial)
            elif trial.state == self.states.FAIL and REASON in trial.user_attrs and trial.number not in self.before:
                failed[job] = (trial.user_attrs["code"], trial.user_attrs[REASON])
        for job in self.sweep.runs:
            if job in self.outcomes or self._runs_here(job):
                continue
            if (trial := held.get(job)) is not None:
                if trial.state.is_finished():
                    self._found(job, trial)
            elif job in failed:
                self._record(Outcome(job, *failed[job], elsewhere=True))
            elif self.kills.get(job, 0) >= _MOST_KILLS:
                self._record(Outcome(job, -_SIGKILL, "its worker was killed", elsewhere=True))
            elif self.sweep.sampler == "grid" or job in self.kills:
                self._enqueue(job)

    def _leave(self, ended: set[int]) -> None:
        """Stop runs that other workers have taken over: they held this one for dead while its machine slept."""
        lost = [run for run in self.running if run.trial.number in ended and run.process.poll() is None]
        _stop(lost)
        self.running = [run for run in self.running if run not in lost]

    def _runs_here(self, job: Job) -> bool:
        return any(run.job is job for run in self.running)

    def _enqueue(self, job: Job) -> None:
        self.study.enqueue_trial(self.sweep.params(job.cell), user_attrs=self._attrs(job))

    def _found(self, job: Job, trial: Any) -> None:
        """Record a run that ended before, or in another worker."""
        if trial.state == self.states.COMPLETE and not self.sweep.finished(job):
            self.sweep.elsewhere[job] = trial.user_attrs["result"]
        reused = trial.number in self.before
        reason = trial.user_attrs.get(REASON, "")
        pruned = trial.state == self.states.PRUNED
        self._record(Outcome(job, reason=reason, reused=reused, pruned=pruned, elsewhere=not reused))

    def _record(self, outcome: Outcome) -> None:
        self.outcomes[outcome.job] = outcome
        if not outcome.reused:
            self.sweep.write_results()
        self.on_outcome(outcome)

    def _start(self) -> bool:
        """Start a run that nobody has, and say whether there was one."""
        trial = self._take() if self.sweep.sampler == "grid" else self._suggest()
        if trial is None:
            return False
        job = self.by_name[trial.user_attrs[JOB]]
        log = self.sweep.out / LOGS / f"{job.cell.name}-{job.seed}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        threads = str(self.sweep.threads)
        # A worker that srun started is not a process of a larger run.
        own = without_launch(os.environ)
        environment = {**own, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if self.sweep.prune:
            # Not in the command, which other users see: a URL may hold a password.
            environment[TRIAL] = json.dumps([str(_place(self.sweep)), self.study.study_name, trial.number, job.epochs])
        with open(log, "w", encoding="utf-8") as file:
            # In its own session, so that Ctrl-C reaches only this process, which forwards it once. Errors come through
            # a pipe, because a full disk would lose them. The other pipe ends the run when this process is killed.
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
            command = self.sweep.command(job)
            process = subprocess.Popen(command, stdout=file, env=environment, start_new_session=True, **pipes)
        self.running.append(_Process(job, trial, process, log))
        return True

    def _take(self) -> Any:
        """Return the next trial that waits, or None."""
        while any(self._is_wanted(trial) for trial in self._trials(self.states.WAITING)):
            trial = ask(self.study, self.worker, done=self._counts)
            if self._is_wanted(trial):
                self._suggest_params(trial)
                return trial
            # Another worker was faster, and the sampler made a new trial; or it is of a sweep with other seeds.
            drop(self.study, trial)
        return None

    def _is_wanted(self, trial: Any) -> bool:
        job = self.by_name.get(trial.user_attrs.get(JOB, ""))
        return job is not None and job not in self.outcomes

    def _suggest(self) -> Any:
        """Return a trial of a cell that the sampler chose, with a seed that nobody has, or None."""
        for _ in range(_SUGGESTIONS):
            if not (free := self._free()):
                return self._take()
            trial = ask(self.study, self.worker, done=self._counts)
            if self._is_wanted(trial):
                self._suggest_params(trial)
                return trial
            values = self._suggest_params(trial)
            job = next((job for job in free if self.sweep.params(job.cell) == values), None)
            if job is not None and JOB not in trial.user_attrs:
                for name, value in self._attrs(job).items():
                    trial.set_user_attr(name, value)
                # Two workers with the same choice at once, or with the last run that is wanted, both leave it.
                if len(holders(self.study, _name(job), done=self._counts)) == 1 and self._room() >= 0:
                    return trial
            drop(self.study, trial)
        # The sampler insists on cells that are done.
        self._enqueue(self.random.choice(free))
        return self._take()

    def _free(self) -> list[Job]:
        """Return the jobs that nobody has; none if there are as many runs as wanted."""
        taken = self._taken()
        return [job for job in self.sweep.runs if job not in taken] if self._room() > 0 else []

    def _taken(self) -> set[Job]:
        held = {
            trial.user_attrs.get(JOB)
            for trial in self._trials()
            if not trial.state.is_finished() or self._counts(trial)
        }
        return {job for job in self.sweep.runs if _name(job) in held or job in self.outcomes}

    def _room(self) -> int:
        """Return how many more runs are wanted; below 0 if workers took too many at once."""
        wanted = len(self.sweep.runs) if self.sweep.trials is None else self.sweep.trials
        return wanted - len(self._taken())

    def _suggest_params(self, trial: Any) -> dict[str, str]:
        choices: dict[str, dict[str, None]] = {}
        for cell in self.sweep.grid.cells:
            for name, text in self.sweep.params(cell).items():
                choices.setdefault(name, {})[text] = None
        try:
            return {name: trial.suggest_categorical(name, list(texts)) for name, texts in choices.items()}
        except ValueError as error:  # Optuna does not take other choices than before
            if self.sweep.sampler == "grid":
                return {}  # they are for Optuna's own plots only
            drop(self.study, trial)
            hint = "Give another --out, or another --storage, where the values of a grid change."
            raise ConfigError("--sampler", "tpe", "a study with the same values of the grid", hint=hint) from error

    def _collect(self) -> bool:
        """Take up the runs that have ended, and say whether there were any."""
        ended = [run for run in self.running if run.process.poll() is not None]
        for run in ended:
            self.running.remove(run)
            self._end(run)
        return bool(ended)

    def _end(self, run: _Process) -> None:
        errors, code, job = run.errors(), run.process.returncode, run.job
        with suppress(OSError), open(run.log, "a", encoding="utf-8") as file:
            file.write(errors)
        reason = _reason(code, errors or run.log.read_text("utf-8", "replace"))
        if code == EXIT_PRUNED:
            self._tell(run, state=self.states.PRUNED, reason=reason)
            self._record(Outcome(job, reason=reason, pruned=True))
        elif self.sweep.finished(job):
            result = self.sweep.result(job)
            self._tell(run, _cost(result or {}), result=result)
            self._record(Outcome(job))
        elif code < 0 and self.kills.get(job, 0) + 1 < _MOST_KILLS:
            self.kills[job] = self.kills.get(job, 0) + 1
            self._tell(run, state=self.states.FAIL)
        else:
            code, reason = code or 1, reason or "it ended without a result"
            self._tell(run, state=self.states.FAIL, code=code, reason=reason)
            self._record(Outcome(job, code, reason))

    def _tell(self, run: _Process, value: float | None = None, *, state: Any = None, **attrs: Any) -> None:
        # Others may have held this worker for dead, when its machine was asleep: then its trial has ended.
        with suppress(RuntimeError):
            for name, content in attrs.items():
                run.trial.set_user_attr(name, content)
        finish(self.study, run.trial.number, value, state=state)

    def _halt(self) -> None:
        """Stop all runs, and give their trials back."""
        _stop(self.running)
        for run in self.running:
            with suppress(Exception):  # perhaps the disk is full, or the database is what ended the sweep
                self._tell(run, state=self.states.FAIL)


def _stop(runs: Sequence[_Process]) -> None:
    """Interrupt runs, and kill those that do not stop."""
    for run in runs:
        run.process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
    for run in runs:
        try:
            run.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            run.process.kill()


def _name(job: Job) -> str:
    """Return the name of a job in the study."""
    return f"{job.cell.name}/{job.seed} {job.key} {job.epochs}"


def _cost(result: Mapping[str, Any]) -> float:
    """Return what the study minimises; infinity if nothing was validated."""
    name = str(result.get("monitor") or "").removeprefix("val_")
    value = result.get("val", {}).get(name, math.nan)
    if math.isnan(value):
        return math.inf
    return float(-value if metrics.direction(name) > 0 else value)


def _reason(code: int, told: str) -> str:
    """Return why a run ended, from its exit code and what it wrote last."""
    if code == 0:
        return ""
    if code == EXIT_INTERRUPTED:
        return "stopped"
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    message = next(
        (line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")),
        lines[-1] if lines else "",
    )
    killed = f"killed by signal {-code}" + (", perhaps out of memory" if code == -_SIGKILL else "")
    return "; ".join(part for part in (killed if code < 0 else "", message) if part) or f"exit code {code}"
