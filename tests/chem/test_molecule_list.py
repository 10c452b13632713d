import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from pyg_samsa.chem import compute_descriptors, convert_smiles, smiles_to_data, smiles_to_data_list
from pyg_samsa.chem.molecule_list import list_molecules
from pyg_samsa.chem.parsing import parse_molecules
from pyg_samsa.errors import ConfigError

TWO = ["CCO", "C"]
FORMS = {
    "tuple": tuple(TWO),
    "array": np.array(TWO),
    "column of an array": np.array(TWO)[:, None],
    "column": pd.Series(TWO, index=[7, 9]),
    "pandas texts": pd.Series(TWO, dtype="string"),
    "table of one column": pd.DataFrame({"structure": TWO}),
    "table": pd.DataFrame({"logS": [0.1, 0.2], "SMILES": TWO}, index=[7, 9]),
    "keys": dict.fromkeys(TWO).keys(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_list_is_read(form):
    assert list_molecules(FORMS[form]) == TWO


def test_a_list_is_not_copied_and_an_iterator_is_read():
    assert list_molecules(TWO) is TWO
    assert list_molecules(iter(TWO)) == TWO


@pytest.mark.parametrize("text", ["CCO", np.str_("CCO"), np.array("CCO")])
def test_one_text_is_one_molecule(text):
    assert list_molecules(text) == ["CCO"]
    assert smiles_to_data_list(text, progress=False)[0].num_nodes == 3
    assert convert_smiles(text, progress=False).num_nodes.tolist() == [3]
    assert compute_descriptors(text, ["maccs"], progress=False).shape == (1, 167)
    assert parse_molecules(text).smiles == ["CCO"]


@pytest.mark.parametrize("form", ["column", "table"])
def test_columns_and_tables_are_converted(form):
    assert convert_smiles(FORMS[form], progress=False).num_nodes.tolist() == [3, 1]
    assert len(smiles_to_data_list(FORMS[form], progress=False)) == 2
    assert len(compute_descriptors(FORMS[form], ["maccs"], progress=False)) == 2


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (None, "nothing"),
        (3, "'int'"),
        (b"CCO", "'bytes'"),
        ({"smiles": TWO}, "'dict'"),
        (np.array([TWO, TWO]), r"'an array of shape \[2, 2\]'"),
        (pd.DataFrame({"a": TWO, "b": TWO}), "'a table with the columns a, b'"),
        (pd.DataFrame({"smiles": TWO, "canonical_smiles": TWO}), "'a table with the columns"),
    ],
)
def test_anything_else_is_named(given, got):
    with pytest.raises(ConfigError, match=f"X: got {got}"):
        list_molecules(given, "X")


MOLS = [Chem.AddHs(Chem.MolFromSmiles(text)) for text in ("OCC", "C")]


def test_objects_of_rdkit_become_smiles(tmp_path):
    with Chem.SDWriter(str(tmp_path / "two.sdf")) as writer:
        for mol in MOLS:
            writer.write(mol)
    forms = [
        MOLS,
        tuple(MOLS),
        np.array(MOLS, dtype=object),
        pd.Series(MOLS),
        pd.DataFrame({"ID": ["a", "b"], "ROMol": MOLS}),
        Chem.SDMolSupplier(str(tmp_path / "two.sdf")),
        [MOLS[0], "C"],
    ]
    assert [list_molecules(form) for form in forms] == [TWO] * len(forms)
    assert list_molecules(MOLS[0]) == ["CCO"]
    # SMILES come before objects.
    assert list_molecules(pd.DataFrame({"smiles": ["N", "O"], "ROMol": MOLS})) == ["N", "O"]
    assert smiles_to_data(MOLS[0]).num_nodes == 3
    assert smiles_to_data(MOLS[0]).smiles == "CCO"
    assert compute_descriptors(MOLS, ["maccs"], progress=False).shape == (2, 167)


def test_objects_that_have_no_smiles_are_refused_alone():
    parsed = parse_molecules([MOLS[0], Chem.MolFromSmiles("C" * 20_000), None, MOLS[1]])
    assert parsed.smiles == TWO
    assert [(refusal.position, refusal.reason) for refusal in parsed.refused] == [
        (1, "20,000 atoms, more than the 1,000 of which SMILES are written; pass its SMILES"),
        (2, "no molecule (None)"),
    ]
