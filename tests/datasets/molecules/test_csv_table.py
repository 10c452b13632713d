import types

import pytest

from pyg_samsa.datasets.molecules.csv_table import open_molecule_table
from pyg_samsa.errors import ConfigError, DataError


@pytest.fixture
def table(tmp_path):
    def make(text, left_out=None, **options):
        path = tmp_path / "table.csv"
        path.write_text(text)
        opened = open_molecule_table(path, **options)
        assert opened.count()
        rows = list(opened.rows([] if left_out is None else left_out))
        return types.SimpleNamespace(
            target_names=opened.target_names,
            delimiter=opened.delimiter,
            rows=[row.row for row in rows],
            smiles=[row.smiles for row in rows],
            split=[row.split for row in rows],
            targets=[list(column) for column in zip(*(row.targets for row in rows), strict=True)],
            extra=[list(column) for column in zip(*(row.extra for row in rows), strict=True)],
        )

    return make


def test_columns_and_rows(table):
    left_out = []
    found = table(
        "id;smiles;y;pH;part\na;CC;1,5;7;train\n;;\nb;O;2\n",
        left_out,
        target_columns=["y"],
        extra_columns=["pH"],
        split_column="part",
    )
    assert (found.smiles, found.targets, found.extra) == (["CC", "O"], [["1,5", "2"]], [["7", ""]])
    assert (found.split, found.rows, found.delimiter) == (["train", ""], [1, 3], ";")
    assert [one[:3] for one in left_out] == [(2, "", "blank line")]


def test_the_only_other_column_with_a_name_is_the_target(table):
    assert table(",smiles,y,,\n0,C,1,,\n").target_names == ["y"]
    with pytest.raises(ConfigError, match="'a', 'b'"):
        table("smiles,a,b\nC,1,2\n")


def test_a_table_without_columns_to_predict_tells_the_delimiters(table):
    with pytest.raises(ConfigError, match="a table with a column to predict") as caught:
        table("smiles y\nC 1\n")
    assert "'smiles y'; columns are separated by" in caught.value.hint
    with pytest.raises(DataError, match="no rows"):
        table("smiles,y\n")


def test_more_fields_than_the_header_are_an_error(table):
    with pytest.raises(DataError, match="row 2 has 3 fields, and the header has 2; surplus: '37'"):
        table("smiles,y\nC,1\nCCO,0,37\n")
    assert table("smiles,y\nC,1,,\n").targets == [["1"]]


def test_comments_are_left_out(table):
    left_out = []
    found = table("# made by hand\nsmiles,y\nC,1\n#CC,2\nCCC,3\n# end, of file\n#\n", left_out)
    assert (found.smiles, found.rows) == (["C", "CCC"], [1, 3])
    assert [one[:3] for one in left_out] == [(2, "#CC", "comment"), (4, "# end", "comment"), (5, "#", "comment")]


def test_names_of_targets_are_distinct(table):
    assert table("smiles,y,y\nC,1,2\n", target_columns=["all"]).target_names == ["y", "y_2"]


@pytest.mark.parametrize("text", ["CO,0.084\nCCO,0.1\n", "0.084;CO\n0.1;CCO\n", "CO\nCCO\n"])
def test_a_first_row_of_data_is_no_header(table, text):
    with pytest.raises(DataError, match="the first row looks like data, not like names of columns: '") as caught:
        table(text)
    assert "names the columns, such as: smiles" in caught.value.hint
    assert table("mol,7\nCO,0.084\n").target_names == ["7"]


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("smiles,y,split", "C,1.5,train", ["--target-columns y,", "--split-column split"]),
        ("smiles,y,mol_id", "C,1.5,17", ["--target-columns y,"]),
        ("smiles,y,note", "C,1.5,fine", ["--target-columns y,"]),
        ("smiles,y,y", "C,1.5,2.5", ["--target-columns 3,"]),
        ("smiles,log S,y_pred,error", "C,1.5,1.4,", ["--target-columns 'log S',"]),
        ("smiles,kind,set", "C,acid,test", ["--target-columns kind,", "--split-column set"]),
    ],
)
def test_the_hint_names_a_likely_target(table, header, row, words):
    with pytest.raises(ConfigError, match="--target-columns") as caught:
        table(f"{header}\n{row}\n{row}\n")
    assert [word in caught.value.hint for word in words] == [True] * len(words)
    assert ("--split-column" in caught.value.hint) == (len(words) > 1)
    target = words[0].split(" ", 1)[1].strip(",'")
    assert len(table(f"{header}\n{row}\n", target_columns=[target]).target_names) == 1  # the cure works
