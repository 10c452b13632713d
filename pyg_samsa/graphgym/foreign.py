"""Data sets of other loaders, which lack a task, features or splits: what these are is read from the graphs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.nodes.node_dataset import NodeDataset
from pyg_samsa.datasets.prepared import Prepared
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.task import MASKED, SPLITS, Task

GRAPH_SPLITS = {split: f"{split}_graph_index" for split in SPLITS}
"""Attributes of GraphGym for the rows of each split."""
_MASKS = {split: f"{split}_mask" for split in SPLITS}
_OTHER_NAMES = {"valid": "val", "validation": "val"}
_NEEDED = "split_idx or get_idx_split() with rows of train, val and test"


def describe_foreign(dataset: Any) -> Any:
    """Return a data set with ``task``, ``features`` and ``split_idx``; what it has of them already is kept.

    Task and features are read from the graphs and from ``dataset.task_type``. Splits are, of what is there, the first
    of ``split_idx``, GraphGym's ``train_graph_index`` and so on, the method ``get_idx_split`` of OGB's data sets, and
    a random split with the shares of ``dataset.split``. ``valid`` is another name for ``val``. In a data set of one
    graph with a class for each node, nodes are split, also by ``train_mask`` and so on; the result is a
    `pyg_samsa.datasets.NodeDataset`.

    Args:
        dataset: Graphs with targets ``y``. A mapping ``split_idx`` holds row numbers, or a mask of all rows, as bool or
            as uint8 of 0 and 1. No row is in two splits.

    Raises:
        DataError: There are no targets, or fewer than three graphs without a split of their own.
        ConfigError: A split is not one of row numbers, a row occurs twice, ``dataset.split`` has no shares that add up
            to 1, or whole numbers are features without an encoder.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> none = torch.empty(2, 0, dtype=torch.long)
        >>> graphs = [Data(x=torch.ones(2, 3), edge_index=none, y=torch.tensor([row % 2])) for row in range(10)]
        >>> dataset = describe_foreign(graphs)
        >>> dataset.task.kind, dataset.features.in_channels, [len(rows) for rows in dataset.split_idx.values()]
        ('binary', 3, [8, 1, 1])
    """
    missing = [name for name in ("task", "features", "split_idx") if not hasattr(dataset, name)]
    name = f"{cfg.dataset.name} ({type(dataset).__name__})"
    if not missing and _same_rows(dataset.split_idx, _own_split(dataset, len(dataset), name)):
        return dataset
    if not len(dataset):
        raise DataError(f"{name}: no graphs", hint="The loader has to return graphs with targets y.")
    first = dataset[0]
    if "task" in missing and first.get("y") is None:
        raise DataError(f"{name}: the graphs have no targets y", hint="Give each graph y, or the data set a task.")
    if len(dataset) == 1 and "task" in missing and _per_node(first):
        return _one_graph(dataset, first, name)
    own = _own_split(dataset, len(dataset), name)
    if own is None and len(dataset) < 3:
        hint = f"Use several graphs with targets y, one graph with a class for each node, or give {_NEEDED}."
        raise DataError(f"{name}: {len(dataset)} graphs cannot be split", hint=hint)
    described: Any = copy.copy(dataset) if hasattr(dataset, "__dict__") else _Graphs(dataset)
    if "task" in missing:
        kind, num_targets = _task(dataset)
        noun = "class" if kind == "multiclass" else "target"
        names = [f"{noun}_{number}" for number in range(num_targets)]
        described.task = Task(kind, names, "node" if _per_node(first) else "graph")
    if "features" in missing:
        num_dims = first.pos.size(1) if first.get("pos") is not None else 0
        _check_encoded(first, name)
        described.features = Features(_float_width(first.get("x")), _float_width(first.get("edge_attr")), num_dims)
    described.split_idx = _random_split(len(dataset)) if own is None else own
    return described


class _Graphs(list):
    """A list of graphs that can carry a task, features and splits."""


def _per_node(graph: Data) -> bool:
    return graph.y.size(0) == graph.num_nodes and graph.num_nodes != 1 if graph.y.ndim else False


def _own_split(dataset: Any, count: int, name: str) -> dict[str, Tensor] | None:
    """Return the rows of the splits that a data set brings, or None."""
    for source in ("split_idx", "own_split", "get_idx_split"):
        if hasattr(dataset, source):
            found = getattr(dataset, source)
            return _checked(found() if callable(found) else found, count, f"{name}.{source}")
    return None


def _same_rows(given: Any, own: dict[str, Tensor] | None) -> bool:
    """Return whether a data set's splits are in the form in which they are used already."""
    return isinstance(given, Mapping) and own is not None and all(own.get(key) is rows for key, rows in given.items())


