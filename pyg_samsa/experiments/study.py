"""Optuna studies that several processes and machines share: settings, live workers, jobs that run once, pruning."""

from __future__ import annotations

import logging
import math
import platform
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.journal import import_optuna
from pyg_samsa.viz.figure import shown

FIRST_TRIALS = 5
"""Trials before the first one is stopped early."""
HEARTBEAT_SECONDS, DEAD_SECONDS = 15.0, 60.0
JOB, WORKER, REASON, _SETTINGS = "job", "worker", "reason", "settings"
_LOGGER = logging.getLogger(__name__)


class Pruned(Exception):
    """A trial that is not worth finishing, or for which no time is left."""


def median_pruner(epochs: int) -> Any:
    """Return the rule that stops a trial whose best value is worse than the median of the others at the same epoch.

    Args:
        epochs: Epochs of a full trial; nothing is stopped in their first quarter.

    Example:
        >>> type(median_pruner(20)).__name__
        'MedianPruner'
    """
    return import_optuna().pruners.MedianPruner(FIRST_TRIALS, n_warmup_steps=max(1, epochs // 4))


def report(trial: Any, epoch: int, value: float, *, told: float | None = None) -> None:
    """Tell Optuna the best value so far.

    Args:
        trial: Optuna's trial.
        epoch: The epoch, from 1.
        value: The value in the direction of the study.
        told: The value as the user knows it; ``value`` by default.

    Raises:
        Pruned: The trial is hopeless.
    """
    trial.report(value, epoch)
    if trial.should_prune():
        raise Pruned(f"stopped after epoch {epoch} at {shown(value if told is None else told)}")


class BestSoFar:
    """A callback for the end of epochs that tells the best validation so far.

    Args:
        monitor: Logged name of the value, such as ``val_ap``.
        tell: Called with the epoch and the best value so far, after each epoch with a value.
        higher_is_better: Direction of the value.

    Example:
        >>> follow = BestSoFar("val_ap", print, higher_is_better=True)
        >>> follow({"epoch": 1, "val_ap": 0.5}), follow({"epoch": 2, "val_ap": 0.25}), follow({"epoch": 3})
        1 0.5
        2 0.5
        (None, None, None)
    """

    def __init__(self, monitor: str, tell: Callable[[int, float], None], *, higher_is_better: bool) -> None:
        self.monitor, self.tell, self.best = monitor, tell, max if higher_is_better else min
        self.value = math.nan

    def __call__(self, row: Mapping[str, float]) -> None:
        """Take the row of an epoch."""
        value = row.get(self.monitor, math.nan)
        if not math.isnan(value):
            self.value = value if math.isnan(self.value) else self.best(self.value, value)
            self.tell(int(row["epoch"]), self.value)


def open_study(
    storage: Any, name: str, identity: Mapping[str, Any], *, key: str, place: str, what: str, cure: str, **options: Any
) -> Any:
    """Open an Optuna study, or make a new one with the settings of what is tried.

    Settings that only one of both knows are not compared. Of workers that begin at the same moment with different
    settings one makes the study, and the others get the error.

    Args:
        storage: Optuna's storage.
        name: Name of the study.
        identity: Dotted name -> value.
        key: Setting that names the storage, for the error.
        place: The storage, for the error.
        what: What the study is, for the error.
        cure: What to do, for the hint.
        **options: Arguments of ``optuna.create_study``.

    Raises:
        ConfigError: A setting differs from that of the study.

    Example:
        >>> words = {"key": "--out", "place": "results", "what": "sweep", "cure": "Give another --out."}
        >>> storage = import_optuna().storages.InMemoryStorage()
        >>> open_study(storage, "depth", {"seed": 0}, **words).study_name
        'depth'
        >>> open_study(storage, "depth", {"seed": 1}, **words)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: --out: got 'results', expected one without a sweep with other settings
    """
    optuna = import_optuna()
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True, **options)
    before = study.user_attrs.get(_SETTINGS)
    if before is None:
        # An attribute that two workers set at once has the value of the last one, unknown to the first. Trials are
        # numbered one after the other in every storage, so that all see the same first one.
        claims = optuna.create_study(storage=storage, study_name=f"{_SETTINGS} of {name}", load_if_exists=True)
        state = optuna.trial.TrialState.FAIL
        claims.add_trial(optuna.create_trial(state=state, user_attrs={_SETTINGS: dict(identity)}))
        before = claims.get_trials(deepcopy=False)[0].user_attrs[_SETTINGS]
        study.set_user_attr(_SETTINGS, before)
    if differs := sorted(name for name in identity.keys() & before.keys() if before[name] != identity[name]):
        hint = f"It has other values of {', '.join(differs[:3])}. {cure}"
        raise ConfigError(key, place, f"one without a {what} with other settings", hint=hint)
    return study


class Worker:
    """This process as one of several that carry out the trials of a study.

    Others see that it lives by a lock file, if they share its machine and folder, and by a count in the study that it
    increases every `HEARTBEAT_SECONDS`. A worker whose lock is free, or whose count stands still for `DEAD_SECONDS`, is
    dead. Clocks of machines are not compared.

    Args:
        home: The study that holds the counts.
        folder: Folder of the lock files.
    """

    def __init__(self, home: Any, folder: Path) -> None:
        self.home, self.folder, self.name = home, folder, secrets.token_hex(6)
        self._count, self._ended = 0, threading.Event()
        self._seen: dict[str, tuple[Any, float]] = {}
        self._thread = threading.Thread(target=self._beat_on, daemon=True)

    def __enter__(self) -> Worker:
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(str(self._file(self.name)))
        self._lock.acquire()
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join(timeout=HEARTBEAT_SECONDS)  # it may wait for a database
        self._lock.release()
        self._remove(self.name)

    def _beat_on(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                self._beat()
            except Exception as error:  # a disk that is full for a while, or a database that does not answer
                _LOGGER.warning("The storage does not answer: %s", error)

    def _beat(self) -> None:
        self._count += 1
        self.home.set_user_attr(f"{WORKER} {self.name}", self._count)

    def mark(self, trial: Any) -> None:
        """Write into a trial that this worker carries it out."""
        trial.set_user_attr(WORKER, {"name": self.name, "host": _host()})

    def is_mine(self, trial: Any) -> bool:
        """Say whether this worker carries out a trial, or did."""
        return bool(trial.user_attrs.get(WORKER, {}).get("name") == self.name)

    def fail_dead(self, study: Any) -> list[Any]:
        """Mark the running trials of dead workers as failed.

        Args:
            study: A study with the same workers as ``home``.

        Returns:
            The trials that this worker has marked; each trial is marked by one worker.
        """
        state = import_optuna().trial.TrialState
        running = study.get_trials(deepcopy=False, states=(state.RUNNING,))
        counts = self.home.user_attrs if running else {}
        dead = [trial for trial in running if self._is_dead(trial, counts)]
        marked = [trial for trial in dead if finish(study, trial.number, state=state.FAIL)]
        for trial in dead:
            self._remove(trial.user_attrs.get(WORKER, {}).get("name", ""))
        return marked

    def _is_dead(self, trial: Any, counts: Mapping[str, Any]) -> bool:
        marks = trial.user_attrs.get(WORKER, {})
        # Without a mark it was taken a moment ago, or its worker died in this moment.
        name = marks.get("name", f"of trial {trial.number}")
        if name == self.name:
            return False
        if marks.get("host") == _host() and self._file(name).is_file():
            return self._is_free(name)
        count, now = counts.get(f"{WORKER} {name}"), time.monotonic()
        before, since = self._seen.get(name, (None, now))
        if name not in self._seen or count != before:
            self._seen[name] = (count, now)
            return False
        return now - since > DEAD_SECONDS

    def _is_free(self, name: str) -> bool:
        from filelock import FileLock, Timeout

        probe = FileLock(str(self._file(name)))
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return False
        probe.release()
        return True

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    def _remove(self, name: str) -> None:
        if name:
            self._file(name).unlink(missing_ok=True)
        with suppress(OSError):  # others have files in it
            self.folder.rmdir()


def _host() -> str:
    """Return a text that differs between machines, also where they have one name."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return platform.node() + (f" {boot.read_text().strip()}" if boot.is_file() else "")


def finish(study: Any, number: int, value: float | None = None, *, state: Any = None) -> bool:
    """End a running trial, and say whether it still ran; another worker may have ended it.

    Args:
        study: Optuna's study.
        number: Number of the trial.
        value: Its value, if it is complete.
        state: Its state, if it is not.
    """
    try:
        study.tell(number, value, state=state)
    except (ValueError, RuntimeError):  # Optuna's errors about trials that have ended
        trial = study.trials[number]
        if trial.state.is_finished():
            return False
        raise
    return True


def ask(study: Any, worker: Worker, *, done: Callable[[Any], bool]) -> Any:
    """Return the next trial: one that waits, or a new one of the sampler.

    Two workers may have enqueued the same job at once. Of trials of one job only that with the lowest number is carried
    out; the others are dropped.

    Args:
        study: Optuna's study.
        worker: This worker.
        done: Says whether a trial that has ended counts, so that its job is not repeated.
    """
    while True:
        trial = study.ask()
        worker.mark(trial)
        job = trial.user_attrs.get(JOB)
        if job is None or not any(other.number < trial.number for other in holders(study, job, done=done)):
            return trial
        drop(study, trial)


def holders(study: Any, job: str, *, done: Callable[[Any], bool]) -> list[Any]:
    """Return the trials of a job that wait, run or count as done; see `ask`."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get(JOB) == job]
    return [trial for trial in trials if not trial.state.is_finished() or done(trial)]


def drop(study: Any, trial: Any) -> None:
    """End a trial that another one makes needless."""
    trial.set_user_attr("dropped", True)
    finish(study, trial.number, state=import_optuna().trial.TrialState.FAIL)
