import datetime
import decimal
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError, MissingDependencyError
from pyg_samsa.io.csv_rows import open_rows
from pyg_samsa.io.tables import parquet_format
from pyg_samsa.io.tables.csv_format import CsvReader
from pyg_samsa.io.tables.parquet_format import ParquetWriter, open_parquet
from pyg_samsa.io.tables.table import AddedColumn

ROWS = 50


@pytest.fixture
def table():
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)
    columns = {
        "smiles": pa.array(["C" * (n % 3 + 1) if n % 7 else None for n in range(ROWS)]),
        "kind": pa.array([f"k{n % 3}" for n in range(ROWS)]).dictionary_encode(),
        "number": pa.array([n / 7 if n % 5 else None for n in range(ROWS)], pa.float32()),
        "price": pa.array([decimal.Decimal(f"{n}.50") for n in range(ROWS)], pa.decimal128(9, 2)),
        "when": pa.array([moment] * ROWS, pa.timestamp("us")),
        "parts": pa.array([[n, n + 1] for n in range(ROWS)], pa.list_(pa.int64())),
        "raw": pa.array([b"\xff"] * ROWS),
    }
    made = pa.table(columns)
    fields = [field.with_nullable(field.name != "price") for field in made.schema]
    return made.cast(pa.schema(fields, metadata={"origin": "a test"}))


@pytest.fixture
def path(table, tmp_path):
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=11)
    return tmp_path / "in.parquet"


def added(count, first=0):
    values = np.arange(first, first + count) / 3
    known = np.arange(first, first + count) % 4 > 0
    return [AddedColumn([""] * count, values, known), AddedColumn([str(n) for n in range(first, first + count)])]


def write(path, target, chunk_rows, names=("y", "error")):
    partial = target.with_name("partial")
    with open_parquet(path) as reader:
        writer = ParquetWriter(reader, [*reader.header, *names], [True, False])
        rows, content = 0, [writer.start()]
        while (chunk := reader.take(chunk_rows)) is not None:
            content.append(writer.encode(chunk, added(len(chunk), rows)))
            rows += len(chunk)
    partial.write_bytes(b"".join(content))
    writer.finish(partial, target, rows)
    return pq.read_table(target)


@pytest.mark.parametrize("chunk_rows", [7, 11, 1000])
def test_schema_and_rows_are_kept(path, table, tmp_path, chunk_rows, monkeypatch):
    monkeypatch.setattr(parquet_format, "ROW_GROUP", 16)
    written = write(path, tmp_path / "out.parquet", chunk_rows)
    assert written.schema.metadata == {b"origin": b"a test"}
    assert written.drop(["y", "error"]).cast(table.schema).equals(table)
    assert [field.type for field in written.schema][:-2] == [field.type for field in table.schema]
    assert [field.type for field in written.schema][-2:] == [pa.float64(), pa.string()]
    assert written["y"].to_pylist() == [n / 3 if n % 4 else None for n in range(ROWS)]
    assert written["error"].to_pylist() == [str(n) for n in range(ROWS)]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


def test_row_groups_are_bounded(path, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_format, "ROW_GROUP", 16)
    write(path, tmp_path / "out.parquet", 8)
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 4


def test_cells_are_read_as_texts(path):
    with open_parquet(path) as reader:
        chunk = reader.take(3)
        assert reader.num_rows == ROWS
        assert reader.numeric == {2, 3}
        assert chunk.texts(0) == ["", "CC", "CCC"]
        assert chunk.texts(1) == ["k0", "k1", "k2"]
        assert [float(text) if text else None for text in chunk.texts(2)] == [
            None,
            pytest.approx(1 / 7),
            pytest.approx(2 / 7),
        ]
        assert chunk.texts(3) == ["0.50", "1.50", "2.50"]
        assert chunk.texts(4)[0] == "2026-01-02 03:04:05.678901"


def test_numbers_keep_all_digits_as_texts(tmp_path):
    values = np.random.default_rng(0).normal(size=1000) * 10.0 ** np.arange(-150, 150, 0.3)[:1000]
    pq.write_table(pa.table({"y": values}), tmp_path / "in.parquet")
    with open_parquet(tmp_path / "in.parquet") as reader:
        assert [float(text) for text in reader.take(1000).texts(0)] == values.tolist()


def test_columns_that_texts_cannot_hold_are_named(path):
    with open_parquet(path) as reader, pytest.raises(ConfigError, match="the column 'parts' of type list"):
        reader.check_texts("OUT", "csv")


