import gzip
import io

import pytest

from pyg_samsa.errors import DataError
from pyg_samsa.io.csv_rows import open_rows
from pyg_samsa.io.tables import gzip_format
from pyg_samsa.io.tables.csv_format import CsvReader, CsvWriter
from pyg_samsa.io.tables.gzip_format import GzipStream, GzipWriter
from pyg_samsa.io.tables.table import AddedColumn

PACKED = gzip.compress(b"smiles\n" + b"C\n" * 10_000, mtime=0)


def test_members_are_one_file():
    inner = CsvWriter(["smiles", "y"], ",")
    writer = GzipWriter(inner)
    with open_rows(io.BytesIO(b"smiles\nC\nCC\nCCC\n")) as rows:
        reader = CsvReader(rows)
        parts = [writer.start()]
        while (chunk := reader.take(2)) is not None:
            parts.append(writer.encode(chunk, [AddedColumn(["1"] * len(chunk))]))
    assert gzip.decompress(b"".join(parts)) == b"smiles,y\nC,1\nCC,1\nCCC,1\n"
    assert writer.count(io.BytesIO(b"".join(parts))) == 3
    assert GzipWriter(CsvWriter([], ",")).start() == b""


def test_a_stream_is_unpacked():
    with open_rows(GzipStream(io.BytesIO(PACKED), "in.csv.gz")) as rows:
        assert sum(1 for _ in rows) == 10_000


def test_lines_are_bounded(monkeypatch):
    """Some kilobytes may hold a line of gigabytes."""
    monkeypatch.setattr(gzip_format, "_LONGEST_LINE", 10_000)
    content = b"smiles\n" + b"C" * 9_000 + b"\n" + b"C" * 9_000 + b"\r" + b"C" * 9_000
    assert io.BufferedReader(GzipStream(io.BytesIO(gzip.compress(content)), "in.csv.gz"), 1000).read() == content
    with pytest.raises(DataError, match=r"in\.csv\.gz: a line has more than 10,000 bytes"):
        io.BufferedReader(GzipStream(io.BytesIO(gzip.compress(content + content[7:])), "in.csv.gz"), 1000).read()


@pytest.mark.parametrize(
    "content", [PACKED[:-9], PACKED[:20] + b"x" + PACKED[21:], b"smiles\nC\n"], ids=["cut", "changed", "plain"]
)
def test_a_damaged_file_is_named(content):
    with pytest.raises(DataError, match=r"in\.csv\.gz: it cannot be unpacked"):
        io.BufferedReader(GzipStream(io.BytesIO(content), "in.csv.gz")).read()
