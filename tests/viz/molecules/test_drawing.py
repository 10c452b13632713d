import io
import itertools
import re
import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("rdkit")

from rdkit import Chem

from pyg_samsa.chem import sequence_to_smiles
from pyg_samsa.errors import ConfigError, ShapeError, SmilesError
from pyg_samsa.viz.molecules.canvas import INK, PAPER, Fill, Paint, Stroke, SvgWriter, Text, line, merge, to_png
from pyg_samsa.viz.molecules.colours import paint_of, scale_paint
from pyg_samsa.viz.molecules.drawing import draw_importance
from pyg_samsa.viz.molecules.layout import MoleculeLayout

SVG = "{http://www.w3.org/2000/svg}"
MOLECULES = {
    "one atom": "C",
    "salt": "CC(=O)[O-].[Na+]",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "stereo, isotope, dative": "[13CH3][C@H](F)/C=C/N->[Cu]",
    "peptide": sequence_to_smiles("GIGKFLHSAKKFGKAFVGEIMNS"),
    "macrocycle": "O=C1NCCSSCC(=O)NCC(=O)NCC(=O)NCC(=O)NCC(=O)N1",
}


def scores(smiles, values=(0.0, 0.5, 1.0)):
    mol = Chem.MolFromSmiles(smiles)
    return [[values[at % len(values)] for at in range(count)] for count in (mol.GetNumAtoms(), mol.GetNumBonds())]


def extent(svg):
    """Return the bounding box of all shapes, with the widths of lines; the width of text is estimated generously."""
    root = ET.fromstring(svg)
    boxes = []

    def walk(element, x, y):
        move = re.match(r"translate\((\S+) (\S+)\)", element.get("transform", ""))
        if move:
            x, y = x + float(move[1]), y + float(move[2])
        if element.tag == f"{SVG}path":
            values = [float(value) for value in re.findall(r"-?\d+(?:\.\d+)?", element.get("d"))]
            half = float(element.get("stroke-width", 0)) / 2
            xs, ys = values[::2], values[1::2]
            boxes.append((x + min(xs) - half, y + min(ys) - half, x + max(xs) + half, y + max(ys) + half))
        elif element.tag == f"{SVG}text":
            size = float(element.get("font-size"))
            width = 0.6 * size * len(element.text)
            left = (
                x + float(element.get("x")) - {"middle": 0.5, "end": 1.0}.get(element.get("text-anchor"), 0.0) * width
            )
            boxes.append(
                (
                    left,
                    y + float(element.get("y")) - 0.8 * size,
                    left + width,
                    y + float(element.get("y")) + 0.25 * size,
                )
            )
        for child in element:
            if child.tag != f"{SVG}defs":
                walk(child, x, y)

    walk(root, 0.0, 0.0)
    return root, boxes


@pytest.mark.parametrize("name", MOLECULES)
@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_nothing_is_cut_off(name, theme):
    smiles = MOLECULES[name]
    drawing = draw_importance(
        smiles,
        *scores(smiles),
        title=f"{name}: a title so long that it must be broken into lines " * 2,
        label="score",
        theme=theme,
    )
    root, boxes = extent(drawing.svg)
    _, _, width, height = map(float, root.get("viewBox").split())
    assert (round(width, 1), round(height, 1)) == (round(drawing.width, 1), round(drawing.height, 1))
    assert min(box[0] for box in boxes) >= 0
    assert min(box[1] for box in boxes) >= 0
    assert max(box[2] for box in boxes) <= width + 0.1
    assert max(box[3] for box in boxes) <= height + 0.1


@pytest.mark.parametrize("smiles", MOLECULES.values())
def test_every_atom_and_bond_has_its_colour(smiles):
    mol = Chem.MolFromSmiles(smiles)
    layout = MoleculeLayout(mol)
    atoms, bonds = (
        [0.2 + at / 100 for at in range(mol.GetNumAtoms())],
        [0.8 - at / 100 for at in range(mol.GetNumBonds())],
    )
    halos = layout.halos(atoms, bonds, "sequential", 1.0, notes=True)
    assert len(halos) == mol.GetNumAtoms() + mol.GetNumBonds()
    discs = {halo.note: halo.paint for halo in halos if halo.note.startswith("atom")}
    for atom, value in zip(mol.GetAtoms(), atoms, strict=True):
        assert any(
            note.startswith(f"atom {atom.GetSymbol()}{atom.GetIdx()}:") and paint == paint_of(value, 1.0, "sequential")
            for note, paint in discs.items()
        )
    for bond, value in zip(mol.GetBonds(), bonds, strict=True):
        a, b = bond.GetBeginAtom(), bond.GetEndAtom()
        start = f"bond {a.GetSymbol()}{a.GetIdx()}–{b.GetSymbol()}{b.GetIdx()}:"
        (halo,) = [halo for halo in halos if halo.note.startswith(start)]
        assert paint_of(value, 1.0, "sequential") in [paint for _, paint in halo.paint]
        assert [halo.paint[0][1], halo.paint[-1][1]] == [
            paint_of(atoms[end.GetIdx()], 1.0, "sequential") for end in (a, b)
        ]


def test_strong_ones_lie_above_weak_ones_and_nothing_glows_at_zero():
    layout = MoleculeLayout("CCO")
    assert layout.halos([0, 0, 0], [0, 0], "sequential", 1.0) == []
    assert layout.halos([0, 0, 0], [0, 0], "sequential", 0.0) == []
    order = [halo.note for halo in layout.halos([0.9, 0.1, 0.5], [0.3, 0.7], "sequential", 1.0, notes=True)]
    assert order == ["atom C1: 0.1", "bond C0–C1: 0.3", "atom O2: 0.5", "bond C1–O2: 0.7", "atom C0: 0.9"]


