"""One vector for each molecule of a list, in several processes when the list is long.

Only numpy is imported here (and RDKit where it is used): this module is what the worker processes load.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from pyg_samsa.chem.molecule_list import list_molecules
from pyg_samsa.chem.ogb_features import Refusal, import_rdkit, parse_smiles
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.worker_pool import count_workers, in_chunks, map_chunks

_CHUNK = 64
VectorFunction = Callable[[Any], np.ndarray]
"""RDKit molecule -> vector [S]."""


def molecule_vectors(
    smiles: Sequence[str],
    make: Callable[[], VectorFunction],
    width: int,
    *,
    dtype: Any = np.float32,
    workers: int | None = None,
    worthwhile: int = 2048,
    progress: bool = True,
    description: str = "Molecules",
    on_done: Callable[[float], None] | None = None,
) -> np.ndarray:
    """Compute one vector for each molecule.

    Args:
        smiles: G molecules, see `pyg_samsa.chem.molecule_list.list_molecules`.
        make: Called once for each chunk of molecules; returns the function of a molecule. With several processes, an
            importable function or a `functools.partial` of one.
        width: Length S of a vector.
        dtype: Type of the result.
        workers: Processes; None is one for each core that this process may use where the list is long, 1 stays in this
            process.
        worthwhile: Shorter lists are done in this process.
        progress: Show a progress bar.
        description: Text of the progress bar.
        on_done: Called with numbers of molecules that are done, in place of the progress bar.

    Shapes:
        - **output:** ``dtype`` [G, S]

    Raises:
        SmilesError: A molecule cannot be read; its ``row`` counts from 1.
        ConfigError: ``workers`` is less than 1.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> def make_counter():
        ...     return lambda molecule: np.array([molecule.GetNumAtoms(), molecule.GetNumBonds()])
        >>> molecule_vectors(["CCO", "C"], make_counter, 2, progress=False).tolist()
        [[3.0, 2.0], [1.0, 0.0]]

    Cost: about 10 microseconds an atom to read the SMILES, and the function.
    """
    smiles = list_molecules(smiles)
    processes = count_workers(workers, len(smiles), worthwhile=worthwhile)
    import_rdkit()
    vectors = np.zeros((len(smiles), width), dtype=dtype)
    compute = partial(_chunk, make=make, width=width, dtype=dtype)
    with progress_bar(description, len(smiles), enabled=progress and on_done is None) as bar:
        advance = on_done or bar
        done = 0
        for _, part in map_chunks(compute, in_chunks(smiles, _CHUNK), workers=processes):
            if isinstance(part, Refusal):
                raise part.error(smiles, done)
            vectors[done : done + len(part)] = part
            done += len(part)
            advance(len(part))
    return vectors


def _chunk(smiles: Sequence[str], make: Callable[[], VectorFunction], width: int, dtype: Any) -> np.ndarray | Refusal:
    """Return the vectors of a chunk, or the first molecule that cannot be read."""
    compute = make()
    vectors = np.zeros((len(smiles), width), dtype=dtype)
    for position, text in enumerate(smiles):
        molecule = parse_smiles(text)
        if isinstance(molecule, str):
            return Refusal(position, molecule)
        vectors[position] = compute(molecule)
    return vectors
