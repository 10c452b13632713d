import socket

import pytest
import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import LocalEntryNotFoundError

from pyg_samsa.errors import ConfigError, DataNotFoundError
from pyg_samsa.hub import HubModel, hub_model, save_pretrained
from pyg_samsa.hub.folder import FILES


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def model(network, task, metrics):
    return HubModel(network(), task, metrics=metrics, card={"Data": "Ten molecules."})


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub in a folder of this machine, in place of the API that sends and fetches."""
    root, calls = tmp_path / "hub", []

    def upload(self, *, repo_id, folder_path, **options):
        folder = root / repo_id
        folder.mkdir(parents=True)
        for path in folder_path.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())

    def download(repo_id, *, allow_patterns, local_files_only=False, **options):
        calls.append(local_files_only)
        if local_files_only or not (root / repo_id).is_dir():
            raise LocalEntryNotFoundError("not in the cache")
        return str(root / repo_id)

    class Created:
        def __init__(self, repo_id):
            self.repo_id = repo_id

    monkeypatch.setattr(HfApi, "create_repo", lambda self, repo_id, **options: Created(repo_id))
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    monkeypatch.setattr(hub_model, "snapshot_download", download)
    return root, calls


def test_push_and_fetch(model, hub, inputs):
    root, calls = hub
    model.push_to_hub("me/mine")
    assert {path.name for path in (root / "me" / "mine").iterdir()} == set(FILES)
    assert (root / "me" / "mine" / "README.md").read_text().count("Ten molecules.") == 1
    found = HubModel.from_pretrained("me/mine", local_files_only=False)
    assert torch.equal(found(*inputs), model(*inputs))
    assert (found.task, found.card) == (model.task, model.card)
    assert found.metrics == {"test": {"mae": 0.4, "r2": None}}
    assert calls == [False]


def test_nothing_is_fetched_unless_asked(hub):
    _, calls = hub
    with pytest.raises(DataNotFoundError, match="me/mine") as caught:
        HubModel.from_pretrained("me/mine")
    assert "local_files_only=False" in caught.value.hint
    assert calls == [True]


def test_a_model_that_the_hub_lacks(hub):
    with pytest.raises(DataNotFoundError, match="cannot be downloaded"):
        HubModel.from_pretrained("me/none", local_files_only=False)


@pytest.mark.parametrize("name", ["./me/none", "/me", "none", "a/b/c"])
def test_what_is_no_name_of_the_hub_is_not_looked_up(hub, name):
    with pytest.raises(DataNotFoundError, match="no saved model"):
        HubModel.from_pretrained(name, local_files_only=False)
    assert hub[1] == []


def test_folders_and_shipped_models(saved, tmp_path, inputs, network):
    found = HubModel.from_pretrained(saved)
    assert torch.equal(found(*inputs), network()(*inputs))
    assert HubModel.from_pretrained(tmp_path).task.names == ("logS",)  # as the folder of a run
    assert HubModel.from_pretrained("peptides").task.kind == "multilabel"


def test_saving_twice_replaces_the_model(model, tmp_path, saved):
    for _ in range(2):
        model.save_pretrained(tmp_path / "again")
    assert {path.name for path in (tmp_path / "again").iterdir()} == set(FILES)
    assert (tmp_path / "again" / "config.json").read_text() == (saved / "config.json").read_text()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="other"):
        model.save_pretrained(tmp_path / "other")


def test_importing_hub_does_not_import_huggingface():
    import subprocess
    import sys

    code = "import sys, pyg_samsa.hub; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_save_pretrained_takes_the_network_inside(model, tmp_path):
    with pytest.raises(ConfigError, match="HubModel") as caught:
        save_pretrained(model, tmp_path / "m")
    assert caught.value.hint == "Pass the wrapped network itself."
