import gzip
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from torch_geometric.data import Data, InMemoryDataset

from pyg_samsa.chem import smiles_to_data
from pyg_samsa.datasets import sources as registry
from pyg_samsa.datasets.molecules import lrgb
from pyg_samsa.datasets.molecules.lrgb import FUNC_TARGETS, OFFICIAL, STRUCT_TARGETS, LRGBPeptides, read_split
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, SmilesError
from pyg_samsa.io.files import md5, sha256

REAL = Path(__file__).parents[2].parent / "shared/data/peptides_func"
SMILES = ["NCC(=O)O", "CC(=O)O", "C", "c1ccccc1", "CCO", "N#N"]
SPLIT = {"train": [5, 0, 2], "val": [1], "test": [3, 4]}
NAMES = ["peptides-func", "peptides-struct"]
real_files = pytest.mark.skipif(
    not REAL.is_dir(), reason="the official Peptides-func files are not in ../shared/data/peptides_func"
)


def table(name):
    frame = pd.DataFrame({"smiles": SMILES, "peptide_seq": ["G", "NA", "null", "d", "e", "f"]})
    if name == "peptides-func":
        frame["labels"] = [str([int(bit) for bit in f"{number:010b}"]) for number in range(1, 7)]
    else:
        for column, target in enumerate(STRUCT_TARGETS):
            frame[target] = np.arange(6.0) ** 2 * (column + 1) - column
    return frame


class Files:
    """Small stand-ins for the official files, registered under their own hashes."""

    def __init__(self, folder, name, monkeypatch):
        self.name, self.folder, self.monkeypatch = name, folder, monkeypatch
        official = OFFICIAL[name]
        self.csv, self.split = folder / official.csv.name, folder / official.split.name
        self.write(table(name), SPLIT)

    def write(self, frame, split, *, split_content=None, csv_hash=None):
        frame.to_csv(self.csv, index=False)
        self.split.write_bytes(split_content or pickle.dumps({key: np.array(value) for key, value in split.items()}))
        official, graphs = OFFICIAL[self.name], [smiles_to_data(smiles) for smiles in SMILES]
        means = (
            sum(graph.num_nodes for graph in graphs) / len(SMILES),
            sum(graph.num_edges for graph in graphs) / len(SMILES),
        )
        self.monkeypatch.setitem(
            OFFICIAL,
            self.name,
            replace(
                official,
                csv=official.csv._replace(known_hash=csv_hash or sha256(self.csv)),
                split=official.split._replace(known_hash=f"md5:{md5(self.split)}"),
                csv_hashes=(csv_hash or sha256(self.csv),),
                release=replace(
                    official.release,
                    graphs=len(SMILES),
                    means=means,
                    sizes=tuple(len(part) for part in split.values()),
                    positives=None,
                ),
            ),
        )

    def at(self, url):
        official = OFFICIAL[self.name]
        self.monkeypatch.setitem(
            OFFICIAL,
            self.name,
            replace(
                official,
                csv=official.csv._replace(url=f"{url}/{self.csv.name}"),
                split=official.split._replace(url=f"{url}/{self.split.name}"),
                release=replace(official.release, zip=RemoteFile("set.zip", f"{url}/set.zip", None)),
            ),
        )


