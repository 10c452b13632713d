import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from pyg_samsa.chem.molecule_table import find_molecules, open_molecule_table
from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError

SDF = (Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")) + "$$$$\n").encode()
CSV = b"name,smiles\nethanol,CCO\n"


@pytest.fixture
def files(tmp_path):
    contents = {"csv": CSV, "csv.gz": gzip.compress(CSV), "sdf": SDF, "sdf.gz": gzip.compress(SDF)}
    for format, content in contents.items():
        (tmp_path / f"in.{format}").write_bytes(content)
    pq.write_table(pa.table({"name": ["ethanol"], "smiles": ["CCO"], "y": [1.0]}), tmp_path / "in.parquet")
    return tmp_path


@pytest.mark.parametrize("format", ["csv", "csv.gz", "parquet", "sdf", "sdf.gz"])
def test_every_format_gives_molecules(files, format):
    with open_molecule_table(files / f"in.{format}", format) as (reader, column):
        assert (reader.format, column) == (format, "")
        assert reader.has_blocks == format.startswith("sdf")
        (molecule,) = reader.take(10).molecules(1)
    assert molecule == ("CCO" if not reader.has_blocks else SDF.decode().removesuffix("$$$$\n"))


@pytest.mark.parametrize("format", ["csv.gz", "sdf"])
def test_streams_are_read_too(files, format):
    with open(files / f"in.{format}", "rb") as stream, open_molecule_table(stream, format) as (reader, _):
        assert len(reader.take(10)) == 1


def test_tables_without_a_header(tmp_path):
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(b"CCO,1\nCCN,2\n"))
    with open_molecule_table(tmp_path / "in.csv.gz", "csv.gz") as (reader, column):
        assert (reader.header, column) == ([], "1")
        assert len(reader.take(10)) == 2


@pytest.mark.parametrize(
    ("name", "format", "options", "error", "told"),
    [
        ("none.csv.gz", "csv.gz", {}, DataNotFoundError, r"none\.csv\.gz: no such file"),
        ("in.csv", "csv.gz", {}, DataError, r"in\.csv: it cannot be unpacked"),
        ("in.csv", "parquet", {}, DataError, r"in\.csv: it cannot be read as Parquet"),
        ("in.csv", "csv", {"smiles_column": "z"}, ConfigError, "--smiles-column: got 'z'"),
        ("in.parquet", "parquet", {"smiles_column": "z"}, ConfigError, "--smiles-column: got 'z'"),
        ("in.parquet", "parquet", {"smiles_column": "y"}, ConfigError, "a column of texts"),
        ("in.parquet", "parquet", {"header": False}, ConfigError, "--no-header"),
        ("in.sdf", "sdf", {"smiles_column": "z"}, ConfigError, "nothing for an SDF file"),
    ],
)
def test_what_does_not_fit_is_named(files, name, format, options, error, told):
    with pytest.raises(error, match=told), open_molecule_table(files / name, format, **options):
        pass


def test_parquet_is_no_stream():
    with pytest.raises(ConfigError, match="cannot be read from a stream"), open_molecule_table(io.BytesIO(), "parquet"):
        pass


def test_properties_of_records_are_no_columns_of_molecules(tmp_path):
    (tmp_path / "in.sdf").write_bytes(SDF.replace(b"$$$$", b"> <pH>\n7\n\n> <note>\nx\n\n$$$$"))
    with open_molecule_table(tmp_path / "in.sdf", "sdf") as (reader, column):
        assert (reader.header, column) == (["pH", "note"], "")


def test_the_place_of_the_molecules():
    with open_molecule_table(io.BytesIO(SDF), "sdf") as (reader, column):
        assert find_molecules(reader, column) == -1
    with open_molecule_table(io.BytesIO(b"ethanol,CCO\namine,CCN\n"), smiles_column="2") as (reader, column):
        assert find_molecules(reader, column) == 1
        assert find_molecules(reader) == 0
        with pytest.raises(ConfigError, match=r"--smiles-column: got '0', expected the number of a column, from 1"):
            find_molecules(reader, "0")
