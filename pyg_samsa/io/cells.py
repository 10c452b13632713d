"""Numbers in the fields of tables: missing values, decimal commas, thousands separators, bounds, and digits."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

# fmt: off
MISSING = frozenset(
    [
        "", "#na", "#nv", "-", "--", ".", "?", "\\n", "n.a", "n.d", "n/a", "n/d", "na", "nan", "nd", "nil",
        "\u2013", "\u2014", "#n/a", "#n/a n/a", "(null)", "-1.#ind", "-1.#qnan", "-nan", "1.#ind", "1.#qnan",
        "<na>", "n. d.", "n.a.", "n.d.", "none", "not applicable", "not available", "not determined",
        "not measured", "not tested", "null",
    ]
)
# fmt: on
"""Fields in lower case that say that there is no value. Errors of spreadsheets, such as ``#DIV/0!``, say so too."""
DECIMALS = ("auto", "point", "comma")
YES_NO = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
"""Words that are read as numbers."""
_SPREADSHEET_ERROR = re.compile(r"#[¡¿]?[^\W\d_]+(/0)?[!?]|#[^\W\d_]/[^\W\d_]|Err:\d+|#{2,}|#GETTING_DATA")
_END = r"(e[+-]?\d+)?"
_COMMA_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_POINT_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_COMMA_NUMBER = re.compile(rf"[+-]?(\d*,\d+|\d+,|[1-9]\d{{0,2}}(\.\d{{3}})+,\d*){_END}")
_POINT_NUMBER = re.compile(rf"[+-]?[1-9]\d{{0,2}}(,\d{{3}})+\.\d*{_END}")
_POINT_ONLY = re.compile(rf"[+-]?\d*\.\d+{_END}")
_SPACED_GROUPS = re.compile(r"([+-]?\d{1,3})(([ \u00a0\u2009\u202f'\u2019])\d{3}(?:\3\d{3})*)(?!\d)")
_BOUND = re.compile(r"(<=|>=|<|>|≤|≥|~|≈|=)\s*")
BOUND_SIGNS = {0: "", 1: ">", -1: "<"}
"""Sign of a number, of a lower and of an upper bound."""
_SIDES = {"<": -1, "<=": -1, "≤": -1, ">": 1, ">=": 1, "≥": 1}


class Number(NamedTuple):
    """A number, or a bound.

    Attributes:
        value: The number; NaN if there is none.
        bound: 1 for a lower bound (``>10``), -1 for an upper one (``<10``), 0 for a number.

    Example:
        >>> Number(10.0, 1).bound
        1
    """

    value: float
    bound: int = 0


def is_missing(text: str, missing: Collection[str] | None = None) -> bool:
    """Return whether a field says that there is no value.

    Args:
        text: The field.
        missing: Texts, in lower case, that say so besides :data:`MISSING` and the errors of spreadsheets; None for no
            more. If the list is empty or holds ``""``, only its texts and empty fields are missing.

    Example:
        >>> [is_missing(text) for text in ("", "N/A", "#DIV/0!", "0")]
        [True, True, True, False]
        >>> is_missing("N/A", missing=["failed"]), is_missing("Failed", missing=["failed"])
        (True, True)
        >>> is_missing("None", missing=[]), is_missing("None", missing=["", "failed"])
        (False, False)
    """
    text = text.strip()
    if not text:
        return True
    words = missing or ()
    if text.lower() in words:
        return True
    usual = missing is None or (words and "" not in words)
    if usual and (text.lower() in MISSING or _SPREADSHEET_ERROR.fullmatch(text)):
        return True
    number = _as_float(text)
    return number is not None and any(_as_float(word) == number for word in words)


def _as_float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def decimal_of(texts: Iterable[str], *, delimiter: str = ",") -> str:
    """Return how the numbers of a column are written: with a decimal ``"point"`` or a decimal ``"comma"``.

    ``0,37`` can only have a decimal comma, and ``1,137,000`` and ``1,137.5`` only thousands separators. If all commas
    of the column are as in ``1,137``, which may be both, they are decimal commas in a table with semicolons between its
    columns, and thousands separators otherwise.

    Args:
        texts: Fields of the column.
        delimiter: Character between the columns of the table.

    Cost: O(length of the texts).

    Example:
        >>> decimal_of(["1,137", "0,37"]), decimal_of(["1,137"]), decimal_of(["1,137"], delimiter=";")
        ('comma', 'point', 'comma')
    """
    unclear = False
    for text in texts:
        if "," in text:
            plain = _bare(text)
            if _needs_comma(plain):
                return "comma"
            unclear = unclear or _is_unclear(plain)
    return "comma" if unclear and delimiter == ";" else "point"


