"""What every data set of this package is: one in-memory PyG dataset with its splits, prepared once and stored in one file."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data, InMemoryDataset

from pyg_samsa.chem.features import ATOM_CARDINALITIES, BOND_CARDINALITIES, GraphTable
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io.files import atomic_write, lock, remove_partial

_LOGGER = logging.getLogger(__name__)
FORMAT = 1
TASKS = ("multilabel", "binary", "multiclass", "regression")
LEVELS = ("graph", "node", "link")
Channels = int | list[int] | None


class TaskInfo(NamedTuple):
    """What is predicted from what.

    Args:
        task: ``"multilabel"``, ``"binary"``, ``"multiclass"`` or ``"regression"``.
        level: ``"graph"``, ``"node"`` or ``"link"``.
        target_names: Names of the targets (of the classes, for ``"multiclass"``); their number is the width of a model's output.
        in_channels: Width of float node features, or the cardinalities of categorical ones.
        edge_channels: The same for edges; None when edges have no features.
    """

    task: str
    level: str
    target_names: list[str]
    in_channels: Channels
    edge_channels: Channels

    @classmethod
    def molecules(cls, task: str, target_names: Sequence[str], level: str = "graph") -> TaskInfo:
        """Return the task on molecules with OGB's atom and bond features."""
        return cls(task, level, list(target_names), list(ATOM_CARDINALITIES), list(BOND_CARDINALITIES))


@dataclass
class Prepared:
    """Graphs laid end to end, ready to be stored: what one prepared file holds.

    Args:
        data: Attribute name -> tensor of all graphs, or list with one text per graph.
        slices: Attribute name -> int64 [G + 1], where each graph's part begins and ends.
        split_idx: ``"train"``, ``"val"``, ``"test"`` -> int64 positions.
        extra: Tensors and texts that belong to the whole set.
    """

    data: dict[str, Any]
    slices: dict[str, Tensor]
    split_idx: dict[str, Tensor]
    extra: dict[str, Any] = field(default_factory=dict)


