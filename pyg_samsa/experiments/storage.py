"""Where studies of searches and sweeps are stored: a journal file, or a database."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.experiments.journal import import_optuna, open_journal

_OPENINGS = 5


def open_storage(place: str | Path) -> Any:
    """Return Optuna's storage in a journal file or in a database.

    Args:
        place: A file, or a URL of a database as SQLAlchemy takes it, such as ``mysql://user@host/name``.

    Raises:
        ConfigError: The database cannot be opened.
        DataIntegrityError: The file is no journal.
        OSError: The file cannot be written.

    Example:
        >>> open_storage("oracle+none://host/name")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: --storage: got 'oracle+none://...', expected a file, or the URL of a database ...
    """
    if "://" not in str(place):
        return open_journal(Path(place).expanduser())
    import_optuna()
    url = str(place)
    try:
        return _open_database(url)
    except Exception as error:  # the error of any driver of a database
        missing = error.__cause__
        if isinstance(missing, ModuleNotFoundError):
            expected = f"the URL of a database whose driver is installed; there is no Python package {missing.name!r}"
            hint = f"Install it, or name another driver: {urlsplit(url).scheme.partition('+')[0]}+DRIVER://..."
            raise ConfigError("--storage", show_storage(url), expected, hint=hint) from error
        expected = f"a file, or the URL of a database that opens ({_reason(error, url)})"
        raise ConfigError("--storage", show_storage(url), expected) from error


def _open_database(url: str) -> Any:
    from sqlalchemy import event
    from sqlalchemy.exc import DBAPIError

    is_sqlite = url.startswith("sqlite")
    # A lost connection is opened again; writers of one SQLite file wait for each other.
    engine = {"pool_pre_ping": True, **({"connect_args": {"timeout": 60}} if is_sqlite else {})}
    for attempt in range(_OPENINGS):
        try:
            storage = import_optuna().storages.RDBStorage(url, engine_kwargs=engine)
            break
        except DBAPIError:  # perhaps another worker makes the tables now
            if attempt == _OPENINGS - 1:
                raise
            time.sleep(random.uniform(0.1, 0.5))
    if is_sqlite:
        # Python begins a transaction with the first change only: two workers could both read that a trial waits.
        event.listen(storage.engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(storage.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        storage.engine.dispose()
    return storage


def show_storage(place: str) -> str:
    """Return a storage for messages, without the password that a URL may hold.

    Example:
        >>> show_storage("mysql://user:secret@host/name"), show_storage("study.log")
        ('mysql://...', 'study.log')
    """
    kind, mark, _ = place.partition("://")
    return f"{kind}://..." if mark else place


@contextmanager
def storage_errors(place: str | Path) -> Iterator[None]:
    """Let errors of a database that is in use be one line.

    Args:
        place: File or URL, see `open_storage`.

    Raises:
        DataError: The database did not answer, or not as it should.

    Example:
        >>> with storage_errors("mysql://user:secret@host/name"):
        ...     raise import_optuna().exceptions.StorageInternalError("no secret for user")
        Traceback (most recent call last):
        pyg_samsa.errors.DataError: mysql://...: the database does not answer as it should (no ... for user)
    """
    try:
        yield
    except Exception as error:
        if not _is_of_database(error):
            raise
        reason = _reason(error.__cause__ or error, str(place))
        told = f"{show_storage(str(place))}: the database does not answer as it should ({reason})"
        raise DataError(told, hint="When it does, run the same command again to continue.") from error


def _is_of_database(error: Exception) -> bool:
    if isinstance(error, import_optuna().exceptions.StorageInternalError):
        return True
    sqlalchemy = sys.modules.get("sqlalchemy.exc")  # imported with the first database
    return sqlalchemy is not None and isinstance(error, sqlalchemy.SQLAlchemyError)


def _reason(error: BaseException, url: str) -> str:
    """Return the first line of an error of a database, without the password of its URL."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    for secret in filter(None, (url, urlsplit(url).password)):
        reason = reason.replace(secret, "...")
    return reason
