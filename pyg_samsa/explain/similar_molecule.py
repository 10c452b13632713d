"""A molecule that is similar to an explained one, with what makes them similar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyg_samsa.explain.fragment import Picture
from pyg_samsa.explain.importance import TokenImportance
from pyg_samsa.viz.molecules.structure import structure_svg

BY = ("embedding", "fingerprint")
"""What similarities are taken of."""
NAMES = {"embedding": "similarity of embeddings", "fingerprint": "Tanimoto similarity"}
_TARGETS, _LONGEST = 8, 80


@dataclass(frozen=True)
class SimilarMolecule:
    """A training molecule that is similar to an explained one.

    Args:
        smiles: The molecule.
        similarity: The similarity, at most 1.
        by: What the similarity is taken of, one of :data:`BY`.
        measured: Name of a target -> what was measured for it, as text; targets without a value are left out.
        importance: How much the similarity falls without each atom and bond of the explained molecule; None if it was
            not computed.

    Example:
        >>> SimilarMolecule("CCO", 0.5, "fingerprint", {"logS": "-0.2"}).text
        'Tanimoto similarity 0.50; measured: logS -0.2; CCO'
    """

    smiles: str
    similarity: float
    by: str
    measured: Mapping[str, str] = field(default_factory=dict)
    importance: TokenImportance | None = None

    @property
    def measurements(self) -> str:
        """What was measured, as one line; the first targets if there are many.

        Example:
            >>> SimilarMolecule("CCO", 0.5, "fingerprint").measurements
            'nothing measured'
        """
        shown = [f"{name} {value}" for name, value in list(self.measured.items())[:_TARGETS]]
        left = len(self.measured) - len(shown)
        return "measured: " + ", ".join(shown) + (f" and {left} more" if left else "") if shown else "nothing measured"

    @property
    def text(self) -> str:
        """All about the molecule in one line.

        Example:
            >>> SimilarMolecule("CCO", 1.0, "embedding", {"toxic": "1"}).text
            'similarity of embeddings 1.00; measured: toxic 1; CCO'
        """
        smiles = self.smiles if len(self.smiles) <= _LONGEST else f"{self.smiles[: _LONGEST - 3]}..."
        return f"{NAMES[self.by]} {self.similarity:.2f}; {self.measurements}; {smiles}"

    def picture(self, theme: str) -> Picture:
        """Return the structure for a piece of HTML.

        Args:
            theme: ``"light"``, ``"dark"`` or ``"auto"``.

        Example:
            >>> SimilarMolecule("CCO", 1.0, "fingerprint").picture("light").text
            'structure of CCO'
        """
        return Picture(structure_svg(self.smiles, theme), f"structure of {self.smiles[:_LONGEST]}")
