"""The file in which a search stores its trials."""

from __future__ import annotations

import os
from contextlib import suppress
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
        raise MissingDependencyError("optuna", "tune", "pyg-samsa tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_journal(path: Path) -> Any:
    """Return Optuna's storage in a file of lines, which stays whole if the disk is full or the process is killed.

    Args:
        path: The file. A last line that is not complete is removed; nobody else may write to it.

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

    class Journal(optuna.storages.journal.JournalFileBackend):  # type: ignore[misc,name-defined]
        """Optuna's file, without half lines."""

        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            size = path.stat().st_size
            try:
                with writing(path):
                    super().append_logs(logs)
            except OSError:
                with suppress(OSError):
                    os.truncate(path, size)
                raise

    path.parent.mkdir(parents=True, exist_ok=True)
    hint = "Rename its folder to search again, or set name_tag."
    if path.is_dir():
        raise DataIntegrityError(path, "the journal of a search", "a folder", hint=hint)
    _drop_half_line(path)
    try:
        _check_lines(path)
        with writing(path):
            return optuna.storages.JournalStorage(Journal(str(path)))
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
        raise DataIntegrityError(path, "the journal of a search", "something else", hint=hint) from error


def _check_lines(path: Path) -> None:
    """Raise an error unless every line is an entry; Optuna would tell that of the last line with the next entry."""
    if path.is_file():
        with path.open("rb") as lines:
            for line in lines:
                parse_json(line.decode())["op_code"]


def _drop_half_line(path: Path) -> None:
    if path.is_file():
        whole = path.read_bytes().rfind(b"\n") + 1
        if whole < path.stat().st_size:
            os.truncate(path, whole)
