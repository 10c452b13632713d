import pytest
import torch
from torch_geometric.data import Data

from pyg_samsa.datasets.base import SplitDataset
from pyg_samsa.datasets.features import MOLECULES
from pyg_samsa.datasets.prepared import (
    Prepared,
    load_prepared,
    load_tensors,
    prepare_once,
    save_prepared,
    select_graphs,
)
from pyg_samsa.errors import DataIntegrityError
from tests.datasets.few_molecules import SMILES, TASK, check, prepare


@pytest.mark.parametrize("smiles", [SMILES, ["C"], ["CC"], ["C", "C"]])
def test_saved_and_loaded_graphs_are_the_same(tmp_path, smiles):
    path = tmp_path / "set.pt"
    save_prepared(prepare(smiles), path)
    dataset = SplitDataset(load_prepared(path), TASK, MOLECULES)
    check(dataset, smiles)
    assert dataset[0].y[0, 0].isnan()


def test_stored_integers_are_small(tmp_path):
    save_prepared(prepare(), tmp_path / "set.pt")
    stored = torch.load(tmp_path / "set.pt", weights_only=True)["data"]
    assert stored["x"].dtype == stored["edge_attr"].dtype == stored["edge_index"].dtype == torch.uint8


@pytest.mark.parametrize("values", [[-1, 5], [0, 70_000], [0, 1 << 40], [-(1 << 40), 3]])
def test_large_and_negative_integers_survive(tmp_path, values):
    prepared = prepare(["C"])
    prepared.data["number"] = torch.tensor(values)
    prepared.data["flag"] = torch.tensor([True, False])
    save_prepared(prepared, tmp_path / "set.pt")
    loaded = load_prepared(tmp_path / "set.pt").data
    assert loaded["number"].tolist() == values
    assert loaded["flag"].dtype == torch.bool


@pytest.mark.parametrize("kept", [[0], [4, 0], [1, 2, 3], [3, 1]])
def test_select_graphs(kept):
    prepared = prepare()
    chosen = select_graphs(prepared, torch.tensor(kept))
    dataset, whole = SplitDataset(chosen, TASK, MOLECULES), SplitDataset(prepared, TASK, MOLECULES)
    assert len(dataset) == len(kept)
    for new, old in enumerate(kept):
        assert dataset[new].smiles == whole[old].smiles
        assert torch.equal(dataset[new].edge_index, whole[old].edge_index)
        assert torch.equal(dataset[new].edge_attr, whole[old].edge_attr)
        assert torch.equal(dataset[new].y.nan_to_num(), whole[old].y.nan_to_num())
    for split, positions in whole.split_idx.items():
        assert sorted(kept[new] for new in chosen.split_idx[split].tolist()) == sorted(
            set(kept) & set(positions.tolist())
        )


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "other format", "objects", "flipped"])
def test_damaged_files_are_one_clear_error(tmp_path, damage):
    path = tmp_path / "set.pt"
    save_prepared(prepare(), path)
    content = path.read_bytes()
    if damage == "objects":
        torch.save({"format": 1, "data": Data(x=torch.ones(1)), "code": print}, path)
    elif damage == "other format":
        torch.save({"format": 99}, path)
    else:
        flipped = bytearray(content)
        flipped[-30] ^= 0xFF
        path.write_bytes(
            {
                "empty": b"",
                "truncated": content[: len(content) // 2],
                "text": b"smiles\nC\n",
                "flipped": bytes(flipped),
            }[damage]
        )
    with pytest.raises(DataIntegrityError, match=r"set\.pt") as caught:
        load_prepared(path)
    assert "\n" not in str(caught.value)
    assert "Delete" in caught.value.hint


def test_load_tensors_runs_no_code(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "marker"), "w"))

    torch.save([Attack()], tmp_path / "raw.pt")
    with pytest.raises(DataIntegrityError):
        load_tensors(tmp_path / "raw.pt")
    assert not (tmp_path / "marker").exists()
    with pytest.raises(FileNotFoundError):
        load_tensors(tmp_path / "gone.pt")


def test_prepare_once(tmp_path):
    calls = []

    def counted() -> Prepared:
        calls.append(1)
        return prepare()

    path = tmp_path / "deep" / "set.pt"
    for _ in range(3):
        check(SplitDataset(prepare_once(path, counted), TASK, MOLECULES))
    assert len(calls) == 1


def test_a_failed_preparation_leaves_nothing_that_is_taken_for_whole(tmp_path):
    def fail() -> Prepared:
        raise KeyboardInterrupt

    path = tmp_path / "set.pt"
    (tmp_path / ".set.0123456789ab.part.pt").write_bytes(b"left by a killed process")
    with pytest.raises(KeyboardInterrupt):
        prepare_once(path, fail)
    assert [child.name for child in tmp_path.iterdir()] == [".set.pt.lock"]
    check(SplitDataset(prepare_once(path, prepare), TASK, MOLECULES))
