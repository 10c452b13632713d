import pickle
import zipfile
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import Batch, Data, InMemoryDataset

from pyg_samsa.datasets import sources as registry
from pyg_samsa.datasets.molecules import lrgb_release as release
from pyg_samsa.datasets.molecules.lrgb_release import RELEASES, SPLITS, LRGBRelease
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError

COUNTS = {"train": 4, "val": 2, "test": 3}


def superpixels(name, split):
    generator = torch.Generator().manual_seed(len(split))
    graphs = []
    for number in range(COUNTS[split]):
        nodes = 3 + number
        edge_index = torch.randint(nodes, (2, 5), generator=generator)
        classes = [0, 13, 90] if name == "coco-sp" else [0, 12, 20]
        y = [classes[node % 3] for node in range(nodes)]
        x, edge_attr = (torch.randn(size, generator=generator, dtype=torch.float64) for size in ((nodes, 14), (5, 2)))
        graphs.append((x, edge_attr, edge_index, y))
    return graphs


def contacts(split):
    generator = torch.Generator().manual_seed(len(split))
    graphs = []
    for number in range(COUNTS[split]):
        nodes = 3 + number
        x, edge_attr = torch.randint(2, (nodes, 9), generator=generator), torch.randint(2, (5, 3), generator=generator)
        edge_index, pairs = (
            torch.randint(nodes, (2, 5), generator=generator),
            torch.randint(nodes, (2, 2 + number), generator=generator),
        )
        graphs.append((x, edge_attr, edge_index, pairs, torch.arange(2 + number) % 2))
    return graphs


def graphs_of(name):
    return {split: contacts(split) if name == "pcqm-contact" else superpixels(name, split) for split in SPLITS}


@pytest.fixture(params=list(RELEASES))
def name(request, monkeypatch):
    graphs = [graph for part in graphs_of(request.param).values() for graph in part]
    means = (sum(len(graph[0]) for graph in graphs) / 9, sum(len(graph[1]) for graph in graphs) / 9)
    small = replace(
        RELEASES[request.param], graphs=9, means=means, sizes=(4, 2, 3) if RELEASES[request.param].sizes else None
    )
    monkeypatch.setitem(RELEASES, request.param, small)
    return request.param


def write_raw(folder, name):
    folder.mkdir(parents=True)
    for split, graphs in graphs_of(name).items():
        path = folder / f"{split}{RELEASES[name].suffix}"
        if path.suffix == ".pt":
            torch.save(graphs, path)
        else:
            path.write_bytes(pickle.dumps(graphs))


def check(dataset, name):
    assert len(dataset) == 9
    assert {split: positions.tolist() for split, positions in dataset.split_idx.items()} == {
        "train": [0, 1, 2, 3],
        "val": [4, 5],
        "test": [6, 7, 8],
    }
    graphs = [graph for part in graphs_of(name).values() for graph in part]
    for found, graph in zip(dataset, graphs, strict=True):
        x = graph[0].float() if name != "pcqm-contact" else graph[0]
        assert torch.equal(found.x, x)
        assert found.x.dtype == x.dtype
        assert torch.equal(found.edge_index, graph[2])
        if name == "pcqm-contact":
            assert torch.equal(found.edge_attr, graph[1])
            assert torch.equal(found.edge_label_index, graph[3])
            assert torch.equal(found.edge_label, graph[4])
        else:
            assert torch.equal(found.edge_attr, graph[1].float())
            classes = [0, 12, 20] if name == "pascalvoc-sp" else [0, 12, 80]
            assert found.y.tolist() == [classes[node % 3] for node in range(len(x))]
    if name == "pcqm-contact":
        batch = Batch.from_data_list(list(dataset))
        assert batch.edge_label_index.max() < batch.num_nodes
        assert batch.edge_label_index.size(1) == len(batch.edge_label)
        assert (dataset.task.kind, dataset.task.level, dataset.task.num_targets) == ("binary", "link", 1)
        assert dataset.features.in_channels == [119, 5, 12, 12, 10, 6, 6, 2, 2]
    else:
        assert (dataset.task.kind, dataset.task.level) == ("multiclass", "node")
        assert dataset.task.num_targets == {"pascalvoc-sp": 21, "coco-sp": 81}[name]
        assert (dataset.features.in_channels, dataset.features.edge_channels) == (14, 2)


