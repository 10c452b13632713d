import gzip

import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from pyg_samsa.chem.mol_blocks import UNREADABLE, parse_blocks, smiles_block
from pyg_samsa.cli import _molecules
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
def test_a_list_without_a_header_keeps_its_first_molecule_and_its_names(write, name):
    found = read_molecules([write(name, "CCO ethanol\nCCN  amine 2\nCC\nC[C@H](O)F |o1:1|\n")])
    names = [("ethanol", "CCO"), ("amine 2", "CCN"), ("row 3", "CC"), ("row 4", "C[C@H](O)F |o1:1|")]
    assert (found.molecules, found.left_out) == (names, 0)


def test_names_of_a_list_may_stand_after_a_tab(write):
    text = "CCO\tethanol\nCCN\tamine 2\nCC\n"
    names = [("ethanol", "CCO"), ("amine 2", "CCN"), ("row 3", "CC")]
    assert read_molecules([write("list.smi", text)]).molecules == names
    # In other tables without a header the next column may be a number.
    assert read_molecules([write("list.csv", "CCO,1.5\nCCN,2.5\n")]).molecules == [("row 1", "CCO"), ("row 2", "CCN")]


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in.dat"])
def test_columns(write, name):
    table = write(name, CSV)
    found = read_molecules([table])
    assert found.molecules == [("A-1", "CC(=O)O"), ("A 2/..\\x", "C("), ("A-3", ""), ("A-4", "c1ccccc1")]
    assert (found.rows, found.left_out, found.extra_columns) == ([1, 3, 4, 5], 0, {})
    named = read_molecules([table], "Structure", "note", 1)
    assert named == ([("fine", "CC(=O)O")], [1], {}, 3, [], [])


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
        assert found.molecules == [("E-1", "CCO"), ("E-3", "CCN"), ("row 4", "C")]
        assert (found.rows, found.unreadable) == ([1, 3, 4], [(2, "broken", UNREADABLE)])
        assert found.extra_columns["pH"][0] == 7.5
        assert [number != number for number in found.extra_columns["pH"]] == [False, True, True]
        by_pH = read_molecules([table], name_column="pH").molecules
        assert by_pH == [("7.5", "CCO"), ("row 3", "CCN"), ("row 4", "C")]
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
    assert read_molecules([table], limit=1, extra_columns=["pH"]) == ([("row 1", "CCO")], [1], {"pH": [7.5]}, 1, [], [])
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


@pytest.mark.parametrize("properties", [">  <name>\nB\n\n", ">  <pH>\n7\n\n>  <ID>\nB\n\n"])
def test_a_name_may_be_the_last_property(write, properties):
    assert read_molecules([write("in.sdf", sdf((smiles_block("CCO"), properties)))]).molecules == [("B", "CCO")]


def test_a_record_without_the_property_has_its_title_as_name(write):
    records = [(smiles_block("CCO", "ethanol"), ""), (smiles_block("CCN", "\ufeffamine\x07"), ">  <id>\n\n\n")]
    found = read_molecules([write("in.sdf", sdf(*records))])
    assert [name for name, _ in found.molecules] == ["ethanol", "amine"]


def test_equal_names_have_their_row(write):
    records = [(smiles_block(smiles, title), "") for smiles, title in (("CCO", "pose"), ("CCN", "a"), ("C", "pose"))]
    found = read_molecules([write("in.sdf", sdf(*records))])
    assert [name for name, _ in found.molecules] == ["pose (row 1)", "a", "pose (row 3)"]


