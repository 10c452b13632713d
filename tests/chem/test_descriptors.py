import math
from fractions import Fraction

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors, rdFingerprintGenerator, rdMolDescriptors

from pyg_samsa.chem import descriptors, sequence_to_smiles
from pyg_samsa.chem.descriptors import (
    DESCRIPTORS,
    Descriptor,
    _information_content,
    check_descriptors,
    compute_descriptors,
    descriptor_labels,
    register_descriptor,
)
from pyg_samsa.chem.fingerprints import morgan_counts
from pyg_samsa.errors import ConfigError, SmilesError

MOLECULES = ["CCO", "c1ccccc1C(=O)N", "N[C@@H](C)C(=O)O", "[Na+].[Cl-]", "C", "CC(=O)Nc1ccc(O)cc1CCCCCC"]
ALL = ["rdkit2d", "morgan", "morgan_count", "topological_torsion", "atom_pair", "rdkit_path", "maccs"]


def exact_information_content(molecule):
    # Faddeev and LeVerrier in exact integers.
    adjacency = Chem.GetAdjacencyMatrix(molecule).astype(object)
    size = len(adjacency)
    coefficients, power = [1], adjacency
    for step in range(1, size + 1):
        coefficients.append(-Fraction(int(np.trace(power)), step))
        power = adjacency @ (power + int(coefficients[-1]) * np.identity(size, dtype=object))
    total = sum(abs(number) for number in coefficients)
    shares = np.array([float(abs(number) / total) for number in coefficients if number])
    average = -float(shares @ np.log2(shares))
    return average * float(total), average


def test_names():
    assert list(DESCRIPTORS)[: len(ALL)] == ALL  # others may have been registered since


