"""Molecules as PyG graphs: one at a time, or long lists in several processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch_geometric.data import Data

from pyg_samsa.chem.graph_table import GraphTable, join_tables
from pyg_samsa.chem.molecule_list import list_molecules
from pyg_samsa.chem.ogb_features import Refusal, import_rdkit, smiles_to_table
from pyg_samsa.chem.peptide_sequences import sequence_to_smiles
from pyg_samsa.chem.smiles_text import as_smiles
from pyg_samsa.errors import SmilesError
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.worker_pool import count_workers, in_chunks, map_chunks

_CHUNK = 64
_WORTH_WORKERS = 512


def smiles_to_data(smiles: str, *, row: int | None = None) -> Data:
    """Turn a SMILES into a graph with the features of the Open Graph Benchmark.

    Args:
        smiles: Molecule of N atoms and E / 2 bonds, as SMILES or ``rdkit.Chem.Mol``; salts, charges, isotopes,
            radicals, metals and dummy atoms are fine.
        row: Row of the file, for the error.

    Shapes:
        - **output:** ``x`` int64 [N, 9], ``edge_index`` int64 [2, E] with both directions of every bond, ``edge_attr``
          int64 [E, 3], ``smiles``.

    Raises:
        SmilesError: RDKit cannot read it, or it has no atoms.
        MissingDependencyError: RDKit is not installed.

    Example:
        >>> smiles_to_data("CC(=O)[O-].[Na+]")
        Data(x=[5, 9], edge_index=[2, 6], edge_attr=[6, 3], smiles='CC(=O)[O-].[Na+]')

    Cost: about 20 microseconds an atom.
    """
    smiles = as_smiles(smiles)
    table = smiles_to_table([smiles])
    if isinstance(table, Refusal):
        raise SmilesError(row, str(smiles), table.reason)
    return _data(table.x, table.edge_index, table.edge_attr, smiles)


def sequence_to_data(sequence: str, *, row: int | None = None, lower_case_is_d: bool = False) -> Data:
    """Convert a peptide in one-letter codes to a graph; see :func:`~pyg_samsa.chem.sequence_to_smiles`.

    Args:
        sequence: Peptide in one-letter codes.
        row: Row of the file, for the error.
        lower_case_is_d: Read small letters as D-amino acids instead of refusing them.

    Shapes:
        - **output:** as :func:`smiles_to_data`, plus the attribute ``sequence``.

    Raises:
        SmilesError: A letter is not one of the 20 amino acids.

    Example:
        >>> sequence_to_data("GA")
        Data(x=[10, 9], edge_index=[2, 18], edge_attr=[18, 3], smiles='NCC(=O)N[C@@H](C)C(=O)O', sequence='GA')
    """
    data = smiles_to_data(sequence_to_smiles(sequence, row=row, lower_case_is_d=lower_case_is_d), row=row)
    data.sequence = sequence
    return data


def smiles_to_data_list(
    smiles: Sequence[str], *, workers: int | None = None, progress: bool = True, max_atoms: int | None = None
) -> list[Data]:
    """Turn a list of SMILES into graphs, in several processes when the list is long.

    Args:
        smiles: Molecules, see `pyg_samsa.chem.molecule_list.list_molecules`.
        workers: Processes; None is one for each core that this process may use, 1 stays in this process.
        progress: Show a progress bar.
        max_atoms: A larger molecule is an error; None takes any.

    Raises:
        SmilesError: A molecule cannot be read or is too large; its ``row`` counts from 1.

    Example:
        >>> smiles_to_data_list(["CC", "C"], progress=False)[1]
        Data(x=[1, 9], edge_index=[2, 0], edge_attr=[0, 3], smiles='C')
    """
    smiles = list_molecules(smiles)
    table = convert_smiles(smiles, workers=workers, progress=progress, max_atoms=max_atoms)
    nodes = torch.from_numpy(table.num_nodes).tolist()
    edges = torch.from_numpy(table.num_edges).tolist()
    graphs, node, edge = [], 0, 0
    for text, n, e in zip(smiles, nodes, edges, strict=True):
        graphs.append(
            _data(
                table.x[node : node + n], table.edge_index[:, edge : edge + e], table.edge_attr[edge : edge + e], text
            )
        )
        node, edge = node + n, edge + e
    return graphs


def convert_smiles(
    smiles: Sequence[str],
    *,
    workers: int | None = None,
    progress: bool = True,
    description: str = "Molecules to graphs",
    max_atoms: int | None = None,
) -> GraphTable:
    """Turn a list of SMILES into one table of graphs, in several processes when the list is long.

    Args:
        smiles: Molecules, see `pyg_samsa.chem.molecule_list.list_molecules`.
        workers: Processes; None is one for each core that this process may use, 1 stays in this process.
        progress: Show a progress bar.
        description: Text of the progress bar.
        max_atoms: A larger molecule is an error; None takes any.

    Raises:
        SmilesError: A molecule cannot be read or is too large; its ``row`` counts from 1.
        ConfigError: ``workers`` is less than 1.

    Example:
        >>> convert_smiles(["CC", "C"], progress=False).num_nodes.tolist()
        [2, 1]

    Cost: 15,000 peptides of 150 atoms take about a minute of one core; the processes hand back small integers, 50 bytes
    an atom.
    """
    smiles = list_molecules(smiles)
    count = count_workers(workers, len(smiles), worthwhile=_WORTH_WORKERS)
    import_rdkit()
    tables: list[GraphTable] = [smiles_to_table([])]  # type: ignore[list-item]  # an empty list is never refused
    with progress_bar(description, len(smiles), enabled=progress) as advance:
        done = 0
        convert = partial(smiles_to_table, max_atoms=max_atoms)
        for _, table in map_chunks(convert, in_chunks(smiles, _CHUNK), workers=count):
            if isinstance(table, Refusal):
                raise table.error(smiles, done)
            tables.append(table)
            done += len(table.num_nodes)
            advance(len(table.num_nodes))
    return join_tables(tables)


def _data(x: object, edge_index: object, edge_attr: object, smiles: str) -> Data:
    as_tensor = torch.as_tensor
    return Data(
        x=as_tensor(x, dtype=torch.long),
        edge_index=as_tensor(edge_index, dtype=torch.long),
        edge_attr=as_tensor(edge_attr, dtype=torch.long),
        smiles=smiles,
    )
