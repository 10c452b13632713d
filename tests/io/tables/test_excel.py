import csv
import datetime
import io
import sys
import zipfile

import pytest

from pyg_samsa.errors import DataError, MissingDependencyError
from pyg_samsa.io.tables import excel
from pyg_samsa.io.tables.excel import excel_to_csv, write_excel

openpyxl = pytest.importorskip("openpyxl")
LIMITS = {"max_bytes": 2**20, "max_rows": 100}


@pytest.fixture
def book(tmp_path):
    """Writes sheets of rows to an Excel file: ``book([["smiles"], ["C"]])``."""

    def write(*sheets):
        found = openpyxl.Workbook()
        found.remove(found.active)
        for number, rows in enumerate(sheets):
            sheet = found.create_sheet(f"s{number}")
            for row in rows:
                sheet.append(row)
        found.save(tmp_path / "in.xlsx")
        return tmp_path / "in.xlsx"

    return write


def read(path, tmp_path):
    count = excel_to_csv(path, tmp_path / "out.csv", **LIMITS)
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        return count, list(csv.reader(file))


def test_cells_become_texts(book, tmp_path):
    day = datetime.datetime(2024, 5, 1)
    rows = [["smiles", "y", "day"], ["CCO", 0.1, day], ['a,"b\nc', 3, None], ["Ü", True, day.replace(hour=2)]]
    assert read(book(rows), tmp_path) == (
        3,
        [
            ["smiles", "y", "day"],
            ["CCO", "0.1", "2024-05-01"],
            ['a,"b\nc', "3", ""],
            ["Ü", "True", "2024-05-01 02:00:00"],
        ],
    )


def test_the_first_sheet_with_cells_is_read_without_its_empty_margin(book, tmp_path):
    path = book([], [[], [None, None], ["smiles", "y"], ["C", 1], [None, None], ["CC", 2], [None], []], [["other"]])
    assert read(path, tmp_path) == (3, [["smiles", "y"], ["C", "1"], ["", ""], ["CC", "2"]])


def test_formulas_are_not_computed(book, tmp_path):
    _, rows = read(book([["smiles"], ["=1+1"]]), tmp_path)
    assert rows == [["smiles"]]  # the spreadsheet has saved no value


def test_what_cannot_be_read_is_one_line(book, tmp_path):
    (tmp_path / "no.xlsx").write_bytes(b"no zip")
    (tmp_path / "zip.xlsx").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "zip.xlsx", "w") as archive:
        archive.writestr("a", "b")
    for name, told in (("no.xlsx", "no Excel file"), ("zip.xlsx", "cannot be read")):
        with pytest.raises(DataError, match=told):
            read(tmp_path / name, tmp_path)
    with pytest.raises(DataError, match="no sheet with cells"):
        read(book([[]]), tmp_path)
    with pytest.raises(DataError, match="more than 100 rows"):
        read(book([["smiles"], *[["C"]] * 101]), tmp_path)


def test_a_small_file_that_stands_for_a_large_one_is_refused(book, tmp_path):
    path = book([["smiles"], ["C"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"0" * 2**21)
    assert path.stat().st_size < 2**14
    with pytest.raises(DataError, match="2 MiB when it is unpacked"):
        read(path, tmp_path)


def test_entities_are_not_expanded(book, tmp_path):
    path = book([["smiles"], ["C"]])
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "C" * 10}">' for n in range(9))
    parts = {}
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name, content in parts.items():
        if "sheet" in name.lower() or "workbook.xml" in name:
            body = content.decode().split("?>", 1)[-1].replace("s0", "&e8;").replace(">C<", ">&e8;<")
            parts[name] = f"<?xml version='1.0'?><!DOCTYPE x [{entities}]>{body}".encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="cannot be read"):
        read(path, tmp_path)


@pytest.mark.parametrize("package", ["openpyxl", "defusedxml"])
def test_the_extra_is_named(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=package) as raised:
        excel_to_csv(tmp_path / "in.xlsx", tmp_path / "out.csv", **LIMITS)
    assert "[web]" in raised.value.hint


def written(rows, header=()):
    file = io.BytesIO()
    assert write_excel(file, header, rows) == len(rows)
    return openpyxl.load_workbook(file).active


@pytest.mark.parametrize("text", ["0", "-12", "0.50", "-0.001", "123456789012345", "1e-07", "2.5e+30"])
def test_numbers_become_numbers(text):
    (((cell,),)) = written([[text]]).rows
    assert (cell.data_type, cell.value) == ("n", float(text))


@pytest.mark.parametrize(
    "text",
    [
        *(
            "=1+1",
            "=HYPERLINK(0)",
            "+1",
            "-",
            "-1+1",
            "@SUM(A1)",
            "#N/A",
            "#REF!",
            "007",
            "1E5",
            "0,5",
            "1234567890123456",
        ),
        *(
            "50-00-0",
            "2024-05-01",
            "nan",
            "inf",
            "TRUE",
            ".5",
            "1.",
            "\u0663",
            "<b>&amp;",
            " x ",
            "two\nlines",
            "x" * 32_767,
        ),
    ],
)
def test_all_else_stays_a_text(text, tmp_path):
    (((cell,),)) = written([[text]]).rows
    assert (cell.data_type, cell.value) == ("s", text)
    write_excel(tmp_path / "in.xlsx", ["smiles"], [[text]])
    assert read(tmp_path / "in.xlsx", tmp_path) == (1, [["smiles"], [text]])


def test_names_of_columns_are_texts():
    assert [cell.data_type for cell in next(written([["1"]], ["1"]).rows)] == ["s"]
    assert [list(row) for row in written([["a", ""], [], ["", "b"]]).values] == [["a", None], [None, None], [None, "b"]]


def test_characters_that_xml_does_not_know_are_replaced():
    (((cell,),)) = written([["a\0b\x1f\udcff\ufffe"]]).rows
    assert cell.value == "a\ufffdb\ufffd\ufffd\ufffd"


def test_what_does_not_fit_into_a_sheet_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(
        DataError, match="row 2 has a cell of 32,768 characters; a cell of an Excel file has at most 32,767"
    ):
        write_excel(io.BytesIO(), [], [["C"], ["C" * 32_768]])
    with pytest.raises(DataError, match="at most 16,384 columns"):
        write_excel(io.BytesIO(), [], [["C"] * 16_385])
    monkeypatch.setattr(excel, "MOST_ROWS", 2)
    with pytest.raises(DataError, match="at most 2 rows"):
        write_excel(io.BytesIO(), ["smiles"], [["C"]] * 2)
    assert list(tmp_path.iterdir()) == []
