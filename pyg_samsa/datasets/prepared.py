"""Prepared data sets: concatenated graphs, made once and stored in one file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from pyg_samsa.chem.graph_table import GraphTable
from pyg_samsa.datasets.texts import Texts
from pyg_samsa.errors import DataIntegrityError, SAMSAError
from pyg_samsa.io.files import atomic_write, lock, remove_partial
from pyg_samsa.io.unfold import check_stored

FORMAT = 1
_MAPPED_BYTES = 2**25
_SMALL = ("paths",)  # as many values as there are pairs of nodes, so that they keep their type
_PREPARE_AGAIN = "Delete the file; it is prepared again."


@dataclass
class Prepared:
    """Concatenated graphs, as one prepared file stores them.

    Args:
        data: Attribute name -> tensor of all graphs, or list with one text per graph, see `pyg_samsa.datasets.texts`
            for one that is stored in tensors.
        slices: Attribute name -> int64 [G + 1], pointers to the parts of the graphs.
        split_idx: ``"train"``, ``"val"``, ``"test"`` -> int64 positions.
        extra: Tensors and texts that belong to the whole set.

    Example:
        >>> prepared = Prepared({"x": torch.arange(3)}, {"x": torch.tensor([0, 2, 3])}, {"train": torch.arange(2)})
        >>> prepared.data["x"][prepared.slices["x"][1] :]
        tensor([2])
    """

    data: dict[str, Any]
    slices: dict[str, Tensor]
    split_idx: dict[str, Tensor]
    extra: dict[str, Any] = field(default_factory=dict)


def molecules_to_prepared(table: GraphTable, split_idx: Mapping[str, Tensor], **per_graph: Any) -> Prepared:
    """Join the graphs of molecules with other attributes of each graph: tensors [G, ...] or lists of G texts.

    Example:
        >>> from pyg_samsa.chem import convert_smiles
        >>> table = convert_smiles(["CC", "C"], progress=False)
        >>> prepared = molecules_to_prepared(table, {"train": torch.arange(2)}, y=torch.zeros(2, 3))
        >>> prepared.slices["x"].tolist(), prepared.slices["y"].tolist()
        ([0, 2, 3], [0, 1, 2])
    """
    nodes, edges = (_offsets(torch.from_numpy(sizes)) for sizes in (table.num_nodes, table.num_edges))
    data: dict[str, Any] = {name: torch.from_numpy(getattr(table, name)) for name in ("x", "edge_index", "edge_attr")}
    slices = {"x": nodes, "edge_index": edges, "edge_attr": edges}
    each = torch.arange(len(table.num_nodes) + 1)
    return Prepared(data | per_graph, slices | dict.fromkeys(per_graph, each), dict(split_idx))


def _offsets(sizes: Tensor) -> Tensor:
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def save_prepared(prepared: Prepared, path: Path) -> None:
    """Store a prepared set in one file, atomically; integers are stored in the smallest type that holds them.

    Example:
        >>> import tempfile
        >>> prepared = Prepared({"x": torch.arange(3)}, {"x": torch.tensor([0, 2, 3])}, {"train": torch.arange(2)})
        >>> path = Path(tempfile.mkdtemp()) / "set.pt"
        >>> save_prepared(prepared, path)
        >>> load_prepared(path).data["x"].dtype
        torch.uint8
    """
    content = {
        "format": FORMAT,
        "data": {key: _stored(value) for key, value in prepared.data.items()},
        "dtypes": {
            key: str(value.dtype).removeprefix("torch.")
            for key, value in prepared.data.items()
            if isinstance(value, Tensor)
        },
        "slices": prepared.slices,
        "split_idx": prepared.split_idx,
        "extra": prepared.extra,
    }
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def _stored(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _shrink(value)
    return {"texts": value.content, "ptr": value.ptr} if isinstance(value, Texts) else list(value)


def _restored(value: Any) -> Any:
    """Return the texts that `_stored` took apart, if they belong together, and all else as it is."""
    if not isinstance(value, dict) or set(value) != {"texts", "ptr"}:
        return value
    content, ptr = value["texts"], value["ptr"]
    fits = all(isinstance(part, Tensor) and part.dim() == 1 for part in (content, ptr)) and len(ptr)
    fits = fits and content.dtype == torch.uint8 and ptr.dtype == torch.long
    fits = fits and int(ptr[0]) == 0 and int(ptr[-1]) == len(content) and bool((ptr.diff() >= 0).all())
    return Texts(content, ptr) if fits else None


def _shrink(value: Tensor) -> Tensor:
    if value.is_floating_point() or value.dtype == torch.bool or not value.numel():
        return value.contiguous()
    low, high = int(value.min()), int(value.max())
    for dtype in (torch.uint8, torch.int16, torch.int32):
        limits = torch.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return value.to(dtype).contiguous()
    return value.contiguous()


def load_prepared(path: Path) -> Prepared:
    """Read a prepared set without running any code from the file.

    Integers of nodes and edges stay in the small type in which they are stored; :class:`SplitDataset` returns
    int64. A large file is mapped into memory, so it opens at once and all processes share one copy.

    Args:
        path: File of a prepared set.

    Raises:
        DataIntegrityError: The file is damaged or has another format.
    """
    content = load_tensors(path, mmap=path.is_file() and is_mapped(path.stat().st_size))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise DataIntegrityError(path, f"a prepared set of format {FORMAT}", f"format {found}", hint=_PREPARE_AGAIN)
    if isinstance(content.get("data"), dict):
        content["data"] = {key: _restored(value) for key, value in content["data"].items()}
    _check_prepared(path, content)
    data, slices = dict(content["data"]), content["slices"]
    for key, value in data.items():
        # Attributes with one value per graph are small, and may be read without get().
        if key in slices and len(value) == len(slices[key]) - 1:
            data[key] = widen(value)
    return Prepared(data, slices, content["split_idx"], _Extra(path, content["extra"]))


def widen_graph(graph: Data) -> Data:
    """Return a graph with int64 in place of the small integers that are stored, except shortest paths.

    Example:
        >>> widen_graph(Data(x=torch.ones(1, 1, dtype=torch.uint8))).x.dtype
        torch.int64
    """
    return graph.apply(widen, *(key for key in graph.to_dict() if key not in _SMALL))


def widen(value: Any) -> Any:
    """Return integers as int64, and anything else as it is.

    Example:
        >>> widen(torch.ones(2, dtype=torch.int16)).dtype, widen("CC")
        (torch.int64, 'CC')
    """
    return (
        value.long()
        if isinstance(value, Tensor) and not value.is_floating_point() and value.dtype != torch.bool
        else value
    )


def is_mapped(size: int) -> bool:
    """Say whether a file of tensors is mapped into memory and not read as a whole.

    Args:
        size: Its size in bytes.

    Example:
        >>> is_mapped(1000)
        False
    """
    return size >= _MAPPED_BYTES and os.name != "nt"


_read: ContextVar[list[Path] | None] = ContextVar("files that were read", default=None)


@contextmanager
def files_read() -> Iterator[list[Path]]:
    """Collect the prepared files that data sets, encodings and descriptors read in the meantime.

    Example:
        >>> import tempfile
        >>> from pyg_samsa.datasets import Shapes
        >>> root = tempfile.mkdtemp()
        >>> with files_read() as files:
        ...     _ = Shapes(root, per_family=3, num_points=8, progress=False)
        >>> [path.parent.name for path in files]
        ['shapes']
    """
    files: list[Path] = []
    token = _read.set(files)
    try:
        yield files
    finally:
        _read.reset(token)


def note_read(path: str | os.PathLike[str]) -> None:
    """Let `files_read` list a file.

    Example:
        >>> with files_read() as files:
        ...     note_read("set.pt")
        >>> [path.name for path in files]
        ['set.pt']
    """
    if (files := _read.get()) is not None:
        files.append(Path(path))


def load_tensors(path: str | os.PathLike[str], *, mmap: bool = False, listed: bool = True) -> Any:
    """Read a file of tensors with ``torch.load(weights_only=True)``; with ``mmap``, parts are read when needed.

    Args:
        path: The file.
        mmap: Whether it is mapped into memory.
        listed: Whether `files_read` lists it.

    Raises:
        DataIntegrityError: The file is damaged, or holds more than tensors, containers, numbers and texts.
    """
    if listed:
        note_read(path)
    check_stored(Path(path))
    try:
        return torch.load(path, weights_only=True, map_location="cpu", mmap=mmap)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch.load raises half a dozen types for damaged files
        told = "" if isinstance(error, KeyError) else str(error).strip()
        reason = told.splitlines()[0][:200] if told else type(error).__name__
        raise DataIntegrityError(
            path,
            "a file of tensors",
            f"one that cannot be read ({reason})",
            hint=_PREPARE_AGAIN,
        ) from error


def prepare_once(path: Path, make: Callable[[], Prepared], *, parts: Path | None = None) -> Prepared:
    """Return the prepared set of ``path``; if it is missing, one process makes it and the others wait.

    Args:
        path: File of the prepared set.
        make: Makes the set.
        parts: Folder in which it keeps parts while it works. A preparation that is killed, or stopped by a full disk,
            leaves it for the next one; otherwise it is deleted.
    """
    if path.is_dir():
        raise DataIntegrityError(path, "a prepared file", "a folder", hint="Rename or delete it.")
    if not path.is_file():
        with lock(path):
            if not path.is_file():
                remove_partial(path)
                try:
                    save_prepared(make(), path)
                except SAMSAError:
                    _remove(parts)
                    raise
            _remove(parts)
    return load_prepared(path)


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


class _Extra(dict[str, Any]):
    """What data sets keep beside the graphs; an entry that is missing is an error that names the file."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise DataIntegrityError(self.path, f"the entry {key}", "none", hint=_PREPARE_AGAIN)


