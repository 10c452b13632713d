"""Molecules that the page offers as an example for a model."""

from __future__ import annotations

from collections.abc import Sequence

from pyg_samsa.chem.ogb_features import parse_smiles, why_too_large
from pyg_samsa.chem.peptide_sequences import sequence_to_smiles

COUNT = 5
_MOST_ATOMS = 100
_PEPTIDES = {
    "magainin 2": "GIGKFLHSAKKFGKAFVGEIMNS",
    "melittin": "GIGAVLKVLTTGLPALISWIKRKRQQ",
    "indolicidin": "ILPWKWPWWPWRR",
    "aurein 1.2": "GLFDIIKKIAESF",
    "oxytocin, linear": "CYIQNCPLG",
}
SHIPPED = {"peptides": _PEPTIDES}
"""Name of a model that comes with the package -> name of a peptide -> its letters."""


def example_of(model: str, training: Sequence[str] | None) -> list[str]:
    """Return lines of SMILES and names: some training molecules, or peptides for a model that comes with the package.

    Training molecules of more than 100 atoms are left out where there are smaller ones.

    Args:
        model: The model as it was given.
        training: Its training molecules; None if they are not known.

    Returns:
        At most ``COUNT`` lines; none if nothing is known.

    Example:
        >>> example_of("results/esol/0", ["C", "CC", "CCC"])
        ['C', 'CC', 'CCC']
        >>> [line.split(None, 1)[1] for line in example_of("peptides", None)][:2]
        ['magainin 2', 'melittin']
    """
    if training is not None:
        some = training[:: max(1, len(training) // COUNT)]
        small = [smiles for smiles in some if _is_small(smiles)]
        return (small or sorted(some, key=len))[:COUNT]
    return [f"{sequence_to_smiles(letters)} {name}" for name, letters in SHIPPED.get(model, {}).items()]


def _is_small(smiles: str) -> bool:
    mol = parse_smiles(smiles)
    return not isinstance(mol, str) and not why_too_large(mol, _MOST_ATOMS)
