import errno
import os
import resource
import shutil
import threading
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from pyg_samsa.errors import DataError, DataIntegrityError
from pyg_samsa.experiments import journal
from pyg_samsa.experiments.journal import import_optuna, open_journal


def study(path):
    return import_optuna().create_study(storage=open_journal(path), study_name="trees", load_if_exists=True)


def test_trials_are_read_again(tmp_path):
    path = tmp_path / "deeper" / "study.log"
    first = study(path)
    first.tell(first.ask(), 1.5)
    assert [trial.value for trial in study(path).trials] == [1.5]


@pytest.mark.parametrize("half", [b'{"op_code":4,"worker', b'{"op', b"    ", b'{"op_code":4,"wor' + bytes(9), bytes(9)])
def test_a_half_line_gives_way_to_the_next_one(tmp_path, half):
    path = tmp_path / "study.log"
    first = study(path)
    first.tell(first.ask(), 1.5)
    whole = path.read_bytes()
    path.write_bytes(whole + half)
    again = study(path)  # which writes a line
    assert path.read_bytes().startswith(whole + b" " * len(half) + b'{"op_code":')
    again.tell(again.ask(), 2.5)
    assert [trial.value for trial in first.trials] == [1.5, 2.5]
    assert [trial.value for trial in study(path).trials] == [1.5, 2.5]


def test_a_full_disk_names_the_file_and_leaves_no_entry(tmp_path):
    path = tmp_path / "study.log"
    first = study(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
        with pytest.raises(OSError, match="No space left") as caught:
            first.ask()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(path)
    assert len(path.read_bytes()) == len(before) + 20
    assert study(path).trials == []
    assert first.ask().number == 0
    assert not (tmp_path / "study.log.lock").exists()


def test_an_entry_that_others_may_have_read_stays(tmp_path, monkeypatch):
    path = tmp_path / "study.log"
    first, second = study(path), study(path)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            first.ask()
    assert len(second.trials) == 1
    assert [first.ask().number, second.ask().number] == [1, 2]


def test_a_writer_that_slept_changes_no_line_of_others_and_leaves_their_lock(tmp_path, monkeypatch):
    path = tmp_path / "study.log"
    first = study(path)
    path.write_bytes(path.read_bytes() + b'{"op_code":4,"worker')
    real = journal._half_line

    def slow(given):
        found = real(given)
        monkeypatch.undo()
        lock = Path(f"{path}.lock")
        lock.unlink()  # as a waiting process does after half a minute
        assert study(path).ask().number == 0
        lock.write_text("of a third process")
        threading.Timer(0.2, lock.unlink).start()
        return found

    monkeypatch.setattr(journal, "_half_line", slow)
    assert first.ask().number == 1
    assert len(study(path).trials) == 2
    assert not Path(f"{path}.lock").exists()


def test_a_lock_of_another_process_is_not_released(tmp_path, monkeypatch):
    path = tmp_path / "study.log"
    first = study(path)
    lock = Path(f"{path}.lock")

    def slow(_):
        lock.unlink()
        lock.write_text("of another process")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slow)
        first.ask()
    assert lock.read_text() == "of another process"


@pytest.mark.parametrize(
    ("damage", "error", "told"),
    [
        (Path.unlink, DataError, r"study\.log: the journal cannot be read or written any more \(No such file"),
        (lambda path: shutil.rmtree(path.parent), DataError, "cannot be read or written any more"),
        (lambda path: path.write_bytes(path.read_bytes() + b"damaged\n{}\n"), DataIntegrityError, "got damaged lines"),
    ],
)
def test_what_happens_to_a_journal_in_use_is_one_line(tmp_path, damage, error, told):
    path = tmp_path / "deeper" / "study.log"
    first = study(path)
    damage(path)
    with pytest.raises(error, match=told) as caught:
        first.ask()
    assert caught.value.hint
    with pytest.raises(error, match=told):
        first.tell(0, 1.0)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x80\n",
        b"[1]\n",
        b"hello\n",
        b'{"op_code": 99}\n',
        b'{"op_code": 0}\n',
        b"[" * 10**6 + b"\n",
        b"notes without an end",
        b'{"op_code":0}\nnotes',
        None,
    ],
)
def test_another_file_in_the_place_of_a_journal_is_named(tmp_path, content):
    path = tmp_path / "study.log"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(DataIntegrityError, match=r"study\.log: got .*, expected the journal of a study") as caught:
        open_journal(path)
    assert "Rename it" in caught.value.hint
    assert content is None or path.read_bytes() == content
