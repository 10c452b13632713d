"""The molecules of a data set, as models on descriptors and predictors read them."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.chem.parsing import in_chunks, join_parsed, parse_stream
from pyg_samsa.datasets.base import per_graph
from pyg_samsa.datasets.molecule_descriptors import cached_descriptors
from pyg_samsa.datasets.splits import split_sizes
from pyg_samsa.errors import ConfigError
from pyg_samsa.predict import MoleculeInputs
from pyg_samsa.predict.stored_vectors import BLOCK_ROWS, StoredVectors, Vectors
from pyg_samsa.training.losses import clip_to_bounds

_HINT = "Set predictor.members network."
_IN_MEMORY = 2**29  # bytes of vectors; more are read from mapped files


class MoleculeRows:
    """The molecules of a data set as models on descriptors and predictors read them; descriptors are computed once.

    Args:
        dataset: A data set whose graphs have SMILES.
        name: Name of the data set, for errors.
        folder: Folder of the data sets, where descriptors are cached; None computes them.

    Raises:
        ConfigError: The graphs have no SMILES, or the task is not one of whole graphs.
    """

    def __init__(self, dataset: Any, name: str, folder: str | os.PathLike[str] | None = None) -> None:
        self.dataset, self.task, self.folder = dataset, dataset.task, folder
        self.smiles = smiles_of(dataset, name)
        self.splits = {split: np.sort(np.asarray(dataset.split_idx[split])) for split in split_sizes(dataset.split_idx)}
        y = per_graph(dataset, "y").reshape(len(dataset), -1).double().numpy()
        self.target: np.ndarray = y[:, 0] if self.task.kind == "multiclass" else y
        bounded = "y_bound" in dataset._data
        self.bound: np.ndarray | None = per_graph(dataset, "y_bound").numpy() if bounded else None
        self.extra_columns = tuple(getattr(dataset.features, "extra_columns", ()))
        self._read_by_network = tuple(getattr(dataset.features, "descriptors", ()))
        self.standardize = tuple(getattr(dataset.features, "standardize", ()))
        self._vectors: dict[str, np.ndarray] = {}
        self._inputs: dict[str, MoleculeInputs] = {}
        self._extra: np.ndarray | None = None

    def with_splits(self, splits: Mapping[str, np.ndarray]) -> MoleculeRows:
        """Return the same molecules with other splits; descriptors are shared.

        Args:
            splits: Split -> sorted rows.
        """
        other = copy.copy(self)
        other.splits, other._inputs = dict(splits), {}
        return other

    def measured(self, split: str) -> np.ndarray:
        """Return the targets of a split, with NaN for those that are only bounds."""
        rows = self.splits[split]
        return self.target[rows] if self.bound is None else np.where(self.bound[rows] == 0, self.target[rows], np.nan)

    def clipped(self, values: np.ndarray, split: str) -> np.ndarray:
        """Return predictions of a split with those on the right side of a bound set to it, as metrics need them."""
        if self.bound is None:
            return values
        rows = self.splits[split]
        given = (torch.from_numpy(np.asarray(part)) for part in (values, self.target[rows], self.bound[rows]))
        return clip_to_bounds(*given).numpy()

    def pool(self) -> np.ndarray:
        """Return the rows that are not test rows, sorted."""
        return np.sort(np.concatenate([rows for split, rows in self.splits.items() if split != "test"]))

    def vectors(self, names: Sequence[str], *, progress: bool = False) -> Vectors:
        """Return descriptors and extra columns of all molecules, float32 [G, F]: an array, or what reads mapped files.

        Args:
            names: Names of the descriptors.
            progress: Whether to show a progress bar.
        """
        parts = [*(self._stored(name, progress=progress) for name in names), self.extra()]
        stored = StoredVectors(parts)
        return stored if 4 * stored.shape[0] * stored.shape[1] > _IN_MEMORY else np.asarray(stored)

    def _stored(self, name: str, *, progress: bool = False) -> np.ndarray:
        """Return descriptors of all molecules [G, F] in the number type in which they are stored."""
        if name not in self._vectors:
            if self.folder is None:
                self._vectors[name] = compute_descriptors(self.smiles, [name], progress=progress)
            else:
                self._vectors[name] = cached_descriptors(name, self.smiles, self.folder, progress=progress).numpy()
        return self._vectors[name]

    def extra(self) -> np.ndarray:
        """Return the extra columns of all molecules, float32 [G, len(extra_columns)]."""
        if not self.extra_columns:
            return np.empty((len(self.smiles), 0), np.float32)
        if self._extra is None:
            self._extra = self.dataset.graph_features[:, -len(self.extra_columns) :].contiguous().numpy()
        return self._extra

    def inputs(self, split: str) -> Iterator[MoleculeInputs]:
        """Yield the molecules of a split as predictors read them, 8,192 at a time; a short split is parsed once.

        Args:
            split: Name of the split.
        """
        rows = self.splits[split]
        if len(rows) > BLOCK_ROWS:
            yield from (self._read(rows[begin : begin + BLOCK_ROWS]) for begin in range(0, len(rows), BLOCK_ROWS))
            return
        if split not in self._inputs:
            self._inputs[split] = self._read(rows)
        yield self._inputs[split]

    def _read(self, rows: np.ndarray) -> MoleculeInputs:
        parsed = join_parsed([parsed for _, parsed in parse_stream(in_chunks([self.smiles[row] for row in rows]))])
        kept = rows[parsed.kept]
        stored = {name: np.asarray(self._stored(name)[kept], np.float32) for name in self._read_by_network}
        extra = dict(zip(self.extra_columns, self.extra()[rows].T, strict=True))
        return MoleculeInputs(parsed._replace(descriptors=stored), extra)


def smiles_of(dataset: Any, name: str, *, hint: str = _HINT) -> Sequence[str]:
    """Return the SMILES of every graph.

    Args:
        dataset: Graphs with the attribute ``smiles``.
        name: Name of the data set, for the error.
        hint: Cure, for the error.

    Raises:
        ConfigError: The graphs have no SMILES, or the task is not one of whole graphs.

    Example:
        >>> from pyg_samsa.datasets.features import MOLECULES
        >>> from pyg_samsa.datasets.base import SplitDataset
        >>> from pyg_samsa.datasets.prepared import molecules_to_prepared
        >>> from pyg_samsa.chem import convert_smiles
        >>> from pyg_samsa.task import Task
        >>> smiles = ["CC", "C"]
        >>> table = convert_smiles(smiles, progress=False)
        >>> prepared = molecules_to_prepared(table, {}, y=torch.zeros(2, 1), smiles=smiles)
        >>> smiles_of(SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES), "mine")
        ['CC', 'C']
    """
    if dataset.task.level != "graph" or dataset.task.pairs:
        raise ConfigError("dataset.name", name, "a task of whole molecules", hint=hint)
    if not isinstance(getattr(dataset[0], "smiles", None), str):
        raise ConfigError("dataset.name", name, "molecules with SMILES", hint=hint)
    return per_graph(dataset, "smiles")
