import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.io.csv_rows import open_rows
from pyg_samsa.io.tables.csv_format import CsvReader, CsvWriter
from pyg_samsa.io.tables.gzip_format import GzipWriter
from pyg_samsa.io.tables.parquet_format import ParquetWriter, open_parquet
from pyg_samsa.io.tables.writers import make_writer


@pytest.fixture
def reader():
    with open_rows(io.BytesIO(b"smiles;a\nC;1\n")) as rows:
        return CsvReader(rows)


def test_each_format_has_its_writer(reader):
    names, numeric = ["smiles", "a", "y"], [True]
    assert isinstance(make_writer("parquet", reader, names, numeric), ParquetWriter)
    packed = make_writer("csv.gz", reader, names, numeric)
    assert isinstance(packed, GzipWriter)
    assert isinstance(packed.inner, CsvWriter)
    assert make_writer("csv", reader, names, numeric).start() == b"smiles;a;y\n"
    with pytest.raises(ConfigError, match="OUT: got 'sdf'"):
        make_writer("sdf", reader, names, numeric)


def test_lists_are_not_written_as_csv(tmp_path):
    pq.write_table(pa.table({"smiles": ["C"], "a": [[1]]}), tmp_path / "in.parquet")
    with open_parquet(tmp_path / "in.parquet") as reader:
        make_writer("parquet", reader, ["smiles", "a", "y"], [True])
        with pytest.raises(ConfigError, match="OUT: got 'csv', expected a format that holds the column 'a'"):
            make_writer("csv", reader, ["smiles", "a", "y"], [True])
