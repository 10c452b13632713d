import pytest

pytest.importorskip("rdkit")

from pyg_samsa.explain.similar_molecule import SimilarMolecule


def test_the_line_about_a_molecule():
    one = SimilarMolecule("CCO", 0.456, "embedding", {"logS": "-0.25", "IC50": "> 10"})
    assert one.text == "similarity of embeddings 0.46; measured: logS -0.25, IC50 > 10; CCO"
    assert SimilarMolecule("C", 0, "fingerprint").text == "Tanimoto similarity 0.00; nothing measured; C"


def test_many_targets_and_long_smiles_are_cut():
    one = SimilarMolecule("C" * 200, 1, "fingerprint", {f"t{number}": "1" for number in range(11)})
    assert one.measurements.endswith("t7 1 and 3 more")
    assert one.text.endswith("; " + "C" * 77 + "...")
    assert one.picture("dark").svg.startswith("<svg")
