import numpy as np
import pytest
from rdkit import Chem

from pyg_samsa.errors import ConfigError, SmilesError
from pyg_samsa.explain.molecule_occlusion import extra_of, molecule_occlusion, without_atoms, without_bonds
from pyg_samsa.predict import Predictor
from pyg_samsa.task import Task

MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[N+](C)(C)CC([O-])=O",
    "N[C@@H](CS)C(=O)O",
    "c1ccc2[nH]ccc2c1",
    "F/C=C/F",
    "C#N",
]


class Heavy(Predictor):
    """Predicts the number of oxygens plus ten times a column, as a value or as a logit."""

    def __init__(self, kind="regression", *extra_columns):
        self.task, self.extra_columns, self.seen = Task(kind, ["oxygens"]), extra_columns, []

    def outputs(self, inputs, *, draws=None):
        self.seen += inputs.smiles
        counts = np.array([[smiles.count("O")] for smiles in inputs.smiles], dtype=float)
        counts = counts + 10 * inputs.extra(self.extra_columns).sum(1, keepdims=True)
        return (counts if self.task.kind == "regression" else 1 / (1 + np.exp(-counts))), None


@pytest.mark.parametrize("smiles", MOLECULES)
def test_rests_are_molecules_with_one_heavy_atom_or_bond_less(smiles):
    mol = Chem.MolFromSmiles(smiles)
    for number, texts in enumerate(without_atoms(mol)):
        for rest in map(Chem.MolFromSmiles, texts):
            assert rest.GetNumAtoms() == mol.GetNumAtoms() - 1
            assert rest.GetNumBonds() == mol.GetNumBonds() - mol.GetAtomWithIdx(number).GetDegree()
            assert not any(atom.GetNumRadicalElectrons() for atom in rest.GetAtoms())
    for texts in without_bonds(mol):
        for rest in map(Chem.MolFromSmiles, texts):
            assert (rest.GetNumAtoms(), rest.GetNumBonds()) == (mol.GetNumAtoms(), mol.GetNumBonds() - 1)
            assert not any(atom.GetNumRadicalElectrons() for atom in rest.GetAtoms())


def test_hydrogen_fills_the_valences():
    assert without_atoms(Chem.MolFromSmiles("CC(=O)O")) == [["O=CO"], ["C.O.O"], ["CCO"], ["CC=O"]]
    assert without_bonds(Chem.MolFromSmiles("C#N")) == [["C.N"]]


@pytest.mark.parametrize(("smiles", "structures"), [("c1ccccc1", 2), ("c1ccc2ccccc2c1", 3), ("c1cc[nH]c1", 1)])
def test_all_kekule_structures_are_used(smiles, structures):
    assert {len(texts) for texts in without_bonds(Chem.MolFromSmiles(smiles))} == {structures}


@pytest.mark.parametrize("smiles", ["c1ccc2ccccc2c1", "Oc1ccccc1", "c1ccc(-c2ccncc2)cc1", "C1CCCCC1"])
def test_equivalent_atoms_and_bonds_have_equal_scores(smiles):
    class Size(Heavy):
        def outputs(self, inputs, *, draws=None):
            return np.array([[len(text) + 3.0 * text.count("=")] for text in inputs.smiles]), None

    mol, found = Chem.MolFromSmiles(smiles), molecule_occlusion(Size(), smiles)
    rank = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    bonds = [tuple(sorted((rank[bond.GetBeginAtomIdx()], rank[bond.GetEndAtomIdx()]))) for bond in mol.GetBonds()]
    for keys, scores in ((rank, found.node.tolist()), (bonds, found.bond.tolist())):
        for key in set(keys):
            same = [score for one, score in zip(keys, scores, strict=True) if one == key]
            assert same == pytest.approx([same[0]] * len(same))


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_scores_are_falls_of_values_or_logits(kind):
    found = molecule_occlusion(Heavy(kind), "CC(=O)O")
    assert found.node.tolist() == pytest.approx([0, 0, 1, 1])
    assert found.bond.tolist() == pytest.approx([0, 0, 0])
    assert found.bond_index.tolist() == [[0, 1, 1], [1, 2, 3]]
    assert found.prediction.item() == pytest.approx(2)


def test_both_directions_share_the_score_of_a_bond():
    class Parts(Heavy):
        def outputs(self, inputs, *, draws=None):
            return np.array([[text.count(".")] for text in inputs.smiles], dtype=float), None

    found = molecule_occlusion(Parts(), "C1CC1C")
    assert found.edge.tolist() == pytest.approx([0, 0, 0, 0, -0.5, -0.5, 0, 0])
    assert found.bond.tolist() == pytest.approx([0, 0, -1, 0])


def test_equivalent_rests_are_computed_once():
    predictor = Heavy()
    molecule_occlusion(predictor, "c1ccccc1")
    assert sorted(predictor.seen) == ["C=CC=CC", "C=CC=CC=C", "CC=CC=CC", "c1ccccc1"]


def test_the_size_of_chunks_changes_nothing(monkeypatch):
    whole = molecule_occlusion(Heavy(), MOLECULES[0])
    monkeypatch.setattr("pyg_samsa.explain.molecule_occlusion._CHUNK_ATOMS", 30)
    sizes = []

    class Counted(Heavy):
        def predict(self, smiles, **options):
            sizes.append(len(smiles))
            return super().predict(smiles, **options)

    parts = molecule_occlusion(Counted(), MOLECULES[0])
    assert max(sizes) == 2
    assert len(sizes) > 5
    assert parts.node.tolist() == whole.node.tolist()
    assert parts.bond.tolist() == whole.bond.tolist()


def test_where_nothing_is_left_the_score_is_zero():
    found = molecule_occlusion(Heavy(), "O")
    assert (found.node.tolist(), found.bond.tolist()) == ([0], [])


def test_extra_columns_stay_the_same():
    found = molecule_occlusion(Heavy("regression", "pH"), "CO", extra_columns={"pH": 7.0})
    assert found.prediction.item() == 71
    assert found.node.tolist() == [0, 1]
    with pytest.raises(ConfigError, match="pH"):
        molecule_occlusion(Heavy("regression", "pH"), "CO")


def test_an_unreadable_molecule():
    with pytest.raises(SmilesError, match="C1CC"):
        molecule_occlusion(Heavy(), "C1CC")


def test_extra_columns_by_molecule():
    assert list(extra_of({"a": [1, 2], "b": [3, 4]}, 2)) == [{"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 4.0}]


def test_scores_keep_their_digits_beside_a_large_offset():
    class Energy(Heavy):
        def outputs(self, inputs, *, draws=None):
            values, spread = super().outputs(inputs, draws=draws)
            return values / 1000 - 1e6, spread

    found = molecule_occlusion(Energy(), "CCO")
    assert found.prediction.tolist() == [-999999.999]
    assert found.node.tolist() == pytest.approx([0, 0, 0.001], abs=1e-9)


def test_objects_of_rdkit_are_explained():
    found = molecule_occlusion(Heavy(), Chem.AddHs(Chem.MolFromSmiles("CCO")))
    assert found.node.tolist() == molecule_occlusion(Heavy(), "CCO").node.tolist()


@pytest.mark.parametrize("atoms", [1001, 20_000])
def test_a_molecule_that_is_too_large_is_refused(atoms):
    with pytest.raises(SmilesError, match=f"{atoms:,} atoms, more than 1,000, for which occlusion is computed"):
        molecule_occlusion(Heavy(), "C" * atoms)
