"""Authors who wrote papers together, and goods that were bought together: one graph each, without a split."""

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
from torch_geometric.utils import remove_self_loops, to_undirected

from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.nodes.node_dataset import NodeDataset, NodeSplit, one_graph
from pyg_samsa.datasets.option_types import Download, Seed
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.raw_files import fetch_files
from pyg_samsa.datasets.sources import pitfalls_file
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io.unfold import read_arrays
from pyg_samsa.task import SPLITS, Task

_VERSION = 1
_PARTS = ("data", "indices", "indptr", "shape")


class _Set(NamedTuple):
    format: str
    name: str  # of PyG
    file: str
    nodes: int
    edges: int
    channels: int
    classes: int


SETS = {
    "coauthor-cs": _Set("Coauthor", "CS", "ms_academic_cs.npz", 18333, 163788, 6805, 15),
    "coauthor-physics": _Set("Coauthor", "Physics", "ms_academic_phy.npz", 34493, 495924, 8415, 5),
    "amazon-computers": _Set("Amazon", "Computers", "amazon_electronics_computers.npz", 13752, 491722, 767, 10),
    "amazon-photo": _Set("Amazon", "Photo", "amazon_electronics_photo.npz", 7650, 238162, 745, 8),
}
"""Our names -> format and name of PyG, file, and published numbers."""


class CoauthorAmazon(NodeDataset):
    """A graph of authors or of goods, whose nodes have classes; nodes are split at random.

    From Shchur et al., `"Pitfalls of Graph Neural Network Evaluation" <https://arxiv.org/abs/1811.05868>`_ (2018).
    Reads what is prepared, else the raw file that PyG's ``Coauthor`` or ``Amazon`` left in ``<root>/Coauthor`` or
    ``<root>/Amazon``, else the authors' file, which is downloaded with TLS; no hash was ever published, so the SHA-256
    of the first download is recorded and checked later, and the content is compared with the published numbers. As in
    PyG, edges lead in both directions, loops are removed, and features are 0 or 1.

    ================ ======= ======== ========= ========
    name             nodes   edges    features  classes
    ================ ======= ======== ========= ========
    coauthor-cs      18,333  163,788  6,805     15
    coauthor-physics 34,493  495,924  8,415     5
    amazon-computers 13,752  491,722  767       10
    amazon-photo     7,650   238,162  745       8
    ================ ======= ======== ========= ========

    Args:
        root: Folder of the data sets.
        name: One of the names above.
        node_split: Only ``"random"``: there is no other split.
        fractions: Shares of train, val and test.
        seed: Seed of the split.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` float [N, F], ``edge_index`` int64 [2, E], ``y`` int64 [N], -100 outside of the split.

    Raises:
        DataNotFoundError: The file is not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or is not the published data.

    Example:
        >>> dataset = CoauthorAmazon("datasets", "amazon-photo", fractions=[0.6, 0.2, 0.2])  # doctest: +SKIP
        >>> dataset.node_sizes  # doctest: +SKIP
        {'train': 4590, 'val': 1530, 'test': 1530}

    Cost: features are dense: 4 bytes for each node and feature, 1.2 GB for ``coauthor-physics``.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        name: str,
        *,
        node_split: NodeSplit = "random",
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        seed: Seed = 0,
        download: Download = True,
        progress: bool = True,
        transform: Callable[[Data], Data] | None = None,
    ) -> None:
        if name not in SETS:
            raise ConfigError("name", name, sorted(SETS))
        about = SETS[name]
        prepared = prepare_once(prepared_path(root, name), lambda: _find(Path(root), name, download, progress))
        super().__init__(
            prepared,
            Task("multiclass", [f"class {number}" for number in range(about.classes)], "node"),
            Features(about.channels),
            node_split=node_split,
            fractions=fractions,
            seed=seed,
            transform=transform,
            root=root,
        )


def prepared_path(root: str | os.PathLike[str], name: str) -> Path:
    """Return the file that holds the prepared graph.

    Example:
        >>> prepared_path("datasets", "amazon-photo").as_posix()
        'datasets/Amazon/Photo/amazon-photo-v1.pt'
    """
    return Path(root) / SETS[name].format / SETS[name].name / f"{name}-v{_VERSION}.pt"


def _find(root: Path, name: str, download: bool, progress: bool) -> Prepared:
    about = SETS[name]
    raw = root / about.format / about.name / "raw" / about.file
    fetch_files(name, raw.parent, [pitfalls_file(about.file)], download=download, progress=progress)
    try:
        arrays = read_arrays(raw, ["labels", *(f"{kind}_{part}" for kind in ("adj", "attr") for part in _PARTS)])
        edges = _pairs(arrays, "adj", (about.nodes, about.nodes))
        x = torch.zeros(about.nodes, about.channels, dtype=torch.uint8)
        x[tuple(_pairs(arrays, "attr", (about.nodes, about.channels)))] = 1
        y = torch.from_numpy(arrays["labels"].astype(np.int64))
    except (ValueError, KeyError, IndexError, OSError, EOFError, RuntimeError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error) or type(error).__name__
        raise DataIntegrityError(raw, "two sparse matrices and labels", f"something else ({reason})") from error
    if tuple(y.shape) != (about.nodes,) or y.unique().tolist() != list(range(about.classes)):
        raise DataIntegrityError(raw, f"classes 0 to {about.classes - 1} of {about.nodes} nodes", "others")
    edges = to_undirected(remove_self_loops(edges)[0], num_nodes=about.nodes)
    if edges.size(1) != about.edges:
        raise DataIntegrityError(raw, f"{about.edges} edges", edges.size(1))
    return one_graph(x, edges, y, torch.zeros(0, len(SPLITS), about.nodes, dtype=torch.bool))


def _pairs(arrays: dict[str, np.ndarray], kind: str, size: tuple[int, int]) -> Tensor:
    """Return the rows and columns of the positive entries of a sparse matrix [2, n].

    Raises:
        ValueError: It has another size or negative entries, or the parts do not belong together.
    """
    data, indices, indptr, shape = (arrays[f"{kind}_{part}"] for part in _PARTS)
    ends = indptr.astype(np.int64)
    sizes = ends[1:] - ends[:-1]
    if tuple(shape.tolist()) != size or len(sizes) != size[0]:
        raise ValueError(f"{kind} of size {shape.tolist()} instead of {list(size)}")
    if indices.ndim != 1 or len(data) != len(indices) or (sizes < 0).any() or sizes.sum() != len(indices):
        raise ValueError(f"parts of {kind} that do not fit together")
    if (data < 0).any() or (len(indices) and not 0 <= indices.min() <= indices.max() < size[1]):
        raise ValueError(f"entries of {kind} that are negative or outside")
    pairs = np.stack([np.repeat(np.arange(len(sizes)), sizes), indices.astype(np.int64)])
    return torch.from_numpy(pairs if kind == "adj" else pairs[:, data > 0])


for _name, _about in SETS.items():
    register_dataset(
        _name,
        CoauthorAmazon,
        fixed={"name": _name},
        aliases=[(f"PyG-{_about.format}", _alias) for _alias in (_about.name.lower(), _about.name)],
        prepared_path=prepared_path,
    )
