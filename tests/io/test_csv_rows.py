import csv
import io
import random

import pytest

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.io.csv_rows import SMILES_NAMES, find_column, find_columns, find_extra_columns, open_rows


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
        (b"# only\n# comments\n", "empty"),
        (b",,\n1,2,3\n", "blank"),
        (b'a,b\n1,2\n3,"4\n5,6\n7,8', "row 2"),
        (b'a\n"' + b"x\n" * 10**7, "never closed"),
    ],
)
def test_what_is_no_table(content, told):
    with pytest.raises(DataIntegrityError, match=told):
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


def test_a_pattern_may_be_the_name_of_a_column():
    header = ["smiles", "IC50 [nM]", "Ki [nM]"]
    assert find_columns(header, ["all", "!IC50 [nM]"], key="k", taken=[0]) == [2]
    assert find_columns(["smiles", "y", "...1"], ["all"], key="k", taken=[0]) == [1]


def test_a_header_may_begin_with_a_hash():
    assert read(b"#smiles,y\nC,1\n")[::2] == (["#smiles", "y"], [["C", "1"]])


def test_without_a_header_extended_smiles_are_one_field():
    assert read(b"CO |$;$|,1\n", header=False)[1:] == (",", [["CO |$;$|", "1"]])


def test_patterns_find_columns():
    header = ["", "id", "smiles", "NR-AR", "NR-ER", "SR-p53", "all*", "Unnamed: 0.1"]

    def find(*words):
        return find_columns(header, words, key="--target-columns", taken=[2])

    assert find("all") == [1, 3, 4, 5, 6]
    assert find("all", "!id", "!all?") == [3, 4, 5]
    assert find("?R-*") == [3, 4, 5]
    assert find("NR-ER", "NR-*") == [3, 4]
    assert find("all*") == [6]  # a name comes before a pattern
    assert find("5", "id") == [4, 1]
    assert find("!id") == [3, 4, 5, 6]
    for words in (["XR-*"], ["NR-AR", "NR-AR"], ["smiles"], ["3"], ["id", "!id"], ["!none*"]):
        with pytest.raises(ConfigError):
            find(*words)
    with pytest.raises(ConfigError) as caught:
        find("NR-A")
    assert "NR-AR" in caught.value.hint


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


def test_columns():
    header = ["id", " Canonical_SMILES ", "y", "y", ""]
    assert find_column(header, "", key="k", fallbacks=SMILES_NAMES) == 1
    assert find_column(header, "Canonical_SMILES", key="k") == 1
    assert find_column(header, "4", key="k") == 3
    assert find_column(["anything"], "", key="k") == 0
    assert find_column(["id", "Canonical SMILES (RDKit)"], "", key="k", fallbacks=SMILES_NAMES) == 1
    with pytest.raises(ConfigError):
        find_column(["SMILES in", "SMILES out"], "", key="k", fallbacks=SMILES_NAMES)
    assert find_column(["7", "x"], "7", key="k") == 0
    for wanted in ("y", "z", "0", "6", ""):
        with pytest.raises(ConfigError):
            find_column(header, wanted, key="k")
    with pytest.raises(ConfigError) as caught:
        find_column(["smiles", "logS"], "logs", key="--target-columns")
    assert "logS" in caught.value.hint


def test_columns_of_a_model_are_found_by_their_exact_names():
    assert find_extra_columns([" pH ", "smiles", "T"], ["T", "pH"], key="IN") == {"T": 2, "pH": 0}
    for header in (["smiles", "ph"], ["pH", "pH"]):
        with pytest.raises(ConfigError, match=r"IN: .* expected a table with one column 'pH'"):
            find_extra_columns(header, ["pH"], key="IN")
    with pytest.raises(ConfigError, match="'1'"):
        find_extra_columns(["smiles", "pH"], ["1"], key="IN")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04rest", "an Excel workbook or a zip archive"),
        (b"\xd0\xcf\x11\xe0rest", "an old Excel workbook"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"PAR1rest", "a Parquet file"),
        (b"ethanol\n  RDKit\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n", "an SDF file"),
        (b'{\n "smiles": ["C"]}', "JSON, HTML or XML"),
    ],
)
def test_files_of_other_formats_are_named_with_the_cure(content, kind):
    with (
        pytest.raises(DataIntegrityError, match=f"got {kind}, expected a CSV file") as caught,
        open_rows(io.BytesIO(content)),
    ):
        pass
    assert "CSV" in caught.value.hint or "npack" in caught.value.hint