def test_reasons_of_records_without_smiles(write):
    atoms = [f"    {x}.0000    0.0000    0.0000 {atom}{'   0' + 11 * '  0'}\n" for x, atom in ((0, "F"), (1, "O"))]
    valence = "".join(["\n\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n", *atoms])
    records = [
        (valence + "  1  2  3  0\nM  END\n", ""),
        (smiles_block(""), ""),
        (Chem.MolToV3KMolBlock(Chem.MolFromSmiles("C" * 1001)), ""),
    ]
    found = read_molecules([write("in.sdf", sdf(*records))])
    reasons = [reason for _, _, reason in found.unreadable]
    assert reasons[0].startswith(f"{UNREADABLE} (Explicit valence for atom # 0 F")
    assert reasons[1] == "a structure without atoms"
    assert reasons[2].startswith("1,001 atoms, more than the 1,000 of which SMILES are written")
    assert parse_blocks([records[0][0]]).refused[0].reason == reasons[0]


def test_joined_structures_and_surplus_fields_have_notes(write):
    joined = smiles_block("CCO") + smiles_block("C")
    assert read_molecules([write("in.sdf", sdf((joined, "")))]).notes == [
        "row 1: 2 structures without $$$$ between them: the first one is read"
    ]
    assert read_molecules([write("in.csv", "smiles,y\nC,1,2\nCC,1\n")]).notes == ["row 1: 3 fields, the header has 2"]


def test_a_limit_counts_rows_and_reads_no_others(write, monkeypatch):
    monkeypatch.setattr(_molecules, "_CHUNK", 2)
    read = []
    monkeypatch.setattr("pyg_samsa.chem.mol_blocks.block_smiles", lambda block: read.append(block) or "C")
    table = write("in.sdf", sdf(*[(smiles_block("C", f"{number}"), "") for number in range(7)]))
    found = read_molecules([table], limit=3)
    assert (len(found.molecules), found.left_out, len(read)) == (3, 4, 3)
    found = read_molecules([write("in.csv", "smiles\nC\n\nCC\nCCC\n\nO\n")], limit=2)
    assert (found.rows, found.left_out) == ([1, 3], 2)


def test_columns_of_tables_without_a_header_have_numbers(write):
    table = write("in.csv", "CCO,ethanol\nCCN,amine\n")
    assert read_molecules([table], name_column="2").molecules == [("ethanol", "CCO"), ("amine", "CCN")]
    with pytest.raises(ConfigError, match=r"--name-column: got 'x', expected the number of a column, from 1"):
        read_molecules([table], name_column="x")
    with pytest.raises(ConfigError, match=r"--name-column: got 'x', expected nothing, because the structures"):
        read_molecules([write("in.sdf", sdf((smiles_block("C"), "")))], name_column="x")


def test_folders_streams_and_files_that_are_not_there_are_no_smiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("folder", "folder.sdf", "C"):
        (tmp_path / name).mkdir()
    for name, told in (("folder", "a folder"), ("folder.sdf", "a folder"), ("-", "standard input")):
        with pytest.raises(ConfigError, match=f"expected one file or SMILES, not {told}"):
            read_molecules([name])
    assert read_molecules(["C"]).molecules == [("C", "C")]
    for name in ("missing.xlsx", "~nobody/missing.csv"):
        with pytest.raises(DataNotFoundError, match="no such file"):
            read_molecules([name])


def test_options_of_tables_are_refused_beside_smiles():
    for option in ("smiles_column", "name_column"):
        with pytest.raises(ConfigError, match="expected nothing beside SMILES, which have no columns"):
            read_molecules(["CCO"], **{option: "x"})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"smiles\nC\n", mtime=0), "a gzip archive"),
        ("smiles\nC\n".encode("utf-16"), "a text in UTF-16"),
        (b"smiles\nC\n", "a text without M  END"),
        (b"PAR1\0\0", "a Parquet file"),
    ],
    ids=["gzip", "utf-16", "csv", "parquet"],
)
def test_other_files_named_sdf_are_told(tmp_path, content, told):
    (tmp_path / "in.sdf").write_bytes(content)
    with pytest.raises(DataError, match=rf"in\.sdf: {told}.*, and no file of structures") as caught:
        read_molecules([str(tmp_path / "in.sdf")])
    assert caught.value.hint == "Name the file after its format."