def read_number(text: str, *, decimal: str = "auto", missing: Collection[str] | None = None) -> float | None:
    """Return the number of a field, NaN where it says that there is no value, and None for other words.

    Thousands may be separated by commas, spaces or apostrophes, or by points where the decimal sign is a comma.

    Args:
        text: The field; yes, true, no and false are 1 and 0.
        decimal: ``"point"``, ``"comma"`` or ``"auto"``, which reads both and returns None for ``1,137``, which may be
            1137 or 1.137.
        missing: See `is_missing`.

    Example:
        >>> read_number(" 1.5"), read_number("n/a"), read_number("yes"), read_number("> 10")
        (1.5, nan, 1.0, None)
        >>> read_number("1,137"), read_number("1,137", decimal="point"), read_number("1,137", decimal="comma")
        (None, 1137.0, 1.137)
    """
    if is_missing(text, missing):
        return math.nan
    plain = _plain(text)
    if plain in YES_NO:
        return YES_NO[plain]
    if decimal == "auto" and _is_unclear(plain):
        return None
    # Two groups of points can only be thousands; one group is that beside decimal commas.
    point_groups = _POINT_GROUPS.fullmatch(plain) and (decimal == "comma" or plain.count(".") > 1)
    if decimal != "point" and (_COMMA_NUMBER.fullmatch(plain) or point_groups):
        plain = plain.replace(".", "").replace(",", ".")
    elif decimal != "comma" and (_COMMA_GROUPS.fullmatch(plain) or _POINT_NUMBER.fullmatch(plain)):
        plain = plain.replace(",", "")
    return None if "_" in plain else _as_float(plain)


def read_bounded(text: str, *, decimal: str = "auto", missing: Collection[str] | None = None) -> Number | None:
    """Return the number or the bound of a field; None for other words.

    Args:
        text: The field; ``~`` and ``=`` before a number are left out.
        decimal: See `read_number`.
        missing: See `is_missing`.

    Example:
        >>> read_bounded(">10"), read_bounded("≤ 0.5"), read_bounded("=3"), read_bounded("high")
        (Number(value=10.0, bound=1), Number(value=0.5, bound=-1), Number(value=3.0, bound=0), None)
    """
    stripped = text.strip()
    sign = None if is_missing(stripped, missing) else _BOUND.match(stripped)
    value = read_number(stripped[sign.end() :] if sign else stripped, decimal=decimal, missing=missing)
    if value is None or (sign and math.isnan(value)):
        return None
    return Number(value, _SIDES.get(sign[1], 0) if sign else 0)


def is_numeric(text: str) -> bool:
    """Return whether a field is a number or a bound, with a decimal point or a decimal comma.

    Example:
        >>> [is_numeric(text) for text in ("0,5", "1.5", ">10", "n/a", "high")]
        [True, True, True, False, False]
    """
    return any(read_bounded(text, decimal=sign, missing=[""]) is not None for sign in ("point", "comma"))


def is_bound(text: str) -> bool:
    """Return whether a field is a bound: a number after one of ``< > <= >= ≤ ≥``.

    Example:
        >>> is_bound(" >10"), is_bound("10"), is_bound("~10"), is_bound("<LOD")
        (True, False, False, False)
    """
    sign = _BOUND.match(text.strip())
    return (
        sign is not None and sign[1] in _SIDES and read_bounded(text, decimal="point") not in (None, Number(math.nan))
    )


def decimal_sign(text: str) -> str:
    """Return the only decimal sign that a number or a bound can have, ``"point"`` or ``"comma"``; empty if unclear.

    Example:
        >>> [decimal_sign(text) for text in ("0.37", ">0,37", "1.137", "1,137", "5")]
        ['point', 'comma', '', '', '']
    """
    plain = _bare(text)
    if _needs_comma(plain):
        return "comma"
    return "point" if _POINT_ONLY.fullmatch(plain) and not _POINT_GROUPS.fullmatch(plain) else ""


def mixed_decimals(texts: Sequence[str]) -> tuple[int, int] | None:
    """Return the places of a number that can only have a decimal point and of one that can only have a comma.

    Example:
        >>> mixed_decimals(["1.5", "0,37"]), mixed_decimals(["1.137", "0,37"])
        ((0, 1), None)
    """
    first: dict[str | None, int] = {}
    for place, text in enumerate(texts):
        first.setdefault(decimal_sign(text), place)
    return (first["point"], first["comma"]) if {"point", "comma"} <= set(first) else None


def write_number(value: float, spread: float | None = None, *, digits: int = 6) -> str:
    """Return a number with some significant digits, and with more if its column varies less than its size.

    Args:
        value: The number.
        spread: Standard deviation of the column that it belongs to; None if unknown.
        digits: Number of significant digits of the part that varies.

    Example:
        >>> write_number(-999999.99812345), write_number(-999999.99812345, spread=0.01), write_number(0.25)
        ('-1e+06', '-999999.998123', '0.25')
    """
    return f"{value:.{count_digits(value, spread, digits=digits)}g}"


