import re
from functools import partial

import numpy as np
import pytest
import torch
from rdkit import Chem

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.errors import ConfigError, SmilesError
from pyg_samsa.explain.molecule_occlusion import molecule_occlusion
from pyg_samsa.explain.page import make_card
from pyg_samsa.explain.predictor_explanation import explain_predictor, methods_of
from pyg_samsa.nn import SAMSA
from pyg_samsa.predict import (
    BlendPredictor,
    BoostedTrees,
    BoostingOptions,
    DescriptorPredictor,
    MoleculePredictor,
    Predictor,
)
from pyg_samsa.task import Task

SMILES = ["C" * n + end for n in range(1, 13) for end in ("O", "N", "c1ccccc1", "C(=O)O")]
NAMES = ["antimicrobial", "anticancer", "transmembrane"]


@pytest.fixture(scope="module")
def network():
    return MoleculePredictor.from_pretrained("peptides")


@pytest.fixture(scope="module")
def trees():
    pytest.importorskip("lightgbm")
    x = compute_descriptors(SMILES, ["maccs"], progress=False)
    y = np.array([["O" in text, "N" in text, "c1" in text] for text in SMILES], dtype=float)
    options = BoostingOptions("lightgbm", trees=20, leaves=4, min_leaf=3)
    return DescriptorPredictor(BoostedTrees(Task("multilabel", NAMES), ["maccs"], options=options).fit(x, y))


def test_a_single_network_is_explained_from_within(network):
    blend = BlendPredictor([network, network], [0, 1])
    (found,) = explain_predictor(blend, [("glycine", "NCC(=O)O")])
    assert tuple(found.importance) == methods_of(blend) == ("sampled", "contribution", "occlusion")
    (alone,) = explain_predictor(network, [("glycine", "NCC(=O)O")])
    assert found.predictions == alone.predictions


@pytest.mark.parametrize("options", [{"attention": "full"}, {"attention": "performer"}, {"bridge": False}])
def test_a_network_that_samples_no_tokens_or_reads_no_bonds_is_explained_by_occlusion(options):
    edges = BOND_CARDINALITIES
    model = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=edges, channels=8, num_layers=1, heads=2, **options)
    predictor = MoleculePredictor(model, Task("binary", ["active"]))
    assert methods_of(predictor) == ("occlusion",)
    (found,) = explain_predictor(predictor, [("propanol", "CCCO")])
    assert list(found.importance) == ["occlusion"]
    assert found.predictions["active"] == pytest.approx(predictor.predict(["CCCO"]).values[0, 0], rel=1e-5)


def test_trees_are_explained_by_occlusion(trees):
    (found,) = explain_predictor(trees, [("propanol", "CCCO")], target="antimicrobial")
    assert (found.target, list(found.importance)) == ("antimicrobial", ["occlusion"])
    scores, _ = found.scores("occlusion")
    assert max(scores) == scores[3] > 0
    values = trees.predict(["CCCO"]).values[0]
    np.testing.assert_allclose([found.predictions[name] for name in NAMES], values, rtol=1e-5)
    assert found.draw("occlusion").svg.startswith("<svg")
    assert found.to_frame().columns.tolist()[-1] == "occlusion"


def test_blends_are_explained_by_occlusion(network, trees):
    blend = BlendPredictor([network, trees], [0.5, 0.5])
    (found,) = explain_predictor(blend, [("propanol", "CCCO")])
    assert found.target == NAMES[int(blend.predict(["CCCO"]).values[0].argmax())]
    with pytest.raises(ConfigError, match="'occlusion'") as caught:
        next(explain_predictor(blend, [("propanol", "CCCO")], methods=["sampled"]))
    assert "subfolder model" in caught.value.hint


def test_large_molecules_are_refused_like_unreadable_ones(network, trees):
    molecules = [("small", "CCO"), ("large", "C" * 30), ("broken", "C(")]
    for predictor in (network, trees):
        refused = []
        keep = partial(lambda into, *one: into.append(one), refused)
        found = list(explain_predictor(predictor, molecules, max_atoms=20, on_refusal=keep))
        assert [one.name for one in found] == ["small"]
        assert [(number, name) for number, name, _, _ in refused] == [(1, "large"), (2, "broken")]
        assert refused[0][3] == "30 atoms, more than 20"
    with pytest.raises(SmilesError, match="30 atoms, more than 20"):
        list(explain_predictor(network, molecules, max_atoms=20))


def test_what_is_wrong_is_named(trees):
    with pytest.raises(ConfigError, match="target"):
        next(explain_predictor(trees, [("a", "C")], target="toxic"))
    with pytest.raises(SmilesError, match="row 2"):
        list(explain_predictor(trees, [("a", "C"), ("b", "C1CC")]))
    refused = []
    found = list(explain_predictor(trees, [("b", "C1CC"), ("a", "C")], on_refusal=lambda *args: refused.append(args)))
    assert [one.name for one in found] == ["a"]
    assert refused == [(0, "b", "C1CC", "RDKit cannot read this SMILES (ring 1 is not closed)")]


