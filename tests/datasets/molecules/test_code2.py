import gzip
import importlib
import zipfile
from importlib.util import find_spec

import pytest
import torch
from torch_geometric.data import Batch

from pyg_samsa.datasets.molecules import code2, ogb
from pyg_samsa.datasets.molecules.code2 import OGBCode2, number_words
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.training.official import _without
from tests import code2_files


@pytest.fixture
def dataset(tmp_path):
    code2_files.write(tmp_path)
    return OGBCode2(tmp_path, download=False, progress=False)


def test_names_are_sequences_of_words(dataset):
    vocabulary = dataset.task.names
    # By frequency in the training names, then in the order in which they come there.
    assert vocabulary[:4] == ("get", "name", "again", "set")
    assert vocabulary[-2:] == ("__UNK__", "__EOS__")
    assert (dataset.task.positions, dataset.task.num_targets) == (5, 5 * len(vocabulary))
    size, words = len(vocabulary), lambda row: [vocabulary[number] for number in dataset[row].y[0]]
    assert words(0) == ["get", "name", *["__EOS__"] * 3]
    assert words(2) == ["get", "id", "of", "the", "last"]
    assert words(3) == ["__UNK__", *["__EOS__"] * 4]
    assert dataset[0].words[0].tolist() == [0, 1, *[-1] * 5]
    assert dataset[2].words.shape == (1, 7)
    unseen = [row for row in (3, 5, 6) for number in dataset[row].words[0].tolist() if number >= size]
    assert unseen == [3, 5, 5, 6]
    assert {name: rows.tolist() for name, rows in dataset.split_idx.items()} == {
        "train": [4, 0, 1, 2],
        "val": [3],
        "test": [6, 5],
    }
    batch = Batch.from_data_list([dataset[0], dataset[2]])
    assert (batch.y.shape, batch.words.shape) == ((2, 5), (2, 7))


def test_the_vocabulary_has_a_size():
    names = [["a", "b"], ["b"], ["c"], ["c", "c"]]
    vocabulary, numbers = number_words(names, [0, 1, 2], 2)
    assert (vocabulary, numbers) == (["b", "a", "__UNK__", "__EOS__"], [[1, 0], [0], [4], [4, 4]])


@pytest.mark.skipif(find_spec("ogb") is None, reason="ogb is not installed")
def test_graphs_are_those_of_ogb_with_augmented_edges(dataset, tmp_path):
    with _without("outdated"):
        importlib.import_module("ogb")
    reader = importlib.import_module("ogb.io.read_graph_pyg")
    extra = ["node_is_attributed", "node_dfs_order", "node_depth"]
    graphs = reader.read_graph_pyg(str(tmp_path / "ogbg_code2/raw"), additional_node_files=extra)
    assert len(graphs) == len(dataset)
    for expected, found in zip(graphs, dataset, strict=True):
        assert found.x[:, :2].equal(expected.x)
        assert found.x[:, 2:].equal(expected.node_depth.clamp(max=20))
        tree = expected.edge_index
        token = (expected.node_is_attributed.view(-1) == 1).nonzero().view(-1)
        following = torch.stack([token[:-1], token[1:]])
        parts = [tree, tree.flip(0), following, following.flip(0)]
        assert found.edge_index.equal(torch.cat(parts, 1))
        kinds = [[0, 0], [0, 1], [1, 0], [1, 1]]
        rows = [kind for part, kind in zip(parts, kinds, strict=True) for _ in range(part.size(1))]
        assert found.edge_attr.tolist() == rows
        assert {found.x.dtype, found.edge_index.dtype, found.edge_attr.dtype, found.y.dtype} == {torch.int64}


def test_large_graphs_are_cut(tmp_path, monkeypatch):
    folder = code2_files.write(tmp_path)
    whole = OGBCode2(tmp_path, download=False, progress=False)
    code2.prepared_path(tmp_path).unlink()
    monkeypatch.setattr(code2, "MOST_NODES", 3)
    cut = OGBCode2(tmp_path, download=False, progress=False)
    assert folder.is_dir()
    for large, small in zip(whole, cut, strict=True):
        assert small.x.equal(large.x[:3])
        kept = (large.edge_index < 3).all(0)
        assert small.edge_index.equal(large.edge_index[:, kept])
        assert small.edge_attr.equal(large.edge_attr[kept])


def test_what_is_prepared_is_read_again(dataset, tmp_path):
    for path in (tmp_path / "ogbg_code2/raw").iterdir():
        path.unlink()
    again = OGBCode2(tmp_path, download=False, progress=False)
    assert again.task == dataset.task
    assert all(again[row].edge_index.equal(dataset[row].edge_index) for row in range(len(dataset)))


def test_a_folder_of_ogbs_own_loader_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code2_files.write(tmp_path / "dataset")
    assert len(OGBCode2("datasets", download=False, progress=False)) == 7
    monkeypatch.setattr(ogb, "places_of", lambda *_: [])
    with pytest.raises(DataNotFoundError, match=r"ogbg-code2: code2\.zip is not in"):
        OGBCode2("others", download=False, progress=False)


def test_download(tmp_path, served, monkeypatch):
    folder, url = served
    written = code2_files.write(tmp_path / "there")
    with zipfile.ZipFile(folder / "code2.zip", "w") as archive:
        for path in written.rglob("*.gz"):
            archive.write(path, f"code2/{path.relative_to(written)}")

    def local(name, molecules):
        return RemoteFile(f"{name}.zip", f"{url}/{name}.zip", None)

    monkeypatch.setattr(code2, "ogb_zip", local)
    assert len(OGBCode2(tmp_path / "root", progress=False)) == 7


@pytest.mark.parametrize(
    ("table", "content", "told"),
    [
        ("raw/edge", "0,9\n", "nodes of the graph|a table of"),
        ("raw/edge", "no numbers\n", "a table of numbers"),
        ("raw/node-feat", None, "types and attributes"),
        ("raw/node_depth", "1\n", "a table of"),
        ("raw/graph-label", "get\n", "7 names"),
        ("split/project/test", "5\n", "exactly one split"),
    ],
)
def test_tables_that_do_not_fit_are_named(table, content, told, tmp_path):
    folder = code2_files.write(tmp_path)
    path = folder / f"{table}.csv.gz"
    rows = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(
        gzip.compress((rows.replace(rows.split(",")[0], "98", 1) if content is None else content).encode())
    )
    with pytest.raises(DataIntegrityError, match=told) as raised:
        OGBCode2(tmp_path, download=False, progress=False)
    assert path.name in str(raised.value) or "split" in table
