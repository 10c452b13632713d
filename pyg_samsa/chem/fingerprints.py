"""Molecules as counts of fragments, for models without graphs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np

from pyg_samsa.chem.molecule_vectors import VectorFunction, molecule_vectors
from pyg_samsa.options import Option, check_options


def morgan_counts(
    smiles: Sequence[str],
    *,
    radius: Annotated[int, Option("Radius of a fragment, in bonds around an atom; 2 is ECFP4.", low=0, high=10)] = 2,
    size: Annotated[int, Option("Number of counts of a fingerprint.", low=1, high=2**20)] = 2048,
    chirality: Annotated[bool, Option("Whether mirror images are different fragments.")] = False,
    workers: int | None = None,
    progress: bool = True,
) -> np.ndarray:
    """Count the circular fragments of each molecule: RDKit's Morgan count fingerprints, ECFP with counts.

    From Rogers and Hahn, `"Extended-Connectivity Fingerprints" <https://doi.org/10.1021/ci100050t>`_ (2010). A fragment
    is what lies within ``radius`` bonds around an atom; different fragments may share a count. With gradient-boosted
    trees they are a strong baseline for peptides:
    `"Molecular Fingerprints Are Strong Models for Peptide Function Prediction" <https://arxiv.org/abs/2501.17901>`_.

    Args:
        smiles: G molecules.
        radius: Bonds around an atom, 0 or more; 2 is ECFP4.
        size: Counts S of a fingerprint.
        chirality: Whether mirror images are different fragments.
        workers: Processes; None is one for each core that this process may use where the list is long, 1 stays in this
            process.
        progress: Show a progress bar.

    Shapes:
        - **output:** uint16 [G, S]

    Raises:
        SmilesError: A molecule cannot be read; its ``row`` counts from 1.
        ConfigError: A number is out of range.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> ethane, methane = morgan_counts(["CC", "C"], size=1024, progress=False)
        >>> sorted(ethane[ethane > 0].tolist()), sorted(methane[methane > 0].tolist())
        ([1, 2], [1])

    Cost: about 10 microseconds an atom, most of them to read the SMILES, and 2 S bytes a molecule.
    """
    check_options(morgan_counts, {"radius": radius, "size": size, "chirality": chirality})
    make = partial(_make_counter, radius=radius, size=size, chirality=chirality)
    return molecule_vectors(
        smiles, make, size, dtype=np.uint16, workers=workers, progress=progress, description="Fingerprints"
    )


def _make_counter(radius: int, size: int, chirality: bool) -> VectorFunction:
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=radius, fpSize=size, includeChirality=chirality)
    return partial(_counts, generator)


def _counts(generator: Any, molecule: Any) -> np.ndarray:
    return np.minimum(generator.GetCountFingerprintAsNumPy(molecule), np.iinfo(np.uint16).max)
