import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.loader import DataLoader

from pyg_samsa.datasets.points import shapenet_part
from pyg_samsa.datasets.points.shapenet_part import CATEGORIES, PARTS, SYNSETS, ShapeNetPart, prepared_path
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.metrics.part_iou import PartIoU

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "shapenetpart_samples"
real = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the real files are not beside the project")
OPTIONS = {"incomplete": True, "workers": 1, "progress": False}
MUG, TABLE = "03797390", "04379243"


def write(folder, name, count, parts, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.concatenate([rng.normal(size=(count, 6)), rng.choice(parts, (count, 1))], axis=1)
    path = folder / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(" ".join(f"{value:.6f}" for value in row) + "\n" for row in rows))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "files"
    write(folder, f"{MUG}/a1", 30, [36, 37])
    write(folder, f"{TABLE}/b2", 50, [47, 48, 49])
    write(folder, f"{MUG}/c-3", 20, [36])
    lists(folder, train=[f"shape_data/{TABLE}/b2", f"shape_data/{MUG}/a1"], val=[], test=[f"shape_data/{MUG}/c-3"])
    return folder


def lists(folder, **splits):
    (folder / "train_test_split").mkdir(exist_ok=True)
    for split, entries in splits.items():
        (folder / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(json.dumps(entries))


def load(tmp_path, folder, **options):
    return ShapeNetPart.import_files(tmp_path / "root", files=folder, **OPTIONS | {"num_points": 40} | options)


def test_what_a_shape_is(tmp_path, folder):
    dataset = load(tmp_path, folder)
    assert (dataset.task.kind, dataset.task.level, dataset.features.in_channels, dataset.task.num_targets) == (
        "multiclass",
        "node",
        6,
        50,
    )
    assert dataset._data.name == [f"{TABLE}/b2", f"{MUG}/a1", f"{MUG}/c-3"]
    assert {split: positions.tolist() for split, positions in dataset.split_idx.items()} == {
        "train": [0, 1],
        "val": [],
        "test": [2],
    }
    assert [data.num_nodes for data in dataset] == [40, 30, 20]
    assert [CATEGORIES[int(data.category)] for data in dataset] == ["table", "mug", "mug"]
    for data in dataset:
        assert data.x.shape == (len(data.y), 6)
        assert data.edge_index.shape == (2, 0)
        assert data.y.dtype == data.category.dtype == torch.long
        assert data.pos.mean(0).abs().max() < 1e-6
        assert data.pos.norm(dim=1).max() == pytest.approx(1, abs=1e-6)
        assert set(data.y.tolist()) <= set(PARTS[int(data.category)])
    batch = next(iter(DataLoader(dataset, batch_size=3)))
    metric = PartIoU(dataset.task.parts, dataset.task.num_targets)
    metric.update(torch.nn.functional.one_hot(batch.y, 50).float(), batch.y, batch.category, batch.batch)
    assert metric.compute() == 1


def test_small_shapes_keep_all_points_in_order_and_large_ones_a_seeded_subset(tmp_path, folder):
    dataset, whole = load(tmp_path, folder), load(tmp_path, folder, num_points=100)
    rows = np.loadtxt(folder / MUG / "a1.txt")
    assert dataset[1].y.tolist() == rows[:, 6].astype(int).tolist()
    np.testing.assert_allclose(
        dataset[1].normal.numpy(), rows[:, 3:6] / np.linalg.norm(rows[:, 3:6], axis=1, keepdims=True), atol=1e-5
    )
    assert whole[0].num_nodes == 50
    # The normals tell which points were taken: forty different ones, in their order.
    taken = (dataset[0].normal.unsqueeze(1) - whole[0].normal.unsqueeze(0)).abs().sum(2).argmin(1)
    assert (taken.diff() > 0).all()
    assert torch.equal(dataset[0].y, whole[0].y[taken])
    assert taken.tolist() != list(range(40))
    again = load(tmp_path / "again", folder)
    assert torch.equal(again._data.x, dataset._data.x)


def test_found_in_the_root_and_prepared_once(tmp_path, folder, monkeypatch):
    (tmp_path / "shapenetpart").mkdir()
    folder.rename(tmp_path / "shapenetpart" / "shapenetcore_partanno_segmentation_benchmark_v0_normal")
    dataset = ShapeNetPart(tmp_path, **OPTIONS)
    monkeypatch.setattr(shapenet_part, "_read", None)
    assert torch.equal(ShapeNetPart(tmp_path, **OPTIONS)._data.x, dataset._data.x)
    assert ShapeNetPart(tmp_path, normals=False, **OPTIONS).features.in_channels == 3
    with pytest.raises(DataIntegrityError, match="12137"):
        ShapeNetPart(tmp_path, workers=1, progress=False)


def test_a_part_must_be_allowed(tmp_path, folder):
    with pytest.raises(DataIntegrityError, match="12137") as caught:
        load(tmp_path, folder, incomplete=False)
    assert "incomplete" in caught.value.hint
    (folder / MUG / "a1.txt").unlink()
    with pytest.raises(DataNotFoundError, match=r"a1\.txt"):
        load(tmp_path, folder, incomplete=False)
    assert len(load(tmp_path, folder)) == 2


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "empty"),
        ("1 2 3 0 0 1\n" * 5, "6 numbers"),
        ("1 2 3 0 0 1 36\n1 2 3 0", "a1"),
        ("1 2 3 0 0 1 36\n1 2 3 0 0 1 3", "part 3 in line 2"),
        ("1 2 3 0 0 1 47\n", "parts 36 to 37 of the category mug"),
        ("1 2 3 0 0 1 36.5\n", "part 36.5"),
        ("1 2 3 0 0 nan 36\n", "NaN"),
        ("x\n", "a1"),
    ],
)
def test_damaged_shapes_are_named(tmp_path, folder, content, match):
    (folder / MUG / "a1.txt").write_text(content)
    with pytest.raises(DataIntegrityError, match=match) as caught:
        load(tmp_path, folder)
    assert "a1.txt" in str(caught.value)
    assert not prepared_path(tmp_path / "root", 40).exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        '["shape_data/',
        "{}",
        "[1]",
        json.dumps([f"shape_data/{MUG}/a1", f"shape_data/{MUG}/a1"]),
        json.dumps([f"shape_data/{MUG}/../{MUG}/a1"]),
        json.dumps([f"shape_data/{MUG}/.."]),
        json.dumps(["shape_data/01234567/a1"]),
        json.dumps([f"{MUG}/a1"]),
    ],
)
def test_damaged_lists_are_named(tmp_path, folder, content):
    (folder / "train_test_split" / "shuffled_train_file_list.json").write_text(content)
    with pytest.raises(DataIntegrityError, match="file_list"):
        load(tmp_path, folder)


