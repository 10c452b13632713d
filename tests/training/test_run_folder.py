import json

import pytest
import yaml

from pyg_samsa.errors import ConfigError, DataIntegrityError, DataNotFoundError
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
from pyg_samsa.training.run_folder import RunFolder, open_run_folder, saved_tables, settings

CONFIG = {
    "optim": {"base_lr": 0.1, "max_epoch": 3},
    "train": {"auto_resume": False},
    "devices": 1,
    "wandb": {"use": False},
}


def changed(**groups):
    return {
        key: {**value, **groups[key]} if key in groups and isinstance(value, dict) else groups.get(key, value)
        for key, value in CONFIG.items()
    }


def test_every_run_gets_its_own_folder(tmp_path):
    first = open_run_folder(tmp_path, "exp", 3, CONFIG)
    assert first.path == tmp_path / "exp" / "3"
    assert not first.note
    first.file("metrics.csv").write_text("mine")
    second = open_run_folder(tmp_path, "exp", 3, CONFIG)
    assert second.path.name == "3-2"
    assert "stays as it is" in second.note
    assert open_run_folder(tmp_path, "exp", 30, CONFIG).path.name == "30"
    assert first.file("metrics.csv").read_text() == "mine"
    assert yaml.safe_load(second.file("config.yaml").read_text()) == CONFIG


def test_numbers_are_not_used_again(tmp_path):
    open_run_folder(tmp_path, "exp", 0, CONFIG)
    (tmp_path / "exp" / "0-7").mkdir()
    assert open_run_folder(tmp_path, "exp", 0, CONFIG).path.name == "0-8"


@pytest.mark.parametrize(
    "groups",
    [{}, {"optim": {"max_epoch": 9}}, {"train": {"auto_resume": True}}, {"wandb": {"use": True}}],
    ids=["same", "longer", "flag", "wandb"],
)
def test_the_same_run_is_continued(tmp_path, groups):
    open_run_folder(tmp_path, "exp", 0, CONFIG)
    again = open_run_folder(tmp_path, "exp", 0, changed(**groups), resume=True)
    assert (again.path.name, again.resumed) == ("0", True)


def test_another_run_is_not_continued(tmp_path):
    open_run_folder(tmp_path, "exp", 0, CONFIG)
    other = open_run_folder(tmp_path, "exp", 0, changed(optim={"base_lr": 0.2}), resume=True)
    assert (other.path.name, other.resumed) == ("0-2", False)
    assert "optim.base_lr" in other.note
    back = open_run_folder(tmp_path, "exp", 0, CONFIG, resume=True)
    assert (back.path.name, back.resumed) == ("0", True)


def test_unused_folders_go_and_used_ones_stay(tmp_path):
    unused = open_run_folder(tmp_path, "exp", 0, CONFIG)
    unused.write_json("environment.json", {})
    unused.discard_unused()
    assert not unused.path.exists()
    used = open_run_folder(tmp_path, "exp", 0, CONFIG)
    used.file("metrics.csv").touch()
    used.discard_unused()
    assert used.file("config.yaml").exists()
    logged = open_run_folder(tmp_path, "exp", 0, CONFIG)
    (logged.path / "tensorboard").mkdir()
    logged.discard_unused()
    assert logged.path.exists()


def test_summary_marks_a_finished_run(tmp_path):
    folder = open_run_folder(tmp_path, "exp", 0, CONFIG)
    assert folder.summary() is None
    folder.write_json("summary.json", {"test": {"ap": 0.5}})
    assert folder.summary() == json.loads(folder.file("summary.json").read_text()) == {"test": {"ap": 0.5}}


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="out_dir"):
        open_run_folder(tmp_path / "file", "exp", 0, CONFIG)


class Payload:
    def __reduce__(self):
        return print, ("code from a checkpoint was run",)


def test_checkpoints_run_no_code_and_damage_is_named(tmp_path, capsys):
    import torch

    reader, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    with pytest.raises(DataNotFoundError):
        reader.load_checkpoint(path)
    torch.save({"state": Payload()}, path)
    with pytest.raises(DataIntegrityError, match=r"last\.ckpt"):
        reader.load_checkpoint(path)
    assert capsys.readouterr().out == ""
    reader.save_checkpoint({"epoch": 1, "weight": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataIntegrityError):
        reader.load_checkpoint(path)


def test_an_interrupted_checkpoint_leaves_the_old_one(tmp_path, monkeypatch):
    import torch

    writer, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    writer.save_checkpoint({"epoch": 1}, path)

    def broken(content, target):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(KeyboardInterrupt):
        writer.save_checkpoint({"epoch": 2}, path)
    assert writer.load_checkpoint(path) == {"epoch": 1}
    assert [child.name for child in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_table_that_has_changed_counts_as_another_setting(tmp_path):
    config = dict(CONFIG)
    with_table = config | {"tables": {"dataset.csv": "aa"}}
    first = open_run_folder(tmp_path, "exp", 0, with_table)
    assert open_run_folder(tmp_path, "exp", 0, with_table, resume=True) == RunFolder(first.path, resumed=True)
    assert open_run_folder(tmp_path, "exp", 0, config, resume=True).resumed  # nothing is known of the table
    other = open_run_folder(tmp_path, "exp", 0, config | {"tables": {"dataset.csv": "bb"}}, resume=True)
    assert not other.resumed
    assert "has other settings (the rows of dataset.csv): this run gets a new folder" in other.note
    assert settings(with_table) == settings(config)
    unknown = open_run_folder(tmp_path, "old", 0, config)
    assert open_run_folder(tmp_path, "old", 0, with_table, resume=True) == RunFolder(unknown.path, resumed=True)


def test_a_setting_that_was_shortened_counts_with_its_value_of_before(tmp_path):
    short = changed(optim={"max_epoch": 1, "num_warmup_epochs": 0.5}) | {"shortened": {"optim.num_warmup_epochs": 3.0}}
    assert settings(short)["optim.num_warmup_epochs"] == 3.0
    assert settings(short, volatile=True)["optim.num_warmup_epochs"] == 0.5
    assert not [key for key in settings(short, volatile=True) if key.startswith("shortened")]
    first = open_run_folder(tmp_path, "exp", 0, short)
    longer = changed(optim={"max_epoch": 9, "num_warmup_epochs": 3.0})
    assert open_run_folder(tmp_path, "exp", 0, longer, resume=True).path == first.path
    other = changed(optim={"max_epoch": 9, "num_warmup_epochs": 2.0})
    assert open_run_folder(tmp_path, "exp", 0, other, resume=True).path != first.path


def test_saved_tables_are_read_from_the_configuration(tmp_path):
    assert saved_tables(tmp_path) == {}
    saved = {"seed: 1": {}, "tables: {dataset.csv: 0a1b}": {"dataset.csv": "0a1b"}, "tables: 3": {}}
    for content, found in saved.items():
        (tmp_path / "config.yaml").write_text(content)
        assert saved_tables(tmp_path) == found


def test_settings_keep_their_order_and_letters(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_config({"z": 1, "a": "é"})
    assert folder.file("config.yaml").read_text(encoding="utf-8") == "z: 1\na: é\n"
