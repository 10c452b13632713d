"""Predictions of tables in the background, with progress and cancel."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pyg_samsa.errors import ConfigError, DataError, SAMSAError
from pyg_samsa.io.csv_columns import DoubledColumnError, NoColumnError
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.predicted_table import Asked, PredictedTable, open_predicted_table
from pyg_samsa.web.problems import hint_of
from pyg_samsa.web.result_table import ResultTable
from pyg_samsa.web.served_models import ServedModel
from pyg_samsa.web.uploads import Upload, count_rows

_LOGGER = logging.getLogger(__name__)
WAITING, RUNNING, DONE, CANCELLED, STOPPED, FAILED = "waiting", "running", "done", "cancelled", "stopped", "failed"
STATES = (WAITING, RUNNING, DONE, CANCELLED, STOPPED, FAILED)
"""Cancelled by the user; stopped at a limit; failed by an error. The rows up to there are kept."""
AT_ONCE = 2
_ROWS_KEY = {"--smiles-column": "smiles_column", "IN": "table"}


class BusyError(SAMSAError):
    """As many tables as the server keeps are still being predicted.

    Example:
        >>> str(BusyError("20 tables are being predicted"))
        '20 tables are being predicted'
    """


@dataclass
class Job:
    """The prediction of a table.

    Attributes:
        id: Its name in addresses, which cannot be guessed.
        title: What the page calls the table.
        models: Names of the models.
        results: The rows that are finished.
        total: About the number of rows; None if it is not known.
        has_blocks: Whether the table is an SDF file.
        notes: What the user should know.
        state: One of ``STATES``.
        rows: Number of rows that are finished.
        errors: Number of them without a prediction.
        message: Why it ended before the last row.
        hint: What can be done about it.

    Example:
        >>> Job("a1", "esol.csv", ["esol"], Path("a1"), None, 10).state
        'waiting'
    """

    id: str
    title: str
    models: list[str]
    folder: Path
    results: ResultTable
    total: int | None
    has_blocks: bool = False
    notes: list[str] = field(default_factory=list)
    state: str = WAITING
    rows: int = 0
    errors: int = 0
    message: str = ""
    hint: str = ""
    started: float | None = None
    ended: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def seconds(self) -> float:
        """Seconds that it has run.

        Example:
            >>> Job("a1", "esol.csv", ["esol"], Path("a1"), None, 10).seconds
            0.0
        """
        if self.started is None:
            return 0.0
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    @property
    def ended_by_itself(self) -> bool:
        """Whether nothing more will happen.

        Example:
            >>> Job("a1", "esol.csv", ["esol"], Path("a1"), None, 10).ended_by_itself
            False
        """
        return self.state not in (WAITING, RUNNING)

    def end(self, state: str, message: str = "", hint: str = "") -> None:
        """Set the last state.

        Args:
            state: One of ``STATES``.
            message: Why it ended before the last row.
            hint: What can be done about it.

        Example:
            >>> job = Job("a1", "esol.csv", ["esol"], Path("a1"), None, 10)
            >>> job.end(FAILED, "the file is damaged")
            >>> job.state, job.ended_by_itself
            ('failed', True)
        """
        self.message, self.hint, self.ended, self.state = message, hint, time.monotonic(), state


class Jobs:
    """All predictions of a server, in a temporary folder that `close` removes.

    Args:
        limits: Limits of the server.

    Example:
        >>> jobs = Jobs(Limits())
        >>> folder = jobs.folder
        >>> folder.is_dir()
        True
        >>> jobs.close()
        >>> folder.exists()
        False
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.folder = Path(tempfile.mkdtemp(prefix="pyg-samsa-serve-"))
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="predict")

    def start(self, models: Sequence[ServedModel], save: Callable[[Path], Upload], asked: Asked) -> Job:
        """Check a table and begin to predict it.

        Args:
            models: The models.
            save: Writes the table to a folder.
            asked: What is asked of the models.

        Raises:
            BusyError: As many tables as the server keeps are still being predicted.
            ConfigError: A column is missing, or the format is unknown.
            DataError: The table cannot be read, or is too large.

        Example:
            >>> from pathlib import Path
            >>> from pyg_samsa.web.served_models import load_models
            >>> model, = load_models(["peptides"], Path("unused"))
            >>> from pyg_samsa.web.uploads import save_text
            >>> jobs = Jobs(Limits())
            >>> job = jobs.start([model], lambda folder: save_text("CCO ethanol", folder, Limits()), Asked(None))
            >>> job.title, job.total
            ('1 pasted molecule', 1)
            >>> jobs.close()
        """
        self._make_room()
        name = secrets.token_urlsafe(12)
        folder = self.folder / name
        folder.mkdir()
        stack = ExitStack()
        try:
            upload = save(folder)
            total = count_rows(upload)
            table = stack.enter_context(
                open_predicted_table(models, str(upload.path), upload.format, asked, self.limits)
            )
            results = ResultTable(folder / "rows.db", table.columns, table.reader.header)
        except BaseException as error:
            stack.close()
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, NoColumnError | DoubledColumnError) and error.key == "--smiles-column":
                error = _no_smiles(error)
            elif isinstance(error, ConfigError) and error.key in _ROWS_KEY:
                error = error.renamed(_ROWS_KEY[error.key])
            raise _for_the_page(error, folder) from None
        job = Job(name, upload.title, [model.name for model in models], folder, results, total)
        job.has_blocks, job.notes = table.reader.has_blocks, list(table.notes)
        with self._lock:
            self._jobs[name] = job
        self._pool.submit(self._run, job, table, stack)
        return job

    def get(self, name: str) -> Job | None:
        """Return a job by its id; None if there is none.

        Example:
            >>> jobs = Jobs(Limits())
            >>> jobs.get("unknown") is None
            True
            >>> jobs.close()
        """
        with self._lock:
            return self._jobs.get(name)

    def all(self) -> list[Job]:
        """Return all jobs, oldest first.

        Example:
            >>> jobs = Jobs(Limits())
            >>> jobs.all()
            []
            >>> jobs.close()
        """
        with self._lock:
            return list(self._jobs.values())

    def remove(self, name: str) -> bool:
        """Cancel a job and delete its rows; return whether there was one.

        Example:
            >>> jobs = Jobs(Limits())
            >>> jobs.remove("unknown")
            False
            >>> jobs.close()
        """
        with self._lock:
            job = self._jobs.pop(name, None)
        if job is None:
            return False
        job.cancelled.set()
        if job.ended_by_itself:
            shutil.rmtree(job.folder, ignore_errors=True)
        return True

    def close(self) -> None:
        """Cancel everything and remove the temporary folder."""
        for job in self.all():
            job.cancelled.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make_room(self) -> None:
        for job in self.all():
            if len(self.all()) < self.limits.max_tables:
                return
            if job.ended_by_itself:
                self.remove(job.id)
        if len(self.all()) >= self.limits.max_tables:
            hint = "Wait until one of them is finished, or cancel one."
            raise BusyError(f"{self.limits.max_tables:,} tables are being predicted", hint=hint)

    def _run(self, job: Job, table: PredictedTable, stack: ExitStack) -> None:
        job.started, job.state = time.monotonic(), RUNNING
        try:
            with stack:
                self._predict(job, table)
        except SAMSAError as error:
            _for_the_page(error, job.folder)
            job.end(FAILED, str(error), hint_of(error))
        except Exception as error:  # a bug, which must not leave the page waiting
            _LOGGER.exception("the prediction of %r failed", job.title)
            job.end(FAILED, f"{type(error).__name__}: a fault of the program", "The log of the server has the details.")
        if self.get(job.id) is None:
            shutil.rmtree(job.folder, ignore_errors=True)

    def _predict(self, job: Job, table: PredictedTable) -> None:
        for rows in table.chunks():
            left = self.limits.max_rows - job.rows
            job.results.add(rows[:left])
            job.rows += len(rows[:left])
            job.errors += sum(not any(row.cells) for row in rows[:left])
            if len(rows) > left:
                message = f"the table has more than {self.limits.max_rows:,} rows; the rest was left out"
                return job.end(STOPPED, message, "Split the table, or start pyg-samsa serve with a larger --max-rows.")
            if job.cancelled.is_set():
                return job.end(CANCELLED, f"cancelled after {job.rows:,} rows")
            if job.seconds > 60 * self.limits.max_minutes:
                message = f"stopped after {job.rows:,} rows and {self.limits.max_minutes:,} minutes, the limit"
                hint = "Split the table, or start pyg-samsa serve with a larger --max-minutes."
                return job.end(STOPPED, message, hint)
        job.end(DONE)


