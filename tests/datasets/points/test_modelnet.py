import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pyg_samsa.datasets.points import modelnet
from pyg_samsa.datasets.points.modelnet import RELEASES, ModelNet, prepared_path
from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError, MissingDependencyError

SHARED = Path(__file__).parents[3] / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real files are not beside the project")
OPTIONS = {"incomplete": True, "workers": 1, "progress": False}
TETRAHEDRON = "OFF\n4 4 0\n0 0 0\n2 0 0\n0 3 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
TEN, FORTY = RELEASES["modelnet10"].classes, RELEASES["modelnet40"].classes


def off_folder(
    folder, shapes=(("chair", "train", 1), ("chair", "train", 2), ("night_stand", "train", 7), ("bed", "test", 3))
):
    for name, split, number in shapes:
        path = folder / name / split / f"{name}_{number:04d}.off"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TETRAHEDRON)
    return folder


def npz(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "points_q": rng.integers(-30000, 30000, (4, 50, 3)).astype(np.int16),
        "label": np.array([2, 2, 6, 1], dtype=np.uint8),
        "is_test": np.array([False, False, False, True]),
        "name": np.array(["chair_0001", "chair_0002", "night_stand_0007", "bed_0003"]),
        "classes": np.array(TEN),
    }
    arrays = {key: value for key, value in (arrays | changes).items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def text_folder(folder, lines=10_000):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modelnet40_shape_names.txt").write_text("\n".join(FORTY) + "\n")
    (folder / "modelnet40_train.txt").write_text("bed_0026\nchair_0001\n")
    (folder / "modelnet40_test.txt").write_text("guitar_0084\n")
    for name in ("bed_0026", "guitar_0084"):
        path = folder / name.split("_")[0] / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            "".join(",".join(f"{value:.6f}" for value in row) + "\n" for row in rng.normal(size=(lines, 6)))
        )
    return folder


def hdf5_folder(folder, **changes):
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    (folder / "shape_names.txt").write_text("\n".join(FORTY) + "\n")
    for split, count in (("train", 5), ("test", 2)):
        (folder / f"{split}_files.txt").write_text(f"data/modelnet40_ply_hdf5_2048/ply_data_{split}0.h5\n")
        arrays = {
            "data": rng.normal(size=(count, 64, 3)).astype(np.float32),
            "normal": rng.normal(size=(count, 64, 3)).astype(np.float32),
            "label": np.arange(count, dtype=np.uint8)[:, None],
        }
        with h5py.File(folder / f"ply_data_{split}0.h5", "w") as file:
            for key, value in (arrays | changes.get(split, {})).items():
                if value is not None:
                    file[key] = value
    return folder


def check(dataset, num_points, channels):
    assert (dataset.task.kind, dataset.task.level, dataset.features.in_channels, dataset.features.edge_channels) == (
        "multiclass",
        "graph",
        channels,
        None,
    )
    for data in dataset:
        assert data.x.shape == (num_points, channels)
        assert (data.edge_index.shape, data.y.shape) == ((2, 0), (1,))
        assert data.pos.mean(0).abs().max() < 1e-6
        assert data.pos.norm(dim=1).max() == pytest.approx(1, abs=1e-6)
        if channels == 6:
            assert torch.equal(data.x, torch.cat([data.pos, data.normal], 1))


def test_off_folders(tmp_path):
    dataset = ModelNet.import_files(
        tmp_path, "modelnet10", files=off_folder(tmp_path / "ModelNet10"), num_points=64, **OPTIONS
    )
    check(dataset, 64, 6)
    assert dataset._data.name == ["chair_0001", "chair_0002", "night_stand_0007", "bed_0003"]
    assert dataset._data.y.tolist() == [2, 2, 6, 1]
    assert dataset.split_idx["test"].tolist() == [3]
    assert sorted(torch.cat([dataset.split_idx["train"], dataset.split_idx["val"]]).tolist()) == [0, 1, 2]
    assert list(dataset.task.names) == TEN
    # The normals are those of the four faces.
    assert len(dataset[0].normal.round(decimals=4).unique(dim=0)) == 4
    # Names seed the draw: two shapes with one mesh have other points, a shape has the same ones every time.
    assert not torch.equal(dataset[0].x, dataset[1].x)
    again = ModelNet.import_files(tmp_path / "again", "modelnet10", files=tmp_path, num_points=64, **OPTIONS)
    assert torch.equal(again._data.x, dataset._data.x)
    assert all(torch.equal(again.split_idx[split], dataset.split_idx[split]) for split in dataset.split_idx)


