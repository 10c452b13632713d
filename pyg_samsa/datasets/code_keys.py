"""Keys of the codes of Graph-Bridge in evaluation, computed once for all epochs."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.functional import GraphIndex, feature_keys
from pyg_samsa.functional.codes import keys_of_codes

_CHUNK_GRAPHS = 256


def add_code_keys(dataset: Any, kind: str, *, edge_features: bool) -> Any:
    """Return a shallow copy of a data set whose graphs have ``code_keys``, int64 [N]: the keys of their nodes.

    `pyg_samsa.nn.GraphTokenizer` computes the same keys for every batch that it evaluates if it does not get them. Only
    the rows that are evaluated, those of ``val`` and ``test``, have keys; the others have zeros.

    Args:
        dataset: The data set.
        kind: ``"structural"`` or ``"distinct"``, see `pyg_samsa.nn.GraphBridge`.
        edge_features: Whether the network reads the features of the edges.

    Returns:
        The copy; the data set itself if it is not a `SplitDataset` that holds several graphs with edges.

    Example:
        >>> from pyg_samsa.chem import convert_smiles
        >>> from pyg_samsa.datasets.prepared import molecules_to_prepared
        >>> from pyg_samsa.datasets.features import MOLECULES
        >>> from pyg_samsa.task import Task
        >>> splits = {"train": torch.tensor([0]), "val": torch.tensor([1])}
        >>> prepared = molecules_to_prepared(convert_smiles(["C", "CCC"], progress=False), splits, y=torch.zeros(2, 1))
        >>> dataset = SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES)
        >>> first, middle, last = add_code_keys(dataset, "structural", edge_features=True)[1].code_keys
        >>> bool(first == last), bool(first == middle)
        (True, False)

    Cost: That of one evaluation of the codes, see `structural_keys`.
    """
    rows = _evaluated_rows(dataset)
    if rows is None:
        return dataset
    data, nodes = dataset._data, dataset.slices["x"]
    keys = torch.zeros(data.x.size(0), dtype=torch.long)
    for some in rows.split(_CHUNK_GRAPHS):
        batch = dataset.make_batch(some.tolist())
        own = _keys(batch, kind, edge_features)
        places = torch.repeat_interleave(nodes[some] - batch.ptr[:-1], batch.ptr.diff()) + torch.arange(own.numel())
        keys[places] = own
    widened = copy.copy(dataset)
    widened._data, widened._data_list = copy.copy(data), None
    widened._data["code_keys"] = keys
    widened.slices = {**dataset.slices, "code_keys": nodes}
    return widened


def _evaluated_rows(dataset: Any) -> Tensor | None:
    """Return the rows of the splits that are evaluated, or None if the graphs cannot be given keys."""
    if not isinstance(dataset, SplitDataset) or dataset.slices is None or "edge_index" not in dataset.slices:
        return None
    if dataset._indices is not None or dataset.transform is not None or "x" not in dataset.slices:
        return None
    rows = [dataset.split_idx[split] for split in ("val", "test") if split in dataset.split_idx]
    return torch.cat(rows).unique() if rows else None


def _keys(batch: Any, kind: str, edge_features: bool) -> Tensor:
    index = GraphIndex.from_edges(batch.edge_index, batch.batch, batch.num_graphs)
    assert index is not None, "a collated batch is sorted by graph"
    edge_keys = feature_keys(batch.edge_attr) if edge_features and batch.get("edge_attr") is not None else None
    return keys_of_codes(kind, feature_keys(batch.x), batch.edge_index, index, edge_keys)