def test_raw_files(name, tmp_path):
    write_raw(tmp_path / name / "raw", name)
    check(LRGBRelease(tmp_path, name, download=False, progress=False), name)
    for path in (tmp_path / name / "raw").iterdir():
        path.unlink()
    check(LRGBRelease(tmp_path, name, download=False, progress=False), name)


def test_pygs_processed_files(name, tmp_path):
    folder = tmp_path / name / "processed"
    folder.mkdir(parents=True)
    for split, graphs in graphs_of(name).items():
        data = []
        for graph in graphs:
            if name == "pcqm-contact":
                data.append(
                    Data(
                        x=graph[0],
                        edge_attr=graph[1],
                        edge_index=graph[2],
                        edge_label_index=graph[3],
                        edge_label=graph[4],
                    )
                )
            else:
                y = torch.tensor(graph[3])
                y = torch.where(y == 90, 80, torch.where(y == 13, 12, y)) if name == "coco-sp" else y
                data.append(Data(x=graph[0].float(), edge_attr=graph[1].float(), edge_index=graph[2], y=y))
        InMemoryDataset.save(data, str(folder / f"{split}.pt"))
    check(LRGBRelease(tmp_path, name, download=False, progress=False), name)


def test_download(name, tmp_path, served, monkeypatch):
    folder, url = served
    write_raw(tmp_path / "inside", name)
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (tmp_path / "inside").iterdir():
            archive.write(path, f"{name}/{path.name}")
    monkeypatch.setitem(RELEASES, name, replace(RELEASES[name], zip=RemoteFile("set.zip", f"{url}/set.zip", None)))
    check(LRGBRelease(tmp_path / "root", name, progress=False), name)
    assert not (tmp_path / "root" / name / "set.zip").exists()


def test_nothing_there(name, tmp_path):
    with pytest.raises(DataNotFoundError, match=name) as caught:
        LRGBRelease(tmp_path, name, download=False)
    assert RELEASES[name].zip.name in caught.value.hint


def test_other_numbers_are_refused(name, tmp_path, monkeypatch):
    write_raw(tmp_path / name / "raw", name)
    monkeypatch.setitem(RELEASES, name, replace(RELEASES[name], means=(1.0, 5.0)))
    with pytest.raises(DataIntegrityError, match="on average"):
        LRGBRelease(tmp_path, name, download=False, progress=False)


def test_a_raw_file_with_code_is_refused(name, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "marker"), "w"))

    write_raw(tmp_path / name / "raw", name)
    path = tmp_path / name / "raw" / f"val{RELEASES[name].suffix}"
    if path.suffix == ".pt":
        torch.save([Attack()], path)
    else:
        path.write_bytes(pickle.dumps([Attack()]))
    with pytest.raises(DataIntegrityError, match="val"):
        LRGBRelease(tmp_path, name, download=False, progress=False)
    assert not (tmp_path / "marker").exists()


def test_published_numbers():
    assert {name: (entry.graphs, entry.task.kind) for name, entry in RELEASES.items()} == {
        "pascalvoc-sp": (11355, "multiclass"),
        "coco-sp": (123286, "multiclass"),
        "pcqm-contact": (529434, "binary"),
    }
    for entry in RELEASES.values():
        assert entry.sizes is None or sum(entry.sizes) == entry.graphs


def test_coco_numbers_are_pygs():
    from torch_geometric.datasets import LRGBDataset

    table = LRGBDataset.label_remap_coco(None)
    assert len(table) == 81 == len(release._COCO) == len(release._COCO_NUMBERS)
    numbers = torch.tensor(list(table))
    assert release._coco_classes(numbers).tolist() == list(table.values())


def test_addresses_are_pygs():
    from torch_geometric.datasets import LRGBDataset

    assert {name: remote.url for name, remote in registry.LRGB_ZIPS.items()} == LRGBDataset.urls


def test_unknown_name(tmp_path):
    with pytest.raises(ConfigError, match="coco-sp"):
        LRGBRelease(tmp_path, "coco")
