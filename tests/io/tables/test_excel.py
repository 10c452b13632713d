import csv
import datetime
import sys
import zipfile

import pytest

from pyg_samsa.errors import DataError, MissingDependencyError
from pyg_samsa.io.tables.excel import excel_to_csv

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
