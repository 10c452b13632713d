"""The features of the graphs of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES

Channels = int | Sequence[int] | None


@dataclass(frozen=True)
class Features:
    """Widths of the features of nodes and edges, as the constructor of a network takes them.

    Args:
        in_channels: Width of float node features, or the cardinalities of categorical ones; None if unknown.
        edge_channels: The same for edges; None without edge features.
        num_dims: Number of coordinates of the positions ``pos``; 0 without positions.

    Example:
        >>> Features(3, num_dims=3)
        Features(in_channels=3, edge_channels=None, num_dims=3)
    """

    in_channels: Channels
    edge_channels: Channels = None
    num_dims: int = 0


MOLECULES = Features(ATOM_CARDINALITIES, BOND_CARDINALITIES)
"""OGB's features of atoms and bonds."""
