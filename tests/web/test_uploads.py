import gzip
import io
from pathlib import Path

import pytest

from pyg_samsa.errors import DataError
from pyg_samsa.web.limits import Limits
from pyg_samsa.web.uploads import Upload, count_rows, save_file, save_text

LIMITS = Limits(max_mb=1, max_rows=3)


@pytest.mark.parametrize("name", ["../../up.csv", "/etc/passwd.csv", "..\\..\\up.csv", "a\0b.csv", "C:\\x\\.csv"])
def test_a_file_lies_in_the_folder_whatever_its_name_is(name, tmp_path):
    upload = save_file(io.BytesIO(b"smiles\nC\n"), name, tmp_path, LIMITS)
    assert upload.path == tmp_path / "table.csv"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_an_unknown_ending_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match=r"files such as 'virus\.exe' are not read here") as raised:
        save_file(io.BytesIO(b"x"), "virus.exe", tmp_path, LIMITS)
    assert "Excel" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_empty_and_large_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="the file is empty"):
        save_file(io.BytesIO(b""), "a.csv", tmp_path, LIMITS)
    with pytest.raises(DataError, match="more than 1 MB"):
        save_file(io.BytesIO(b"C\n" * 2**20), "a.csv", tmp_path, LIMITS)


def test_lines_become_rows_with_names(tmp_path):
    upload = save_text('CCO  ethyl alcohol\r\n\n  C\nC1,"=1+1\n', tmp_path, LIMITS)
    assert upload.path.read_text() == 'smiles,name\nCCO,ethyl alcohol\nC,\n"C1,""=1+1",\n'
    assert upload.title == "3 pasted molecules"
    assert count_rows(upload) == 3


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"CCO ethyl alcohol\nC\n", "CCO,ethyl alcohol\nC,\n"),
        (b"\xef\xbb\xbfSMILES Name\r\nCCO ethanol\r\n", "CCO,ethanol\n"),
        (
            b"CC1CCCCC1C 1,2-xylane\n\nC m\xe9thane\n",
            'CC1CCCCC1C,"1,2-xylane"\nC,m\xe9thane\n',
        ),
        (b"CCO\n", "CCO,\n"),
    ],
)
def test_smi_files_have_names_after_a_blank(content, rows, tmp_path):
    for name, sent in {"a.smi": content, "b.SMI.GZ": gzip.compress(content)}.items():
        upload = save_file(io.BytesIO(sent), name, tmp_path, LIMITS)
        assert upload.path.read_text(encoding="utf-8") == f"smiles,name\n{rows}"
        assert (upload.format, upload.title) == ("csv", name)
        assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
        upload.path.unlink()


@pytest.mark.parametrize(
    "content",
    [b"Name\tSMILES\nethanol\tCCO\n", b"smiles,note\nCCO,x\n", "SMILES Name\nCCO x\n".encode("utf-16")],
    ids=["tabs", "commas", "utf-16"],
)
def test_smi_files_with_columns_stay_tables(content, tmp_path):
    assert save_file(io.BytesIO(content), "a.smi", tmp_path, LIMITS).path.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]
    upload = save_file(io.BytesIO(gzip.compress(content)), "a.smi.gz", tmp_path, LIMITS)
    assert (upload.format, gzip.decompress(upload.path.read_bytes())) == ("csv.gz", content)


def test_a_compressed_list_is_bounded_when_it_is_unpacked(tmp_path):
    packed = gzip.compress(b"SMILES\n" + b"\nC a\n" * 2**14)
    upload = save_file(io.BytesIO(packed), "a.smi.gz", tmp_path, LIMITS)
    assert count_rows(upload) == LIMITS.max_rows + 1  # one more, so that the page says that rows were left out
    blank = b" " * 1023 + b"\n"
    with pytest.raises(DataError, match="the file has more than 64 MB when it is unpacked"):
        save_file(io.BytesIO(gzip.compress(blank * 65 * 2**10)), "a.smi.gz", tmp_path, LIMITS)
    with pytest.raises(DataError, match=r"a\.smi\.gz: it cannot be unpacked"):
        save_file(io.BytesIO(b"CCO ethanol\n"), "a.smi.gz", tmp_path, LIMITS)


def test_a_pasted_line_that_names_columns_is_left_out(tmp_path):
    upload = save_text("SMILES\tName\nCCO\tethanol", tmp_path, LIMITS)
    assert upload.path.read_text() == "smiles,name\nCCO,ethanol\n"


def test_no_lines_and_too_many_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no molecule"):
        save_text(" \n\t\n", tmp_path, LIMITS)
    with pytest.raises(DataError, match="4 lines, more than 3"):
        save_text("C\n" * 4, tmp_path, LIMITS)


def test_rows_are_counted(tmp_path):
    (tmp_path / "a.sdf").write_bytes(b"a\n$$$$\nb\n$$$$\n")
    assert count_rows(Upload(tmp_path / "a.sdf", "sdf", "a")) == 2
    (tmp_path / "a.mol").write_bytes(b"a\n\n\nM  END\n\n")
    assert count_rows(Upload(tmp_path / "a.mol", "sdf", "a")) == 1
    assert count_rows(Upload(Path("unread.csv.gz"), "csv.gz", "a")) is None
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(pyarrow.table({"smiles": ["C"] * 5}), tmp_path / "a.parquet")
    assert count_rows(Upload(tmp_path / "a.parquet", "parquet", "a")) == 5
