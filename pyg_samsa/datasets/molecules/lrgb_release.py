"""PyG's release of the Long Range Graph Benchmark: archives, PyG's own folders, and what they must contain."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.dataset_registry import register_dataset
from pyg_samsa.datasets.features import MOLECULES, Features
from pyg_samsa.datasets.option_types import Download
from pyg_samsa.datasets.prepared import Prepared, load_tensors, prepare_once
from pyg_samsa.datasets.raw_files import unpack_release
from pyg_samsa.datasets.sources import LRGB_ZIPS, RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.io import safe_pickle
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.task import SPLITS, Task

_VERSION = 1
# fmt: off
_VOC = [
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]
_COCO = [
    "background", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep",
    "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
]
# fmt: on
# COCO numbers its 80 classes from 1 to 90 with gaps.
_COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
_COCO_NUMBERS = [number for number in range(91) if number not in _COCO_GAPS]


@dataclass(frozen=True)
class Release:
    """One data set of PyG's release.

    Args:
        name: Name of its folder.
        zip: Its archive.
        suffix: Of the raw files, ``".pt"`` or ``".pickle"``.
        columns: Attributes in the tuple of a graph, in order.
        task: The targets.
        features: Widths of the features.
        graphs: Published number of graphs.
        means: Published mean numbers of nodes and edges, to two digits.
        sizes: Published numbers of graphs in train, val and test; None when only their sum was published.
        positives: Numbers of positive labels per class in train, val and test, if the authors' files contain them.
    """

    name: str
    zip: RemoteFile
    suffix: str
    columns: tuple[str, ...]
    task: Task
    features: Features
    graphs: int
    means: tuple[float, float]
    sizes: tuple[int, int, int] | None = None
    positives: tuple[tuple[int, ...], ...] | None = None


_GRAPH = ("x", "edge_attr", "edge_index")
RELEASES = {
    release.name: release
    for release in (
        Release(
            "pascalvoc-sp",
            LRGB_ZIPS["pascalvoc-sp"],
            ".pickle",
            (*_GRAPH, "y"),
            Task("multiclass", _VOC, "node"),
            Features(14, 2),
            11355,
            (479.40, 2710.48),
            (8498, 1428, 1429),
        ),
        Release(
            "coco-sp",
            LRGB_ZIPS["coco-sp"],
            ".pickle",
            (*_GRAPH, "y"),
            Task("multiclass", _COCO, "node"),
            Features(14, 2),
            123286,
            (476.88, 2693.67),
            (113286, 5000, 5000),
        ),
        Release(
            "pcqm-contact",
            LRGB_ZIPS["pcqm-contact"],
            ".pt",
            (*_GRAPH, "edge_label_index", "edge_label"),
            Task("binary", ["contact"], "link"),
            MOLECULES,
            529434,
            (30.14, 61.09),
        ),
    )
}


class LRGBRelease(SplitDataset):
    """PascalVOC-SP, COCO-SP or PCQM-Contact of the Long Range Graph Benchmark (Dwivedi et al., 2022).

    Reads what is prepared, else what PyG's ``LRGBDataset`` left in the same folder, else PyG's archive, which is
    downloaded with TLS. No hashes of these archives were published: the SHA-256 of the first download is recorded and
    later downloads are checked against it, and the content is checked against the published numbers of graphs, nodes
    and edges. Nothing in the files is executed.

    ================ ======== ============= =============== =====================================
    name             graphs   mean nodes    mean edges      task
    ================ ======== ============= =============== =====================================
    pascalvoc-sp     11,355   479.40        2,710.48        class of each superpixel, 21 classes
    coco-sp          123,286  476.88        2,693.67        class of each superpixel, 81 classes
    pcqm-contact     529,434  30.14         61.09           contact of each labelled pair of atoms
    ================ ======== ============= =============== =====================================

    Args:
        root: Folder of the data sets; this one is in ``<root>/<name>``.
        name: One of the names above.
        download: Whether missing files are downloaded.
        progress: Show progress bars.
        transform: Called on every graph on access.

    Shapes:
        - **item:** ``x`` [N, F], ``edge_index`` int64 [2, E] and ``edge_attr`` [E, F']; superpixels have float features
          and ``y`` int64 [N]; PCQM-Contact has int64 features, ``edge_label_index`` int64 [2, L] and ``edge_label``
          int64 [L].

    Raises:
        DataNotFoundError: The files are not there and cannot be downloaded.
        DataIntegrityError: A file is damaged, or is not the published data.

    Example:
        >>> dataset = LRGBRelease("datasets", "pascalvoc-sp")  # doctest: +SKIP
        >>> len(dataset), dataset.task.num_targets  # doctest: +SKIP
        (11355, 21)
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
        if name not in RELEASES:
            raise ConfigError("name", name, sorted(RELEASES))
        release = RELEASES[name]
        folder = Path(root) / name
        prepared = prepare_once(
            prepared_path(root, name), lambda: prepare_release(release, folder, download=download, progress=progress)
        )
        super().__init__(prepared, release.task, release.features, transform=transform, root=root)


def prepared_path(root: str | os.PathLike[str], name: str) -> Path:
    """Return the file that holds the prepared graphs."""
    return Path(root) / name / f"{name}-v{_VERSION}.pt"


def prepare_release(release: Release, folder: Path, *, download: bool, progress: bool) -> Prepared:
    """Return the graphs of a release from PyG's processed files, else its raw files, else the network."""
    prepared = find_release(release, folder, progress=progress)
    if prepared is not None:
        return prepared
    files = [f"{split}{release.suffix}" for split in SPLITS]
    unpack_release(release.name, folder, release.zip, folder / "raw", files, download=download, progress=progress)
    return _from_raw(release, folder / "raw", progress)


def find_release(release: Release, folder: Path, *, progress: bool) -> Prepared | None:
    """Return the graphs of the files that PyG left in ``folder``, or None without files."""
    processed = [folder / "processed" / f"{split}.pt" for split in SPLITS]
    if all(path.is_file() for path in processed):
        return check_release(
            release, join_collated([load_tensors(path) for path in processed], processed), folder / "processed"
        )
    if all((folder / "raw" / f"{split}{release.suffix}").is_file() for split in SPLITS):
        return _from_raw(release, folder / "raw", progress)
    return None


def _from_raw(release: Release, folder: Path, progress: bool) -> Prepared:
    parts = []
    with progress_bar(f"Reading {release.name}", len(SPLITS), enabled=progress) as advance:
        for split in SPLITS:
            path = folder / f"{split}{release.suffix}"
            graphs = load_tensors(path) if release.suffix == ".pt" else safe_pickle.load(path, tensors=True)
            parts.append(_collate(release, graphs, path))
            advance(1)
    prepared = join_collated(parts, [folder / f"{split}{release.suffix}" for split in SPLITS])
    return check_release(release, prepared, folder)


def _collate(release: Release, graphs: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    if (
        not isinstance(graphs, (list, tuple))
        or not graphs
        or any(len(graph) != len(release.columns) for graph in graphs)
    ):
        raise DataIntegrityError(path, f"a list of tuples ({', '.join(release.columns)})", "something else")
    data, slices = {}, {}
    for column, key in enumerate(release.columns):
        values = [_as_tensor(graph[column], key, release) for graph in graphs]
        dim = Data().__cat_dim__(key, values[0])
        data[key] = torch.cat(values, dim=dim)
        slices[key] = torch.tensor([0, *(value.size(dim) for value in values)]).cumsum(0)
    return data, slices


def _as_tensor(value: Any, key: str, release: Release) -> Tensor:
    tensor = torch.as_tensor(value)
    if release.task.level == "node" and key == "y":
        return _coco_classes(tensor.long()) if release.name == "coco-sp" else tensor.long()
    return tensor.float() if tensor.is_floating_point() else tensor.long()


def _coco_classes(numbers: Tensor) -> Tensor:
    table = torch.full((max(_COCO_NUMBERS) + 1,), -1)
    table[_COCO_NUMBERS] = torch.arange(len(_COCO_NUMBERS))
    return table[numbers]


def join_collated(parts: Sequence[Any], paths: Sequence[Path]) -> Prepared:
    """Concatenate the splits that PyG stores one by one.

    Args:
        parts: Per split ``(data, slices, ...)``, as ``InMemoryDataset.save`` writes them.
        paths: Where they came from, for the error.
    """
    for part, path in zip(parts, paths, strict=True):
        if not (isinstance(part, tuple) and len(part) >= 2 and isinstance(part[0], dict) and isinstance(part[1], dict)):
            raise DataIntegrityError(path, "a set that PyG collated", type(part).__name__)
    data: dict[str, Any] = {}
    slices: dict[str, Tensor] = {}
    for key, value in parts[0][0].items():
        if isinstance(value, Tensor) and key in parts[0][1]:
            data[key] = torch.cat([part[0][key] for part in parts], dim=Data().__cat_dim__(key, value))
            slices[key] = _join_slices([part[1][key] for part in parts])
    sizes = [len(next(iter(part[1].values()))) - 1 for part in parts]
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    split_idx = {split: torch.arange(start, end) for split, start, end in zip(SPLITS, ends, ends[1:], strict=False)}
    return Prepared(data, slices, split_idx)


def _join_slices(slices: Sequence[Tensor]) -> Tensor:
    joined = [slices[0]]
    for part in slices[1:]:
        joined.append(part[1:] + joined[-1][-1])
    return torch.cat(joined)


def check_release(release: Release, prepared: Prepared, where: Path) -> Prepared:
    """Compare the graphs with the published numbers.

    Raises:
        DataIntegrityError: Other numbers of graphs, nodes, edges or labels, or other attributes.
    """
    missing = set(release.columns) - set(prepared.data)
    if missing:
        raise DataIntegrityError(
            where, f"the attributes {', '.join(release.columns)}", f"none of {', '.join(sorted(missing))}"
        )
    sizes = tuple(len(prepared.split_idx[split]) for split in SPLITS)
    means = [float(prepared.slices[key][-1]) / sum(sizes) for key in ("x", "edge_index")]
    close = all(abs(mean - published) < 0.011 for mean, published in zip(means, release.means, strict=True))
    nodes, edges = release.means
    if sum(sizes) != release.graphs or sizes != (release.sizes or sizes) or not close:
        expected = f"{release.sizes or release.graphs} graphs with {nodes:.2f} nodes and {edges:.2f} edges on average"
        raise DataIntegrityError(where, expected, f"{sizes} graphs with {means[0]:.2f} and {means[1]:.2f}")
    if release.positives is not None:
        found = tuple(tuple(prepared.data["y"][prepared.split_idx[split]].sum(0).int().tolist()) for split in SPLITS)
        if found != release.positives:
            raise DataIntegrityError(where, f"{release.positives} positive labels", found)
    return prepared


for _name, _pyg, _others in (
    ("pascalvoc-sp", "PascalVOC-SP", [("PyG-VOCSuperpixels", "edge_wt_region_boundary")]),
    ("coco-sp", "COCO-SP", [("PyG-COCOSuperpixels", "edge_wt_region_boundary")]),
    ("pcqm-contact", "PCQM-Contact", [("OGB", "PCQM4Mv2Contact-shuffle")]),
):
    register_dataset(
        _name,
        LRGBRelease,
        fixed={"name": _name},
        aliases=[*_others, ("PyG-LRGBDataset", _name), ("PyG-LRGBDataset", _pyg)],
        prepared_path=prepared_path,
    )
