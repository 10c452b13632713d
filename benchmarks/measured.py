"""Time and peak memory of a command, measured by a small process of its own.

A process that starts a large one counts in the peak memory of the large one, because the kernel hands the peak of the
parent down when a program starts. So the command is not started by the benchmark, which has loaded torch, but by this
file, run as a script: ``python -I -S measured.py OUT.json LOG CPUS COMMAND...``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Usage(NamedTuple):
    """What a command took.

    Attributes:
        returncode: Its exit code.
        seconds: Wall time in seconds, with start and imports.
        cpu_seconds: Processor time in seconds, with that of its worker processes.
        peak_bytes: Largest resident memory of one of its processes.
    """

    returncode: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measure(command: Sequence[str], folder: Path, log: Path, *, threads: int, env: Mapping[str, str]) -> Usage:
    """Run a command on as many processors as it has threads, and return what it took.

    Args:
        command: Program and arguments.
        folder: Folder to run it in.
        log: File for its output.
        threads: Number of threads and processors.
        env: Environment variables; those for the number of threads are added.
    """
    import signal
    import subprocess

    out = folder / "usage.json"
    cpus = ",".join(map(str, sorted(_available())[-threads:]))
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(out), str(log), cpus, *command]
    env = {**env, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    # The command gets a process group of its own, so that Ctrl-C can end all its processes.
    process = subprocess.Popen(launcher, cwd=folder, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        if process.wait() != 0:
            raise OSError(f"{command[0]} could not be started; see {log}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Usage(**json.loads(out.read_text(encoding="utf-8")))


def _available() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _launch(out: str, log: str, cpus: str, *command: str) -> int:
    if cpus:
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    start = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(process, 0)
    usage = {
        "returncode": os.waitstatus_to_exitcode(status),
        "seconds": time.perf_counter() - start,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(usage, file)
    return 0


if __name__ == "__main__":
    sys.exit(_launch(*sys.argv[1:]))
