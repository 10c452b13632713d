"""Writes tables with predictions: to a stream, or to a file that can be continued after an interruption."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pyg_samsa.chem.molecule_changes import ChangeCounts
from pyg_samsa.errors import ConfigError, DataIntegrityError, SAMSAError
from pyg_samsa.io.documents import parse_json, read_text
from pyg_samsa.io.files import atomic_write, lock, remove_partial, writing
from pyg_samsa.io.tables.table import Chunk, check_rows
from pyg_samsa.predict.changes_list import ChangesList, list_beside
from pyg_samsa.predict.table_predictor import PredictedChunk, TablePredictor

_LARGEST_STATE = 2**16


@dataclass
class Progress:
    """Progress of the output.

    Attributes:
        rows: Number of rows written.
        errors: Number of rows without a prediction.
        changes: How many molecules were standardised; None for a predictor without standardisation.
        far: How many molecules are far from all training molecules; None if that is not searched.

    Example:
        >>> Progress(rows=10, errors=1).changes is None
        True
    """

    rows: int = 0
    errors: int = 0
    changes: ChangeCounts | None = None
    far: int | None = None

    @classmethod
    def of(cls, table: TablePredictor) -> Progress:
        """Return that of a table of which nothing is written."""
        changes = ChangeCounts() if table.predictor.standardize else None
        return cls(changes=changes, far=None if table.nearest is None else 0)

    def add(self, found: PredictedChunk) -> None:
        """Count the rows of a chunk."""
        self.rows, self.errors = self.rows + len(found.chunk), self.errors + found.errors
        if self.far is not None:
            self.far += found.far
        if self.changes is not None:
            self.changes.add(len(found.chunk) - found.errors, found.changes)


def predict_to_stream(
    table: TablePredictor, output: IO[bytes], *, advance: Callable[[float], None] = lambda _: None
) -> Progress:
    r"""Write the table with predictions to an open binary stream.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> from io import BytesIO
        >>> from pyg_samsa.chem.molecule_table import open_molecule_table
        >>> from pyg_samsa.predict.table_predictor import StreamOptions
        >>> output = BytesIO()
        >>> with open_molecule_table(BytesIO(b"smiles\nNCC(=O)O\nC1CC\n")) as (reader, _):
        ...     predict_to_stream(TablePredictor(predictor, reader, StreamOptions()), output)
        Progress(rows=2, errors=1, changes=None, far=None)
        >>> output.getvalue().splitlines()[2]
        b'C1CC,,,,RDKit cannot read this SMILES (ring 1 is not closed)'
    """
    done = Progress.of(table)
    output.write(table.writer.start())
    for found in table.chunks():
        output.write(table.writer.encode(found.chunk, found.added))
        output.flush()
        done.add(found)
        advance(len(found.chunk))
    return done


def predict_to_file(
    table: TablePredictor,
    path: Path,
    *,
    advance: Callable[[float], None] = lambda _: None,
    accept: Callable[[], None] = lambda: None,
    listed: Path | None = None,
) -> Progress:
    r"""Write the table with predictions to a file, which appears when it is complete.

    Until then the output is in ``<name>.partial``, and its progress in ``<name>.partial.json``. If both exist from an
    interrupted run with the same model, options and rows, that run is continued, with the same result as without the
    interruption.

    Args:
        table: The table.
        path: File to write; an existing one is replaced at the end.
        advance: Called with the number of rows of each chunk, including those that were finished before. An error of
            it interrupts the prediction.
        accept: Called when all rows are written, before the file appears. A `SAMSAError` of it is raised; what was
            written is deleted then, and an existing file stays.
        listed: File that lists the standardised molecules, see `pyg_samsa.predict.changes_list.ChangesList`; by default
            `~pyg_samsa.predict.changes_list.list_beside` the output. Only for a predictor that standardises.

    Raises:
        ConfigError: The interrupted run had another model, other options or another table; another process writes
            this file; ``<name>.partial`` is a link; or something else is in the place of the list.
        DataIntegrityError: The files of the interrupted run are damaged, or the output lacks
            rows of the table.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> from io import BytesIO
        >>> from pyg_samsa.chem.molecule_table import open_molecule_table
        >>> from pyg_samsa.predict.table_predictor import StreamOptions
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "out.csv"
        >>> with open_molecule_table(BytesIO(b"smiles\nNCC(=O)O\n")) as (reader, _):
        ...     predict_to_file(TablePredictor(predictor, reader, StreamOptions()), path)
        Progress(rows=1, errors=0, changes=None, far=None)
        >>> len(path.read_text().splitlines())
        2
    """
    partial = _partial_of(path)
    state_file = partial.with_name(f"{partial.name}.json")
    with lock(path, wait=False, setting="OUT"):
        for file in (state_file, path):
            remove_partial(file)
        with ExitStack() as stack:
            changes = None
            if table.predictor.standardize:
                changes = stack.enter_context(ChangesList(listed or list_beside(path)))
            done = _write_partial(table, path, state_file, advance, changes)
            try:
                accept()
            except SAMSAError:
                for file in (state_file, partial):
                    file.unlink(missing_ok=True)
                if changes is not None:
                    changes.discard()
                raise
            if changes is not None:
                changes.finish()
        with writing(path):
            table.writer.finish(partial, path, done.rows)
        state_file.unlink(missing_ok=True)
        return done


def _write_partial(
    table: TablePredictor,
    path: Path,
    state_file: Path,
    advance: Callable[[float], None],
    changes: ChangesList | None,
) -> Progress:
    partial = _partial_of(path)
    if partial.is_symlink():
        hint = f"Delete the link {partial}."
        raise ConfigError("OUT", str(path), f"a file whose unfinished part, {partial.name}, is no link", hint=hint)
    state = _read_state(state_file, partial, table)
    seen = hashlib.sha256()
    for chunk in _skip(table, state["rows"], partial):
        _update(seen, chunk)
    if seen.hexdigest() != state["digest"]:
        raise _other(partial, "the first rows of the table")
    done = Progress(state["rows"], state["errors"], far=state.get("far"))
    if changes is not None:
        done.changes = ChangeCounts.from_dict(state["changes"])
        changes.start(state["listed"])
    advance(done.rows)
    with writing(path), open(partial, "r+b" if state["rows"] else "wb", opener=_open_no_link) as file:
        file.truncate(state["bytes"])
        file.seek(0, os.SEEK_END)
        if not state["rows"]:
            file.write(table.writer.start())
        for found in table.chunks():
            file.write(table.writer.encode(found.chunk, found.added))
            # The rows must be on the disk before the state that counts them.
            file.flush()
            os.fsync(file.fileno())
            _update(seen, found.chunk)
            content: dict[str, Any] = {"signature": table.signature(), "digest": seen.hexdigest()}
            if changes is not None:
                changes.add(found.changes, first=done.rows + 1)
            done.add(found)
            if changes is not None and done.changes is not None:
                content |= {"listed": changes.size, "changes": done.changes.as_dict()}
            content |= {} if done.far is None else {"far": done.far}
            content |= {"rows": done.rows, "errors": done.errors, "bytes": os.fstat(file.fileno()).st_size}
            _write_state(state_file, content)
            advance(len(found.chunk))
        file.flush()
        os.fsync(file.fileno())
    if table.table.num_rows is not None:
        check_rows(partial, done.rows, table.table.num_rows)
    return done


def _partial_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _update(seen: Any, chunk: Chunk) -> None:
    for digest in chunk.digests():
        seen.update(digest)


def _skip(table: TablePredictor, count: int, partial: Path) -> Iterator[Chunk]:
    while count:
        chunk = table.table.take(min(count, table.options.chunk_rows))
        if chunk is None:
            raise _other(partial, "as many rows")
        count -= len(chunk)
        yield chunk


def _read_state(state_file: Path, partial: Path, table: TablePredictor) -> dict[str, Any]:
    fresh: dict[str, Any] = {"rows": 0, "errors": 0, "bytes": 0, "digest": hashlib.sha256().hexdigest()}
    if table.predictor.standardize:
        fresh |= {"listed": 0, "changes": ChangeCounts().as_dict()}
    if table.nearest is not None:
        fresh |= {"far": 0}
    if not (state_file.is_file() and partial.is_file()):
        return fresh
    try:
        state = parse_json(read_text(state_file, _LARGEST_STATE))
        other = isinstance(state["signature"], str) and state["signature"] != table.signature()
        fits = other or (
            all(isinstance(state[key], type(value)) for key, value in fresh.items())
            and partial.stat().st_size >= state["bytes"]
        )
        if "changes" in fresh and not other:
            ChangeCounts.from_dict(state["changes"])
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise DataIntegrityError(
            state_file,
            "the state of an interrupted prediction",
            "something else",
            hint=f"Delete it and {partial.name}.",
        )
    if other:
        raise _other(partial, "this model, these columns and these options")
    return state


def _other(partial: Path, what: str) -> ConfigError:
    hint = f"To start again, delete it and {partial.name}.json, or write to another file."
    return ConfigError(str(partial), "an interrupted prediction of something else", f"one of {what}", hint=hint)


def _write_state(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
