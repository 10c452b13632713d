"""PCQM4Mv2: millions of small molecules with the gap of their orbitals, in the splits of GraphGPS."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from pyg_samsa.chem.smiles import convert_smiles
from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.molecules.ogb import OGB_ROOT
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, molecules_to_prepared, prepare_once
from pyg_samsa.datasets.raw_files import unpack_release
from pyg_samsa.datasets.sources import PCQM4M_ZIP
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io import safe_pickle
from pyg_samsa.io.unfold import open_gzip
from pyg_samsa.task import Task

_VERSION = 1
_FOLDER, _TABLE, _SPLIT = "pcqm4m-v2", "raw/data.csv.gz", "split_dict.pt"
NAMES = ("full", "subset")
SIZES = {"train": 3378606, "valid": 73545}
"""Published numbers of the molecules that have a gap."""
HELD_OUT, HELD_OUT_OF_SUBSET, SUBSET = 150_000, 50_000, 0.1
_SEED = 42


class PCQM4Mv2(SplitDataset):
    """PCQM4Mv2 of OGB's Large-Scale Challenge: 3.45 million molecules and their HOMO-LUMO gap in eV.

    From Hu et al., `"OGB-LSC" <https://arxiv.org/abs/2103.09430>`_ (2021); CC BY 4.0. Reads what is prepared, else
    OGB's table in ``<root>/pcqm4m-v2`` or in ``dataset/pcqm4m-v2`` of the working folder, else the archive, which is
    downloaded with TLS and compared with the MD5 of its authors. Molecules become graphs with OGB's features, by the
    reader of this package.

    The gaps of OGB's splits ``test-dev`` and ``test-challenge`` are secret, so these molecules are left out. The splits
    are those of `GraphGPS <https://arxiv.org/abs/2205.12454>`_: 150,000 training molecules, drawn with one seed, are
    for validation, and OGB's ``valid`` is the test split. A test error here is therefore what papers call the
    *validation* error of PCQM4Mv2.

    ====== =========== ========== ======== ====================================================
    name   train       val        test
    ====== =========== ========== ======== ====================================================
    full   3,228,606   150,000    73,545
    subset 322,860     50,000     73,545   a tenth of the others for training, for trying out
    ====== =========== ========== ======== ====================================================

    Args:
        root: Folder of the data sets; this one is in ``<root>/pcqm4m-v2``.
        name: ``"full"`` or ``"subset"``.
        workers: Processes that convert molecules; None is one for each core.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [N, 9], ``edge_index`` int64 [2, E], ``edge_attr`` int64 [E, 3], ``y`` float [1, 1].

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or is not the published data.

    Example:
        >>> dataset = PCQM4Mv2("datasets", "subset")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (446405, 1)

    Cost: all molecules are converted in memory: 20,000 of 12 atoms took 15 s of one busy core and 410 bytes each, of
        which there are two copies for a moment. So ``full`` takes about 40 minutes of one core.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str = "full",
        *,
        workers: int | None = None,
        download: Download = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if name not in NAMES:
            hint = "PCQM4Mv2-inference has no labels: predict its molecules with pyg-samsa predict."
            raise ConfigError("name", name, NAMES, hint=hint if name == "inference" else "")
        prepared = prepare_once(prepared_path(root, name), lambda: _find(Path(root), name, workers, download, progress))
        super().__init__(prepared, Task("regression", ["homolumogap"]), MOLECULES, transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str], name: str) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets", "full").as_posix()
        'datasets/pcqm4m-v2/pcqm4mv2-full-v1.pt'
    """
    return Path(root) / _FOLDER / f"pcqm4mv2-{name}-v{_VERSION}.pt"


def _find(root: Path, name: str, workers: int | None, download: bool, progress: bool) -> Prepared:
    folders = [root / _FOLDER, OGB_ROOT / _FOLDER]
    folder = next((one for one in folders if all((one / file).is_file() for file in (_TABLE, _SPLIT))), None)
    if folder is None:
        folder = folders[0]
        files = [_TABLE, _SPLIT]
        unpack_release(f"pcqm4mv2-{name}", root, PCQM4M_ZIP, folder, files, download=download, progress=progress)
    rows = split_rows(_official_split(folder / _SPLIT), name)
    chosen = np.sort(np.concatenate(list(rows.values())))
    smiles, gaps = _table(folder / _TABLE, chosen)
    graphs = convert_smiles(smiles, workers=workers, progress=progress, description=f"PCQM4Mv2 {name}")
    split_idx = {split: torch.from_numpy(np.searchsorted(chosen, part)) for split, part in rows.items()}
    return molecules_to_prepared(graphs, split_idx, y=torch.from_numpy(gaps).view(-1, 1))


def split_rows(official: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Return the rows of train, val and test, as GraphGPS draws them.

    Args:
        official: OGB's ``train`` and ``valid``, row numbers of the table.
        name: ``"full"`` or ``"subset"``.

    Example:
        >>> rows = split_rows({"train": np.arange(200_000), "valid": np.arange(200_000, 200_010)}, "full")
        >>> {split: len(part) for split, part in rows.items()}
        {'train': 50000, 'val': 150000, 'test': 10}
    """
    train = np.random.default_rng(_SEED).permutation(official["train"])
    val, train = train[:HELD_OUT], train[HELD_OUT:]
    if name == "subset":
        val, train = val[:HELD_OUT_OF_SUBSET], train[: int(SUBSET * len(train))]
    return {"train": train, "val": val, "test": official["valid"]}


def _official_split(path: Path) -> dict[str, np.ndarray]:
    content: Any = safe_pickle.load(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(split), np.ndarray) for split in SIZES):
        raise DataIntegrityError(path, f"rows of {' and '.join(SIZES)}", "something else")
    found = {split: np.asarray(content[split]).reshape(-1) for split in SIZES}
    together = np.concatenate(list(found.values()))
    whole = all(np.issubdtype(part.dtype, np.integer) for part in found.values()) and int(together.min()) >= 0
    if {split: len(part) for split, part in found.items()} != SIZES or not whole:
        raise DataIntegrityError(path, f"{SIZES} rows", {split: len(part) for split, part in found.items()})
    if len(np.unique(together)) != len(together):
        raise DataIntegrityError(path, "every molecule in one split", "one in several")
    return found


def _table(path: Path, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the SMILES and the gaps, float32, of some rows."""
    import pandas as pd

    columns = {"smiles": str, "homolumogap": np.float32}
    try:
        with open_gzip(path) as file:
            table = pd.read_csv(file, usecols=list(columns), dtype=columns)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise DataIntegrityError(path, "a table with smiles and homolumogap", f"something else ({error})") from error
    if int(rows[-1]) >= len(table):
        raise DataIntegrityError(path, f"more than {int(rows[-1]):,} rows", f"{len(table):,}")
    chosen = table.iloc[rows]
    gaps = chosen["homolumogap"].to_numpy(dtype=np.float32, copy=True)
    if np.isnan(gaps).any() or chosen["smiles"].isna().any():
        raise DataIntegrityError(path, "a molecule and a gap in every row of train and valid", "rows without")
    return chosen["smiles"].tolist(), gaps


for _name in NAMES:
    register_dataset(
        f"pcqm4mv2-{_name}",
        PCQM4Mv2,
        fixed={"name": _name},
        aliases=[("OGB", f"PCQM4Mv2-{_name}")],
        prepared_path=prepared_path,
    )
