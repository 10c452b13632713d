import io

import pytest

from pyg_samsa.errors import DataError
from pyg_samsa.io.csv_rows import open_rows
from pyg_samsa.io.csv_start import read_start, refuse_other_formats


def start(text, **options):
    lines, delimiter = read_start(iter(text.splitlines(keepends=True)), "table.csv", **options)
    return lines[0].rstrip(), delimiter


@pytest.mark.parametrize(
    ("table", "delimiter"),
    [
        ("smiles\nCCO\nC\nCC\n", ","),
        ("smiles\nCCO |$a;;b$|\nC |$a;;b$|\n", ","),
        ("smiles\nCCO\tethanol\nC\tmethane\n", "\t"),
        ("molecule;logS (mol, at 25 C)\nCCO;0,5\nC;1,5\n", ";"),
        ("smiles;logS, measured\nCCO;1.5\nC;2.5\n", ";"),
        ("structure A;logS, measured\nCCO;1.5\nC;2.5\n", ";"),
        ("structure A;logS, measured\nCCO;1,5\nC;2,5\n", ";"),
        ("structure A,logS; measured\nC1CC1,5\nC1C1,2\n", ","),
        ('"logS; measured";x,"a;b;c",smiles\n1,2,3,C\n', ","),
        ("id|smiles|a, b, c, d\n1|CCO|2\n", "|"),
        ("a;b;c,smiles\n1,CCO\n2,C\n", ","),
        ("smiles,note\nCCO,a;b;c\nC,d;e;f\n", ","),
        ("smiles\ta,b,c\nCCO\t1\n", "\t"),
        ("smiles;y\n# a, comment, with, commas\nCCO;1\n", ";"),
        ("smiles,y,,\nCCO,1\nC,2\n", ","),
        ("smiles;y\n", ";"),
        ("sep=|\nsmiles;a|b;c\n", "|"),
        ('smiles,y\n"CCO\n', ","),
    ],
)
def test_the_delimiter_is_that_of_header_and_rows(table, delimiter):
    assert start(table)[1] == delimiter


@pytest.mark.parametrize(
    ("table", "delimiter"),
    [
        ("CCO;0,37\nC;1,5\n", ";"),
        ("CCO,0;37,1\nC,1;5,2\n", ","),
        ("CCO,1\nC,2,note; with, more\n", ","),
        ("CCO |$;$|\nC\nCC\n", ","),
        ("CCO\t1\nC\t2\n", "\t"),
    ],
)
def test_the_delimiter_without_a_header(table, delimiter):
    assert start(table, header=False)[1] == delimiter


@pytest.mark.parametrize(
    ("table", "header"),
    [
        ("# smiles, y\nsmiles,y\nC,1\n", "smiles,y"),
        ("# columns: smiles, y\nsmiles,y\nC,1\n", "smiles,y"),
        ("#smiles;y\nmolecule;y\nC;1\n", "molecule;y"),
        ("#smiles,y\nC,1\n", "#smiles,y"),
        ("#id;mol\n# units: none\n1;C\n", "#id;mol"),
        ("# smiles, y, unit\nC,1\n", "C,1"),
        ("#smiles,y\n", "#smiles,y"),
    ],
)
def test_a_comment_is_the_header_only_where_the_first_row_is_none(table, header):
    assert start(table)[0] == header


def test_only_the_first_lines_are_read():
    lines = iter(["smiles,y\n", *["C,1\n"] * 1000])
    assert len(read_start(lines, "table.csv").lines) < 100
    assert len(list(lines)) > 900


