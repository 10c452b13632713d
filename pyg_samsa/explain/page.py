"""The HTML page of explained molecules, one self-contained file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pyg_samsa._version import __version__
from pyg_samsa.errors import check_choice
from pyg_samsa.explain.molecule_explanation import MoleculeExplanation, label_of, scale_of
from pyg_samsa.explain.similar_molecule import NAMES, SimilarMolecule
from pyg_samsa.viz.molecules.canvas import THEMES, Group, SvgWriter, shown
from pyg_samsa.viz.molecules.colours import SCALES, scale_paint
from pyg_samsa.viz.molecules.drawing import color_limit, ends_of
from pyg_samsa.viz.molecules.layout import MoleculeLayout
from pyg_samsa.viz.pages import write_html

_TEMPLATE = Path(__file__).parent / "templates" / "explanations.html.j2"
_STRONGEST = 5
_LEGIBLE, _LARGE = 13.0, 54.0  # pixels of a bond: least, and largest where there is room
_SHOWN = 4  # predictions that are visible without unfolding
_LONG, _HALF, _TALL = 900.0, 460.0, 560.0  # pixels; larger structures get more columns of the page


class Refused(NamedTuple):
    """A molecule that could not be read: its row, name, SMILES and the reason."""

    row: int
    name: str
    smiles: str
    reason: str


@dataclass(frozen=True)
class SimilarCard:
    """A similar molecule as the page shows it, beside the molecule with what makes them similar.

    Args:
        molecule: The similar molecule.
        title: Similarity as text.
        svg: The explained molecule, coloured; empty if it was not computed.
        other: The structure of the similar molecule.
        ends: Labels at the ends of the colour bar; empty where all scores are 0.
    """

    molecule: SimilarMolecule
    title: str
    svg: str
    other: str
    ends: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """A molecule as the page shows it.

    Args:
        size: Share of the page's width: ``"long"`` (all), ``"half"`` or empty (one column).
        least: Width in pixels below which atom labels are too small to read; a narrow page scrolls.
        most: Width in pixels up to which the picture grows where there is room.
        note: What the standardisation changed; empty if nothing.
    """

    name: str
    smiles: str
    atoms: int
    bonds: int
    svg: str
    size: str
    least: int
    most: int
    target: str
    value: float
    predictions: Sequence[tuple[str, float, str]]
    others: Sequence[tuple[str, float, str]]
    note: str = ""
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    similar: Sequence[SimilarCard] = ()


def make_card(explanation: MoleculeExplanation, number: int) -> Card:
    """Draw a molecule with one colour layer per method; the page switches between them.

    Args:
        explanation: The molecule.
        number: Number of the card, unique on a page.
    """
    layout = MoleculeLayout(explanation.mol)
    methods, layers = {}, []
    for method in explanation.importance:
        atoms, bonds = explanation.scores(method)
        limit, scale = color_limit([*atoms, *bonds]), scale_of(method)
        layers.append(Group(layout.halos(atoms, bonds, scale, limit, notes=True), name=f"layer {method}"))
        ranked = [(value, name) for name, value in zip(layout.names, atoms, strict=True)]
        ranked += [
            (value, f"{layout.names[a]}–{layout.names[b]}") for (a, b), value in zip(layout.bonds, bonds, strict=True)
        ]
        ranked.sort(key=lambda item: -abs(item[0]))
        methods[method] = {
            "label": label_of(method, explanation.kind),
            "scale": scale,
            "ends": ends_of([*atoms, *bonds], scale, limit),
            "strongest": [(name, shown(value)) for value, name in ranked[:_STRONGEST] if value],
        }
    writer = SvgWriter("auto", prefix=f"m{number}-")
    svg = writer.document([*layers, *layout.lines], layout.width, layout.height, explanation.name, page=True)
    predictions = [(name, explanation.predictions[name], explanation.text(name)) for name in explanation.ranked()]
    return Card(
        explanation.name,
        explanation.smiles,
        layout.num_atoms,
        layout.num_bonds,
        svg,
        "long" if layout.width > _LONG or layout.height > _TALL else "half" if layout.width > _HALF else "",
        layout.pixels(_LEGIBLE),
        layout.pixels(_LARGE),
        explanation.target,
        explanation.predictions[explanation.target],
        predictions[:_SHOWN],
        predictions[_SHOWN:],
        explanation.note,
        methods,
        [_similar_card(one, layout, f"m{number}s{place}-") for place, one in enumerate(explanation.similar)],
    )


def _similar_card(similar: SimilarMolecule, layout: MoleculeLayout, prefix: str) -> SimilarCard:
    """Draw a similar molecule, and beside it the explained one, coloured by what makes them similar."""
    title = f"{NAMES[similar.by]} {similar.similarity:.2f}".replace("-", "−")
    drawn = MoleculeLayout(similar.smiles)
    other = SvgWriter("auto").document(drawn.lines, drawn.width, drawn.height, "Similar molecule", page=True)
    if similar.importance is None:
        return SimilarCard(similar, title, "", other)
    atoms, bonds = similar.importance.node.tolist(), similar.importance.bond.tolist()
    limit = color_limit([*atoms, *bonds])
    shapes = [Group(layout.halos(atoms, bonds, "diverging", limit, notes=True)), *layout.lines]
    svg = SvgWriter("auto", prefix=prefix).document(shapes, layout.width, layout.height, "Shared parts", page=True)
    return SimilarCard(similar, title, svg, other, ends_of([*atoms, *bonds], "diverging", limit) if limit else ())


def write_page(
    cards: Sequence[Card],
    path: str | os.PathLike[str],
    *,
    title: str,
    kind: str,
    refused: Iterable[Refused] = (),
    notes: Sequence[str] = (),
    theme: str = "auto",
) -> Path:
    """Write the page of explained molecules.

    Args:
        cards: The molecules, see :func:`make_card`.
        path: File to write; an existing one is replaced.
        title: Headline.
        kind: Kind of the task, see :class:`~pyg_samsa.explain.molecule_explanation.MoleculeExplanation`.
        refused: Molecules that could not be read.
        notes: Remarks above the molecules.
        theme: Initial colours: ``"light"``, ``"dark"``, or ``"auto"`` as the reader's system.

    Returns:
        The path.

    Raises:
        ConfigError: There is no such theme.
        MissingDependencyError: Jinja2 is not installed.

    Cost: about 20 kB for a small molecule and 150 kB for a peptide of 200 atoms.
    """
    check_choice("theme", theme, THEMES)
    methods = list(dict.fromkeys(method for card in cards for method in card.methods))
    context = {
        "title": title,
        "cards": cards,
        "refused": list(refused),
        "notes": list(notes),
        "methods": methods,
        "bars": {scale: scale_stops(scale) for scale in SCALES},
        "probability": kind != "regression",
        "theme": theme,
        "version": __version__,
    }
    return write_html(_TEMPLATE, path, context)


def scale_stops(scale: str) -> str:
    """Return a colour bar as the stops of a CSS gradient.

    Args:
        scale: ``"sequential"`` or ``"diverging"``.

    Example:
        >>> scale_stops("sequential").split(", ", 2)[0]
        'light-dark(#ffffff,#1c1f25)'
    """
    low = -100 if scale == "diverging" else 0
    levels = [low + round((100 - low) * step / 16) for step in range(17)]
    return ", ".join(scale_paint(scale, level).css("auto") for level in levels)
