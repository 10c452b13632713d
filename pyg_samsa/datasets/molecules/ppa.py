"""ogbg-ppa: neighbourhoods of proteins in networks of their associations, by the group of species they come from."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.molecules.ogb import find_tables, read_table
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.sources import ogb_zip
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.unfold import open_gzip
from pyg_samsa.task import Task

NAME = "ogbg-ppa"
CLASSES, EDGE_CHANNELS = 37, 7
"""Groups of species, and kinds of association."""
NODE_CARDINALITIES = (1,)
"""Nodes have no features: they are all of one kind."""
_VERSION = 1
_ARCHIVE = "ogbg_ppi_medium"
_SPLITS = {"train": "train", "val": "valid", "test": "test"}
_CHUNK_ROWS = 2**20


class OGBPPA(SplitDataset):
    """OGB's ogbg-ppa: 158,100 neighbourhoods of proteins, in 37 classes of the species that they come from.

    From Hu et al., `"Open Graph Benchmark" <https://arxiv.org/abs/2005.00687>`_ (2020); CC-0 licence, split by species.
    Reads what is prepared, else the official tables in ``<root>/ogbg_ppa/raw`` and ``.../split/species``, else those
    that OGB's own loader has put into ``dataset/ogbg_ppa`` of the working folder, else the archive, which is downloaded
    with TLS; no hash was ever published, so the SHA-256 of the first download is recorded and checked later.

    Nodes are proteins without features; here they have the category 0, as in GraphGPS. An edge has seven numbers from 0
    to 1, one for each kind of association.

    Args:
        root: Folder of the data sets.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Attributes:
        ogb_name: The name of the set in OGB, for its ``Evaluator``.

    Shapes:
        - **item:** ``x`` int64 [N, 1], all 0; ``edge_index`` int64 [2, E]; ``edge_attr`` float [E, 7]; ``y`` int64 [1].

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or the tables do not fit together.

    Example:
        >>> dataset = OGBPPA("datasets")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (158100, 37)

    Cost: preparing 2,000 generated graphs of the mean size took 4 seconds and half a gigabyte. A directed edge takes up
    to 32 bytes of memory while the set is prepared, and on disk. The paper counts 2,266 edges per graph, in one
    direction, which makes 23 GB. A prepared set of this size is mapped and not read into memory.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        download: Download = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        self.ogb_name = NAME
        prepared = prepare_once(prepared_path(root), lambda: _find(Path(root), download, progress))
        task = Task("multiclass", [f"group {number}" for number in range(CLASSES)])
        features = Features(NODE_CARDINALITIES, EDGE_CHANNELS)
        super().__init__(prepared, task, features, transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str]) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets").as_posix()
        'datasets/ogbg_ppa/ogbg-ppa-v1.pt'
    """
    return Path(root) / NAME.replace("-", "_") / f"{NAME}-v{_VERSION}.pt"


def _find(root: Path, download: bool, progress: bool) -> Prepared:
    tables = ("num-node-list", "num-edge-list", "graph-label", "edge", "edge-feat")
    files = [f"raw/{table}.csv.gz" for table in tables]
    files += [f"split/species/{split}.csv.gz" for split in _SPLITS.values()]
    remote = ogb_zip(_ARCHIVE, molecules=False)
    folder = find_tables(NAME, root, files, remote, download=download, progress=progress)
    raw = folder / "raw"
    nodes, edges, y = (_column(raw / f"{table}.csv.gz") for table in tables[:3])
    for name, column in (("num-edge-list", edges), ("graph-label", y)):
        if len(column) != len(nodes):
            raise DataIntegrityError(raw / f"{name}.csv.gz", f"{len(nodes)} rows", f"{len(column)}")
    if bool((nodes < 0).any()) or bool((edges < 0).any()) or bool(((y < 0) | (y >= CLASSES)).any()):
        raise DataIntegrityError(raw, f"sizes of graphs, and classes 0 to {CLASSES - 1}", "other numbers")
    split_idx = {split: _column(folder / f"split/species/{file}.csv.gz") for split, file in _SPLITS.items()}
    if not torch.equal(torch.cat(list(split_idx.values())).sort().values, torch.arange(len(nodes))):
        expected = f"each of the {len(nodes)} graphs in exactly one split"
        raise DataIntegrityError(folder / "split/species", expected, "another split")
    with progress_bar(f"Reading {NAME}", 2 * int(edges.sum()), enabled=progress) as advance:
        edge_index = _read_edges(raw / "edge.csv.gz", nodes, edges, advance)
        edge_attr = _read_features(raw / "edge-feat.csv.gz", int(edges.sum()), advance)
    node_ends, edge_ends = (torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]) for sizes in (nodes, 2 * edges))
    x = torch.zeros(int(nodes.sum()), 1, dtype=torch.uint8)
    data = {"x": x, "edge_index": edge_index, "edge_attr": edge_attr, "y": y}
    slices = {"x": node_ends, "edge_index": edge_ends, "edge_attr": edge_ends, "y": torch.arange(len(nodes) + 1)}
    return Prepared(data, slices, split_idx)


def _column(path: Path) -> Tensor:
    table = read_table(path, int)
    if table.size(1) != 1:
        raise DataIntegrityError(path, "one number in each line", f"{table.size(1)} columns")
    return table.flatten()


def _read_edges(path: Path, nodes: Tensor, edges: Tensor, advance: Callable[[int], Any]) -> Tensor:
    """Return the edges of all graphs, each followed by its inverse as in OGB's loader: int16 or int32 [2, E]."""
    small = len(nodes) == 0 or int(nodes.max()) <= torch.iinfo(torch.int16).max
    graph = torch.arange(len(nodes), dtype=torch.int32).repeat_interleave(edges)
    both = torch.empty(2, 2 * len(graph), dtype=torch.int16 if small else torch.int32)
    begin = 0
    for chunk in _chunks(path, 2, len(graph), np.int64):
        end = begin + len(chunk)
        if bool(((chunk < 0) | (chunk >= nodes[graph[begin:end]].unsqueeze(1))).any()):
            raise DataIntegrityError(path, "numbers of nodes of the same graph", "other numbers")
        both[:, 2 * begin : 2 * end : 2] = chunk.T
        both[:, 2 * begin + 1 : 2 * end : 2] = chunk.flip(1).T
        advance(len(chunk))
        begin = end
    return both


