import gzip
import zipfile

import numpy as np
import pytest
import torch

from pyg_samsa.chem import smiles_to_data
from pyg_samsa.datasets import catalog
from pyg_samsa.datasets.molecules import pcqm4m
from pyg_samsa.datasets.molecules.pcqm4m import PCQM4Mv2, split_rows
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from tests import pcqm4m_files as files


@pytest.fixture(autouse=True)
def small(monkeypatch):
    files.shrink(monkeypatch)


def load(root, name="full", **options):
    return PCQM4Mv2(root, name, workers=1, progress=False, **({"download": False} | options))


@pytest.mark.parametrize(("name", "sizes"), [("full", (25, 5, 6)), ("subset", (5, 3, 6))])
def test_molecules_gaps_and_splits(name, sizes, tmp_path):
    files.write(tmp_path)
    dataset = load(tmp_path, name)
    assert tuple(len(dataset.split_idx[split]) for split in ("train", "val", "test")) == sizes
    assert len(dataset) == sum(sizes)
    rows = split_rows(files.SPLIT, name)
    for split, index in dataset.split_idx.items():
        for place, row in zip(index.tolist(), rows[split], strict=True):
            graph, found = smiles_to_data(files.SMILES[row]), dataset[place]
            assert all(torch.equal(found[key], graph[key]) for key in ("x", "edge_index", "edge_attr"))
            assert found.y.tolist() == [[pytest.approx(files.gap(row))]]
    assert catalog.canonical("OGB", f"PCQM4Mv2-{name}") == f"pcqm4mv2-{name}"
    assert (dataset.task.kind, dataset.task.level) == ("regression", "graph")


def test_held_out_rows_are_those_of_graphgps(monkeypatch):
    monkeypatch.undo()
    official = {"train": np.arange(400_000) + 7, "valid": np.arange(5)}
    drawn = np.random.default_rng(seed=42).permutation(official["train"])
    full, subset = split_rows(official, "full"), split_rows(official, "subset")
    assert np.array_equal(full["val"], drawn[:150_000])
    assert np.array_equal(full["train"], drawn[150_000:])
    assert np.array_equal(subset["train"], full["train"][:25_000])
    assert np.array_equal(subset["val"], full["val"][:50_000])
    assert full["test"] is subset["test"] is official["valid"]


def test_files_of_ogbs_own_loader_are_found(tmp_path, monkeypatch):
    files.write(tmp_path / "dataset")
    monkeypatch.chdir(tmp_path)
    assert len(load(tmp_path / "root")) == 36


def test_download(tmp_path, served, monkeypatch):
    folder, url = served
    files.write(tmp_path / "made")
    with zipfile.ZipFile(folder / "pcqm4m-v2.zip", "w") as archive:
        for name in ("raw/data.csv.gz", "split_dict.pt"):
            archive.write(tmp_path / "made/pcqm4m-v2" / name, f"pcqm4m-v2/{name}")
    monkeypatch.setattr(pcqm4m, "PCQM4M_ZIP", RemoteFile("pcqm4m-v2.zip", f"{url}/pcqm4m-v2.zip", None))
    assert len(load(tmp_path / "root", download=True)) == 36
    assert not list((tmp_path / "root").rglob("*.zip"))


@pytest.mark.parametrize(
    "split",
    [
        {"train": np.arange(30)},
        {"train": np.arange(29), "valid": np.arange(30, 36)},
        {"train": np.arange(30), "valid": np.arange(29, 35)},
        {"train": np.arange(30) - 1, "valid": np.arange(30, 36)},
        {"train": np.arange(30) / 1, "valid": np.arange(30, 36)},
        {"train": np.arange(30) + 10, "valid": np.arange(6)},
        {"train": np.arange(30) + 30, "valid": np.arange(6)},
        ["train"],
    ],
)
def test_other_splits_are_refused(split, tmp_path):
    torch.save(split, files.write(tmp_path) / "split_dict.pt")
    with pytest.raises(DataIntegrityError):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "idx,smiles\n0,C\n", "idx,smiles,homolumogap\n0,C,high\n"])
def test_other_tables_are_refused(text, tmp_path):
    with gzip.open(files.write(tmp_path) / "raw/data.csv.gz", "wt") as file:
        file.write(text)
    with pytest.raises(DataIntegrityError, match=r"data\.csv\.gz"):
        load(tmp_path)


def test_nothing_there_and_no_such_set(tmp_path):
    with pytest.raises(DataNotFoundError, match="pcqm4mv2"):
        load(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "inference")
    assert "no labels" in caught.value.hint
