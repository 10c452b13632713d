import pickle
import zipfile

import pytest
import torch
from torch_geometric.data import Data, InMemoryDataset

from pyg_samsa.datasets.molecules import zinc
from pyg_samsa.datasets.molecules.zinc import ZINC
from pyg_samsa.datasets.sources import RemoteFile
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError

INDEX = {"train": [3, 0, 1], "val": [1], "test": [0, 2]}
SPLITS = ("train", "val", "test")


def molecule(number):
    nodes = 2 + number
    bonds = torch.zeros(nodes, nodes, dtype=torch.int64)
    for atom in range(nodes - 1):
        bonds[atom, atom + 1] = bonds[atom + 1, atom] = 1 + (atom + number) % 3
    return {
        "num_atom": nodes,
        "atom_type": (torch.arange(nodes) * 5 % 28).to(torch.int8),
        "bond_type": bonds.to(torch.int8),
        "logP_SA_cycle_normalized": torch.tensor([number / 7]),
    }


def expected(number):
    about = molecule(number)
    edge_index = about["bond_type"].nonzero().t()
    return (
        about["atom_type"].long().view(-1, 1),
        edge_index,
        about["bond_type"].long()[edge_index[0], edge_index[1]].view(-1, 1),
        number / 7,
    )


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    monkeypatch.setattr(zinc, "_SIZES", {"subset": (3, 1, 2), "full": (4, 4, 4)})


def write_raw(folder):
    folder.mkdir(parents=True)
    for split in SPLITS:
        (folder / f"{split}.pickle").write_bytes(pickle.dumps([molecule(number) for number in range(4)]))
        (folder / f"{split}.index").write_text(",".join(map(str, INDEX[split])) + "\n")


def check(dataset, name):
    numbers = [number for split in SPLITS for number in (INDEX[split] if name == "subset" else range(4))]
    assert len(dataset) == len(numbers)
    for found, number in zip(dataset, numbers, strict=True):
        x, edge_index, edge_attr, y = expected(number)
        assert torch.equal(found.x, x)
        assert torch.equal(found.edge_index, edge_index)
        assert torch.equal(found.edge_attr, edge_attr)
        assert found.y.shape == (1, 1)
        assert found.y.item() == pytest.approx(y)
    assert [len(positions) for positions in dataset.split_idx.values()] == (
        [3, 1, 2] if name == "subset" else [4, 4, 4]
    )
    assert (
        dataset.task.kind,
        dataset.task.level,
        dataset.task.num_targets,
        dataset.features.in_channels,
        dataset.features.edge_channels,
    ) == (
        "regression",
        "graph",
        1,
        [28],
        [4],
    )


@pytest.mark.parametrize("name", ["subset", "full"])
def test_raw_files(tmp_path, name):
    write_raw(tmp_path / "ZINC" / "raw")
    check(ZINC(tmp_path, name, download=False, progress=False), name)


@pytest.mark.parametrize("name", ["subset", "full"])
def test_pygs_processed_files(tmp_path, name):
    folder = tmp_path / "ZINC" / name / "processed"
    folder.mkdir(parents=True)
    for split in SPLITS:
        data = []
        for number in INDEX[split] if name == "subset" else range(4):
            x, edge_index, edge_attr, y = expected(number)
            data.append(Data(x=x, edge_index=edge_index, edge_attr=edge_attr.flatten(), y=torch.tensor([y])))
        if len(data) > 1:
            InMemoryDataset.save(data, str(folder / f"{split}.pt"))
        else:
            _, slices = InMemoryDataset.collate(data * 2)
            stored = {key: slices[key][:2] for key in slices}
            torch.save((data[0].to_dict(), stored, Data), folder / f"{split}.pt")
    check(ZINC(tmp_path, name, download=False, progress=False), name)


@pytest.mark.parametrize("name", ["subset", "full"])
def test_download(tmp_path, name, served, monkeypatch):
    folder, url = served
    write_raw(tmp_path / "inside")
    with zipfile.ZipFile(folder / "molecules.zip", "w") as archive:
        for split in SPLITS:
            archive.write(tmp_path / "inside" / f"{split}.pickle", f"molecules/{split}.pickle")
            (tmp_path / "inside" / f"{split}.index").rename(folder / f"{split}.index")
    monkeypatch.setattr(zinc, "ZINC_ZIP", RemoteFile("molecules.zip", f"{url}/molecules.zip", None))
    monkeypatch.setattr(
        zinc, "ZINC_INDEX", {split: RemoteFile(f"{split}.index", f"{url}/{split}.index", None) for split in SPLITS}
    )
    check(ZINC(tmp_path / "root", name, progress=False), name)
    assert not list((tmp_path / "root").rglob("*.zip"))


@pytest.mark.parametrize("place", ["raw", "."])
def test_an_archive_put_there_by_hand_is_read_and_kept(tmp_path, place):
    raw = tmp_path / "ZINC" / "raw"
    write_raw(raw)
    with zipfile.ZipFile(raw.parent / place / "molecules.zip", "w") as archive:
        for split in SPLITS:
            archive.write(raw / f"{split}.pickle", f"molecules/{split}.pickle")
            (raw / f"{split}.pickle").unlink()
    content = (raw.parent / place / "molecules.zip").read_bytes()
    check(ZINC(tmp_path, "subset", download=False, progress=False), "subset")
    assert (raw.parent / place / "molecules.zip").read_bytes() == content


@pytest.mark.parametrize("damage", ["index", "number", "keys", "size", "list"])
def test_damage_is_refused(tmp_path, damage):
    raw = tmp_path / "ZINC" / "raw"
    write_raw(raw)
    if damage == "index":
        (raw / "val.index").write_text("1,x\n")
    if damage == "number":
        (raw / "val.index").write_text("9\n")
    if damage == "keys":
        (raw / "val.pickle").write_bytes(pickle.dumps([{"atom_type": 1}] * 4))
    if damage == "list":
        (raw / "val.pickle").write_bytes(pickle.dumps(3))
    if damage == "size":
        (raw / "val.index").write_text("1,2\n")
    with pytest.raises(DataIntegrityError):
        ZINC(tmp_path, "subset", download=False, progress=False)


def test_nothing_there(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"zinc: molecules\.zip, train\.index, val\.index and test\.index"):
        ZINC(tmp_path, download=False)
    write_raw(tmp_path / "ZINC" / "raw")
    (tmp_path / "ZINC" / "raw" / "val.index").unlink()
    with pytest.raises(DataNotFoundError, match=r"val\.index"):
        ZINC(tmp_path, download=False, progress=False)


def test_unknown_name(tmp_path):
    with pytest.raises(ConfigError, match="subset"):
        ZINC(tmp_path, "small")
