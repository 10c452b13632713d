"""The base of all data sets: in-memory PyG data sets with a task and splits, prepared once and stored in one file."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.data.separate import separate

from pyg_samsa.chem.graph_table import GraphTable
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.texts import Texts
from pyg_samsa.errors import ConfigError, DataError, DataIntegrityError, SAMSAError
from pyg_samsa.io.files import atomic_write, lock, remove_partial
from pyg_samsa.io.unfold import check_stored
from pyg_samsa.nn.target_scale import scale_of
from pyg_samsa.task import Task

_LOGGER = logging.getLogger(__name__)
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
            data[key] = _widen(value)
    return Prepared(data, slices, content["split_idx"], _Extra(path, content["extra"]))


def _widen_graph(graph: Data) -> Data:
    return graph.apply(_widen, *(key for key in graph.to_dict() if key not in _SMALL))


def _widen(value: Any) -> Any:
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
        size = stored.size(_cat_dim(name, stored)) if isinstance(stored, Tensor) else len(stored)
        expect(int(value[-1]) == size, f"{int(value[-1])} values {name}")
    count = len(ends[0]) - 1
    for name, rows in content["split_idx"].items():
        fits = isinstance(rows, Tensor) and rows.dim() == 1 and not rows.is_floating_point()
        expect(fits and (not len(rows) or 0 <= int(rows.min()) <= int(rows.max()) < count), f"rows of the split {name}")


class SplitDataset(InMemoryDataset):
    """A PyG in-memory data set of all splits together, with its task, its features and its splits.

    Args:
        prepared: Graphs and splits.
        task: The targets.
        features: Widths of the features of nodes and edges.
        transform: Called on every graph on access.
        root: Folder of the data sets.

    Attributes:
        task: The targets.
        features: Widths of the features of nodes and edges.
        split_idx: ``"train"``, ``"val"`` and ``"test"`` -> int64 positions.

    Example:
        >>> from pyg_samsa.chem import convert_smiles
        >>> from pyg_samsa.datasets.features import MOLECULES
        >>> table = convert_smiles(["CC", "C", "CO"], progress=False)
        >>> splits = {"train": torch.tensor([0, 2]), "val": torch.tensor([1])}
        >>> prepared = molecules_to_prepared(table, splits, y=torch.zeros(3, 1))
        >>> dataset = SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES)
        >>> dataset[dataset.split_idx["val"]][0], dataset.task.num_targets
        (Data(x=[1, 9], edge_index=[2, 0], edge_attr=[0, 3], y=[1, 1]), 1)
    """

    def __init__(
        self,
        prepared: Prepared,
        task: Task,
        features: Features,
        *,
        transform: Callable[[Data], Data] | None = None,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(None, transform)
        self.root = None if root is None else str(root)
        data = Data.from_dict(prepared.data)
        count = len(next(iter(prepared.slices.values()))) - 1
        # PyG returns the only graph of a set as it is stored, so its lists of texts are unwrapped here.
        if count == 1:
            data = Data.from_dict(
                {key: value if isinstance(value, Tensor) else value[0] for key, value in prepared.data.items()}
            )
        self._data, self.slices = data, prepared.slices if count != 1 else None
        self.split_idx = dict(prepared.split_idx)
        self.task, self.features = task, features

    @property
    def target_scale(self) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation, float64 [C], of the targets of the training rows; None without regression.

        Missing targets (NaN) are left out. A target without variation has the standard deviation 1.

        Example:
            >>> from pyg_samsa.datasets.features import Features
            >>> y, train = torch.tensor([[1.0], [3.0], [99.0]]), torch.tensor([0, 1])
            >>> graphs = Prepared({"y": y}, {"y": torch.arange(4)}, {"train": train})
            >>> SplitDataset(graphs, Task("regression", ["logP"]), Features(1)).target_scale
            (tensor([2.], dtype=torch.float64), tensor([1.], dtype=torch.float64))
        """
        if self.task.kind != "regression":
            return None
        train = self.split_idx["train"]
        if self.task.level == "graph":
            known = self._chosen(self._data.y.view(-1, self.task.num_targets))[train]
        else:
            known = torch.cat([self[row].y.view(-1, self.task.num_targets) for row in train.tolist()])
        return scale_of(known)

    @property
    def graph_features(self) -> Tensor | None:
        """Features of all graphs, float32 [G, F]; None without such features.

        Example:
            >>> from pyg_samsa.datasets.features import Features
            >>> data = {"y": torch.zeros(2, 1), "graph_features": torch.tensor([[1.0], [2.0]])}
            >>> graphs = Prepared(data, dict.fromkeys(data, torch.arange(3)), {})
            >>> SplitDataset(graphs, Task("binary", ["active"]), Features(1)).graph_features.tolist()
            [[1.0], [2.0]]
        """
        return self._chosen(self._data["graph_features"]) if "graph_features" in self._data else None

    def get(self, idx: int) -> Data:
        """Return one graph, its integers int64, except shortest paths."""
        if self.slices is None:
            return _widen_graph(super().get(idx))
        # PyG's own method keeps every graph that it ever returned, some 8 KB each.
        data = separate(cls=Data, batch=self._data, idx=idx, slice_dict=self.slices, decrement=False)
        return _widen_graph(data)

    def count_tokens(self, *, edges: bool = True) -> Tensor:
        """Return the number of nodes of each graph, with ``edges`` of nodes and directed edges: int64 [G].

        Example:
            >>> from pyg_samsa.chem import convert_smiles
            >>> from pyg_samsa.datasets.features import MOLECULES
            >>> prepared = molecules_to_prepared(convert_smiles(["CC", "C"], progress=False), {}, y=torch.zeros(2, 1))
            >>> dataset = SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES)
            >>> dataset.count_tokens(), dataset.count_tokens(edges=False)
            (tensor([4, 1]), tensor([2, 1]))
        """
        nodes, links = (self._sizes(key) for key in ("x", "edge_index"))
        return nodes + links if edges else nodes

    def _sizes(self, key: str) -> Tensor:
        """Return how many rows of an attribute each graph has, int64 [G]; 0 where there is no such attribute."""
        if key not in self._data:
            return torch.zeros(len(self), dtype=torch.long)
        sizes = (
            torch.tensor([self._data[key].size(_cat_dim(key, self._data[key]))]).expand(self.len())
            if self.slices is None
            else self.slices[key].diff()
        )
        return self._chosen(sizes)

    def _chosen(self, values: Tensor) -> Tensor:
        """Return the values of the graphs in this view of the data set, of one row per stored graph."""
        return values if self._indices is None else values[torch.as_tensor(list(self._indices), dtype=torch.long)]

    def make_batch(self, rows: Sequence[int]) -> Batch:
        """Return the batch of some graphs, equal to ``Batch.from_data_list`` but sliced from the stored tensors.

        Args:
            rows: Row numbers, at least one.

        Example:
            >>> from pyg_samsa.chem import convert_smiles
            >>> from pyg_samsa.datasets.features import MOLECULES
            >>> table = convert_smiles(["CC", "C", "CO"], progress=False)
            >>> prepared = molecules_to_prepared(table, {}, y=torch.zeros(3, 1))
            >>> dataset = SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES)
            >>> dataset.make_batch([2, 0])
            DataBatch(x=[4, 9], edge_index=[2, 4], edge_attr=[4, 3], y=[2, 1], batch=[4], ptr=[3])

        Cost: about 10 times faster than collating single graphs.
        """
        slices = self.slices or {}
        plain = type(self).get is SplitDataset.get and self.transform is None and "x" in slices
        if not plain or any("batch" in key or "ptr" in key for key in slices):
            return Batch.from_data_list([self[row] for row in rows])
        chosen = torch.as_tensor(
            rows if self._indices is None else [self._indices[row] for row in rows], dtype=torch.long
        )
        # PyG's own keys() come in the order of a set, which changes from process to process.
        return _batch(select_graphs(Prepared({key: self._data[key] for key in slices}, slices, {}), chosen))

    def get_idx_split(self) -> dict[str, Tensor]:
        """Return ``split_idx``; the name is that of OGB's data sets.

        Example:
            >>> prepared = Prepared({"y": torch.zeros(2)}, {"y": torch.arange(3)}, {"train": torch.tensor([0, 1])})
            >>> from pyg_samsa.datasets.features import Features
            >>> SplitDataset(prepared, Task("binary", ["active"]), Features(1)).get_idx_split()
            {'train': tensor([0, 1])}
        """
        return self.split_idx


