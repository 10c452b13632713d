"""The file in which searches and sweeps store their trials."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pyg_samsa.errors import DataError, DataIntegrityError, MissingDependencyError, SAMSAError
from pyg_samsa.io.documents import parse_json
from pyg_samsa.io.files import UNWRITABLE, writing

_EXPECTED, _RENAME = "the journal of a study", "Rename it to start again, or choose another folder or file."
_START = b'{"op_code":'


def import_optuna() -> Any:
    """Return Optuna, with its messages silenced.

    Raises:
        MissingDependencyError: It is not installed.

    Example:
        >>> import_optuna().__name__
        'optuna'
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("optuna", "tune", "pyg-samsa tune and sweep") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_journal(path: Path) -> Any:
    """Return Optuna's storage in a file of lines, of which no line is ever changed or removed.

    A line appears in one step, while the writer holds a lock file. A machine that sleeps for more than half a minute
    loses this lock; it then takes it again before it writes. A half line, of a writer that was killed or of a full
    disk, is not read, and the next writer replaces it by blanks before its own line.

    Args:
        path: The file. Several processes may write to it, also over a network file system (NFS 3 or later).

    Raises:
        OSError: The file cannot be written.
        DataIntegrityError: It is no journal of a search.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "study.log"
        >>> study = import_optuna().create_study(storage=open_journal(path), study_name="trees")
        >>> len(path.read_text().splitlines())
        1
    """
    optuna = import_optuna()

    path = path.absolute()
    # Made by creating a file, which is atomic on network file systems too.
    lock = optuna.storages.journal.JournalFileOpenLock(str(path))

    class Journal(optuna.storages.journal.JournalFileBackend):  # type: ignore[misc,name-defined]
        """Optuna's file, with lines that appear in one step, and with errors that name it."""

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
            with _errors(path), writing(path):
                while not _append(path, lines, lock):
                    pass

        def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
            with _errors(path):
                yield from super().read_logs(log_number_from)

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise DataIntegrityError(path, _EXPECTED, "a folder", hint=_RENAME)
    try:
        with writing(path):
            _check_lines(path)
            return optuna.storages.JournalStorage(Journal(str(path)))
    except SAMSAError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise DataIntegrityError(path, _EXPECTED, "something else", hint=_RENAME) from error


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Let errors of a journal that is in use name it; those of a full disk do already."""
    try:
        yield
    except SAMSAError:
        raise
    except ValueError as error:
        raise DataIntegrityError(path, _EXPECTED, "damaged lines", hint=_RENAME) from error
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise
        told = f"{path}: the journal cannot be read or written any more ({error.strerror})"
        raise DataError(told, hint="When it can, run the same command again to continue.") from error


def _check_lines(path: Path) -> None:
    """Raise an error unless every line is an entry, or the beginning of one; Optuna would tell it late."""
    if path.is_file():
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    parse_json(line.decode())["op_code"]
                # After a power cut a file may end in zeros.
                elif not _START.startswith(line.lstrip(b" ").rstrip(b"\0")[: len(_START)]):
                    raise ValueError(line[:80])


def _append(path: Path, lines: bytes, lock: Any) -> bool:
    """Append complete lines, and say whether that was done: not if another process took the lock meanwhile."""
    lock.acquire()
    held = _identity(lock)
    try:
        start, end = _half_line(path)
        if _identity(lock) != held:
            return False
        if start < end:
            with path.open("r+b", buffering=0) as file:
                file.seek(start)
                file.write(b" " * (end - start))
        with path.open("ab", buffering=0) as file:
            # One call, so that others never see lines of two writers mixed.
            written = file.write(lines)
            os.fsync(file.fileno())
        if written < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return True
    finally:
        if _identity(lock) == held:  # otherwise it is the lock of another process
            with suppress(RuntimeError):
                lock.release()


def _identity(lock: Any) -> tuple[int, int] | None:
    """Return what tells a lock file from a later one of the same name."""
    try:
        found = os.stat(lock._lock_file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _half_line(path: Path) -> tuple[int, int]:
    """Return where the last line begins and ends if it is not complete, otherwise twice the end of the file."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return end, end
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return end, end
        file.seek(0)
        return file.read(end).rfind(b"\n") + 1, end
