import os

import numpy as np
import pytest
import torch

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoints" / "last.ckpt"


def test_what_is_saved_is_loaded(path):
    content = {"epoch": 3, "state_dict": {"weight": torch.arange(3.0)}, "rows": [{"lr": 0.1}], "none": None}
    AtomicCheckpointIO().save_checkpoint(content, path)
    loaded = AtomicCheckpointIO().load_checkpoint(path)
    assert torch.equal(loaded.pop("state_dict")["weight"], content.pop("state_dict")["weight"])
    assert loaded == content
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_numbers_of_numpy_are_read_again(path):
    content = {"lr": np.float64(0.1), "rows": [{"epoch": np.int64(3), "done": np.True_}], "weights": torch.ones(2)}
    AtomicCheckpointIO().save_checkpoint(content, path)
    loaded = AtomicCheckpointIO().load_checkpoint(path)
    assert (loaded["lr"], loaded["rows"]) == (0.1, [{"epoch": 3, "done": True}])
    assert type(loaded["lr"]) is float


def test_a_failed_write_keeps_the_earlier_checkpoint(path, monkeypatch):
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)

    def fail(content, file):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, path)
    assert AtomicCheckpointIO().load_checkpoint(path) == {"epoch": 1}
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_missing_checkpoint_is_named(path):
    with pytest.raises(DataNotFoundError, match=r"last\.ckpt: no such checkpoint"):
        AtomicCheckpointIO().load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"PK damaged", b"\x80\x02K\x01"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(DataIntegrityError, match=r"last\.ckpt: got .*, expected a checkpoint") as caught:
        AtomicCheckpointIO().load_checkpoint(path)
    assert "best.ckpt" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_truncated_checkpoint_is_named(path):
    AtomicCheckpointIO().save_checkpoint({"weight": torch.arange(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataIntegrityError, match=r"last\.ckpt"):
        AtomicCheckpointIO().load_checkpoint(path)


class Attack:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("weights_only", [None, False])
def test_code_in_a_checkpoint_is_not_run(tmp_path, weights_only):
    torch.save({"state_dict": Attack(tmp_path / "marker")}, tmp_path / "last.ckpt")
    with pytest.raises(DataIntegrityError):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt", weights_only=weights_only)
    assert not (tmp_path / "marker").exists()


def test_removing_is_repeatable(path):
    AtomicCheckpointIO().save_checkpoint({}, path)
    for _ in range(2):
        AtomicCheckpointIO().remove_checkpoint(path)
        assert not path.exists()
