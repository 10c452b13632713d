import re
import shutil

import numpy as np
import pytest
import torch
from torch_geometric.datasets import Actor, WebKB, WikipediaNetwork

from pyg_samsa.datasets import catalog
from pyg_samsa.datasets.nodes import geom_gcn
from pyg_samsa.datasets.nodes.geom_gcn import SETS, GeomGCN
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from tests import geom_gcn_files as files


@pytest.fixture(autouse=True)
def small(monkeypatch):
    files.shrink(monkeypatch)


def of_pyg(root, name):
    if name == "actor":
        return Actor(str(root / "Actor"))[0]
    if name in ("chameleon", "squirrel"):
        return WikipediaNetwork(str(root / "WikipediaNetwork"), name)[0]
    return WebKB(str(root / "WebKB"), name)[0]


@pytest.mark.parametrize("name", SETS)
def test_it_is_what_pyg_reads(name, tmp_path):
    files.write(tmp_path, name)
    dataset = GeomGCN(tmp_path, name, split_index=3, download=False, progress=False)
    theirs = of_pyg(tmp_path, name)
    assert len(dataset) == 3
    for row, split in enumerate(("train", "val", "test")):
        ours, mask = dataset[dataset.split_idx[split]][0], theirs[f"{split}_mask"][:, 3]
        assert torch.equal(ours.x, theirs.x)
        assert torch.equal(ours.edge_index, theirs.edge_index)
        assert torch.equal(ours.y, theirs.y.where(mask, -100))
        assert torch.equal(dataset.masks[row], mask)
    assert dataset.node_sizes == {"train": 12, "val": 7, "test": 5}
    assert (dataset.task.kind, dataset.task.level, dataset.task.num_targets) == ("multiclass", "node", 5)
    assert dataset.features.in_channels == files.CHANNELS


def test_names_of_graphgps(tmp_path):
    files.write(tmp_path, "actor")
    files.write(tmp_path, "cornell")
    for format, name in (("PyG-Actor", "none"), ("PyG-WebKB", "cornell"), ("PyG-WebKB", "Cornell")):
        assert catalog.is_transductive(format, name)
        assert catalog.load(format, name, tmp_path, download=False, progress=False)[0].num_nodes == files.NODES


def test_every_split_is_another_and_there_are_ten(tmp_path):
    files.write(tmp_path, "texas")
    found = [GeomGCN(tmp_path, "texas", split_index=number, download=False).masks for number in range(10)]
    assert all(np.array_equal(masks.numpy(), files.masks(number)) for number, masks in enumerate(found))
    with pytest.raises(ConfigError, match="split_index: got 10, expected at most 9"):
        GeomGCN(tmp_path, "texas", split_index=10)


def test_random_splits_have_the_shares_that_are_asked_for(tmp_path):
    files.write(tmp_path, "texas")
    made = [
        GeomGCN(tmp_path, "texas", node_split="random", fractions=[0.5, 0.25, 0.25], seed=seed, download=False)
        for seed in (0, 0, 1)
    ]
    assert made[0].node_sizes == {"train": 12, "val": 6, "test": 6}
    assert torch.equal(made[0].masks, made[1].masks)
    assert not torch.equal(made[0].masks, made[2].masks)


def test_download(tmp_path, served, monkeypatch):
    folder, url = served
    raw = files.write(tmp_path / "made", "cornell")
    shutil.copytree(raw, folder / "new_data/cornell")
    shutil.copytree(raw, folder / "splits")
    remote = lambda path: RemoteFile(path.rpartition("/")[2], f"{url}/{path}", None)  # noqa: E731
    monkeypatch.setattr(geom_gcn, "geom_gcn_file", remote)
    dataset = GeomGCN(tmp_path / "root", "cornell", progress=False)
    assert dataset.node_sizes["train"] == 12
    (folder / "splits/cornell_split_0.6_0.2_4.npz").unlink()
    with pytest.raises(DataNotFoundError, match=re.escape("cornell: cornell_split_0.6_0.2_4.npz, ")):
        GeomGCN(tmp_path / "other", "cornell", progress=False)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("out1_node_feature_label.txt", "\n3\t", "\n2\t"),
        ("out1_node_feature_label.txt", "\t4\n", "\t3\n"),
        ("out1_node_feature_label.txt", "1,", ""),
        ("out1_node_feature_label.txt", "\t4\n", "\n"),
        ("out1_node_feature_label.txt", "\t4\n", "\té\n"),
        ("out1_node_feature_label.txt", "\t4\n", "\tfour\n"),
        ("out1_graph_edges.txt", "0\t1\n", "0\t99\n"),
        ("out1_graph_edges.txt", "0\t1\n", "0\t-1\n"),
        ("out1_graph_edges.txt", "0\t1\n", "0\tone\n"),
        ("out1_graph_edges.txt", "\n5\t6\n", "\n"),
    ],
)
@pytest.mark.parametrize("name", ["wisconsin", "actor"])
def test_other_tables_are_refused(name, file, old, new, tmp_path):
    path = files.write(tmp_path, name) / file
    if name == "actor" and old == "1,":
        old, new = ",1\t", ",7\t"
        path.write_text(re.sub(r"\t[0-9,]+\t", "\t0,1\t", path.read_text()))
    path.write_text(path.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(DataIntegrityError, match=file):
        GeomGCN(tmp_path, name, download=False, progress=False)


@pytest.mark.parametrize("content", [None, {"a": np.ones(3)}, "overlap", "short"])
def test_other_masks_are_refused(content, tmp_path):
    raw = files.write(tmp_path, "texas")
    path = raw / "texas_split_0.6_0.2_5.npz"
    names = ("train_mask", "val_mask", "test_mask")
    if content is None:
        path.write_bytes(b"no archive")
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.savez(path, **dict.fromkeys(names, np.ones(files.NODES if content == "overlap" else 3)))
    with pytest.raises(DataIntegrityError, match="texas_split"):
        GeomGCN(tmp_path, "texas", download=False, progress=False)


def test_nothing_there_and_no_such_set(tmp_path):
    with pytest.raises(DataNotFoundError, match="squirrel: out1_node_feature_label"):
        GeomGCN(tmp_path, "squirrel", download=False)
    with pytest.raises(ConfigError, match="cornell"):
        GeomGCN(tmp_path, "cornel")
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".pt"]
