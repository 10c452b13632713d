import errno
import os

import pytest

pytest.importorskip("optuna")

from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.experiments.journal import import_optuna, open_journal


def study(path):
    return import_optuna().create_study(storage=open_journal(path), study_name="trees", load_if_exists=True)


def test_trials_are_read_again(tmp_path):
    path = tmp_path / "deeper" / "study.log"
    first = study(path)
    first.tell(first.ask(), 1.5)
    assert [trial.value for trial in study(path).trials] == [1.5]


def test_a_half_line_is_removed(tmp_path):
    path = tmp_path / "study.log"
    first = study(path)
    first.tell(first.ask(), 1.5)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"worker')
    again = study(path)
    assert path.read_bytes().startswith(whole)
    assert b'"worker\n' not in path.read_bytes()
    again.tell(again.ask(), 2.5)
    assert [trial.value for trial in study(path).trials] == [1.5, 2.5]


def test_a_full_disk_names_the_file_and_leaves_it_whole(tmp_path, monkeypatch):
    path = tmp_path / "study.log"
    first = study(path)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            first.ask()
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert study(path).trials == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x80\n",
        b"[1]\n",
        b"hello\n",
        b'{"op_code": 99}\n',
        b'{"op_code": 0}\n',
        b"[" * 10**6 + b"\n",
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
