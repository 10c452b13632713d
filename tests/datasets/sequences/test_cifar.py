import hashlib
import pickle

import numpy as np
import pytest
import torch

from pyg_samsa.datasets.sequences import cifar
from pyg_samsa.datasets.sequences.cifar import CIFAR10Gray, Digits
from pyg_samsa.errors import DataIntegrityError, DataNotFoundError

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def write(path, content, monkeypatch, hashes):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=2))
    hashes[path.name] = f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"
    monkeypatch.setattr(cifar, "CIFAR10", dict(hashes))


@pytest.fixture
def official(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "BATCH", 20)
    rng = np.random.default_rng(0)
    folder, hashes, batches = tmp_path / "cifar-10-batches-py", {}, []
    folder.mkdir()
    for name in NAMES:
        pixels = rng.integers(0, 256, (20, 3072), dtype=np.uint8)
        labels = [number % 10 for number in range(20)]
        batches.append(pixels)
        content = {b"batch_label": b"x", b"labels": labels, b"data": pixels, b"filenames": [b"a.png"] * 20}
        write(folder / name, content, monkeypatch, hashes)
    return folder, np.concatenate(batches), hashes


def read(tmp_path, folder, **options):
    return CIFAR10Gray(tmp_path / "root", folder=folder, progress=False, **options)


def test_official_files(official, tmp_path):
    folder, pixels, _ = official
    dataset = read(tmp_path, folder)
    exact = pixels.reshape(120, 3, 1024).astype(float).transpose(0, 2, 1) @ [0.2989, 0.5870, 0.1140]
    assert np.abs(dataset._data.x.numpy().reshape(120, 1024) - exact).max() <= 0.5 + 1e-9
    assert dataset._data.y.tolist() == [number % 10 for number in range(120)]
    assert {name: len(index) for name, index in dataset.split_idx.items()} == {"train": 90, "val": 10, "test": 20}
    assert sorted(dataset._data.y[dataset.split_idx["val"]].tolist()) == list(range(10))
    assert torch.equal(dataset.split_idx["test"], torch.arange(100, 120))
    assert tuple(dataset[0].x.shape) == (1024, 1)
    assert torch.equal(read(tmp_path, folder).split_idx["val"], dataset.split_idx["val"])
    assert not torch.equal(read(tmp_path, folder, seed=1).split_idx["val"], dataset.split_idx["val"])


def test_white_stays_white_and_black_black():
    assert cifar._gray(np.array([[255, 0, 255, 0, 255, 0]], dtype=np.uint8)).tolist() == [[255, 0]]


def test_another_file_is_refused(official, tmp_path):
    path = official[0] / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataIntegrityError, match="data_batch_3"):
        read(tmp_path, official[0])
    assert not list((tmp_path / "root" / "cifar10-gray").glob("*.pt"))


def good():
    return {"data": np.zeros((20, 3072), np.uint8), "labels": [0] * 20}


@pytest.mark.parametrize(
    "content",
    [
        good() | {"data": np.zeros((19, 3072), np.uint8)},
        good() | {"data": np.zeros((20, 3072), np.float32)},
        good() | {"labels": [0] * 19},
        good() | {"labels": [0] * 19 + [10]},
        good() | {"labels": [0] * 19 + ["1"]},
        {"data": np.zeros((20, 3072), np.uint8)},
        [1, 2],
        b"",
        b"not a pickle",
    ],
)
def test_files_that_hold_something_else_are_refused(official, tmp_path, monkeypatch, content):
    write(official[0] / "test_batch", content, monkeypatch, official[2])
    with pytest.raises(DataIntegrityError, match="test_batch"):
        read(tmp_path, official[0])


def test_nothing_is_executed(official, tmp_path, monkeypatch):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "marker"), "w"))

    write(official[0] / "data_batch_1", good() | {"more": Attack()}, monkeypatch, official[2])
    with pytest.raises(DataIntegrityError, match="data_batch_1"):
        read(tmp_path, official[0])
    assert not (tmp_path / "marker").exists()


def test_missing_files_are_named(official, tmp_path):
    (official[0] / "data_batch_5").unlink()
    with pytest.raises(DataNotFoundError, match="data_batch_5"):
        read(tmp_path, official[0])


def test_digits(tmp_path):
    dataset = Digits(tmp_path)
    assert len(dataset) == 1797
    assert (dataset.task.num_targets, dataset.features.in_channels, dataset.task.kind) == (10, [256], "multiclass")
    split = dataset.split_idx
    assert {name: len(index) for name, index in split.items()} == {"train": 1258, "val": 270, "test": 269}
    assert torch.equal(torch.cat(list(split.values())).sort().values, torch.arange(1797))
    for index in split.values():
        shares = torch.bincount(dataset._data.y[index], minlength=10) / len(index)
        assert float((shares - 0.1).abs().max()) < 0.01
    assert torch.equal(Digits(tmp_path).split_idx["test"], split["test"])
    assert not torch.equal(Digits(tmp_path, seed=1).split_idx["test"], split["test"])
    found = hashlib.sha256(dataset._data.x.numpy().tobytes()).hexdigest()
    assert found == "bb72a09dcb2ae2a1b0982e3afd2dbfdacb70a8f0ecbc4e358dde826df0556987"


def test_enlarged_digits_are_the_digits():
    from torch.nn.functional import interpolate

    rng = np.random.default_rng(0)
    small = rng.integers(0, 17, (5, 8, 8)).astype(np.uint8)
    expected = interpolate(
        torch.tensor(small)[:, None].double() / 16 * 255, scale_factor=4, mode="bilinear", align_corners=False
    )
    assert float((torch.tensor(cifar._enlarge(small)).view(5, 1, 32, 32) - expected).abs().max()) <= 0.5
    assert cifar._enlarge(np.full((1, 8, 8), 16, np.uint8)).min() == 255


def test_other_digits_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "DIGITS", "0" * 64)
    with pytest.raises(DataIntegrityError, match="digits"):
        Digits(tmp_path)