def test_rdkit2d_holds_the_values_of_rdkit():
    labels = descriptor_labels(["rdkit2d"])
    found = compute_descriptors(MOLECULES, ["rdkit2d"], progress=False)
    assert (found.shape, found.dtype) == ((len(MOLECULES), len(labels)), np.float32)
    for text, row in zip(MOLECULES, found, strict=True):
        expected = Descriptors.CalcMolDescriptors(Chem.MolFromSmiles(text), missingVal=np.nan)
        assert labels == list(expected)
        np.testing.assert_allclose(row, np.array(list(expected.values()), np.float32), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sequence", ["GA", "GAKLWRF"])
def test_the_information_content_is_exact_for_large_molecules(sequence):
    text = sequence_to_smiles(sequence)
    values = compute_descriptors([text], ["rdkit2d"], progress=False)[0]
    found = dict(zip(descriptor_labels(["rdkit2d"]), values, strict=True))
    expected = exact_information_content(Chem.MolFromSmiles(text))
    assert (found["Ipc"], found["AvgIpc"]) == pytest.approx(expected, rel=1e-6)


def test_the_information_content_of_a_long_chain():
    # The coefficients of a path of n nodes are the binomials (n - k over k).
    size = 1100
    exact = [math.comb(size - k, k) for k in range(size // 2 + 1)]
    shares = np.array([number / sum(exact) for number in exact if number / sum(exact) > 0])
    content, average = _information_content(Chem.MolFromSmiles("C" * size))
    assert average == pytest.approx(-float(shares @ np.log2(shares)), rel=1e-9)
    assert content == pytest.approx(average * sum(exact), rel=1e-6)


def test_values_beyond_float32_are_clipped_and_undefined_ones_are_nan():
    labels = descriptor_labels(["rdkit2d"])
    found = compute_descriptors(["C" * 250, "[Na+].[Cl-]"], ["rdkit2d"], progress=False)
    assert found[0, labels.index("Ipc")] == np.finfo(np.float32).max
    assert np.isfinite(found[0]).all()
    undefined = [label for label, value in zip(labels, found[1], strict=True) if np.isnan(value)]
    assert undefined
    assert all(label.startswith("BCUT2D") for label in undefined)
    assert not np.isinf(found).any()


def test_fingerprints_hold_the_values_of_rdkit():
    generator = rdFingerprintGenerator
    expected = {
        "morgan": lambda mol: generator.GetMorganGenerator(radius=2).GetFingerprint(mol).ToList(),
        "morgan_count": lambda mol: generator.GetMorganGenerator(radius=2).GetCountFingerprint(mol).ToList(),
        "topological_torsion": lambda mol: generator.GetTopologicalTorsionGenerator().GetCountFingerprint(mol).ToList(),
        "atom_pair": lambda mol: generator.GetAtomPairGenerator().GetCountFingerprint(mol).ToList(),
        "rdkit_path": lambda mol: generator.GetRDKitFPGenerator().GetCountFingerprint(mol).ToList(),
        "maccs": lambda mol: rdMolDescriptors.GetMACCSKeysFingerprint(mol).ToList(),
    }
    assert sorted(expected) == sorted(set(ALL) - {"rdkit2d"})
    for name, compute in expected.items():
        found = compute_descriptors(MOLECULES, [name], progress=False)
        assert found.tolist() == [compute(Chem.MolFromSmiles(text)) for text in MOLECULES]
        assert descriptor_labels([name])[5] == f"{name}_5"
    assert np.array_equal(
        compute_descriptors(MOLECULES, ["morgan_count"], progress=False), morgan_counts(MOLECULES, progress=False)
    )


def test_columns_follow_the_names():
    both = compute_descriptors(MOLECULES, ["maccs", "rdkit2d"], progress=False)
    alone = [compute_descriptors(MOLECULES, [name], progress=False) for name in ("maccs", "rdkit2d")]
    np.testing.assert_array_equal(both, np.hstack(alone))
    assert descriptor_labels(["maccs", "rdkit2d"]) == descriptor_labels(["maccs"]) + descriptor_labels(["rdkit2d"])


def test_the_order_of_atoms_does_not_matter():
    molecule = Chem.MolFromSmiles(MOLECULES[-1])
    order = np.random.default_rng(0).permutation(molecule.GetNumAtoms()).tolist()
    other = Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
    assert other != MOLECULES[-1]
    np.testing.assert_allclose(*compute_descriptors([MOLECULES[-1], other], ALL, progress=False), rtol=1e-5, atol=1e-5)


def test_edge_cases():
    assert compute_descriptors([], ["maccs"], progress=False).shape == (0, 167)
    assert compute_descriptors(["C", "CC"], [], progress=False).shape == (2, 0)
    assert compute_descriptors([" CCO "], ["morgan"], progress=False).sum() == 6
    with pytest.raises(SmilesError, match="row 2"):
        compute_descriptors(["C", "C("], ["maccs"], progress=False)
    with pytest.raises(ConfigError, match="descriptors: got 'morgn'") as caught:
        compute_descriptors(["C"], ["morgn"])
    assert caught.value.hint == "Did you mean 'morgan'?"
    with pytest.raises(ConfigError, match="different names"):
        descriptor_labels(["maccs", "maccs"])
    with pytest.raises(ConfigError, match=r"dataset.descriptors: got 'maccs', expected a list"):
        check_descriptors("maccs", "dataset.descriptors")


def test_a_descriptor_of_a_user_also_in_worker_processes():
    @register_descriptor("rings")
    def rings():
        return Descriptor(("rings", "broken"), lambda molecule: [molecule.GetRingInfo().NumRings(), np.inf])

    try:
        many = ["c1ccccc1", "C"] * 256
        found = compute_descriptors(many, ["rings"], workers=2, progress=False)
        assert found[:, 0].tolist() == [1.0, 0.0] * 256
        assert np.isnan(found[:, 1]).all()
        with pytest.raises(ConfigError, match="unused name"):
            register_descriptor("rings")(lambda: None)
    finally:
        del DESCRIPTORS["rings"]


def test_large_molecules_have_no_descriptors_and_leave_the_others_alone(monkeypatch):
    monkeypatch.setattr(descriptors, "MAX_ATOMS", 5)
    found = compute_descriptors(["CCO", "C" * 6, "C" * 5], ["rdkit2d", "maccs"], progress=False)
    assert np.isnan(found[1]).all()
    assert np.array_equal(
        found[[0, 2]], compute_descriptors(["CCO", "C" * 5], ["rdkit2d", "maccs"], progress=False), equal_nan=True
    )
