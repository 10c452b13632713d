"""Web pages of universities, pages of Wikipedia and actors: one graph each, with ten splits of its nodes."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce

from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.nodes.node_dataset import NodeDataset, NodeSplit, SplitIndex, one_graph
from pyg_samsa.datasets.option_types import Download, Seed
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.raw_files import fetch_files
from pyg_samsa.datasets.sources import geom_gcn_file
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.unfold import read_arrays
from pyg_samsa.task import SPLITS, Task

_VERSION = 1
_NODES, _EDGES = "out1_node_feature_label.txt", "out1_graph_edges.txt"
_SPLITS = 10


class _Set(NamedTuple):
    format: str
    folder: str  # of PyG, below that of the data sets
    stem: str  # in the repository of the authors
    nodes: int
    edges: int
    channels: int
    listed: bool = False  # whether features are numbers of words, not zeros and ones


CLASSES = 5
SETS = {
    "cornell": _Set("WebKB", "WebKB/cornell", "cornell", 183, 298, 1703),
    "texas": _Set("WebKB", "WebKB/texas", "texas", 183, 325, 1703),
    "wisconsin": _Set("WebKB", "WebKB/wisconsin", "wisconsin", 251, 515, 1703),
    "chameleon": _Set("WikipediaNetwork", "WikipediaNetwork/chameleon/geom_gcn", "chameleon", 2277, 36101, 2325),
    "squirrel": _Set("WikipediaNetwork", "WikipediaNetwork/squirrel/geom_gcn", "squirrel", 5201, 217073, 2089),
    "actor": _Set("Actor", "Actor", "film", 7600, 30019, 932, True),
}
"""Our names -> format and folder of PyG, name in the authors' files, and published numbers."""


class GeomGCN(NodeDataset):
    """A graph of web pages, of pages of Wikipedia or of actors, whose nodes have five classes.

    From Pei et al., `"Geom-GCN: Geometric Graph Convolutional Networks" <https://arxiv.org/abs/2002.05287>`_ (2020),
    with the ten splits (48 %, 32 % and 20 % of the nodes) of its authors. Reads what is prepared, else the raw files
    that PyG's ``WebKB``, ``WikipediaNetwork`` (with ``geom_gcn_preprocess``) or ``Actor`` left in ``<root>/WebKB``,
    ``<root>/WikipediaNetwork`` or ``<root>/Actor``, else the authors' files, which are downloaded with TLS; no hash was
    ever published, so the SHA-256 of the first download is recorded and checked later, and the content is compared with
    the published numbers. Edges keep their direction, as in PyG.

    ========== ======= ======== ========= ==========================================
    name       nodes   edges    features  class of a node
    ========== ======= ======== ========= ==========================================
    cornell    183     298      1,703     kind of a web page of the university
    texas      183     325      1,703     the same
    wisconsin  251     515      1,703     the same
    chameleon  2,277   36,101   2,325     traffic of a page of Wikipedia
    squirrel   5,201   217,073  2,089     the same
    actor      7,600   30,019   932       words on the page of an actor
    ========== ======= ======== ========= ==========================================

    Args:
        root: Folder of the data sets.
        name: One of the names above.
        split_index: Which of the ten splits is used, from 0.
        node_split: ``"own"`` for one of the ten, ``"random"`` for a random split.
        fractions: Shares of train, val and test of a random split.
        seed: Seed of a random split.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` float [N, F], ``edge_index`` int64 [2, E], ``y`` int64 [N], -100 outside of the split.

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or is not the published data.

    Example:
        >>> dataset = GeomGCN("datasets", "cornell")  # doctest: +SKIP
        >>> len(dataset), dataset[0].num_nodes, dataset.masks.sum(1).tolist()  # doctest: +SKIP
        (3, 183, [87, 59, 37])
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str,
        *,
        split_index: SplitIndex = 0,
        node_split: NodeSplit = "own",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: Seed = 0,
        download: Download = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if name not in SETS:
            raise ConfigError("name", name, sorted(SETS))
        prepared = prepare_once(prepared_path(root, name), lambda: _find(Path(root), name, download, progress))
        super().__init__(
            prepared,
            Task("multiclass", [f"class {number}" for number in range(CLASSES)], "node"),
            Features(SETS[name].channels),
            split_index=split_index,
            node_split=node_split,
            fractions=fractions,
            seed=seed,
            transform=transform,
            root=root,
        )


def prepared_path(root: str | os.PathLike[str], name: str) -> Path:
    """Return the file that holds the prepared graph.

    Example:
        >>> prepared_path("datasets", "cornell").as_posix()
        'datasets/WebKB/cornell/cornell-v1.pt'
    """
    return Path(root) / SETS[name].folder / f"{name}-v{_VERSION}.pt"


def _find(root: Path, name: str, download: bool, progress: bool) -> Prepared:
    about = SETS[name]
    raw = root / about.folder / "raw"
    splits = [f"{about.stem}_split_0.6_0.2_{number}.npz" for number in range(_SPLITS)]
    remotes = [geom_gcn_file(f"new_data/{about.stem}/{file}") for file in (_NODES, _EDGES)]
    remotes += [geom_gcn_file(f"splits/{file}") for file in splits]
    fetch_files(name, raw, remotes, download=download, progress=progress)
    x, y = _nodes(raw / _NODES, about)
    edge_index = _edges(raw / _EDGES, about)
    masks = torch.stack([_masks(raw / file, about.nodes) for file in splits])
    return one_graph(x, edge_index, y, masks)


def _rows(path: Path, columns: int) -> list[list[str]]:
    """Return the fields of the lines below the first, which names them."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise DataIntegrityError(path, "a table of numbers", f"something else ({error.reason})") from error
    rows = [line.split("\t") for line in lines[1:] if line.strip()]
    if any(len(row) != columns for row in rows):
        raise DataIntegrityError(path, f"lines of {columns} fields", "others")
    return rows


