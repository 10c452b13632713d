"""Files of tensors: whole or not at all, and errors of the system that name the file."""

import os

import pytest
import torch

from pyg_samsa.io.tensors import write_tensors


def test_what_is_written_is_read(tmp_path):
    path, link = tmp_path / "new" / "data.pt", tmp_path / "new" / "best.pt"
    write_tensors({"x": torch.arange(3)}, path, [link])
    assert torch.load(path, weights_only=True)["x"].tolist() == [0, 1, 2]
    assert path.samefile(link)
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_a_full_disk_is_named(tmp_path, monkeypatch):
    path = tmp_path / "data.pt"
    write_tensors({"x": torch.zeros(1)}, path)
    monkeypatch.setattr("builtins.open", lambda file, mode, opened=open: opened("/dev/full", mode))
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_tensors({"x": torch.zeros(10**6)}, path)
    monkeypatch.undo()
    assert caught.value.filename == str(path)
    assert torch.load(path, weights_only=True)["x"].tolist() == [0]
    assert [child.name for child in tmp_path.iterdir()] == ["data.pt"]


def test_other_errors_stay_as_they_are(tmp_path):
    class Unwritable:
        def __reduce__(self):
            raise RuntimeError("not to be written")

    with pytest.raises(RuntimeError, match="not to be written"):
        write_tensors(Unwritable(), tmp_path / "data.pt")
    assert not list(tmp_path.iterdir())
