import math
import re
import sys

import pytest

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdDepictor

from pyg_samsa.viz.molecules import layout
from pyg_samsa.viz.molecules.canvas import Group, Text
from pyg_samsa.viz.molecules.drawing import draw_importance
from pyg_samsa.viz.molecules.layout import MoleculeLayout

WITHOUT_HEAVY_ATOMS = ["[H][H]", "[2H][2H]", "[H]", "[H+]", "[HH]", "[H][H].[H][H]", "[H+].[H-]", "[2H][H].[H+]"]
WIDE_LABELS = ["[He]", "[Na+].[Cl-]", "O", "CO", "OC", "NC", "CC(=O)O", "CS", "C[N+](C)(C)C", "C[NH3+]", "CP(O)O"]
WIDE_LABELS += ["CC(N)C", "C[Si](Cl)(Br)I"]
IONS = ["[NH4+].[Cl-]", "[Na+].[Na+].[O-]S(=O)(=O)[O-]", "CC(=O)[O-].[Na+]", ".".join(["[K+]"] * 9)]


@pytest.mark.parametrize("smiles", WITHOUT_HEAVY_ATOMS)
def test_molecules_without_heavy_atoms_are_drawn(smiles):
    found = MoleculeLayout(smiles)
    assert found.remark == ""
    assert 20 < found.width < 200
    assert 20 < found.height < 200
    assert all(0 < x < found.width and 0 < y < found.height for x, y in found.points)
    drawing = draw_importance(smiles, [1.0] * found.num_atoms, [0.5] * found.num_bonds)
    assert "nan" not in drawing.svg
    assert drawing.png(1.0)[1:4] == b"PNG"


def test_both_atoms_of_hydrogen_are_a_bond_apart():
    found = MoleculeLayout("[H][H]", bond_length=30.0)
    assert math.dist(*found.points) == pytest.approx(30.0, rel=0.1)


def test_spots_lie_on_atoms_and_in_the_middle_of_bonds():
    found = MoleculeLayout("CC(=O)O", bond_length=30.0)
    spots = found.spots([0.0, -0.5, 1.0, 2.0], [0.25, 0.0, 3.0])
    assert [spot.note for spot in spots] == [
        "bond C0–C1: 0.25",
        "bond C1–O2: 0",
        "bond C1–O3: 3",
        "atom C0: 0",
        "atom C1: −0.5",
        "atom O2: 1",
        "atom O3: 2",
    ]
    bonds, atoms = spots[:3], spots[3:]
    assert [(spot.x, spot.y) for spot in atoms] == found.points
    for spot, (first, second) in zip(bonds, found.bonds, strict=True):
        ends = [math.dist((spot.x, spot.y), found.points[end]) for end in (first, second)]
        assert ends == pytest.approx([15.0, 15.0], rel=0.05)
        # Spots of atoms and bonds do not overlap.
        assert (spot.size + atoms[first].size) / 2 < min(ends)
    # The same words as the tooltips of the page, for all that is coloured.
    page = found.halos([0.0, -0.5, 1.0, 2.0], [0.25, 0.0, 3.0], "diverging", 3.0, notes=True)
    assert {shape.note for shape in page} < {spot.note for spot in spots}
    assert MoleculeLayout("C" * 4001).spots([], []) == []


def texts(shapes):
    for shape in shapes:
        if isinstance(shape, Text):
            yield shape.text
        elif isinstance(shape, Group):
            yield from texts(shape.shapes)


@pytest.mark.parametrize(
    ("mol", "remark"),
    [
        ("C" * 4001, "Not drawn: 4,001 atoms (at most 4,000)"),
        ("C1" + "C" * 500 + "C1", "Not drawn: 502 atoms without a main chain (at most 400)"),
        (".".join(["[Na+]"] * 401), "Not drawn: 401 atoms without a main chain (at most 400)"),
        (Chem.Mol(), "Not drawn: it has no atoms"),
    ],
    ids=["huge", "ring", "ions", "nothing"],
)
def test_a_box_says_why_a_molecule_is_not_drawn(mol, remark):
    found = MoleculeLayout(mol)
    assert found.remark == remark
    assert list(texts(found.lines)) == [remark]
    atoms, bonds = [1.0] * found.num_atoms, [1.0] * found.num_bonds
    assert found.halos(atoms, bonds, "sequential", 1.0) == []
    drawing = draw_importance(mol, atoms, bonds, title="name")
    assert remark in drawing.svg
    assert drawing.png(1.0)[1:4] == b"PNG"


def test_a_failure_of_rdkit_loses_only_the_picture(monkeypatch):
    def fail(mol):
        raise RuntimeError("Pre-condition Violation\nmore")

    monkeypatch.setattr(layout, "fold_chain", fail)
    found = MoleculeLayout("CCO")
    assert found.remark == "Not drawn: Pre-condition Violation"
    assert found.names == ["C0", "C1", "O2"]


