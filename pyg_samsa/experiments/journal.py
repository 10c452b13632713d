"""The file in which searches and sweeps store their trials."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pyg_samsa.errors import DataIntegrityError, MissingDependencyError
from pyg_samsa.io.documents import parse_json
from pyg_samsa.io.files import writing


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
    """Return Optuna's storage in a file of lines, which stays whole if the disk is full or the process is killed.

    Args:
        path: The file. Several processes may write to it, also over a network file system (NFS 3 or later). A last line
            that is not complete is removed.

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
    held = optuna.storages.journal.JournalFileOpenLock(str(path))

    class Journal(optuna.storages.journal.JournalFileBackend):  # type: ignore[misc,name-defined]
        """Optuna's file, without half lines."""

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            with writing(path), _holding(held):
                _drop_half_line(path)
                size = path.stat().st_size
                try:
                    with path.open("ab") as file:
                        file.write("".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode())
                        file.flush()
                        os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        os.truncate(path, size)
                    raise

    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    hint = "Rename it to start again, or choose another folder or file."
    if path.is_dir():
        raise DataIntegrityError(path, "the journal of a study", "a folder", hint=hint)
    try:
        with writing(path):
            with _holding(held):
                _drop_half_line(path)
                _check_lines(path)
            return optuna.storages.JournalStorage(Journal(str(path)))
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise DataIntegrityError(path, "the journal of a study", "something else", hint=hint) from error


def _check_lines(path: Path) -> None:
    """Raise an error unless every line is an entry; Optuna would tell that of the last line with the next entry."""
    if path.is_file():
        with path.open("rb") as lines:
            for line in lines:
                parse_json(line.decode())["op_code"]


@contextmanager
def _holding(lock: Any) -> Iterator[None]:
    lock.acquire()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # another process took it, because this one stood still for half a minute
            lock.release()


def _drop_half_line(path: Path) -> None:
    """Remove the half line of a writer that was killed; the lock must be held."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() == b"\n":
            return
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