def test_a_network_with_descriptors_and_extra_columns():
    torch.manual_seed(0)
    sizes = {"channels": 8, "num_layers": 1, "heads": 2, "num_samples": 4, "graph_channels": 168}
    model = SAMSA.from_options(ATOM_CARDINALITIES, 1, edge_channels=BOND_CARDINALITIES, **sizes)
    task = Task("regression", ["logS"])
    predictor = MoleculePredictor(model, task, descriptors=["maccs"], extra_columns=["pH"])
    molecules, extra = [("a", "CCO"), ("b", "CCN")], {"pH": [7.0, 3.0]}
    found = list(explain_predictor(BlendPredictor([predictor], [1.0]), molecules, extra_columns=extra))
    values = predictor.predict(["CCO", "CCN"], extra_columns=extra).values[:, 0]
    np.testing.assert_allclose([one.predictions["logS"] for one in found], values, rtol=1e-5)
    assert tuple(found[0].importance) == ("sampled", "contribution", "occlusion")
    with pytest.raises(ConfigError, match=r"extra_columns: got \[\], expected a column 'pH'"):
        next(explain_predictor(predictor, molecules))
    with pytest.raises(ConfigError, match=r"extra_columns\['pH'\]: got '1 numbers', expected 2"):
        next(explain_predictor(predictor, molecules, extra_columns={"pH": [7.0]}))


def test_values_near_a_million_keep_their_digits():
    pytest.importorskip("lightgbm")
    x = compute_descriptors(SMILES, ["maccs"], progress=False)
    y = -1e6 + np.arange(len(SMILES))[:, None] / 1000
    options = BoostingOptions("lightgbm", trees=20, leaves=4, min_leaf=3)
    trees = DescriptorPredictor(BoostedTrees(Task("regression", ["energy"]), ["maccs"], options=options).fit(x, y))
    (found,) = explain_predictor(trees, [("propanol", "CCCO")])
    assert found.predictions["energy"] == pytest.approx(float(trees.predict(["CCCO"]).values[0, 0]), abs=1e-9)
    assert found.stds["energy"] == pytest.approx(float(trees.target_std[0]))
    assert re.fullmatch(r"−(999999|1000000)\.\d{3,5}", found.text("energy"))


@pytest.mark.parametrize("max_atoms", [None, 5000])
def test_large_molecules_are_refused_by_predictors_that_are_explained_by_occlusion(trees, max_atoms):
    seen = []
    molecules = [("chain", "C" * 1500), ("object", Chem.AddHs(Chem.MolFromSmiles("CCCO")))]
    found = list(explain_predictor(trees, molecules, on_refusal=lambda *row: seen.append(row), max_atoms=max_atoms))
    assert [one.smiles for one in found] == ["CCCO"]
    assert [(row[0], row[3]) for row in seen] == [(0, "1,500 atoms, more than 1,000")]


def test_a_network_explains_objects_of_rdkit(network):
    (found,) = explain_predictor(network, [("glycine", Chem.MolFromSmiles("NCC(=O)O"))], methods=["sampled"])
    assert found.smiles == "NCC(=O)O"


class Carbons(Predictor):
    """Predicts the number of carbon atoms, and of standardised molecules alone."""

    task, standardize = Task("regression", ["carbons"]), ("fragment", "neutralize")

    def outputs(self, inputs, *, draws=None):
        return np.array([[text.upper().count("C")] for text in inputs.smiles], dtype=float), None


def test_the_standardised_molecule_is_explained():
    molecules = [("salt", "CCC[NH3+].CC(=O)[O-]"), ("bad", "[SbH6+3]"), ("free", "CCCN")]
    refused = []
    found = list(explain_predictor(Carbons(), molecules, on_refusal=lambda *told: refused.append(told)))
    salt, free = found
    assert salt.smiles == "CCCN"
    assert salt.mol.GetNumAtoms() == 4
    assert salt.note == "standardised (largest fragment, neutralised) from CCC[NH3+].CC(=O)[O-]"
    assert free.note == ""
    assert refused == [(1, "bad", "[SbH6+3]", "the step neutralize gives the invalid molecule [SbH9]")]
    for one in found:
        # Rests of several fragments stay whole: without the middle atom, two carbon atoms are left.
        assert one.importance["occlusion"].node.tolist() == [1, 1, 1, 0]
    assert "standardised" in salt.draw("occlusion").svg
    assert "standardised" not in free.draw("occlusion").svg
    assert salt.fragment().remarks == [salt.note]
    assert salt.note in re.sub(r"\s+", " ", make_card(salt, 0).note)


def test_a_network_explains_the_standardised_molecule(network):
    steps = MoleculePredictor(network.model, network.task, standardize=["fragment", "neutralize"])
    (found,) = explain_predictor(steps, [("glycine", "[NH3+]CC(=O)O.[Cl-]")], methods=["sampled"])
    (expected,) = explain_predictor(network, [("glycine", "NCC(=O)O")], methods=["sampled"])
    assert found.predictions == expected.predictions
    assert found.to_frame().equals(expected.to_frame())
    assert molecule_occlusion(steps, "[NH3+]CC(=O)O.[Cl-]").node.tolist() == pytest.approx(
        molecule_occlusion(network, "NCC(=O)O").node.tolist()
    )
