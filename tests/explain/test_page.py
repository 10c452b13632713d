import dataclasses
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import torch

pytest.importorskip("rdkit")
pytest.importorskip("jinja2")

from rdkit import Chem

from pyg_samsa.chem import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.explain.fingerprint_scores import fingerprint_scores
from pyg_samsa.explain.molecule_explanation import PICTURED, MoleculeExplanation, explain_molecules
from pyg_samsa.explain.page import Refused, make_card, write_page
from pyg_samsa.explain.similar_molecule import BY, SimilarMolecule
from pyg_samsa.nn import SAMSA
from pyg_samsa.task import Task
from pyg_samsa.viz.molecules.canvas import shown
from pyg_samsa.viz.molecules.drawing import color_limit

VOID = {"meta", "input", "br", "link", "img", "hr", "wbr"}
NASTY = '<img src=x onerror="alert(1)">'
TASK = Task("multilabel", ["kills_bacteria", "kills_fungi", "a", "b", "c", "d"])


def network(out_channels=6, **options):
    torch.manual_seed(0)
    model = SAMSA.from_options(
        ATOM_CARDINALITIES,
        out_channels,
        edge_channels=BOND_CARDINALITIES,
        channels=16,
        num_layers=2,
        heads=2,
        num_samples=8,
        **options,
    )
    with torch.no_grad():
        model.encoder.alpha.fill_(0.5)
    return model


