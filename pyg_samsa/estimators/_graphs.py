"""Graphs of PyG as the estimators take them: checked one by one, in number types that the networks have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, HeteroData

from pyg_samsa.chem.molecule_changes import Change
from pyg_samsa.chem.molecule_list import list_molecules
from pyg_samsa.chem.parsing import parse_molecules
from pyg_samsa.chem.standardize import Standardizer
from pyg_samsa.errors import ConfigError, DataError, SAMSAError
from pyg_samsa.functional import cast_floats, edges_of
from pyg_samsa.functional.node_encodings import chunks_of_nodes, return_probabilities
from pyg_samsa.nn.encoding.feature_encoder import check_finite

_CHUNK_NODES = 2**12  # walks of more nodes at once take much memory where graphs are large
_ONE_KIND = "Graphs with several types of nodes are not supported: use to_homogeneous of the data."


def list_items(X: Any) -> list[Any]:
    """Return molecules or graphs as a list; a ``Batch`` is taken apart, and a single ``Data`` is one graph.

    Raises:
        ConfigError: ``X`` is no list of molecules, see `pyg_samsa.chem.molecule_list.list_molecules`.
        DataError: It holds graphs with several types of nodes, batches, or graphs beside other things.

    Example:
        >>> graph = Data(x=torch.ones(2, 1))
        >>> len(list_items(graph)), len(list_items(Batch.from_data_list([graph, graph]))), list_items("CCO")
        (1, 2, ['CCO'])
    """
    if isinstance(X, HeteroData):
        raise DataError("X is a HeteroData, not a list of graphs", hint=_ONE_KIND)
    if isinstance(X, Batch):
        return X.to_data_list()
    items = [X] if isinstance(X, Data) else list_molecules(X, "X")
    graphs = [isinstance(item, Data) for item in items]
    for number, item in enumerate(items):
        if isinstance(item, HeteroData):
            raise DataError(f"graph {number} is a HeteroData", hint=_ONE_KIND)
        if isinstance(item, Batch):
            hint = "Pass the graphs themselves, not a loader of batches."
            raise DataError(f"graph {number} is a batch of {item.num_graphs} graphs", hint=hint)
        if graphs[number] != graphs[0]:
            text = f"item {number} is a {type(item).__name__}, and item 0 is a {type(items[0]).__name__}"
            raise DataError(text, hint="Pass SMILES only, or graphs only.")
    return items


def standardized_items(
    items: list[Any], steps: Sequence[str], max_atoms: int | None = None
) -> tuple[list[Any], list[Change]]:
    """Return standardised molecules, and which of them were changed; without steps the items themselves.

    Args:
        items: Molecules as SMILES.
        steps: Steps of the standardisation.
        max_atoms: A larger molecule is an error; None takes any.

    Raises:
        ConfigError: The items are graphs.
        SmilesError: A molecule cannot be read or standardised.

    Example:
        >>> standardized_items(["OCC.O", "C"], ["fragment"])[0], standardized_items(["OCC.O"], [])[0]
        (['CCO', 'C'], ['OCC.O'])
    """
    if not steps:
        return items, []
    if items and isinstance(items[0], Data):
        raise ConfigError("standardize", list(steps), "() for graphs", hint="Pass SMILES to have them standardised.")
    parsed = parse_molecules(items, max_atoms, standardize=Standardizer(steps))
    if parsed.refused:
        raise parsed.refused[0].error(items)
    return parsed.smiles, list(parsed.changes)


def read_graphs(graphs: Sequence[Data], like: Data | None = None) -> list[Data]:
    """Return graphs with the attributes that the networks read.

    Floats of any precision become float32, a vector is one feature, ``adj_t`` stands in for ``edge_index``, and arrays
    become tensors. A graph without edges needs no ``edge_attr``.

    Args:
        graphs: The graphs, which are not changed.
        like: A graph whose features the others must match; by default the first one.

    Shapes:
        - **output:** ``x`` [N, F], ``edge_index`` int64 [2, E] and, if the graphs have it, ``edge_attr`` [E, F']

    Raises:
        DataError: An attribute is missing or does not fit; the error names graph and attribute.

    Example:
        >>> edges = torch.tensor([[0], [1]])
        >>> read_graphs([Data(x=torch.ones(2).double(), edge_index=edges, edge_attr=np.ones((1, 3)))])
        [Data(x=[2, 1], edge_index=[2, 1], edge_attr=[1, 3])]
    """
    read = [_read(number, graph) for number, graph in enumerate(graphs)]
    found = [graph for graph, _ in read]
    if not any(graph.edge_attr is not None for graph in found):
        _take_values(found, [values for _, values in read])
    reference = found[0] if like is None else like
    name = "graph 0" if like is None else "the graphs of the training"
    for number, graph in enumerate(found):
        _match(number, "x", graph.x, reference.x, name)
    _match_edges(found, like)
    return found


def _take_values(graphs: Sequence[Data], values: Sequence[Tensor | None]) -> None:
    """Make edge features of the values of sparse matrices, unless they say only that there is an edge."""
    if any(value is not None and bool((value != 1).any()) for value in values):
        for graph, value in zip(graphs, values, strict=True):
            graph.edge_attr = value


def _read(number: int, graph: Data) -> tuple[Data, Tensor | None]:
    """Return a graph that was checked, and the values of its sparse matrix."""
    if graph.x is None:
        hint = "Add features, such as torch_geometric.transforms.Constant."
        raise _error(number, "x", "is missing: there are no node features", hint)
    x = _features(number, "x", graph.x)
    given = graph.get("edge_index")
    sparse = given is None and graph.get("adj_t") is not None
    values = None
    if sparse:
        given, values = edges_of(graph.adj_t)
    edge_index = _edges(number, "adj_t" if sparse else "edge_index", given, x.size(0))
    attr = graph.get("edge_attr")
    made = Data(x=x, edge_index=edge_index)
    made.edge_attr = None if attr is None else _features(number, "edge_attr", attr)
    if made.edge_attr is not None and made.edge_attr.size(0) != edge_index.size(1):
        raise _error(number, "edge_attr", f"has {made.edge_attr.size(0)} rows for {edge_index.size(1)} edges")
    return made, None if values is None else _features(number, "adj_t", values)


def _features(number: int, name: str, given: Any) -> Tensor:
    value = _tensor(number, name, given)
    if value.dim() == 1:
        value = value[:, None]
    if value.dim() != 2:
        raise _error(number, name, f"has the shape {list(value.shape)}, expected [rows, features]")
    if not value.is_floating_point() and value.dtype != torch.bool:
        return value.long()
    try:
        value = cast_floats(f"graph {number}: {name}", value, torch.float32)
        check_finite(f"graph {number}: {name}", value)
    except SAMSAError as error:
        raise DataError(str(error), hint=error.hint) from None
    return value


def _edges(number: int, name: str, given: Any, nodes: int) -> Tensor:
    if given is None:
        return torch.empty(2, 0, dtype=torch.long)
    edges = _tensor(number, name, given)
    if edges.numel() == 0:
        return torch.empty(2, 0, dtype=torch.long)
    if edges.dim() != 2 or edges.size(0) != 2:
        hint = "Transpose it: edge_index.t()." if edges.dim() == 2 and edges.size(1) == 2 else ""
        raise _error(number, name, f"has the shape {list(edges.shape)}, expected [2, edges]", hint)
    whole = edges.long()
    if edges.dtype == torch.bool or bool((whole != edges).any()):
        raise _error(number, name, f"holds {edges.dtype}, expected numbers of nodes")
    low, high = int(whole.min()), int(whole.max())
    if low < 0 or high >= nodes:
        raise _error(number, name, f"names node {low if low < 0 else high}, and the graph has {nodes} nodes")
    return whole


def _tensor(number: int, name: str, given: Any) -> Tensor:
    if isinstance(given, Tensor):
        return given.detach().cpu()
    if isinstance(given, np.ndarray | list | tuple):
        try:
            return torch.as_tensor(np.asarray(given))
        except (TypeError, ValueError):
            pass
    raise _error(number, name, f"is a {type(given).__name__}, expected a tensor of numbers")


def _match(number: int, name: str, value: Tensor, reference: Tensor, other: str) -> None:
    if value.is_floating_point() != reference.is_floating_point():
        kinds = {True: "floats", False: "integers"}
        text = f"holds {kinds[value.is_floating_point()]}, and {other} {kinds[reference.is_floating_point()]}"
        raise _error(number, name, text)
    if value.size(1) != reference.size(1):
        raise _error(number, name, f"has {value.size(1)} features, and {other} {reference.size(1)}")


def _match_edges(graphs: Sequence[Data], like: Data | None) -> None:
    have = [number for number, graph in enumerate(graphs) if graph.edge_attr is not None]
    if like is not None and like.edge_attr is None:
        for graph in graphs:
            graph.edge_attr = None
        return
    if not have and like is None:
        return
    reference = graphs[have[0]].edge_attr if like is None else like.edge_attr
    name = f"graph {have[0]}" if like is None else "the graphs of the training"
    for number, graph in enumerate(graphs):
        if graph.edge_attr is not None:
            _match(number, "edge_attr", graph.edge_attr, reference, name)
        elif graph.edge_index.size(1):
            verb = "has" if like is None else "have"
            hint = "Give every graph with edges the same features, or none."
            raise _error(number, "edge_attr", f"is missing, and {name} {verb} it", hint)
        else:
            graph.edge_attr = reference.new_zeros(0, reference.size(1))


def _error(number: int, name: str, text: str, hint: str = "") -> DataError:
    return DataError(f"graph {number}: {name} {text}", hint=hint)


def texts_of(items: Iterable[Any]) -> list[Any]:
    """Return items without blanks around texts.

    Example:
        >>> texts_of([" C", None])
        ['C', None]
    """
    return [item.strip() if isinstance(item, str) else item for item in items]


def with_features(graphs: Sequence[Data], features: torch.Tensor | None) -> Sequence[Data]:
    """Return copies of graphs with ``graph_features`` [1, F], or the graphs themselves without features."""
    if features is None:
        return graphs
    copies = [graph.clone() for graph in graphs]
    for graph, row in zip(copies, features, strict=True):
        graph.graph_features = row[None]
    return copies


def with_targets(graphs: Sequence[Data], y: torch.Tensor) -> list[Data]:
    """Return copies of graphs with targets ``y`` [1, C], which share their tensors with the originals."""
    copies = []
    for graph, target in zip(graphs, y, strict=True):
        copy = Data(x=graph.x, edge_index=graph.edge_index, y=target[None])
        if graph.edge_attr is not None:
            copy.edge_attr = graph.edge_attr
        if graph.get("graph_features") is not None:
            copy.graph_features = graph.graph_features
        copies.append(copy)
    return copies


def add_walks(graphs: Sequence[Data], steps: int) -> None:
    """Compute the encodings of the atoms once, which the network would compute for each batch."""
    sizes = np.array([len(graph.x) for graph in graphs], np.int64)  # type: ignore[arg-type]
    for begin, end in chunks_of_nodes(np.append(0, sizes.cumsum()), _CHUNK_NODES):
        # Walks do not leave their graph, so that some graphs are one sparse matrix.
        part, ends = graphs[begin:end], sizes[begin:end].cumsum()
        edges = [
            graph.edge_index.numpy() + shift
            for graph, shift in zip(part, [0, *ends[:-1]], strict=True)
            if graph.edge_index is not None
        ]
        walks = return_probabilities(np.concatenate([np.empty((2, 0), np.int64), *edges], axis=1), ends[-1], steps)
        for graph, pe in zip(part, np.split(walks, ends[:-1]), strict=True):
            graph.pe = torch.from_numpy(pe)