def _nodes(path: Path, about: _Set) -> tuple[Tensor, Tensor]:
    """Return the features and the classes of the nodes, in the order of their numbers."""
    rows = _rows(path, 3)
    x, y = torch.zeros(about.nodes, about.channels), torch.full((about.nodes,), -1)
    try:
        if sorted(int(row[0]) for row in rows) != list(range(about.nodes)):
            raise DataIntegrityError(path, f"{about.nodes} nodes", f"{len(rows)}, or other numbers of nodes")
        for number, features, label in rows:
            values = torch.from_numpy(np.array(features.split(","), dtype=np.int64 if about.listed else np.float32))
            if about.listed:
                x[int(number), values] = 1.0
            else:
                x[int(number)] = values
            y[int(number)] = int(label)
    except (ValueError, IndexError, RuntimeError) as error:
        raise DataIntegrityError(path, f"{about.channels} features and a class", f"others ({error})") from error
    if sorted(set(y.tolist())) != list(range(CLASSES)):
        raise DataIntegrityError(path, f"classes 0 to {CLASSES - 1}", sorted(set(y.tolist())))
    return x, y


def _edges(path: Path, about: _Set) -> Tensor:
    try:
        edges = torch.tensor([[int(end) for end in row] for row in _rows(path, 2)]).reshape(-1, 2).t()
    except ValueError as error:
        raise DataIntegrityError(path, "numbers of nodes", f"something else ({error})") from error
    if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < about.nodes:
        raise DataIntegrityError(path, f"nodes 0 to {about.nodes - 1}", int(edges.max()))
    edges = coalesce(edges.contiguous(), num_nodes=about.nodes)
    if edges.size(1) != about.edges:
        raise DataIntegrityError(path, f"{about.edges} edges", edges.size(1))
    return edges


def _masks(path: Path, nodes: int) -> Tensor:
    """Return which nodes are in train, val and test, bool [3, N]."""
    try:
        arrays = read_arrays(path)
        masks = torch.stack([torch.from_numpy(arrays[f"{split}_mask"]).reshape(-1) for split in SPLITS]).bool()
    except (ValueError, KeyError, OSError, EOFError, RuntimeError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error) or type(error).__name__
        raise DataIntegrityError(path, "masks of train, val and test", f"something else ({reason})") from error
    if masks.size(1) != nodes or bool((masks.sum(0) > 1).any()):
        raise DataIntegrityError(path, f"masks of {nodes} nodes, each in one split", "others")
    return masks


for _name, _about in SETS.items():
    _names = ("none",) if _name == "actor" else (_name, _name.capitalize())
    register_dataset(
        _name,
        GeomGCN,
        fixed={"name": _name},
        aliases=[(f"PyG-{_about.format}", _alias) for _alias in _names],
        prepared_path=prepared_path,
    )