class Page(HTMLParser):
    """Checks that every element is closed where it should be, and keeps what a test asks for."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.classes, self.addresses, self.ids, self.words = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.classes += (values.get("class") or "").split()
        self.addresses += [values[key] for key in ("src", "href", "xlink:href", "action") if key in values]
        if "id" in values:
            self.ids.append(values["id"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def explained(model, molecules, **options):
    return list(explain_molecules(model, TASK, molecules, **options))


@pytest.fixture(scope="module")
def cards():
    molecules = [("aspirin", "CC(=O)Oc1ccccc1C(=O)O"), (NASTY, "CCO"), ("methane", "C"), ("salt", "[Na+].[Cl-]")]
    return [make_card(found, number) for number, found in enumerate(explained(network(), molecules))]


@pytest.fixture(scope="module")
def html(cards, tmp_path_factory):
    refused = [Refused(5, NASTY, "C(", "RDKit cannot read this SMILES")]
    path = write_page(
        cards,
        tmp_path_factory.mktemp("page") / "index.html",
        title=f"Page {NASTY}",
        kind="multilabel",
        refused=refused,
        notes=["a note"],
    )
    return path.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_needs_nothing_else(html, cards):
    page = Page(html)
    assert page.classes.count("card") == len(cards)
    assert [address for address in page.addresses if not address.startswith("#")] == []
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert len(page.ids) == len(set(page.ids))
    assert {"radiogroup", "search"} <= set(html.replace('"', " ").split())
    for word in ("aspirin", "methane", "predicted probability", "RDKit cannot read this SMILES", "a note"):
        assert any(word in text for text in page.words)
    # Targets are named as in the table of predictions; a line may break after an underscore.
    assert "kills_bacteria" in "".join(page.words)
    assert all('scope="col"' in head for head in re.findall(r"<th\b[^>]*>", html))
    assert 'class="tools" role="region" aria-label=' in html


def test_names_cannot_smuggle_in_markup(html):
    page = Page(html)
    assert "img" not in page.tags
    assert sum(NASTY in text for text in page.words) >= 3


def test_every_method_has_its_layer_its_legend_and_its_switch(html, cards):
    page = Page(html)
    for method in PICTURED:
        assert page.classes.count("layer") == len(cards) * len(PICTURED)
        assert page.classes.count(method) == 2 * len(cards)
        assert f'body:not([data-method="{method}"]) .{method}' in html
        assert f'value="{method}"' in html


def test_pictures_are_svg_and_gradients_have_names_of_their_own(cards):
    names = []
    for card in cards:
        root = ET.fromstring(card.svg)
        names += [element.get("id") for element in root.iter() if element.tag.endswith("linearGradient")]
        used = {word.split(")")[0] for word in card.svg.split("url(#")[1:]}
        assert used <= set(names)
    assert names
    assert len(names) == len(set(names))


def test_the_explained_prediction_stands_first_and_the_others_fall(cards):
    for card in cards:
        shown = [*card.predictions, *card.others]
        assert shown[0][0] == card.target
        assert [value for _, value, _ in shown] == sorted((value for _, value, _ in shown), reverse=True)
        assert len(card.predictions) == 4
        assert len(card.others) == 2
        assert all(0 <= value <= 1 for _, value, _ in shown)


def test_wide_structures_get_more_room():
    sizes = []
    for units in (1, 8, 100):
        (found,) = explained(network(), [("chain", "NCC(=O)" * units + "O")], methods=["sampled"])
        card = make_card(found, 0)
        sizes.append(card.size)
        assert 0 < card.least < 1000
        assert card.most > 4 * card.least
    assert sizes == ["", "half", "long"]


def test_a_molecule_that_cannot_be_drawn_keeps_its_card(cards, tmp_path, monkeypatch):
    from pyg_samsa.viz.molecules import layout

    monkeypatch.setattr(layout, "MOST_ATOMS", 2)
    (found,) = explained(network(), [("ethanol", "CCO")], methods=["sampled"])
    card = make_card(found, 0)
    assert (card.atoms, card.bonds) == (3, 2)
    text = write_page([card, *cards], tmp_path / "page.html", title="t", kind="multilabel").read_text()
    assert "Not drawn: 3 atoms (at most 2)" in text


def test_hydrogen_is_explained():
    (found,) = explained(network(), [("hydrogen", "[H][H]")])
    card = make_card(found, 0)
    assert (card.atoms, card.bonds) == (2, 1)
    assert "nan" not in card.svg
    assert found.draw("sampled").png(1.0)[1:4] == b"PNG"


def test_values_have_as_many_digits_as_tell_molecules_apart(tmp_path):
    importance = explained(network(), [("methane", "C")], methods=["occlusion"])[0].importance
    mol = Chem.MolFromSmiles("C")
    values = {"energy": -999999.9912, "count": 2.0}
    found = MoleculeExplanation("m", "C", mol, "energy", values, importance, "regression", {"energy": 0.008})
    card = make_card(found, 0)
    assert card.predictions == [("energy", -999999.9912, "−999999.9912"), ("count", 2.0, "2")]
    assert ">energy: prediction −999999.9912</" in found.draw("occlusion").svg
    text = write_page([card], tmp_path / "index.html", title="t", kind="regression").read_text()
    assert "<p>prediction</p>" in text
    assert "<span>−999999.9912</span>" in text


def test_a_molecule_whose_scores_are_all_0_says_so(tmp_path):
    (found,) = explained(network(), [("methane", "C")], methods=["occlusion"])
    found.importance["occlusion"].node.zero_()
    text = write_page([make_card(found, 0)], tmp_path / "index.html", title="t", kind="multilabel").read_text()
    assert "<p>All scores are 0.</p>" in text
    assert "−0<" not in text


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_themes(cards, tmp_path, theme):
    text = write_page(cards[:1], tmp_path / "index.html", title="t", kind="multilabel", theme=theme).read_text()
    assert (f'<html lang="en" data-theme="{theme}">' in text) == (theme != "auto")


@pytest.mark.parametrize("by", BY)
def test_similar_molecules_stand_beside_the_molecule(by, tmp_path):
    found = explained(network(), [("aspirin", "CC(=O)Oc1ccccc1C(=O)O"), ("methane", "C")], methods=["sampled"])
    similar = [
        SimilarMolecule(
            "Oc1ccccc1C(=O)O", 0.5, by, {NASTY: "1"}, fingerprint_scores(found[0].smiles, "Oc1ccccc1C(=O)O")
        ),
        SimilarMolecule("CO", -0.25, by),
    ]
    nothing = SimilarMolecule("CO", 0.0, by, {}, fingerprint_scores("C", "CO"))
    cards = [
        make_card(dataclasses.replace(one, similar=near), number)
        for number, (one, near) in enumerate(zip(found, [similar, [nothing]], strict=True))
    ]
    first, second = cards[0].similar
    assert "<title>atom" in first.svg
    assert ET.fromstring(first.other).tag.endswith("svg")
    limit = color_limit([*similar[0].importance.node.tolist(), *similar[0].importance.bond.tolist()])
    assert first.ends == (shown(-limit), shown(limit))
    assert (second.svg, second.ends) == ("", ())
    assert cards[1].similar[0].ends == ()
    html = write_page(cards, tmp_path / "page.html", title="t", kind="multilabel").read_text(encoding="utf-8")
    page = Page(html)
    name = {"embedding": "similarity of embeddings", "fingerprint": "Tanimoto similarity"}[by]
    texts = [f"{name} 0.50", f"{name} −0.25", "Not coloured: the molecule is too large.", "All scores are 0."]
    for text in texts:
        assert text in page.words
    assert f"measured: {NASTY} 1" in "".join(page.words)
    assert "img" not in page.tags
    assert page.words.count("Similar training molecules") == 3  # in both cards, and what it means
    assert len(page.ids) == len(set(page.ids))
