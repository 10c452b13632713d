"""Molecules as a piece of HTML for notebooks: pictures, predictions and remarks, without scripts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pyg_samsa.errors import check_choice
from pyg_samsa.viz.molecules.canvas import THEMES
from pyg_samsa.viz.molecules.layout import Spot
from pyg_samsa.viz.pages import render_html

_TEMPLATE = Path(__file__).parent / "templates" / "fragment.html.j2"
_SHOWN = 8
_LONGEST = 120


@dataclass(frozen=True)
class Picture:
    """A drawing in a piece of HTML.

    Args:
        svg: The drawing, in the colours of the theme of the piece.
        text: What it shows, for readers that see no pictures.
        spots: Areas with tooltips, see :class:`~pyg_samsa.viz.molecules.drawing.MoleculeDrawing`.

    Example:
        >>> Picture("<svg xmlns='http://www.w3.org/2000/svg'/>", "nothing").address[:26]
        'data:image/svg+xml;base64,'
    """

    svg: str
    text: str
    spots: Sequence[Spot] = ()

    @property
    def address(self) -> str:
        """The drawing as an address, which keeps it apart from the rest of a page.

        Example:
            >>> Picture("<svg/>", "").address
            'data:image/svg+xml;base64,PHN2Zy8+'
        """
        return f"data:image/svg+xml;base64,{b64encode(self.svg.encode()).decode()}"


@dataclass(frozen=True)
class Value:
    """A predicted value in a piece of HTML.

    Args:
        name: Name of the target, label or class.
        text: The prediction.
        interval: Interval or set; empty without one.

    Example:
        >>> Value("logS", "-3.2", "-4.1 to -2.3").interval
        '-4.1 to -2.3'
    """

    name: str
    text: str
    interval: str = ""


@dataclass(frozen=True)
class Molecule:
    """A molecule in a piece of HTML.

    Args:
        name: Name of the molecule.
        smiles: Its SMILES.
        pictures: Its drawings.
        values: Its predictions, the most important first.
        error: Why it has no prediction; empty if it has one.
        remarks: Lines below the predictions.
        similar: Drawing of each similar molecule, and a text about it.

    Example:
        >>> Molecule("methane", "C").error
        ''
    """

    name: str
    smiles: str
    pictures: Sequence[Picture] = ()
    values: Sequence[Value] = ()
    error: str = ""
    remarks: Sequence[str] = ()
    similar: Sequence[tuple[Picture, str]] = field(default=())

    @property
    def short_smiles(self) -> str:
        """The SMILES, cut where it is long.

        Example:
            >>> len(Molecule("long", "C" * 500).short_smiles)
            120
        """
        return self.smiles if len(self.smiles) <= _LONGEST else f"{self.smiles[: _LONGEST - 3]}..."


def write_fragment(
    molecules: Sequence[Molecule],
    *,
    value_title: str = "prediction",
    interval_title: str = "",
    notes: Sequence[str] = (),
    theme: str = "auto",
) -> str:
    """Return molecules as a piece of HTML.

    Pictures are images of their own, so a notebook cannot mix up their names. Empty elements above them hold the
    tooltips. Without the style sheet, which some viewers leave out, the piece is a plain list.

    Args:
        molecules: The molecules.
        value_title: Title of the column of predictions.
        interval_title: Title of the column of intervals or sets; empty without them.
        notes: Lines above the molecules.
        theme: ``"light"``, ``"dark"``, or ``"auto"`` for that of the notebook; text always has the colours of the
            notebook.

    Raises:
        ConfigError: There is no such theme.
        MissingDependencyError: Jinja2 is not installed.

    Example:
        >>> html = write_fragment([Molecule("<i>", "C", values=[Value("logS", "0.1")])])
        >>> "<i>" in html, "&lt;i&gt;" in html, "<script" in html
        (False, True, False)

    Cost: a picture takes 20 kB for a molecule of 13 atoms, and 220 kB for a peptide of 190 atoms.
    """
    check_choice("theme", theme, THEMES)
    context = {
        "molecules": molecules,
        "value_title": value_title,
        "interval_title": interval_title,
        "notes": notes,
        "theme": theme,
        "shown": _SHOWN,
    }
    # Half of a pair of surrogates in a name could not be saved with the notebook.
    return render_html(_TEMPLATE, context).encode(errors="replace").decode()
