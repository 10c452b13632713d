import pytest

pytest.importorskip("fastapi")
pytest.importorskip("rdkit")

from pyg_samsa.chem.ogb_features import parse_smiles
from pyg_samsa.hub import find_pretrained
from pyg_samsa.web.examples import COUNT, SHIPPED, example_of


def test_training_molecules_come_from_the_whole_table_and_are_not_large():
    training = [f"{'C' * size}O" for size in range(1, 21)]
    assert example_of("x", training) == [training[place] for place in (0, 4, 8, 12, 16)]
    assert example_of("peptides", ["C" * 101, "CC", "C("]) == ["CC"]
    assert example_of("x", ["C" * 150, "C" * 120]) == ["C" * 120, "C" * 150]
    assert example_of("x", []) == example_of("x", None) == []


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_model_has_molecules_of_its_kind(model):
    assert find_pretrained(model).is_dir()
    lines = example_of(model, None)
    assert len(lines) == COUNT
    assert all(parse_smiles(line.split()[0]).GetNumAtoms() > 50 for line in lines)
