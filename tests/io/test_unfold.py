"""Compressed files that unfold to much more than their size."""

import gzip
import io
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_samsa.datasets.prepared import load_tensors
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.io import unfold
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO


def test_the_bound_grows_with_the_file(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(b"x")
    assert unfold.most_unfolded(path) == 2**28
    with path.open("wb") as file:
        file.truncate(2**22)
    assert unfold.most_unfolded(path) == 100 * 2**22


@pytest.mark.parametrize("read", [lambda file: file.read(), lambda file: pd.read_csv(file, header=None)])
def test_gzip_files(tmp_path, monkeypatch, read):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n" * 1000))
    monkeypatch.setattr(unfold, "_SMALLEST", 4000)
    monkeypatch.setattr(unfold, "_TIMES", 1)
    with unfold.open_gzip(path) as file:
        assert len(read(file)) in (4000, 1000)
    monkeypatch.setattr(unfold, "_SMALLEST", 3999)
    with pytest.raises(DataIntegrityError, match=r"table\.csv\.gz: got a larger one"), unfold.open_gzip(path) as file:
        read(file)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_the_blocks_are_the_file(method):
    file, content = io.BytesIO(), bytes(range(256)) * 10_000
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x", content)
    with zipfile.ZipFile(file) as archive:
        assert b"".join(unfold.blocks_of(archive, "x")) == content


def compressed(path):
    """A file of 40 MB of zeros that takes a thousandth of them, and that torch reads."""
    torch.save({"a": torch.zeros(10**7)}, path.with_name("whole.pt"))
    with (
        zipfile.ZipFile(path.with_name("whole.pt")) as whole,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    return path


@pytest.mark.parametrize("read", [unfold.check_stored, load_tensors, AtomicCheckpointIO().load_checkpoint])
def test_files_of_tensors_are_not_compressed(tmp_path, read):
    path = compressed(tmp_path / "best.ckpt")
    assert path.stat().st_size < 10**5
    with pytest.raises(DataIntegrityError, match=r"best\.ckpt: got a compressed one"):
        read(path)
    read(tmp_path / "whole.pt")


def test_what_is_no_archive_is_left_to_its_reader(tmp_path):
    path = tmp_path / "old.pt"
    torch.save(torch.zeros(3), path, _use_new_zipfile_serialization=False)
    unfold.check_stored(path)
    assert load_tensors(path).tolist() == [0, 0, 0]


def test_arrays(tmp_path, monkeypatch):
    path, arrays = (
        tmp_path / "a.npz",
        {"a": np.arange(6.0).reshape(2, 3).T, "b": np.array(["x", "yz"]), "c": np.zeros(0)},
    )
    np.savez_compressed(path, **arrays)
    for name, array in unfold.read_arrays(path).items():
        assert np.array_equal(array, arrays[name])
    monkeypatch.setattr(unfold, "_SMALLEST", 10)
    monkeypatch.setattr(unfold, "_TIMES", 0)
    with pytest.raises(DataIntegrityError, match=r"a\.npz: got a larger one"):
        unfold.read_arrays(path)


@pytest.mark.parametrize("shape", [(10**13,), (10**6, 10**6), (4,)])
def test_arrays_that_announce_more_than_they_hold(tmp_path, shape):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", head.getvalue() + bytes(24))
    with pytest.raises(ValueError, match="an array"):
        unfold.read_arrays(tmp_path / "a.npz")


def test_arrays_of_objects(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        unfold.read_arrays(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object), b=np.arange(2))
    assert {name: array.tolist() for name, array in unfold.read_arrays(tmp_path / "a.npz", ["b"]).items()} == {
        "b": [0, 1]
    }


def test_files_of_tensors_have_keys_that_are_looked_up_quickly(tmp_path):
    path = tmp_path / "last.ckpt"
    key: tuple = ()
    for _ in range(45):
        key = (key, key)
    # The key itself cannot be put into a dictionary here, so the pickle is made of its parts.
    torch.save({"a": torch.zeros(2)}, tmp_path / "whole.pt")
    unfold.check_stored(tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(path, "w") as changed:
        for name in whole.namelist():
            slow = b"\x80\x02}" + pickle.dumps(key, 2)[2:-1] + b"Ns."
            changed.writestr(name, slow if name.endswith("data.pkl") else whole.read(name))
    with pytest.raises(DataIntegrityError, match=r"last\.ckpt: got one with keys of too many parts"):
        AtomicCheckpointIO().load_checkpoint(path)
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    unfold.check_stored(path)
    path.write_bytes(b"\x80\x02}" + pickle.dumps(key, 2)[2:-1] + b"Ns.")
    with pytest.raises(DataIntegrityError, match=r"last\.ckpt: got one with keys of too many parts"):
        load_tensors(path)