@pytest.mark.parametrize(
    ("text", "told"), [("", "table.csv: the file is empty"), ("# a\n", "table.csv: the file holds only comments")]
)
def test_nothing_to_read(text, told):
    with pytest.raises(DataError) as caught:
        start(text)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04rest", "an Excel workbook or a zip archive"),
        (b"\xd0\xcf\x11\xe0rest", "an old Excel workbook"),
        (b"\x89PNG\r\n", "a picture"),
        (b"\xff\xd8\xff\xe0", "a picture"),
        (b"SQLite format 3\x00", "a SQLite database"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (b"\x93NUMPY\x01", "an array of NumPy"),
        (b"\x80\x05\x95\x10", "a pickle"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"PAR1rest", "a Parquet file"),
        (b"ethanol\n  RDKit\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n", "an SDF file"),
        (b'{\n "smiles": ["C"]}', "JSON, HTML or XML"),
    ],
)
def test_files_of_other_formats_are_named_with_the_cure(content, kind):
    with (
        pytest.raises(DataError, match=f"this is {kind}, not a CSV file") as caught,
        open_rows(io.BytesIO(content)),
    ):
        pass
    assert "CSV" in caught.value.hint or "npack" in caught.value.hint


MOLFILE = b"""
  made by hand

  2  1  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0
    1.0000    0.0000    0.0000 O   0  0
  1  2  1  0
M  END
"""


ATOM = b"ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N\n"


@pytest.mark.parametrize(
    ("start", "name", "kind"),
    [
        (MOLFILE, "m.mol", "a molfile, which holds one molecule"),
        (MOLFILE, "m.csv", "a molfile, which holds one molecule"),
        (MOLFILE[:120], "large.mol", "a molfile, which holds one molecule"),
        (MOLFILE + b"$$$$\n", "m.sdf", "an SDF file"),
        (MOLFILE + b"> <y>\n1.5\n\n$$$$\n", "m.mol", "an SDF file"),
        (MOLFILE[:120], "large.sdf", "an SDF file"),
        (b"@<TRIPOS>MOLECULE\n", "m.mol2", "a file of Tripos (mol2)"),
        (b"# name, date\n#\n\n@<TRIPOS>MOLECULE\nethanol\n", "m.mol2", "a file of Tripos (mol2)"),
        (b"HEADER    HYDROLASE\n", "m.pdb", "a PDB file"),
        (b"HEADER    HYDROLASE, SERINE PROTEINASE         01-JAN-00   1ABC\r\n", "m.pdb", "a PDB file"),
        (b"REMARK   1 CREATED BY HAND; 2000\n", "m.pdb", "a PDB file"),
        (b"\xef\xbb\xbfCRYST1   30.000   30.000   30.000  90.00  90.00  90.00 P 1\n", "m.pdb", "a PDB file"),
        (b"TITLE     ONE, TWO\nREMARK made by hand\n" + ATOM, "m.pdb", "a PDB file"),
        (b"COMPND    UNNAMED\nAUTHOR    SOMEBODY\n" + ATOM.replace(b"ATOM  ", b"HETATM"), "m.pdb", "a PDB file"),
        (ATOM, "m.pdb", "a PDB file"),
        (b"data_1ABC\n#\n_entry.id   1ABC\n", "m.cif", "a CIF file"),
        (b"# made by hand, 2000\ndata_x\n\nloop_\n_atom_site_label\n", "m.cif", "a CIF file"),
    ],
)
def test_files_of_structures_are_no_tables(start, name, kind):
    with pytest.raises(DataError) as caught:
        refuse_other_formats(start, name)
    assert str(caught.value) == f"{name}: this is {kind}, not a CSV file"
    one = "A table has a row for each molecule"
    assert caught.value.hint.startswith("Write its SMILES" if kind == "an SDF file" else one)


@pytest.mark.parametrize(
    "start",
    [
        b"data_set,smiles,y\n",
        b"data_set,smiles\n_1,CCO\n",
        b"data_smiles\nCCO\n",
        b"HEADER,smiles\n",
        b"ATOMS,smiles,y\n",
        b"ATOM  count;smiles\n1;C\n",
        b"HETATM number;smiles\n1;C\n",
        b"REMARK,smiles\ngood,C\n",
        b"TITLE\tsmiles\na\tC\n",
        b'smiles,pdb\nC,"HEADER    X\n' + ATOM + b'"\n',
        b'smiles,mol2\nC,"\n@<TRIPOS>MOLECULE\n"\n',
        b"# a comment\n",
        b"\n",
    ],
)
def test_headers_of_tables_are_not_taken_for_structures(start):
    refuse_other_formats(start, "table.csv")
