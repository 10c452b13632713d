import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.web.result_table import Query, ResultColumn, ResultRow, ResultTable

COLUMNS = [ResultColumn("c0", "y_pred", True, "value", "m", "y"), ResultColumn("c1", "set", False, "set", "m")]


@pytest.fixture
def table(tmp_path):
    found = ResultTable(tmp_path / "rows.db", COLUMNS, ["smiles", "note"])
    rows = [("b", "CC", "2.5", 2.5), ("A", "C", "-1", -1.0), ("c", "C(", "", None), ("d_%", "CCC", "10", 10.0)]
    found.add(
        [
            ResultRow(
                n, name, smiles, "" if text else "unreadable", [smiles, "x"], [text, "0|1" * bool(text)], [y, None]
            )
            for n, (name, smiles, text, y) in enumerate(rows, start=1)
        ]
    )
    return found


def names(table, **options):
    query = Query(**options)
    found = [row.name for row in table.rows(query)]
    assert table.count(query) == len(found)
    return found


def test_numbers_sort_as_numbers_and_missing_ones_are_last(table):
    assert names(table, sort="c0") == ["A", "b", "d_%", "c"]
    assert names(table, sort="c0", descending=True) == ["d_%", "b", "A", "c"]
    assert names(table, sort="name") == ["A", "b", "c", "d_%"]
    assert names(table, descending=True) == ["d_%", "c", "A", "b"]
    assert names(table, sort="error", descending=True)[0] == "c"


def test_rows_are_filtered(table):
    assert names(table, search="cc") == ["b", "d_%"]
    assert names(table, search="_%") == ["d_%"]  # no wildcards
    assert names(table, show="failed") == ["c"]
    assert names(table, show="predicted") == ["b", "A", "d_%"]
    assert names(table, column="c0", low=-1, high=2.5) == ["b", "A"]
    assert names(table, search="nothing") == []


def test_pages_follow_each_other(table):
    pages = [[row.name for row in table.page(Query(sort="c0"), offset, 3)] for offset in (0, 3, 6)]
    assert pages == [["A", "b", "d_%"], ["c"], []]


def test_a_row_is_returned_as_it_was_added(table):
    assert table.row(1) == ResultRow(1, "b", "CC", "", ["CC", "x"], ["2.5", "0|1"], [2.5, None])
    assert table.row(9) is None


@pytest.mark.parametrize("key", ["c9", "row; DROP TABLE rows", "fields", ""])
def test_unknown_columns_are_refused(table, key):
    with pytest.raises(ConfigError, match="sort: got"):
        table.count(Query()) and list(table.rows(Query(sort=key)))
    if key:
        with pytest.raises(ConfigError, match="column: got"):
            table.count(Query(column=key))
    assert table.count(Query()) == 4


def test_texts_that_are_no_unicode_are_kept_as_far_as_possible(tmp_path):
    table = ResultTable(tmp_path / "rows.db", [], ["smiles"])
    table.add([ResultRow(1, "caf\udce9", "C", "", ["C\udcff"], [], [], b"\xff\x00")])
    row = table.row(1)
    assert row is not None
    assert (row.name, row.record) == ("caf?", b"\xff\x00")


def test_rows_with_the_same_molecule_name_each_other(tmp_path):
    table = ResultTable(tmp_path / "rows.db", [], ["smiles"])
    molecules = ["a", "b", "", "a", "c", "b", "", "a", "\udcff"]
    rows = [ResultRow(n, str(n), "", "", [], [], [], None, molecule) for n, molecule in enumerate(molecules, 1)]
    table.add(rows[:3])
    assert [row.same_as for row in table.rows(Query())] == [None] * 3
    table.add(rows[3:])
    assert [row.same_as for row in table.rows(Query())] == [4, 6, None, 1, None, 2, None, 1, None]
    assert names(table, show="repeated") == ["1", "4", "8", "2", "6"]
    assert names(table, show="repeated", descending=True) == ["6", "2", "8", "4", "1"]
    assert names(table, show="repeated", search="8") == ["8"]