def _no_smiles(error: NoColumnError | DoubledColumnError) -> DataError:
    """Return what the page says where a table has no column of molecules that it finds."""
    if isinstance(error, DoubledColumnError):
        return _doubled(str(error.value), error.places)
    place, names = error.likely, error.names
    if place is not None and names[place].strip():
        return _doubled(names[place], [at for at, name in enumerate(names) if name == names[place]])
    what = "No column of SMILES was found" if error.value is None else f"There is no column {error.value!r}"
    hint = "Write the name of the right column into 'SMILES column'."
    if error.value is not None:
        hint = f"{error.hint} {hint}".strip()
    elif place is not None:
        hint = f"If column {place + 1}, which has no name, is the right one, write {place + 1} into 'SMILES column'."
    elif any("inchi" in name.lower() for name in names):
        hint = "InChI is not read here: convert it to SMILES first, for example in ChemDraw."
    return DataError(f"{what}. The columns are {error.shown}", hint=hint)


def _doubled(name: str, places: Sequence[int]) -> DataError:
    numbers = " and ".join(str(place + 1) for place in places)
    hint = f"Write the number of the right one into 'SMILES column': {numbers}."
    return DataError(f"Several columns are called {name!r}", hint=hint)


def _for_the_page(error: BaseException, folder: Path) -> BaseException:
    """Take what only the command line knows out of an error: the path of the temporary folder."""
    if isinstance(error, SAMSAError):
        error.args = (str(error).replace(f"{folder}{os.sep}", ""), *error.args[1:])
    return error
