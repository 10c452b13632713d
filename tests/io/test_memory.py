import os
import sys

import pytest

from pyg_samsa.io import memory


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep_memory() is False
    assert memory.return_memory() is False
    assert memory.keep_freed_blocks() is False


def test_settings_of_the_user_are_kept(monkeypatch):
    called = []
    monkeypatch.setattr(memory, "_of_glibc", lambda name: lambda *args: called.append(args) or 1)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert memory.keep_memory() is False
    assert called == []
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    monkeypatch.setattr(memory.os, "environ", {})
    assert memory.keep_memory() is True
    assert called == [(-1, -1), (-4, 0)]


def test_the_setting_of_dask_is_undone(monkeypatch):
    called = []
    monkeypatch.setattr(memory, "_of_glibc", lambda name: lambda *args: called.append(args) or 1)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    assert memory.keep_freed_blocks() is True
    assert called == [(-1, 2**26), (-3, 2**25)]


@pytest.mark.parametrize("system", [sys.platform, "win32"])
def test_a_mapped_copy_can_be_written_to_and_leaves_the_file(tmp_path, monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    path = tmp_path / "rows.bin"
    path.write_bytes(b"molecules")
    with path.open("rb") as file:
        mapped = memory.map_copy(file)
    mapped[:1] = b"M"
    assert mapped[:] == b"Molecules"
    assert path.read_bytes() == b"molecules"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is that of Linux")
def test_a_mapped_copy_reserves_no_memory(tmp_path):
    path = tmp_path / "rows.bin"
    path.write_bytes(bytes(2**16))
    with path.open("rb") as file:
        mapped = memory.map_copy(file)
    with open("/proc/self/smaps") as lines:
        text = lines.read()
    flags = next(line for line in text.partition(str(path))[2].splitlines() if line.startswith("VmFlags"))
    assert "nr" in flags.split()
    assert len(mapped) == os.path.getsize(path)
