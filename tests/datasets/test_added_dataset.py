"""Adds a data set as CONTRIBUTING.md shows it, and trains on it."""

from pathlib import Path
from typing import Annotated

import pytest
import torch

from pyg_samsa.datasets import Features, SplitDataset, catalog
from pyg_samsa.datasets.dataset_registry import dataset_options, register_dataset, unregister_dataset
from pyg_samsa.datasets.option_types import Seed
from pyg_samsa.datasets.prepared import Prepared, prepare_once
from pyg_samsa.datasets.splits import consecutive_splits
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments import run
from pyg_samsa.graphgym.settings import SETTINGS
from pyg_samsa.options import Option
from pyg_samsa.task import Task


class Paths(SplitDataset):
    """Random paths: the mean of the node features is predicted.

    Args:
        root: Folder of the data sets.
        num_nodes: Number of nodes of a path.
        seed: Seed of the features.
        progress: Not used.
        transform: Called on every graph that is taken out.

    Shapes:
        - **item:** ``x`` float [n, 3], ``edge_index`` int64 [2, n-1], ``y`` float [1, 1].

    Example:
        >>> Paths("datasets")  # doctest: +SKIP
    """

    def __init__(
        self,
        root,
        *,
        num_nodes: Annotated[int, Option("Number of nodes of a path.", low=2)] = 4,
        seed: Seed = 0,
        progress=True,
        transform=None,
    ):
        path = prepared_path(root, num_nodes, seed)
        prepared = prepare_once(path, lambda: generate(num_nodes, seed))
        super().__init__(prepared, Task("regression", ["mean"]), Features(3), transform=transform, root=root)


def prepared_path(root, num_nodes=4, seed=0):
    return Path(root) / "paths" / f"paths-{num_nodes}-{seed}.pt"


def generate(num_nodes, seed):
    x = torch.randn(20, num_nodes, 3, generator=torch.Generator().manual_seed(seed))
    nodes = torch.arange(num_nodes)
    edges = torch.stack([nodes[:-1], nodes[1:]]).repeat(1, 20)
    data = {"x": x.flatten(0, 1), "edge_index": edges, "y": x.mean((1, 2))[:, None]}
    graphs = torch.arange(21)
    slices = {"x": num_nodes * graphs, "edge_index": (num_nodes - 1) * graphs, "y": graphs}
    return Prepared(data, slices, consecutive_splits([14, 3, 3]))


@pytest.fixture(autouse=True)
def registered():
    yield register_dataset("paths", Paths, aliases=[("PyG", "RandomPaths")], prepared_path=prepared_path)
    unregister_dataset("paths")
    SETTINGS.pop("dataset.num_nodes", None)


def test_it_is_loaded_by_its_names_and_with_its_options(tmp_path):
    assert not catalog.is_prepared("paths", tmp_path)
    dataset = catalog.load("samsa", "paths", tmp_path, progress=False)
    assert catalog.is_prepared("paths", tmp_path)
    assert torch.equal(catalog.load("PyG", "RandomPaths", tmp_path)[3].x, dataset[3].x)
    assert catalog.load("samsa", "paths", tmp_path, num_nodes=6)[0].num_nodes == 6
    with pytest.raises(ConfigError, match="num_nodes"):
        catalog.load("samsa", "paths", tmp_path, num_nodes=1)


def test_its_options_become_settings():
    assert dataset_options()["num_nodes"].option.help == "Number of nodes of a path. Taken by Paths."


def test_a_configuration_trains_on_it(config, tmp_path):
    dataset = {"format": "samsa", "name": "paths", "dir": str(tmp_path), "task": "graph", "task_type": "regression"}
    model = {"type": "samsa", "loss_fun": "l1"}
    settings = {"dataset": dataset | {"num_nodes": 6}, "model": model, "metric_best": "mae", "optim": {"max_epoch": 1}}
    (result,) = run.run(config(**settings), verbosity=-1)
    assert result.epochs == 1
    assert prepared_path(tmp_path, num_nodes=6).is_file()
    assert result.test["mae"] > 0
