"""Data sets for GraphGym's runner and for that of this package."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.loader import load_ogb, load_pyg

from pyg_samsa.datasets import catalog
from pyg_samsa.datasets.base import check_described
from pyg_samsa.datasets.code_keys import add_code_keys
from pyg_samsa.datasets.dataset_registry import dataset_options
from pyg_samsa.datasets.encodings import add_encoding
from pyg_samsa.datasets.features import Features
from pyg_samsa.datasets.molecule_descriptors import add_descriptors
from pyg_samsa.datasets.paths import add_paths
from pyg_samsa.datasets.scaled_features import add_feature_scale
from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.functional.codes import STRUCTURAL_CODES
from pyg_samsa.graphgym.changes import Changes
from pyg_samsa.graphgym.data_defaults import FITTING_TASK_TYPES, fit_to_data
from pyg_samsa.graphgym.graphormer import check_degrees, edge_categories, reads_paths, uses_structure
from pyg_samsa.graphgym.loss import BOUNDED, refuse_bounds
from pyg_samsa.graphgym.masked_network import masked_columns
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.settings import WITHOUT_ENCODINGS, values_for
from pyg_samsa.graphgym.share import describe
from pyg_samsa.task import MASKED, SPLITS, Task

_SPLIT_ATTRIBUTES = {"train": "train_graph_index", "val": "val_graph_index", "test": "test_graph_index"}


def load_for_graphgym(format: str, name: str, dataset_dir: str) -> Any | None:
    """Return a data set of this package with the split attributes that GraphGym's loaders need, or None for others.

    GraphGym's loaders delete those attributes again, so every call returns a fresh data set. ``cfg.share`` is set from
    the data set itself.

    Args:
        format: ``dataset.format``.
        name: ``dataset.name``.
        dataset_dir: ``dataset.dir``.

    Raises:
        ConfigError: Targets are read as bounds, which GraphGym's losses do not see.
    """
    describe(None)
    if not catalog.knows(format, name):
        return None
    options = _given_options()
    if options.get("censored") == "bounds":
        asked = str(cfg.model.loss_fun)
        refuse_bounds(*(("model.loss_fun", asked) if asked.startswith(BOUNDED) else ("dataset.censored", "bounds")))
    dataset = _with_added_features(catalog.load(format, name, dataset_dir, **options), dataset_dir)
    for split, attribute in _SPLIT_ATTRIBUTES.items():
        index = dataset.split_idx.get(split)
        if index is not None:
            dataset._data[attribute] = index.clone()
            if dataset.slices is not None:
                dataset.slices[attribute] = torch.tensor([0, len(index)])
    describe(dataset)
    return dataset


def _given_options() -> dict[str, Any]:
    """Return the options of the data set that the configuration sets."""
    given = {name: cfg.dataset[name] for name in dataset_options() if cfg.dataset.get(name) is not None}
    if (cfg.dataset.format, cfg.dataset.name) == ("samsa", "csv"):
        if cfg.dataset.task_type == MASKED:
            given.setdefault("csv_task", MASKED)
        given["fractions"] = list(cfg.dataset.split)
        if str(cfg.model.loss_fun).startswith(BOUNDED):
            given.setdefault("censored", "bounds")
    if catalog.is_transductive(cfg.dataset.format, cfg.dataset.name):
        given["fractions"] = list(cfg.dataset.split)
    return given


def load_for_runner(changes: Changes | None = None, *, progress: bool = True, encodings: bool = True) -> Any:
    """Return the data set that the configuration asks for, with its ``task``, ``features`` and ``split_idx``.

    The data sets of this package come first, then registered loaders, then GraphGym's ``PyG`` and ``OGB``. A data set
    without a task gets that of ``dataset.task_type``; one without splits is split at random by ``dataset.split``.

    Args:
        changes: What was asked for on the command line, to which other settings give way, see
            `pyg_samsa.graphgym.data_defaults.fit_to_data`; None leaves all settings as they are.
        progress: Whether a bar is shown while files are fetched and prepared.
        encodings: Whether the positional encodings of ``pe.*`` and the descriptors of ``dataset.descriptors`` are
            added.

    Raises:
        ConfigError: There is no such data set, or ``dataset.task_type`` contradicts it.
        DataError: Its targets cannot be understood.
    """
    format, name, folder = cfg.dataset.format, cfg.dataset.name, str(Path(cfg.dataset.dir).expanduser())
    describe(None)
    if catalog.knows(format, name):
        dataset = catalog.load(format, name, folder, progress=progress, **_given_options())
    else:
        dataset = _without_split_attributes(_from_others(format, name, folder))
    if not hasattr(dataset, "split_idx"):
        dataset = _describe_foreign(dataset)
    check_described(dataset)
    if MASKED in (cfg.dataset.task_type, dataset.task.kind):
        dataset = _without_labels(dataset)
    if changes is not None:
        fit_to_data(changes, dataset)
    resolved_task(dataset.task)
    dataset = add_feature_scale(dataset, **values_for(add_feature_scale, cfg))
    dataset = _with_added_features(dataset, folder, progress=progress) if encodings else dataset
    describe(dataset)
    return dataset


def _without_labels(dataset: Any) -> Any:
    """Return a shallow copy of a data set whose task is to predict hidden features of its tokens."""
    of_nodes, of_edges = masked_columns(dataset.features.in_channels, dataset.features.edge_channels)
    if not of_nodes:
        hint = "Masked training needs categories, or float features of a known width."
        raise ConfigError(
            "dataset.task_type", MASKED, "another task: the features of the nodes are not known", hint=hint
        )
    masked = copy.copy(dataset)
    names = [f"x{place}" for place in range(len(of_nodes))] + [f"edge_attr{place}" for place in range(len(of_edges))]
    masked.task = Task(MASKED, names, "node")
    return masked


def _with_added_features(dataset: Any, folder: str, *, progress: bool = True) -> Any:
    """Return the data set with the positional encodings and the descriptors that the configuration asks for."""
    if cfg.pe.kind != "none" and cfg.model.type in WITHOUT_ENCODINGS:
        hint = "samsa, gcn, gcnii, gine, gatedgcn, mlp, gps, graphormer and san take encodings."
        raise ConfigError("pe.kind", cfg.pe.kind, f"'none' with the network {cfg.model.type}", hint=hint)
    masked = dataset.task.kind == MASKED
    dataset = add_encoding(dataset, **values_for(add_encoding, cfg), folder=folder, progress=progress)
    if masked:
        return dataset  # codes and descriptors must not tell hidden features
    if uses_structure():
        check_degrees(dataset)
        if reads_paths():
            kinds = edge_categories(dataset.features.edge_channels)
            dataset = add_paths(dataset, cfg.graphormer.num_spatial_types, kinds, progress=progress)
    if _uses_structural_codes():
        read = dataset.features.edge_channels is not None
        dataset = add_code_keys(dataset, cfg.samsa.eval_codes, edge_features=read)
    return add_descriptors(dataset, **values_for(add_descriptors, cfg), folder=folder, progress=progress)


def _uses_structural_codes() -> bool:
    """Say whether the network draws its codes in evaluation from the graph, so that their keys can be computed once."""
    if cfg.model.type != "samsa" or cfg.samsa.tokenizer or cfg.dataset.node_encoder or cfg.dataset.edge_encoder:
        return False
    return bool(cfg.samsa.bridge and cfg.samsa.num_codes and cfg.samsa.eval_codes in STRUCTURAL_CODES)


def _from_others(format: str, name: str, folder: str) -> Any:
    for loader in register.loader_dict.values():
        if loader is not load_for_graphgym and (dataset := loader(format, name, folder)) is not None:
            return dataset
    known = [f"{known_format}: {known_name}" for known_format, known_name in catalog.available()]
    if format == "PyG":
        try:
            return load_pyg(name, folder)
        except ValueError as error:
            raise ConfigError(
                "dataset.name", name, f"a data set of the format {format!r}", hint=f"Known here: {', '.join(known)}"
            ) from error
    if reads_graphgym(format, name):
        return load_ogb(name.replace("_", "-"), folder)
    raise ConfigError("dataset", f"{format}: {name}", known)


def reads_graphgym(format: str, name: str) -> bool:
    """Say whether GraphGym itself may have a data set; which names ``PyG`` has is known when it is loaded.

    Args:
        format: ``dataset.format``.
        name: ``dataset.name``.

    Example:
        >>> reads_graphgym("OGB", "ogbg-molhiv"), reads_graphgym("OGB", "PCQM4Mv2-full")
        (True, False)
    """
    return format == "PyG" or (format == "OGB" and name.startswith("ogb"))


def resolved_task(task: Task) -> dict[str, str]:
    """Return the values of ``dataset.task_type`` and ``dataset.task`` that describe the task of a data set.

    Args:
        task: The task of the data set.

    Raises:
        ConfigError: ``dataset.task_type`` contradicts the data set.
    """
    asked, fitting = cfg.dataset.task_type, FITTING_TASK_TYPES[task.kind]
    if asked not in fitting:
        raise ConfigError("dataset.task_type", asked, f"{fitting[0]!r}, which the data set is")
    whole = cfg.dataset.task == "node" and task.level == "graph"
    return {"dataset.task_type": fitting[0], "dataset.task": "graph" if whole else cfg.dataset.task}


class _Graphs(list):
    """A list of graphs that can carry a task, features and splits."""


def _describe_foreign(dataset: Any) -> Any:
    """Return a shallow copy with ``task``, ``features`` and ``split_idx``."""
    first = dataset[0]
    if len(dataset) < 3 or first.y is None:
        raise DataError(
            f"{cfg.dataset.name}: {len(dataset)} graphs",
            hint="Use a data set of several graphs with targets y, or one that has its own splits.",
        )
    level = "node" if first.y.size(0) == first.num_nodes and first.num_nodes != 1 else "graph"
    kind, num_targets = _foreign_task(dataset)
    described: Any = copy.copy(dataset) if hasattr(dataset, "__dict__") else _Graphs(dataset)
    noun = "class" if kind == "multiclass" else "target"
    described.task = Task(kind, [f"{noun}_{number}" for number in range(num_targets)], level)
    num_dims = first.pos.size(1) if first.get("pos") is not None else 0
    described.features = Features(_float_width(first.x), _float_width(first.edge_attr), num_dims)
    described.split_idx = _foreign_split(dataset)
    return described


def _float_width(features: torch.Tensor | None) -> int | None:
    return features.size(1) if features is not None and features.ndim == 2 and features.is_floating_point() else None


def _foreign_task(dataset: Any) -> tuple[str, int]:
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


def _without_split_attributes(dataset: Any) -> Any:
    """Return a copy whose GraphGym split attributes are in ``own_split``; PyG would take them for graph attributes."""
    data: Any = getattr(dataset, "_data", None)
    present = {split: name for split, name in _SPLIT_ATTRIBUTES.items() if data is not None and name in data}
    if not present:
        return dataset
    clean = copy.copy(dataset)
    clean._data, clean._data_list = copy.copy(data), None
    clean.own_split = {split: data[name] for split, name in present.items()}
    for name in present.values():
        del clean._data[name]
    return clean


def _foreign_split(dataset: Any) -> dict[str, torch.Tensor]:
    if hasattr(dataset, "own_split"):
        return dict(dataset.own_split)
    shares = list(cfg.dataset.split)
    if (
        cfg.dataset.split_mode != "random"
        or not 2 <= len(shares) <= 3
        or abs(sum(shares) - 1) > 1e-6
        or min(shares) <= 0
    ):
        raise ConfigError("dataset.split", shares, "two or three shares that sum to 1 (with dataset.split_mode random)")
    # The seed of the split is fixed, so that runs with other seeds use the same split.
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    ends = [round(sum(shares[: number + 1]) * len(dataset)) for number in range(len(shares))]
    return {split: order[start:end] for split, start, end in zip(SPLITS, [0, *ends[:-1]], ends, strict=False)}


register_once(register.loader_dict, "samsa", load_for_graphgym)
