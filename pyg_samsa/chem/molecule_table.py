"""Opens tables of molecules of any format."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from pyg_samsa.chem.first_row import open_molecules
from pyg_samsa.errors import ConfigError, DataNotFoundError
from pyg_samsa.io.csv_columns import SMILES_NAMES, column_number, find_column
from pyg_samsa.io.tables.csv_format import CsvReader
from pyg_samsa.io.tables.formats import is_sdf
from pyg_samsa.io.tables.gzip_format import GzipStream
from pyg_samsa.io.tables.parquet_format import open_parquet
from pyg_samsa.io.tables.sdf_format import SdfReader
from pyg_samsa.io.tables.table import TableReader

_BUFFER = 2**18


@contextmanager
def open_molecule_table(
    source: Any, format: str = "csv", *, header: bool = True, smiles_column: str = ""
) -> Iterator[tuple[TableReader, str]]:
    r"""Open a table of molecules, and check that its column of molecules is there.

    Args:
        source: Path, or an open binary stream (not for Parquet).
        format: One of :obj:`pyg_samsa.io.tables.formats.FORMATS`.
        header: Whether a CSV file is expected to have a header, see `pyg_samsa.chem.first_row.open_molecules`.
        smiles_column: Name or number of the column of SMILES; empty finds it.

    Yields:
        The reader, and the column of SMILES: that of the argument, or its number in a table without a header.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: The file is of another format, or damaged.
        ConfigError: There is no such column, or the format has no columns of SMILES or no header.

    Example:
        >>> from io import BytesIO
        >>> with open_molecule_table(BytesIO(b"name,smiles\nethane,CC\n")) as (reader, _):
        ...     reader.header, reader.take(1).texts(1)
        (['name', 'smiles'], ['CC'])
    """
    name = str(source) if isinstance(source, (str, Path)) else "standard input"
    if not header and not format.startswith("csv"):
        raise ConfigError("--no-header", format, "a CSV file, the only format that may lack names of columns")
    if is_sdf(format) and smiles_column:
        raise ConfigError("--smiles-column", smiles_column, "nothing for an SDF file, whose molecules are structures")
    with ExitStack() as stack:
        if format == "parquet":
            if not isinstance(source, (str, Path)):
                raise ConfigError("IN", "-", "the path of a Parquet file, which cannot be read from a stream")
            reader: TableReader = stack.enter_context(open_parquet(Path(source)))
        elif format == "csv":
            rows, smiles_column = stack.enter_context(
                open_molecules(source, header=header, smiles_column=smiles_column)
            )
            reader = CsvReader(rows)
        else:
            stream = stack.enter_context(_opened(source))
            if format.endswith(".gz"):
                stream = io.BufferedReader(GzipStream(stream, name), _BUFFER)
            if is_sdf(format):
                reader = SdfReader(stream, name, format)
            else:
                options: dict[str, Any] = {"header": header, "smiles_column": smiles_column, "name": name}
                rows, smiles_column = stack.enter_context(open_molecules(stream, **options))
                reader = CsvReader(rows, format)
        if reader.header and not reader.has_blocks:
            place = find_molecules(reader, smiles_column)
            if place in reader.numeric:
                raise ConfigError("--smiles-column", reader.header[place], "a column of texts; this one holds numbers")
        yield reader, smiles_column


def find_molecules(table: TableReader, smiles_column: str = "") -> int:
    r"""Return the place of the column of SMILES; -1 for a file of structures.

    Args:
        table: An open table.
        smiles_column: Name or number of the column; empty finds it, and is the first one without names of columns.

    Raises:
        ConfigError: There is no such column.

    Example:
        >>> from io import BytesIO
        >>> with open_molecule_table(BytesIO(b"name,smiles\nethane,CC\n")) as (reader, column):
        ...     find_molecules(reader, column)
        1
    """
    if table.has_blocks:
        return -1
    if table.header:
        return find_column(table.header, smiles_column, key="--smiles-column", fallbacks=SMILES_NAMES)
    return column_number(smiles_column or "1", key="--smiles-column")


@contextmanager
def _opened(source: Any) -> Iterator[IO[bytes]]:
    if not isinstance(source, (str, Path)):
        yield source
        return
    try:
        file = open(source, "rb")  # noqa: SIM115 - closed below
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise DataNotFoundError(f"{source}: {str(error.strerror).lower()}", hint="Check the path.") from error
    with file:
        yield file
