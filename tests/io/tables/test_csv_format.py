import io

from pyg_samsa.io.csv_rows import open_rows
from pyg_samsa.io.tables.csv_format import CsvReader, CsvWriter
from pyg_samsa.io.tables.table import AddedColumn

TEXT = b"id,smiles\n0,C\n\n1,CC,a,b\n2\n# end\n"


def read(text=TEXT, header=True):
    with open_rows(io.BytesIO(text), header=header) as rows:
        return CsvReader(rows)


def test_rows_are_taken_in_order_until_the_end():
    reader = read()
    assert [len(reader.take(2)) for _ in range(2)] == [2, 2]
    assert reader.take(2).texts(0) == ["# end"]
    assert reader.take(2) is None


def test_rows_have_as_many_fields_as_the_header():
    chunk = read().take(9)
    assert chunk.fields() == [["0", "C"], ["", ""], ["1", "CC,a,b"], ["2", ""], ["# end", ""]]
    assert chunk.texts(1) == ["C", "", "CC", "", ""]
    assert chunk.refusals(1) == ["", "blank line", "", "", "comment"]
    assert chunk.notes() == ["", "", "4 fields, the header has 2", "", ""]


def test_digests_tell_rows_apart():
    digests = read().take(9).digests()
    assert len(set(digests)) == 5
    assert read(b"id,smiles\n0,C\n").take(1).digests() == digests[:1]


def test_what_is_written_is_counted():
    writer, chunk = CsvWriter(["id", "smiles", "y"], ";"), read().take(9)
    content = writer.start() + writer.encode(chunk, [AddedColumn(['a;"b"\nc'] * 5)])
    assert writer.count(io.BytesIO(content)) == 5
    bare = CsvWriter([], ",")
    assert bare.start() == b""
    assert bare.count(io.BytesIO(bare.encode(read(b"C\nCC\n", header=False).take(5), [AddedColumn(["1", "2"])]))) == 2


def test_added_cells_are_escaped_and_kept_ones_where_asked():
    chunk = read(b"smiles,=a\n=C,@b\n").take(1)
    assert CsvWriter(["smiles", "=a", "y"], ",").encode(chunk, [AddedColumn(["=1+1"])]) == b"=C,@b,'=1+1\n"
    assert CsvWriter([], ",", escape_kept=True).encode(chunk, [AddedColumn([""])]) == b"'=C,'@b,\n"
