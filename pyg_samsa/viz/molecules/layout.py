"""The 2D layout of a molecule: its coordinates, the lines and letters of its structure, and the colours behind them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pyg_samsa.chem.ogb_features import import_rdkit, parse_smiles
from pyg_samsa.errors import SmilesError
from pyg_samsa.viz.molecules.canvas import INK, MUTED, Fill, Group, Stroke, Text, disc, line, merge, shown
from pyg_samsa.viz.molecules.colours import paint_of, scale_paint
from pyg_samsa.viz.molecules.serpentine import fold_chain

MOST_ATOMS = 4000
"""Larger molecules are not drawn."""
MOST_UNFOLDED = 400
"""Larger molecules are drawn only if they have a main chain, because the layout of others takes cubic time."""
# CoordGen draws macrocycles best, but takes minutes for other sizes, and for large rings with few branches.
_COORDGEN = range(61, 151)
_LARGE_RING = 30
# Radius of an atom's disc, and diameter of the spot in the middle of a bond, in bond lengths.
_RADIUS, _BOND_SPOT = 0.37, 0.25
_APART = 1.2  # what the two nearest fragments are moved apart, in RDKit's unit, in which a bond is 1.5 long


class Spot(NamedTuple):
    """A round area of a drawing with a tooltip.

    Args:
        x: Centre, from the left.
        y: Centre, from the top.
        size: Diameter.
        note: The tooltip: name and score of an atom or bond.

    Example:
        >>> MoleculeLayout("CO", bond_length=30.0).spots([0.5, 1.0], [0.25])[0].note
        'bond C0–O1: 0.25'
    """

    x: float
    y: float
    size: float
    note: str


class MoleculeLayout:
    """The 2D layout of a molecule, and the lines and letters of its structure.

    The structure is drawn in one colour, so that colours show only the scores. A molecule that is too large to draw, or
    that RDKit cannot draw, becomes a box that says why.

    Args:
        mol: RDKit molecule or SMILES.
        bond_length: Length of a bond in pixels; by default from 30 for small molecules to 22 for large ones.

    Attributes:
        width: Width of the structure in pixels.
        height: Height of the structure in pixels.
        lines: Shapes of the structure.
        remark: Why it is not drawn; empty if it is.

    Raises:
        SmilesError: RDKit cannot read the SMILES.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> layout = MoleculeLayout(read_molecule("CCO"))
        >>> layout.names, layout.bonds
        (['C0', 'C1', 'O2'], [(0, 1), (1, 2)])
        >>> MoleculeLayout("C" * 5000).remark
        'Not drawn: 5,000 atoms (at most 4,000)'

    Cost: a quarter to one millisecond per atom for chains; cubic for others, about half a second for 400 atoms.
    """

    def __init__(self, mol: Any, bond_length: float | None = None) -> None:
        chem = import_rdkit()
        mol = chem.Mol(read_molecule(mol))
        self.num_atoms, self.num_bonds = mol.GetNumAtoms(), mol.GetNumBonds()
        self.bond_length = bond_length or max(22.0, min(30.0, 30.0 * (60 / max(60, self.num_atoms)) ** 0.4))
        self.names = [f"{atom.GetSymbol()}{atom.GetIdx()}" for atom in mol.GetAtoms()]
        self.bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
        self.points: list[tuple[float, float]] = []
        self.lines: list[Any] = []
        self._labels: Mapping[int, tuple[float, float, float, float]] = {}
        try:
            self.remark = _place(mol)
            if not self.remark:
                self._draw(mol)
        except Exception as error:  # RDKit has exception types of its own; one molecule must not lose the page
            self.remark = (
                f"Not drawn: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
            )
        if self.remark:
            self._replace()

    def pixels(self, bond: float) -> int:
        """Return the width of the drawing in pixels at which a bond is ``bond`` pixels long.

        Example:
            >>> layout = MoleculeLayout("CC", bond_length=30.0)
            >>> layout.pixels(30.0) == round(layout.width)
            True
        """
        return round(bond * self.width / self.bond_length)

    def _draw(self, mol: Any) -> None:
        from rdkit.Chem.Draw import rdMolDraw2D

        drawn = rdMolDraw2D.PrepareMolForDrawing(mol, kekulize=True, addChiralHs=False, forceCoords=False)
        # Without a size, RDKit makes the canvas large enough for the whole molecule.
        drawer = rdMolDraw2D.MolDraw2DSVG(-1, -1)
        options: Any = drawer.drawOptions()
        options.clearBackground = False
        options.useBWAtomPalette()
        options.scalingFactor = self.bond_length / 1.5
        options.bondLineWidth = 1.0 if self.bond_length < 24 else 1.4
        options.scaleBondWidth = False
        options.padding = 0.0
        options.additionalAtomLabelPadding = 0.06
        options.multipleBondOffset = 0.14
        options.minFontSize, options.maxFontSize = 7, 40
        drawer.DrawMolecule(drawn)
        drawer.FinishDrawing()
        points = [drawer.GetDrawCoords(atom) for atom in range(self.num_atoms)]
        svg = drawer.GetDrawingText()
        box = re.search(r"viewBox='0 0 (\d+) (\d+)'", svg)
        if box is None:
            raise ValueError("RDKit finds no size for it")
        width, height = map(float, box.groups())
        room = 0.45 * self.bond_length
        left, top = min(0.0, *(p.x for p in points)) - room, min(0.0, *(p.y for p in points)) - room
        self.width = max(width, *(p.x for p in points)) + room - left
        self.height = max(height, *(p.y for p in points)) + room - top
        self.points = [(p.x - left, p.y - top) for p in points]
        shapes, labels = _structure(svg)
        self.lines = [Group(merge(shapes), -left, -top)]
        self._labels = {atom: (x1 - left, y1 - top, x2 - left, y2 - top) for atom, (x1, y1, x2, y2) in labels.items()}

    def _replace(self) -> None:
        """Put a box with the remark in place of the structure."""
        text = self.remark if len(self.remark) <= 90 else f"{self.remark[:89]}…"
        self.width, self.height = max(240.0, 6.6 * len(text) + 40), 80.0
        self.points, self._labels = [], {}
        frame = f"M1 1L{self.width - 1:.1f} 1L{self.width - 1:.1f} 79L1 79Z"
        self.lines = [
            Stroke(frame, MUTED, 1.0, dash="4 4"),
            Text(self.width / 2, 44.0, text, 12.0, MUTED, "middle"),
        ]

    def halos(
        self, atom: Sequence[float], bond: Sequence[float], scale: str, limit: float, *, notes: bool = False
    ) -> list[Any]:
        """Return the colours behind the structure: a band along each bond and a disc at each atom, strongest on top.

        The middle of a band has the colour of the bond; towards its ends it blends into the colours of the atoms. The
        disc of an atom with a label is stretched to hold all its letters. There are none if it is not drawn.

        Args:
            atom: Score of each atom.
            bond: Score of each bond, in RDKit's order.
            scale: ``"sequential"`` or ``"diverging"``.
            limit: Score at the end of the scale.
            notes: Whether to show names and scores as tooltips.
        """
        if self.remark:
            return []
        out: list[tuple[float, Any]] = []
        paper = scale_paint(scale, 0)
        for (first, second), value in zip(self.bonds, bond, strict=True):
            ends, middle = [paint_of(atom[end], limit, scale) for end in (first, second)], paint_of(value, limit, scale)
            if middle == paper and ends == [paper, paper]:
                continue
            stops = [(0.1, ends[0]), (0.3, middle), (0.7, middle), (0.9, ends[1])]
            paint = middle if ends == [middle, middle] else stops
            note = self._bond_note(first, second, value) if notes else ""
            band = Stroke(line(*self.points[first], *self.points[second]), paint, 0.50 * self.bond_length, note=note)
            out.append((abs(value), band))
        for number, value in enumerate(atom):
            paint = paint_of(value, limit, scale)
            if paint != paper:
                d, width = self._disc(number)
                out.append((abs(value), Stroke(d, paint, width, note=self._atom_note(number, value) if notes else "")))
        return [shape for _, shape in sorted(out, key=lambda item: item[0])]

    def spots(self, atom: Sequence[float], bond: Sequence[float]) -> list[Spot]:
        """Return a spot in the middle of each bond and one at each atom, in pixels; none if it is not drawn.

        Args:
            atom: Score of each atom.
            bond: Score of each bond, in RDKit's order.

        Example:
            >>> [spot.note for spot in MoleculeLayout("CO").spots([0.5, 1.0], [0.25])]
            ['bond C0–O1: 0.25', 'atom C0: 0.5', 'atom O1: 1']
        """
        if self.remark:
            return []
        out = []
        for (first, second), value in zip(self.bonds, bond, strict=True):
            (x1, y1), (x2, y2) = self.points[first], self.points[second]
            place = (x1 + x2) / 2, (y1 + y2) / 2
            out.append(Spot(*place, _BOND_SPOT * self.bond_length, self._bond_note(first, second, value)))
        for number, ((x, y), value) in enumerate(zip(self.points, atom, strict=True)):
            out.append(Spot(x, y, 2 * _RADIUS * self.bond_length, self._atom_note(number, value)))
        return out

    def _atom_note(self, atom: int, value: float) -> str:
        return f"atom {self.names[atom]}: {shown(value)}"

    def _bond_note(self, first: int, second: int, value: float) -> str:
        return f"bond {self.names[first]}–{self.names[second]}: {shown(value)}"

    def _disc(self, atom: int) -> tuple[str, float]:
        """Return path and width of the disc of an atom, or of the capsule around its label."""
        x, y = self.points[atom]
        radius = _RADIUS * self.bond_length
        if atom not in self._labels:
            return disc(x, y), 2 * radius
        left, top, right, bottom = self._labels[atom]
        if bottom - top > right - left:
            radius, top, bottom = _capsule(radius, y, left - x, right - x, top, bottom)
            return line(x, top, x, bottom), 2 * radius
        radius, left, right = _capsule(radius, x, top - y, bottom - y, left, right)
        return line(left, y, right, y), 2 * radius


def _capsule(
    radius: float, centre: float, low: float, high: float, begin: float, end: float
) -> tuple[float, float, float]:
    """Return the radius and both ends of the axis of a capsule with round ends that holds a box.

    Args:
        radius: Least radius.
        centre: Point that the axis contains.
        low: Lower side of the box across the axis, from the axis.
        high: Upper side of the box across the axis, from the axis.
        begin: Begin of the box along the axis.
        end: End of the box along the axis.
    """
    half = max(-low, high) + 1.0
    radius = max(radius, half)
    reach = math.sqrt(max(0.0, radius**2 - half**2)) - 1.0
    first, last = min(centre, begin + reach), max(centre, end - reach)
    # The same room on both sides of the letters.
    room = max(begin - first, last - end)
    return radius, min(first, begin - room), max(last, end + room)


def read_molecule(molecule: Any) -> Any:
    """Return an RDKit molecule unchanged, or parse a SMILES.

    Raises:
        SmilesError: RDKit cannot read the SMILES.

    Example:
        >>> read_molecule("CCO").GetNumAtoms()
        3
    """
    if not isinstance(molecule, str):
        return molecule
    mol = parse_smiles(molecule)
    if isinstance(mol, str):
        raise SmilesError(None, molecule, mol)
    return mol


def _place(mol: Any) -> str:
    """Give a molecule 2D coordinates; return why it has none, or an empty text."""
    chem = import_rdkit()
    from rdkit.Chem import rdDepictor

    atoms = mol.GetNumAtoms()
    if not atoms:
        return "Not drawn: it has no atoms"
    if atoms > MOST_ATOMS:
        return f"Not drawn: {atoms:,} atoms (at most {MOST_ATOMS:,})"
    if fold_chain(mol):
        return ""
    if atoms > MOST_UNFOLDED:
        return f"Not drawn: {atoms:,} atoms without a main chain (at most {MOST_UNFOLDED:,})"
    rdDepictor.SetPreferCoordGen(atoms in _COORDGEN and not any(map(partial(_is_plain, mol), chem.GetSymmSSSR(mol))))
    try:
        rdDepictor.Compute2DCoords(mol)
    finally:
        rdDepictor.SetPreferCoordGen(False)
    _spread_fragments(mol)
    # Without heavy atoms, RDKit turns them by an angle that is not a number.
    if any(atom.GetAtomicNum() > 1 for atom in mol.GetAtoms()):
        rdDepictor.NormalizeDepiction(mol)
    return ""


def _spread_fragments(mol: Any) -> None:
    """Move the fragments of a molecule, such as ions, apart, so that their labels do not touch."""
    from rdkit.Geometry import Point3D

    fragments = import_rdkit().GetMolFrags(mol)
    if len(fragments) < 2:
        return
    places = mol.GetConformer()
    points = [[places.GetAtomPosition(atom) for atom in fragment] for fragment in fragments]
    middles = [(sum(p.x for p in part) / len(part), sum(p.y for p in part) / len(part)) for part in points]
    nearest = min(math.dist(a, b) for number, a in enumerate(middles) for b in middles[:number])
    factor = _APART / max(nearest, 1.0)
    for fragment, (x, y) in zip(fragments, middles, strict=True):
        for atom in fragment:
            old = places.GetAtomPosition(atom)
            places.SetAtomPosition(atom, Point3D(old.x + factor * x, old.y + factor * y, old.z))


def _is_plain(mol: Any, ring: Sequence[int]) -> bool:
    """Return whether a ring is large and fewer than half of its atoms have branches."""
    return len(ring) > _LARGE_RING and sum(mol.GetAtomWithIdx(atom).GetDegree() > 2 for atom in ring) < len(ring) / 2


_ELEMENT = re.compile(r"<path\b[^>]*?/>", re.S)
_ATTRIBUTE = re.compile(r"([\w-]+)='([^']*)'")
_LETTER = re.compile(r"atom-(\d+)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def _structure(svg: str) -> tuple[list[Any], dict[int, tuple[float, float, float, float]]]:
    """Return the paths in RDKit's SVG, and for each atom with a label the box around its letters."""
    out: list[Any] = []
    labels: dict[int, tuple[float, float, float, float]] = {}
    for element in _ELEMENT.findall(svg):
        attributes = dict(_ATTRIBUTE.findall(element))
        style = dict(part.split(":", 1) for part in attributes.get("style", "").split(";") if ":" in part)
        d = _compact(attributes["d"])
        fill = attributes.get("fill") or style.get("fill", "none")
        if fill != "none":
            out.append(Fill(d, INK))
            if letter := _LETTER.fullmatch(attributes.get("class", "")):
                atom = int(letter[1])
                x, y = ([float(value) for value in _NUMBER.findall(d)][at::2] for at in (0, 1))
                old = labels.get(atom, (math.inf, math.inf, -math.inf, -math.inf))
                labels[atom] = min(old[0], *x), min(old[1], *y), max(old[2], *x), max(old[3], *y)
        else:
            dash = style.get("stroke-dasharray", "")
            width = float(style["stroke-width"].removesuffix("px"))
            out.append(Stroke(d, INK, width, style.get("stroke-linecap") == "round", dash))
    return sorted(out, key=lambda shape: isinstance(shape, Fill)), labels


def _compact(d: str) -> str:
    return re.sub(r"\s*([MLQCZ])\s*", r"\1", d.replace(",", " ")).strip()