def _check_prepared(path: Path, content: Mapping[str, Any]) -> None:
    """Check that the parts of a prepared set belong together."""

    def expect(fits: bool, what: str) -> None:
        if not fits:
            raise DataIntegrityError(path, what, "something else", hint=_PREPARE_AGAIN)

    for name in ("data", "slices", "split_idx", "extra"):
        expect(isinstance(content.get(name), dict), f"a prepared set with {name}")
    data, slices = content["data"], content["slices"]
    ends = [value for value in slices.values() if isinstance(value, Tensor) and value.dim() == 1 and len(value)]
    expect(bool(ends) and len(ends) == len(slices) and len({len(value) for value in ends}) == 1, "places of all graphs")
    for name, value in slices.items():
        stored = data.get(name)
        fits = isinstance(stored, (list, Texts)) or (isinstance(stored, Tensor) and stored.dim() > 0)
        expect(fits, f"the values {name}")
        size = stored.size(cat_dim(name, stored)) if isinstance(stored, Tensor) else len(stored)
        expect(int(value[-1]) == size, f"{int(value[-1])} values {name}")
    count = len(ends[0]) - 1
    for name, rows in content["split_idx"].items():
        fits = isinstance(rows, Tensor) and rows.dim() == 1 and not rows.is_floating_point()
        expect(fits and (not len(rows) or 0 <= int(rows.min()) <= int(rows.max()) < count), f"rows of the split {name}")


