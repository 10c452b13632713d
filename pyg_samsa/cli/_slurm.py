"""Submit a command to SLURM, or to a process of this machine, with submitit."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyg_samsa.errors import ConfigError, MissingDependencyError, check_choice

CLUSTERS = ("slurm", "local")
_TIMEOUTS = 20
_TIME = re.compile(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?")


def _whole(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ConfigError(f"--slurm {key}", text, "a whole number of at least 1")
    return int(text)


def _gigabytes(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ConfigError(f"--slurm {key}", text, "a number of gigabytes above 0")
    return value


def _minutes(key: str, text: str) -> int:
    """Return a time of SLURM in minutes: minutes, minutes:seconds, hours:minutes:seconds or days-hours[:minutes...]."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ConfigError(f"--slurm {key}", text, "a time such as 90 (minutes), 4:00:00 or 2-00:00:00 (days-hours)")
    days, *rest = (None if part is None else int(part) for part in found.groups())
    parts = [part for part in rest if part is not None]
    if days is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    total = ((days or 0) * 24 + hours) * 60 + minutes + (seconds + 59) // 60
    if total < 1:
        raise ConfigError(f"--slurm {key}", text, "at least a minute")
    return total


def _text(key: str, text: str) -> str:
    if not text:
        raise ConfigError(f"--slurm {key}", "", "a text")
    return text


KEYS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "cluster": ("", _text),
    "time": ("timeout_min", _minutes),
    "partition": ("slurm_partition", _text),
    "nodes": ("nodes", _whole),
    "gpus_per_node": ("gpus_per_node", _whole),
    "tasks_per_node": ("tasks_per_node", _whole),
    "cpus_per_task": ("cpus_per_task", _whole),
    "mem_gb": ("mem_gb", _gigabytes),
    "account": ("slurm_account", _text),
    "qos": ("slurm_qos", _text),
    "constraint": ("slurm_constraint", _text),
    "name": ("name", _text),
}
"""Key of ``--slurm`` -> name in submitit, and what reads the value."""


def parse(text: str) -> dict[str, Any]:
    """Parse what was given as ``--slurm``.

    Args:
        text: ``key=value,key=value``.

    Raises:
        ConfigError: A key is unknown, a value is not allowed, or there is no time.

    Returns:
        The values by key; ``cluster`` is always there.

    Example:
        >>> parse("partition=gpu,time=4:00:00,gpus_per_node=2")
        {'cluster': 'slurm', 'partition': 'gpu', 'time': 240, 'gpus_per_node': 2, 'tasks_per_node': 2}
        >>> parse("partition=gpu,long,time=90")["partition"]
        'gpu,long'
    """
    values: dict[str, Any] = {"cluster": "slurm"}
    # A part without a sign goes on with the value before it, as in partition=a,b.
    for part in filter(None, (part.strip(" ,") for part in re.split(r",(?=[^,]*=)", text))):
        key, sign, value = part.partition("=")
        check_choice("--slurm", key, KEYS)
        if not sign:
            raise ConfigError("--slurm", part, f"{key}=VALUE")
        values[key] = KEYS[key][1](key, value)
    check_choice("--slurm cluster", values["cluster"], CLUSTERS)
    if "time" not in values:
        raise ConfigError("--slurm", text, "the longest time of the job, such as time=4:00:00")
    if values.get("gpus_per_node", 1) > 1:
        values.setdefault("tasks_per_node", values["gpus_per_node"])  # a process for each GPU
    several = next((key for key in ("nodes", "tasks_per_node") if values.get(key, 1) > 1), None)
    if values["cluster"] == "local" and several:
        raise ConfigError(f"--slurm {several}", values[several], "1 with cluster=local")
    return values


class Command:
    """A command of ``pyg-samsa`` as a job; a job that is started again continues its run.

    Args:
        words: The command, without the name of the program.
        resume: Words that are added where the job is started again.
    """

    def __init__(self, words: Sequence[str], resume: Sequence[str]) -> None:
        self.words, self.resume = list(words), list(resume)

    def __call__(self) -> None:
        """Carry out the command.

        Raises:
            RuntimeError: Its exit code is not 0; it has told why.
        """
        from pyg_samsa.cli import main

        restarted = int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
        code = main([*self.words, *(self.resume if restarted else [])])
        if code:
            raise RuntimeError(f"exit code {code}; the reason is above")

    def checkpoint(self) -> Any:
        """Return the job that continues this one; submitit calls it before the time is up, and before a preemption."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(Command([*self.words, *self.resume], []))


def submit(command: Command, values: Mapping[str, Any], folder: Path) -> Any:
    """Submit a command, and return the job of submitit.

    Args:
        command: The command.
        values: From `parse`.
        folder: Folder for the logs of all jobs.

    Raises:
        ConfigError: There is no SLURM here, or it refuses the job.
        MissingDependencyError: submitit is not installed.
        OSError: The folder cannot be written to.
    """
    try:
        import submitit
    except ImportError as error:
        raise MissingDependencyError("submitit", "slurm", "pyg-samsa train --slurm") from error
    cluster = values["cluster"]
    given = {KEYS[key][0]: value for key, value in values.items() if key != "cluster"}
    given = {key: value for key, value in given.items() if cluster == "slurm" or not key.startswith("slurm_")}
    try:
        # %j is the number of the job; a process of this machine would take it for the name of the folder.
        place = folder / "%j" if cluster == "slurm" else folder
        executor = submitit.AutoExecutor(place, cluster=cluster, slurm_max_num_timeout=_TIMEOUTS)
        executor.update_parameters(**{"name": "pyg-samsa", **given})
        return executor.submit(command)
    except (RuntimeError, ValueError, submitit.core.utils.FailedJobError) as error:
        # The last line is that of sbatch.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        shown = ",".join(f"{key}={value}" for key, value in values.items())
        hint = "cluster=local runs the job on this machine." if "slurm cluster" in lines[-1] else ""
        raise ConfigError("--slurm", shown, f"a job that can be submitted ({lines[-1]})", hint=hint) from error


def describe(job: Any, cluster: str) -> str:
    """Return lines about a job: its number, its log, and how to follow and to end it.

    Args:
        job: From `submit`.
        cluster: One of `CLUSTERS`.
    """
    log = shlex.quote(str(job.paths.stdout))
    state, end = (f"squeue -j {job.job_id}", f"scancel {job.job_id}")
    if cluster == "local":
        state, end = f"ps {job.job_id}", f"kill {job.job_id}"
    lines = [f"submitted job {job.job_id}", f"  log     {job.paths.stdout}", f"  errors  {job.paths.stderr}"]
    return "\n".join([*lines, f"  follow  tail -F {log}", f"  state   {state}", f"  end     {end}"])
