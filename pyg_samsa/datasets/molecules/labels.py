"""Labels and classes in columns of words or whole numbers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from pyg_samsa.errors import DataError
from pyg_samsa.io.cells import YES_NO, is_bound, is_missing, read_number

MAX_CLASSES = 200
_SPELLINGS = 6  # of no and yes: 0, 1, false, true, no, yes
# fmt: off
_NEGATIVE = frozenset(
    [
        "inactive", "negative", "-", "neg", "no", "n", "false", "f", "low", "safe", "fail", "failed", "absent", "decoy",
        "nontoxic", "insoluble", "impermeable", "unstable", "weak", "bad", "control", "none", "0",
    ]
)
_POSITIVE = frozenset(
    [
        "active", "positive", "+", "pos", "yes", "y", "true", "t", "high", "toxic", "pass", "passed", "present", "hit",
        "soluble", "permeable", "stable", "strong", "good", "binder", "blocker", "inhibitor", "mutagen", "1",
    ]
)
# fmt: on
_NUMBER_LIKE = re.compile(r"[^\w\s]?\s*\d")
_NOT = ("non-", "non_", "non ", "non", "not-", "not_", "not ", "no ", "in", "im", "un")


class Labels(NamedTuple):
    """A column of two values.

    Attributes:
        positive: Text of the positive class; empty if the column is 0 and 1, no and yes, or false and true.
        values: 1, 0 or NaN for each row.

    Example:
        >>> Labels("active", [1.0, 0.0]).positive
        'active'
    """

    positive: str
    values: list[float]


def read_labels(
    texts: Sequence[str], *, missing: Collection[str] | None = None, positive: str = "", repeated: bool = True
) -> Labels | None:
    """Read a column of labels; None if it does not hold two values.

    Two values are 0 and 1 (or yes and no, true and false), two whole numbers, or two words. Upper and lower case
    are the same; ``-`` beside ``+`` is a value. The positive class is the larger number, or the word that is not
    negated: ``active`` beside ``inactive``. If neither word says so, it is the last one in alphabetical order.

    Args:
        texts: Fields of the column.
        missing: See `pyg_samsa.io.cells.is_missing`.
        positive: Text of the positive class; empty chooses. It is ignored where the column does not hold it.
        repeated: Whether one of the values has to occur at least twice, unless they are 0 and 1 or their words, and
            whether bounds such as ``>10`` are no labels.

    Example:
        >>> read_labels(["active", "inactive", "", "Active", "inactive"])
        Labels(positive='active', values=[1.0, 0.0, nan, 1.0, 0.0])
        >>> read_labels(["1", "2", "2", "1"])
        Labels(positive='2', values=[0.0, 1.0, 1.0, 0.0])
        >>> read_labels(["0.5", "2", "3"]) is None
        True
    """
    signs = all(text.strip() in ("+", "-") or is_missing(text, missing) for text in texts)
    signs = signs and any(text.strip() == "+" for text in texts)
    keys, counts = [], Counter[str]()
    for text in texts:
        key = "" if is_missing(text, missing) and not (signs and text.strip() == "-") else _key(text)
        keys.append(key)
        counts.update([key] if key else [])
        if len(counts) > _SPELLINGS:  # no labels; a long column of numbers is not kept in memory
            return None
    asked = bool(positive) and _key(positive) in counts
    if repeated and not asked and any(map(is_bound, counts)):
        return None  # >10 and <1 are measurements at the limits of an assay
    plain = {key: read_number(key, missing=[]) for key in list(counts)[:_SPELLINGS]}
    if counts and len(counts) <= _SPELLINGS and not asked and all(value in (0.0, 1.0) for value in plain.values()):
        return Labels("", [plain[key] or 0.0 if key else math.nan for key in keys])
    if len(counts) != 2 or (repeated and not asked and max(counts.values()) < 2):
        return None
    numbers = [value for value in plain.values() if value is not None]
    whole = all(value == int(value) for value in numbers if math.isfinite(value))
    if repeated and not asked and (len(numbers) == 1 or not whole):
        return None
    chosen = _key(positive) if asked else _positive(plain)
    return Labels(_spellings(texts, keys)[chosen][0][0], [float(key == chosen) if key else math.nan for key in keys])


def _spellings(texts: Sequence[str], keys: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """Return the spellings of each key with their numbers of rows, the most frequent first."""
    found: dict[str, Counter[str]] = {}
    for text, key in zip(texts, keys, strict=True):
        if key:
            found.setdefault(key, Counter())[text.strip()] += 1
    return {key: spellings.most_common() for key, spellings in found.items()}


def note_spellings(texts: Sequence[str], name: str, *, missing: Collection[str] | None = None) -> list[str]:
    """Return which spellings of a column are read as one class, as sentences.

    Args:
        texts: Fields of the column.
        name: Its name.
        missing: See `pyg_samsa.io.cells.is_missing`.

    Example:
        >>> note_spellings(["Red", "red", "Red", "blue"], "colour")
        ["column 'colour': 'Red' (2 rows) and 'red' (1 row) are read as one class"]
    """
    keys = ["" if is_missing(text, missing) else _key(text) for text in texts]
    several = [found for found in _spellings(texts, keys).values() if len(found) > 1]
    if not several:
        return []
    shown = [
        " and ".join(f"{text[:40]!r} ({count:,} row{'s' * (count > 1)})" for text, count in found[:3])
        for found in several[:3]
    ]
    verb = "are read as one class" if len(several) == 1 else "are each read as one class"
    return [f"column {name!r}: {'; '.join(shown)}{'; ...' if len(several) > 3 else ''} {verb}"]


def _key(text: str) -> str:
    """Return a text by which equal values are equal: 1, 1.0 and ``+1`` are one."""
    number = read_number(text, missing=[])
    text = text.strip().casefold()
    return repr(number + 0.0) if number is not None and math.isfinite(number) and text[-1:].isdigit() else text


def _positive(values: dict[str, float | None]) -> str:
    words = sorted(values, key=lambda key: (values[key] is None, values[key] or 0.0, key))
    if values[words[0]] is not None and values[words[1]] is not None:
        return words[1]
    for one, other in (words, words[::-1]):
        if any(one == f"{negation}{other}" for negation in _NOT):
            return other
    for one, other in (words, words[::-1]):
        if (one in _NEGATIVE and other not in _NEGATIVE) or (other in _POSITIVE and one not in _POSITIVE):
            return other
    return words[1]


def _is_number(text: str) -> bool:
    return read_number(text, missing=[]) is not None


def looks_like_classes(texts: Sequence[str], *, missing: Collection[str] | None = None) -> bool:
    """Return whether a column of words holds classes: few distinct values, each repeated.

    Upper and lower case are the same, as everywhere in a column of classes or labels.
    There are 2 to 200 classes, at most half as many as rows, and at most half of them occur only once. None of them
    begins with a number: a word among numbers, and a number with a unit, are to be corrected.

    Args:
        texts: Fields of the column.
        missing: See `pyg_samsa.io.cells.is_missing`.

    Example:
        >>> looks_like_classes(["red", "blue", "red", "blue", ""]), looks_like_classes(["0.5", "0.7", "high"])
        (True, False)
    """
    counts = Counter(_key(text) for text in texts if not is_missing(text, missing))
    single = sum(count == 1 for count in counts.values())
    # yes, no, true and false beside other words are words.
    if any(_NUMBER_LIKE.match(text) or (_is_number(text) and text not in YES_NO) for text in counts):
        return False
    return 2 <= len(counts) <= MAX_CLASSES and 2 * len(counts) <= counts.total() and 2 * single <= len(counts)


def read_classes(
    texts: Sequence[str], name: str, *, missing: Collection[str] | None = None
) -> tuple[list[str], list[float]]:
    """Read a column of classes.

    Words that differ only in upper and lower case are one class, and so are spellings of one number, such as 1 and 1.0;
    its name is the most frequent spelling. `note_spellings` tells them.

    Args:
        texts: Fields of the column.
        name: Its name, for errors.
        missing: See `pyg_samsa.io.cells.is_missing`.

    Returns:
        Names of the classes, numbers first, and the number of the class of each row, NaN where it is missing.

    Raises:
        DataError: There are fewer than 2 or more than 200 classes.

    Example:
        >>> read_classes(["10", "9", "", "9"], "ring size")
        (['9', '10'], [1.0, 0.0, nan, 0.0])
    """
    keys = ["" if is_missing(text, missing) else _key(text) for text in texts]
    names = {key: spellings[0][0] for key, spellings in _spellings(texts, keys).items()}
    known = set(names.values())
    if len(known) > MAX_CLASSES:
        hint = f"There are at most {MAX_CLASSES} classes. --target-columns names the columns that are to be predicted."
        raise DataError(f"column {name!r} holds {len(known):,} different words", hint=hint)
    if len(known) < 2:
        only = f"holds only {known.pop()[:40]!r}" if known else "holds no value"
        raise DataError(f"column {name!r} {only}", hint="There is nothing to learn: leave it out of --target-columns.")
    numbers = {text: None if text.casefold() in YES_NO else read_number(text, missing=[]) for text in known}
    classes = sorted(known, key=lambda text: (numbers[text] is None, numbers[text] or 0.0, text))
    number = {text: float(position) for position, text in enumerate(classes)}
    return classes, [number[names[key]] if key else math.nan for key in keys]
