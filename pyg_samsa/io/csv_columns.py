"""Finds columns of a table by their names, numbers and patterns."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType

from pyg_samsa.errors import ConfigError, suggest

SMILES_NAMES = (
    "smiles",
    "canonical_smiles",
    "isomeric_smiles",
    "canonicalsmiles",
    "isomericsmiles",
    "structure_smiles",
    "structure",
    "molecule",
    "mol",
)
"""Names of a column of molecules in lower case, the likeliest first."""
_SHOWN = 20
_UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)?(_level_\d+)?|\.\.\.\d+)?")


class DoubledColumnError(ConfigError):
    """Several columns of a table have the name that is asked for.

    Args:
        key: Name of the setting.
        wanted: The name.
        places: Positions of the columns.

    Example:
        >>> error = DoubledColumnError("--smiles-column", "smiles", [0, 2])
        >>> error.expected, error.hint
        ('a name that only one column has; columns 1, 3 have it', 'Pass its number: --smiles-column 1.')
    """

    def __init__(self, key: str, wanted: str, places: Sequence[int]) -> None:
        self.places = list(places)
        shown = ", ".join(str(place + 1) for place in places)
        hint = f"Pass its number: {key} {places[0] + 1}."
        super().__init__(key, wanted, f"a name that only one column has; columns {shown} have it", hint=hint)


class NoColumnError(ConfigError):
    """No column of a table is the one that is looked for.

    Args:
        key: Name of the setting.
        wanted: What was asked for; None if a column was looked for by its usual names.
        names: Names of the columns.
        likely: Position of a column that may be meant, and that has no name or shares it; None without one.

    Example:
        >>> str(NoColumnError("--smiles-column", "smile", ["SMILES", "logS"]))
        "--smiles-column: got 'smile', expected the name of a column: 'SMILES', 'logS'"
    """

    def __init__(
        self, key: str, wanted: str | None, names: Sequence[str], *, likely: int | None = None, hint: str = ""
    ) -> None:
        self.names, self.likely = list(names), likely
        self.shown = ", ".join(repr(name) for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        expected = f"the name of a column: {self.shown}"
        if wanted is None:
            expected = f"the name of a column, because no usual one was found; the columns are {self.shown}"
            if likely is not None and is_named(names[likely]):
                expected = f"its number, because several columns are called {names[likely]!r}"
        super().__init__(key, wanted, expected, hint=hint)


def find_column(header: Sequence[str], wanted: str, *, key: str, fallbacks: Sequence[str] = ()) -> int:
    """Return the position of a column.

    Args:
        header: Names of the columns.
        wanted: A name, or the number of a column from 1; empty takes the first of ``fallbacks`` that is there, or the
            only column whose name contains the first of them, or the only column.
        key: Name of the setting, for the errors.
        fallbacks: Lower-case names.

    Raises:
        ConfigError: There is no such column, or several.

    Example:
        >>> find_column(["id", "SMILES"], "", key="--smiles-column", fallbacks=SMILES_NAMES)
        1
        >>> find_column(["id", "SMILES"], "2", key="--smiles-column")
        1
    """
    names = [name.strip() for name in header]
    if not wanted:
        lower = [name.lower().lstrip("# ") for name in names]
        for fallback in fallbacks:
            if lower.count(fallback) == 1:
                return lower.index(fallback)
        similar = [place for place, name in enumerate(lower) if fallbacks and fallbacks[0] in name]
        if len(similar) == 1:
            return similar[0]
        if len(header) == 1:
            return 0
        doubled = next((lower.index(name) for name in fallbacks if name in lower), None)
        nameless = next((place for place, name in enumerate(names) if not is_named(name)), None)
        likely = doubled if doubled is not None else nameless
        hint = f"Pass the name: {key} NAME." if likely is None else f"Pass its number: {key} {likely + 1}."
        if any("inchi" in name for name in lower):
            hint = (
                "Molecules are read as SMILES: rdkit.Chem.MolToSmiles(rdkit.Chem.MolFromInchi(text)) converts an InChI."
            )
        raise NoColumnError(key, None, header, likely=likely, hint=hint)
    found = [position for position, name in enumerate(names) if name == wanted.strip()]
    if len(found) > 1:
        raise DoubledColumnError(key, wanted, found)
    if found:
        return found[0]
    if wanted.isdecimal() and 1 <= int(wanted) <= max(len(header), 1):
        return int(wanted) - 1
    raise NoColumnError(key, wanted, header, hint=suggest(wanted, names))


def column_number(wanted: str, *, key: str) -> int:
    """Return the position of a column of a table without names of columns.

    Args:
        wanted: The number of the column, from 1.
        key: Name of the setting, for the error.

    Raises:
        ConfigError: It is no such number.

    Example:
        >>> column_number("2", key="--smiles-column")
        1
    """
    if not wanted.isdecimal() or int(wanted) < 1:
        raise ConfigError(key, wanted, "the number of a column, from 1, for a table without a header")
    return int(wanted) - 1


def column_word(header: Sequence[str], place: int) -> str:
    """Return the word by which a column is asked for: its name, or its number if it has none or shares it.

    Example:
        >>> [column_word(["smiles", "y", "y", "", "log S"], place) for place in (0, 1, 3, 4)]
        ['smiles', '2', '4', "'log S'"]
    """
    names = [title.strip() for title in header]
    return shlex.quote(names[place]) if names[place] and names.count(names[place]) == 1 else str(place + 1)


def is_named(title: str) -> bool:
    """Return whether a column has a name; ``Unnamed: 0`` is what pandas calls one without.

    Example:
        >>> is_named("logS"), is_named(" "), is_named("Unnamed: 0")
        (True, False, False)
    """
    return not _UNNAMED.fullmatch(title.strip())


def find_columns(
    header: Sequence[str], wanted: Sequence[str], *, key: str, taken: Mapping[int, str] = MappingProxyType({})
) -> list[int]:
    """Return the positions of several columns.

    Args:
        header: Names of the columns.
        wanted: Names or numbers of columns; ``all`` for all columns with a name; patterns such as ``NR-*``, ``pIC50_?``
            or ``!id``, which leaves out what the words before it found; as the first word, of all columns.
        key: Name of the setting, for the errors.
        taken: Positions of columns that have another use -> what they are, for the error; ``all`` and patterns do not
            find them.

    Raises:
        ConfigError: There is no such column, or one is asked for twice, or has another use.

    Example:
        >>> header = ["id", "smiles", "NR-AR", "NR-ER", "SR-p53", ""]
        >>> find_columns(header, ["NR-*"], key="--target-columns", taken={1: "the column of SMILES"})
        [2, 3]
        >>> find_columns(header, ["!id"], key="--target-columns", taken={1: "the column of SMILES"})
        [2, 3, 4]
    """
    names = [title.strip() for title in header]
    free = [place for place, title in enumerate(names) if place not in taken and is_named(title)]
    found: list[int] = []
    for word in map(str.strip, wanted):
        if word in names or word.isdecimal():
            found.append(find_column(header, word, key=key))
            continue
        negated = word.startswith("!")
        pattern = "*" if word == "all" else word[negated:]
        exact = [place for place in free if names[place] == pattern]
        matching = exact or [place for place in free if fnmatchcase(names[place], pattern)]
        found = found or (list(free) if negated and word == wanted[0].strip() else found)
        if not matching:
            shown = ", ".join(map(repr, names[:20]))
            parts = [part.strip() for part in word.split(",")]
            several = len(parts) > 1 and all(part in names for part in parts)
            hint = f"Separate names by spaces: {key} {shlex.join(parts)}" if several else suggest(word, names)
            raise ConfigError(key, word, f"the name of a column, or a pattern that fits one: {shown}", hint=hint)
        found = [place for place in found if place not in matching] + ([] if negated else matching)
    twice = next((place for place in found if found.count(place) > 1 or place in taken), None)
    if twice is not None:
        use = f"is {taken[twice]}" if twice in taken else "is named twice"
        told = f"the column {names[twice] or twice + 1!r} {use}"
        raise ConfigError(key, list(wanted), "other columns", hint="Name each column for one use.", told=told)
    if not found:
        raise ConfigError(key, list(wanted), "at least one column")
    return found


def find_extra_columns(header: Sequence[str], names: Sequence[str], *, key: str) -> dict[str, int]:
    """Return the positions of the columns of numbers that a model was trained with.

    Args:
        header: Names of the columns of a table.
        names: Names of the columns that the model needs.
        key: Name of the argument that holds the table, for the error.

    Raises:
        ConfigError: The table has no such column, or several.

    Example:
        >>> find_extra_columns(["smiles", "pH"], ["pH"], key="IN")
        {'pH': 1}
    """
    present = [title.strip() for title in header]
    for name in names:
        if present.count(name) == 1:
            continue
        if present.count(name) > 1:
            places = ", ".join(str(place + 1) for place, title in enumerate(present) if title == name)
            told, hint = f"columns {places} of this name", "Rename all but one of them."
            raise ConfigError(key, told, f"a table with one column {str(name)!r}", hint=hint)
        told = f"The model was trained with the extra column {str(name)!r}; leave a field empty where it is unknown."
        if not present:
            told = f"Write a first row that names the columns: the model finds its extra column {str(name)!r} there."
        near = suggest(name, [title for title in present if title not in names])
        raise ConfigError(
            key, present or "no names of columns", f"a table with a column {str(name)!r}", hint=f"{near} {told}".strip()
        )
    return {name: present.index(name) for name in names}


def refuse_molecules_alone(names: Sequence[str], *, key: str) -> None:
    """Raise an error if a model needs columns of numbers, which molecules on the command line do not have.

    Args:
        names: Names of the columns that the model needs.
        key: Name of the argument that holds the molecules.

    Raises:
        ConfigError: There is such a column.

    Example:
        >>> refuse_molecules_alone(["pH"], key="IN")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: IN: got 'a SMILES alone', expected a table: the model also reads the column 'pH'
    """
    if names:
        shown = ", ".join(repr(str(name)) for name in names)
        columns = f"the column{'s' * (len(names) > 1)} {shown}"
        hint = f"Write a CSV file with the columns 'smiles', {shown}. A field may be empty where it is unknown."
        raise ConfigError(key, "a SMILES alone", f"a table: the model also reads {columns}", hint=hint)