KINDS = [pa.binary(), pa.binary(3), pa.large_binary(), pa.binary_view(), pa.struct([("a", pa.int8())])]


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_and_structures_are_no_texts(tmp_path, kind):
    pq.write_table(pa.table({"a": pa.array([None], kind)}), tmp_path / "in.parquet")
    with open_parquet(tmp_path / "in.parquet") as reader, pytest.raises(ConfigError, match="the column 'a'"):
        reader.check_texts("OUT", "csv")


@pytest.mark.parametrize("cells", [pa.array([b"\xff"]), pa.array([["C"]]), pa.array([b"\xff\xff"], pa.binary(2))])
def test_cells_that_are_no_texts_are_named_where_they_are_read(tmp_path, cells):
    pq.write_table(pa.table({"smiles": cells}), tmp_path / "in.parquet")
    with open_parquet(tmp_path / "in.parquet") as reader:
        chunk = reader.take(5)
    with pytest.raises(DataError, match=r"the column 'smiles' of type .* cannot be read as texts"):
        chunk.texts(0)


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_texts_of_another_encoding_are_read_as_in_csv_files(tmp_path, kind):
    cells = [b"CCO", "é".encode(), b"caf\xe9", None]
    text = pa.large_string() if kind == "large_string" else pa.string()
    stored = pa.array(cells, pa.large_binary() if kind == "large_string" else pa.binary())
    column = pa.Array.from_buffers(text, len(cells), stored.buffers())
    column = column.dictionary_encode() if kind == "dictionary" else column
    pq.write_table(pa.table({"smiles": column}), tmp_path / "in.parquet")
    with open_parquet(tmp_path / "in.parquet") as reader:
        chunk = reader.take(9)
    assert chunk.texts(0) == ["CCO", "é", "café", ""]
    assert chunk.fields() == [["CCO"], ["é"], ["café"], [""]]


def test_digests_tell_chunks_apart(path, table, tmp_path):
    def digests(source):
        with open_parquet(source) as reader:
            return [reader.take(20).digests() for _ in range(2)]

    first, second = digests(path)
    assert first != second
    assert digests(path) == [first, second]
    changed = table.set_column(2, table.schema.field(2), pa.array([0.5] * ROWS, pa.float32()))
    pq.write_table(changed, tmp_path / "other.parquet", row_group_size=11)
    assert digests(tmp_path / "other.parquet")[0] != first


def test_csv_columns_become_texts(tmp_path):
    with open_rows(io.BytesIO(b"id,smiles\n007,C\n1\n")) as rows:
        reader = CsvReader(rows)
        writer = ParquetWriter(reader, ["id", "smiles", "y"], [True])
        content = writer.encode(reader.take(5), added(2)[:1])
    (tmp_path / "partial").write_bytes(content)
    assert writer.count(io.BytesIO(content)) == 2
    writer.finish(tmp_path / "partial", tmp_path / "out.parquet", 2)
    assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {
        "id": ["007", "1"],
        "smiles": ["C", ""],
        "y": [None, 1 / 3],
    }


def test_tables_without_unique_names_are_refused(tmp_path):
    with open_rows(io.BytesIO(b"a,a\n1,2\n")) as rows:
        reader = CsvReader(rows)
    with pytest.raises(ConfigError, match="two columns 'a'"):
        ParquetWriter(reader, ["a", "a", "y"], [True])
    with pytest.raises(ConfigError, match="without names of columns"):
        ParquetWriter(reader, [], [True])
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "in.parquet")
    with pytest.raises(DataError, match="two columns are named 'a'"), open_parquet(tmp_path / "in.parquet"):
        pass


def test_an_empty_table_stays_one(tmp_path):
    pq.write_table(pa.table({"smiles": pa.array([], pa.string())}), tmp_path / "in.parquet")
    written = write(tmp_path / "in.parquet", tmp_path / "out.parquet", 10)
    assert (written.num_rows, written.schema.names) == (0, ["smiles", "y", "error"])


def test_damaged_and_missing_files_are_named(path, tmp_path):
    content = bytearray(path.read_bytes())
    (tmp_path / "cut.parquet").write_bytes(content[:-20])
    (tmp_path / "text.parquet").write_text("smiles\nC\n")
    content[10:200] = bytes(190)
    (tmp_path / "damaged.parquet").write_bytes(content)
    for name in ("cut", "text", "damaged"):
        with (
            pytest.raises(DataError, match=rf"{name}\.parquet: it cannot be read as Parquet"),
            open_parquet(tmp_path / f"{name}.parquet") as reader,
        ):
            reader.take(1000)
    with pytest.raises(DataNotFoundError, match="no such file"), open_parquet(tmp_path / "none.parquet"):
        pass


def test_a_missing_package_is_named(path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependencyError, match="pyarrow") as caught, open_parquet(path):
        pass
    assert "pyg-samsa[parquet]" in caught.value.hint
