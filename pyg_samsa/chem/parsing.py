"""Reads lists of SMILES: graphs of the valid ones, and the reasons why others are refused.

Only numpy is imported here (and RDKit where it is used): this module is what the worker processes load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from pyg_samsa.chem.graph_table import GraphTable, join_tables, make_table
from pyg_samsa.chem.ogb_features import Refusal, graph_arrays, import_rdkit, parse_smiles
from pyg_samsa.io import worker_pool
from pyg_samsa.io.worker_pool import map_chunks
from pyg_samsa.options import check_integer

CHUNK = 256


class Parsed(NamedTuple):
    """The result of reading a list of SMILES.

    Attributes:
        table: Graphs of those that could be read, in order.
        kept: Their positions in the list.
        refused: Positions and reasons of the others.
        smiles: SMILES of those that could be read, without blanks around them.
    """

    table: GraphTable
    kept: list[int]
    refused: list[Refusal]
    smiles: list[str]


def parse_molecules(smiles: Sequence[object], max_atoms: int | None = None) -> Parsed:
    """Convert a list of SMILES in this process; invalid ones are refused.

    Args:
        smiles: Molecules; blanks around them are ignored.
        max_atoms: Refuse larger molecules; None takes any.

    Example:
        >>> parsed = parse_molecules(["CC", "not a molecule", " C"])
        >>> parsed.table.num_nodes.tolist(), parsed.kept, parsed.smiles, parsed.refused
        ([2, 1], [0, 2], ['CC', 'C'], [Refusal(position=1, reason='RDKit cannot read this SMILES')])

    Cost: about 20 microseconds an atom.
    """
    parts, kept, refused, read = [], [], [], []
    for position, text in enumerate(smiles):
        arrays = _read(text, max_atoms)
        if isinstance(arrays, str):
            refused.append(Refusal(position, arrays))
        else:
            kept.append(position)
            parts.append(arrays)
            read.append(str(text).strip())
    return Parsed(make_table(parts), kept, refused, read)


def _read(text: object, max_atoms: int | None) -> Any | str:
    mol = parse_smiles(text.strip() if isinstance(text, str) else text)
    if isinstance(mol, str):
        return mol
    if max_atoms is not None and mol.GetNumAtoms() > max_atoms:
        return f"{mol.GetNumAtoms():,} atoms, more than {max_atoms:,}"
    try:
        return graph_arrays(mol)
    except Exception as error:  # RDKit has exception types of its own; one molecule must not stop a million others
        return f"no graph ({type(error).__name__})"


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
    for part in parts:
        start = len(kept) + len(refused)
        kept += [start + position for position in part.kept]
        refused += [Refusal(start + position, reason) for position, reason in part.refused]
        smiles += part.smiles
    return Parsed(join_tables([make_table([]), *(part.table for part in parts)]), kept, refused, smiles)


def parse_stream(
    chunks: Iterable[Sequence[object]], *, workers: int = 1, max_atoms: int | None = None
) -> Iterator[tuple[Sequence[object], Parsed]]:
    """Convert a stream of lists of SMILES, and yield each list with its result, in order.

    Only a few lists are read ahead, so memory does not grow with the stream.

    Args:
        chunks: Lists of SMILES.
        workers: Processes that convert; 1 stays in this process.
        max_atoms: As in :func:`parse_molecules`.

    Raises:
        ConfigError: ``workers`` is less than 1.

    Example:
        >>> [parsed.kept for _, parsed in parse_stream([["C"], ["CC", "x"]])]
        [[0], [0]]
    """
    check_integer("workers", workers)
    import_rdkit()
    yield from map_chunks(partial(parse_molecules, max_atoms=max_atoms), map(list, chunks), workers=workers)


def in_chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """Yield lists of SMILES of a size that suits `parse_stream`.

    Example:
        >>> [len(chunk) for chunk in in_chunks(["C"] * 300)]
        [256, 44]
    """
    return worker_pool.in_chunks(items, size)
