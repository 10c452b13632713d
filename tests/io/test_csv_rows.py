import csv
import io
import random

import pytest

from pyg_samsa.errors import DataError, DataNotFoundError
from pyg_samsa.io.csv_rows import BLANK, COMMENT, open_rows, why_no_molecule


def read(content, **options):
    with open_rows(io.BytesIO(content), **options) as rows:
        return rows.header, rows.delimiter, list(rows)


TABLE = [["smiles", "näme"], ["CCO", 'é "x", y;\tz'], ["C", "two\nlines"], [], ["", ""]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_delimiters_and_line_ends(encoding, delimiter, end):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(TABLE)
    assert read(text.getvalue().encode(encoding)) == (TABLE[0], delimiter, TABLE[1:])


def test_mixed_encodings_row_by_row():
    header, _, rows = read(b"smiles,name\nC,\xc3\xa9\nCC,\xe9\nCCC,\x81\xff\n")
    assert header == ["smiles", "name"]
    assert rows == [["C", "é"], ["CC", "é"], ["CCC", "\x81ÿ"]]


def test_any_bytes_give_rows():
    generator = random.Random(0)
    for _ in range(50):
        noise = bytes(byte for byte in generator.randbytes(300) if byte not in b'"\x00')
        _, _, rows = read(b"a,b\n" + noise)
        assert all(isinstance(field, str) for row in rows for field in row)


def test_quotes_within_and_after_fields():
    assert read(b'a,b\n1,2"3\n"4"x,5\n6,7\n')[2] == [["1", '2"3'], ["4x", "5"], ["6", "7"]]


def test_huge_fields():
    long = "C" * 3_000_000
    assert read(f"a,b\n{long},1\n".encode())[2] == [[long, "1"]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"# only\n# comments\n", "only comments"),
        (b",,\n1,2,3\n", "the first row names no column"),
        (b'a,b\n1,2\n3,"4\n5,6\n7,8', "row 2"),
        (b'a\n"' + b"x\n" * 10**7, "never closed"),
    ],
)
def test_what_is_no_table(content, told):
    with pytest.raises(DataError, match=told):
        read(content)


@pytest.mark.parametrize(
    "top",
    [
        "",
        "\n  \n",
        "# exported 2024\n#a;b, with both delimiters\n",
        "\n# one\n\n# two\n",
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_comments_and_blank_lines_before_the_header(top, mark):
    header, delimiter, rows = read(f"{mark}{top}smiles;y\nC;1\n#;2\n".encode())
    assert (header, delimiter, rows) == (["smiles", "y"], ";", [["C", "1"], ["#", "2"]])


@pytest.mark.parametrize("line", ["sep=;", "SEP=; ", "sep=;\r", '"sep=;"'])
def test_a_first_line_of_spreadsheets_names_the_delimiter(line):
    header, delimiter, rows = read(f"\ufeff{line}\nsmiles;a,b,c\nC;1\n".encode())
    assert (header, delimiter, rows) == (["smiles", "a,b,c"], ";", [["C", "1"]])


def test_a_header_may_begin_with_a_hash():
    assert read(b"#smiles,y\nC,1\n")[::2] == (["#smiles", "y"], [["C", "1"]])


def test_without_a_header_extended_smiles_are_one_field():
    assert read(b"CO |$;$|,1\n", header=False)[1:] == (",", [["CO |$;$|", "1"]])


def test_files(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"C;1\nCC;2\n")
    with open_rows(path, header=False) as rows:
        assert (rows.header, list(rows)) == ([], [["C", "1"], ["CC", "2"]])
    for missing in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataNotFoundError), open_rows(missing):
            pass


def test_a_stream_stays_open():
    stream = io.BytesIO(b"a\n1\n")
    with open_rows(stream) as rows:
        list(rows)
    assert not stream.closed


@pytest.mark.parametrize(
    ("fields", "smiles", "reason"),
    [
        (["# end"], 0, COMMENT),
        (["# end"], 3, COMMENT),
        (["# end", "", " "], 1, COMMENT),
        (["# a", " b"], 0, COMMENT),
        ([" #CCO", "1.5"], 0, COMMENT),
        (["#12", "CCO"], 1, ""),
        (["#N/A", "1.5"], 0, ""),
        (["CC#N"], 0, ""),
        ([], 0, BLANK),
        (["", " "], 0, BLANK),
    ],
)
def test_rows_without_a_molecule(fields, smiles, reason):
    assert why_no_molecule(fields, smiles) == reason
