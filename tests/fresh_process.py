"""Python code in a process of its own that starts quickly.

``start`` and ``run`` are like ``subprocess.Popen`` and ``subprocess.run`` for ``python -c CODE ARGUMENTS``. The process
is forked from one that has imported the package and done nothing else, which saves the seconds that the imports take.
Where Python cannot fork (Windows), it is started anew.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()
_context = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")
if CAN_FORK:
    _context.set_forkserver_preload(["tests.preloaded"])


class Process:
    """A started process; the output goes to files until ``communicate`` reads it."""

    def __init__(self, code: str, arguments: tuple[str, ...], cwd: Path | None, env: Mapping[str, str]) -> None:
        self.args = ["-c", code, *arguments]
        self._folder = tempfile.TemporaryDirectory()
        self._outputs = [Path(self._folder.name, name) for name in ("out", "err")]
        variables = {**os.environ, **env}  # those of the server are as old as it is
        self._process = _context.Process(target=_execute, args=(code, arguments, cwd, variables, self._outputs))
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for the end, and return standard output and standard error."""
        self._process.join(timeout)
        if self.poll() is None:
            raise TimeoutExpired(self.args, timeout)
        out, err = (path.read_text() if path.exists() else "" for path in self._outputs)
        return out, err


def start(code: str, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Process:
    """Start ``python -c CODE ARGUMENTS``; ``env`` has the variables that differ from those of the tests."""
    return Process(code, tuple(map(str, arguments)), cwd, env or {})


def run(
    code: str,
    *arguments: object,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> CompletedProcess:
    """Run ``python -c CODE ARGUMENTS``, and return its exit code and output."""
    process = start(code, *arguments, cwd=cwd, env=env)
    try:
        out, err = process.communicate(timeout)
    finally:
        process.kill()
    return CompletedProcess(process.args, process.returncode, out, err)


def run_group(
    code: str,
    *arguments: object,
    count: int = 2,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> list[CompletedProcess]:
    """Run ``python -c CODE ARGUMENTS`` in several processes with the variables of ``torchrun``, and return all ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    shared |= {"GROUP_RANK": 0, "TORCHELASTIC_RUN_ID": "tests"}
    processes = []
    try:
        for rank in range(count):
            variables = {**shared, "RANK": rank, "LOCAL_RANK": rank, **(env or {})}
            processes.append(
                start(code, *arguments, cwd=cwd, env={name: str(value) for name, value in variables.items()})
            )
        outputs = [process.communicate(timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(processes, outputs, strict=True)
    ]


def _execute(code: str, arguments: tuple[str, ...], cwd: Path | None, env: dict[str, str], outputs: list[Path]) -> None:
    for number, path in enumerate(outputs, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.environ.update(env)
    if cwd is not None:
        os.chdir(cwd)
    if (unpainted := sys.modules.get("tests.unpainted")) is not None:
        unpainted.Figure.savefig = unpainted.save
    sys.argv = ["-c", *arguments]
    sys.path.insert(0, "")
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
