"""The features of the graphs of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES

Channels = int | Sequence[int] | None


@dataclass(frozen=True)
class Features:
    """Widths of the features of nodes, edges and graphs, as the constructor of a network takes them.

    Args:
        in_channels: Width of float node features, or the cardinalities of categorical ones; None if unknown.
        edge_channels: The same for edges; None without edge features.
        num_dims: Number of coordinates of the positions ``pos``; 0 without positions.
        descriptors: Names of the molecular descriptors at the start of ``graph_features``, see
            `pyg_samsa.chem.compute_descriptors`.
        extra_columns: Names of the columns of a table at the end of ``graph_features``.
        graph_channels: Number F of features of a graph, ``graph_features`` [1, F]; 0 without such features.
        standardize: Steps by which the molecules were standardised, see `pyg_samsa.chem.standardize.Standardizer`.

    Example:
        >>> Features(3, num_dims=3).num_dims
        3
    """

    in_channels: Channels
    edge_channels: Channels = None
    num_dims: int = 0
    descriptors: Sequence[str] = ()
    extra_columns: Sequence[str] = ()
    graph_channels: int = 0
    standardize: Sequence[str] = ()


MOLECULES = Features(ATOM_CARDINALITIES, BOND_CARDINALITIES)
"""OGB's features of atoms and bonds."""
