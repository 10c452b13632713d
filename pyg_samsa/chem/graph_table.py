"""Molecular graphs laid end to end, as the worker processes return them; only numpy is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_WIDTHS = (9, 3)


class GraphTable(NamedTuple):
    """Molecular graphs laid end to end, in small integers.

    Shapes:
        - **x:** uint8 [N, 9], atoms of all graphs.
        - **edge_index:** int32 [2, E], both directions of every bond, atoms counted from 0 within their own graph.
        - **edge_attr:** uint8 [E, 3].
        - **num_nodes, num_edges:** int64 [G], sizes of the G graphs.

    Example:
        >>> from pyg_samsa.chem.ogb_features import smiles_to_table
        >>> table = smiles_to_table(["CC", "C"])
        >>> table.x.shape, table.num_nodes.tolist()
        ((3, 9), [2, 1])
    """

    x: np.ndarray
    edge_index: np.ndarray
    edge_attr: np.ndarray
    num_nodes: np.ndarray
    num_edges: np.ndarray


def make_table(graphs: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> GraphTable:
    """Lay graphs end to end.

    Args:
        graphs: Arrays x uint8 [N, 9], edge_index int32 [2, E] and edge_attr uint8 [E, 3] of each graph.

    Example:
        >>> make_table([]).x.shape
        (0, 9)
    """
    empty = (np.empty((0, _WIDTHS[0]), np.uint8), np.empty((2, 0), np.int32), np.empty((0, _WIDTHS[1]), np.uint8))
    x, edge_index, edge_attr = zip(empty, *graphs, strict=True)
    return GraphTable(
        np.concatenate(x),
        np.concatenate(edge_index, axis=1),
        np.concatenate(edge_attr),
        np.array([len(graph[0]) for graph in graphs], dtype=np.int64),
        np.array([len(graph[2]) for graph in graphs], dtype=np.int64),
    )


def join_tables(tables: Sequence[GraphTable]) -> GraphTable:
    """Lay tables end to end.

    Args:
        tables: At least one table.

    Example:
        >>> join_tables([make_table([]), make_table([])]).num_nodes.tolist()
        []
    """
    x, edge_index, edge_attr, num_nodes, num_edges = zip(*tables, strict=True)
    return GraphTable(
        np.concatenate(x),
        np.concatenate(edge_index, axis=1),
        np.concatenate(edge_attr),
        np.concatenate(num_nodes),
        np.concatenate(num_edges),
    )
