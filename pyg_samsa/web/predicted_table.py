"""Predicts a table with several models at once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from pyg_samsa.chem.mol_blocks import block_smiles
from pyg_samsa.chem.molecule_names import canonical_smiles
from pyg_samsa.chem.molecule_table import open_molecule_table
from pyg_samsa.io.name_columns import find_names
from pyg_samsa.io.tables.sdf_format import SdfChunk
from pyg_samsa.io.tables.table import AddedColumn, Chunk, TableReader
from pyg_samsa.predict.nearest import nearest_columns
from pyg_samsa.predict.table_predictor import StreamOptions, TablePredictor, nearest_names
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.result_table import ResultColumn, ResultRow
from pyg_samsa.web.served_models import ServedModel

CHUNK_ROWS = 256
"""Rows between two looks at the progress, and at whether the prediction was cancelled."""


@dataclass(frozen=True)
class Asked:
    """What is asked of the models for a table.

    Args:
        interval: Probability of intervals and sets, between 0 and 1; None for none.
        smiles_column: Name or number of the column of SMILES; empty finds it.
        neighbors: Whether the nearest training molecule of each row is searched.

    Example:
        >>> Asked().interval
        0.9
    """

    interval: float | None = 0.9
    smiles_column: str = ""
    neighbors: bool = True


class BoundedChunk(Chunk):
    """Rows of a table, without the texts of molecules that are too long to be read.

    Args:
        inner: The rows.
        longest: Most characters of a molecule.

    Example:
        >>> from pyg_samsa.io.tables.csv_format import CsvChunk
        >>> chunk = BoundedChunk(CsvChunk([["C"], ["CCCC"]], 1, ","), 3)
        >>> chunk.molecules(0), chunk.refusals(0)
        (['C', ''], ['', '4 characters, more than 3'])
    """

    def __init__(self, inner: Chunk, longest: int) -> None:
        self.inner, self.longest = inner, longest

    def __len__(self) -> int:
        return len(self.inner)

    def texts(self, place: int) -> list[str]:
        """Return the cells of a column.

        Example:
            >>> from pyg_samsa.io.tables.csv_format import CsvChunk
            >>> chunk = BoundedChunk(CsvChunk([["C"], ["CCCC"]], 1, ","), 3)
            >>> chunk.texts(0)
            ['C', 'CCCC']
        """
        return self.inner.texts(place)

    def digests(self) -> list[bytes]:
        """Return hashes of the rows.

        Example:
            >>> from pyg_samsa.io.tables.csv_format import CsvChunk
            >>> chunk = BoundedChunk(CsvChunk([["C"], ["CCCC"]], 1, ","), 3)
            >>> len(chunk.digests())
            2
        """
        return self.inner.digests()

    def fields(self) -> list[list[str]]:
        """Return all cells.

        Example:
            >>> from pyg_samsa.io.tables.csv_format import CsvChunk
            >>> chunk = BoundedChunk(CsvChunk([["C"], ["CCCC"]], 1, ","), 3)
            >>> chunk.fields()
            [['C'], ['CCCC']]
        """
        return self.inner.fields()

    def notes(self) -> list[str]:
        """Return what else is wrong with each row.

        Example:
            >>> from pyg_samsa.io.tables.csv_format import CsvChunk
            >>> chunk = BoundedChunk(CsvChunk([["C"], ["CCCC"]], 1, ","), 3)
            >>> chunk.notes()
            ['', '']
        """
        return self.inner.notes()

    def molecules(self, place: int) -> list[str]:
        """Return the molecules; those that are too long are empty.

        Example:
            >>> from pyg_samsa.io.tables.csv_format import CsvChunk
            >>> chunk = BoundedChunk(CsvChunk([["C"], ["CCCC"]], 1, ","), 3)
            >>> chunk.molecules(0)
            ['C', '']
        """
        return [text if len(text) <= self.longest else "" for text in self.inner.molecules(place)]

    def refusals(self, place: int) -> list[str]:
        """Return why each row holds no molecule that is read.

        Example:
            >>> from pyg_samsa.io.tables.csv_format import CsvChunk
            >>> chunk = BoundedChunk(CsvChunk([["C"], ["CCCC"]], 1, ","), 3)
            >>> chunk.refusals(0)[1]
            '4 characters, more than 3'
        """
        given = zip(self.inner.refusals(place), self.inner.molecules(place), strict=True)
        return [
            told or (f"{len(text):,} characters, more than {self.longest:,}" if len(text) > self.longest else "")
            for told, text in given
        ]


class SharedReader(TableReader):
    r"""A view of a table that several predictors read, each row once.

    Args:
        reader: The table.
        waiting: Rows that other views have read and this one has not, for each view.
        place: Number of this view.
        longest: Most characters of a molecule.

    Example:
        >>> from io import BytesIO
        >>> with open_molecule_table(BytesIO(b"smiles\nC\nCC\n")) as (reader, _):
        ...     first, second = SharedReader.views(reader, 2, 100)
        ...     first.take(1).texts(0), second.take(1).texts(0), second.take(5).texts(0)
        (['C'], ['C'], ['CC'])
    """

    def __init__(self, reader: TableReader, waiting: list[deque[Chunk | None]], place: int, longest: int) -> None:
        self._reader, self._waiting, self._place, self._longest = reader, waiting, place, longest
        self.format, self.header, self.delimiter = reader.format, reader.header, reader.delimiter
        self.numeric, self.has_blocks, self.num_rows = reader.numeric, reader.has_blocks, reader.num_rows

    @staticmethod
    def views(reader: TableReader, number: int, longest: int) -> list[SharedReader]:
        r"""Return views of a table.

        Args:
            reader: The table.
            number: How many.
            longest: Most characters of a molecule.

        Example:
            >>> from io import BytesIO
            >>> with open_molecule_table(BytesIO(b"smiles\nC\n")) as (reader, _):
            ...     len(SharedReader.views(reader, 3, 100))
            3
        """
        waiting: list[deque[Chunk | None]] = [deque() for _ in range(number)]
        return [SharedReader(reader, waiting, place, longest) for place in range(number)]

    def take(self, count: int) -> Chunk | None:
        """Return the next rows, at most ``count``; None at the end. Views ask for equal numbers."""
        own = self._waiting[self._place]
        if not own:
            taken = self._reader.take(count)
            chunk = None if taken is None else BoundedChunk(taken, self._longest)
            for other in self._waiting:
                other.append(chunk)
        return own.popleft()


class PredictedTable:
    r"""A table with the predictions of several models.

    Args:
        models: The models.
        reader: The table.
        asked: What is asked of them.
        limits: Limits of the server.

    Attributes:
        columns: The added columns.
        notes: What the user should know, such as that a model has no intervals.

    Raises:
        ConfigError: There is no column of SMILES, or one that a model needs is missing.

    Example:
        >>> from io import BytesIO
        >>> from pathlib import Path
        >>> from pyg_samsa.web.served_models import load_models
        >>> model, = load_models(["peptides"], Path("unused"))
        >>> with open_molecule_table(BytesIO(b"smiles\nC\n")) as (reader, _):
        ...     PredictedTable([model], reader, Asked(), Limits()).notes
        ['The model peptides gives no uncertainty ranges: it was saved without validation rows to measure them on.']
    """

    def __init__(self, models: Sequence[ServedModel], reader: TableReader, asked: Asked, limits: Limits) -> None:
        self.models, self.reader, self.asked = list(models), reader, asked
        self.notes: list[str] = []
        longest = limits.max_block if reader.has_blocks else limits.max_smiles
        views = SharedReader.views(reader, len(self.models), longest)
        self.tables = [
            TablePredictor(model.predictor, view, self._options(model, limits))
            for model, view in zip(self.models, views, strict=True)
        ]
        self.columns = self._columns()
        place = self.tables[0].column
        self._name = find_names(reader.header, place) if reader.header and not reader.has_blocks else None

    def _options(self, model: ServedModel, limits: Limits) -> StreamOptions:
        interval, note = model.possible_interval(self.asked.interval)
        self.notes += [note] if note else []
        return StreamOptions(
            self.asked.smiles_column,
            max_atoms=limits.max_atoms,
            chunk_rows=CHUNK_ROWS,
            interval=interval,
            # Cells become texts, as in CSV, which refuses those of Parquet that have none.
            output_format="sdf" if self.reader.has_blocks else "csv",
        )

    def _searches(self, model: ServedModel) -> bool:
        return self.asked.neighbors and model.training is not None

    def _columns(self) -> list[ResultColumn]:
        columns, numbers = list[ResultColumn](), count()
        for model, table in zip(self.models, self.tables, strict=True):
            prefix = f"{model.name}: " if len(self.models) > 1 else ""
            searched = model.training if self._searches(model) else None
            for added in [*table.added()[:-1], *(nearest_names(searched) if searched is not None else [])]:
                given = (f"{prefix}{added.name}", added.is_number, added.role, model.name, added.target)
                columns.append(ResultColumn(f"c{next(numbers)}", *given))
        return columns

    def chunks(self) -> Iterator[list[ResultRow]]:
        r"""Yield the rows of the table, some at a time.

        Raises:
            DataError: The table is damaged.

        Example:
            >>> from io import BytesIO
            >>> from pathlib import Path
            >>> from pyg_samsa.web.served_models import load_models
            >>> model, = load_models(["peptides"], Path("unused"))
            >>> with open_molecule_table(BytesIO(b"smiles\nC\n")) as (reader, _):
            ...     rows, = PredictedTable([model], reader, Asked(), Limits()).chunks()
            >>> [row.smiles for row in rows]
            ['C']
        """
        numbers = count(1)
        steps = [table.chunks() for table in self.tables]
        while True:
            found = []
            for model, step in zip(self.models, steps, strict=True):
                with model.lock:
                    found.append(next(step, None))
                time.sleep(0)  # another request may have waited for this model
            chunk = found[0][0] if found[0] is not None else None
            if chunk is None:
                return
            yield self._rows(chunk, [added for one in found if one is not None for added in [one[1]]], numbers)

    def _rows(self, chunk: Chunk, added: list[list[AddedColumn]], numbers: Iterator[int]) -> list[ResultRow]:
        smiles, names = self._molecules(chunk)
        columns: list[AddedColumn] = []
        for model, one in zip(self.models, added, strict=True):
            columns += one[:-1]
            if model.training is not None and self._searches(model):
                # What has no prediction, such as a very large molecule, is not compared either.
                predicted = [any(cells) for cells in zip(*(column.texts for column in one[:-1]), strict=True)]
                found = [text if there else "" for text, there in zip(smiles, predicted, strict=True)]
                columns += nearest_columns(model.training, found)
        errors = [list(dict.fromkeys(filter(None, row))) for row in zip(*(one[-1].texts for one in added), strict=True)]
        texts = list(zip(*(column.texts for column in columns), strict=True))
        values = list(zip(*(_numbers(column, len(chunk)) for column in columns), strict=True))
        assert isinstance(chunk, BoundedChunk)
        blocks = chunk.inner if isinstance(chunk.inner, SdfChunk) else None
        titles = range(len(self.reader.header))
        fields = (
            [list(row) for row in zip(*map(chunk.texts, titles), strict=True)] if blocks is not None else chunk.fields()
        )
        records: list[Any] = [None] * len(chunk) if blocks is None else list(blocks.records)
        readable = [text if any(row) else "" for text, row in zip(smiles, texts, strict=True)]
        molecules = _canonical(readable, self._standardized(added))
        return [
            ResultRow(next(numbers), name, text, "; ".join(error), row, list(cells), list(found), record, molecule)
            for name, text, error, row, cells, found, record, molecule in zip(
                names, smiles, errors, fields or [[]] * len(chunk), texts, values, records, molecules, strict=True
            )
        ]

    def _standardized(self, added: list[list[AddedColumn]]) -> list[list[str]]:
        """Return for each model what it makes of the molecules; empty where it leaves them as they are."""
        found = []
        for table, columns in zip(self.tables, added, strict=True):
            roles = [name.role for name in table.added()]
            texts = (
                columns[roles.index("standardized")].texts if "standardized" in roles else [""] * len(columns[0].texts)
            )
            found.append(texts)
        return found

    def _molecules(self, chunk: Chunk) -> tuple[list[str], list[str]]:
        """Return SMILES and names; a record of a file of structures has its name in the first line."""
        given = chunk.molecules(self.tables[0].column)
        if self.reader.has_blocks:
            found = [block_smiles(block) for block in given]
            titles = [block.splitlines()[0].strip() if block.strip() else "" for block in given]
            return [text if isinstance(text, str) else "" for text in found], titles
        names = [""] * len(chunk) if self._name is None else chunk.texts(self._name)
        given = chunk.texts(self.tables[0].column)  # also those that are too long to be read
        return [text.strip() for text in given], [name.strip() for name in names]


@contextmanager
def open_predicted_table(
    models: Sequence[ServedModel], source: Any, format: str, asked: Asked, limits: Limits
) -> Iterator[PredictedTable]:
    r"""Open a table, and check that the models can predict it.

    Args:
        models: The models.
        source: Path, or an open binary stream (not for Parquet).
        format: One of :obj:`pyg_samsa.io.tables.formats.FORMATS`.
        asked: What is asked of the models.
        limits: Limits of the server.

    Raises:
        ConfigError: There is no column of SMILES, or one that a model needs is missing.
        DataError: The file is of another format, or damaged.

    Example:
        >>> from io import BytesIO
        >>> from pathlib import Path
        >>> from pyg_samsa.web.served_models import load_models
        >>> models = load_models(["peptides"], Path("unused"))
        >>> with open_predicted_table(models, BytesIO(b"smiles\nC\n"), "csv", Asked(None), Limits()) as table:
        ...     [column.title for column in table.columns], [len(rows) for rows in table.chunks()]
        (['antimicrobial_pred', 'anticancer_pred', 'transmembrane_pred'], [1])
    """
    with open_molecule_table(source, format, smiles_column=asked.smiles_column) as (reader, column):
        yield PredictedTable(models, reader, Asked(asked.interval, column, asked.neighbors), limits)


def _canonical(smiles: Sequence[str], standardized: Sequence[Sequence[str]]) -> list[str]:
    """Return texts that are equal for molecules that are the same for every model; empty for an empty SMILES.

    Args:
        smiles: The molecules as given.
        standardized: For each model what it makes of them; empty where it leaves them as they are.
    """
    columns = [[after or text for after, text in zip(afters, smiles, strict=True)] for afters in standardized]
    texts = list(dict.fromkeys(text for column in columns for text in column if text))
    known = dict(zip(texts, canonical_smiles(texts), strict=True))
    return ["\n".join(known[text] for text in row) if all(row) else "" for row in zip(*columns, strict=True)]


def _numbers(column: AddedColumn, count: int) -> list[float | None]:
    if column.values is None or column.known is None:
        return [None] * count
    return [float(value) if there else None for value, there in zip(column.values, column.known, strict=True)]
