"""Standardised molecules: right values, and that neither the writing of a molecule nor a second pass matters."""

import pickle

import pytest
from rdkit import Chem

from pyg_samsa.chem import sequence_to_smiles
from pyg_samsa.chem import standardize as module
from pyg_samsa.chem.standardize import STEPS, StandardizeError, Standardizer, ordered_steps, pack_steps, unpack_steps
from pyg_samsa.errors import ConfigError, SmilesError

UNBALANCED = "F[P-](F)(F)(F)(F)F.CN"
FRAGMENT = {
    "CC(=O)[O-].[Na+]": "CC(=O)[O-]",
    "CC(=O)O[Na]": "CC(=O)[O-]",
    "[Ca+2].CC(=O)[O-].CC(=O)[O-]": "CC(=O)[O-]",
    "CCO.OCC": "CCO",
    "CCO.CCN": "CCN",
    "OCC.[Na+].CCO": "CCO",
    "[Na+].[Cl-]": "[Cl-]",
    "[H+].[Cl-]": "[Cl-]",
    "O.[Na+].[OH-]": "O",
    "[Fe].c1ccccc1": "c1ccccc1",
    "F[P-](F)(F)(F)(F)F.C[N+](C)(C)C": "C[N+](C)(C)C",
    UNBALANCED: "CN",
    "C[Li]": "[Li][CH3]",
    "N[Pt](N)(Cl)Cl": "[NH2][Pt]([NH2])([Cl])[Cl]",
    "[U]": "[U]",
    "*C": "*C",
}
NEUTRALIZE = {
    "[NH3+]CC(=O)[O-]": "NCC(=O)O",
    "C[NH3+]": "CN",
    "CC(=O)[O-]": "CC(=O)O",
    "CC(=O)[O-].[Na+]": "CC(=O)[O-].[Na+]",
    "C[N+](C)(C)CC(=O)[O-]": "C[N+](C)(C)CC(=O)[O-]",
    "C[N+](C)(C)C.[Cl-]": "C[N+](C)(C)C.[Cl-]",
    "O=[N+]([O-])c1ccccc1": "O=[N+]([O-])c1ccccc1",
    "[O-][n+]1ccccc1": "[O-][n+]1ccccc1",
    "[13CH3]C(=O)[O-]": "[13CH3]C(=O)O",
    "[Na+]": "[Na+]",
    "[H-]": "[HH]",
    "[CH3]": "[CH3]",
}
TAUTOMER = {
    "Oc1ccccn1": "O=c1cccc[nH]1",
    "O=c1cccc[nH]1": "O=c1cccc[nH]1",
    "CC(O)=CC(C)=O": "CC(=O)CC(C)=O",
    "CC(O)=N": "CC(N)=O",
    "C[C@H](N)C(=O)O": "C[C@H](N)C(=O)O",
    "C[C@H](C=O)c1ccccc1": "C[C@H](C=O)c1ccccc1",
    "C/C=C/C=O": "C/C=C/C=O",
    "CC(=O)C[2H]": "[2H]CC(C)=O",
}
DROP_STEREO = {
    "C[C@H](N)C(=O)O": "CC(N)C(=O)O",
    "F/C=C/F": "FC=CF",
    "[2H][C@H](C)O": "[2H]C(C)O",
    "C[13C@H](N)C(=O)O": "C[13CH](N)C(=O)O",
    "CCO": "CCO",
}
ALL = {
    "C[C@H]([NH3+])C(=O)[O-].[Na+].[Cl-]": ("CC(N)C(=O)O", STEPS[:2] + STEPS[3:]),
    "Oc1ccccn1.Cl": ("O=c1cccc[nH]1", ("fragment", "tautomer")),
    "OCC": ("CCO", ()),
}
MESSY = [
    *(text for text in FRAGMENT if text != UNBALANCED),
    *NEUTRALIZE,
    *TAUTOMER,
    *DROP_STEREO,
    *ALL,
    "O=C1NC(=O)[C@@H](N1)c1ccccc1",
    "C/C(=N/O)C(C)=O",
]
MESSY += ["OC4=C(C1CCC(CC1)c2ccc(Cl)cc2)C(=O)c3ccccc3C4=O", "Nc1nc2c(ncn2[C@@H]2O[C@H](CO)[C@@H](O)[C@H]2O)c(=O)[nH]1"]


