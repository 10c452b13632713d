"""First rows of tables that hold a molecule in place of the names of columns."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyg_samsa.chem.ogb_features import parse_smiles
from pyg_samsa.io.csv_columns import SMILES_NAMES
from pyg_samsa.io.csv_rows import CsvRows, open_rows

_LOGGER = logging.getLogger(__name__)


def find_molecule(first: Sequence[str], second: Sequence[str], smiles_column: str = "") -> int | None:
    """Return where the first row of a table holds a molecule in place of the names of columns; None for a header.

    A row with a known name of a column of SMILES is a header. In a table of several columns, the molecule of the first
    row is above another one.

    Args:
        first: Fields of the first row.
        second: Fields of the next row; empty if there is none.
        smiles_column: Number of the column of SMILES, from 1; empty for any. The name of a column means a header.

    Example:
        >>> find_molecule(["CCO", "ethanol"], ["CCN", "ethylamine"]), find_molecule(["smiles", "C"], ["CCO", "1"])
        (0, None)
    """
    titles = [title.strip(" #").lower() for title in first]
    known = any(title in SMILES_NAMES or SMILES_NAMES[0] in title for title in titles)
    if known or (smiles_column and not smiles_column.isdecimal()):
        return None
    for place, text in enumerate(first):
        below = len(first) == 1 or not second or _is_smiles(second[place] if place < len(second) else "")
        if smiles_column in ("", str(place + 1)) and _is_smiles(text) and below:
            return place
    return None


def _is_smiles(text: str) -> bool:
    return not isinstance(parse_smiles(text), str)


@contextmanager
def open_molecules(
    source: Any, *, header: bool = True, smiles_column: str = "", name: str = ""
) -> Iterator[tuple[CsvRows, str]]:
    r"""Open a table of molecules for reading row by row, with or without a header.

    Args:
        source: Path, or an open binary stream, see `pyg_samsa.io.csv_rows.open_rows`.
        header: Whether the table is expected to have a header. If its first row holds a molecule all the same, it is
            read as a row, and a warning says so.
        smiles_column: Name or number of the column of SMILES; empty finds it.
        name: Name of a stream, for errors.

    Yields:
        The rows, and the column of SMILES: that of the argument, or its number in a table without a header.

    Example:
        >>> from io import BytesIO
        >>> with open_molecules(BytesIO(b"CCO ethanol\nCCN ethylamine\n")) as (rows, column):
        ...     column, list(rows)
        ('1', [['CCO ethanol'], ['CCN ethylamine']])
    """
    with open_rows(source, header=header, name=name) as rows:
        place = find_molecule(rows.header, rows.peek(), smiles_column) if rows.header else None
        if place is not None:
            _LOGGER.warning(
                "the first row holds the molecule %r and no names of columns: it is read as a row of a table "
                "without a header",
                rows.header[place].strip()[:40],
            )
            rows.take_header()
        yield rows, smiles_column if place is None else str(place + 1)
