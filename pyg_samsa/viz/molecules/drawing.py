"""Drawings of molecules with atoms and bonds coloured by scores."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyg_samsa.errors import ConfigError, ShapeError, check_choice
from pyg_samsa.io.files import atomic_write
from pyg_samsa.viz.molecules.canvas import (
    INK,
    LINE,
    MUTED,
    PAPER,
    THEMES,
    Fill,
    Group,
    Stroke,
    SvgWriter,
    Text,
    box,
    line,
    shown,
    to_png,
)
from pyg_samsa.viz.molecules.colours import SCALES, scale_paint
from pyg_samsa.viz.molecules.layout import MoleculeLayout, Spot

FORMATS = (".svg", ".png")
_MARGIN = 22.0
_BAR_WIDTH, _BAR_HEIGHT = 190.0, 10.0


@dataclass(frozen=True)
class MoleculeDrawing:
    """A drawing of a molecule, displayed in notebooks.

    Attributes:
        svg: The drawing as SVG.
        width: Width in pixels.
        height: Height in pixels.
        spots: Areas with the scores of atoms and bonds as tooltips: centres as shares of width and height, diameters as
            shares of the width.

    Example:
        >>> drawing = draw_importance("CCO", [0.0, 0.5, 1.0], [0.5, 0.25])
        >>> drawing.svg[:4]
        '<svg'
    """

    svg: str
    width: float
    height: float
    spots: Sequence[Spot]
    _shapes: Sequence[Any]
    _theme: str

    def png(self, scale: float = 2.0) -> bytes:
        """Return the drawing as PNG, enlarged by ``scale``; ``theme="auto"`` is drawn light.

        Example:
            >>> draw_importance("CCO", [0.0, 0.5, 1.0], [0.5, 0.25]).png(scale=1.0)[1:4]
            b'PNG'
        """
        return to_png(self._shapes, self.width, self.height, self._theme, scale)

    def save(self, path: str | os.PathLike[str], *, scale: float = 2.0) -> Path:
        """Write the drawing to a .svg or .png file; an existing one is replaced.

        Raises:
            ConfigError: The suffix is another one.

        Example:
            >>> draw_importance("CCO", [0.0, 0.5, 1.0], [0.5, 0.25]).save("ethanol.gif")
            Traceback (most recent call last):
            pyg_samsa.errors.ConfigError: path: got 'ethanol.gif', expected a file name that ends in one of .svg, .png
        """
        target = Path(path)
        if target.suffix.lower() not in FORMATS:
            raise ConfigError("path", str(path), f"a file name that ends in one of {', '.join(FORMATS)}")
        content = self.svg.encode() if target.suffix.lower() == ".svg" else self.png(scale)
        with atomic_write(target) as temporary:
            temporary.write_bytes(content)
        return target

    def _repr_svg_(self) -> str:
        return self.svg


def draw_importance(
    molecule: Any,
    atom_scores: Sequence[float],
    bond_scores: Sequence[float],
    *,
    scale: str = "sequential",
    limit: float | None = None,
    label: str = "importance",
    title: str = "",
    subtitle: str = "",
    theme: str = "light",
) -> MoleculeDrawing:
    """Draw a molecule with atoms and bonds coloured by scores, and a colour bar.

    Args:
        molecule: SMILES or ``rdkit.Chem.Mol``.
        atom_scores: Score of each atom, in the order of the SMILES.
        bond_scores: Score of each bond, in RDKit's order; both directions of a bond together.
        scale: ``"sequential"`` for scores of at least 0, ``"diverging"`` for scores around 0.
        limit: Score at the end of the colour scale; by default the largest absolute score, see :func:`color_limit`.
        label: Text above the colour bar: what the scores are, and their unit.
        title: Headline.
        subtitle: Line below the headline.
        theme: ``"light"``, ``"dark"``, or ``"auto"``: the colours follow ``color-scheme`` of the page or system.

    Returns:
        The drawing.

    Raises:
        SmilesError: RDKit cannot read the SMILES.
        ShapeError: There are not as many scores as atoms and bonds, or one is not finite.
        ConfigError: An option has another value.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> drawing = draw_importance("CC=O", [0.1, 0.5, 1.0], [0.2, 0.9], title="Acetaldehyde")
        >>> drawing.svg[:4], "Acetaldehyde" in drawing.svg
        ('<svg', True)

    Cost: about a millisecond per atom; a PNG takes three times as long.
    """
    for key, value, allowed in (("scale", scale, SCALES), ("theme", theme, THEMES)):
        check_choice(key, value, allowed)
    layout = MoleculeLayout(molecule)
    atoms, bonds = (
        check_scores("atom_scores", atom_scores, layout.num_atoms),
        check_scores("bond_scores", bond_scores, layout.num_bonds),
    )
    top = color_limit([*atoms, *bonds]) if limit is None else limit
    bar = color_bar(scale, label, *ends_of([*atoms, *bonds], scale, top))
    shapes, (x, y), width, height = compose(
        layout, layout.halos(atoms, bonds, scale, top), bar, title=title, subtitle=subtitle
    )
    spots = [
        Spot((spot.x + x) / width, (spot.y + y) / height, spot.size / width, spot.note)
        for spot in layout.spots(atoms, bonds)
    ]
    svg = SvgWriter(theme).document(shapes, width, height, title or "Molecule", f"Atoms and bonds coloured by {label}")
    return MoleculeDrawing(svg, width, height, spots, shapes, theme)


def check_scores(name: str, scores: Sequence[float], count: int) -> list[float]:
    """Return scores as a list.

    Raises:
        ShapeError: There are not ``count`` of them, or one is not finite.

    Example:
        >>> check_scores("atom_scores", (1, 2), 2)
        [1.0, 2.0]
    """
    values = [float(score) for score in scores]
    if len(values) != count:
        raise ShapeError(name, f"{len(values)} scores", f"{count}")
    if not all(map(math.isfinite, values)):
        raise ShapeError(name, "a score that is not finite", "finite scores")
    return values


def color_limit(scores: Sequence[float]) -> float:
    """Return the end of the colour scale: the largest absolute score, or for 100 scores and more their 99th percentile.

    Otherwise a single large score would leave the rest of a large molecule without colour.

    Example:
        >>> color_limit([0.5, -2.0]), color_limit([*range(1, 201)]), color_limit([])
        (2.0, 198.0, 0.0)
    """
    sizes = sorted((abs(float(score)) for score in scores), reverse=True)
    return (sizes[len(sizes) // 100] or sizes[0]) if sizes else 0.0


def ends_of(scores: Sequence[float], scale: str, limit: float) -> tuple[str, str]:
    """Return the labels at both ends of the colour bar; ≤ and ≥ mark scores beyond them.

    Example:
        >>> ends_of([1.0, -3.0], "diverging", 2.0), ends_of([0.5], "sequential", 0.5), ends_of([0.0], "diverging", 0.0)
        (('≤ −2', '2'), ('0', '0.5'), ('0', '0'))
    """
    low = shown(-limit) if scale == "diverging" and limit else "0"
    beyond = scale == "diverging" and min(scores, default=0.0) < -limit
    return f"≤ {low}" if beyond else low, f"≥ {shown(limit)}" if max(scores, default=0.0) > limit else shown(limit)


def compose(
    layout: MoleculeLayout, halos: list[Any], bar: list[Any], *, title: str = "", subtitle: str = ""
) -> tuple[list[Any], tuple[float, float], float, float]:
    """Combine headline, molecule and colour bar; return the shapes, the molecule's corner, and width and height."""
    width = max(layout.width + 2 * _MARGIN, 340.0)
    columns = int((width - 2 * _MARGIN) / 8.8)
    head, y = [], _MARGIN
    for text, size, paint, bold in ((title, 16.0, INK, True), (subtitle, 12.0, MUTED, False)):
        for row in textwrap.wrap(text, int(columns * 16 / size * 0.95), max_lines=2, placeholder=" …"):
            y += size
            head.append(Text(_MARGIN, y, row, size, paint, bold=bold))
            y += 0.35 * size
    y += 0.6 * _MARGIN if head else 0.0
    corner = (width - layout.width) / 2, y
    body = Group([*halos, *layout.lines], *corner)
    y += layout.height + 0.9 * _MARGIN
    legend = Group(bar, _MARGIN, y)
    height = y + 44.0 + 0.6 * _MARGIN
    return [Fill(box(0, 0, width, height), PAPER), *head, body, legend], corner, width, height


def color_bar(scale: str, label: str, low: str, high: str) -> list[Any]:
    """Return a colour bar with its labels, 44 pixels high.

    Example:
        >>> shapes = color_bar("sequential", "share (%)", "0", "12")
        >>> [shape.text for shape in shapes if isinstance(shape, Text)]
        ['share (%)', '0', '12']
    """
    first = -100 if scale == "diverging" else 0
    stops = [(step / 20, scale_paint(scale, round(first + (100 - first) * step / 20))) for step in range(21)]
    middle = 12.0 + _BAR_HEIGHT + 3
    bar = Stroke(line(_BAR_HEIGHT / 2, middle, _BAR_WIDTH - _BAR_HEIGHT / 2, middle), stops, _BAR_HEIGHT)
    rim = Stroke(bar.d, LINE, _BAR_HEIGHT + 2)
    marks = [("start", 0.0, low), ("end", _BAR_WIDTH, high)] + ([("middle", _BAR_WIDTH / 2, "0")] if first else [])
    return [
        Text(0.0, 11.0, label, 12.0, INK),
        rim,
        bar,
        *(Text(x, middle + _BAR_HEIGHT + 9, text, 11.0, MUTED, anchor) for anchor, x, text in marks),
    ]
