"""Errors about fields of tables that hold no number, with what is in the way and the cure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

from pyg_samsa.errors import DataError
from pyg_samsa.io.cells import is_bound, read_number

_NUMBER = r"[+-]?\d*[.,]?\d+([.,]\d+)*"


class _Cause(NamedTuple):
    pattern: re.Pattern[str]
    cure: str


_CAUSES = [
    _Cause(re.compile(rf"{_NUMBER}\s*%"), "Write numbers without a unit: '45' or '0.45' instead of '45%'."),
    _Cause(
        re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([ T].*)?|\d{1,2}[-. ][A-Za-z]{3,9}[-. ]?(\d{2,4})?"),
        "It looks like a date, which spreadsheets make of numbers such as 1-2: write the number.",
    ),
    _Cause(
        re.compile(rf"{_NUMBER}\s*(±|\+/-|\+-).*|{_NUMBER}\s*\({_NUMBER}\)"),
        "Write the number alone, without a unit or an error.",
    ),
    _Cause(
        re.compile(rf"{_NUMBER}\s*(-|–|—|to|\.\.+)\s*{_NUMBER}(\s*\D*)?", re.IGNORECASE),
        "It looks like a range: write one number, such as its middle.",
    ),
    _Cause(
        re.compile(rf"{_NUMBER}(\s*[;|/:]\s*{_NUMBER})+|{_NUMBER}(\s+{_NUMBER})+|{_NUMBER}(,\s+{_NUMBER})+"),
        "It looks like several numbers: write one in each row.",
    ),
    _Cause(
        re.compile(rf"[$€£¥]\s*{_NUMBER}.*|{_NUMBER}\s*[^\d\s.,:/;|-].*|[A-Za-z]{{1,3}}\s+{_NUMBER}"),
        "Write the number alone, without a unit, a currency or an error.",
    ),
]


def cure_of(text: str) -> str:
    """Return the cure for a field that holds more than a number; empty for other words.

    Args:
        text: The field.

    Example:
        >>> cure_of("3-5"), cure_of("high")
        ('It looks like a range: write one number, such as its middle.', '')
    """
    text = text.strip()
    return next((cause.cure for cause in _CAUSES if cause.pattern.fullmatch(text)), "")


_MOST_OTHERS = 3


def refuse_text(
    text: str, *, row: int, column: str, hint: str = "", others: Sequence[tuple[str, int]] = (), target: bool = True
) -> DataError:
    """Return the error about a field that is no number.

    Args:
        text: The field.
        row: Its row, counted from 1 without the header.
        column: Name of its column.
        hint: What to do, for texts without a known cause.
        target: Whether it is a column of targets, where bounds can be read.
        others: Other texts of the column that are no numbers, and the first row of each.

    Example:
        >>> str(refuse_text("high", row=7, column="IC50", others=[("low", 9)]))
        "row 7, column 'IC50': 'high' is not a number, and neither is 'low' (row 9)"
        >>> error = refuse_text(">10", row=7, column="IC50")
        >>> str(error)
        "row 7, column 'IC50': '>10' is a bound, not a number"
    """
    text, what = text.strip(), "is not a number"
    if is_bound(text):
        what = "is a bound, not a number"
        cure = "--censored bounds trains with bounds, missing leaves them out, exact takes the numbers as they are."
        cure = cure if target else "Write a number: only targets may be bounds."
    elif readings := _readings(text):
        what = f"may be {' or '.join(readings)}" if len(readings) > 1 else what
        cure = "--decimal comma or --decimal point says how numbers are written."
    else:
        cure = cure_of(text)
    cure = cure or hint or "Leave the field empty where there is no value."
    named = [f"{other[:40]!r} (row {place})" for other, place in others[:_MOST_OTHERS]]
    if len(others) > _MOST_OTHERS:
        named.append(f"{len(others) - _MOST_OTHERS:,} more words")
    if named:
        told = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
        what += f", and neither {'is' if len(others) == 1 else 'are'} {told}"
    return DataError(f"row {row}, column {column!r}: {text[:40]!r} {what}", hint=cure)


def _readings(text: str) -> list[str]:
    """Return the numbers that a field may mean, with a decimal point and with a decimal comma."""
    numbers = (read_number(text, decimal=sign) for sign in ("point", "comma"))
    return list(dict.fromkeys(f"{number:.15g}" for number in numbers if number is not None and isfinite(number)))


def refuse_infinite(text: str, *, row: int, column: str) -> DataError:
    """Return the error about a number that float32 cannot hold; arguments as in `refuse_text`.

    Example:
        >>> str(refuse_infinite("1e300", row=7, column="IC50"))
        "row 7, column 'IC50': '1e300' is too large or infinite"
    """
    hint = "Leave the field empty where there is no value, or write numbers in a larger unit (at most 3e38)."
    return DataError(f"row {row}, column {column!r}: {text.strip()[:40]!r} is too large or infinite", hint=hint)
