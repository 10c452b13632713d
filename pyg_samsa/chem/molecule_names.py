"""Names by which molecules are split, and their order; only numpy is imported here: worker processes load this."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from pyg_samsa.chem.ogb_features import clean_smiles, import_rdkit
from pyg_samsa.chem.parsing import Parsed, parse_molecules
from pyg_samsa.chem.smiles_text import SAFE_ATOMS, write_smiles
from pyg_samsa.chem.standardize import Standardizer

_DIGEST = "S32"


def canonical_smiles(smiles: Sequence[str]) -> list[str]:
    """Return canonical SMILES of molecules that can be read; a molecule of more than 1,000 atoms keeps its text.

    Example:
        >>> canonical_smiles(["OCC", "C(O)C"])
        ['CCO', 'CCO']
    """
    import_rdkit()
    from rdkit import rdBase

    with rdBase.BlockLogs():
        return [_canonical(text) for text in smiles]


def _canonical(text: str) -> str:
    mol = import_rdkit().MolFromSmiles(clean_smiles(text))
    return text if mol is None else write_smiles(mol) or text


def scaffold_of(smiles: str) -> str:
    """Return the Bemis-Murcko scaffold of a molecule as SMILES; empty without a ring.

    A molecule of more than 1,000 atoms is its own scaffold.

    Args:
        smiles: SMILES that can be read.

    Example:
        >>> scaffold_of("Cc1ccccc1"), scaffold_of("CCO")
        ('c1ccccc1', '')
    """
    import_rdkit()
    from rdkit import Chem, rdBase
    from rdkit.Chem.Scaffolds import MurckoScaffold

    with rdBase.BlockLogs():
        try:
            mol = Chem.MolFromSmiles(clean_smiles(smiles))
            if mol.GetNumAtoms() > SAFE_ATOMS:
                return smiles
            return write_smiles(MurckoScaffold.GetScaffoldForMol(mol), stereo=False) or ""
        except Exception:  # a molecule with an invalid scaffold is its own scaffold
            return smiles


def rank_names(names: Iterable[str], seed: int) -> np.ndarray:
    """Return the rank of each name: a hash of seed and name, the same on every machine; ranks are sorted as bytes.

    Args:
        names: G names.
        seed: Seed of the order.

    Shapes:
        - **output:** 32 bytes [G]

    Example:
        >>> ranks = rank_names(["CCO", "C", "CCO"], seed=0)
        >>> bool(ranks[0] == ranks[2]), bool(ranks[0] == ranks[1])
        (True, False)

    Cost: 32 bytes a name, whatever its length.
    """
    found = b"".join(hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names)
    # NumPy leaves out zeros at the end of such a text and compares as if they were there: nothing is lost.
    return np.frombuffer(found, dtype=_DIGEST)


def parse_ranked(
    smiles: Sequence[object],
    *,
    max_atoms: int | None,
    split: str,
    seed: int,
    standardize: Standardizer | None = None,
) -> tuple[Parsed, np.ndarray, np.ndarray]:
    """Convert a list of SMILES in this process, with the ranks by which those that could be read are split.

    Args:
        smiles: Molecules; blanks around them are ignored.
        max_atoms: Refuse larger molecules; None takes any.
        split: ``"random"`` ranks molecules, ``"scaffold"`` scaffolds; anything else gives no ranks.
        seed: Seed of the split.
        standardize: Standardises the molecules, which are split by what they become.

    Returns:
        What was read, the ranks, and hashes of the molecules, which are those of ``"random"``: equal ones are equal
        molecules.

    Example:
        >>> parsed, ranks, names = parse_ranked(["OCC", "C(", "CCO"], max_atoms=None, split="column", seed=0)
        >>> parsed.kept, len(ranks), bool(names[0] == names[1])
        ([0, 2], 0, True)
    """
    parsed = parse_molecules(smiles, max_atoms, standardize=standardize)
    names = rank_names(canonical_smiles(parsed.smiles), seed)
    if split == "random":
        return parsed, names, names
    return parsed, rank_names(map(scaffold_of, parsed.smiles) if split == "scaffold" else (), seed), names
