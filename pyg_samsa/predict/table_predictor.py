"""Adds columns of predictions to the rows of a table."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from pyg_samsa.chem.mol_blocks import block_smiles, parse_blocks
from pyg_samsa.chem.molecule_changes import Change
from pyg_samsa.chem.molecule_table import find_molecules
from pyg_samsa.chem.parsing import parse_molecules, parse_stream
from pyg_samsa.errors import ConfigError, check_choice
from pyg_samsa.io.cells import DECIMALS, count_digits, read_number, write_number
from pyg_samsa.io.csv_columns import find_extra_columns
from pyg_samsa.io.extra_column import ExtraColumn
from pyg_samsa.io.formulas import escape_formula
from pyg_samsa.io.memory import return_memory
from pyg_samsa.io.tables.formats import FORMATS
from pyg_samsa.io.tables.table import AddedColumn, Chunk, TableReader, TableWriter
from pyg_samsa.io.tables.writers import make_writer
from pyg_samsa.predict.interface import MAX_ATOMS, UNCERTAINTY_DRAWS, Predictions, Predictor, set_texts
from pyg_samsa.predict.nearest import Search, count_far, nearest_columns

_LOGGER = logging.getLogger(__name__)
CHUNK_ROWS = 1024


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
        output_format: Format of the output, see `pyg_samsa.io.tables.formats`.

    Raises:
        ConfigError: ``decimal`` or the format is unknown.

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
    output_format: str = "csv"

    def __post_init__(self) -> None:
        check_choice("--decimal", self.decimal, DECIMALS)
        check_choice("--output-format", self.output_format, FORMATS)
        if self.escape_formulas and not self.output_format.startswith("csv"):
            expected = "a CSV file as output; other formats have no formulas"
            raise ConfigError("--escape-formulas", self.output_format, expected)


class ChunkInputs(NamedTuple):
    """What the predictions of a chunk of n rows depend on.

    Attributes:
        molecules: SMILES, or blocks of an SDF file [n].
        extra: Name of an extra column -> numbers [n], NaN where missing.
        has_blocks: Whether the molecules are blocks.

    Example:
        >>> ChunkInputs(["C"], {}, False).molecules
        ['C']
    """

    molecules: list[str]
    extra: dict[str, list[float]]
    has_blocks: bool


class AddedName(NamedTuple):
    """A column that a prediction adds to a table.

    Attributes:
        name: Its name.
        is_number: Whether it holds numbers.
        role: ``"value"`` (of a regression, or a probability), ``"spread"``, ``"low"``, ``"high"``, ``"set"``,
            ``"class"`` (the most likely one), ``"standardized"`` (the molecule that was predicted, where it is not the
            given one), ``"similarity"``, ``"nearest"`` and ``"measured"`` (of the nearest training molecule) or
            ``"error"``.
        target: Name of the target or class; empty where the column belongs to none.

    Example:
        >>> AddedName("logS_pred", True, "value", "logS").role
        'value'
    """

    name: str
    is_number: bool
    role: str
    target: str = ""


class PredictedChunk(NamedTuple):
    """Rows of a table with what is added to them.

    Attributes:
        chunk: The rows.
        added: The added columns.
        errors: Number of rows without a prediction.
        changes: Molecules that were standardised to others before.
        far: Number of molecules that are far from all training molecules, see `pyg_samsa.predict.nearest`; 0 without
            a search.

    Example:
        >>> from pyg_samsa.io.tables.csv_format import CsvChunk
        >>> PredictedChunk(CsvChunk([["C"]], 1, ","), [], 0, []).errors
        0
    """

    chunk: Chunk
    added: list[AddedColumn]
    errors: int
    changes: Sequence[Change]
    far: int = 0


ChunkPredictor = Callable[[Iterable[ChunkInputs]], Iterator[Predictions]]
"""Predicts chunks as they come, in order."""


def nearest_names(search: Search) -> list[AddedName]:
    """Return the columns that `pyg_samsa.predict.nearest.nearest_columns` fills.

    Args:
        search: The training molecules.

    Example:
        >>> from types import SimpleNamespace
        >>> [added.name for added in nearest_names(SimpleNamespace(measured_columns={"logS": True}))]
        ['nearest_similarity', 'nearest_smiles', 'nearest_logS_measured']
    """
    return [
        AddedName("nearest_similarity", True, "similarity"),
        AddedName("nearest_smiles", False, "nearest"),
        *(
            AddedName(f"nearest_{name}_measured", is_number, "measured", name)
            for name, is_number in search.measured_columns.items()
        ),
    ]


def predict_chunks(
    predictor: Predictor, inputs: Iterable[ChunkInputs], options: StreamOptions, *, has_blocks: bool = False
) -> Iterator[Predictions]:
    """Predict chunks in this process.

    Args:
        predictor: The predictor.
        inputs: The chunks.
        options: Options.
        has_blocks: Whether the molecules are blocks of an SDF file.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> inputs = [ChunkInputs(["NCC(=O)O", "C"], {}, False)]
        >>> [result.values.shape for result in predict_chunks(predictor, inputs, StreamOptions())]
        [(2, 3)]
    """
    pending: deque[ChunkInputs] = deque()

    def molecules() -> Iterator[list[str]]:
        for given in inputs:
            pending.append(given)
            yield given.molecules

    reading: dict[str, Any] = {"workers": options.workers, "max_atoms": options.max_atoms}
    reading |= {"descriptors": predictor.descriptors, "standardize": predictor.standardize}
    parse = parse_blocks if has_blocks else parse_molecules
    for _, parsed in parse_stream(molecules(), **reading, parse=parse):
        yield predictor.predict_parsed(
            parsed,
            extra_columns=pending.popleft().extra,
            uncertainty=options.uncertainty,
            draws=options.draws,
            interval=options.interval,
        )
        return_memory()


class TablePredictor:
    r"""Adds columns of predictions to the rows of a table.

    Rows keep their order and fields. Short rows of a CSV file are filled with empty fields; surplus fields of long rows
    are joined into the last field, with an error. Added columns: ``<target>_pred`` for regressions and labels, ``pred``
    (the most likely class) and ``<class>_pred`` for classes, ``<target>_spread`` with ``uncertainty``, and ``error``.
    With ``interval`` also ``<target>_low`` and ``<target>_high`` for regressions, ``<label>_set`` for labels, and
    ``set`` for classes, see `pyg_samsa.predict.interface.set_texts`. A predictor that standardises molecules also adds
    ``standardized``, the molecule that was predicted in place of the given one; it is empty where that is the same.
    With ``nearest`` the columns ``nearest_similarity``, ``nearest_smiles`` and ``nearest_<target>_measured``
    (``nearest_class_measured`` for classes) describe the most similar training molecule.

    Args:
        predictor: The predictor.
        table: The table.
        options: Options.
        nearest: The training molecules, if the nearest one of each row is searched.

    Attributes:
        predict: Predicts the chunks: `predict_chunks` in this process, unless something else is put in its place.

    Raises:
        ConfigError: The column of SMILES, or an extra column that the predictor needs, cannot be found, or the table
            cannot be written in the format of the output.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> predictor = MoleculePredictor.from_pretrained("peptides")
        >>> from io import BytesIO
        >>> from pyg_samsa.chem.molecule_table import open_molecule_table
        >>> with open_molecule_table(BytesIO(b"name,smiles\nglycine,NCC(=O)O\n")) as (reader, _):
        ...     table = TablePredictor(predictor, reader, StreamOptions())
        ...     found, = table.chunks()
        >>> found.chunk.fields(), len(found.added), found.errors
        ([['glycine', 'NCC(=O)O']], 4, 0)
    """

    def __init__(
        self, predictor: Predictor, table: TableReader, options: StreamOptions, nearest: Search | None = None
    ) -> None:
        self.predictor, self.table, self.options, self.nearest = predictor, table, options, nearest
        self.predict: ChunkPredictor = partial(predict_chunks, predictor, options=options, has_blocks=table.has_blocks)
        self.column = find_molecules(table, options.smiles_column)
        columns = [ExtraColumn.of(name) for name in predictor.extra_columns]
        places = find_extra_columns(table.header, columns, key="IN")
        self.extra = {column: places[column] for column in columns}
        std = predictor.target_std
        self._spreads: list[float | None] = [None] * len(predictor.target_names) if std is None else std.tolist()
        self.writer = self._writer()

    def header(self) -> list[str]:
        r"""Return the names of all columns; added names are made unique.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> from io import BytesIO
            >>> from pyg_samsa.chem.molecule_table import open_molecule_table
            >>> with open_molecule_table(BytesIO(b"name,smiles\nmethane,C\n")) as (reader, _):
            ...     TablePredictor(predictor, reader, StreamOptions()).header()
            ['name', 'smiles', 'antimicrobial_pred', 'anticancer_pred', 'transmembrane_pred', 'error']
        """
        escapes = self.options.output_format.startswith("csv")
        names = [escape_formula(name) for name in self.table.header] if self.options.escape_formulas else []
        names = names or list(self.table.header)
        for added in self.added():
            name = fresh = escape_formula(added.name) if escapes else added.name
            number = 2
            while fresh in names:
                fresh, number = f"{name}_{number}", number + 1
            names.append(fresh)
        return names

    def added(self) -> list[AddedName]:
        r"""Return what is added to the table, column by column, before names are made unique.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> from io import BytesIO
            >>> from pyg_samsa.chem.molecule_table import open_molecule_table
            >>> with open_molecule_table(BytesIO(b"smiles\nC\n")) as (reader, _):
            ...     TablePredictor(predictor, reader, StreamOptions()).added()[-2:]
            [AddedName(name='transmembrane_pred', is_number=True, role='value', target='transmembrane'),
             AddedName(name='error', is_number=False, role='error', target='')]
        """
        targets, kind = self.predictor.target_names, self.predictor.task.kind
        added = [AddedName("pred", False, "class")] if kind == "multiclass" else []
        suffix = self.predictor.column_suffix
        added += [AddedName(f"{name}{suffix}", True, "value", name) for name in targets]
        added += (
            [AddedName(f"{name}_spread", True, "spread", name) for name in targets] if self.options.uncertainty else []
        )
        if self.options.interval is not None:
            ends = {"regression": ["low", "high"], "multiclass": []}.get(kind, ["set"])
            added += [AddedName(f"{name}_{end}", end != "set", end, name) for name in targets for end in ends]
            added += [AddedName("set", False, "set")] * (kind == "multiclass")
        added += [AddedName("standardized", False, "standardized")] * bool(self.predictor.standardize)
        added += nearest_names(self.nearest) if self.nearest is not None else []
        return [*added, AddedName("error", False, "error")]

    def _writer(self) -> TableWriter:
        numeric = [added.is_number for added in self.added()]
        # A table without a header stays one; an SDF file has names in each record.
        names = self.header() if self.table.header or self.table.has_blocks else []
        options: dict[str, Any] = {"escape_kept": self.options.escape_formulas}
        return make_writer(self.options.output_format, self.table, names, numeric, **options)

    def signature(self) -> str:
        r"""Return a hash of everything that the output depends on, without the rows.

        Example:
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> predictor = MoleculePredictor.from_pretrained("peptides")
            >>> from io import BytesIO
            >>> from pyg_samsa.chem.molecule_table import open_molecule_table
            >>> with open_molecule_table(BytesIO(b"smiles\nC\n")) as (reader, _):
            ...     tables = [TablePredictor(predictor, reader, StreamOptions(draws=draws)) for draws in (2, 3)]
            >>> len({table.signature() for table in tables})
            2
        """
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
            self.table.format,
            self.table.delimiter,
            self.options.output_format,
            *([self.nearest.fingerprint] if self.nearest is not None else []),
        )
        return hashlib.sha256(json.dumps([*asked, self.options.chunk_rows]).encode()).hexdigest()

    def chunks(self) -> Iterator[PredictedChunk]:
        """Yield each chunk of rows that the table has left with what is added to it.

        Raises:
            DataError: The numbers of an extra column have another decimal sign than in training.
        """
        pending: deque[tuple[Chunk, list[list[str]]]] = deque()

        def inputs() -> Iterator[ChunkInputs]:
            first = True
            while (chunk := self.table.take(self.options.chunk_rows)) is not None:
                if first:
                    self._compare_extra(chunk)
                    first = False
                extra, words = self._extra(chunk)
                pending.append((chunk, words))
                yield ChunkInputs(chunk.molecules(self.column), extra, self.table.has_blocks)

        for result in self.predict(inputs()):
            chunk, words = pending.popleft()
            errors = sum(1 for error in result.errors if error)
            added = self._columns(chunk, result, words)
            far = 0
            if self.nearest is not None:
                steps = tuple(self.predictor.standardize)
                done = bool(steps) and steps == tuple(self.nearest.standardize)
                texts = self._predicted_smiles(chunk, result, standardized=done)
                searched = nearest_columns(self.nearest, texts, standardized=done)
                added[-1:-1] = searched  # before the errors
                far = count_far(searched[0])
            yield PredictedChunk(chunk, added, errors, result.changes, far)

    def _predicted_smiles(self, chunk: Chunk, result: Predictions, *, standardized: bool) -> list[str]:
        """Return the SMILES, as given or standardised, of the rows that have a prediction; others are empty."""
        given: list[Any] = chunk.molecules(self.column)
        if self.table.has_blocks:
            given = [block_smiles(block) for block in given]
        if standardized:
            # Molecules that are not listed are standardised as they are given.
            given = [text.strip() if isinstance(text, str) else text for text in given]
            for change in result.changes:
                given[change.position] = change.after
        known = np.isfinite(result.values).all(1).tolist()
        return [text if there and isinstance(text, str) else "" for text, there in zip(given, known, strict=True)]

    def _compare_extra(self, chunk: Chunk) -> None:
        """Raise an error if extra columns are written in another way than in training, and tell what is unclear."""
        for column, place in self.extra.items():
            decimal = self.table.reading(place, self.options.decimal)["decimal"]
            if told := column.compare(chunk.texts(place), decimal=decimal):
                _LOGGER.warning("%s", told)

    def _extra(self, chunk: Chunk) -> tuple[dict[str, list[float]], list[list[str]]]:
        """Return the numbers of the extra columns, and for each row the columns whose field is no number."""
        numbers: dict[str, list[float]] = {}
        words: list[list[str]] = [[] for _ in range(len(chunk))]
        for column, place in self.extra.items():
            options = self.table.reading(place, self.options.decimal)
            numbers[column] = []
            for row, text in enumerate(chunk.texts(place)):
                value = column.read(text, **options)
                numbers[column].append(math.nan if value is None else value)
                if value is None:
                    words[row].append(self._refused(column, text.strip()))
        return numbers, words

    def _refused(self, column: ExtraColumn, text: str) -> str:
        """Return the name of a column whose field is no number, and how it can be read, if it is known."""
        if self.options.decimal == "auto" and column.differs(text):
            return f"{column} ({text[:20]!r} has another decimal sign than the training: --decimal)"
        if self.options.decimal == "auto" and column.is_unclear(text):
            readings = " or ".join(f"{read_number(text, decimal=sign):.15g}" for sign in ("comma", "point"))
            return f"{column} ({text[:20]!r} may be {readings}: --decimal)"
        return str(column)

    def _columns(self, chunk: Chunk, result: Predictions, words: Sequence[Sequence[str]]) -> list[AddedColumn]:
        """Return the added columns; ``words`` tells the extra columns whose field is no number."""
        values, names = result.values, self.predictor.target_names
        known = np.isfinite(values).all(1)
        added = []
        if self.predictor.task.kind == "multiclass":
            likely = [names[int(row.argmax())] if there else "" for row, there in zip(values, known, strict=True)]
            added.append(AddedColumn(likely))
        for numbers in (values, result.spread):
            if numbers is not None:
                added += [
                    _numbers(column, known, [count_digits(value, spread) for value in column.tolist()])
                    for column, spread in zip(numbers.T, self._spreads, strict=True)
                ]
        if result.low is not None and result.high is not None:
            for target, spread in enumerate(self._spreads):
                # As many digits as the prediction has: more would only describe the width.
                digits = [count_digits(value, spread) for value in values[:, target].tolist()]
                added += [_numbers(ends[:, target], known, digits) for ends in (result.low, result.high)]
        if result.sets is not None:
            added += [AddedColumn(column) for column in set_texts(self.predictor.task, result).values()]
        if self.predictor.standardize:
            after = {change.position: change.after for change in result.changes}
            added.append(AddedColumn([after.get(row, "") for row in range(len(chunk))]))
        return [*added, AddedColumn(self._errors(chunk, result, words))]

    def _errors(self, chunk: Chunk, result: Predictions, words: Sequence[Sequence[str]]) -> list[str]:
        told = []
        for refused, error, missing, note in zip(
            chunk.refusals(self.column), result.errors, words, chunk.notes(), strict=True
        ):
            number = f"no number in {', '.join(missing)}, taken as missing" if missing else ""
            told.append("; ".join(text for text in (refused or error, number, note) if text))
        return told


def _numbers(values: np.ndarray, known: np.ndarray, digits: Sequence[int]) -> AddedColumn:
    texts = [
        write_number(value, digits=count) if there else ""
        for value, there, count in zip(values.tolist(), known.tolist(), digits, strict=True)
    ]
    return AddedColumn(texts, values, known)
