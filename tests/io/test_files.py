import errno
import hashlib
import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.io import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "a" / "b.csv"
    for text in ("one", "two"):
        with files.atomic_write(target) as temporary:
            assert temporary.parent == target.parent
            assert temporary.suffix == ".csv"
            temporary.write_text(text)
        assert target.read_text() == text
    assert names(target.parent) == ["b.csv"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_atomic_write_keeps_the_old_file_when_the_writer_fails(tmp_path, error):
    target = tmp_path / "b.txt"
    target.write_text("old")

    def write() -> None:
        with files.atomic_write(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["b.txt"]


def test_atomic_write_refuses_a_writer_that_wrote_nothing(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"b\.txt"), files.atomic_write(tmp_path / "b.txt"):
        pass
    assert names(tmp_path) == []


def test_atomic_write_respects_the_umask(tmp_path):
    old = os.umask(0o022)
    try:
        with files.atomic_write(tmp_path / "b.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(old)
    assert (tmp_path / "b.txt").stat().st_mode & 0o777 == 0o644


def test_atomic_directory(tmp_path):
    target = tmp_path / "raw"
    with files.atomic_directory(target) as temporary:
        (temporary / "a").write_text("1")
    with pytest.raises(ConfigError), files.atomic_directory(target):
        pass

    def fail() -> None:
        with files.atomic_directory(target, overwrite=True) as temporary:
            (temporary / "b").write_text("2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert names(target) == ["a"]
    with files.atomic_directory(target, overwrite=True) as temporary:
        (temporary / "b").write_text("2")
    assert names(target) == ["b"]
    assert names(tmp_path) == ["raw"]


def test_a_folder_that_can_be_written_to_or_made(tmp_path):
    files.check_folder("out", tmp_path)
    files.check_folder("out", tmp_path / "new" / "deeper")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"out: got '.*file/deeper', expected a folder; .*file is a file"):
        files.check_folder("out", tmp_path / "file" / "deeper")
    with pytest.raises(ConfigError, match=r"out: got .*File name too long"):
        files.check_folder("out", tmp_path / ("x" * 5000))


def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    files.check_folder("out", tmp_path)
    assert names(tmp_path) == []

    def fail(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with pytest.raises(ConfigError, match=r"out: got .*, expected a folder that can be written to; .* cannot \(Perm"):
        files.check_folder("out", tmp_path / "new")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is a part of Linux")
def test_places_that_take_no_files_even_from_root():
    with pytest.raises(ConfigError, match=r"OUT: got '/proc/nothing', expected a folder that can be written to; /proc"):
        files.check_file("OUT", "/proc/nothing/out.csv")
    for writer in (files.atomic_write, files.atomic_directory, files.staged_folder, files.lock):
        with pytest.raises((ConfigError, PermissionError), match="/proc/nothing/out"), writer("/proc/nothing/out"):
            pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="without named pipes")
def test_devices_and_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", os.devnull, "/dev/stdout"):
        with pytest.raises(ConfigError, match=r"OUT: got .*, expected a file, not a device or a pipe"):
            files.check_file("OUT", path)
        with pytest.raises(ConfigError, match="not a device or a pipe"), files.atomic_write(path):
            pass
    assert not os.path.isfile(os.devnull)


def test_remove_partial_takes_leftovers_of_this_file_only(tmp_path):
    kept = ["data.pt", ".data.pt.lock", "other.pt", ".other.0123456789ab.part.pt", ".data.0123456789ab.part.csv"]
    for name in [*kept, ".data.0123456789ab.part.pt"]:
        (tmp_path / name).write_text("x")
    (tmp_path / ".data.ba9876543210.part.pt").mkdir()
    assert len(files.remove_partial(tmp_path / "data.pt")) == 2
    assert names(tmp_path) == sorted(kept)


def test_hashes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * (1 << 21) + b"y")
    assert files.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert files.md5(path) == hashlib.md5(path.read_bytes()).hexdigest()
    files.verify(path, files.sha256(path).upper())
    files.verify(path, "sha256:0", "md5:" + files.md5(path))
    with pytest.raises(DataIntegrityError, match="sha256 abc"):
        files.verify(path, "abc")
    with pytest.raises(DataNotFoundError, match="nothing"):
        files.verify(tmp_path / "nothing", "abc")
    with pytest.raises(ConfigError, match="algorithm"):
        files.verify(path, "crc32:abc")


def test_lock_is_exclusive_and_says_who_waits(tmp_path, caplog):
    target = tmp_path / "data.pt"
    order: list[str] = []

    def second() -> None:
        with files.lock(target):
            order.append("second")

    with files.lock(target):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert "in use by another process" in caplog.text


def test_lock_that_does_not_wait_names_the_setting_and_leaves_no_file(tmp_path):
    with files.lock(tmp_path / "a", wait=False):
        second = files.lock(tmp_path / "a", wait=False, setting="out_dir")
        with pytest.raises(ConfigError, match=r"out_dir: got .*, expected one that no other process"), second:
            raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_lock_file_can_be_chosen(tmp_path):
    with files.lock(tmp_path, lock_file=tmp_path / "run.lock"):
        assert (tmp_path / "run.lock").is_file()


def test_lock_is_released_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), files.lock(tmp_path / "a"):
        raise RuntimeError
    with files.lock(tmp_path / "a"):
        assert Path(tmp_path / ".a.lock").exists()


def test_an_error_of_a_writer_names_the_file():
    for number in files.UNWRITABLE:
        with pytest.raises(OSError, match=r"out\.csv") as caught, files.writing("out.csv"):
            raise OSError(number, os.strerror(number))
        assert (caught.value.errno, caught.value.filename) == (number, "out.csv")
    with pytest.raises(OSError, match="in use") as caught, files.writing("out.csv"):
        raise OSError(errno.EBUSY, "in use")
    assert caught.value.filename is None
    with pytest.raises(ConfigError), files.writing("out.csv"):
        raise ConfigError("a", 1, "b")


def test_an_error_of_a_library_is_that_of_the_disk_if_it_is_full(tmp_path, monkeypatch):
    with pytest.raises(RuntimeError, match="something else"), files.writing(tmp_path / "a.pt"):
        raise RuntimeError("something else")
    assert names(tmp_path) == []

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught, files.writing(tmp_path / "a.pt"):
        raise RuntimeError("unexpected pos 128 vs 0")
    assert caught.value.filename == str(tmp_path / "a.pt")
    assert names(tmp_path) == []


def test_files_of_a_staged_folder_arrive_together(tmp_path):
    target = tmp_path / "pages"
    target.mkdir()
    (target / "index.html").write_text("old")
    (target / "mine.txt").write_text("mine")
    with files.staged_folder(target) as temporary:
        (temporary / "pictures").mkdir()
        (temporary / "pictures" / "a.svg").write_text("<svg>")
        (temporary / "index.html").write_text("new")
        assert names(target) == ["index.html", "mine.txt"]
    assert names(target) == ["index.html", "mine.txt", "pictures"]
    assert (target / "index.html").read_text() == "new"
    assert names(tmp_path) == ["pages"]


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt()])
def test_a_staged_folder_leaves_nothing_after_an_error(tmp_path, error):
    def write():
        with files.staged_folder(tmp_path / "pages") as temporary:
            (temporary / "index.html").write_text("new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert names(tmp_path) == []


def test_a_file_that_can_be_written(tmp_path):
    files.check_file("OUT", tmp_path / "new" / "out.csv")
    with pytest.raises(ConfigError, match=r"OUT: got .*, expected a file, not a folder"):
        files.check_file("OUT", tmp_path)
    (tmp_path / "file").touch()
    files.check_file("OUT", tmp_path / "file")
    with pytest.raises(ConfigError, match=r"OUT: got .*, expected a folder; .*file is a file"):
        files.check_file("OUT", tmp_path / "file" / "out.csv")
