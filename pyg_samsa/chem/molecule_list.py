"""Lists of molecules in the forms that users have them in: lists, arrays, columns of tables, a single SMILES."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pyg_samsa.chem.smiles_text import as_smiles, is_mol
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.csv_columns import SMILES_NAMES


def list_molecules(molecules: Any, key: str = "smiles") -> list[Any]:
    """Return molecules as a list of SMILES.

    A single text or object of RDKit is one molecule. A table of pandas is read by its only column, or by the one that
    is called ``smiles``, ``ROMol`` or similar. Objects of RDKit become SMILES, see
    `pyg_samsa.chem.smiles_text.as_smiles`.

    Args:
        molecules: A list, an array [n] or [n, 1], a column or a table of pandas, any other iterable such as a supplier
            of RDKit, one SMILES, or one ``rdkit.Chem.Mol``.
        key: Name of the argument, for the error.

    Raises:
        ConfigError: It is none of these, or a table without such a column.

    Example:
        >>> list_molecules("CCO"), list_molecules(np.array([["CCO"], ["C"]]))
        (['CCO'], ['CCO', 'C'])
        >>> import pandas as pd
        >>> list_molecules(pd.DataFrame({"smiles": ["CCO", "C"], "logS": [0.1, 0.2]}))
        ['CCO', 'C']
        >>> from rdkit import Chem
        >>> list_molecules([Chem.MolFromSmiles("OCC"), "C"])
        ['CCO', 'C']
    """
    items = _items(molecules, key)
    return list(map(as_smiles, items)) if any(map(is_mol, items)) else items


def _items(molecules: Any, key: str) -> list[Any]:
    if isinstance(molecules, list):
        return molecules
    if isinstance(molecules, str):
        return [str(molecules)]
    if is_mol(molecules):
        return [molecules]
    if hasattr(molecules, "columns") and hasattr(molecules, "iloc"):
        return _column(molecules, key).tolist()
    if isinstance(molecules, np.ndarray):
        if molecules.ndim == 2 and molecules.shape[1] == 1:
            molecules = molecules[:, 0]
        if molecules.ndim > 1:
            raise ConfigError(key, f"an array of shape {list(molecules.shape)}", "one column of SMILES")
        return np.atleast_1d(molecules).tolist()
    if isinstance(molecules, Mapping | bytes) or not isinstance(molecules, Iterable):
        value = molecules if molecules is None else type(molecules).__name__
        raise ConfigError(key, value, "a list of SMILES or of RDKit's molecules, such as ['CCO', 'C']")
    return list(molecules)


def _column(table: Any, key: str) -> Any:
    names = [str(name) for name in table.columns]
    if len(names) == 1:
        return table.iloc[:, 0]
    lower = [name.strip().lower() for name in names]
    found = [place for place, name in enumerate(lower) if name in SMILES_NAMES]
    found = found or [place for place, name in enumerate(lower) if name == "romol"]
    if len(found) != 1:
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        raise ConfigError(
            key, f"a table with the columns {shown}", "one column of SMILES", hint="Pass table['column']."
        )
    return table.iloc[:, found[0]]