def _read_features(path: Path, count: int, advance: Callable[[int], Any]) -> Tensor:
    """Return the features of all edges and of their inverses, float32 [E, 7]."""
    both = torch.empty(2 * count, EDGE_CHANNELS)
    begin = 0
    for chunk in _chunks(path, EDGE_CHANNELS, count, np.float32):
        end = begin + len(chunk)
        if not bool(chunk.isfinite().all()):
            raise DataIntegrityError(path, "finite numbers", "NaN or an infinite one")
        both[2 * begin : 2 * end] = chunk.repeat_interleave(2, 0)
        advance(len(chunk))
        begin = end
    return both


def _chunks(path: Path, columns: int, rows: int, dtype: Any) -> Iterator[Tensor]:
    """Yield a table in parts of about a million rows, and check its size."""
    import pandas as pd

    left = rows
    try:
        with open_gzip(path) as file:
            for part in pd.read_csv(file, header=None, dtype=dtype, chunksize=_CHUNK_ROWS) if rows else ():
                chunk = torch.from_numpy(part.to_numpy(copy=True))
                left -= len(chunk)
                if left < 0 or chunk.size(1) != columns:
                    raise DataIntegrityError(path, f"a table of ({rows}, {columns})", "another one")
                yield chunk
    except (ValueError, EOFError, OSError, zlib.error) as error:
        raise DataIntegrityError(path, "a table of numbers", f"something else ({error})") from error
    if left:
        raise DataIntegrityError(path, f"a table of ({rows}, {columns})", f"({rows - left}, {columns})")


register_dataset(
    NAME,
    OGBPPA,
    aliases=[("OGB", NAME), ("OGB", NAME.replace("-", "_"))],
    prepared_path=prepared_path,
)
