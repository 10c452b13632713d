"""Makes the writer of a format."""

from __future__ import annotations

from collections.abc import Sequence

from pyg_samsa.io.tables.csv_format import CsvWriter
from pyg_samsa.io.tables.formats import check_conversion, is_sdf
from pyg_samsa.io.tables.gzip_format import GzipWriter
from pyg_samsa.io.tables.parquet_format import ParquetReader, ParquetWriter
from pyg_samsa.io.tables.sdf_format import SdfWriter
from pyg_samsa.io.tables.table import TableReader, TableWriter


def make_writer(
    format: str,
    reader: TableReader,
    names: Sequence[str],
    numeric: Sequence[bool],
    *,
    escape_kept: bool = False,
    key: str = "OUT",
) -> TableWriter:
    r"""Return a writer for a table with added columns.

    Args:
        format: Format of the output.
        reader: The table.
        names: Names of all columns; empty for a table without a header.
        numeric: Whether each added column has numbers.
        escape_kept: Whether the cells of the table are escaped in CSV, as those that are added are.
        key: Name of the argument that chose the output, for errors.

    Raises:
        ConfigError: The table cannot be written in this format without a loss.
        MissingDependencyError: pyarrow is needed, and not installed.

    Example:
        >>> from io import BytesIO
        >>> from pyg_samsa.io.csv_rows import open_rows
        >>> from pyg_samsa.io.tables.csv_format import CsvReader
        >>> with open_rows(BytesIO(b"smiles\nC\n")) as rows:
        ...     make_writer("csv", CsvReader(rows), ["smiles", "y"], [True]).start()
        b'smiles,y\n'
    """
    check_conversion(reader.format, format, key=key)
    if format == "parquet":
        return ParquetWriter(reader, names, numeric)
    if isinstance(reader, ParquetReader):
        reader.check_texts(key, format)
    writer: TableWriter
    if is_sdf(format):
        writer = SdfWriter(names[len(names) - len(numeric) :])
    else:
        writer = CsvWriter(names, reader.delimiter, escape_kept=escape_kept)
    return GzipWriter(writer) if format.endswith(".gz") else writer
