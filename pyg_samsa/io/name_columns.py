"""The column of a table that holds the names of molecules."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Columns with the names of molecules, the best first; spaces and hyphens count as underscores.
_NAMES = (
    *("name", "molecule_name", "compound_name", "drug_name", "mol_name", "common_name", "title", "iupac", "iupac_name"),
    *("compound", "molecule", "drug", "compound_id", "molecule_id", "mol_id", "id", "chembl_id", "molecule_chembl_id"),
    *("pubchem_id", "cid", "cas", "cas_number", "inchikey", "inchi_key"),
)
_NAME_ENDINGS = ("_name", "_id")


def find_names(header: Sequence[str], smiles: int | None = None) -> int | None:
    """Return the place of the column with the names of the molecules, or None.

    Args:
        header: Names of the columns.
        smiles: Place of the column of SMILES, which is no name; None for a file of structures.

    Example:
        >>> find_names(["iupac", "smiles", "expt"], 1), find_names(["smiles", "Batch ID"], 0), find_names(["smiles"], 0)
        (0, 1, None)
    """
    names = [re.sub(r"[\s-]+", "_", title.strip().lower()) for title in header]
    if smiles is not None:
        names[smiles] = ""
    known = next((names.index(name) for name in _NAMES if name in names), None)
    if known is not None:
        return known
    return next((place for ending in _NAME_ENDINGS for place, name in enumerate(names) if name.endswith(ending)), None)
