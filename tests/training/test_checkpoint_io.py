import os
import threading
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch

from pyg_samsa.errors import DataIntegrityError, DataNotFoundError
from pyg_samsa.training import checkpoint_io
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO, BackgroundCheckpointIO


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


def test_further_names_of_one_file(path):
    io, best, kept = AtomicCheckpointIO(), path.with_name("best.ckpt"), path.with_name("epoch_0000.ckpt")
    io.save_checkpoint({"epoch": 0}, path, {"links": [best, kept]})
    assert path.samefile(best)
    assert path.samefile(kept)
    io.save_checkpoint({"epoch": 1}, path, {"links": [best]})
    assert [io.load_checkpoint(name)["epoch"] for name in (path, best, kept)] == [1, 1, 0]
    io.save_checkpoint({"epoch": 2}, path)
    assert [io.load_checkpoint(name)["epoch"] for name in (path, best, kept)] == [2, 1, 0]
    assert len(list(path.parent.iterdir())) == 3


def test_a_file_system_without_links(path, monkeypatch):
    def refuse(*args):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    best = path.with_name("best.ckpt")
    AtomicCheckpointIO().save_checkpoint({"epoch": 0}, path, {"links": [best]})
    assert AtomicCheckpointIO().load_checkpoint(best) == {"epoch": 0}
    assert not path.samefile(best)
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("moment", ["best.ckpt", "last.ckpt"])
def test_names_that_come_first_are_never_older(path, monkeypatch, moment):
    """Killed at any moment, the best checkpoint may be ahead of the last one, which a resumed run then catches up."""
    io, best = AtomicCheckpointIO(), path.with_name("best.ckpt")
    io.save_checkpoint({"epoch": 0}, path, {"links": [best]})
    replace = os.replace

    def killed(source, target):
        if target.name == moment:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        io.save_checkpoint({"epoch": 1}, path, {"links": [best]})
    epochs = [io.load_checkpoint(name)["epoch"] for name in (path, best)]
    assert epochs == [0, 0 if moment == "best.ckpt" else 1]


@pytest.fixture
def background():
    writer = BackgroundCheckpointIO()
    yield writer
    writer.teardown()


@pytest.fixture
def held(monkeypatch):
    """Holds the thread back until it is set."""
    release, save = threading.Event(), torch.save

    def slow(content, file):
        assert release.wait(30)
        save(content, file)

    monkeypatch.setattr(torch, "save", slow)
    yield release
    release.set()


def test_the_training_goes_on_and_what_it_changes_is_not_written(path, background, held):
    weight, rows = torch.zeros(3), [{"loss": 0.5}]
    state = OrderedDict(weight=weight)
    background.save_checkpoint({"state_dict": state, "rows": rows, "pair": (weight, 1)}, path)
    weight.add_(1)
    rows[0]["loss"] = 0.1
    state["more"] = weight
    assert not path.exists()
    held.set()
    background.wait()
    found = AtomicCheckpointIO().load_checkpoint(path)
    assert found["state_dict"]["weight"].tolist() == found["pair"][0].tolist() == [0.0] * 3
    assert (list(found["state_dict"]), found["rows"]) == (["weight"], [{"loss": 0.5}])


def test_copies_keep_their_type_and_are_on_the_cpu():
    named = namedtuple("Named", "a b")
    tensor = torch.ones(4, requires_grad=True)[:2]
    found = checkpoint_io._copied({"x": named([tensor], (tensor, None)), "n": np.float64(0.5)})
    assert type(found["x"]) is named
    assert found["x"].b[0].untyped_storage().nbytes() == 8
    assert not found["x"].a[0].requires_grad
    assert type(found["n"]) is np.float64


def test_one_checkpoint_is_written_at_a_time(path, background, held):
    background.save_checkpoint({"epoch": 0}, path)
    second = threading.Thread(target=background.save_checkpoint, args=({"epoch": 1}, path))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    held.set()
    second.join(30)
    assert background.load_checkpoint(path) == {"epoch": 1}


@pytest.mark.parametrize("then", ["save_checkpoint", "load_checkpoint", "remove_checkpoint", "wait"])
def test_an_error_of_the_thread_is_raised_once_by_the_next_call(path, background, monkeypatch, then):
    def fail(content, file):
        raise OSError(28, "No space left on device", str(file))

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        background.save_checkpoint({"epoch": 0}, path)
        background.teardown()
    arguments = {"save_checkpoint": ({"epoch": 1}, path), "wait": ()}.get(then, (path,))
    with pytest.raises(OSError, match="No space"):
        getattr(background, then)(*arguments)
    background.save_checkpoint({"epoch": 2}, path)
    assert background.load_checkpoint(path) == {"epoch": 2}


def test_the_thread_ends_with_the_training(path, background):
    before = threading.active_count()
    background.save_checkpoint({"epoch": 0}, path)
    assert threading.active_count() == before + 1
    background.teardown()
    assert threading.active_count() == before
    assert path.is_file()
