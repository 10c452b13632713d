import gzip

import pytest

pytest.importorskip("rdkit")

from pyg_samsa.chem.mol_blocks import UNREADABLE, smiles_block
from pyg_samsa.cli._molecules import read_molecules
from pyg_samsa.errors import ConfigError, DataError, DataNotFoundError
from pyg_samsa.io.extra_column import ExtraColumn

CSV = "id;Structure;note\nA-1;CC(=O)O;fine\n\nA 2/..\\x;C(;broken\nA-3;;empty\nA-4;c1ccccc1;fine\n"


@pytest.fixture
def write(tmp_path):
    """Writes a table: ``write(name, text)`` returns its path."""

    def written(name, text):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return str(path)

    return written


def sdf(*records):
    return "".join(f"{block}{properties}$$$$\n" for block, properties in records)


@pytest.mark.parametrize("name", ["list.smi", "list.smi.gz"])
def test_a_list_without_a_header_keeps_its_first_molecule(write, name):
    found = read_molecules([write(name, "CCO ethanol\nCCN amine\n")])
    assert (found.molecules, found.left_out) == ([("row 1", "CCO ethanol"), ("row 2", "CCN amine")], 0)


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in.dat"])
def test_columns(write, name):
    table = write(name, CSV)
    found = read_molecules([table])
    assert found.molecules == [("A-1", "CC(=O)O"), ("A 2/..\\x", "C("), ("A-3", ""), ("A-4", "c1ccccc1")]
    assert (found.rows, found.left_out, found.extra_columns) == ([1, 3, 4, 5], 0, {})
    named = read_molecules([table], "Structure", "note", 1)
    assert named == ([("fine", "CC(=O)O")], [1], {}, 3, [])


def test_a_smiles_may_be_longer_than_the_name_of_a_file():
    long = "C" * 3000
    assert read_molecules([long]).molecules == [("C" * 37 + "...", long)]
    assert len(read_molecules([long, "C"]).molecules) == 2


def test_structures_have_titles_or_properties_as_names(write):
    records = [
        (smiles_block("OCC", "ethanol"), ">  <id>\nE-1\n\n>  <pH>\n7.5\n\n"),
        ("broken\n\n\nM  END\n", ">  <pH>\n7\n\n"),
        (smiles_block("CCN"), ">  <id>\nE-3\n\n"),
        (smiles_block("C"), ""),
    ]
    for name in ("in.sdf", "in.sdf.gz"):
        table = write(name, sdf(*records))
        found = read_molecules([table], extra_columns=["pH"])
        assert found.molecules == [("ethanol", "CCO"), ("E-3", "CCN"), ("row 4", "C")]
        assert (found.rows, found.unreadable) == ([1, 3, 4], [(2, "broken", "", UNREADABLE)])
        assert found.extra_columns["pH"][0] == 7.5
        assert [number != number for number in found.extra_columns["pH"]] == [False, True, True]
        assert read_molecules([table], name_column="id").molecules[0] == ("E-1", "CCO")
        limited = read_molecules([table], limit=2)
        assert (len(limited.molecules), len(limited.unreadable), limited.left_out) == (1, 1, 2)


def test_a_molfile_is_one_molecule(write):
    assert read_molecules([write("in.mol", smiles_block("CCO", "ethanol"))]).molecules == [("ethanol", "CCO")]


def test_numbers_of_a_parquet_file_have_a_decimal_point(tmp_path):
    table = pytest.importorskip("pyarrow").table({"smiles": ["CCO", "C"], "name": ["ethanol", None], "T": [1.125, 2.5]})
    from pyarrow import parquet

    parquet.write_table(table, tmp_path / "in.parquet")
    found = read_molecules([str(tmp_path / "in.parquet")], extra_columns=[ExtraColumn("T", "comma")])
    assert found.molecules == [("ethanol", "CCO"), ("row 2", "C")]
    assert found.extra_columns == {"T": [1.125, 2.5]}


def test_numbers_of_extra_columns_are_read_as_in_training(write):
    table = write("in.csv", "smiles;pH\nCCO;7,5\nCCN;\n")
    assert read_molecules([table], limit=1, extra_columns=["pH"]) == ([("row 1", "CCO")], [1], {"pH": [7.5]}, 1, [])
    with pytest.raises(DataError, match="row 2, column 'pH': 'acidic' is not a number"):
        read_molecules([write("words.csv", "smiles,pH\nC,7\nCCO,acidic\n")], extra_columns=["pH"])
    with pytest.raises(DataError, match="has a decimal comma"):
        read_molecules([table], extra_columns=[ExtraColumn("pH", "point")])


def test_bad_arguments_name_the_culprit(write):
    with pytest.raises(DataNotFoundError, match=r"none\.sdf: no such file"):
        read_molecules(["none.sdf"])
    with pytest.raises(ConfigError, match="expected one table and nothing else"):
        read_molecules(["CC", write("in.dat", CSV)])
    with pytest.raises(ConfigError, match="--name-column"):
        read_molecules([write("in.csv", CSV)], name_column="missing")
    with pytest.raises(ConfigError, match="--smiles-column"):
        read_molecules([write("in.sdf", sdf((smiles_block("C"), "")))], smiles_column="id")
    with pytest.raises(ConfigError, match="a table: the model also reads the column 'pH'"):
        read_molecules(["CCO"], extra_columns=["pH"])
