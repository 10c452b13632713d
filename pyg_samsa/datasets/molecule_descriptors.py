"""Descriptors of the molecules of a data set beside their graphs, computed once and cached on disk."""

from __future__ import annotations

import copy
import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from pyg_samsa.chem.descriptors import DESCRIPTORS, check_descriptors, compute_descriptors, descriptor_labels
from pyg_samsa.datasets.base import load_tensors
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.files import atomic_write, lock, remove_partial
from pyg_samsa.options import Option

_LOGGER = logging.getLogger(__name__)
_VERSION = 1


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
        >>> from pyg_samsa.datasets.base import SplitDataset, molecules_to_prepared
        >>> from pyg_samsa.datasets.features import MOLECULES
        >>> from pyg_samsa.task import Task
        >>> smiles = ["CC", "C", "CO"]
        >>> prepared = molecules_to_prepared(convert_smiles(smiles, progress=False), {}, smiles=smiles)
        >>> dataset = SplitDataset(prepared, Task("binary", ["active"]), MOLECULES)
        >>> dataset = add_descriptors(dataset, ["maccs"], folder=tempfile.mkdtemp(), progress=False)
        >>> dataset[0].graph_features.shape, dataset.features.graph_channels
        (torch.Size([1, 167]), 167)

    Cost: that of `compute_descriptors`, once; 4 F bytes a molecule in memory.
    """
    key = "dataset.descriptors"
    check_descriptors(descriptors, key)
    if not descriptors:
        return dataset
    smiles = _smiles(dataset, descriptors, key)
    try:
        parts = [cached_descriptors(name, smiles, folder, progress=progress) for name in descriptors]
    except OSError as error:
        reason = f"a folder that can be written to ({error.strerror or error})"
        raise ConfigError("dataset.dir", str(folder), reason) from error
    widened = copy.copy(dataset)
    widened._data, widened._data_list = copy.copy(dataset._data), None
    if "graph_features" in dataset._data:
        parts.append(dataset._data.graph_features)
    widened._data["graph_features"] = torch.cat(parts, dim=1)
    if dataset.slices is not None:
        widened.slices = {**dataset.slices, "graph_features": torch.arange(len(smiles) + 1)}
    width = widened._data["graph_features"].size(1)
    widened.features = replace(dataset.features, descriptors=tuple(descriptors), graph_channels=width)
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
    """Return the descriptors of a list of molecules, float32 [G, F], from the cache in ``folder/descriptors``.

    Args:
        name: Name of the descriptors.
        smiles: G molecules.
        folder: Folder of the data sets.
        progress: Show a progress bar while they are computed.

    Raises:
        ConfigError: The name is unknown.
        SmilesError: A molecule cannot be read.

    Example:
        >>> import tempfile
        >>> cached_descriptors("maccs", ["CC", "C"], tempfile.mkdtemp(), progress=False).shape
        torch.Size([2, 167])
    """
    labels = descriptor_labels([name])
    digest = _name(["rdkit " + metadata.version("rdkit"), *labels, ""], smiles)
    path = Path(folder) / "descriptors" / f"{name}-{digest[:16]}.pt"
    shape = (len(smiles), len(labels))
    values = _cached(path, digest, shape)
    if values is not None:
        return values
    with lock(path):
        # Another process may have computed them in the meantime.
        values = _cached(path, digest, shape, tell=True)
        if values is None:
            remove_partial(path)
            values = torch.from_numpy(compute_descriptors(smiles, [name], progress=progress))
            stored = _smallest(values)
            content = {"format": _VERSION, "molecules": digest, "values": stored, "sha256": _hash(stored)}
            with atomic_write(path) as temporary:
                torch.save(content, temporary)
    return values


def _name(head: Sequence[str], smiles: Sequence[str]) -> str:
    """Return the hash of lines and molecules, without a text of all of them."""
    digest = hashlib.sha256("\n".join(head).encode())
    for text in smiles:
        digest.update(f"\n{text}".encode())
    return digest.hexdigest()


def _cached(path: Path, digest: str, shape: tuple[int, int], *, tell: bool = False) -> Tensor | None:
    if not path.is_file():
        return None
    try:
        content = load_tensors(path)
        if not isinstance(content, dict) or content.get("format") != _VERSION or content.get("molecules") != digest:
            raise DataIntegrityError(path, f"descriptors of format {_VERSION} and these molecules", "another file")
        values = content["values"]
        if values.shape != shape or _hash(values) != content["sha256"]:
            raise DataIntegrityError(path, f"sha256 {content['sha256']}", f"sha256 {_hash(values)}")
    except (DataIntegrityError, KeyError, AttributeError) as error:
        if tell:
            _LOGGER.warning("The descriptors are computed again: %s", error)
        return None
    return values.float()


def _smallest(values: Tensor) -> Tensor:
    """Return counts as small integers, and all else as it is."""
    for dtype in (torch.uint8, torch.int16):
        if torch.equal(values.to(dtype).to(values.dtype), values):
            return values.to(dtype)
    return values


def _hash(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().data).hexdigest()