def test_nothing_there(tmp_path, folder):
    with pytest.raises(DataNotFoundError, match="shapenetpart is not in") as caught:
        ShapeNetPart(tmp_path)
    assert "data import shapenetpart --files" in caught.value.hint
    (folder / "train_test_split" / "shuffled_val_file_list.json").unlink()
    with pytest.raises(DataNotFoundError, match="shuffled_val_file_list"):
        load(tmp_path, folder)
    lists(folder, train=[], val=[], test=[])
    with pytest.raises(DataIntegrityError, match="training shape"):
        load(tmp_path, folder)
    with pytest.raises(ConfigError, match="num_points"):
        ShapeNetPart(tmp_path, num_points=0)


def test_the_benchmark_s_numbers():
    assert (len(CATEGORIES), len(set(SYNSETS)), PARTS[0], PARTS[-1]) == (16, 16, [0, 1, 2, 3], [47, 48, 49])
    assert [part for parts in PARTS for part in parts] == list(range(50))
    assert PARTS[CATEGORIES.index("motorbike")] == [30, 31, 32, 33, 34, 35]


@real
def test_real_samples_in_the_official_split(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for path in (SAMPLES / "shapenetcore_partanno_segmentation_benchmark_v0_normal").glob("0*"):
        (folder / path.name).symlink_to(path)
    (folder / "train_test_split").symlink_to(SAMPLES / "official_splits")
    dataset = load(tmp_path, folder, num_points=2500)
    assert sorted(data.num_nodes for data in dataset) == [2475, 2500, 2500, 2500]
    found = {data.name: set(data.y.tolist()) for data in dataset}
    assert found[f"{TABLE}/1a2abbc9712e2fffc3bd24f986301745"] == {47, 48, 49}
    assert found["04225987/1ad8d7573dc57ebc247a956ed3779e34"] == {45}
    for data in dataset:
        torch.testing.assert_close(data.normal.norm(dim=1), torch.ones(data.num_nodes))
    with pytest.raises(DataNotFoundError):
        load(tmp_path, folder, incomplete=False)


@real
def test_the_official_lists_and_what_they_name_twice(tmp_path):
    (tmp_path / "train_test_split").symlink_to(SAMPLES / "official_splits")
    entries = {
        split: json.loads((SAMPLES / "official_splits" / f"shuffled_{split}_file_list.json").read_text())
        for split in shapenet_part.SIZES
    }
    for split, names in entries.items():
        assert len(names) == len(set(names)) == shapenet_part.SIZES[split]
        assert shapenet_part._read_list(tmp_path, split, incomplete=True) == []
    train, val, test = (set(names) for names in entries.values())
    text = " ".join(ShapeNetPart.__doc__.split())
    assert f"{len(train | val | test):,} are different" in text
    for first, second, words in (
        (train, val, "training and validation"),
        (train, test, "in training and test"),
        (val, test, "in validation and test"),
    ):
        assert f"{len(first & second)} stand in {words}" in text or f"{len(first & second)} {words}" in text


@real
def test_a_list_that_names_a_shape_twice_is_refused(tmp_path):
    with pytest.raises(DataIntegrityError, match="1c8d5e05c3faa05861be5ced44bc18ac twice"):
        load(tmp_path, SAMPLES / "shapenetcore_partanno_segmentation_benchmark_v0_normal")


def test_a_shape_in_two_splits_is_one_cloud(tmp_path, folder):
    lists(folder, val=[f"shape_data/{MUG}/c-3", f"shape_data/{MUG}/a1"])
    dataset = load(tmp_path, folder)
    assert len(dataset) == 3
    assert {split: positions.tolist() for split, positions in dataset.split_idx.items()} == {
        "train": [0, 1],
        "val": [2, 1],
        "test": [2],
    }
