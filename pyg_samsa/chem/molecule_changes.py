"""What the standardisation changed: single molecules, counts, and the table in which they are listed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, NamedTuple

from pyg_samsa.chem.standardize import STEPS
from pyg_samsa.io.formulas import escape_formula

COLUMNS = ("row", "smiles", "standardized", "steps")
"""Names of the columns of a table of changed molecules."""
_DONE = {
    "fragment": "largest fragment",
    "neutralize": "neutralised",
    "tautomer": "tautomer",
    "drop_stereo": "stereo dropped",
}


class Change(NamedTuple):
    """A molecule of a list that was changed by the standardisation.

    Attributes:
        position: Its position in the list, from 0.
        before: Its SMILES as given.
        after: Its standardised SMILES.
        steps: The steps that changed it.

    Example:
        >>> Change(0, "C[NH3+]", "CN", ("neutralize",)).after
        'CN'
    """

    position: int
    before: str
    after: str
    steps: Sequence[str]


@dataclass
class ChangeCounts:
    """How many molecules the standardisation changed, in all and by each step.

    Args:
        molecules: Number of molecules that were standardised.
        changed: Number of those that were changed.
        steps: Step -> number of molecules that it changed.

    Example:
        >>> counts = ChangeCounts()
        >>> counts.add(1200, [Change(7, "C[NH3+].[Cl-]", "CN", ("fragment", "neutralize"))])
        >>> counts.text()
        'standardised 1 of 1,200 molecules: 1 largest fragment, 1 neutralised'
    """

    molecules: int = 0
    changed: int = 0
    steps: dict[str, int] = field(default_factory=dict)

    def add(self, molecules: int, changes: Iterable[Change]) -> None:
        """Count more molecules.

        Args:
            molecules: Number of molecules that were standardised.
            changes: Those that were changed.

        Example:
            >>> counts = ChangeCounts(3)
            >>> counts.add(2, [])
            >>> counts.molecules
            5
        """
        self.molecules += molecules
        for change in changes:
            self.changed += 1
            for step in change.steps:
                self.steps[step] = self.steps.get(step, 0) + 1

    def __add__(self, other: ChangeCounts) -> ChangeCounts:
        names = [step for step in STEPS if step in self.steps or step in other.steps]
        steps = {step: self.steps.get(step, 0) + other.steps.get(step, 0) for step in names}
        return ChangeCounts(self.molecules + other.molecules, self.changed + other.changed, steps)

    def text(self) -> str:
        """Return the counts as a sentence without a stop.

        Example:
            >>> ChangeCounts(2).text()
            'standardised 0 of 2 molecules'
        """
        told = f"standardised {self.changed:,} of {self.molecules:,} molecule{'s' * (self.molecules != 1)}"
        return f"{told}: {self.by_step()}" if self.changed else told

    def by_step(self) -> str:
        """Return how many molecules each step changed, in words.

        Example:
            >>> ChangeCounts(2, 1, {"neutralize": 1, "fragment": 1}).by_step()
            '1 largest fragment, 1 neutralised'
        """
        return ", ".join(f"{self.steps[step]:,} {_DONE[step]}" for step in STEPS if self.steps.get(step))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values.

        Example:
            >>> ChangeCounts(2, 1, {"fragment": 1}).as_dict()
            {'molecules': 2, 'changed': 1, 'steps': {'fragment': 1}}
        """
        return {"molecules": self.molecules, "changed": self.changed, "steps": dict(self.steps)}

    @classmethod
    def from_dict(cls, content: Any) -> ChangeCounts:
        """Read what `as_dict` returned.

        Raises:
            ValueError: It is something else.

        Example:
            >>> ChangeCounts.from_dict({"molecules": 2, "changed": 0, "steps": {}}).molecules
            2
        """
        steps = content.get("steps") if isinstance(content, Mapping) else None
        if not isinstance(steps, Mapping) or not set(steps) <= set(STEPS):
            raise ValueError(f"no counts of standardised molecules: {content!r}"[:120])
        numbers = [content.get("molecules"), content.get("changed"), *steps.values()]
        if not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise ValueError(f"no counts of standardised molecules: {content!r}"[:120])
        return cls(content["molecules"], content["changed"], dict(steps))


def describe_steps(steps: Iterable[str]) -> str:
    """Return what some steps did, in words.

    Example:
        >>> describe_steps(["fragment", "tautomer"])
        'largest fragment, tautomer'
    """
    return ", ".join(_DONE[step] for step in steps)


def write_changes(file: IO[str], changes: Iterable[Change], *, first: int = 1) -> None:
    r"""Write a line of a CSV table for each changed molecule.

    Args:
        file: Open text file, without translation of line ends.
        changes: The molecules.
        first: Row of the table at position 0.

    Example:
        >>> import io
        >>> file = io.StringIO()
        >>> write_changes(file, [Change(0, "C[NH3+].[Cl-]", "CN", ("fragment", "neutralize"))])
        >>> file.getvalue()
        '1,C[NH3+].[Cl-],CN,fragment neutralize\n'
    """
    writer: Any = csv.writer(file, lineterminator="\n")
    for change in changes:
        texts = (escape_formula(change.before), escape_formula(change.after), " ".join(change.steps))
        writer.writerow([first + change.position, *texts])
