import zipfile

import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset

from pyg_samsa.datasets import catalog
from pyg_samsa.datasets.molecules import gnn_benchmark
from pyg_samsa.datasets.molecules.gnn_benchmark import SETS, GNNBenchmark
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError

SPLITS = ("train", "val", "test")
SIZES = (3, 2, 2)
COUNT = sum(SIZES)


def graph(name, number):
    """A graph in the form of PyG's files."""
    torch.manual_seed(number)
    nodes = 3 + number
    path = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)])
    edges = torch.cat([path, path.flip(0)], 1)
    if name in ("MNIST", "CIFAR10"):
        x = torch.rand(nodes, 1 if name == "MNIST" else 3)
        attributes = {"edge_attr": torch.rand(edges.size(1)), "pos": torch.rand(nodes, 2)}
        return {"x": x, "edge_index": edges, "y": number % 10, **attributes}
    channels, classes = (3, 2) if name == "PATTERN" else (7, 6)
    x = torch.nn.functional.one_hot(torch.arange(nodes) % channels, channels)
    return {"x": x, "edge_index": edges, "y": torch.arange(nodes) % classes}


def graphs(name):
    numbers = iter(range(COUNT))
    return [[graph(name, next(numbers)) for _ in range(size)] for size in SIZES]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    nodes = sum(3 + number for number in range(COUNT)) / COUNT
    for name, about in SETS.items():
        monkeypatch.setitem(SETS, name, about._replace(sizes=SIZES, means=(nodes, 2 * (nodes - 1))))


def write_raw(folder, name):
    (folder / "raw").mkdir(parents=True)
    torch.save(graphs(name), folder / "raw" / f"{name}_v2.pt")


def check(dataset, official):
    assert len(dataset) == COUNT
    assert {split: len(index) for split, index in dataset.split_idx.items()} == dict(zip(SPLITS, SIZES, strict=True))
    for number, found in enumerate(dataset):
        about = graph(official, number)
        x = about["x"].float()
        if "pos" in about:
            x = torch.cat([x, about["pos"]], 1)
            assert torch.equal(found.edge_attr, about["edge_attr"].view(-1, 1))
        else:
            assert found.edge_attr is None
        assert torch.equal(found.x, x)
        assert torch.equal(found.edge_index, about["edge_index"])
        assert torch.equal(found.y, torch.as_tensor(about["y"]).view(-1))
        assert dataset.features.in_channels == x.size(1)


@pytest.mark.parametrize("name", SETS)
def test_raw_files_of_pyg(name, tmp_path):
    official = SETS[name].official
    write_raw(tmp_path / "GNNBenchmarkDataset" / official, official)
    dataset = catalog.load("PyG-GNNBenchmarkDataset", official, tmp_path, download=False, progress=False)
    check(dataset, official)
    assert dataset.task.level == ("graph" if "pos" in graph(official, 0) else "node")
    check(GNNBenchmark(tmp_path, name, download=False), official)


@pytest.mark.parametrize("name", ["mnist-sp", "cluster"])
def test_processed_files_of_pyg(name, tmp_path):
    official = SETS[name].official
    folder = tmp_path / official / "processed"
    folder.mkdir(parents=True)
    for split, part in zip(SPLITS, graphs(official), strict=True):
        InMemoryDataset.save([Data(**about) for about in part], str(folder / f"{split}_data.pt"))
    check(GNNBenchmark(tmp_path, name, download=False, progress=False), official)


def test_download(tmp_path, served, monkeypatch):
    folder, url = served
    write_raw(tmp_path / "made", "CLUSTER")
    with zipfile.ZipFile(folder / "CLUSTER_v2.zip", "w") as archive:
        archive.write(tmp_path / "made/raw/CLUSTER_v2.pt", "CLUSTER_v2.pt")
    monkeypatch.setattr(
        gnn_benchmark, "gnn_benchmark_zip", lambda name: RemoteFile(f"{name}.zip", f"{url}/{name}_v2.zip", None)
    )
    check(GNNBenchmark(tmp_path / "root", "cluster", progress=False), "CLUSTER")
    assert not list((tmp_path / "root").rglob("*.zip"))


@pytest.mark.parametrize(
    "content",
    [
        {"a": 1},
        [[], [], []],
        [[{"x": torch.ones(2, 7)}]] * 3,
        [graphs("CLUSTER")[0]] * 3,
        [[graph("PATTERN", number) for number in range(size)] for size in SIZES],
    ],
)
def test_other_content_is_refused(content, tmp_path):
    folder = tmp_path / "CLUSTER/raw"
    folder.mkdir(parents=True)
    torch.save(content, folder / "CLUSTER_v2.pt")
    with pytest.raises(DataIntegrityError):
        GNNBenchmark(tmp_path, "cluster", download=False, progress=False)


def test_nothing_there_and_no_such_set(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"cluster: CLUSTER_v2\.zip is not in"):
        GNNBenchmark(tmp_path, "cluster", download=False)
    with pytest.raises(ConfigError, match="pattern"):
        GNNBenchmark(tmp_path, "tsp")
