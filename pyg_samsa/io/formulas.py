"""Texts that spreadsheets read as formulas, such as the name ``=1+1`` of a target.

They are escaped in CSV files that this package writes, and restored where it reads them. A leading apostrophe makes
them plain texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def escape_formula(text: str) -> str:
    """Return a text with an apostrophe before it, if a spreadsheet could read it as a formula.

    Such a text begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return, and is neither a number nor that
    sign alone. One that has apostrophes before such a sign gets another, so that `restore_formula` returns every text.

    Example:
        >>> [escape_formula(text) for text in ("=1+1_pred", "-0.5", "-", "C=O", "'=1")]
        ["'=1+1_pred", '-0.5', '-', 'C=O', "''=1"]
    """
    return f"'{text}" if _is_formula(text.lstrip("'")) else text


def restore_formula(text: str) -> str:
    """Return the text that `escape_formula` was given.

    Example:
        >>> [restore_formula(text) for text in ("'=1+1_pred", "''=1", "'n", "-0.5")]
        ['=1+1_pred', "'=1", "'n", '-0.5']
    """
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def escape_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose names and texts are escaped.

    Example:
        >>> import pandas as pd
        >>> print(escape_table(pd.DataFrame({"=1+1": [0.5], "run": ["@a"]})).to_csv(index=False))
        '=1+1,run
        0.5,'@a
        <BLANKLINE>
    """
    return _mapped(table, escape_formula)


def restore_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table that `escape_table` was given.

    Example:
        >>> import pandas as pd
        >>> restore_table(pd.DataFrame({"'=1+1": [0.5], "run": ["'@a"]})).to_dict("list")
        {'=1+1': [0.5], 'run': ['@a']}
    """
    return _mapped(table, restore_formula)


def _mapped(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    from pandas.api.types import is_numeric_dtype

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, str) else value

    result = table.copy()
    for place, kind in enumerate(table.dtypes):
        if not is_numeric_dtype(kind):
            result.isetitem(place, table.iloc[:, place].map(changed))
    result.columns = result.columns.map(changed)
    return result


def _is_formula(text: str) -> bool:
    if len(text) < 2 or not text.startswith(_SIGNS):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return text.startswith(("\t", "\r"))
