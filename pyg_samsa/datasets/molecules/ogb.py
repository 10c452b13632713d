"""OGB's molecule sets, read from their official tables without OGB's own loader."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.raw_files import unpack_release
from pyg_samsa.datasets.sources import RemoteFile, ogb_zip
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.unfold import open_gzip
from pyg_samsa.task import Task

if TYPE_CHECKING:
    import numpy as np

_VERSION = 1
_SPLITS = {"train": "train", "val": "valid", "test": "test"}
OGB_ROOT = Path("dataset")
"""The folder below the working folder in which OGB's own loader puts its sets, if it is not told otherwise."""
_RAW = ("edge", "num-node-list", "num-edge-list", "node-feat", "edge-feat", "graph-label")


class _Set(NamedTuple):
    archive: str
    targets: int
    regression: bool = False


SETS = {
    "ogbg-molbace": _Set("bace", 1),
    "ogbg-molbbbp": _Set("bbbp", 1),
    "ogbg-molclintox": _Set("clintox", 2),
    "ogbg-molmuv": _Set("muv", 17),
    "ogbg-molpcba": _Set("pcba", 128),
    "ogbg-molsider": _Set("sider", 27),
    "ogbg-moltox21": _Set("tox21", 12),
    "ogbg-moltoxcast": _Set("toxcast", 617),
    "ogbg-molhiv": _Set("hiv", 1),
    "ogbg-molesol": _Set("esol", 1, True),
    "ogbg-molfreesolv": _Set("freesolv", 1, True),
    "ogbg-mollipo": _Set("lipophilicity", 1, True),
    "ogbg-molchembl": _Set("chembl", 1310),
}
"""OGB's molecule sets: name -> archive, number of targets, and whether they are regressed."""


class OGBMolecules(SplitDataset):
    """One of OGB's molecule sets (``ogbg-molhiv``, ``ogbg-molpcba``, ...) with its official scaffold split.

    From Hu et al., `"Open Graph Benchmark" <https://arxiv.org/abs/2005.00687>`_ (2020); MIT licence, the data of
    MoleculeNet. Reads what is prepared, else the official tables in ``<root>/ogbg_mol.../raw`` and
    ``.../split/scaffold``, else those that OGB's own loader has put into ``dataset/ogbg_mol...`` of the working folder,
    else the archive, which is downloaded with TLS; no hash was ever published, so the SHA-256 of the first download is
    recorded and checked later. Measurements that are missing are NaN in ``y``.

    Args:
        root: Folder of the data sets.
        name: One of :data:`SETS`; OGB's spelling with underscores is understood.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` int64 [N, 9], ``edge_index`` int64 [2, E], ``edge_attr`` int64 [E, 3], ``y`` float [1,
          targets].

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or the tables do not fit together.

    Example:
        >>> dataset = OGBMolecules("datasets", "ogbg-molhiv")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (41127, 1)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str,
        *,
        download: Download = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        name = name.replace("_", "-")
        if name not in SETS:
            raise ConfigError("name", name, sorted(SETS))
        about = SETS[name]
        self.ogb_name = name
        prepared = prepare_once(prepared_path(root, name), lambda: _find(Path(root), name, download, progress))
        task = "regression" if about.regression else "binary" if about.targets == 1 else "multilabel"
        names = (
            [name.removeprefix("ogbg-mol")]
            if about.targets == 1
            else [f"target {number}" for number in range(about.targets)]
        )
        super().__init__(prepared, Task(task, names), MOLECULES, transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str], name: str) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets", "ogbg-molhiv").parent.as_posix()
        'datasets/ogbg_molhiv'
    """
    return Path(root) / name.replace("-", "_") / f"{name}-v{_VERSION}.pt"


def _find(root: Path, name: str, download: bool, progress: bool) -> Prepared:
    files = [f"raw/{table}.csv.gz" for table in _RAW] + [f"split/scaffold/{split}.csv.gz" for split in _SPLITS.values()]
    folder = find_tables(name, root, files, ogb_zip(SETS[name].archive), download=download, progress=progress)
    with progress_bar(f"Reading {name}", len(files), enabled=progress) as advance:
        tables = {}
        for table in _RAW:
            tables[table] = read_table(folder / f"raw/{table}.csv.gz", float if table == "graph-label" else int)
            advance(1)
        split_idx = {
            split: read_table(folder / f"split/scaffold/{file}.csv.gz", int).flatten()
            for split, file in _SPLITS.items()
        }
        advance(len(_SPLITS))
    return _assemble(tables, split_idx, SETS[name], folder)


