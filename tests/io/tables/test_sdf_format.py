import io

import pytest
from rdkit import Chem

from pyg_samsa.chem.mol_blocks import block_smiles
from pyg_samsa.errors import DataError
from pyg_samsa.io.tables import sdf_format
from pyg_samsa.io.tables.sdf_format import SdfReader, SdfWriter, properties
from pyg_samsa.io.tables.table import AddedColumn


def record(smiles, **fields):
    block = Chem.MolToMolBlock(Chem.MolFromSmiles(smiles))
    return (block + "".join(f">  <{name}>\n{value}\n\n" for name, value in fields.items()) + "$$$$\n").encode()


FILE = record("CCO", pH="7", note="two\nlines") + b"broken\n$$$$\n" + record("C", name="methane")


def written(content, *columns):
    reader = SdfReader(io.BytesIO(content), "in.sdf")
    chunk = reader.take(100)
    writer = SdfWriter([f"c{place}" for place in range(len(columns))])
    return writer.encode(chunk, [AddedColumn(list(column)) for column in columns])


def test_records_and_properties_are_kept_to_the_byte():
    content = written(FILE, ["1.5", "", "2"], ["", "RDKit cannot read", ""])
    parts, before = content.split(b"$$$$\n"), FILE.split(b"$$$$\n")
    assert [part.startswith(old) for part, old in zip(parts, before, strict=True)] == [True] * 4
    molecules = list(Chem.ForwardSDMolSupplier(io.BytesIO(content)))
    assert [molecule is None for molecule in molecules] == [False, True, False]
    assert molecules[0].GetPropsAsDict() == {"pH": 7, "note": "two\nlines", "c0": 1.5, "c1": ""}
    assert molecules[2].GetPropsAsDict() == {"name": "methane", "c0": 2, "c1": ""}
    assert properties(parts[1] + b"$$$$\n") == {"c0": "", "c1": "RDKit cannot read"}


@pytest.mark.parametrize(
    "content",
    [
        record("C").replace(b"\n", b"\r\n"),
        record("C", a="1").rstrip(b"$\n"),
        record("C", a="1").replace(b"\n\n$$$$", b"\n$$$$"),
        record("C").replace(b"$$$$\n", b""),
        record("C").replace(b"\n$$$$\n", b""),
        record("C").replace(b"\n", b"\r\n").replace(b"\r\n$$$$\r\n", b""),
    ],
    ids=[
        "windows",
        "cut in a property",
        "no blank line",
        "no end",
        "molfile without a last newline",
        "windows molfile",
    ],
)
def test_line_ends_and_unfinished_records(content):
    result = written(content, ["5"])
    (molecule,) = Chem.ForwardSDMolSupplier(io.BytesIO(result))
    assert molecule.GetProp("c0") == "5"
    assert SdfWriter(["c0"]).count(io.BytesIO(result)) == 1
    assert (b"\r\n" in result) == (b"\r\n" in content)


@pytest.mark.parametrize("version", ["V2000", "V3000"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_molfile_is_one_record(version, newline):
    molecule = Chem.MolFromSmiles("C[C@H](N)O")
    block = Chem.MolToMolBlock(molecule, forceV3000=version == "V3000").replace("\n", newline)
    assert version in block
    chunk = SdfReader(io.BytesIO(block.encode()), "in.mol").take(5)
    assert (len(chunk), chunk.notes(), block_smiles(chunk.molecules(-1)[0])) == (1, [""], "C[C@H](N)O")
    (again,) = Chem.ForwardSDMolSupplier(io.BytesIO(written(block.encode(), ["5"])))
    assert again.GetProp("c0") == "5"


def test_structures_that_are_not_read_are_told():
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    note = "2 structures without $$$$ between them: the first one is read"
    assert SdfReader(io.BytesIO((block * 2).encode()), "in.mol").take(5).notes() == [note]
    # The value of a property may be a structure.
    assert SdfReader(io.BytesIO(record("C", product=block)), "in.sdf").take(5).notes() == [""]


def test_texts_of_several_lines_become_one():
    assert properties(written(record("C"), ["a\n\nb\r\nc"]))["c0"] == "a  b c"


def test_properties_are_columns():
    reader = SdfReader(io.BytesIO(FILE), "in.sdf")
    assert reader.header == ["pH", "note", "name"]
    chunk = reader.take(2)
    assert chunk.texts(0) == ["7", ""]
    assert chunk.molecules(-1)[0] == Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    assert reader.take(2).texts(2) == ["methane"]
    assert reader.take(2) is None


def test_a_value_may_look_like_a_header():
    assert properties(b"\n\n\nM  END\n> <a>\n> <b>\n\n> 12 <c <d>> (x)\n\n$$$$\n") == {"a": "> <b>", "c <d>": ""}


def test_digests_tell_records_apart():
    digests = SdfReader(io.BytesIO(FILE), "in.sdf").take(3).digests()
    assert len(set(digests)) == 3


def test_files_without_records_are_named(monkeypatch):
    with pytest.raises(DataError, match=r"in\.sdf: the file is empty"):
        SdfReader(io.BytesIO(b"\n\n"), "in.sdf")
    monkeypatch.setattr(sdf_format, "_LONGEST_RECORD", 1000)
    with pytest.raises(DataError, match=r"in\.sdf: record 2 has more than 1,000 bytes"):
        SdfReader(io.BytesIO(record("C") + b"x" * 5000), "in.sdf")
