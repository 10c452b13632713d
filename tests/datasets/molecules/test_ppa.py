import gzip
import importlib
import zipfile
from importlib.util import find_spec

import pytest
import torch

from pyg_samsa.datasets import raw_files
from pyg_samsa.datasets.molecules import ppa
from pyg_samsa.datasets.molecules.ppa import OGBPPA
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.training.official import _without
from tests import ppa_files


def check(dataset):
    tables, first = ppa_files.tables(), 0
    assert len(dataset) == len(ppa_files.SIZES)
    for number, (size, graph) in enumerate(zip(ppa_files.SIZES, dataset, strict=True)):
        count = tables["num-edge-list"][number][0]
        edges, features = (tables[name][first : first + count] for name in ("edge", "edge-feat"))
        first += count
        assert graph.x.tolist() == [[0]] * size
        assert graph.edge_index.T.tolist() == [list(end) for edge in edges for end in (edge, edge[::-1])]
        expected = torch.tensor([row for row in features for _ in range(2)]).reshape(-1, 7)
        assert torch.equal(graph.edge_attr, expected)
        assert graph.y.tolist() == [ppa_files.labels()[number]]
        assert {graph.x.dtype, graph.edge_index.dtype, graph.y.dtype} == {torch.int64}
        assert graph.edge_attr.dtype == torch.float32
    rows = {name: rows.tolist() for name, rows in dataset.split_idx.items()}
    assert rows == {"train": ppa_files.SPLIT["train"], "val": ppa_files.SPLIT["valid"], "test": ppa_files.SPLIT["test"]}


@pytest.mark.parametrize("rows", [1, 3, 2**20])
def test_official_tables_are_read_in_parts(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(ppa, "_CHUNK_ROWS", rows)
    folder = ppa_files.write(tmp_path)
    dataset = OGBPPA(tmp_path, download=False, progress=False)
    check(dataset)
    assert (dataset.task.kind, dataset.task.num_targets, dataset.task.level) == ("multiclass", 37, "graph")
    assert (dataset.features.in_channels, dataset.features.edge_channels) == ((1,), 7)
    assert dataset._data.edge_index.dtype == torch.uint8  # stored in the smallest type
    for path in (folder / "raw").iterdir():
        path.unlink()
    check(OGBPPA(tmp_path, download=False))


@pytest.mark.skipif(find_spec("ogb") is None, reason="ogb is not installed")
def test_graphs_are_those_of_ogbs_own_reader(tmp_path):
    with _without("outdated"):
        importlib.import_module("ogb")
    reader = importlib.import_module("ogb.io.read_graph_pyg")
    folder = ppa_files.write(tmp_path)
    graphs = reader.read_graph_pyg(str(folder / "raw"), add_inverse_edge=True)
    for expected, found in zip(graphs, OGBPPA(tmp_path, download=False, progress=False), strict=True):
        assert torch.equal(found.edge_index, expected.edge_index)
        assert torch.equal(found.edge_attr, expected.edge_attr)
        assert found.num_nodes == expected.num_nodes


def test_download(tmp_path, served, monkeypatch):
    folder, url = served
    written = ppa_files.write(tmp_path / "there")
    with zipfile.ZipFile(folder / "ogbg_ppi_medium.zip", "w") as archive:
        for path in written.rglob("*.gz"):
            archive.write(path, f"ogbg_ppi_medium/{path.relative_to(written)}")

    def local(name, molecules):
        assert not molecules
        return RemoteFile(f"{name}.zip", f"{url}/{name}.zip", None)

    monkeypatch.setattr(ppa, "ogb_zip", local)
    check(OGBPPA(tmp_path / "root", progress=False))
    assert not list((tmp_path / "root").rglob("*.zip"))


@pytest.mark.parametrize("folder", ["datasets/ogbg_ppa", "dataset/ogbg_ppa", "dataset/ogbg_ppa_pyg"])
def test_what_ogbs_loader_has_left_is_read_without_a_download(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(raw_files, "fetch", lambda *_, **__: pytest.fail("downloaded"))
    written = ppa_files.write(tmp_path / "written")
    (tmp_path / folder).parent.mkdir(exist_ok=True)
    written.rename(tmp_path / folder)
    check(OGBPPA("datasets", progress=False))
    assert (tmp_path / "datasets/ogbg_ppa/ogbg-ppa-v1.pt").is_file()


def test_nothing_there(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"ogbg-ppa: ogbg_ppi_medium\.zip is not in") as caught:
        OGBPPA(tmp_path, download=False)
    assert "ogbg_ppi_medium.zip" in caught.value.hint


@pytest.mark.parametrize("table", ["edge", "edge-feat", "num-edge-list", "graph-label"])
@pytest.mark.parametrize("change", [lambda rows: rows[:-1], lambda rows: [*rows, rows[-1]]], ids=["short", "long"])
def test_tables_that_do_not_fit_are_named(table, change, tmp_path):
    path = ppa_files.write(tmp_path) / f"raw/{table}.csv.gz"
    rows = gzip.decompress(path.read_bytes()).splitlines()
    path.write_bytes(gzip.compress(b"\n".join(change(rows)) + b"\n"))
    with pytest.raises(DataIntegrityError, match=rf"{table}\.csv\.gz"):
        OGBPPA(tmp_path, download=False, progress=False)


@pytest.mark.parametrize(
    ("table", "line", "told"),
    [
        ("raw/edge", b"0,4", "numbers of nodes of the same graph"),
        ("raw/edge", b"-1,0", "numbers of nodes of the same graph"),
        ("raw/edge", b"0,x", "a table of numbers"),
        ("raw/edge", b"0", r"a table of \(42, 2\)|a table of numbers"),
        ("raw/edge-feat", b"0,0,0,nan,0,0,0", "finite numbers"),
        ("raw/edge-feat", b"0,0,0,,0,0,0", "finite numbers"),
        ("raw/edge-feat", b"0,0,0,inf,0,0,0", "finite numbers"),
        ("raw/graph-label", b"37", "classes 0 to 36"),
        ("raw/graph-label", b"-1", "classes 0 to 36"),
        ("raw/num-node-list", b"-4", "sizes of graphs"),
        ("split/species/test", b"0", "exactly one split"),
    ],
)
def test_values_that_cannot_be_are_named(table, line, told, tmp_path):
    path = ppa_files.write(tmp_path) / f"{table}.csv.gz"
    rows = gzip.decompress(path.read_bytes()).splitlines()
    path.write_bytes(gzip.compress(b"\n".join([line, *rows[1:]]) + b"\n"))
    with pytest.raises(DataIntegrityError, match=told):
        OGBPPA(tmp_path, download=False, progress=False)


def test_a_column_too_many_is_named(tmp_path):
    path = ppa_files.write(tmp_path) / "raw/graph-label.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n" * len(ppa_files.SIZES)))
    with pytest.raises(DataIntegrityError, match="one number in each line"):
        OGBPPA(tmp_path, download=False, progress=False)


@pytest.mark.parametrize("table", ["edge", "edge-feat", "num-node-list"])
@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"1,2\n" * 100, mtime=0)[:20]])
def test_damaged_tables_are_named(table, content, tmp_path):
    path = ppa_files.write(tmp_path) / f"raw/{table}.csv.gz"
    path.write_bytes(content)
    with pytest.raises(DataIntegrityError, match=table):
        OGBPPA(tmp_path, download=False, progress=False)
