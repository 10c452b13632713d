"""Descriptors of the molecules of a data set beside their graphs, computed once and cached on disk."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.chem.descriptors import DESCRIPTORS, check_descriptors, compute_descriptors, descriptor_labels
from pyg_samsa.datasets.cached_rows import RowFile, cached_rows, join_columns, naming_folder, parts_of
from pyg_samsa.errors import ConfigError, SmilesError
from pyg_samsa.options import Option

_VERSION = 1
_PART_ROWS, _PART_VALUES = 2**16, 2**25


def add_descriptors(
    dataset: Any,
    descriptors: Annotated[
        Sequence[str],
        Option(f"Descriptors of molecules that the network reads beside the graph: {', '.join(DESCRIPTORS)}."),
    ] = (),
    *,
    folder: str | os.PathLike[str],
    progress: bool = True,
) -> Any:
    """Return a shallow copy of a data set of molecules whose graphs have ``graph_features``, float32 [1, F].

    Each kind of descriptor is cached in ``folder/descriptors`` under the hash of the SMILES and the version of RDKit. A
    damaged file is computed again, with a warning. Features that the graphs have already, such as columns of a table,
    are kept at the end.

    Args:
        dataset: A data set of this package whose graphs have ``smiles``.
        descriptors: Names of descriptors, see `pyg_samsa.chem.compute_descriptors`; none returns the data set itself.
        folder: Folder of the data sets.
        progress: Show a progress bar while they are computed.

    Raises:
        ConfigError: A name is unknown, the graphs have no SMILES, or the folder cannot be written to.
        SmilesError: A molecule cannot be read.

    Example:
        >>> import tempfile
        >>> from pyg_samsa.chem import convert_smiles
        >>> from pyg_samsa.datasets.base import SplitDataset
        >>> from pyg_samsa.datasets.prepared import molecules_to_prepared
        >>> from pyg_samsa.datasets.features import MOLECULES
        >>> from pyg_samsa.task import Task
        >>> smiles = ["CC", "C", "CO"]
        >>> prepared = molecules_to_prepared(convert_smiles(smiles, progress=False), {}, smiles=smiles)
        >>> dataset = SplitDataset(prepared, Task("binary", ["active"]), MOLECULES)
        >>> dataset = add_descriptors(dataset, ["maccs"], folder=tempfile.mkdtemp(), progress=False)
        >>> dataset[0].graph_features.shape, dataset.features.graph_channels
        (torch.Size([1, 167]), 167)

    Cost: that of `compute_descriptors`, once; 4 F bytes a molecule, on disk where that is more than 32 MB.
    """
    key = "dataset.descriptors"
    check_descriptors(descriptors, key)
    if not descriptors:
        return dataset
    smiles = _smiles(dataset, descriptors, key)
    with naming_folder(folder):
        parts = [cached_descriptors(name, smiles, folder, progress=progress) for name in descriptors]
        if "graph_features" in dataset._data:
            parts.append(dataset._data["graph_features"])
        features = join_columns(parts, Path(folder) / "descriptors", progress=progress)
    widened = copy.copy(dataset)
    widened._data, widened._data_list = copy.copy(dataset._data), None
    widened._data["graph_features"] = features
    if dataset.slices is not None:
        widened.slices = {**dataset.slices, "graph_features": torch.arange(len(smiles) + 1)}
    widened.features = replace(dataset.features, descriptors=tuple(descriptors), graph_channels=features.size(1))
    return widened


def _smiles(dataset: Any, descriptors: Sequence[str], key: str) -> Sequence[str]:
    """Return the SMILES of all stored graphs."""
    data = getattr(dataset, "_data", None)
    found = None if data is None else data.get("smiles")
    if found is None:
        reason = f"none for {type(dataset).__name__}, whose graphs have no SMILES"
        raise ConfigError(key, list(descriptors), reason, hint=f"Remove {key}.")
    return [found] if isinstance(found, str) else found


def cached_descriptors(
    name: str, smiles: Sequence[str], folder: str | os.PathLike[str], *, progress: bool = True
) -> Tensor:
    """Return the descriptors of a list of molecules [G, F] from the cache in ``folder/descriptors``.

    They are computed in parts of at most 65,536 molecules. A computation that is killed keeps its finished parts.

    Args:
        name: Name of the descriptors.
        smiles: G molecules.
        folder: Folder of the data sets.
        progress: Show a progress bar while they are computed.

    Returns:
        Numbers in the type in which they are stored: float32, and uint8 or int16 for counts.

    Raises:
        ConfigError: The name is unknown.
        SmilesError: A molecule cannot be read.
        OSError: The folder cannot be written to.

    Example:
        >>> import tempfile
        >>> cached_descriptors("maccs", ["CC", "C"], tempfile.mkdtemp(), progress=False).shape
        torch.Size([2, 167])
    """
    labels = descriptor_labels([name])
    digest = _name(["rdkit " + metadata.version("rdkit"), *labels, ""], smiles)
    path = Path(folder) / "descriptors" / f"{name}-{digest[:16]}.safetensors"
    file = RowFile(path, "descriptors", _VERSION, digest, (len(smiles), len(labels)))

    def compute(begin: int, end: int, advance: Callable[[float], None]) -> np.ndarray:
        try:
            return compute_descriptors(smiles[begin:end], [name], on_done=advance)
        except SmilesError as error:
            raise SmilesError(begin + (error.row or 0), error.text, error.reason) from None

    parts = parts_of(len(smiles), min(_PART_ROWS, max(1, _PART_VALUES // len(labels))))
    return cached_rows(file, parts, compute, integers=True, title="Descriptors", progress=progress)


def _name(head: Sequence[str], smiles: Sequence[str]) -> str:
    """Return the hash of lines and molecules, without a text of all of them."""
    digest = hashlib.sha256("\n".join(head).encode())
    for text in smiles:
        digest.update(f"\n{text}".encode())
    return digest.hexdigest()
