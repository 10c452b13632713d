from io import BytesIO

import pytest

from pyg_samsa.chem.first_row import find_molecule, open_molecules


@pytest.mark.parametrize(
    ("text", "column", "count"),
    [
        ("CCO\nCCN\nCCCl\n", "1", 3),
        ("CCO ethanol\nCCN amine\n", "1", 2),
        ("ethanol\tCCO\namine\tCCN\n", "2", 2),
        ("CCO\n", "1", 1),
        ("CCO,ethanol\n", "1", 1),
        ("CCO\nnonsense\n", "1", 2),
    ],
)
def test_a_list_without_a_header_keeps_its_first_molecule(text, column, count, caplog):
    with open_molecules(BytesIO(text.encode())) as (rows, found):
        read = list(rows)
    assert (rows.header, found, len(read)) == ([], column, count)
    assert read[0] == text.splitlines()[0].replace("\t", ",").split(",")
    assert "the first row holds the molecule" in caplog.text


@pytest.mark.parametrize(
    "text",
    ["smiles\nCCO\n", "smiles,C\nCCO,1\n", "C,my smiles\nCCN,CCO\n", "mol\nCCO\n", "C,id\n1,2\n", "drug\nCCO\n"],
)
def test_a_header_stays_one(text, caplog):
    with open_molecules(BytesIO(text.encode())) as (rows, column):
        assert rows.header == text.splitlines()[0].split(",")
        assert len(list(rows)) == 1
    assert (column, caplog.text) == ("", "")


def test_the_column_that_is_asked_for_decides():
    assert find_molecule(["CCO", "N"], ["CCN", "C"], "2") == 1
    assert find_molecule(["CCO", "y"], ["CCN", "1"], "2") is None
    assert find_molecule(["C", "y"], ["CCN", "1"], "C") is None  # the name of a column
    assert find_molecule(["1", "y", "C"], ["CCN"]) is None  # the next row is shorter
