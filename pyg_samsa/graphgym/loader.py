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
from pyg_samsa.datasets.molecule_descriptors import add_descriptors
from pyg_samsa.datasets.paths import add_paths
from pyg_samsa.datasets.scaled_features import add_feature_scale
from pyg_samsa.errors import ConfigError
from pyg_samsa.functional.codes import STRUCTURAL_CODES
from pyg_samsa.graphgym.changes import Changes
from pyg_samsa.graphgym.data_defaults import FITTING_TASK_TYPES, fit_to_data
from pyg_samsa.graphgym.foreign import GRAPH_SPLITS, describe_foreign
from pyg_samsa.graphgym.graphormer import check_degrees, edge_categories, reads_paths, uses_structure
from pyg_samsa.graphgym.loss import BOUNDED, refuse_bounds
from pyg_samsa.graphgym.masked_network import masked_columns
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.settings import WITHOUT_ENCODINGS, values_for
from pyg_samsa.graphgym.share import describe
from pyg_samsa.task import MASKED, Task


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
    for split, attribute in GRAPH_SPLITS.items():
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


def load_for_runner(
    changes: Changes | None = None, *, progress: bool = True, encodings: bool = True, notify: bool = True
) -> Any:
    """Return the data set that the configuration asks for, with its ``task``, ``features`` and ``split_idx``.

    The data sets of this package come first, then registered loaders, then GraphGym's ``PyG`` and ``OGB``. A data set
    without task, features or splits gets them as `pyg_samsa.graphgym.foreign.describe_foreign` says.

    Args:
        changes: What was asked for on the command line, to which other settings give way, see
            `pyg_samsa.graphgym.data_defaults.fit_to_data`; None leaves all settings as they are.
        progress: Whether a bar is shown while files are fetched and prepared.
        encodings: Whether the positional encodings of ``pe.*`` and the descriptors of ``dataset.descriptors`` are
            added.
        notify: Whether data sets log what the user should know before a training.

    Raises:
        ConfigError: There is no such data set, or ``dataset.task_type`` contradicts it.
        DataError: Its targets cannot be understood.
    """
    format, name, folder = cfg.dataset.format, cfg.dataset.name, str(Path(cfg.dataset.dir).expanduser())
    describe(None)
    if catalog.knows(format, name):
        takes = catalog.option_names(format, name)
        told = {"notify": notify, "cross_validated": bool(cfg.get("predictor", {}).get("folds"))}
        options = _given_options() | {key: value for key, value in told.items() if key in takes}
        dataset = catalog.load(format, name, folder, progress=progress, **options)
    else:
        dataset = _without_split_attributes(_from_others(format, name, folder))
        dataset = describe_foreign(dataset)
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


def _without_split_attributes(dataset: Any) -> Any:
    """Return a copy whose GraphGym split attributes are in ``own_split``; PyG would take them for graph attributes."""
    data: Any = getattr(dataset, "_data", None)
    present = {split: name for split, name in GRAPH_SPLITS.items() if data is not None and name in data}
    if not present:
        return dataset
    clean = copy.copy(dataset)
    clean._data, clean._data_list = copy.copy(data), None
    clean.own_split = {split: data[name] for split, name in present.items()}
    for name in present.values():
        del clean._data[name]
    return clean


register_once(register.loader_dict, "samsa", load_for_graphgym)
