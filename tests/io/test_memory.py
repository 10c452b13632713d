import sys

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
