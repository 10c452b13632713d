import sys

import pytest

pytest.importorskip("optuna")

from pyg_samsa.errors import ConfigError, DataError
from pyg_samsa.experiments.journal import import_optuna
from pyg_samsa.experiments.storage import open_storage, storage_errors


@pytest.mark.parametrize("url", ["none://user:secret@host/name", "sqlite:////no/such/secret.db", "://secret"])
def test_a_database_that_does_not_open_is_one_line_without_its_password(url):
    with pytest.raises(ConfigError, match=r"--storage: got '.*://\.\.\.', expected a file, or the URL") as caught:
        open_storage(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cymysql", None)
    with pytest.raises(ConfigError, match=r"mysql\+cymysql://\.\.\.'.*there is no Python package 'cymysql'") as caught:
        open_storage("mysql+cymysql://user:secret@host/name")
    assert caught.value.hint == "Install it, or name another driver: mysql+DRIVER://..."
    assert "secret" not in str(caught.value)


def test_a_database_holds_trials(tmp_path):
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    study = import_optuna().create_study(storage=open_storage(url), study_name="trees")
    study.tell(study.ask(), 1.5)
    assert import_optuna().load_study(storage=open_storage(url), study_name="trees").best_value == 1.5


def test_errors_of_a_database_in_use_are_one_line(tmp_path):
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    study = import_optuna().create_study(storage=open_storage(url), study_name="trees")
    (tmp_path / "trials.db").write_bytes(b"no database" * 1000)
    told = r"^sqlite://\.\.\.: the database does not answer as it should \("
    with pytest.raises(DataError, match=told) as caught, storage_errors(url):
        study.ask()
    assert "\n" not in str(caught.value)
    assert "run the same command again" in caught.value.hint


def test_other_errors_stay_as_they_are():
    with pytest.raises(KeyError), storage_errors("study.log"):
        raise KeyError("layers")