def find_tables(
    name: str, root: Path, files: Sequence[str], remote: RemoteFile, *, download: bool, progress: bool
) -> Path:
    """Return the folder that holds the tables of a set of OGB, after their download if there is none.

    Args:
        name: Name of the set.
        root: Folder of the data sets.
        files: The tables, as paths in the folder of the set.
        remote: The archive that holds them.
        download: Whether it may be downloaded.
        progress: Show a progress bar.

    Raises:
        DataNotFoundError: There is no folder with all of them, and they may not or cannot be downloaded.
        DataIntegrityError: The archive is damaged, or lacks a table.

    Example:
        >>> find_tables("ogbg-ppa", Path("none"), ["raw/edge.csv.gz"], ogb_zip("ppa"), download=False, progress=False)
        Traceback (most recent call last):
        pyg_samsa.errors.DataNotFoundError: ogbg-ppa: ppa.zip is not in none/ogbg_ppa, and downloads are off
    """
    folder = root / name.replace("-", "_")
    for place in places_of(root, folder.name):
        if all((place / file).is_file() for file in files):
            return place
    unpack_release(name, folder, remote, folder, files, download=download, progress=progress)
    return folder


def places_of(root: Path, name: str) -> list[Path]:
    """Return the folders in which OGB's own loader may have put a set, in the order in which they are looked for.

    Args:
        root: Folder of the data sets.
        name: Name of the folder of the set.

    Example:
        >>> [place.as_posix() for place in places_of(Path("datasets"), "ogbg_code2")][:2]
        ['datasets/ogbg_code2', 'datasets/ogbg_code2_pyg']
    """
    return [place / f"{name}{ending}" for place in (root, OGB_ROOT) for ending in ("", "_pyg")]


def read_table(path: Path, kind: type) -> Tensor:
    r"""Return the numbers of one of OGB's tables [rows, columns].

    Args:
        path: A ``.csv.gz`` file without a header.
        kind: ``int`` or ``float``.

    Raises:
        DataIntegrityError: It holds something else.

    Example:
        >>> import gzip, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "edge.csv.gz"
        >>> _ = path.write_bytes(gzip.compress(b"0,1\n1,2\n"))
        >>> read_table(path, int).tolist()
        [[0, 1], [1, 2]]
    """
    import pandas as pd

    try:
        with open_gzip(path) as file:
            # A molecule whose only measurement is missing is an empty line.
            values: np.ndarray = pd.read_csv(file, header=None, skip_blank_lines=False).to_numpy(dtype=kind, copy=True)
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise DataIntegrityError(path, "a table of numbers", f"something else ({error})") from error
    return torch.from_numpy(values)


def _assemble(tables: dict[str, Tensor], split_idx: dict[str, Tensor], about: _Set, folder: Path) -> Prepared:
    nodes, bonds = tables["num-node-list"].flatten(), tables["num-edge-list"].flatten()
    y = tables["graph-label"].float()
    shapes = {
        "node-feat": (tables["node-feat"], (int(nodes.sum()), 9)),
        "edge-feat": (tables["edge-feat"], (int(bonds.sum()), 3)),
        "edge": (tables["edge"], (int(bonds.sum()), 2)),
        "graph-label": (y, (len(nodes), about.targets)),
        "num-edge-list": (bonds, (len(nodes),)),
    }
    for table, (value, shape) in shapes.items():
        if tuple(value.shape) != shape:
            raise DataIntegrityError(folder / f"raw/{table}.csv.gz", f"a table of {shape}", tuple(value.shape))
    if not torch.equal(torch.cat(list(split_idx.values())).sort().values, torch.arange(len(nodes))):
        raise DataIntegrityError(
            folder / "split/scaffold", f"each of the {len(nodes)} molecules in exactly one split", "another split"
        )
    # The tables hold one direction of every bond; OGB's loader puts the other one right behind it.
    ends = tables["edge"]
    edge_index = torch.stack([ends, ends.flip(1)], dim=1).reshape(-1, 2).t().contiguous()
    node_ends, edge_ends = (torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]) for sizes in (nodes, 2 * bonds))
    data = {
        "x": tables["node-feat"],
        "edge_index": edge_index,
        "edge_attr": tables["edge-feat"].repeat_interleave(2, dim=0),
        "y": y,
    }
    slices = {"x": node_ends, "edge_index": edge_ends, "edge_attr": edge_ends, "y": torch.arange(len(nodes) + 1)}
    return Prepared(data, slices, split_idx)


for _name in SETS:
    register_dataset(
        _name,
        OGBMolecules,
        fixed={"name": _name},
        aliases=[("OGB", _name), ("OGB", _name.replace("-", "_"))],
        prepared_path=prepared_path,
    )
