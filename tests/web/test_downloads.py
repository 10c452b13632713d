import csv
import io

import pytest

from pyg_samsa.chem.mol_blocks import block_smiles, smiles_block
from pyg_samsa.io.tables.sdf_format import properties
from pyg_samsa.web.downloads import download
from pyg_samsa.web.result_table import Query, ResultColumn, ResultRow, ResultTable

COLUMNS = [ResultColumn("c0", "=y_pred", True, "value", "m", "=y"), ResultColumn("c1", "note", False, "set", "m")]


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
        ["smiles", "note", "'=y_pred", "note_2", "error"],  # a formula is escaped, a double name is made unique
        ["CCO", 'a,"b', "2.5", "0|1", ""],
        ["C(", "", "", "", "unreadable"],
    ]


def test_the_order_and_the_filter_of_the_page_hold(table):
    text = b"".join(download(table, Query(descending=True, show="failed"), "csv")).decode()
    assert [line.split(",")[0] for line in text.splitlines()] == ["smiles", "C("]


def test_sdf_has_a_record_for_each_row(table):
    records = b"".join(download(table, Query(), "sdf")).split(b"$$$$\n")[:-1]
    assert len(records) == 2
    assert records[0].splitlines()[0] == b"ethanol"
    assert block_smiles(records[0].decode()) == "CCO"
    assert properties(records[0]) == {"smiles": "CCO", "note": 'a,"b', "=y_pred": "2.5", "note_2": "0|1", "error": ""}
    assert properties(records[1])["error"] == "unreadable"


def test_records_that_were_given_stay_as_they_are(tmp_path):
    record = (smiles_block("CCO", "mine") + ">  <pH>\n7\n\n$$$$\n").encode()
    table = ResultTable(tmp_path / "rows.db", COLUMNS[:1], ["pH"])
    table.add([ResultRow(1, "mine", "CCO", "", ["7"], ["2.5"], [2.5], record)])
    content = b"".join(download(table, Query(), "sdf", has_blocks=True))
    assert content.startswith(record.removesuffix(b"$$$$\n"))
    assert properties(content) == {"pH": "7", "=y_pred": "2.5", "error": ""}
    assert b"".join(download(table, Query(), "csv", has_blocks=True)).splitlines()[1] == b"CCO,7,2.5,"


def test_a_table_without_names_of_columns_stays_one(tmp_path):
    table = ResultTable(tmp_path / "rows.db", COLUMNS[:1], [])
    table.add([ResultRow(n, "", "C", "", ["C", "x"][:n], ["2.5"], [2.5]) for n in (1, 2)])
    assert b"".join(download(table, Query(), "csv")).splitlines() == [b"C,2.5,", b"C,x,2.5,"]
    records = b"".join(download(table, Query(), "sdf")).split(b"$$$$\n")[:-1]
    assert [properties(record)["fields"] for record in records] == ["C", "C\tx"]
