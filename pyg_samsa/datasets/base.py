"""The base of all data sets: in-memory PyG data sets with a task and splits."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.data.separate import separate

from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.prepared import (
    Prepared,
    batch_of,
    cat_dim,
    select_graphs,
    widen,
    widen_graph,
)
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.nn.target_scale import scale_of
from pyg_samsa.task import Task


class SplitDataset(InMemoryDataset):
    """A PyG in-memory data set of all splits together, with its task, its features and its splits.

    Args:
        prepared: Graphs and splits.
        task: The targets.
        features: Widths of the features of nodes and edges.
        transform: Called on every graph on access.
        root: Folder of the data sets.

    Attributes:
        task: The targets.
        features: Widths of the features of nodes and edges.
        split_idx: ``"train"``, ``"val"`` and ``"test"`` -> int64 positions.

    Example:
        >>> from pyg_samsa.chem import convert_smiles
        >>> from pyg_samsa.datasets.features import MOLECULES
        >>> table = convert_smiles(["CC", "C", "CO"], progress=False)
        >>> splits = {"train": torch.tensor([0, 2]), "val": torch.tensor([1])}
        >>> from pyg_samsa.datasets.prepared import molecules_to_prepared
        >>> prepared = molecules_to_prepared(table, splits, y=torch.zeros(3, 1))
        >>> dataset = SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES)
        >>> dataset[dataset.split_idx["val"]][0], dataset.task.num_targets
        (Data(x=[1, 9], edge_index=[2, 0], edge_attr=[0, 3], y=[1, 1]), 1)
    """

    def __init__(
        self,
        prepared: Prepared,
        task: Task,
        features: Features,
        *,
        transform: Callable[[Data], Data] | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(None, transform)
        self.root = None if root is None else str(root)
        data = Data.from_dict(prepared.data)
        count = len(next(iter(prepared.slices.values()))) - 1
        # PyG returns the only graph of a set as it is stored, so its lists of texts are unwrapped here.
        if count == 1:
            data = Data.from_dict(
                {key: value if isinstance(value, Tensor) else value[0] for key, value in prepared.data.items()}
            )
        self._data, self.slices = data, prepared.slices if count != 1 else None
        self.split_idx = dict(prepared.split_idx)
        self.task, self.features = task, features

    @property
    def target_scale(self) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation, float64 [C], of the targets of the training rows; None without regression.

        Missing targets (NaN) are left out. A target without variation has the standard deviation 1.

        Example:
            >>> from pyg_samsa.datasets.features import Features
            >>> y, train = torch.tensor([[1.0], [3.0], [99.0]]), torch.tensor([0, 1])
            >>> graphs = Prepared({"y": y}, {"y": torch.arange(4)}, {"train": train})
            >>> SplitDataset(graphs, Task("regression", ["logP"]), Features(1)).target_scale
            (tensor([2.], dtype=torch.float64), tensor([1.], dtype=torch.float64))
        """
        if self.task.kind != "regression":
            return None
        train = self.split_idx["train"]
        if self.task.level == "graph":
            known = self._chosen(self._data.y.view(-1, self.task.num_targets))[train]
        else:
            known = torch.cat([self[row].y.view(-1, self.task.num_targets) for row in train.tolist()])
        return scale_of(known)

    @property
    def graph_features(self) -> Tensor | None:
        """Features of all graphs, float32 [G, F]; None without such features.

        Example:
            >>> from pyg_samsa.datasets.features import Features
            >>> data = {"y": torch.zeros(2, 1), "graph_features": torch.tensor([[1.0], [2.0]])}
            >>> graphs = Prepared(data, dict.fromkeys(data, torch.arange(3)), {})
            >>> SplitDataset(graphs, Task("binary", ["active"]), Features(1)).graph_features.tolist()
            [[1.0], [2.0]]
        """
        return self._chosen(self._data["graph_features"]) if "graph_features" in self._data else None

    def get(self, idx: int) -> Data:
        """Return one graph, its integers int64, except shortest paths."""
        if self.slices is None:
            return widen_graph(super().get(idx))
        # PyG's own method keeps every graph that it ever returned, some 8 KB each.
        data = separate(cls=Data, batch=self._data, idx=idx, slice_dict=self.slices, decrement=False)
        return widen_graph(data)

    def count_tokens(self, *, edges: bool = True) -> Tensor:
        """Return the number of nodes of each graph, with ``edges`` of nodes and directed edges: int64 [G].

        Example:
            >>> from pyg_samsa.chem import convert_smiles
            >>> from pyg_samsa.datasets.features import MOLECULES
            >>> from pyg_samsa.datasets.prepared import molecules_to_prepared
            >>> prepared = molecules_to_prepared(convert_smiles(["CC", "C"], progress=False), {}, y=torch.zeros(2, 1))
            >>> dataset = SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES)
            >>> dataset.count_tokens(), dataset.count_tokens(edges=False)
            (tensor([4, 1]), tensor([2, 1]))
        """
        nodes, links = (self._sizes(key) for key in ("x", "edge_index"))
        return nodes + links if edges else nodes

    def _sizes(self, key: str) -> Tensor:
        """Return how many rows of an attribute each graph has, int64 [G]; 0 where there is no such attribute."""
        if key not in self._data:
            return torch.zeros(len(self), dtype=torch.long)
        sizes = (
            torch.tensor([self._data[key].size(cat_dim(key, self._data[key]))]).expand(self.len())
            if self.slices is None
            else self.slices[key].diff()
        )
        return self._chosen(sizes)

    def _chosen(self, values: Tensor) -> Tensor:
        """Return the values of the graphs in this view of the data set, of one row per stored graph."""
        return values if self._indices is None else values[torch.as_tensor(list(self._indices), dtype=torch.long)]

    def make_batch(self, rows: Sequence[int]) -> Batch:
        """Return the batch of some graphs, equal to ``Batch.from_data_list`` but sliced from the stored tensors.

        Args:
            rows: Row numbers, at least one.

        Example:
            >>> from pyg_samsa.chem import convert_smiles
            >>> from pyg_samsa.datasets.features import MOLECULES
            >>> table = convert_smiles(["CC", "C", "CO"], progress=False)
            >>> from pyg_samsa.datasets.prepared import molecules_to_prepared
            >>> prepared = molecules_to_prepared(table, {}, y=torch.zeros(3, 1))
            >>> dataset = SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES)
            >>> dataset.make_batch([2, 0])
            DataBatch(x=[4, 9], edge_index=[2, 4], edge_attr=[4, 3], y=[2, 1], batch=[4], ptr=[3])

        Cost: about 10 times faster than collating single graphs.
        """
        slices = self.slices or {}
        plain = type(self).get is SplitDataset.get and self.transform is None and "x" in slices
        if not plain or any("batch" in key or "ptr" in key for key in slices):
            return Batch.from_data_list([self[row] for row in rows])
        chosen = torch.as_tensor(
            rows if self._indices is None else [self._indices[row] for row in rows], dtype=torch.long
        )
        # PyG's own keys() come in the order of a set, which changes from process to process.
        return batch_of(select_graphs(Prepared({key: self._data[key] for key in slices}, slices, {}), chosen))

    def get_idx_split(self) -> dict[str, Tensor]:
        """Return ``split_idx``; the name is that of OGB's data sets.

        Example:
            >>> prepared = Prepared({"y": torch.zeros(2)}, {"y": torch.arange(3)}, {"train": torch.tensor([0, 1])})
            >>> from pyg_samsa.datasets.features import Features
            >>> SplitDataset(prepared, Task("binary", ["active"]), Features(1)).get_idx_split()
            {'train': tensor([0, 1])}
        """
        return self.split_idx