def select_graphs(prepared: Prepared, keep: Tensor) -> Prepared:
    """Keep the graphs at the given positions, in that order; splits are renumbered.

    Args:
        prepared: G graphs.
        keep: int64 [G'], distinct positions.

    Example:
        >>> from pyg_samsa.chem import convert_smiles
        >>> table = convert_smiles(["CC", "C", "CO"], progress=False)
        >>> prepared = molecules_to_prepared(table, {"train": torch.arange(3)})
        >>> kept = select_graphs(prepared, torch.tensor([2, 1]))
        >>> kept.slices["x"].tolist(), kept.split_idx["train"].tolist()
        ([0, 2, 3], [1, 0])
    """
    data: dict[str, Any] = {}
    slices: dict[str, Tensor] = {}
    rows: dict[int, Tensor] = {}
    for key, value in prepared.data.items():
        whole = prepared.slices[key]
        start, end = whole[keep], whole[keep + 1]
        slices[key] = _offsets(end - start)
        if isinstance(value, Tensor):
            # Attributes of the same kind share their slices.
            same = id(whole)
            if same not in rows:
                rows[same] = torch.repeat_interleave(start - slices[key][:-1], end - start) + torch.arange(
                    int(slices[key][-1])
                )
            data[key] = value.index_select(cat_dim(key, value), rows[same])
        else:
            data[key] = [value[position] for position in keep.tolist()]
    count = len(next(iter(prepared.slices.values()))) - 1
    place = torch.full((count,), -1)
    place[keep] = torch.arange(len(keep))
    split_idx = {name: place[idx][place[idx] >= 0] for name, idx in prepared.split_idx.items()}
    return Prepared(data, slices, split_idx, prepared.extra)


def cat_dim(key: str, value: Tensor) -> int:
    """Return the dimension in which an attribute of several graphs is concatenated.

    Example:
        >>> cat_dim("edge_index", torch.zeros(2, 5)), cat_dim("x", torch.zeros(3, 9))
        (-1, 0)
    """
    return Data().__cat_dim__(key, value) if value.dim() > 1 else 0


def batch_of(prepared: Prepared) -> Batch:
    """Convert concatenated graphs to a batch, as PyG's collate does."""
    batch: Any = Batch(_base_cls=Data)
    nodes = prepared.slices["x"]
    sizes = nodes.diff()
    for key, value in prepared.data.items():
        value = value if key in _SMALL else widen(value)
        counts_up = "index" in key or key == "face"
        if counts_up:
            value = value + torch.repeat_interleave(nodes[:-1], prepared.slices[key].diff())
        batch[key] = value
        batch._slice_dict = {**getattr(batch, "_slice_dict", {}), key: prepared.slices[key]}
        increments = (nodes[:-1] if counts_up else torch.zeros_like(sizes)) if isinstance(value, Tensor) else None
        batch._inc_dict = {**getattr(batch, "_inc_dict", {}), key: increments}
    batch._num_graphs = len(sizes)
    batch.batch = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
    batch.ptr = nodes
    return batch
