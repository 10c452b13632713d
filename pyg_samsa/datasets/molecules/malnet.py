"""MalNet-Tiny: graphs of the function calls of software, in five classes."""

from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import LocalDegreeProfile
from torch_geometric.utils import remove_isolated_nodes

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.raw_files import fetch_files, unpack
from pyg_samsa.datasets.sources import MALNET_SPLITS, MALNET_TAR
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.io.unfold import most_unfolded, open_gzip, too_large
from pyg_samsa.task import SPLITS, Task

_VERSION = 1
_FOLDER, _GRAPHS, _SPLITS = "MalNetTiny", "malnet-graphs-tiny", "split_info_tiny/type"
_ENDING, _HEADER = ".edgelist", 5  # lines before the edges
CLASSES = ("addisplay", "adware", "benign", "downloader", "trojan")
SIZES = {"train": 3500, "val": 500, "test": 1000}
"""Published numbers of graphs."""
NODE_FEATURES = {"degrees": 5, "constant": 1}


class MalNetTiny(SplitDataset):
    """MalNet-Tiny: 5,000 graphs of the function calls of Android software, benign or of four kinds of malware.

    From Freitas et al., `"A Large-Scale Database for Graph Representation Learning"
    <https://arxiv.org/abs/2011.07682>`_ (2021), with the splits of its authors: 3,500, 500 and 1,000 graphs. Reads what
    is prepared, else the raw files that PyG's ``MalNetTiny`` left in ``<root>/MalNetTiny``, else the authors' archives,
    which are downloaded with TLS; no hash was ever published, so the SHA-256 of the first download is recorded and
    checked later.

    The graphs have no features. As in GraphGPS, nodes without an edge to another node are removed, and the local degree
    profile (degree; minimum, maximum, mean and standard deviation of the degrees of the neighbours) is the feature of a
    node. Edges keep their direction.

    ==================== ======== ======== =============================================
    name                 graphs   classes  features of a node
    ==================== ======== ======== =============================================
    malnet-tiny          5,000    5        local degree profile
    malnet-tiny-constant 5,000    5        the number one
    ==================== ======== ======== =============================================

    Args:
        root: Folder of the data sets; this one is in ``<root>/MalNetTiny``.
        features: ``"degrees"`` for local degree profiles, ``"constant"`` for ones.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` float [N, 5] or [N, 1], ``edge_index`` int64 [2, E], ``y`` int64 [1].

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or is not the published data.

    Example:
        >>> dataset = MalNetTiny("datasets")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (5000, 5)
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        features: str = "degrees",
        *,
        download: Download = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if features not in NODE_FEATURES:
            raise ConfigError("features", features, sorted(NODE_FEATURES))
        folder = Path(root) / _FOLDER
        prepared = prepare_once(prepared_path(root, features), lambda: _find(folder, features, download, progress))
        task = Task("multiclass", CLASSES)
        super().__init__(prepared, task, Features(NODE_FEATURES[features]), transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str], features: str) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets", "degrees").as_posix()
        'datasets/MalNetTiny/malnet-tiny-degrees-v1.pt'
    """
    return Path(root) / _FOLDER / f"malnet-tiny-{features}-v{_VERSION}.pt"


def _find(folder: Path, features: str, download: bool, progress: bool) -> Prepared:
    raw = folder / "raw"
    lists = [f"{split}.txt" for split in SPLITS]
    unpacked = (raw / _GRAPHS).is_dir()
    listed = all((raw / _SPLITS / name).is_file() for name in lists)
    ours = "malnet-tiny" if features == "degrees" else f"malnet-tiny-{features}"
    remotes = [remote for remote, there in ((MALNET_SPLITS, listed), (MALNET_TAR, unpacked)) if not there]
    fetch_files(ours, raw, remotes, download=download, progress=progress)
    if not listed:
        unpack(raw / MALNET_SPLITS.name, raw, [f"{_SPLITS}/{name}" for name in lists])
    listing = raw / _SPLITS
    names = {split: _names(listing / f"{split}.txt", SIZES[split]) for split in SPLITS}
    every = [name for split in SPLITS for name in names[split]]
    if len(set(every)) != len(every):
        raise DataIntegrityError(listing, "every graph in one split", "one in several")
    if unpacked:
        found = _from_folder(raw / _GRAPHS, every)
        source = raw / _GRAPHS
    else:
        source = raw / MALNET_TAR.name
        found = _from_archive(source, set(every))
    edges: dict[str, Tensor] = {}
    with progress_bar("Reading MalNet-Tiny", len(every), enabled=progress) as advance:
        for name, content in found:
            edges[name] = _edges(content, source / f"{name}{_ENDING}")
            advance(1)
    if missing := [name for name in every if name not in edges]:
        raise DataIntegrityError(source, f"{len(every)} graphs", f"no {missing[0]}{_ENDING}")
    return _join(every, edges, features, names)