def check_described(dataset: Any) -> None:
    """Raise an error unless a data set has a task, features, and splits with a training row.

    Raises:
        DataError: An attribute is missing.
        ConfigError: There are no training rows.

    Example:
        >>> check_described([])
        Traceback (most recent call last):
        pyg_samsa.errors.DataError: list lacks task, features, split_idx
    """
    missing = [name for name in ("task", "features", "split_idx") if not hasattr(dataset, name)]
    if missing:
        raise DataError(
            f"{type(dataset).__name__} lacks {', '.join(missing)}",
            hint="See pyg_samsa.datasets.SplitDataset for what these attributes hold.",
        )
    if not len(dataset.split_idx.get("train", ())):
        raise ConfigError("split_idx", sorted(dataset.split_idx), "a split 'train' with at least one row")


def per_graph(dataset: Any, key: str) -> Any:
    """Return the values of an attribute for all graphs: a tensor, or a sequence of texts.

    Args:
        dataset: Graphs.
        key: An attribute with one row, or one text, for each graph.

    Example:
        >>> from pyg_samsa.datasets.features import Features
        >>> graphs = Prepared({"y": torch.arange(3)}, {"y": torch.arange(4)}, {})
        >>> per_graph(SplitDataset(graphs, Task("binary", ["active"]), Features(1))[1:], "y")
        tensor([1, 2])

    Cost: nothing where they are stored so; other data sets are read graph by graph.
    """
    stored = None
    if isinstance(dataset, SplitDataset) and dataset.slices is not None and key in dataset.slices:
        plain = type(dataset).get is SplitDataset.get and dataset.transform is None
        stored = dataset._data[key] if plain and len(dataset._data[key]) == len(dataset.slices[key]) - 1 else None
    if stored is None:
        values = [dataset[row][key] for row in range(len(dataset))]
        return torch.cat(values) if isinstance(values[0], Tensor) else values
    rows = dataset._indices
    if isinstance(stored, Tensor):
        return widen(stored if rows is None else stored[list(rows)])
    return stored if rows is None else [stored[row] for row in rows]
