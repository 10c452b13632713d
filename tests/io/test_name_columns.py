import pytest

from pyg_samsa.io.name_columns import find_names


@pytest.mark.parametrize(
    ("header", "place"),
    [
        ("iupac;smiles;expt;calc", 0),
        ("smiles;IUPAC name;y", 1),
        ("mol-id;smiles;Compound Name", 2),
        ("smiles;y;ChEMBL ID", 2),
        ("smiles;batch_id;sample name", 2),
        ("y;smiles", None),
        ("name;y", None),
    ],
)
def test_the_column_of_names_is_found(header, place):
    titles = header.split(";")
    smiles = titles.index("smiles") if "smiles" in titles else 0
    assert find_names(titles, smiles) == place