def _names(path: Path, count: int) -> list[str]:
    """Return the names of the graphs of a split: class, family and hash."""
    names = path.read_text(encoding="utf-8", errors="replace").split()
    if len(names) != count or any(name.split("/")[0] not in CLASSES or ".." in name for name in names):
        raise DataIntegrityError(path, f"{count} names of graphs, as in {CLASSES[0]}/...", f"{len(names)}, or others")
    return names


def _from_folder(folder: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        path = folder / f"{name}{_ENDING}"
        if path.is_file():
            yield name, path.read_bytes()


def _from_archive(path: Path, names: set[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the graphs of an archive, which is read once from its start to its end; nothing is written."""
    left = most_unfolded(path)
    try:
        with open_gzip(path) as unzipped, tarfile.open(fileobj=unzipped, mode="r|") as archive:
            for member in archive:
                name = member.name.partition(f"{_GRAPHS}/")[2].removesuffix(_ENDING)
                if not member.isfile() or name not in names:
                    continue
                left -= member.size
                if left < 0:
                    raise too_large(path)
                file = archive.extractfile(member)
                yield name, file.read() if file is not None else b""
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataIntegrityError(path, "an archive tar.gz", f"a damaged one ({error})") from error


def _edges(content: bytes, path: Path) -> Tensor:
    """Return the edges [2, E] between nodes that have an edge to another node, numbered from 0."""
    lines = [line.split() for line in content.splitlines()[_HEADER:] if line.strip()]
    try:
        edges = torch.from_numpy(np.array(lines).astype(np.int64)).reshape(-1, 2).t()
    except (ValueError, RuntimeError) as error:
        raise DataIntegrityError(path, "two numbers of nodes in each line", f"others ({error})") from error
    if not edges.numel() or int(edges.min()) < 0 or int(edges.max()) >= 10**6:
        raise DataIntegrityError(path, "edges of nodes from 0 on", f"{edges.size(1)} edges, or other nodes")
    kept = remove_isolated_nodes(edges.contiguous())[0]
    if not kept.numel():
        raise DataIntegrityError(path, "edges between different nodes", "loops alone")
    return kept


def _join(every: list[str], edges: Mapping[str, Tensor], features: str, names: Mapping[str, list[str]]) -> Prepared:
    profile = LocalDegreeProfile()
    xs = []
    for name in every:
        nodes = int(edges[name].max()) + 1
        graph = Data(edge_index=edges[name], num_nodes=nodes)
        xs.append(profile(graph).x if features == "degrees" else torch.ones(nodes, 1))
    data = {
        "x": torch.cat(xs),
        "edge_index": torch.cat([edges[name] for name in every], dim=1),
        "y": torch.tensor([CLASSES.index(name.split("/")[0]) for name in every]),
    }
    slices = {
        "x": torch.tensor([0, *(len(x) for x in xs)]).cumsum(0),
        "edge_index": torch.tensor([0, *(edges[name].size(1) for name in every)]).cumsum(0),
        "y": torch.arange(len(every) + 1),
    }
    place = {name: row for row, name in enumerate(every)}
    return Prepared(data, slices, {split: torch.tensor([place[name] for name in names[split]]) for split in SPLITS})


for _name, _features, _aliases in (
    ("malnet-tiny", "degrees", ("LocalDegreeProfile",)),
    ("malnet-tiny-constant", "constant", ("Constant", "none")),
):
    register_dataset(
        _name,
        MalNetTiny,
        fixed={"features": _features},
        aliases=[("PyG-MalNetTiny", _alias) for _alias in _aliases],
        prepared_path=prepared_path,
    )