@pytest.mark.slow
def test_several_processes_give_the_same(tmp_path):
    shapes = [(name, "train", number) for name in ("bed", "sofa") for number in range(70)]
    folder = off_folder(tmp_path / "files", shapes)
    one = ModelNet.import_files(tmp_path / "one", "modelnet10", files=folder, num_points=32, **OPTIONS)
    two = ModelNet.import_files(tmp_path / "two", "modelnet10", files=folder, num_points=32, **OPTIONS | {"workers": 2})
    assert torch.equal(one._data.x, two._data.x)
    assert one._data.name == two._data.name


@pytest.mark.parametrize("place", [".", "raw"])
def test_files_in_the_root_are_found_and_prepared_once(tmp_path, place, monkeypatch):
    off_folder(tmp_path / "modelnet10" / place)
    dataset = ModelNet(tmp_path, "modelnet10", num_points=32, **OPTIONS)
    check(dataset, 32, 6)
    monkeypatch.setattr(modelnet, "read_release", None)
    assert torch.equal(ModelNet(tmp_path, "modelnet10", num_points=32, **OPTIONS)._data.x, dataset._data.x)
    assert ModelNet(tmp_path, "modelnet10", num_points=32, normals=False, **OPTIONS).features.in_channels == 3
    assert prepared_path(tmp_path, "modelnet10", 32).is_file()


def test_a_part_must_be_allowed(tmp_path):
    off_folder(tmp_path / "modelnet10")
    options = {"num_points": 16, "workers": 1, "progress": False}
    with pytest.raises(DataIntegrityError, match="3,991 training and 908 test") as caught:
        ModelNet(tmp_path, "modelnet10", **options)
    assert "incomplete" in caught.value.hint
    ModelNet(tmp_path, "modelnet10", incomplete=True, **options)
    with pytest.raises(DataIntegrityError, match="3,991"):
        ModelNet(tmp_path, "modelnet10", **options)


@pytest.mark.parametrize(
    "content", ["", "OFF\n", TETRAHEDRON[:40], "OFF\n4 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 0\n3 0 1 2\n"]
)
def test_damaged_meshes_are_named(tmp_path, content):
    folder = off_folder(tmp_path / "files")
    (folder / "chair" / "train" / "chair_0002.off").write_text(content)
    with pytest.raises(DataIntegrityError, match=r"chair_0002\.off"):
        ModelNet.import_files(tmp_path, "modelnet10", files=folder, num_points=16, **OPTIONS)
    assert not prepared_path(tmp_path, "modelnet10", 16).exists()


def test_mislabelled_meshes_are_named(tmp_path):
    folder = off_folder(tmp_path / "files")
    (folder / "bed" / "test" / "chair_0009.off").write_text(TETRAHEDRON)
    with pytest.raises(DataIntegrityError, match=r"chair_0009\.off.* bed"):
        ModelNet.import_files(tmp_path, "modelnet10", files=folder, **OPTIONS)
    (folder / "bed" / "test" / "chair_0009.off").unlink()
    (folder / "airplane" / "train").mkdir(parents=True)
    with pytest.raises(DataIntegrityError, match="airplane"):
        ModelNet.import_files(tmp_path, "modelnet10", files=folder, **OPTIONS)


def test_one_shape_in_both_splits(tmp_path):
    folder = off_folder(tmp_path / "files", [("bed", "train", 1), ("bed", "test", 1)])
    with pytest.raises(DataIntegrityError, match="bed_0001 twice"):
        ModelNet.import_files(tmp_path, "modelnet10", files=folder, **OPTIONS)


def test_npz(tmp_path):
    dataset = ModelNet.import_files(tmp_path, "modelnet10", files=npz(tmp_path / "a.npz"), num_points=20, **OPTIONS)
    check(dataset, 20, 3)
    assert "normal" not in dataset[0]
    with pytest.raises(ConfigError, match="normals"):
        ModelNet(tmp_path, "modelnet10", num_points=20, normals=True, **OPTIONS)
    normals = np.random.default_rng(0).integers(-127, 127, (4, 50, 3)).astype(np.int8)
    check(
        ModelNet.import_files(
            tmp_path, "modelnet10", files=npz(tmp_path / "b.npz", normals_q=normals), num_points=20, **OPTIONS
        ),
        20,
        6,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"label": None},
        {"label": np.array([2, 2, 6, 10])},
        {"label": np.array([2, 3, 6, 1])},
        {"label": np.array([2, 2, 6])},
        {"label": np.array([2.0, 2, 6, 1])},
        {"is_test": np.array([True])},
        {"classes": np.array(TEN[::-1])},
        {"classes": np.array(FORTY)},
        {"points_q": np.zeros((4, 50, 2), dtype=np.int16)},
        {"points_q": np.full((4, 50, 3), np.nan)},
        {"normals_q": np.zeros((4, 49, 3), dtype=np.int8)},
        {"name": np.array(["chair_0001", "chair_0001", "night_stand_0007", "bed_0003"])},
        {"name": np.array(["chair_0001", "tree_0002", "night_stand_0007", "bed_0003"])},
        {"name": np.array([{"a": 1}] * 4, dtype=object)},
    ],
)
def test_wrong_arrays_are_named(tmp_path, changes):
    with pytest.raises(DataIntegrityError, match=r"a\.npz"):
        ModelNet.import_files(
            tmp_path, "modelnet10", files=npz(tmp_path / "a.npz", **changes), num_points=20, **OPTIONS
        )


