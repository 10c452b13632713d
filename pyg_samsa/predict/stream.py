"""Adds predictions to a table of molecules, in chunks and resumable."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from pyg_samsa.chem.parsing import in_chunks, parse_stream
from pyg_samsa.errors import ConfigError, DataIntegrityError, check_choice
from pyg_samsa.io.cells import DECIMALS, count_digits, read_number, write_number
from pyg_samsa.io.csv_columns import SMILES_NAMES, find_column, find_extra_columns
from pyg_samsa.io.csv_rows import CsvRows, why_no_molecule
from pyg_samsa.io.documents import parse_json, read_text
from pyg_samsa.io.extra_column import ExtraColumn
from pyg_samsa.io.files import atomic_write, lock, remove_partial, writing
from pyg_samsa.io.formulas import escape_formula
from pyg_samsa.io.memory import return_memory
from pyg_samsa.predict.interface import MAX_ATOMS, UNCERTAINTY_DRAWS, Predictions, Predictor, set_texts

_LOGGER = logging.getLogger(__name__)
CHUNK_ROWS = 1024
_LARGEST_STATE = 2**16


@dataclass(frozen=True)
class StreamOptions:
    """Options of the prediction of a table.

    Args:
        smiles_column: Name or number, from 1, of the column of SMILES; if empty, it is found by its name.
        uncertainty: Whether a column of standard deviations is added for each target.
        draws: Number of draws of codes for the uncertainty.
        workers: Number of processes that read molecules.
        max_atoms: Molecules with more atoms get an error.
        chunk_rows: Number of rows that are held in memory together.
        interval: Probability of intervals or sets, such as 0.9; None for none.
        decimal: Decimal sign of the extra columns; ``"auto"`` is that of the training, see
            `pyg_samsa.io.extra_column.ExtraColumn`.
        escape_formulas: Whether the cells of the table are escaped too, see `pyg_samsa.io.formulas`; those that are
            added always are.

    Raises:
        ConfigError: ``decimal`` is unknown.

    Example:
        >>> StreamOptions(uncertainty=True).draws
        8
    """

    smiles_column: str = ""
    uncertainty: bool = False
    draws: int = UNCERTAINTY_DRAWS
    workers: int = 1
    max_atoms: int = MAX_ATOMS
    chunk_rows: int = CHUNK_ROWS
    interval: float | None = None
    decimal: str = "auto"
    escape_formulas: bool = False

    def __post_init__(self) -> None:
        check_choice("--decimal", self.decimal, DECIMALS)


@dataclass
class Progress:
    """Progress of the output.

    Attributes:
        rows: Number of rows written.
        errors: Number of rows without a prediction.

    Example:
        >>> Progress(rows=10, errors=1)
        Progress(rows=10, errors=1)
    """

    rows: int = 0
    errors: int = 0


class TablePredictor:
    r"""Adds predictions to the rows of a table.

    Rows keep their order and fields. Short rows are filled with empty fields; surplus fields of long rows are joined
    into the last field, with an error. Added columns: ``<target>_pred`` for regressions and labels, ``pred`` (the most
    likely class) and ``<class>_pred`` for classes, ``<target>_spread`` with ``uncertainty``, and ``error``. With
    ``interval`` also ``<target>_low`` and ``<target>_high`` for regressions, ``<label>_set`` for labels, and ``set``
    for classes, see `pyg_samsa.predict.interface.set_texts`.

    Args:
        predictor: The predictor.
        rows: The table.
        options: Options.

    Raises:
        ConfigError: The column of SMILES, or an extra column that the predictor needs, cannot be found.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> from io import BytesIO
        >>> from pyg_samsa.io.csv_rows import open_rows
        >>> with open_rows(BytesIO(b"name,smiles\nglycine,NCC(=O)O\n")) as rows:
        ...     table = TablePredictor(predictor, rows, StreamOptions())
        ...     (_, written, errors), = table.chunks(rows)
        >>> written[0][:2], errors
        (['glycine', 'NCC(=O)O'], 0)
    """

    def __init__(self, predictor: Predictor, rows: CsvRows, options: StreamOptions) -> None:
        self.predictor, self.rows, self.options = predictor, rows, options
        if not rows.header:
            names = options.smiles_column or "1"
            if not names.isdigit() or int(names) < 1:
                raise ConfigError(
                    "--smiles-column", names, "the number of a column, from 1, for a table without a header"
                )
            self.column, self.width = int(names) - 1, 0
        else:
            self.column = find_column(rows.header, options.smiles_column, key="--smiles-column", fallbacks=SMILES_NAMES)
            self.width = len(rows.header)
        columns = [ExtraColumn.of(name) for name in predictor.extra_columns]
        places = find_extra_columns(rows.header, columns, key="IN")
        self.extra = {column: places[column] for column in columns}
        std = predictor.target_std
        self._spreads: list[float | None] = [None] * len(predictor.target_names) if std is None else std.tolist()

    def header(self) -> list[str]:
        r"""Return the names of all columns; added names are made unique.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> from io import BytesIO
            >>> from pyg_samsa.io.csv_rows import open_rows
            >>> with open_rows(BytesIO(b"name,smiles\n")) as rows:
            ...     TablePredictor(predictor, rows, StreamOptions()).header()
            ['name', 'smiles', 'antimicrobial_pred', 'anticancer_pred', 'transmembrane_pred', 'error']
        """
        names = self._kept(self.rows.header)
        for name in map(escape_formula, self._added()):
            fresh, number = name, 2
            while fresh in names:
                fresh, number = f"{name}_{number}", number + 1
            names.append(fresh)
        return names

    def _kept(self, fields: Sequence[str]) -> list[str]:
        """Return the fields of the table as they are written."""
        return [escape_formula(field) for field in fields] if self.options.escape_formulas else list(fields)

    def _added(self) -> list[str]:
        targets = self.predictor.target_names
        added = ["pred"] if self.predictor.task.kind == "multiclass" else []
        added += [f"{name}_pred" for name in targets]
        added += [f"{name}_spread" for name in targets] if self.options.uncertainty else []
        if self.options.interval is not None:
            kind = self.predictor.task.kind
            ends = {"regression": ["_low", "_high"], "multiclass": []}.get(kind, ["_set"])
            added += [f"{name}{end}" for name in targets for end in ends] + ["set"] * (kind == "multiclass")
        return [*added, "error"]

    def signature(self) -> str:
        """Return a hash of everything that the output depends on, without the rows."""
        asked = (
            self.predictor.fingerprint,
            self.header(),
            self.column,
            self.options.uncertainty,
            self.options.draws,
            self.options.max_atoms,
            self.options.interval,
            self.options.decimal,
            self.options.escape_formulas,
        )
        return hashlib.sha256(json.dumps([*asked, self.options.chunk_rows]).encode()).hexdigest()

    def chunks(self, source: Iterable[Sequence[str]]) -> Iterator[tuple[list[list[str]], list[list[str]], int]]:
        """Yield, for each chunk, the input rows, the output rows, and the number of errors.

        Raises:
            DataError: The numbers of an extra column have another decimal sign than in training.
        """
        table = in_chunks(source, self.options.chunk_rows)
        pending: list[list[list[str]]] = []

        def smiles() -> Iterator[list[str]]:
            for rows in table:
                pending.append(rows)
                yield [row[self.column] if len(row) > self.column else "" for row in rows]

        first = True
        options: dict[str, Any] = {"workers": self.options.workers, "max_atoms": self.options.max_atoms}
        for _, parsed in parse_stream(smiles(), **options, descriptors=self.predictor.descriptors):
            rows = pending.pop(0)
            if first:
                self._compare_extra(rows)
                first = False
            numbers = {
                column: [self._number(column, row, place) for row in rows] for column, place in self.extra.items()
            }
            extra: dict[str, list[float]] = {
                name: [math.nan if value is None else value for value in numbers[name]] for name in numbers
            }
            result = self.predictor.predict_parsed(
                parsed,
                extra_columns=extra,
                uncertainty=self.options.uncertainty,
                draws=self.options.draws,
                interval=self.options.interval,
            )
            sets = [] if result.sets is None else list(set_texts(self.predictor.task, result).values())
            words = [
                [self._refused(name, row) for name in numbers if numbers[name][place] is None]
                for place, row in enumerate(rows)
            ]
            written = [
                self._row(fields, result, place, [column[place] for column in sets], words[place])
                for place, fields in enumerate(rows)
            ]
            yield rows, written, sum(1 for error in result.errors if error)
            return_memory()

    def _compare_extra(self, rows: Sequence[Sequence[str]]) -> None:
        """Raise an error if extra columns are written in another way than in training, and tell what is unclear."""
        for column, place in self.extra.items():
            texts = [row[place] if place < len(row) else "" for row in rows]
            if told := column.compare(texts, decimal=self.options.decimal):
                _LOGGER.warning("%s", told)

    def _number(self, column: ExtraColumn, row: Sequence[str], place: int) -> float | None:
        """Return the number in a field as training reads it: NaN if it is missing, None if it is another word."""
        if place >= len(row):
            return math.nan
        return column.read(row[place], decimal=self.options.decimal, delimiter=self.rows.delimiter)

    def _refused(self, column: ExtraColumn, row: Sequence[str]) -> str:
        """Return the name of a column whose field is no number, and how it can be read, if it is known."""
        text = row[self.extra[column]].strip()
        if self.options.decimal == "auto" and column.differs(text):
            return f"{column} ({text[:20]!r} has another decimal sign than the training: --decimal)"
        if self.options.decimal == "auto" and column.is_unclear(text):
            readings = " or ".join(f"{read_number(text, decimal=sign):.15g}" for sign in ("comma", "point"))
            return f"{column} ({text[:20]!r} may be {readings}: --decimal)"
        return str(column)

    def _row(
        self, fields: Sequence[str], result: Predictions, place: int, sets: Sequence[str], words: Sequence[str]
    ) -> list[str]:
        """Return the output row; ``words`` tells the extra columns whose field is no number."""
        error = why_no_molecule(fields, self.column) or result.errors[place]
        if words:
            missing = f"no number in {', '.join(words)}, taken as missing"
            error = f"{error}; {missing}" if error else missing
        kept = list(fields)
        if self.width and len(kept) != self.width:
            if len(kept) > self.width:
                surplus = f"{len(kept)} fields, the header has {self.width}"
                error = f"{error}; {surplus}" if error else surplus
                kept = [*kept[: self.width - 1], self.rows.delimiter.join(kept[self.width - 1 :])]
            kept += [""] * (self.width - len(kept))
        values, names = result.values[place], self.predictor.target_names
        known = bool(np.isfinite(values).all())
        added = ([names[int(values.argmax())]] if known else [""]) if self.predictor.task.kind == "multiclass" else []
        numbers = [values]
        if result.spread is not None:
            numbers.append(result.spread[place])
        added += [text for row in numbers for text in self._texts(row, self._spreads, known)]
        if result.low is not None and result.high is not None:
            # As many digits as the prediction has: more would only describe the width.
            for value, spread, *ends in zip(
                values.tolist(), self._spreads, result.low[place].tolist(), result.high[place].tolist(), strict=True
            ):
                digits = count_digits(value, spread)
                added += [write_number(end, digits=digits) if known else "" for end in ends]
        return [*self._kept(kept), *(escape_formula(text) for text in (*added, *sets, error))]

    @staticmethod
    def _texts(values: np.ndarray, spreads: Sequence[float | None], known: bool) -> list[str]:
        return [
            write_number(value, spread) if known else "" for value, spread in zip(values.tolist(), spreads, strict=True)
        ]


def predict_to_stream(
    table: TablePredictor, output: IO[str], *, advance: Callable[[float], None] = lambda _: None
) -> Progress:
    r"""Write the table with predictions to an open text stream.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> from io import BytesIO
        >>> from pyg_samsa.io.csv_rows import open_rows
        >>> from io import StringIO
        >>> output = StringIO()
        >>> with open_rows(BytesIO(b"smiles\nNCC(=O)O\nC1CC\n")) as rows:
        ...     predict_to_stream(TablePredictor(predictor, rows, StreamOptions()), output)
        Progress(rows=2, errors=1)
        >>> output.getvalue().splitlines()[2]
        'C1CC,,,,RDKit cannot read this SMILES'
    """
    writer, done = _writer(output, table), Progress()
    if table.rows.header:
        writer.writerow(table.header())
    for rows, written, errors in table.chunks(table.rows):
        writer.writerows(written)
        output.flush()
        done.rows, done.errors = done.rows + len(rows), done.errors + errors
        advance(len(rows))
    return done


def predict_to_file(
    table: TablePredictor, path: Path, *, advance: Callable[[float], None] = lambda _: None
) -> Progress:
    r"""Write the table with predictions to a file, which appears when it is complete.

    Until then the output is in ``<name>.partial``, and its progress in ``<name>.partial.json``. If both exist from an
    interrupted run with the same model, options and rows, that run is continued, with the same result as without the
    interruption.

    Args:
        table: The table.
        path: File to write; an existing one is replaced at the end.
        advance: Called with the number of rows of each chunk, including those that were finished before.

    Raises:
        ConfigError: The interrupted run had another model, other options or another table; another process writes
            this file; or ``<name>.partial`` is a link.
        DataIntegrityError: The files of the interrupted run are damaged.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> from io import BytesIO
        >>> from pyg_samsa.io.csv_rows import open_rows
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "out.csv"
        >>> with open_rows(BytesIO(b"smiles\nNCC(=O)O\n")) as rows:
        ...     predict_to_file(TablePredictor(predictor, rows, StreamOptions()), path)
        Progress(rows=1, errors=0)
        >>> len(path.read_text().splitlines())
        2
    """
    partial = path.with_name(f"{path.name}.partial")
    state_file = partial.with_name(f"{partial.name}.json")
    with lock(path, wait=False, setting="OUT"):
        remove_partial(state_file)
        return _predict_to_file(table, path, partial, state_file, advance)


def _predict_to_file(
    table: TablePredictor, path: Path, partial: Path, state_file: Path, advance: Callable[[float], None]
) -> Progress:
    if partial.is_symlink():
        hint = f"Delete the link {partial}."
        raise ConfigError("OUT", str(path), f"a file whose unfinished part, {partial.name}, is no link", hint=hint)
    state = _read_state(state_file, partial, table.signature())
    source, seen = iter(table.rows), hashlib.sha256()
    for row in _skip(source, state["rows"], partial):
        seen.update(_digest(row))
    if seen.hexdigest() != state["digest"]:
        raise _other(partial, "the first rows of the table")
    done = Progress(state["rows"], state["errors"])
    advance(done.rows)
    mode = "r+" if state["rows"] else "w"
    with writing(path), open(partial, mode, encoding="utf-8", newline="", opener=_open_no_link) as file:
        file.truncate(state["bytes"])
        file.seek(0, os.SEEK_END)
        writer = _writer(file, table)
        if not state["rows"] and table.rows.header:
            writer.writerow(table.header())
        for rows, written, errors in table.chunks(source):
            writer.writerows(written)
            file.flush()
            for row in rows:
                seen.update(_digest(row))
            done.rows, done.errors = done.rows + len(rows), done.errors + errors
            content = {
                "signature": table.signature(),
                "rows": done.rows,
                "errors": done.errors,
                "digest": seen.hexdigest(),
            }
            _write_state(state_file, content | {"bytes": os.fstat(file.fileno()).st_size})
            advance(len(rows))
        os.fsync(file.fileno())
    os.replace(partial, path)
    state_file.unlink(missing_ok=True)
    return done


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _writer(output: IO[str], table: TablePredictor) -> Any:
    return csv.writer(output, delimiter=table.rows.delimiter, lineterminator="\n")


def _digest(row: Sequence[str]) -> bytes:
    return hashlib.sha256("\x1f".join(row).encode("utf-8", "surrogatepass")).digest()


def _skip(source: Iterator[list[str]], count: int, partial: Path) -> Iterator[list[str]]:
    for _ in range(count):
        row = next(source, None)
        if row is None:
            raise _other(partial, "as many rows")
        yield row


def _read_state(state_file: Path, partial: Path, signature: str) -> dict[str, Any]:
    fresh = {"rows": 0, "errors": 0, "bytes": 0, "digest": hashlib.sha256().hexdigest()}
    if not (state_file.is_file() and partial.is_file()):
        return fresh
    try:
        state = parse_json(read_text(state_file, _LARGEST_STATE))
        fits = (
            all(isinstance(state[key], type(value)) for key, value in fresh.items())
            and partial.stat().st_size >= state["bytes"]
        )
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise DataIntegrityError(
            state_file,
            "the state of an interrupted prediction",
            "something else",
            hint=f"Delete it and {partial.name}.",
        )
    if state.get("signature") != signature:
        raise _other(partial, "this model, these columns and these options")
    return state


def _other(partial: Path, what: str) -> ConfigError:
    hint = f"To start again, delete it and {partial.name}.json, or write to another file."
    return ConfigError(str(partial), "an interrupted prediction of something else", f"one of {what}", hint=hint)


def _write_state(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