@pytest.mark.parametrize(
    ("step", "given", "expected"),
    [
        (step, *pair)
        for step, pairs in zip(STEPS, (FRAGMENT, NEUTRALIZE, TAUTOMER, DROP_STEREO), strict=True)
        for pair in pairs.items()
    ],
)
def test_values(step, given, expected):
    found = Standardizer([step]).apply(given)
    assert found.smiles == expected
    assert found.steps == ((step,) if expected != Chem.CanonSmiles(given) else ())
    assert Chem.MolToSmiles(found.mol) == expected


@pytest.mark.parametrize("given", ALL)
def test_all_steps(given):
    found = Standardizer(STEPS).apply(given)
    assert (found.smiles, found.steps) == ALL[given]


@pytest.mark.parametrize("steps", [STEPS[:1], STEPS[1:2], STEPS[:3], STEPS])
def test_a_second_pass_changes_nothing_and_the_writing_does_not_matter(steps):
    standardize = Standardizer(steps)
    for number, text in enumerate(MESSY):
        found = standardize(text)
        again = standardize.apply(found)
        assert (again.smiles, again.steps) == (found, ())
        others = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(text), 3, number + 1)
        assert {standardize(other) for other in others} == {found}, text


def test_order_of_the_words_does_not_matter():
    assert Standardizer(["tautomer", "fragment"]) == Standardizer(["fragment", "tautomer"])
    assert ordered_steps("drop_stereo, fragment") == ("fragment", "drop_stereo")


def test_no_steps_leave_a_molecule_as_it_is():
    assert not Standardizer()
    assert Standardizer()("C[NH3+].[Cl-]") == "C[NH3+].[Cl-]"


def test_molecules_of_rdkit():
    assert Standardizer(["neutralize"])(Chem.AddHs(Chem.MolFromSmiles("C[NH3+]"))) == "CN"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("C(", "RDKit cannot read this SMILES (the bracket ( is not closed)"),
        ("", "empty SMILES"),
        (None, "no molecule (None)"),
        ("C" * 1001, "1,001 atoms, more than 1,000, of which molecules are standardised"),
        ("[SbH6+3]", "the step neutralize gives the invalid molecule [SbH9]"),
        (sequence_to_smiles("ACDEFGHIKL"), "more than 1,000 tautomers or steps between them"),
    ],
)
def test_refused(given, reason, capfd):
    with pytest.raises(StandardizeError) as error:
        Standardizer(STEPS).apply(given)
    assert error.value.reason == reason
    with pytest.raises(SmilesError) as error:
        Standardizer(STEPS)(given)
    assert str(error.value).startswith(f"{reason}: ")
    assert capfd.readouterr() == ("", "")  # RDKit's log is silent


def test_an_anion_that_takes_no_hydrogen_is_refused_alone():
    with pytest.raises(StandardizeError, match=r"^the step neutralize gives the invalid molecule CN\.F\[PH\]"):
        Standardizer(["neutralize"]).apply(UNBALANCED)


def test_errors_of_rdkit_are_refusals(monkeypatch):
    def fails():
        def step(mol):
            raise RuntimeError("Pre-condition Violation\nmore")

        return step

    monkeypatch.setattr(module, "_neutralize", fails)
    with pytest.raises(StandardizeError, match=r"^the step neutralize failed \(Pre-condition Violation\)$"):
        Standardizer(["neutralize"]).apply("C")


def test_steps_that_come_to_no_end_are_a_refusal(monkeypatch):
    def flips():
        return lambda mol: Chem.MolFromSmiles("CC" if mol.GetNumAtoms() == 1 else "C")

    monkeypatch.setattr(module, "_neutralize", flips)
    with pytest.raises(StandardizeError, match="come to no end"):
        Standardizer(["neutralize"]).apply("C")


def test_nothing_left_is_a_refusal(monkeypatch):
    monkeypatch.setattr(module, "_fragment", lambda: lambda mol: Chem.Mol())
    with pytest.raises(StandardizeError, match="no atoms are left"):
        Standardizer(["fragment"]).apply("C")


@pytest.mark.parametrize("steps", [["fragmnet"], ["fragment", "fragment"], [1], "neutralise"])
def test_unknown_steps(steps):
    with pytest.raises(ConfigError, match=r"^dataset\.standardize: got"):
        ordered_steps(steps, "dataset.standardize")


def test_a_standardizer_can_be_sent_to_a_worker():
    used = Standardizer(["fragment"])
    used("C.CC")
    again = pickle.loads(pickle.dumps(used))
    assert again == used
    assert again("C.CC") == "CC"


def test_bits():
    assert [unpack_steps(pack_steps(steps)) for steps in ((), STEPS[1:3], STEPS)] == [(), STEPS[1:3], STEPS]
