"""SMILES of RDKit molecules, for molecules of any size without a crash."""

from __future__ import annotations

import sys
from typing import Any

SAFE_ATOMS = 1_000
"""RDKit writes SMILES by recursion: molecules of some ten thousand atoms end the process, and others take minutes."""


def write_smiles(mol: Any, *, stereo: bool = True) -> str | None:
    """Return the canonical SMILES of a molecule; None for more than :data:`SAFE_ATOMS` atoms.

    Args:
        mol: ``rdkit.Chem.Mol``.
        stereo: Whether stereochemistry and isotopes are written.

    Example:
        >>> from pyg_samsa.chem.ogb_features import parse_smiles
        >>> write_smiles(parse_smiles("OCC")), write_smiles(parse_smiles("C" * 1001)) is None
        ('CCO', True)
    """
    from rdkit import Chem

    return Chem.MolToSmiles(mol, isomericSmiles=stereo) if mol.GetNumAtoms() <= SAFE_ATOMS else None


def write_ordered(mol: Any) -> tuple[str, list[int]] | None:
    """Return the canonical SMILES of a molecule, and for each of its atoms the number in the molecule; None as above.

    Args:
        mol: ``rdkit.Chem.Mol``.

    Example:
        >>> from pyg_samsa.chem.ogb_features import parse_smiles
        >>> write_ordered(parse_smiles("OCC"))
        ('CCO', [2, 1, 0])
    """
    text = write_smiles(mol)
    return None if text is None else (text, list(mol.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]))


def is_mol(molecule: Any) -> bool:
    """Return whether an object is a molecule of RDKit.

    Example:
        >>> from rdkit import Chem
        >>> is_mol(Chem.MolFromSmiles("C")), is_mol("C")
        (True, False)
    """
    chem = sys.modules.get("rdkit.Chem")  # there is no molecule where RDKit was not imported
    return chem is not None and isinstance(molecule, chem.Mol)


def as_smiles(molecule: Any) -> Any:
    """Return the SMILES of an object of RDKit, without explicit hydrogen; all else, and what has no SMILES, as it is.

    Args:
        molecule: ``rdkit.Chem.Mol``, or anything else. :func:`why_no_smiles` tells why an object is returned as it is.

    Example:
        >>> from rdkit import Chem
        >>> as_smiles(Chem.AddHs(Chem.MolFromSmiles("OCC"))), as_smiles("OCC")
        ('CCO', 'OCC')
    """
    if not is_mol(molecule):
        return molecule
    from rdkit import Chem, rdBase

    try:
        with rdBase.BlockLogs():
            text = write_smiles(Chem.RemoveHs(molecule)) if molecule.GetNumHeavyAtoms() <= SAFE_ATOMS else None
    except Exception:  # RDKit has exception types of its own
        text = None
    return molecule if text is None else text


def why_no_smiles(molecule: Any) -> str:
    """Return why `as_smiles` cannot write the SMILES of an object of RDKit.

    Example:
        >>> from pyg_samsa.chem.ogb_features import parse_smiles
        >>> why_no_smiles(parse_smiles("C" * 1001))
        '1,001 atoms, more than the 1,000 of which SMILES are written; pass its SMILES'
    """
    atoms = molecule.GetNumHeavyAtoms()
    reason = f"{atoms:,} atoms, more than the {SAFE_ATOMS:,} of which SMILES are written"
    return f"{reason if atoms > SAFE_ATOMS else 'RDKit cannot write the SMILES of this molecule'}; pass its SMILES"