@pytest.fixture(params=NAMES)
def files(request, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    return Files(folder, request.param, monkeypatch)


@pytest.fixture
def func(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    return Files(folder, "peptides-func", monkeypatch)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing but this machine may be asked."""
    import socket

    connect = socket.socket.connect

    def local(self, address):
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, port, *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))],
    )


def check(dataset, name, order=range(6), texts=True):
    task = OFFICIAL[name].release.task
    assert (dataset.task.kind, list(dataset.task.names), dataset.task.level) == (
        task.kind,
        list(task.names),
        "graph",
    )
    assert dataset.task.num_targets == {"peptides-func": 10, "peptides-struct": 11}[name]
    frame = table(name)
    targets = (
        frame[STRUCT_TARGETS].apply(lambda column: (column - column.mean()) / column.std())
        if name == "peptides-struct"
        else None
    )
    for position, row in enumerate(order):
        found, expected = dataset[position], smiles_to_data(SMILES[row])
        for key in ("x", "edge_index", "edge_attr"):
            assert torch.equal(found[key], expected[key])
        y = [int(bit) for bit in f"{row + 1:010b}"] if targets is None else targets.iloc[row].tolist()
        assert found.y[0].tolist() == pytest.approx(y)
        assert found.y.dtype == torch.float
        if texts:
            assert found.smiles == SMILES[row]
            assert found.sequence == frame["peptide_seq"][row]


def import_them(files, root):
    return LRGBPeptides.import_files(root, files.name, csv=files.csv, split=files.split, progress=False)


def test_import(files, tmp_path):
    dataset = import_them(files, tmp_path / "root")
    check(dataset, files.name)
    assert {split: positions.tolist() for split, positions in dataset.split_idx.items()} == SPLIT
    files.csv.unlink()
    check(LRGBPeptides(tmp_path / "root", files.name), files.name)


def test_import_replaces_what_was_prepared(func, tmp_path):
    import_them(func, tmp_path)
    func.write(table("peptides-func").iloc[::-1], SPLIT)
    check(import_them(func, tmp_path), "peptides-func", order=reversed(range(6)))


def test_official_files_in_the_raw_folder_are_found(files, tmp_path):
    root = tmp_path / "root"
    (root / files.name).mkdir(parents=True)
    files.folder.rename(root / files.name / "raw")
    check(LRGBPeptides(root, files.name, download=False, progress=False), files.name)


def test_unpacked_table_is_recognised(func, tmp_path):
    plain = tmp_path / "table.csv"
    plain.write_bytes(gzip.decompress(func.csv.read_bytes()))
    official = OFFICIAL["peptides-func"]
    func.monkeypatch.setitem(
        OFFICIAL, "peptides-func", replace(official, csv_hashes=(*official.csv_hashes, sha256(plain)))
    )
    dataset = LRGBPeptides.import_files(tmp_path, "peptides-func", csv=plain, split=func.split, progress=False)
    check(dataset, "peptides-func")


def test_standardised_targets_pass_unchanged(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    files = Files(folder, "peptides-struct", monkeypatch)
    frame = table("peptides-struct")
    frame[STRUCT_TARGETS] = frame[STRUCT_TARGETS].apply(lambda column: (column - column.mean()) / column.std())
    files.write(frame, SPLIT)
    dataset = import_them(files, tmp_path)
    check(dataset, "peptides-struct")
    assert torch.allclose(dataset._data.y.std(0), torch.ones(11), atol=1e-6)


@pytest.mark.parametrize("which", ["csv", "split"])
def test_a_changed_file_is_refused_and_nothing_is_written(files, tmp_path, which):
    path = getattr(files, which)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DataIntegrityError, match=path.name):
        import_them(files, tmp_path / "root")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("which", ["csv", "split"])
def test_a_missing_file_is_named(files, tmp_path, which):
    getattr(files, which).unlink()
    with pytest.raises(DataNotFoundError, match=getattr(files, which).name):
        import_them(files, tmp_path / "root")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    "labels",
    ["[0, 1]", "__import__('os').system('x')", "[0]*10", "[0, 0, 0, 0, 0, 0, 0, 0, 0, 2]", "", "nan", "[" * 5000],
)
def test_labels_are_parsed_not_run(func, tmp_path, labels):
    frame = table("peptides-func")
    frame.loc[2, "labels"] = labels
    func.write(frame, SPLIT)
    with pytest.raises(DataIntegrityError, match="row 3"):
        import_them(func, tmp_path)


def test_a_bad_molecule_is_named(func, tmp_path):
    frame = table("peptides-func")
    frame.loc[4, "smiles"] = "C(("
    func.write(frame, SPLIT)
    with pytest.raises(SmilesError, match="row 5"):
        import_them(func, tmp_path)


def test_a_missing_column_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    files = Files(folder, "peptides-struct", monkeypatch)
    files.write(table("peptides-struct").drop(columns="Spherocity"), SPLIT)
    with pytest.raises(DataIntegrityError, match="Spherocity"):
        import_them(files, tmp_path)


@pytest.mark.parametrize(
    "split",
    [
        {"train": [0], "val": [1], "test": [2]},
        SPLIT | {"test": [3, 3]},
        SPLIT | {"test": [3, 6]},
        {"train": [0]},
        SPLIT | {"more": []},
        SPLIT | {"test": [3, -1]},
    ],
)
def test_splits_that_do_not_fit_are_refused(tmp_path, split):
    path = tmp_path / "split.pickle"
    path.write_bytes(pickle.dumps({key: np.array(value, dtype=np.int64) for key, value in split.items()}))
    with pytest.raises(DataIntegrityError, match=r"split\.pickle"):
        read_split(path, 6)


def test_a_split_that_would_run_code_is_refused(func, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "marker"), "w"))

    func.write(table("peptides-func"), SPLIT, split_content=pickle.dumps({"train": Attack()}))
    with pytest.raises(DataIntegrityError, match="open"):
        import_them(func, tmp_path / "root")
    assert not (tmp_path / "marker").exists()


def pyg_graphs(name):
    """What PyG's raw files hold: the splits one after another, in tuples."""
    y = torch.tensor([[int(bit) for bit in f"{number:010b}"] for number in range(1, 7)]).float()
    if name == "peptides-struct":
        frame = table(name)[STRUCT_TARGETS]
        y = torch.tensor(((frame - frame.mean()) / frame.std()).to_numpy()).float()
    graphs = [smiles_to_data(smiles) for smiles in SMILES]
    tuples = [(graph.x, graph.edge_attr, graph.edge_index, y[row : row + 1]) for row, graph in enumerate(graphs)]
    return {split: [tuples[row] for row in rows] for split, rows in SPLIT.items()}


def order():
    return [row for rows in SPLIT.values() for row in rows]


def write_raw(folder, name):
    folder.mkdir(parents=True)
    for split, graphs in pyg_graphs(name).items():
        torch.save(graphs, folder / f"{split}.pt")


def test_pygs_raw_files_are_found(files, tmp_path):
    write_raw(tmp_path / files.name / "raw", files.name)
    dataset = LRGBPeptides(tmp_path, files.name, download=False, progress=False)
    check(dataset, files.name, order(), texts=False)
    assert {split: len(positions) for split, positions in dataset.split_idx.items()} == {
        "train": 3,
        "val": 1,
        "test": 2,
    }


def test_pygs_processed_files_are_found(files, tmp_path):
    folder = tmp_path / files.name / "processed"
    folder.mkdir(parents=True)
    for split, graphs in pyg_graphs(files.name).items():
        if len(graphs) == 1:
            graphs = graphs * 2  # PyG stores a single graph without slices, which no split of the benchmark is
        data = [Data(x=x, edge_attr=edge_attr, edge_index=edge_index, y=y) for x, edge_attr, edge_index, y in graphs]
        InMemoryDataset.save(data, str(folder / f"{split}.pt"))
    official = OFFICIAL[files.name]
    means = tuple(
        sum(len(graph[position]) for graphs in pyg_graphs(files.name).values() for graph in graphs)
        for position in (0, 1)
    )
    means = tuple((total + len(pyg_graphs(files.name)["val"][0][position])) / 7 for position, total in enumerate(means))
    files.monkeypatch.setitem(
        OFFICIAL,
        files.name,
        replace(official, release=replace(official.release, graphs=7, sizes=(3, 2, 2), means=means)),
    )
    dataset = LRGBPeptides(tmp_path, files.name, download=False, progress=False)
    check(dataset, files.name, [5, 0, 2, 1, 1, 3, 4], texts=False)


@pytest.mark.parametrize("damage", ["graphs", "nodes", "columns", "kind", "labels"])
def test_other_data_than_the_published_is_refused(func, tmp_path, damage):
    graphs = pyg_graphs("peptides-func")
    if damage == "graphs":
        graphs["test"].append(graphs["test"][0])
    if damage == "nodes":
        graphs["val"] = [(torch.cat([graph[0], graph[0]]), *graph[1:]) for graph in graphs["val"]]
    if damage == "columns":
        graphs["val"] = [graph[:3] for graph in graphs["val"]]
    if damage == "labels":
        official = OFFICIAL["peptides-func"]
        release = replace(official.release, positives=tuple((6,) * 10 for _ in range(3)))
        func.monkeypatch.setitem(OFFICIAL, "peptides-func", replace(official, release=release))
    folder = tmp_path / "peptides-func" / "raw"
    folder.mkdir(parents=True)
    for split, content in graphs.items():
        torch.save({"x": 1} if damage == "kind" else content, folder / f"{split}.pt")
    with pytest.raises(DataIntegrityError):
        LRGBPeptides(tmp_path, "peptides-func", download=False, progress=False)
    assert not (tmp_path / "peptides-func" / "peptides-func-v1.pt").exists()


def test_download_of_the_official_files(files, tmp_path, served):
    folder, url = served
    for path in (files.csv, files.split):
        path.rename(folder / path.name)
    files.at(url)
    check(LRGBPeptides(tmp_path / "root", files.name, progress=False), files.name)
    raw = tmp_path / "root" / files.name / "raw"
    assert sorted(path.name for path in raw.iterdir() if not path.name.startswith(".")) == sorted(
        [files.csv.name, files.split.name]
    )


def test_download_of_another_file_is_refused(func, tmp_path, served):
    folder, url = served
    func.split.rename(folder / func.split.name)
    (folder / func.csv.name).write_bytes(b"something else")
    func.at(url)
    with pytest.raises(DataIntegrityError, match=func.csv.name):
        LRGBPeptides(tmp_path / "root", "peptides-func", progress=False)
    assert not (tmp_path / "root" / "peptides-func" / "raw" / func.csv.name).exists()


def test_download_of_pygs_release(files, tmp_path, served):
    folder, url = served
    write_raw(tmp_path / "peptides", files.name)
    with zipfile.ZipFile(folder / "set.zip", "w") as archive:
        for path in (tmp_path / "peptides").iterdir():
            archive.write(path, f"peptides/{path.name}")
        archive.writestr("../outside.txt", "must not be written")
    files.at(url)
    root = tmp_path / "root"
    check(LRGBPeptides(root, files.name, release="pyg", progress=False), files.name, order(), texts=False)
    assert not list(tmp_path.rglob("outside.txt"))
    assert not (root / files.name / "set.zip").exists()
    assert (root / files.name / "set.zip.sha256").read_text().startswith(sha256(folder / "set.zip"))


@pytest.mark.parametrize("content", [b"no archive", None])
def test_a_damaged_archive_is_refused(func, tmp_path, served, content):
    folder, url = served
    if content is None:
        with zipfile.ZipFile(folder / "set.zip", "w") as archive:
            archive.writestr("peptides/train.pt", "x")
    else:
        (folder / "set.zip").write_bytes(content)
    func.at(url)
    with pytest.raises(DataIntegrityError, match=r"set\.zip"):
        LRGBPeptides(tmp_path / "root", "peptides-func", release="pyg", progress=False)


@pytest.mark.parametrize("options", [{}, {"download": False}])
@pytest.mark.parametrize("name", NAMES)
def test_with_nothing_there_the_error_names_the_files_and_the_command_that_imports_them(
    tmp_path, name, options, monkeypatch
):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(DataNotFoundError) as caught:
        LRGBPeptides(tmp_path, name, progress=False, **options)
    csv, split = OFFICIAL[name].csv, OFFICIAL[name].split
    assert f"{name}: {split.name} and {csv.name} are not in {tmp_path / name / 'raw'}, and " in str(caught.value)
    command = f"`pyg-samsa data import {name} --csv {csv.name} --split {split.name} --root {tmp_path}`"
    for words in (csv.url, split.url, command):
        assert words in caught.value.hint
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


@pytest.mark.parametrize(
    ("options", "match"), [({"name": "peptides"}, "peptides-func"), ({"release": "zip"}, "release")]
)
def test_bad_options(tmp_path, options, match):
    with pytest.raises(ConfigError, match=match):
        LRGBPeptides(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_registered_hashes():
    assert registry.STRUCT_CSV.known_hash == "md5:c240c1c15466b5c907c63e180fa8aa89"
    assert registry.STRUCT_CSV_RAW.known_hash == "md5:9786061a34298a0684150f2e4ff13f47"
    assert registry.STRUCT_SPLIT.known_hash == registry.FUNC_SPLIT.known_hash
    assert len(FUNC_TARGETS) == 10
    assert len(STRUCT_TARGETS) == 11
    for name in NAMES:
        for remote in (OFFICIAL[name].csv, OFFICIAL[name].split, OFFICIAL[name].release.zip):
            assert remote.url.startswith("https://")


@real_files
def test_real_files_are_the_authors():
    csv, split = REAL / registry.FUNC_CSV.name, REAL / registry.FUNC_SPLIT.name
    assert (md5(csv), sha256(csv)) == (
        "701eb743e899f4d793f0e13c8fa5a1b4",
        registry.FUNC_CSV.known_hash.removeprefix("sha256:"),
    )
    assert (md5(split), sha256(split)) == (
        "5a0114bdadc80b94fc7ae974f13ef061",
        registry.FUNC_SPLIT.known_hash.removeprefix("sha256:"),
    )


@real_files
def test_real_split_and_labels():
    split = read_split(REAL / registry.FUNC_SPLIT.name, 15535)
    assert [len(split[name]) for name in ("train", "val", "test")] == [10873, 2331, 2331]
    frame = pd.read_csv(REAL / registry.FUNC_CSV.name, keep_default_na=False)
    y = lrgb._func_labels(frame, REAL)
    assert tuple(y.shape) == (15535, 10)
    assert (
        tuple(tuple(y[positions].sum(0).int().tolist()) for positions in split.values())
        == OFFICIAL["peptides-func"].release.positives
    )
    # The benchmark's split is stratified: every class has nearly the same share everywhere.
    whole = y.mean(0)
    for positions in split.values():
        assert torch.allclose(y[positions].mean(0), whole, atol=0.01)


@real_files
def test_real_peptides_are_converted(tmp_path, monkeypatch):
    frame = pd.read_csv(REAL / registry.FUNC_CSV.name, keep_default_na=False).iloc[::100].reset_index(drop=True)
    count = len(frame)
    csv, split = tmp_path / "part.csv", tmp_path / "part.pickle"
    frame.to_csv(csv, index=False)
    rows = np.arange(count)
    split.write_bytes(pickle.dumps({"train": rows[:100], "val": rows[100:120], "test": rows[120:]}))
    official = OFFICIAL["peptides-func"]
    molecules = [Chem.MolFromSmiles(smiles) for smiles in frame["smiles"]]
    means = (
        sum(mol.GetNumAtoms() for mol in molecules) / count,
        2 * sum(mol.GetNumBonds() for mol in molecules) / count,
    )
    release = replace(official.release, graphs=count, sizes=(100, 20, count - 120), means=means, positives=None)
    part = replace(
        official, split=official.split._replace(known_hash=sha256(split)), csv_hashes=(sha256(csv),), release=release
    )
    monkeypatch.setitem(OFFICIAL, "peptides-func", part)
    dataset = LRGBPeptides.import_files(tmp_path, "peptides-func", csv=csv, split=split, progress=False)
    assert len(dataset) == count
    assert dataset[7].sequence == frame["peptide_seq"][7]
