import pytest

from pyg_samsa.errors import DataNotFoundError
from pyg_samsa.hub import folder, load_pretrained


def test_places_that_are_searched(tmp_path, saved, monkeypatch):
    assert folder.find_pretrained(tmp_path) == saved  # the folder of a run
    with pytest.raises(DataNotFoundError, match="nowhere"):
        load_pretrained(tmp_path / "nowhere")
    monkeypatch.setattr(folder, "SHIPPED", tmp_path)
    assert folder.shipped() == ["model"]
    monkeypatch.chdir(tmp_path.parent)
    assert folder.find_pretrained("model") == saved
    with pytest.raises(DataNotFoundError) as caught:
        folder.find_pretrained("modle")
    assert "'model'" in caught.value.hint
    with pytest.raises(DataNotFoundError):
        folder.find_pretrained("../model")


def test_folders_that_may_be_replaced(tmp_path, saved):
    assert folder.is_replaceable(saved)
    assert folder.is_replaceable(tmp_path / "new")
    (saved / "config.json").unlink()
    assert folder.is_replaceable(saved)  # as huggingface_hub leaves it before it saves
    (saved / "notes.txt").touch()
    assert not folder.is_replaceable(saved)
    assert not folder.is_replaceable(saved / "notes.txt")


def test_runs_below_a_folder_are_named(tmp_path):
    for seed in ("0", "1"):
        (tmp_path / "esol" / seed / "model").mkdir(parents=True)
        (tmp_path / "esol" / seed / "model" / "config.json").touch()
    with pytest.raises(DataNotFoundError, match="no saved model found, but runs in it") as caught:
        folder.find_pretrained(tmp_path / "esol")
    assert caught.value.hint.endswith(f"{tmp_path / 'esol' / '0'}, {tmp_path / 'esol' / '1'}")
    assert folder.find_pretrained(tmp_path / "esol" / "0").name == "model"


def test_saved_runs_come_before_one_that_was_not_saved(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "summary.json").write_text('{"unsaved": "model.type gcn:\\n\\u001b[31m not saved"}')
    with pytest.raises(DataNotFoundError, match=r"because of model\.type gcn:  .31m not saved") as caught:
        folder.find_pretrained(tmp_path)
    assert str(caught.value).isprintable()
    (tmp_path / "1" / "model").mkdir(parents=True)
    (tmp_path / "1" / "model" / "config.json").touch()
    with pytest.raises(DataNotFoundError, match="but runs in it") as caught:
        folder.find_pretrained(tmp_path)
    assert str(tmp_path / "1") in caught.value.hint