def test_one_strong_token_does_not_blind_a_large_molecule():
    smiles = "C" * 80
    drawing = draw_importance(smiles, [1.0] * 79 + [50.0], [1.0] * 79, label="score")
    assert "≥ 1<" in drawing.svg
    assert scale_paint("sequential", 100).light in drawing.svg
    assert "≥" not in draw_importance(smiles, [1.0] * 80, [1.0] * 79).svg
    assert "≥ 3<" in draw_importance("CC", [1.0, 4.0], [1.0], limit=3.0).svg


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("side", [1, -1])
def test_scales_rise_in_even_steps_and_letters_stay_legible(side):
    for theme, falls in (("light", True), ("dark", False)):
        colours = [getattr(scale_paint("diverging", side * level), theme) for level in range(0, 101, 10)]
        lights = [luminance(colour) ** (1 / 3) for colour in colours]
        steps = [(a - b) if falls else (b - a) for a, b in itertools.pairwise(lights)]
        assert min(steps) > 0
        assert max(steps) < 4 * min(steps)
        assert min(contrast(colour, getattr(INK, theme)) for colour in colours) >= 4.5
    assert scale_paint("diverging", 100) == scale_paint("sequential", 100) != scale_paint("diverging", -100)
    assert scale_paint("sequential", -50) == PAPER


def test_colours_of_values_are_cut_off_at_the_limit():
    assert paint_of(7.0, 2.0, "sequential") == scale_paint("sequential", 100)
    assert paint_of(-7.0, 2.0, "diverging") == scale_paint("diverging", -100)
    assert paint_of(0.0, 0.0, "sequential") == PAPER


def test_themes_and_title():
    atoms, bonds = scores("CCO")
    light, dark, auto = (
        draw_importance("CCO", atoms, bonds, theme=theme, title="a < b & c") for theme in ("light", "dark", "auto")
    )
    assert PAPER.light in light.svg
    assert PAPER.dark not in light.svg
    assert PAPER.dark in dark.svg
    assert f"light-dark({PAPER.light},{PAPER.dark})" in auto.svg
    assert "color-scheme" in auto.svg
    assert ET.fromstring(light.svg).find(f"{SVG}title").text == "a < b & c"
    assert light._repr_svg_() == light.svg


def test_files(tmp_path):
    from PIL import Image

    drawing = draw_importance("c1ccccc1O", *scores("c1ccccc1O"), theme="light")
    assert drawing.save(tmp_path / "new" / "phenol.svg").read_text() == drawing.svg
    image = Image.open(drawing.save(tmp_path / "phenol.png", scale=2))
    assert abs(image.width - 2 * drawing.width) <= 2
    assert abs(image.height - 2 * drawing.height) <= 2
    colours = {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in image.convert("RGB").getdata()}
    assert {PAPER.light, INK.light, scale_paint("sequential", 100).light} <= colours
    with pytest.raises(ConfigError, match="path"):
        drawing.save(tmp_path / "phenol.gif")


def test_the_png_shows_the_gradient_of_a_bond():
    from PIL import Image

    ends = (Paint("#000000", "#000000"), Paint("#ff0000", "#ff0000"))
    shapes = [Fill("M0 0L40 0L40 20L0 20Z", PAPER), Stroke(line(10, 10, 30, 10), [(0.0, ends[0]), (1.0, ends[1])], 8)]
    image = Image.open(io.BytesIO(to_png(shapes, 40, 20, "light", 1.0))).convert("RGB")
    reds = [image.getpixel((x, 10))[0] for x in range(11, 30)]
    assert reds == sorted(reds)
    assert reds[0] < 40
    assert reds[-1] > 215
    assert image.getpixel((7, 10)) == (0, 0, 0)
    assert image.getpixel((2, 10)) == (255, 255, 255)


def test_shapes_that_look_alike_are_one_path():
    strokes = [Stroke("M0 0L1 1", INK, 1.0), Stroke("M1 1L2 2", INK, 1.0), Stroke("M2 2L3 3", INK, 2.0)]
    assert merge(strokes) == [Stroke("M0 0L1 1M1 1L2 2", INK, 1.0), strokes[2]]
    text = Text(1, 2, "x < y", 10)
    assert "x &lt; y" in SvgWriter("light").write([text])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "culprit"),
    [
        (("C(", [], []), {}, SmilesError, "cannot read"),
        (("CC", [1.0], [1.0]), {}, ShapeError, "atom_scores"),
        (("CC", [1.0, 2.0], []), {}, ShapeError, "bond_scores"),
        (("CC", [1.0, float("nan")], [1.0]), {}, ShapeError, "finite"),
        (("CC", [1.0, 2.0], [1.0]), {"scale": "jet"}, ConfigError, "scale"),
        (("CC", [1.0, 2.0], [1.0]), {"theme": "blue"}, ConfigError, "theme"),
    ],
)
def test_wrong_input(arguments, options, error, culprit):
    with pytest.raises(error, match=culprit):
        draw_importance(*arguments, **options)


def test_a_molecule_is_not_changed_by_drawing_it():
    mol = Chem.MolFromSmiles("c1ccccc1")
    before = mol.ToBinary()
    draw_importance(mol, *scores("c1ccccc1"))
    assert mol.ToBinary() == before
