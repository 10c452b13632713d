import csv
import io

import pytest

from pyg_samsa.chem.mol_blocks import block_smiles, smiles_block
from pyg_samsa.errors import DataError
from pyg_samsa.io.tables.excel import excel_to_csv
from pyg_samsa.io.tables.sdf_format import properties
from pyg_samsa.web import downloads
from pyg_samsa.web.downloads import download
from pyg_samsa.web.result_table import Query, ResultColumn, ResultRow, ResultTable

COLUMNS = [ResultColumn("c0", "=y_pred", True, "value", "m", "=y"), ResultColumn("c1", "note", False, "set", "m")]

NONE = {"same_molecule": "", "error": ""}


@pytest.fixture
def table(tmp_path):
    found = ResultTable(tmp_path / "rows.db", COLUMNS, ["smiles", "note"])
    found.add(
        [
            ResultRow(1, "ethanol", "CCO", "", ["CCO", 'a,"b'], ["2.5", "0|1"], [2.5, None]),
            ResultRow(2, "", "C(", "unreadable", ["C(", ""], ["", ""], [None, None]),
        ]
    )
    return found


def test_csv_has_the_given_and_the_added_columns(table):
    text = b"".join(download(table, Query(), "csv")).decode()
    assert list(csv.reader(io.StringIO(text))) == [
        # A formula is escaped, a double name is made unique.
        ["smiles", "note", "'=y_pred", "note_2", "same_molecule", "error"],
        ["CCO", 'a,"b', "2.5", "0|1", "", ""],
        ["C(", "", "", "", "", "unreadable"],
    ]


def test_the_order_and_the_filter_of_the_page_hold(table):
    text = b"".join(download(table, Query(descending=True, show="failed"), "csv")).decode()
    assert [line.split(",")[0] for line in text.splitlines()] == ["smiles", "C("]


def test_sdf_has_a_record_for_each_row(table):
    records = b"".join(download(table, Query(), "sdf")).split(b"$$$$\n")[:-1]
    assert len(records) == 2
    assert records[0].splitlines()[0] == b"ethanol"
    assert block_smiles(records[0].decode()) == "CCO"
    assert properties(records[0]) == {"smiles": "CCO", "note": 'a,"b', "=y_pred": "2.5", "note_2": "0|1", **NONE}
    assert properties(records[1])["error"] == "unreadable"


def test_records_that_were_given_stay_as_they_are(tmp_path):
    record = (smiles_block("CCO", "mine") + ">  <pH>\n7\n\n$$$$\n").encode()
    table = ResultTable(tmp_path / "rows.db", COLUMNS[:1], ["pH"])
    table.add([ResultRow(1, "mine", "CCO", "", ["7"], ["2.5"], [2.5], record)])
    content = b"".join(download(table, Query(), "sdf", has_blocks=True))
    assert content.startswith(record.removesuffix(b"$$$$\n"))
    assert properties(content) == {"pH": "7", "=y_pred": "2.5", **NONE}
    assert b"".join(download(table, Query(), "csv", has_blocks=True)).splitlines()[1] == b"CCO,7,2.5,,"


def test_a_table_without_names_of_columns_stays_one(tmp_path):
    table = ResultTable(tmp_path / "rows.db", COLUMNS[:1], [])
    table.add([ResultRow(n, "", "C", "", ["C", "x"][:n], ["2.5"], [2.5]) for n in (1, 2)])
    assert b"".join(download(table, Query(), "csv")).splitlines() == [b"C,2.5,,", b"C,x,2.5,,"]
    records = b"".join(download(table, Query(), "sdf")).split(b"$$$$\n")[:-1]
    assert [properties(record)["fields"] for record in records] == ["C", "C\tx"]


def excel(table, query=Query(), **options):  # noqa: B008
    openpyxl = pytest.importorskip("openpyxl")
    content = b"".join(download(table, query, "xlsx", **options))
    return openpyxl.load_workbook(io.BytesIO(content)).active


def test_excel_has_the_same_cells_as_csv(table, tmp_path):
    table.add([ResultRow(3, "", "C", "", ["C", "=1+1"], ["-0.5", "=HYPERLINK(0)"], [-0.5, None], None, "C")])
    table.add([ResultRow(4, "", "C", "", ["C", "007"], ["1e-07", "@x"], [1e-7, None], None, "C")])
    rows = list(excel(table).values)
    assert rows[0] == ("smiles", "note", "'=y_pred", "note_2", "same_molecule", "error")
    # What was given stays as it is, what was added is escaped; numbers are numbers.
    assert rows[3] == ("C", "=1+1", -0.5, "'=HYPERLINK(0)", "same molecule as row 4", None)
    assert rows[4] == ("C", "007", 1e-7, "'@x", "same molecule as row 3", None)
    assert {cell.data_type for row in excel(table).iter_rows() for cell in row} == {"s", "n"}
    (tmp_path / "all.xlsx").write_bytes(b"".join(download(table, Query(), "xlsx")))
    excel_to_csv(tmp_path / "all.xlsx", tmp_path / "again.csv", max_bytes=2**20, max_rows=100)
    expected = csv.reader(io.StringIO(b"".join(download(table, Query(), "csv")).decode()))
    with open(tmp_path / "again.csv", newline="", encoding="utf-8") as file:
        found = [[*row, "", ""][:6] for row in csv.reader(file)]  # without empty cells at the end
    assert found == list(expected)


def test_excel_has_the_order_and_the_filter(table):
    assert [row[0] for row in excel(table, Query(show="failed")).values] == ["smiles", "C("]
    assert list(excel(table, Query(search="nowhere")).values)[1:] == []


def test_excel_of_structures_and_of_tables_without_names(tmp_path):
    table = ResultTable(tmp_path / "rows.db", COLUMNS[:1], ["pH"])
    table.add([ResultRow(1, "mine", "CCO", "", ["7"], ["2.5"], [2.5], b"unused")])
    assert list(excel(table, has_blocks=True).values)[1] == ("CCO", 7, 2.5, None, None)
    table = ResultTable(tmp_path / "other.db", COLUMNS[:1], [])
    table.add([ResultRow(n, "", "C", "", ["C", "x"][:n], ["2.5"], [2.5]) for n in (1, 2)])
    assert [[cell for cell in row if cell is not None] for row in excel(table).values] == [["C", 2.5], ["C", "x", 2.5]]


def test_what_does_not_fit_into_excel_is_told_before_the_file_begins(table, monkeypatch):
    monkeypatch.setattr(downloads, "MOST_ROWS", 2)
    with pytest.raises(DataError, match="these are 2 rows; an Excel file has at most 1"):
        download(table, Query(), "xlsx")
    before = sorted(table.path.parent.iterdir())
    monkeypatch.undo()
    table.add([ResultRow(3, "", "C", "", ["C", "x" * 40_000], ["", ""], [None, None])])
    with pytest.raises(DataError, match="row 3 has a cell of 40,000 characters"):
        download(table, Query(), "xlsx")
    assert sorted(table.path.parent.iterdir()) == before
