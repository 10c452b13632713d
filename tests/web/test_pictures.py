import pytest

from pyg_samsa.errors import ConfigError, SmilesError
from pyg_samsa.web.pictures import Explainer, why_not_drawn
from pyg_samsa.web.result_table import ResultRow


def row(smiles, name="", fields=()):
    return ResultRow(1, name, smiles, "", list(fields), [], [])


def test_what_is_not_drawn_says_why():
    assert why_not_drawn("C(", 5) == "RDKit cannot read this SMILES (the bracket ( is not closed)"
    assert why_not_drawn("CCO", 2) == "3 atoms, more than 2"


def test_atoms_and_bonds_have_their_scores(counter, limits):
    card = Explainer(limits).card(counter(), row("CCO", "ethanol"), [])
    assert (card.target, card.atoms, card.bonds, list(card.methods)) == ("atoms", 3, 2, ["occlusion"])
    # Without an atom there is one atom less; without a bond there is none less.
    assert "<title>atom O2: 1</title>" in card.svg
    assert "<title>bond" not in card.svg.replace("<title>bond C0–C1: 0</title>", "").replace(
        "C1–O2: 0", "C1–O2: 0"
    ) or ("bond C0–C1: 0</title>" in card.svg)


def test_the_extra_column_of_the_row_is_read(counter, limits):
    model = counter(extra_columns=["pH"])
    card = Explainer(limits).card(model, row("CC", fields=["CC", "4.5"]), ["smiles", "pH"])
    assert card.value == 6.5


def test_names_are_escaped(peptides, limits, hostile):
    explainer = Explainer(limits)
    options = {"target": "anticancer", "method": "sampled", "theme": "dark", "kind": "svg"}
    for text in (
        explainer.card(peptides, row("CCO", hostile), []).svg,
        explainer.picture(peptides, row("CCO", hostile), [], **options).decode(),
    ):
        assert "<img" not in text
        assert "&lt;img" in text


def test_pictures_are_files(peptides, limits):
    options = {"target": "anticancer", "method": "", "theme": "light"}
    assert Explainer(limits).picture(peptides, row("CCO"), [], kind="png", **options).startswith(b"\x89PNG")
    with pytest.raises(ConfigError, match="method: got 'magic'"):
        Explainer(limits).picture(peptides, row("CCO"), [], kind="png", **options | {"method": "magic"})


def test_a_molecule_is_explained_once(counter, limits, monkeypatch):
    model, explainer = counter(), Explainer(limits)
    first = explainer.card(model, row("CCO"), [])
    monkeypatch.setattr(model.predictor, "outputs", lambda *_, **__: 1 / 0)
    assert explainer.card(model, row("CCO"), []) == first
    with pytest.raises(ZeroDivisionError):
        explainer.card(model, row("CCN"), [])


def test_large_molecules_and_unknown_targets_are_refused(counter, limits):
    with pytest.raises(SmilesError, match="41 atoms, more than 40"):
        Explainer(limits).card(counter(), row("C" * 41), [])
    with pytest.raises(ConfigError, match="target: got 'mass'"):
        Explainer(limits).card(counter(), row("C"), [], "mass")
