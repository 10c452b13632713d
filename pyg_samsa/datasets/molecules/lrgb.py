"""Peptides-func and Peptides-struct of the Long Range Graph Benchmark."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.chem.smiles import convert_smiles
from pyg_samsa.datasets import sources
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import Importer, register_dataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.molecules.lrgb_release import Release, check_release, find_release, prepare_release
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, molecules_to_prepared, prepare_once, save_prepared
from pyg_samsa.datasets.raw_files import fetch_files
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io import safe_pickle
from pyg_samsa.io.files import lock, remove_partial, verify
from pyg_samsa.options import Option
from pyg_samsa.task import SPLITS, Task

if TYPE_CHECKING:
    import pandas as pd

# fmt: off
FUNC_TARGETS = [
    "antifungal", "cell_cell_communication", "anticancer", "drug_delivery_vehicle", "antimicrobial", "antiviral",
    "antihypertensive", "antibacterial", "antiparasitic", "toxic",
]
STRUCT_TARGETS = [
    "Inertia_mass_a", "Inertia_mass_b", "Inertia_mass_c", "Inertia_valence_a", "Inertia_valence_b",
    "Inertia_valence_c", "length_a", "length_b", "length_c", "Spherocity", "Plane_best_fit",
]
# fmt: on
_FUNC_POSITIVES = (
    (966, 385, 698, 677, 6820, 2148, 1162, 2002, 217, 2825),
    (207, 79, 150, 146, 1464, 461, 250, 433, 43, 609),
    (205, 81, 147, 146, 1461, 468, 250, 431, 39, 610),
)
_VERSION = 1


@dataclass(frozen=True)
class _Official:
    """The authors' files of one of the two sets.

    Args:
        csv: Table to download.
        split: Split to download.
        csv_hashes: Tables that are accepted.
        release: The same set in PyG's release.
    """

    csv: RemoteFile
    split: RemoteFile
    csv_hashes: tuple[str, ...]
    release: Release


def _release(name: str, task: Task, positives: tuple[tuple[int, ...], ...] | None = None) -> Release:
    columns, sizes = ("x", "edge_attr", "edge_index", "y"), (10873, 2331, 2331)
    return Release(
        name, sources.LRGB_ZIPS[name], ".pt", columns, task, MOLECULES, 15535, (150.94, 307.30), sizes, positives
    )


def _known(*hashes: str | None) -> tuple[str, ...]:
    return tuple(known for known in hashes if known)


OFFICIAL = {
    "peptides-func": _Official(
        sources.FUNC_CSV,
        sources.FUNC_SPLIT,
        _known(sources.FUNC_CSV.known_hash, sources.FUNC_CSV_TEXT),
        _release("peptides-func", Task("multilabel", FUNC_TARGETS), _FUNC_POSITIVES),
    ),
    "peptides-struct": _Official(
        sources.STRUCT_CSV,
        sources.STRUCT_SPLIT,
        _known(sources.STRUCT_CSV.known_hash, sources.STRUCT_CSV_RAW.known_hash),
        _release("peptides-struct", Task("regression", STRUCT_TARGETS)),
    ),
}


class LRGBPeptides(SplitDataset):
    """Peptides-func or Peptides-struct: 15,535 peptides as molecular graphs; official split 10,873 / 2,331 / 2,331.

    From Dwivedi et al., `"Long Range Graph Benchmark" <https://arxiv.org/abs/2206.08164>`_ (2022), made of SATPdb; CC
    BY-NC 4.0. A graph has 150.94 atoms and 307.30 directed bonds on average, with OGB's features. Peptides-func: ten
    functions, multi-label. Peptides-struct: eleven shape descriptors, standardised over the whole set (mean 0, sample
    standard deviation 1), as the benchmark does.

    The data are taken from the first of these that is there:

    1. what was prepared before, in ``<root>/<name>``;
    2. the official CSV and split files in ``<root>/<name>/raw``, or wherever you have them, with :meth:`import_files`
       or ``pyg-samsa data import <name> --csv F --split F``;
    3. what PyG's ``LRGBDataset`` left in ``<root>/<name>``;
    4. the network, over TLS: ``release="csv"`` fetches the official files, whose hashes the authors published;
       ``release="pyg"`` fetches PyG's archive, which needs no RDKit but has no published hash (the first download's
       SHA-256 is recorded and checked from then on, and the numbers of graphs, nodes, edges and labels are compared
       with the known ones). Its graphs have no ``smiles`` and no ``sequence``.

    Args:
        root: Folder of the data sets.
        name: ``"peptides-func"`` or ``"peptides-struct"``.
        download: Whether missing files are downloaded.
        release: What is downloaded, ``"csv"`` or ``"pyg"``.
        workers: Processes that convert SMILES; None is one for each core.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [N, 9], ``edge_index`` int64 [2, E], ``edge_attr`` int64 [E, 3], ``y`` float [1, 10] or
          [1, 11].

    Raises:
        DataNotFoundError: None of the four is there.
        DataIntegrityError: A file is not the official one.

    Example:
        >>> dataset = LRGBPeptides("datasets", "peptides-func")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets, len(dataset.split_idx["test"])  # doctest: +SKIP
        (15535, 10, 2331)

    Cost: converting the CSV takes about a minute of one core, once; the prepared file has 62 MB and is loaded in a
    second.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str = "peptides-func",
        *,
        download: Download = True,
        release: Annotated[
            str, Option("Which release is downloaded: the authors' tables or PyG's archive.", ("csv", "pyg"))
        ] = "csv",
        workers: int | None = None,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        official = _official(name)
        if release not in ("csv", "pyg"):
            raise ConfigError("release", release, ["csv", "pyg"])
        source = release if download else None
        prepared = prepare_once(
            prepared_path(root, name), lambda: _find(Path(root) / name, official, source, workers, progress)
        )
        super().__init__(prepared, official.release.task, MOLECULES, transform=transform, root=root)

    @classmethod
    def import_files(
        cls,
        root: str | os.PathLike[str],
        name: str,
        *,
        csv: str | os.PathLike[str],
        split: str | os.PathLike[str],
        workers: int | None = None,
        progress: bool = True,
    ) -> LRGBPeptides:
        """Prepare the data set from the official files and return it; what was prepared before is replaced.

        Args:
            root: Folder of the data sets.
            name: ``"peptides-func"`` or ``"peptides-struct"``.
            csv: The authors' table (for Peptides-struct, with or without standardised targets).
            split: The authors' split pickle; read without running anything in it.
            workers: Processes that convert SMILES; None is one for each core.
            progress: Show a progress bar.

        Raises:
            DataNotFoundError: A file is not there.
            DataIntegrityError: A file is not the official one.
        """
        prepared = read_official(_official(name), Path(csv), Path(split), workers=workers, progress=progress)
        path = prepared_path(root, name)
        with lock(path):
            remove_partial(path)
            save_prepared(prepared, path)
        return cls(root, name, download=False)


