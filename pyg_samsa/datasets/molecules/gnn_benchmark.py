"""MNIST, CIFAR10, PATTERN and CLUSTER as graphs, as graph transformers are tested on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.molecules.lrgb_release import join_collated
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, load_tensors, prepare_once
from pyg_samsa.datasets.raw_files import unpack_release
from pyg_samsa.datasets.sources import gnn_benchmark_zip
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.task import SPLITS, Task

_VERSION = 1
_FOLDER = "GNNBenchmarkDataset"


class _Set(NamedTuple):
    official: str
    task: Task
    features: Features
    sizes: tuple[int, int, int]
    means: tuple[float, float]


_DIGITS = [str(digit) for digit in range(10)]
_OBJECTS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SETS = {
    "mnist-sp": _Set("MNIST", Task("multiclass", _DIGITS), Features(3, 1), (55000, 5000, 10000), (70.6, 564.5)),
    "cifar10-sp": _Set("CIFAR10", Task("multiclass", _OBJECTS), Features(5, 1), (45000, 5000, 10000), (117.6, 941.2)),
    "pattern": _Set(
        "PATTERN",
        Task("multiclass", ["other", "pattern"], "node"),
        Features(3),
        (10000, 2000, 2000),
        (118.9, 6098.9),
    ),
    "cluster": _Set(
        "CLUSTER",
        Task("multiclass", [f"cluster {number}" for number in range(6)], "node"),
        Features(7),
        (10000, 1000, 1000),
        (117.2, 4303.9),
    ),
}
"""Our names -> name in PyG, task, features, published numbers of graphs, and mean numbers of nodes and edges."""


class GNNBenchmark(SplitDataset):
    """MNIST or CIFAR10 as graphs of superpixels, or the stochastic block models PATTERN and CLUSTER.

    From Dwivedi et al., `"Benchmarking Graph Neural Networks" <https://arxiv.org/abs/2003.00982>`_ (2020). Reads what
    is prepared, else what PyG's ``GNNBenchmarkDataset`` left in ``<root>/GNNBenchmarkDataset/<NAME>`` or
    ``<root>/<NAME>``, else PyG's archive, which is downloaded with TLS; no hash was ever published, so the SHA-256 of
    the first download is recorded and checked later, and the content is compared with the published numbers. Nothing in
    the files is executed.

    ============ ======== ============ ============ ==============================================
    name         graphs   mean nodes   mean edges   task
    ============ ======== ============ ============ ==============================================
    mnist-sp     70,000   70.6         564.5        class of the image, 10 classes
    cifar10-sp   60,000   117.6        941.2        class of the image, 10 classes
    pattern      14,000   118.9        6,098.9      whether a node belongs to the hidden pattern
    cluster      12,000   117.2        4,303.9      cluster of each node, 6 clusters
    ============ ======== ============ ============ ==============================================

    Args:
        root: Folder of the data sets.
        name: One of the names above.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** images: ``x`` float [N, F], colours and then the two coordinates, ``edge_attr`` float [E, 1],
          ``y`` int64 [1]; block models: ``x`` float [N, F], one-hot, ``y`` int64 [N].

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or is not the published data.

    Example:
        >>> dataset = GNNBenchmark("datasets", "cluster")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (12000, 6)
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
        if name not in SETS:
            raise ConfigError("name", name, sorted(SETS))
        about = SETS[name]
        prepared = prepare_once(prepared_path(root, name), lambda: _find(Path(root), name, download, progress))
        super().__init__(prepared, about.task, about.features, transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str], name: str) -> Path:
    """Return the file that holds the prepared graphs.

    Example:
        >>> prepared_path("datasets", "cluster").as_posix()
        'datasets/GNNBenchmarkDataset/CLUSTER/cluster-v1.pt'
    """
    return Path(root) / _FOLDER / SETS[name].official / f"{name}-v{_VERSION}.pt"


def _find(root: Path, name: str, download: bool, progress: bool) -> Prepared:
    about = SETS[name]
    official = about.official
    folders = [root / _FOLDER / official, root / official]
    for folder in folders:
        processed = [folder / "processed" / f"{split}_data.pt" for split in SPLITS]
        if all(path.is_file() for path in processed):
            parts = [load_tensors(path) for path in processed]
            return _check(join_collated(parts, processed), about, folder / "processed")
        raw = folder / "raw" / f"{official}_v2.pt"
        if raw.is_file():
            return _from_raw(raw, about)
    folder = folders[0]
    raw = folder / "raw" / f"{official}_v2.pt"
    remote = gnn_benchmark_zip(official)
    unpack_release(name, folder, remote, raw.parent, [raw.name], download=download, progress=progress)
    return _from_raw(raw, about)


def _from_raw(path: Path, about: _Set) -> Prepared:
    splits = load_tensors(path)
    wanted = {"x", "edge_index", "y", *(("pos", "edge_attr") if about.features.edge_channels else ())}
    if not isinstance(splits, (list, tuple)) or len(splits) != len(SPLITS):
        raise DataIntegrityError(path, "the graphs of three splits", "something else")
    parts = []
    for graphs in splits:
        if not graphs or any(not isinstance(graph, dict) or wanted - graph.keys() for graph in graphs):
            raise DataIntegrityError(path, f"graphs with {', '.join(sorted(wanted))}", "others")
        parts.append(_collate(graphs, sorted(wanted)))
    return _check(join_collated(parts, [path] * len(parts)), about, path)


def _collate(graphs: list[dict[str, Any]], keys: list[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    data, slices = {}, {}
    for key in keys:
        values = [torch.as_tensor(graph[key]) for graph in graphs]
        values = [value.view(1) if value.ndim == 0 else value for value in values]
        dim = Data().__cat_dim__(key, values[0])
        data[key] = torch.cat(values, dim=dim)
        slices[key] = torch.tensor([0, *(value.size(dim) for value in values)]).cumsum(0)
    return data, slices


def _check(prepared: Prepared, about: _Set, where: Path) -> Prepared:
    data, slices, images = prepared.data, prepared.slices, about.features.edge_channels is not None
    wanted = {"x", "edge_index", "y", *(("pos", "edge_attr") if images else ())}
    if missing := wanted - set(data):
        raise DataIntegrityError(
            where, f"the attributes {', '.join(sorted(wanted))}", f"no {', '.join(sorted(missing))}"
        )
    sizes = tuple(len(prepared.split_idx[split]) for split in SPLITS)
    means = [float(slices[key][-1]) / sum(sizes) for key in ("x", "edge_index")]
    if sizes != about.sizes or any(abs(mean - known) > 0.06 for mean, known in zip(means, about.means, strict=True)):
        expected = f"{about.sizes} graphs with {about.means[0]} nodes and {about.means[1]} edges on average"
        raise DataIntegrityError(where, expected, f"{sizes} graphs with {means[0]:.2f} and {means[1]:.2f}")
    kept = {"x": data["x"].float(), "edge_index": data["edge_index"].long(), "y": data["y"].long().flatten()}
    if images:
        kept["x"] = torch.cat([kept["x"], data["pos"].float()], dim=1)
        kept["edge_attr"] = data["edge_attr"].float().reshape(-1, 1)
    if kept["x"].size(1) != about.features.in_channels:
        raise DataIntegrityError(where, f"{about.features.in_channels} features of a node", kept["x"].size(1))
    return Prepared(kept, {key: slices[key] for key in kept}, prepared.split_idx)


for _name, _about in SETS.items():
    register_dataset(
        _name,
        GNNBenchmark,
        fixed={"name": _name},
        aliases=[(f"PyG-{_FOLDER}", _about.official)],
        prepared_path=prepared_path,
    )
