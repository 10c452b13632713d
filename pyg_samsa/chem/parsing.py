"""Reads lists of SMILES: graphs of the valid ones, and the reasons why others are refused.

Only numpy is imported here (and RDKit where it is used): this module is what the worker processes load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from pyg_samsa.chem.descriptors import MAX_ATOMS, descriptor_function
from pyg_samsa.chem.graph_table import GraphTable, join_tables, make_table
from pyg_samsa.chem.molecule_changes import Change
from pyg_samsa.chem.molecule_list import list_molecules
from pyg_samsa.chem.molecule_vectors import VectorFunction
from pyg_samsa.chem.ogb_features import (
    TOO_LARGE,
    Refusal,
    clean_smiles,
    graph_arrays,
    import_rdkit,
    parse_smiles,
    why_too_large,
)
from pyg_samsa.chem.standardize import Standardized, StandardizeError, Standardizer
from pyg_samsa.io import worker_pool
from pyg_samsa.io.worker_pool import MOST, map_chunks
from pyg_samsa.options import check_integer

CHUNK = 256


class Parsed(NamedTuple):
    """The result of reading a list of SMILES.

    Attributes:
        table: Graphs of those that could be read, in order.
        kept: Their positions in the list.
        refused: Positions, reasons and kinds of reasons of the others.
        smiles: SMILES of those that could be read, without blanks around them; the canonical SMILES of standardised
            molecules.
        descriptors: Name of a descriptor -> float32 [K, F] of the K molecules that could be read; only those that were
            asked for.
        changes: The molecules that the standardisation changed.

    Example:
        >>> parsed = parse_molecules(["C("])
        >>> len(parsed.smiles), parsed.refused[0].position
        (0, 0)
    """

    table: GraphTable
    kept: list[int]
    refused: list[Refusal]
    smiles: list[str]
    descriptors: Mapping[str, np.ndarray] = MappingProxyType({})
    changes: Sequence[Change] = ()


def parse_molecules(
    smiles: Sequence[object],
    max_atoms: int | None = None,
    describe: Mapping[str, Callable[[], VectorFunction]] = MappingProxyType({}),
    standardize: Standardizer | None = None,
) -> Parsed:
    """Convert a list of SMILES in this process; invalid ones are refused.

    Args:
        smiles: Molecules; blanks around them are ignored.
        max_atoms: Refuse larger molecules; None takes any.
        describe: Name of a descriptor -> what makes its function, see
            :func:`~pyg_samsa.chem.descriptors.descriptor_function`. With descriptors, molecules of more than
            :obj:`~pyg_samsa.chem.descriptors.MAX_ATOMS` atoms are refused.
        standardize: Standardises the molecules that are not too large; those that cannot be standardised are refused.
            None, or one without steps, leaves them as they are.

    Example:
        >>> parsed = parse_molecules(["CC", "not a molecule", " C"])
        >>> parsed.table.num_nodes.tolist(), parsed.kept, parsed.smiles
        ([2, 1], [0, 2], ['CC', 'C'])
        >>> parsed.refused
        [Refusal(position=1, reason='RDKit cannot read this SMILES', kind='unreadable')]

    Cost: about 20 microseconds an atom, and the descriptors.
    """
    smiles = list_molecules(smiles)
    functions = {name: make() for name, make in describe.items()}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in functions}
    parts, kept, refused, read = [], [], [], []
    changes: list[Change] = []
    for position, text in enumerate(smiles):
        found = _read(position, text, max_atoms, standardize, described=bool(functions))
        if isinstance(found, Refusal):
            refused.append(found)
            continue
        molecule, arrays = found
        kept.append(position)
        parts.append(arrays)
        read.append(molecule.smiles)
        if molecule.steps:
            changes.append(Change(position, clean_smiles(str(text)), molecule.smiles, molecule.steps))
        for name, function in functions.items():
            rows[name].append(function(molecule.mol))
    descriptors = {name: np.stack(vectors) for name, vectors in rows.items() if vectors}
    return Parsed(make_table(parts), kept, refused, read, descriptors, changes)


def _read(
    position: int, text: object, max_atoms: int | None, standardize: Standardizer | None, *, described: bool
) -> tuple[Standardized, Any] | Refusal:
    """Return the molecule and the arrays of its graph, or why there are none."""
    mol = parse_smiles(text)
    if isinstance(mol, str):
        return Refusal(position, mol)
    if reason := why_too_large(mol, max_atoms):
        return Refusal(position, reason, TOO_LARGE)
    try:
        molecule = standardize.apply(mol) if standardize else Standardized(clean_smiles(str(text)), mol, ())
    except StandardizeError as error:
        return Refusal(position, error.reason)
    if described and (reason := why_too_large(molecule.mol, MAX_ATOMS)):
        return Refusal(position, f"{reason}, for which descriptors are computed", TOO_LARGE)
    try:
        return molecule, graph_arrays(molecule.mol)
    except Exception as error:  # RDKit has exception types of its own; one molecule must not stop a million others
        return Refusal(position, f"no graph ({type(error).__name__})")


def join_parsed(parts: Sequence[Parsed]) -> Parsed:
    """Concatenate the results of consecutive lists.

    Example:
        >>> joined = join_parsed([parse_molecules(["C", "?"]), parse_molecules(["CC"])])
        >>> joined.kept, [refusal.position for refusal in joined.refused]
        ([0, 2], [1])
    """
    kept: list[int] = []
    refused: list[Refusal] = []
    smiles: list[str] = []
    changes: list[Change] = []
    for part in parts:
        start = len(kept) + len(refused)
        changes += [change._replace(position=start + change.position) for change in part.changes]
        kept += [start + position for position in part.kept]
        refused += [refusal._replace(position=start + refusal.position) for refusal in part.refused]
        smiles += part.smiles
    # A part without readable molecules has no descriptors.
    names = dict.fromkeys(name for part in parts for name in part.descriptors)
    read = [part.descriptors for part in parts if part.kept]
    descriptors = {name: np.concatenate([found[name] for found in read]) for name in names}
    tables = [make_table([]), *(part.table for part in parts)]
    return Parsed(join_tables(tables), kept, refused, smiles, descriptors, changes)


def parse_stream(
    chunks: Iterable[Sequence[object]],
    *,
    workers: int = 1,
    max_atoms: int | None = None,
    descriptors: Sequence[str] = (),
    standardize: Sequence[str] = (),
    parse: Callable[..., Parsed] = parse_molecules,
) -> Iterator[tuple[Sequence[object], Parsed]]:
    """Convert a stream of lists of SMILES, and yield each list with its result, in order.

    Only a few lists are read ahead, so memory does not grow with the stream.

    Args:
        chunks: Lists of SMILES.
        workers: Processes that convert; 1 stays in this process.
        max_atoms: As in :func:`parse_molecules`.
        descriptors: Names of descriptors that are computed as well, see `pyg_samsa.chem.compute_descriptors`.
        standardize: Steps by which molecules are standardised, see `pyg_samsa.chem.standardize.Standardizer`.
        parse: Converts one list, such as `pyg_samsa.chem.mol_blocks.parse_blocks` for lists of blocks.

    Raises:
        ConfigError: ``workers`` is less than 1, or there is no such descriptor or step.

    Example:
        >>> [parsed.kept for _, parsed in parse_stream([["C"], ["CC", "x"]])]
        [[0], [0]]
    """
    check_integer("workers", workers, high=MOST)
    import_rdkit()
    describe = {name: descriptor_function([name]) for name in descriptors}
    options: dict[str, Any] = {"standardize": Standardizer(standardize)} if standardize else {}
    function = partial(parse, max_atoms=max_atoms, describe=describe, **options)
    yield from map_chunks(function, map(list, chunks), workers=workers)


def in_chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """Yield lists of SMILES of a size that suits `parse_stream`.

    Example:
        >>> [len(chunk) for chunk in in_chunks(["C"] * 300)]
        [256, 44]
    """
    return worker_pool.in_chunks(items, size)