@pytest.fixture
def placed(monkeypatch):
    """Sizes of the molecules that RDKit lays out, and whether it does so with CoordGen."""
    found = []
    compute = rdDepictor.Compute2DCoords

    def record(mol, *args, **kwargs):
        found.append((mol.GetNumAtoms(), rdDepictor.GetPreferCoordGen()))
        return compute(mol, *args, **kwargs)

    monkeypatch.setattr(rdDepictor, "Compute2DCoords", record)
    return found


def count_lines(function):
    """Return how many lines of the project's code a function executes."""
    lines = 0

    def trace(frame, event, arg):
        nonlocal lines
        if "pyg_samsa" not in frame.f_code.co_filename:
            return None
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("smiles", ["C{}", "NCC(=O){}O"], ids=["carbons", "peptide"])
def test_the_cost_of_chains_is_about_linear(smiles, placed):
    unit = smiles[: smiles.index("{")]

    def cost(units):
        placed.clear()
        layouts = []
        lines = count_lines(lambda: layouts.append(MoleculeLayout(smiles.replace("{}", unit * (units - 1)))))
        assert layouts[0].remark == ""
        assert sum(size for size, _ in placed) < 2 * layouts[0].num_atoms
        return lines, sum(size**3 for size, _ in placed)

    size = 400 if unit == "C" else 100
    lines, cubes = cost(size)
    more_lines, more_cubes = cost(4 * size)
    # Four times the work if it is linear, 16 times if it is quadratic, 64 times if it is cubic.
    assert 3 < more_lines / lines < 8
    assert more_cubes / cubes < 8


@pytest.mark.parametrize("ring", [44, 60])
def test_coordgen_that_takes_minutes_is_not_used_for_large_rings(ring, placed):
    found = MoleculeLayout("C1(CCCCCCCCCCCCCCCCCCCCC)" + "C" * (ring - 2) + "C1")
    assert found.remark == ""
    assert placed
    assert not any(coordgen for _, coordgen in placed)


def test_coordgen_draws_macrocycles(placed):
    assert MoleculeLayout("N1CC(=O)" + "NC(C)C(=O)" * 14 + "1").remark == ""
    assert any(coordgen for _, coordgen in placed)


@pytest.mark.parametrize("smiles", WIDE_LABELS)
def test_labels_do_not_leave_their_discs(smiles):
    found = MoleculeLayout(smiles)
    shapes = found.halos([1.0] * found.num_atoms, [0.0] * found.num_bonds, "sequential", 1.0, notes=True)
    discs = {shape.note: shape for shape in shapes if shape.note.startswith("atom")}
    assert found._labels
    for atom, (left, top, right, bottom) in found._labels.items():
        disc = discs[f"atom {found.names[atom]}: 1"]
        x1, y1, x2, y2 = map(float, re.findall(r"-?\d+(?:\.\d+)?", disc.d))
        assert min(x1, x2) <= found.points[atom][0] + 0.1
        assert max(x1, x2) >= found.points[atom][0] - 0.1
        for x, y in ((left, top), (left, bottom), (right, top), (right, bottom)):
            nearest = min(max(x, min(x1, x2)), max(x1, x2)), min(max(y, min(y1, y2)), max(y1, y2))
            assert math.dist((x, y), nearest) <= disc.width / 2 + 0.1
        # The letters are in the middle.
        if right - left > bottom - top:
            assert left - min(x1, x2) == pytest.approx(max(x1, x2) - right, abs=0.1)
    bare = next(iter(set(range(found.num_atoms)) - set(found._labels)), None)
    if bare is not None:
        assert discs[f"atom {found.names[bare]}: 1"].width == pytest.approx(0.74 * found.bond_length)


@pytest.mark.parametrize("smiles", IONS)
def test_ions_do_not_touch(smiles):
    found = MoleculeLayout(smiles, bond_length=30.0)
    fragment = {
        atom: number for number, part in enumerate(Chem.GetMolFrags(Chem.MolFromSmiles(smiles))) for atom in part
    }
    shapes = found.halos([1.0] * found.num_atoms, [1.0] * found.num_bonds, "sequential", 1.0, notes=True)
    ends = {}
    for shape in shapes:
        if shape.note.startswith("atom"):
            x1, y1, x2, y2 = map(float, re.findall(r"-?\d+(?:\.\d+)?", shape.d))
            ends[found.names.index(shape.note.split()[1].rstrip(":"))] = (x1, x2, y1, shape.width / 2)
            assert y1 == y2 or x1 == x2
    for one, (x1, x2, y, radius) in ends.items():
        for other, (a1, a2, b, size) in ends.items():
            if fragment[one] < fragment[other]:
                gap = max(min(a1, a2) - max(x1, x2), min(x1, x2) - max(a1, a2), 0.0)
                assert math.hypot(gap, y - b) > radius + size
