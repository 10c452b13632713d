"""ZINC with constrained solubility, as graph transformers are tested on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.molecules.lrgb_release import join_collated
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, load_tensors, prepare_once
from pyg_samsa.datasets.raw_files import fetch_files, unpack
from pyg_samsa.datasets.sources import ZINC_INDEX, ZINC_ZIP
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io import safe_pickle
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.task import SPLITS, Task

_VERSION = 1
_SIZES = {"subset": (10000, 1000, 1000), "full": (220011, 24445, 5000)}
_TASK, _FEATURES = Task("regression", ["penalized_logP"]), Features([28], [4])


class ZINC(SplitDataset):
    """ZINC: 12,000 (``"subset"``) or 249,456 (``"full"``) small molecules and their penalised logP.

    From Irwin et al. (2012) in the form of Dwivedi et al.,
    `"Benchmarking Graph Neural Networks" <https://arxiv.org/abs/2003.00982>`_ (2020). Reads what is prepared, else what
    PyG's ``ZINC`` left in the same folder, else the archive, which is downloaded with TLS; no hash was ever published,
    so the SHA-256 of the first download is recorded and checked later. Nothing in the files is executed.

    Args:
        root: Folder of the data sets; this one is in ``<root>/ZINC``.
        name: ``"subset"`` or ``"full"``.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [N, 1] (28 atom types), ``edge_index`` int64 [2, E], ``edge_attr`` int64 [E, 1] (bond
          types 1 to 3), ``y`` float [1, 1].

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or is not the published data.

    Example:
        >>> dataset = ZINC("datasets", "subset")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (12000, 1)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str = "subset",
        *,
        download: Download = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if name not in _SIZES:
            raise ConfigError("name", name, sorted(_SIZES))
        folder = Path(root) / "ZINC"
        prepared = prepare_once(prepared_path(root, name), lambda: _find(folder, name, download, progress))
        super().__init__(prepared, _TASK, _FEATURES, transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str], name: str) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets", "subset").parent.as_posix()
        'datasets/ZINC'
    """
    return Path(root) / "ZINC" / f"zinc-{name}-v{_VERSION}.pt"


def _find(folder: Path, name: str, download: bool, progress: bool) -> Prepared:
    processed = [folder / name / "processed" / f"{split}.pt" for split in SPLITS]
    if all(path.is_file() for path in processed):
        return _check(join_collated([load_tensors(path) for path in processed], processed), name, folder)
    raw = folder / "raw"
    names = [f"{split}.pickle" for split in SPLITS]
    unpacked = all((raw / file).is_file() for file in names)
    # An archive that was put beside raw/, or left there by an earlier version, is used too.
    place = folder if not (raw / ZINC_ZIP.name).is_file() and (folder / ZINC_ZIP.name).is_file() else raw
    ours = "zinc" if name == "subset" else "zinc-full"
    if not unpacked and place == folder:
        fetch_files(ours, folder, [ZINC_ZIP], download=download, progress=progress)
    remotes = [*([] if unpacked or place == folder else [ZINC_ZIP]), *(ZINC_INDEX.values() if name == "subset" else ())]
    downloaded = fetch_files(ours, raw, remotes, download=download, progress=progress)
    if not unpacked:
        archive = place / ZINC_ZIP.name
        unpack(archive, raw, names)
        if archive in downloaded:
            archive.unlink()
    parts = []
    with progress_bar(f"Reading ZINC {name}", len(SPLITS), enabled=progress) as advance:
        for split in SPLITS:
            parts.append(_collate(raw / f"{split}.pickle", _index(raw, split) if name == "subset" else None))
            advance(1)
    return _check(join_collated(parts, [raw / file for file in names]), name, raw)


def _index(raw: Path, split: str) -> list[int]:
    path = raw / f"{split}.index"
    try:
        return [int(number) for number in path.read_text().replace("\n", ",").split(",") if number.strip()]
    except ValueError as error:
        raise DataIntegrityError(path, "numbers separated by commas", str(error)) from error


def _collate(path: Path, index: list[int] | None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    molecules = safe_pickle.load(path, tensors=True)
    keys = {"atom_type", "bond_type", "logP_SA_cycle_normalized"}
    if not isinstance(molecules, (list, tuple)) or any(
        not isinstance(molecule, dict) or keys - molecule.keys() for molecule in molecules
    ):
        raise DataIntegrityError(path, f"a list of dictionaries with {', '.join(sorted(keys))}", "something else")
    if index is not None:
        if index and not 0 <= min(index) <= max(index) < len(molecules):
            raise DataIntegrityError(path, f"more than {max(index)} molecules", len(molecules))
        molecules = [molecules[position] for position in index]
    columns: dict[str, list[Tensor]] = {"x": [], "edge_index": [], "edge_attr": [], "y": []}
    for molecule in molecules:
        for key, value in _molecule(molecule).items():
            columns[key].append(value)
    data = {key: torch.cat(values, dim=Data().__cat_dim__(key, values[0])) for key, values in columns.items()}
    slices = {
        key: torch.tensor([0, *(value.size(Data().__cat_dim__(key, value)) for value in values)]).cumsum(0)
        for key, values in columns.items()
    }
    return data, slices


def _molecule(molecule: dict[str, Any]) -> dict[str, Tensor]:
    bonds = torch.as_tensor(molecule["bond_type"]).long()
    edge_index = bonds.nonzero().t()
    return {
        "x": torch.as_tensor(molecule["atom_type"]).long().view(-1, 1),
        "edge_index": edge_index,
        "edge_attr": bonds[edge_index[0], edge_index[1]],
        "y": torch.as_tensor(molecule["logP_SA_cycle_normalized"]).float().view(1),
    }


def _check(prepared: Prepared, name: str, where: Path) -> Prepared:
    missing = {"x", "edge_index", "edge_attr", "y"} - set(prepared.data)
    if missing:
        raise DataIntegrityError(
            where, "the attributes x, edge_index, edge_attr, y", f"no {', '.join(sorted(missing))}"
        )
    # PyG keeps bond types and targets as vectors; everything here has a column for each feature and target.
    for key in ("edge_attr", "y"):
        prepared.data[key] = prepared.data[key].reshape(-1, 1)
    sizes = tuple(len(prepared.split_idx[split]) for split in SPLITS)
    if sizes != _SIZES[name]:
        raise DataIntegrityError(where, f"{_SIZES[name]} molecules", sizes)
    return prepared


register_dataset("zinc", ZINC, fixed={"name": "subset"}, aliases=[("PyG-ZINC", "subset")], prepared_path=prepared_path)
register_dataset("zinc-full", ZINC, fixed={"name": "full"}, aliases=[("PyG-ZINC", "full")], prepared_path=prepared_path)
