"""The rows of a table of molecules that are left out: errors, sentences and the list about them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyg_samsa.chem.ogb_features import TOO_LARGE, UNREADABLE
from pyg_samsa.datasets.molecules.csv_table import LeftOut
from pyg_samsa.datasets.molecules.molecule_shards import molecule_kind
from pyg_samsa.errors import SmilesError
from pyg_samsa.io.csv_rows import BLANK, COMMENT
from pyg_samsa.io.files import atomic_write
from pyg_samsa.io.formulas import escape_formula

RAISE_LIMIT = "Raise --max-atoms (dataset.max_atoms) to train with such molecules."
MOLECULE_KINDS = {kind: molecule_kind(kind) for kind in (UNREADABLE, TOO_LARGE)}
"""Kind of a refusal -> what rows that are left out for it are called."""
NO_TARGET = "row without target"
_SHOWN = 5


def describe_large(large: Sequence[LeftOut]) -> str:
    """Return which molecules are too large, as the end of the sentence about the rows that are left out.

    Example:
        >>> describe_large([LeftOut(3, "CCCC", "4 atoms, more than 3", "too large molecule")])
        ' (row 3 has 4 atoms, more than 3). Raise --max-atoms (dataset.max_atoms) to train with such molecules.'
    """
    if not large:
        return ""
    rows = ", ".join(str(one.row) for one in large[1 : 1 + _SHOWN]) + (", ..." if len(large) > 1 + _SHOWN else "")
    others = f"; too large as well: rows {rows}" if rows else ""
    return f" (row {large[0].row} has {large[0].reason}{others}). {RAISE_LIMIT}"


def refuse_rows(path: Path, refused: Sequence[LeftOut], total: int) -> SmilesError:
    """Return the error about rows whose molecule cannot be read.

    Args:
        path: The table.
        refused: The rows, at least one.
        total: Number of rows of the table.

    Example:
        >>> row = LeftOut(3, "C(", "RDKit cannot read this SMILES", "unreadable molecule")
        >>> str(refuse_rows(Path("a.csv"), [row], 9))
        "row 3: RDKit cannot read this SMILES: 'C('"
    """
    row, text, reason, _ = refused[0]
    if len(refused) > 1:
        others = ", ".join(str(other.row) for other in refused[1:_SHOWN]) + (", ..." if len(refused) > _SHOWN else "")
        reason = f"{reason} ({len(refused) - 1:,} more of {total:,} rows cannot be used: {others})"
    hint = f"Fix {path.name}, or leave such rows out with --skip-invalid (dataset.skip_invalid True)."
    return SmilesError(row, text, reason, hint=hint)


def describe_left_out(left_out: Sequence[LeftOut]) -> str:
    """Return how many rows are left out for which reasons; empty for none.

    Example:
        >>> describe_left_out([LeftOut(2, "", "blank line", "blank line")])
        '1 row left out (1 blank line)'
    """
    kinds = dict.fromkeys((BLANK, COMMENT, NO_TARGET, *MOLECULE_KINDS.values()), 0)
    for one in left_out:
        kinds[one.kind] += 1
    counts = ", ".join(
        f"{count:,} {kind.replace('row', 'rows') if count > 1 and 'row' in kind else kind + 's' * (count > 1)}"
        for kind, count in kinds.items()
        if count
    )
    return f"{len(left_out):,} row{'s' * (len(left_out) > 1)} left out ({counts})" if left_out else ""


def write_left_out(path: Path, left_out: Sequence[LeftOut]) -> None:
    """Write the list of the rows that are left out.

    Args:
        path: File to write.
        left_out: The rows.
    """
    with atomic_write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer: Any = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "smiles", "reason"])
        for one in sorted(left_out):
            writer.writerow([one.row, escape_formula(one.smiles), escape_formula(one.reason)])