def check_described(dataset: Any) -> None:
    """Raise an error unless a data set has a task, features, and splits with a training row.

    Raises:
        DataError: An attribute is missing.
        ConfigError: There are no training rows.

    Example:
        >>> check_described([])
        Traceback (most recent call last):
        pyg_samsa.errors.DataError: list lacks task, features, split_idx
    """
    missing = [name for name in ("task", "features", "split_idx") if not hasattr(dataset, name)]
    if missing:
        raise DataError(
            f"{type(dataset).__name__} lacks {', '.join(missing)}",
            hint="See pyg_samsa.datasets.SplitDataset for what these attributes hold.",
        )
    if not len(dataset.split_idx.get("train", ())):
        raise ConfigError("split_idx", sorted(dataset.split_idx), "a split 'train' with at least one row")


def per_graph(dataset: Any, key: str) -> Any:
    """Return the values of an attribute for all graphs: a tensor, or a sequence of texts.

    Args:
        dataset: Graphs.
        key: An attribute with one row, or one text, for each graph.

    Example:
        >>> from pyg_samsa.datasets.features import Features
        >>> graphs = Prepared({"y": torch.arange(3)}, {"y": torch.arange(4)}, {})
        >>> per_graph(SplitDataset(graphs, Task("binary", ["active"]), Features(1))[1:], "y")
        tensor([1, 2])

    Cost: nothing where they are stored so; other data sets are read graph by graph.
    """
    stored = None
    if isinstance(dataset, SplitDataset) and dataset.slices is not None and key in dataset.slices:
        plain = type(dataset).get is SplitDataset.get and dataset.transform is None
        stored = dataset._data[key] if plain and len(dataset._data[key]) == len(dataset.slices[key]) - 1 else None
    if stored is None:
        values = [dataset[row][key] for row in range(len(dataset))]
        return torch.cat(values) if isinstance(values[0], Tensor) else values
    rows = dataset._indices
    if isinstance(stored, Tensor):
        return _widen(stored if rows is None else stored[list(rows)])
    return stored if rows is None else [stored[row] for row in rows]


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
            data[key] = value.index_select(_cat_dim(key, value), rows[same])
        else:
            data[key] = [value[position] for position in keep.tolist()]
    count = len(next(iter(prepared.slices.values()))) - 1
    place = torch.full((count,), -1)
    place[keep] = torch.arange(len(keep))
    split_idx = {name: place[idx][place[idx] >= 0] for name, idx in prepared.split_idx.items()}
    return Prepared(data, slices, split_idx, prepared.extra)


def _cat_dim(key: str, value: Tensor) -> int:
    return Data().__cat_dim__(key, value) if value.dim() > 1 else 0


def _batch(prepared: Prepared) -> Batch:
    """Convert concatenated graphs to a batch, as PyG's collate does."""
    batch: Any = Batch(_base_cls=Data)
    nodes = prepared.slices["x"]
    sizes = nodes.diff()
    for key, value in prepared.data.items():
        value = value if key in _SMALL else _widen(value)
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
