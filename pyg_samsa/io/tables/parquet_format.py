"""Parquet tables, read and written with pyarrow."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError, MissingDependencyError
from pyg_samsa.io.csv_rows import BYTE_FALLBACK
from pyg_samsa.io.files import atomic_write
from pyg_samsa.io.tables.table import AddedColumn, Chunk, TableReader, TableWriter, check_rows

ROW_GROUP = 2**16
"""Most rows of a row group that is written."""
_GROUP_BYTES = 2**26
_BUFFER = 2**20
_LENGTH = struct.Struct("<Q")


def import_pyarrow() -> Any:
    """Return ``pyarrow``, or raise an error that says how to install it.

    Raises:
        MissingDependencyError: It is not installed.

    Example:
        >>> import_pyarrow().__name__
        'pyarrow'
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingDependencyError("pyarrow", "parquet", "Reading and writing Parquet") from None
    return pyarrow


class ParquetChunk(Chunk):
    """Rows of a Parquet file.

    Args:
        batch: ``pyarrow.RecordBatch``.

    Example:
        >>> pa = import_pyarrow()
        >>> chunk = ParquetChunk(pa.RecordBatch.from_pydict({"smiles": ["C", None], "pH": [7.5, 1.0]}))
        >>> chunk.texts(0), chunk.fields()
        (['C', ''], [['C', '7.5'], ['', '1']])
    """

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def texts(self, place: int) -> list[str]:
        """Return the cells of a column as texts; null is empty.

        Bytes that are no UTF-8 are read as in CSV files, as those of Windows-1252.

        Raises:
            DataError: They are lists, structures or bytes that are no text.
        """
        try:
            column = as_text(self.batch.column(place))
        except import_pyarrow().ArrowException as error:
            field = self.batch.schema.field(place)
            hint = "Store it as texts or numbers, or choose another column."
            told = f"the column {field.name!r} of type {field.type} cannot be read as texts"
            raise DataError(told, hint=hint) from error
        try:
            cells = column.to_pylist()
        except UnicodeDecodeError:  # texts of another encoding, as writers without checks store them
            stored = column.cast(import_pyarrow().large_binary()).to_pylist()
            cells = [None if cell is None else cell.decode("utf-8", BYTE_FALLBACK) for cell in stored]
        return ["" if text is None else text for text in cells]

    def digests(self) -> list[bytes]:
        """Return one hash of all rows."""
        return [hashlib.sha256(_message(self.batch)).digest()]

    def fields(self) -> list[list[str]]:
        """Return all cells as texts."""
        return [list(row) for row in zip(*map(self.texts, range(self.batch.num_columns)), strict=True)]