def _checked(splits: Any, count: int, where: str) -> dict[str, Tensor]:
    expected = f"rows of {', '.join(SPLITS)}: numbers from 0 to {count - 1}, or a mask of {count}"
    if not isinstance(splits, Mapping) or "train" not in splits:
        raise ConfigError(where, sorted(splits) if isinstance(splits, Mapping) else type(splits).__name__, expected)
    rows: dict[str, Tensor] = {}
    for key, value in splits.items():
        split = _OTHER_NAMES.get(key, key)
        if split not in SPLITS or split in rows:
            raise ConfigError(where, sorted(splits), f"the splits {', '.join(SPLITS)}, each once")
        try:
            numbers = _mask_of_bytes(torch.as_tensor(value).flatten(), count)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{where}[{key!r}]", type(value).__name__, expected) from error
        if numbers.dtype == torch.bool and len(numbers) == count:
            numbers = numbers.nonzero().flatten()
        whole = not (numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool)
        numbers = numbers.long() if whole else numbers
        if len(numbers) and (not whole or int(numbers.min()) < 0 or int(numbers.max()) >= count):
            raise ConfigError(f"{where}[{key!r}]", _shown(numbers), expected)
        rows[split] = numbers.long()
    rows = {split: rows[split] for split in SPLITS if split in rows}
    _refuse_twice(where, "row", {split: numbers.bincount(minlength=count) for split, numbers in rows.items()})
    return rows


def _mask_of_bytes(numbers: Tensor, count: int) -> Tensor:
    """Return bool for a mask of bytes, which is how masks were stored before there was bool; others are returned."""
    byte_mask = numbers.dtype == torch.uint8 and numbers.size(0) == count and not bool((numbers > 1).any())
    return numbers.bool() if byte_mask else numbers


def _refuse_twice(where: str, noun: str, times: Mapping[str, Tensor]) -> None:
    """Raise an error if a row or node is in splits more than once; ``times`` [N] of each split say how often."""
    twice = (sum(times.values(), torch.zeros(())) > 1).nonzero().flatten()
    if not len(twice):
        return
    first = int(twice[0])
    places = [f"{split}{' twice' * bool(counts[first] > 1)}" for split, counts in times.items() if counts[first]]
    others = f", and {len(twice) - 1:,} more like it" if len(twice) > 1 else ""
    expected = f"each {noun} in one split at most, and there once"
    raise ConfigError(where, f"{noun} {first} in {' and '.join(places)}{others}", expected)


def _shown(numbers: Tensor) -> str:
    what = f"from {numbers.min().item()} to {numbers.max().item()}" if numbers.dtype != torch.bool else ""
    return f"{len(numbers)} values {what or 'True or False'} ({numbers.dtype})"


def _random_split(count: int) -> dict[str, Tensor]:
    # The seed of the split is fixed, so that runs with other seeds use the same split.
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    shares = _shares()
    ends = [round(sum(shares[: number + 1]) * count) for number in range(len(shares))]
    return {split: order[start:end] for split, start, end in zip(SPLITS, [0, *ends[:-1]], ends, strict=False)}


def _shares() -> list[float]:
    shares = list(cfg.dataset.split)
    if (
        cfg.dataset.split_mode != "random"
        or not 2 <= len(shares) <= 3
        or abs(sum(shares) - 1) > 1e-6
        or min(shares) <= 0
    ):
        raise ConfigError("dataset.split", shares, "two or three shares that sum to 1 (with dataset.split_mode random)")
    return shares