def count_digits(value: float, spread: float | None = None, *, digits: int = 6) -> int:
    """Return the number of significant digits with which `write_number` writes a number; arguments as there.

    Example:
        >>> count_digits(-999999.99812345), count_digits(-999999.99812345, spread=0.01)
        (6, 12)
    """
    if spread is not None and value and 0 < spread < math.inf and math.isfinite(value):
        digits += min(max(math.floor(math.log10(abs(value))) - math.floor(math.log10(spread)) - 1, 0), 11)
    return digits


def spread_of(values: Sequence[float] | np.ndarray) -> float | None:
    """Return the standard deviation of a column, for :func:`write_number`; None without a finite value.

    Args:
        values: The column; values that are not finite are left out.

    Example:
        >>> spread_of([1.0, 3.0, math.nan]), spread_of([math.nan])
        (1.0, None)
    """
    column = np.asarray(values, dtype=np.float64)
    known = column[np.isfinite(column)]
    return float(known.std()) if len(known) else None


def describe_missing(texts: Sequence[str], values: Iterable[float]) -> str:
    """Return which words of a column were read as missing, and how often; empty if there are none but empty fields.

    Args:
        texts: Fields of the column.
        values: What was read, NaN where missing.

    Example:
        >>> describe_missing(["1", "", "#N/A", "n.d.", "#N/A"], [1.0] + 4 * [math.nan])
        "'#N/A' (2 rows), 'n.d.' (1 row)"
    """
    absent = (text.strip() for text, value in zip(texts, values, strict=True) if math.isnan(value))
    counts = Counter(text for text in absent if text)
    shown = [f"{text!r} ({count:,} row{'s' * (count > 1)})" for text, count in counts.most_common(5)]
    return ", ".join(shown) + (", ..." if len(counts) > len(shown) else "")


def is_unclear(text: str, *, decimal: str = "point") -> bool:
    """Return whether the comma of a number or a bound may be a decimal comma or separate thousands.

    Args:
        text: The field.
        decimal: Decimal sign of its column; with ``"comma"`` the point of ``1.137`` is unclear too.

    Example:
        >>> is_unclear("1,137"), is_unclear("0,37"), is_unclear("1.137"), is_unclear("1.137", decimal="comma")
        (True, False, False, True)
    """
    return _is_unclear(_bare(text)) or is_grouped(text, decimal=decimal)


def is_grouped(text: str, *, decimal: str) -> bool:
    """Return whether the only sign of a number or a bound separates thousands, and could be its decimal sign elsewhere.

    Args:
        text: The field.
        decimal: Decimal sign of its column, ``"point"`` or ``"comma"``.

    Example:
        >>> is_grouped("1,137", decimal="point"), is_grouped(">1.137", decimal="comma")
        (True, True)
        >>> is_grouped("1.5", decimal="comma")
        False
    """
    plain = _bare(text)
    if decimal == "point":
        return _is_unclear(plain)
    return plain.count(".") == 1 and bool(_POINT_GROUPS.fullmatch(plain))


def shows_thousands(text: str, *, decimal: str) -> bool:
    """Return whether a number can only be one with separated thousands in a column with a decimal sign.

    Args:
        text: The field.
        decimal: Decimal sign of its column, ``"point"`` or ``"comma"``.

    Example:
        >>> shows_thousands("1,137.5", decimal="point"), shows_thousands("1,137", decimal="point")
        (True, False)
        >>> shows_thousands("1.137.000", decimal="comma"), shows_thousands("1,137.5", decimal="comma")
        (True, False)
    """
    plain = _bare(text)
    if decimal == "point":
        return bool(_POINT_NUMBER.fullmatch(plain)) or (plain.count(",") > 1 and bool(_COMMA_GROUPS.fullmatch(plain)))
    groups = plain.count(".") > 1 and _POINT_GROUPS.fullmatch(plain)
    return bool(groups or ("." in plain and _COMMA_NUMBER.fullmatch(plain)))


def is_about(text: str) -> bool:
    """Return whether a field is a number that is marked as approximate by ``~`` or ``≈``.

    Example:
        >>> is_about("~0.5"), is_about("0.5")
        (True, False)
    """
    readings = (read_bounded(text, decimal=sign, missing=[]) for sign in ("point", "comma"))
    return text.strip().startswith(("~", "≈")) and any(readings)


def _needs_comma(plain: str) -> bool:
    """Return whether a number can only be one with a decimal comma."""
    return bool(_COMMA_NUMBER.fullmatch(plain)) and not _COMMA_GROUPS.fullmatch(plain)


def _is_unclear(plain: str) -> bool:
    return plain.count(",") == 1 and bool(_COMMA_GROUPS.fullmatch(plain))


def _bare(text: str) -> str:
    """Return a number as `_plain` does, without the sign of a bound."""
    return _plain(_BOUND.sub("", text.strip(), count=1))


def _plain(text: str) -> str:
    """Return a number in lower case, with an ASCII minus and without spaces or apostrophes between thousands."""
    text = text.strip().lower().replace("\u2212", "-")
    groups = _SPACED_GROUPS.match(text)
    return groups[1] + groups[2].replace(groups[3], "") + text[groups.end() :] if groups else text