class ParquetReader(TableReader):
    """Reads an open Parquet file in bounded memory.

    Args:
        file: ``pyarrow.parquet.ParquetFile``.
        name: Its name, for errors.

    Raises:
        DataError: Two columns have the same name.

    Example:
        >>> pa, file = import_pyarrow(), io.BytesIO()
        >>> pa.parquet.write_table(pa.table({"smiles": ["C"], "pH": [7.0]}), file)
        >>> reader = ParquetReader(pa.parquet.ParquetFile(file), "in.parquet")
        >>> reader.header, sorted(reader.numeric), reader.num_rows
        (['smiles', 'pH'], [1], 1)
    """

    format = "parquet"

    def __init__(self, file: Any, name: str) -> None:
        from pyarrow import types

        self.schema, self.num_rows, self._name = file.schema_arrow, int(file.metadata.num_rows), name
        self.header = list(self.schema.names)
        doubled = next((title for title in self.header if self.header.count(title) > 1), None)
        if doubled is not None:
            raise DataError(f"{name}: two columns are named {doubled!r}", hint="Rename one of them.")
        tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean)
        kinds = [field.type.value_type if types.is_dictionary(field.type) else field.type for field in self.schema]
        self.numeric = frozenset(place for place, kind in enumerate(kinds) if any(test(kind) for test in tests))
        self._batches = file.iter_batches(batch_size=ROW_GROUP // 8)
        self._rest: Any = None

    def take(self, count: int) -> ParquetChunk | None:
        """Return the next rows, at most ``count``; None at the end."""
        pa = import_pyarrow()
        parts, rows = [], 0
        while rows < count:
            if self._rest is None or not self._rest.num_rows:
                with _reading(self._name):
                    self._rest = next(self._batches, None)
                if self._rest is None:
                    break
            part = self._rest.slice(0, count - rows)
            self._rest = self._rest.slice(part.num_rows)
            rows += part.num_rows
            parts.append(part)
        if not rows:
            return None
        return ParquetChunk(pa.Table.from_batches(parts).combine_chunks().to_batches()[0])

    def check_texts(self, key: str, target: str) -> None:
        """Raise an error if a column has cells that are no texts, numbers or dates.

        Args:
            key: Name of the argument of the output, for the error.
            target: What was given there.

        Raises:
            ConfigError: There is such a column.
        """
        pa = import_pyarrow()
        for field in self.schema:
            kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            fits = not any(is_bytes(kind) for is_bytes in _bytes_tests())
            try:
                as_text(pa.array([None], type=kind))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                fits = False
            if not fits:
                hint = "Write Parquet, such as out.parquet."
                expected = f"a format that holds the column {field.name!r} of type {field.type}"
                raise ConfigError(key, target, expected, hint=hint)


class ParquetWriter(TableWriter):
    r"""Writes Parquet. Chunks are kept as Arrow streams, one after the other, until all of them are there.

    Args:
        reader: The table that columns are added to.
        names: Names of all columns.
        numeric: Whether each added column has numbers, which are float64; others are texts.

    Raises:
        ConfigError: The table has no header, or uses a name twice.

    Example:
        >>> from pyg_samsa.io.csv_rows import open_rows
        >>> from pyg_samsa.io.tables.csv_format import CsvReader
        >>> with open_rows(io.BytesIO(b"smiles\nC\n")) as rows:
        ...     ParquetWriter(CsvReader(rows), ["smiles", "y"], [True]).schema.types
        [DataType(string), DataType(double)]
    """

    def __init__(self, reader: TableReader, names: Sequence[str], numeric: Sequence[bool]) -> None:
        pa = import_pyarrow()
        if not names:
            raise ConfigError("OUT", "Parquet", "CSV for a table without names of columns", hint="Add a header to IN.")
        doubled = next((name for name in names if list(names).count(name) > 1), None)
        if doubled is not None:
            hint = "Rename one of them, or write CSV."
            raise ConfigError("OUT", "Parquet", f"CSV for a table with two columns {doubled!r}", hint=hint)
        kinds = [pa.float64() if number else pa.string() for number in numeric]
        kept = len(names) - len(kinds)
        self.schema = getattr(reader, "schema", None) or pa.schema([(name, pa.string()) for name in names[:kept]])
        for name, kind in zip(names[kept:], kinds, strict=True):
            self.schema = self.schema.append(pa.field(name, kind))

    def encode(self, chunk: Chunk, added: Sequence[AddedColumn]) -> bytes:
        """Return the rows of a chunk with the added columns as an Arrow stream, after its length."""
        pa = import_pyarrow()
        if isinstance(chunk, ParquetChunk):
            kept = list(chunk.batch.columns)
        else:
            kept = [pa.array(column, pa.string()) for column in zip(*chunk.fields(), strict=True)]
        arrays = [
            pa.array(column.texts, pa.string())
            if column.values is None
            else pa.array(column.values, pa.float64(), mask=None if column.known is None else ~column.known)
            for column in added
        ]
        message = _message(pa.RecordBatch.from_arrays([*kept, *arrays], schema=self.schema))
        return _LENGTH.pack(len(message)) + message

    def count(self, file: IO[bytes]) -> int:
        """Return the number of rows."""
        return sum(batch.num_rows for batch in _batches(file))

    def finish(self, partial: Path, path: Path, rows: int) -> None:
        """Write the Parquet file of all chunks."""
        pa = import_pyarrow()
        with open(partial, "rb") as file, atomic_write(path) as temporary:
            with pa.parquet.ParquetWriter(temporary, self.schema) as writer:
                group: list[Any] = []
                for batch in _batches(file):
                    size = sum(part.nbytes for part in group)
                    if group and (sum(map(len, group)) + len(batch) > ROW_GROUP or size > _GROUP_BYTES):
                        writer.write_table(pa.Table.from_batches(group))
                        group = []
                    group.append(batch)
                if group:
                    writer.write_table(pa.Table.from_batches(group))
            check_rows(path, pa.parquet.read_metadata(temporary).num_rows, rows)
        partial.unlink()


@contextmanager
def open_parquet(path: Path) -> Iterator[ParquetReader]:
    """Open a Parquet file.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: It is no Parquet file, or is damaged.
        MissingDependencyError: pyarrow is not installed.

    Example:
        >>> import tempfile
        >>> pa = import_pyarrow()
        >>> path = Path(tempfile.mkdtemp()) / "in.parquet"
        >>> pa.parquet.write_table(pa.table({"smiles": ["C", "CC"]}), path)
        >>> with open_parquet(path) as reader:
        ...     reader.header, reader.take(5).texts(0)
        (['smiles'], ['C', 'CC'])
    """
    pa = import_pyarrow()
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise DataNotFoundError(f"{path}: {str(error.strerror).lower()}", hint="Check the path.") from error
    with file:
        with _reading(str(path)):
            opened = pa.parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False)
        with opened:
            yield ParquetReader(opened, str(path))


def as_text(column: Any) -> Any:
    """Return a column of Arrow as one of texts.

    Example:
        >>> pa = import_pyarrow()
        >>> as_text(pa.array([1.5, None])).to_pylist()
        ['1.5', None]
    """
    pa = import_pyarrow()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column if pa.types.is_large_string(column.type) else column.cast(pa.string())


def _bytes_tests() -> list[Any]:
    """Return the functions that say whether a type of Arrow has bytes for cells."""
    types = import_pyarrow().types
    names = ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")
    return [getattr(types, name) for name in names if hasattr(types, name)]  # the last one came late


@contextmanager
def _reading(name: str) -> Iterator[None]:
    pa = import_pyarrow()
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        hint = "Check that it is a Parquet file, and copy it again if it is damaged."
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(f"{name}: it cannot be read as Parquet ({reason})", hint=hint) from error


def _message(batch: Any) -> bytes:
    pa = import_pyarrow()
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    return sink.getvalue()


def _batches(file: IO[bytes]) -> Iterator[Any]:
    pa = import_pyarrow()
    while length := file.read(_LENGTH.size):
        with pa.ipc.open_stream(file.read(_LENGTH.unpack(length)[0])) as stream:
            yield from stream