def molecules_to_prepared(table: GraphTable, split_idx: Mapping[str, Tensor], **per_graph: Any) -> Prepared:
    """Join the graphs of molecules with what each graph has besides: tensors [G, ...] or lists of G texts.

    Example:
        >>> from pyg_samsa.chem import convert_smiles
        >>> prepared = molecules_to_prepared(convert_smiles(["CC", "C"], progress=False), {"train": torch.arange(2)}, y=torch.zeros(2, 3))
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
    """Store a prepared set; integers are stored in the smallest type that holds them, and the file appears whole or not at all."""
    content = {
        "format": FORMAT,
        "data": {key: _shrink(value) if isinstance(value, Tensor) else list(value) for key, value in prepared.data.items()},
        "dtypes": {key: str(value.dtype).removeprefix("torch.") for key, value in prepared.data.items() if isinstance(value, Tensor)},
        "slices": prepared.slices,
        "split_idx": prepared.split_idx,
        "extra": prepared.extra,
    }
    with atomic_write(path) as temporary:
        torch.save(content, temporary)


def _shrink(value: Tensor) -> Tensor:
    if value.is_floating_point() or value.dtype == torch.bool or not value.numel():
        return value.contiguous()
    low, high = int(value.min()), int(value.max())
    for dtype in (torch.uint8, torch.int16, torch.int32):
        limits = torch.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return value.to(dtype).contiguous()
    return value.contiguous()


def load_prepared(path: Path, *, compact: Sequence[str] = ()) -> Prepared:
    """Read what :func:`save_prepared` stored, without running any code that the file might bring along.

    Args:
        path: File of a prepared set.
        compact: Attributes whose integers stay in the small type in which they are stored; all others become int64.

    Raises:
        DataIntegrityError: The file is damaged, or of another format.
    """
    content = load_tensors(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise DataIntegrityError(path, f"a prepared set of format {FORMAT}", f"format {found}", hint="Delete the file; it is prepared again.")
    data = dict(content["data"])
    for key, value in data.items():
        if key not in compact and isinstance(value, Tensor) and not value.is_floating_point() and value.dtype != torch.bool:
            data[key] = value.long()
    return Prepared(data, content["slices"], content["split_idx"], content["extra"])


def load_tensors(path: str | os.PathLike[str]) -> Any:
    """``torch.load`` with ``weights_only=True`` and one clear error.

    Raises:
        DataIntegrityError: The file is damaged, or holds more than tensors, containers, numbers and texts.
    """
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise
    except Exception as error:  # torch.load raises half a dozen kinds for a damaged file, and plain RuntimeError for most
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise DataIntegrityError(
            path, "a file of tensors", f"one that cannot be read ({reason})", hint="Delete the file; it is prepared again."
        ) from error


def prepare_once(path: Path, make: Callable[[], Prepared], *, compact: Sequence[str] = ()) -> Prepared:
    """Return the prepared set of ``path``, making it when it is missing; of several processes one makes it and the others wait for it.

    Args:
        path: File of the prepared set.
        make: Makes the set.
        compact: See :func:`load_prepared`.
    """
    if not path.is_file():
        with lock(path):
            if not path.is_file():
                remove_partial(path)
                save_prepared(make(), path)
    return load_prepared(path, compact=compact)


class SplitDataset(InMemoryDataset):
    """A PyG in-memory dataset of all splits together, which knows its splits and its task.

    Args:
        prepared: Graphs and splits.
        info: What is predicted from what.
        transform: Called on every graph that is taken out.
        root: Folder it came from.

    Attributes:
        split_idx: ``"train"``, ``"val"`` and ``"test"`` -> int64 positions.
        task, level, target_names, in_channels, edge_channels: See :class:`TaskInfo`.
        num_targets: Width of a model's output.

    Example:
        >>> from pyg_samsa.chem import convert_smiles
        >>> table = convert_smiles(["CC", "C", "CO"], progress=False)
        >>> splits = {"train": torch.tensor([0, 2]), "val": torch.tensor([1])}
        >>> dataset = SplitDataset(molecules_to_prepared(table, splits, y=torch.zeros(3, 1)), TaskInfo.molecules("regression", ["logP"]))
        >>> dataset[dataset.split_idx["val"]][0], dataset.num_targets
        (Data(x=[1, 9], edge_index=[2, 0], edge_attr=[0, 3], y=[1, 1]), 1)
    """

    def __init__(
        self, prepared: Prepared, info: TaskInfo, *, transform: Callable[[Data], Data] | None = None, root: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(None, transform)
        self.root = None if root is None else str(root)
        data = Data.from_dict(prepared.data)
        count = len(next(iter(prepared.slices.values()))) - 1
        # PyG hands a one-graph set out as it is stored, so its lists of texts are unwrapped here.
        if count == 1:
            data = Data.from_dict({key: value[0] if isinstance(value, list) else value for key, value in prepared.data.items()})
        self._data, self.slices = data, prepared.slices if count != 1 else None
        self.split_idx = dict(prepared.split_idx)
        self.task, self.level, self.target_names, self.in_channels, self.edge_channels = info

    @property
    def num_targets(self) -> int:
        """Width of a model's output."""
        return len(self.target_names)

    def get_idx_split(self) -> dict[str, Tensor]:
        """Return ``split_idx``, under the name that OGB's datasets have."""
        return self.split_idx


def select_graphs(prepared: Prepared, keep: Tensor) -> Prepared:
    """Keep the graphs at the given positions, in that order; the splits lose the others and are renumbered.

    Args:
        prepared: G graphs.
        keep: int64 [G'], distinct positions.

    Example:
        >>> from pyg_samsa.chem import convert_smiles
        >>> prepared = molecules_to_prepared(convert_smiles(["CC", "C", "CO"], progress=False), {"train": torch.arange(3)})
        >>> kept = select_graphs(prepared, torch.tensor([2, 1]))
        >>> kept.slices["x"].tolist(), kept.split_idx["train"].tolist()
        ([0, 2, 3], [1, 0])
    """
    data: dict[str, Any] = {}
    slices: dict[str, Tensor] = {}
    for key, value in prepared.data.items():
        start, end = prepared.slices[key][keep], prepared.slices[key][keep + 1]
        slices[key] = _offsets(end - start)
        if isinstance(value, Tensor):
            parts = torch.repeat_interleave(start - slices[key][:-1], end - start) + torch.arange(int(slices[key][-1]))
            data[key] = value.index_select(_cat_dim(key, value), parts)
        else:
            data[key] = [value[position] for position in keep.tolist()]
    count = len(next(iter(prepared.slices.values()))) - 1
    place = torch.full((count,), -1)
    place[keep] = torch.arange(len(keep))
    split_idx = {name: place[idx][place[idx] >= 0] for name, idx in prepared.split_idx.items()}
    return Prepared(data, slices, split_idx, prepared.extra)


def _cat_dim(key: str, value: Tensor) -> int:
    return Data().__cat_dim__(key, value) if value.dim() > 1 else 0
