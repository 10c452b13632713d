import shutil
import tarfile
import zipfile

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.datasets import MalNetTiny as OfPyG
from torch_geometric.transforms import Compose, LocalDegreeProfile, RemoveIsolatedNodes

from pyg_samsa.datasets import catalog
from pyg_samsa.datasets.molecules import malnet
from pyg_samsa.datasets.molecules.malnet import CLASSES, MalNetTiny
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from tests import malnet_files as files


@pytest.fixture(autouse=True)
def small(monkeypatch):
    files.shrink(monkeypatch)


def load(root, features="degrees", **options):
    return MalNetTiny(root, features, progress=False, **({"download": False} | options))


def check(dataset):
    assert {split: len(rows) for split, rows in dataset.split_idx.items()} == files.SIZES
    for split, rows in files.splits().items():
        for place, row in zip(dataset.split_idx[split].tolist(), rows, strict=True):
            graph = dataset[place]
            assert graph.y.tolist() == [row % 5]
            linked = sorted({node for pair in files.edges(row) if pair[0] != pair[1] for node in pair})
            assert graph.num_nodes == len(linked)
            number = {node: place for place, node in enumerate(linked)}
            kept = {(number[a], number[b]) for a, b in files.edges(row) if a in number and b in number}
            assert set(map(tuple, graph.edge_index.t().tolist())) == kept


def test_raw_files_of_pyg_and_their_degrees(tmp_path):
    files.write(tmp_path)
    dataset = load(tmp_path)
    check(dataset)
    theirs = OfPyG(str(tmp_path / "MalNetTiny"), pre_transform=Compose([RemoveIsolatedNodes(), LocalDegreeProfile()]))
    for ours, other in zip(dataset, theirs, strict=True):
        # PyG numbers the classes in the order in which they occur, and keeps nodes that have a loop alone.
        same = Data(edge_index=ours.edge_index, num_nodes=ours.num_nodes)
        assert torch.equal(ours.x, LocalDegreeProfile()(same).x)
        assert ours.num_nodes <= other.num_nodes
    assert (dataset.task.names, dataset.features.in_channels) == (CLASSES, 5)


def test_names_of_graphgps(tmp_path):
    files.write(tmp_path)
    assert catalog.canonical("PyG-MalNetTiny", "LocalDegreeProfile") == "malnet-tiny"
    constant = catalog.load("PyG-MalNetTiny", "Constant", tmp_path, download=False, progress=False)
    assert constant[0].x.unique().tolist() == [1.0]
    assert constant.features.in_channels == 1
    check(constant)


def archives(folder, made):
    raw = files.write(made)
    with tarfile.open(folder / "malnet-graphs-tiny.tar.gz", "w:gz") as archive:
        archive.add(raw / "malnet-graphs-tiny", "malnet-graphs-tiny")
    with zipfile.ZipFile(folder / "split_info_tiny.zip", "w") as archive:
        for kind in ("type", "family"):
            for split in ("train", "val", "test"):
                archive.write(raw / f"split_info_tiny/type/{split}.txt", f"split_info_tiny/{kind}/{split}.txt")


def test_download(tmp_path, served, monkeypatch):
    folder, url = served
    archives(folder, tmp_path / "made")
    for name, file in (("MALNET_TAR", "malnet-graphs-tiny.tar.gz"), ("MALNET_SPLITS", "split_info_tiny.zip")):
        monkeypatch.setattr(malnet, name, RemoteFile(file, f"{url}/{file}", None))
    check(load(tmp_path / "root", download=True))
    # Archives that somebody has put there are read without a network.
    raw = tmp_path / "other/MalNetTiny/raw"
    raw.mkdir(parents=True)
    for file in folder.iterdir():
        shutil.copy(file, raw)
    check(load(tmp_path / "other"))


@pytest.mark.parametrize(
    "content", ["", "1 2\n", "a\nb\nc\nd\ne\n1 x\n", "a\nb\nc\nd\ne\n1 2 3\n4 5\n", "a\nb\nc\nd\ne\n1 1\n",
                "a\nb\nc\nd\ne\n1 -2\n", "a\nb\nc\nd\ne\n1 2000000000\n"]
)  # fmt: skip
def test_other_graphs_are_refused(content, tmp_path):
    path = files.write(tmp_path) / "malnet-graphs-tiny" / f"{files.NAMES[3]}.edgelist"
    path.write_text(content)
    with pytest.raises(DataIntegrityError, match=files.NAMES[3]):
        load(tmp_path)


def test_missing_graphs_and_other_splits_are_refused(tmp_path):
    raw = files.write(tmp_path)
    lists = raw / "split_info_tiny/type"
    train = (lists / "train.txt").read_text()
    for text in (train + files.NAMES[0], train.replace("/", "-"), train.replace("family", "../"), ""):
        (lists / "train.txt").write_text(text)
        with pytest.raises(DataIntegrityError, match="train"):
            load(tmp_path)
    (lists / "train.txt").write_text(train)
    (lists / "val.txt").write_text("\n".join(train.split()[:3]))
    with pytest.raises(DataIntegrityError, match="one split"):
        load(tmp_path)
    shutil.rmtree(tmp_path / "MalNetTiny")
    raw = files.write(tmp_path)
    (raw / "malnet-graphs-tiny" / f"{files.NAMES[7]}.edgelist").unlink()
    with pytest.raises(DataIntegrityError, match=files.NAMES[7]):
        load(tmp_path)


def test_a_damaged_archive_is_refused(tmp_path):
    raw = files.write(tmp_path)
    shutil.rmtree(raw / "malnet-graphs-tiny")
    (raw / "malnet-graphs-tiny.tar.gz").write_bytes(b"nothing of the kind")
    with pytest.raises(DataIntegrityError, match="malnet-graphs-tiny"):
        load(tmp_path)


def test_nothing_there_and_no_such_features(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"malnet-tiny: split_info_tiny\.zip and malnet-graphs-tiny\.tar\.gz"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="constant"):
        load(tmp_path, "onehot")