def _official(name: str) -> _Official:
    if name not in OFFICIAL:
        raise ConfigError("name", name, sorted(OFFICIAL))
    return OFFICIAL[name]


def prepared_path(root: str | os.PathLike[str], name: str) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets", "peptides-func").parent.as_posix()
        'datasets/peptides-func'
    """
    return Path(root) / name / f"{name}-v{_VERSION}.pt"


def _find(folder: Path, official: _Official, source: str | None, workers: int | None, progress: bool) -> Prepared:
    csv, split = folder / "raw" / official.csv.name, folder / "raw" / official.split.name
    if csv.is_file() and split.is_file():
        return read_official(official, csv, split, workers=workers, progress=progress)
    prepared = find_release(official.release, folder, progress=progress)
    if prepared is not None:
        return prepared
    if source == "pyg":
        return prepare_release(official.release, folder, download=True, progress=progress)
    name = official.release.name
    hint = (
        f"To read them from another folder: `pyg-samsa data import {name} --csv {official.csv.name} "
        f"--split {official.split.name} --root {folder.parent}`."
    )
    remotes = [official.split, official.csv]
    fetch_files(name, folder / "raw", remotes, download=source is not None, progress=progress, hint=hint)
    return read_official(official, csv, split, workers=workers, progress=progress)


def read_official(official: _Official, csv: Path, split: Path, *, workers: int | None, progress: bool) -> Prepared:
    """Verify the official files and convert them.

    Raises:
        DataNotFoundError: A file is not there.
        DataIntegrityError: A file is not the official one.
    """
    import pandas as pd

    verify(split, *_known(official.split.known_hash))
    verify(csv, *official.csv_hashes)
    with csv.open("rb") as file:
        compression: Any = "gzip" if file.read(2) == b"\x1f\x8b" else None
    # pandas must not take the peptide "NA" for a missing value.
    table = pd.read_csv(csv, compression=compression, keep_default_na=False)
    split_idx = read_split(split, len(table))
    y = _func_labels(table, csv) if official.release.task.kind == "multilabel" else _struct_targets(table, csv)
    smiles = table["smiles"].tolist()
    graphs = convert_smiles(
        smiles, workers=workers, progress=progress, description=f"Converting {official.release.name}"
    )
    texts = {"smiles": smiles} | ({"sequence": table["peptide_seq"].tolist()} if "peptide_seq" in table else {})
    return check_release(official.release, molecules_to_prepared(graphs, split_idx, y=y, **texts), csv)


def read_split(path: Path, count: int) -> dict[str, Tensor]:
    """Read a split pickle and make sure that every one of ``count`` rows is in exactly one part.

    Raises:
        DataIntegrityError: It holds anything else.
    """
    content = safe_pickle.load(path)
    if not isinstance(content, dict) or set(content) != set(SPLITS):
        raise DataIntegrityError(path, "the arrays train, val and test", "something else")
    split_idx = {name: torch.as_tensor(content[name], dtype=torch.long).flatten() for name in SPLITS}
    if not torch.equal(torch.cat(list(split_idx.values())).sort().values, torch.arange(count)):
        raise DataIntegrityError(path, f"each of the {count} rows in exactly one split", "another split")
    return split_idx


def _func_labels(table: pd.DataFrame, path: Path) -> Tensor:
    labels = []
    for row, text in enumerate(table["labels"], start=1):
        try:
            values = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            values = None
        if (
            not isinstance(values, list)
            or len(values) != len(FUNC_TARGETS)
            or any(value not in (0, 1) for value in values)
        ):
            raise DataIntegrityError(path, f"{len(FUNC_TARGETS)} zeros and ones in row {row}", repr(text[:80]))
        labels.append(values)
    return torch.tensor(labels, dtype=torch.float)


def _struct_targets(table: pd.DataFrame, path: Path) -> Tensor:
    missing = [name for name in STRUCT_TARGETS if name not in table]
    if missing:
        raise DataIntegrityError(path, f"the columns {', '.join(STRUCT_TARGETS)}", f"no {', '.join(missing)}")
    targets = table[STRUCT_TARGETS].astype(float)
    # A table that is standardised already passes unchanged.
    return torch.tensor(((targets - targets.mean()) / targets.std()).to_numpy(), dtype=torch.float)


for _name, _gps, _pyg in (
    ("peptides-func", "peptides-functional", "Peptides-func"),
    ("peptides-struct", "peptides-structural", "Peptides-struct"),
):
    register_dataset(
        _name,
        LRGBPeptides,
        fixed={"name": _name},
        aliases=[("OGB", _gps), ("PyG-LRGBDataset", _name), ("PyG-LRGBDataset", _pyg)],
        prepared_path=prepared_path,
        importer=Importer(partial(LRGBPeptides.import_files, name=_name), files=("csv", "split")),
    )
