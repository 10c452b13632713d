"""Molecules of SDF files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pyg_samsa.chem.molecule_vectors import VectorFunction
from pyg_samsa.chem.ogb_features import Refusal, import_rdkit, parse_smiles
from pyg_samsa.chem.parsing import Parsed, parse_molecules
from pyg_samsa.chem.smiles_text import SAFE_ATOMS, as_smiles, why_no_smiles
from pyg_samsa.chem.standardize import Standardizer

UNREADABLE = "RDKit cannot read this record"
_CHARACTERS = 10


def parse_blocks(
    blocks: Sequence[str],
    max_atoms: int | None = None,
    describe: Mapping[str, Callable[[], VectorFunction]] = MappingProxyType({}),
    standardize: Standardizer | None = None,
) -> Parsed:
    r"""Convert blocks of an SDF file (V2000 or V3000) as `pyg_samsa.chem.parsing.parse_molecules` converts SMILES.

    A structure becomes its canonical SMILES first, so predictions are those of the SMILES.

    Args:
        blocks: The records up to ``M  END``.
        max_atoms: As there.
        describe: As there.
        standardize: As there.

    Example:
        >>> from rdkit import Chem
        >>> parsed = parse_blocks(["nonsense", Chem.MolToMolBlock(Chem.MolFromSmiles("OCC"))])
        >>> parsed.smiles, parsed.refused[0].reason
        (['CCO'], 'RDKit cannot read this record')
    """
    molecules = [block_smiles(block) for block in blocks]
    there = [place for place, molecule in enumerate(molecules) if molecule is not None]
    parsed = parse_molecules([molecules[place] for place in there], max_atoms, describe, standardize)
    refused = [refusal._replace(position=there[refusal.position]) for refusal in parsed.refused]
    refused += [Refusal(place, why_unreadable(blocks[place])) for place, one in enumerate(molecules) if one is None]
    kept = [there[place] for place in parsed.kept]
    changes = [change._replace(position=there[change.position]) for change in parsed.changes]
    refused.sort(key=lambda refusal: refusal.position)
    return parsed._replace(kept=kept, refused=refused, changes=changes)


def block_smiles(block: str) -> Any:
    """Return the SMILES of a block, or the molecule of RDKit if it has none; None if RDKit cannot read it.

    Example:
        >>> block_smiles("nonsense") is None
        True
    """
    chem = import_rdkit()
    from rdkit import rdBase

    try:
        with rdBase.BlockLogs():
            molecule = chem.MolFromMolBlock(block)
    except Exception:  # RDKit has exception types of its own
        return None
    return None if molecule is None else as_smiles(molecule)


def why_unreadable(block: str) -> str:
    """Return why a block has no SMILES.

    Example:
        >>> why_unreadable("nonsense")
        'RDKit cannot read this record'
        >>> why_unreadable(smiles_block(""))
        'a structure without atoms'
    """
    chem = import_rdkit()
    from rdkit import rdBase

    try:
        with rdBase.BlockLogs():
            molecule = chem.MolFromMolBlock(block, sanitize=False)
            problems = [] if molecule is None else chem.DetectChemistryProblems(molecule)
    except Exception:  # RDKit has exception types of its own
        return UNREADABLE
    if molecule is None:
        return UNREADABLE
    if problems:
        return f"{UNREADABLE} ({problems[0].Message()})"
    return why_no_smiles(molecule) if molecule.GetNumAtoms() else "a structure without atoms"


def smiles_block(smiles: str, title: str = "") -> str:
    """Return a molecule as a block of an SDF file with flat coordinates.

    The structure is empty if it cannot be read, or has more than :data:`~pyg_samsa.chem.smiles_text.SAFE_ATOMS` atoms,
    for which coordinates take minutes or end the process.

    Args:
        smiles: The molecule.
        title: First line of the block.

    Example:
        >>> block_smiles(smiles_block("OCC", "ethanol")), smiles_block("C(").splitlines()[3][:6]
        ('CCO', '  0  0')

    Cost: about half a millisecond for a molecule of 30 atoms.
    """
    chem = import_rdkit()
    from rdkit import rdBase
    from rdkit.Chem.rdDepictor import Compute2DCoords

    # Reading a very long text may take minutes.
    mol = parse_smiles(smiles) if len(smiles) <= _CHARACTERS * SAFE_ATOMS else "too long"
    mol = chem.Mol() if isinstance(mol, str) or mol.GetNumAtoms() > SAFE_ATOMS else mol
    with rdBase.BlockLogs():
        if mol.GetNumAtoms():
            Compute2DCoords(mol)
        mol.SetProp("_Name", " ".join(title.split())[:80])
        try:
            return chem.MolToMolBlock(mol)
        except Exception:  # RDKit has exception types of its own, such as for rings without a Kekulé structure
            return chem.MolToMolBlock(chem.Mol())