@pytest.mark.parametrize(
    "damage", [lambda content: b"", lambda content: content[: len(content) // 2], lambda content: b"text"]
)
def test_damaged_archives_are_named(tmp_path, damage):
    path = npz(tmp_path / "a.npz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataIntegrityError, match=r"a\.npz") as caught:
        ModelNet.import_files(tmp_path, "modelnet10", files=path, num_points=20, **OPTIONS)
    assert "\n" not in str(caught.value)


def test_two_archives_are_no_choice(tmp_path):
    npz(tmp_path / "files" / "a.npz")
    npz(tmp_path / "files" / "b.npz")
    with pytest.raises(ConfigError, match=r"b\.npz"):
        ModelNet.import_files(tmp_path, "modelnet10", files=tmp_path / "files", **OPTIONS)


def test_too_few_points_are_named(tmp_path):
    with pytest.raises(DataIntegrityError, match="chair_0001: got 50, expected at least num_points = 51"):
        ModelNet.import_files(tmp_path, "modelnet10", files=npz(tmp_path / "a.npz"), num_points=51, **OPTIONS)


def test_text_folders(tmp_path):
    folder = text_folder(tmp_path / "modelnet40_normal_resampled")
    dataset = ModelNet.import_files(tmp_path, "modelnet40", files=tmp_path, num_points=48, **OPTIONS)
    check(dataset, 48, 6)
    assert dataset._data.name == ["bed_0026", "guitar_0084"]
    assert [FORTY[label] for label in dataset._data.y.tolist()] == ["bed", "guitar"]
    with pytest.raises(DataNotFoundError, match=r"chair_0001\.txt"):
        ModelNet.import_files(tmp_path, "modelnet40", files=folder, num_points=48, **OPTIONS | {"incomplete": False})


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("bed/bed_0026.txt", ""),
        ("bed/bed_0026.txt", "1,2,3,4,5,6\n" * 9999),
        ("bed/bed_0026.txt", "1,2,3,4,5,6\n" * 9999 + "1,2,3"),
        ("bed/bed_0026.txt", "1,2,3\n" * 10000),
        ("modelnet40_train.txt", ""),
        ("modelnet40_train.txt", "bed_0026\ntree_0001\n"),
        ("modelnet40_train.txt", "bed_0026\nbed_0026\n"),
        ("modelnet40_train.txt", "../bed_0026\n"),
        ("modelnet40_test.txt", "bed_0026\n"),
        ("modelnet40_shape_names.txt", "bed\nchair\n"),
    ],
)
def test_damaged_text_folders_are_named(tmp_path, file, content):
    folder = text_folder(tmp_path / "files", lines=10)
    (folder / file).write_text(content)
    with pytest.raises(DataIntegrityError) as caught:
        ModelNet.import_files(tmp_path, "modelnet40", files=folder, num_points=8, **OPTIONS)
    assert Path(file).name in str(caught.value) or "bed_0026 twice" in str(caught.value)


def test_hdf5(tmp_path):
    folder = hdf5_folder(tmp_path / "modelnet40_ply_hdf5_2048")
    dataset = ModelNet.import_files(tmp_path, "modelnet40", files=tmp_path, num_points=32, **OPTIONS)
    check(dataset, 32, 6)
    assert dataset._data.y.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert dataset.split_idx["test"].tolist() == [5, 6]
    (folder / "ply_data_test0.h5").unlink()
    with pytest.raises(DataNotFoundError, match="ply_data_test0"):
        ModelNet.import_files(tmp_path, "modelnet40", files=folder, num_points=32, **OPTIONS)
    (folder / "ply_data_test0.h5").write_bytes((folder / "ply_data_train0.h5").read_bytes()[:500])
    with pytest.raises(DataIntegrityError, match="ply_data_test0"):
        ModelNet.import_files(tmp_path, "modelnet40", files=folder, num_points=32, **OPTIONS)


@pytest.mark.parametrize(
    "changes",
    [
        {"test": {"label": np.array([[0], [40]])}},
        {"test": {"label": None}},
        {"test": {"data": np.zeros((3, 64, 3))}},
        {"test": {"normal": None}},
    ],
)
def test_wrong_hdf5_is_refused(tmp_path, changes):
    with pytest.raises(DataIntegrityError):
        ModelNet.import_files(
            tmp_path, "modelnet40", files=hdf5_folder(tmp_path / "files", **changes), num_points=32, **OPTIONS
        )


def test_without_h5py(tmp_path, monkeypatch):
    (tmp_path / "shape_names.txt").write_text("\n".join(FORTY))
    (tmp_path / "train_files.txt").write_text("a.h5\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match="h5py"):
        ModelNet.import_files(tmp_path, "modelnet40", files=tmp_path, **OPTIONS)


def test_nothing_there(tmp_path):
    with pytest.raises(DataNotFoundError, match="modelnet40 is not in") as caught:
        ModelNet(tmp_path, "modelnet40", **OPTIONS)
    assert "data import modelnet40 --files" in caught.value.hint
    with pytest.raises(ConfigError, match="modelnet40"):
        ModelNet(tmp_path, "modelnet")
    with pytest.raises(ConfigError, match="num_points"):
        ModelNet(tmp_path, "modelnet10", num_points=0)


@real
def test_real_modelnet10(tmp_path):
    dataset = ModelNet.import_files(tmp_path, "modelnet10", files=SHARED / "modelnet10", workers=1, progress=False)
    assert {split: len(positions) for split, positions in dataset.split_idx.items()} == {
        "train": 3592,
        "val": 399,
        "test": 908,
    }
    train, val = (torch.bincount(dataset._data.y[dataset.split_idx[split]]) for split in ("train", "val"))
    assert ((train + val) * 0.1 - val).abs().max() <= 1
    assert dataset._data.name[int(dataset.split_idx["test"][0])] == "bathtub_0107"
    assert dataset[4000].pos.norm(dim=1).max() == pytest.approx(1, abs=1e-6)


@real
def test_real_subset_of_modelnet40(tmp_path):
    path = SHARED / "modelnet40_subset" / "modelnet40_39classes_156shapes_10000pts.npz"
    dataset = ModelNet.import_files(tmp_path, "modelnet40", files=path, num_points=32, **OPTIONS)
    assert len(dataset) == 156
    check(dataset, 32, 6)
    assert len(dataset._data.y.unique()) == 39
    with pytest.raises(DataIntegrityError, match="9,843"):
        ModelNet.import_files(tmp_path, "modelnet40", files=path, num_points=32, workers=1, progress=False)


@real
def test_real_text_files_and_lists(tmp_path):
    for name in ("bed_0026", "chair_0391", "guitar_0084"):
        (tmp_path / name.split("_")[0]).mkdir()
        (tmp_path / name.split("_")[0] / f"{name}.txt").symlink_to(SHARED / "modelnet40_subset" / f"raw_{name}.txt")
    for name in ("shape_names", "train", "test"):
        (tmp_path / f"modelnet40_{name}.txt").symlink_to(SHARED / "modelnet40_subset" / f"modelnet40_{name}.txt")
    dataset = ModelNet.import_files(tmp_path, "modelnet40", files=tmp_path, num_points=64, **OPTIONS)
    assert sorted(dataset._data.name) == ["bed_0026", "chair_0391", "guitar_0084"]
    check(dataset, 64, 6)
    with pytest.raises(DataNotFoundError, match=r"airplane_0001\.txt"):
        ModelNet.import_files(tmp_path, "modelnet40", files=tmp_path, num_points=64, workers=1, progress=False)


@real
def test_real_meshes(tmp_path):
    folder = tmp_path / "bathtub" / "train"
    folder.mkdir(parents=True)
    for path in sorted((SHARED / "modelnet_off").glob("*.off")):
        (folder / path.name).symlink_to(path)
    dataset = ModelNet.import_files(tmp_path, "modelnet10", files=tmp_path, num_points=128, **OPTIONS)
    assert dataset._data.name == ["bathtub_0001", "bathtub_0002", "bathtub_0004"]
    check(dataset, 128, 6)
    torch.testing.assert_close(dataset._data.normal.norm(dim=1), torch.ones(3 * 128))
