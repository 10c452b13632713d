import base64
import re
import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("jinja2")

from pyg_samsa.errors import ConfigError
from pyg_samsa.explain.fragment import Molecule, Picture, Value, write_fragment
from pyg_samsa.viz.molecules import draw_importance

NASTY = "</style></script><img src=x onerror=alert(1)>"


def pictures(html):
    """Return the drawings in a piece of HTML."""
    return [base64.b64decode(text).decode() for text in re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)]


def test_nothing_of_a_name_becomes_html():
    picture = Picture(draw_importance("C", [1.0], [], title=NASTY).svg, NASTY)
    molecule = Molecule(
        NASTY, NASTY, [picture], [Value(NASTY, NASTY, NASTY)], NASTY, [NASTY], similar=[(picture, NASTY)]
    )
    titles = {"value_title": NASTY, "interval_title": NASTY, "notes": [NASTY]}
    html = write_fragment([molecule, Molecule(NASTY, "C")], **titles)
    assert "<script" not in html
    assert html.count("</style>") == 1
    assert html.count("<img") == 2
    assert "&lt;/style&gt;" in html
    assert set(re.findall(r'(?:src|href)="([^:"]*)', html)) == {"data"}
    assert "@import" not in html
    assert "url(" not in html


def test_scores_are_tooltips_above_the_picture():
    drawing = draw_importance("CCO", [0.0, 0.5, 1.0], [0.5, 0.25], title="ethanol")
    html = write_fragment([Molecule("ethanol", "CCO", [Picture(drawing.svg, "ethanol", drawing.spots)])])
    found = re.findall(r'<i title="([^"]*)" style="left:([\d.]+)%;top:([\d.]+)%;width:([\d.]+)%"></i>', html)
    assert [note for note, *_ in found] == [
        "bond C0–C1: 0.5",
        "bond C1–O2: 0.25",
        "atom C0: 0",
        "atom C1: 0.5",
        "atom O2: 1",
    ]
    # The disc of the carbon in the middle is where the drawing has it.
    size = ET.fromstring(drawing.svg).attrib["viewBox"].split()
    left, top, width = (float(value) / 100 for value in found[3][1:])
    move = re.search(r"<g transform=.translate\(([\d.]+) ([\d.]+)\).><path", drawing.svg)
    disc = re.findall(r'd="M([\d.]+) ([\d.]+)L\1 \2"[^>]*stroke-width="([\d.]+)"', drawing.svg)
    placed = [(float(x) + float(move[1]), float(y) + float(move[2]), float(w)) for x, y, w in disc]
    here = (left * float(size[2]), top * float(size[3]), width * float(size[2]))
    assert any(all(abs(a - b) < 0.5 for a, b in zip(here, other, strict=True)) for other in placed)


def test_pictures_are_well_formed_for_any_name():
    name = "bell\x07 half\ud800 <&\"'>"
    html = write_fragment([Molecule(name, "C", [Picture(draw_importance("C", [1.0], [], title=name).svg, name)])])
    (svg,) = pictures(html)
    assert ET.fromstring(svg).find("{http://www.w3.org/2000/svg}title").text == "bell\ufffd half\ufffd <&\"'>"
    html.encode()  # a notebook can be saved


def test_many_predictions_are_folded_and_long_smiles_cut():
    values = [Value(f"t{number}", "0.1") for number in range(11)]
    html = write_fragment([Molecule("long", "C" * 500, values=values)])
    assert "<summary>3 more</summary>" in html
    assert html.count('<th scope="row">') == 11
    assert "C" * 117 + "..." in html
    assert "C" * 118 not in html
    assert "<details" not in write_fragment([Molecule("short", "C", values=values[:8])])


def test_a_molecule_without_a_picture_has_its_name_and_the_reason():
    html = write_fragment([Molecule("broken", "C(", error="no SMILES")])
    assert "<b>broken</b>" in html
    assert "No prediction: no SMILES" in html
    assert "<table>" not in html


def test_the_column_of_intervals_is_there_when_it_has_a_title():
    molecule = Molecule("m", "C", values=[Value("logS", "1", "0 to 2")])
    assert "0 to 2" not in write_fragment([molecule])
    assert "0 to 2" in write_fragment([molecule], interval_title="90 % interval")


def test_themes():
    assert 'data-theme="dark"' in write_fragment([], theme="dark")
    with pytest.raises(ConfigError, match="theme: got 'blue'"):
        write_fragment([], theme="blue")