def _one_graph(dataset: Any, graph: Data, name: str) -> NodeDataset:
    """Return a graph whose nodes are split, by its masks, by the rows that the data set gives, or at random."""
    y, nodes = graph.y, int(graph.num_nodes or 0)
    y = y.flatten() if y.ndim == 2 and y.size(1) == 1 else y
    whole = y.ndim == 1 and bool((y == y.round()).all() if y.is_floating_point() else y.dtype != torch.bool)
    if not whole or cfg.dataset.task_type not in ("classification", "classification_multi", "classification_binary"):
        given = f"y {list(graph.y.shape)} ({graph.y.dtype}) and dataset.task_type {cfg.dataset.task_type}"
        expected = "one class for each node and dataset.task_type classification"
        raise ConfigError(f"{name}, a single graph", given, expected)
    _check_encoded(graph, name)
    if (width := _float_width(graph.get("x"))) is None:
        expected = "float features x [N, F] in a single graph"
        raise ConfigError(name, "none" if graph.get("x") is None else str(graph.x.dtype), expected)
    masks = _node_masks(dataset, graph, nodes, name)
    y = y.long()
    used = y[masks.any(0).any(0)] if len(masks) else y
    if len(used) and int(used.min()) < 0:
        raise DataError(f"{name}: node labels below 0 in a split", hint="Leave these nodes out of all splits.")
    tensors = {"x": graph.x, "edge_index": graph.edge_index, "y": y}
    if (edge_width := _float_width(graph.get("edge_attr"))) is not None:
        tensors["edge_attr"] = graph.edge_attr
    slices = {key: torch.tensor([0, value.size(1 if key == "edge_index" else 0)]) for key, value in tensors.items()}
    kind = Task("multiclass", [f"class_{number}" for number in range(int(used.max()) + 1)], "node")
    random = cfg.dataset.node_split == "random" or not len(masks)
    return NodeDataset(
        Prepared(dict(tensors), slices, {}, {"masks": masks}),
        kind,
        Features(width, edge_width),
        split_index=cfg.dataset.split_index or 0,
        node_split="random" if random else "own",
        fractions=_shares() if random else list(cfg.dataset.split),
        seed=cfg.dataset.seed or 0,
    )


def _node_masks(dataset: Any, graph: Data, nodes: int, name: str) -> Tensor:
    """Return the nodes of each split, bool [S, 3, N], of S splits; S is 0 without any."""
    if rows := _own_split(dataset, nodes, name):
        masks = torch.zeros(1, len(SPLITS), nodes, dtype=torch.bool)
        for split, numbers in rows.items():
            masks[0, SPLITS.index(split), numbers] = True
        return masks
    present = {split: graph[mask] for split, mask in _MASKS.items() if graph.get(mask) is not None}
    if not present:
        return torch.zeros(0, len(SPLITS), nodes, dtype=torch.bool)
    columns = max(mask.size(1) if mask.ndim == 2 else 1 for mask in present.values())
    masks = torch.zeros(columns, len(SPLITS), nodes, dtype=torch.bool)
    for split, mask in present.items():
        mask = _mask_of_bytes(mask, nodes)
        if mask.dtype != torch.bool or mask.size(0) != nodes:
            raise ConfigError(
                f"{name}.{_MASKS[split]}", f"{list(mask.shape)} ({mask.dtype})", f"a mask of {nodes} nodes"
            )
        masks[:, SPLITS.index(split)] = mask.reshape(nodes, -1).t()
    for several in masks if cfg.dataset.node_split != "random" else ():
        _refuse_twice(name, "node", {_MASKS[split]: mask.long() for split, mask in zip(SPLITS, several, strict=True)})
    return masks


def _check_encoded(graph: Data, name: str) -> None:
    """Raise an error if the features of nodes are whole numbers that nothing embeds."""
    x = graph.get("x")
    if x is None or x.is_floating_point() or cfg.dataset.node_encoder or cfg.dataset.task_type == MASKED:
        return
    hint = (
        "Let the loader return floats, set dataset.node_encoder True and dataset.node_encoder_name, or give the data "
        "set the attribute features: pyg_samsa.datasets.Features([number of categories of each column])."
    )
    raise ConfigError(f"{name}, features x of nodes", str(x.dtype), "float features", hint=hint)


def _float_width(features: Tensor | None) -> int | None:
    return features.size(1) if features is not None and features.ndim == 2 and features.is_floating_point() else None


def _task(dataset: Any) -> tuple[str, int]:
    targets = torch.cat(
        [dataset[row].y.reshape(1, -1) if dataset[row].y.ndim == 0 else dataset[row].y for row in range(len(dataset))]
    )
    width = targets.size(1) if targets.ndim > 1 else 1
    asked = cfg.dataset.task_type
    if asked == "regression":
        return "regression", width
    if asked == "classification_multilabel" or width > 1:
        return "multilabel", width
    classes = int(targets.max()) + 1
    return ("binary", 1) if classes <= 2 else ("multiclass", classes)
