"""Which names the checkpoint of an epoch gets, and that it is written once."""

import time

import pytest
import torch

from pyg_samsa.errors import NumericalError
from pyg_samsa.training import checkpoint_io
from pyg_samsa.training.callbacks import History
from pyg_samsa.training.epoch_checkpoints import EpochCheckpoints
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.run_folder import RunFolder


@pytest.mark.parametrize(("higher_is_better", "kept"), [(True, [1, 2, 6]), (False, [1, 4])])
def test_the_best_epoch_is_kept_whenever_there_is_a_new_one(tmp_path, higher_is_better, kept):
    history = History()
    callback = EpochCheckpoints(RunFolder(tmp_path), history, "val_ap", higher_is_better=higher_is_better)
    found = []
    for number, value in enumerate([0.5, 0.6, 0.5, 0.4, None, 0.7], start=1):
        history.rows.append({"epoch": number} | ({} if value is None else {"val_ap": value}))
        names = [path.name for path in callback.further_names()]
        assert names in ([], ["best.ckpt"])
        found += [number] if names else []
    assert found == kept


@pytest.mark.parametrize(
    ("monitor", "archive_every", "names"),
    [
        (None, None, [[], [], []]),
        ("val_ap", None, [["best.ckpt"], ["best.ckpt"], []]),
        (None, 2, [[], ["epoch_0001.ckpt"], []]),
        ("val_ap", 1, [["best.ckpt", "epoch_0000.ckpt"], ["best.ckpt", "epoch_0001.ckpt"], ["epoch_0002.ckpt"]]),
    ],
)
def test_names_of_every_epoch(tmp_path, monitor, archive_every, names):
    callback = EpochCheckpoints(RunFolder(tmp_path), History(), monitor, archive_every=archive_every)
    found = []
    for value in (0.5, 0.6, 0.5):
        callback.history.rows.append({"val_ap": value})
        found.append([path.name for path in callback.further_names()])
    assert found == names


def test_an_epoch_is_written_once(train, monkeypatch):
    written = []
    original = checkpoint_io._write

    def write(checkpoint, path, links):
        written.append((checkpoint["epoch"], [path.name for path in links]))
        original(checkpoint, path, links)

    monkeypatch.setattr(checkpoint_io, "_write", write)
    result, _ = train(archive_every=3)
    improved = [row["val_mae"] for row in result_rows(result)]
    best = [epoch for epoch in range(3) if improved[epoch] == min(improved[: epoch + 1])]
    links = {epoch: ["best.ckpt"] if epoch in best else [] for epoch in range(3)}
    links[2].append("epoch_0002.ckpt")
    assert written == list(links.items())
    last, archived = result.folder.last, result.folder.checkpoints / "epoch_0002.ckpt"
    assert last.samefile(archived)
    assert last.samefile(result.folder.best) == (2 in best)


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_an_error_of_the_writer_stops_the_run(train, monkeypatch, epoch):
    original = checkpoint_io._write

    def write(checkpoint, path, links):
        if checkpoint["epoch"] == epoch:
            raise OSError(28, "No space left on device", str(path))
        original(checkpoint, path, links)

    monkeypatch.setattr(checkpoint_io, "_write", write)
    with pytest.raises(OSError, match=r"No space left on device: .*last\.ckpt"):
        train()
    monkeypatch.undo()
    assert train(resume=True)[0].epochs == 3


def test_an_error_of_the_training_comes_before_one_of_the_writer(train, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    def step(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise NumericalError("training loss", "is nan")
        return self._predict(batch, "train")[0]

    monkeypatch.setattr(checkpoint_io, "_write", fail)
    monkeypatch.setattr(TaskModule, "training_step", step)
    with pytest.raises(NumericalError, match="is nan"):
        train()


def test_what_was_being_written_when_the_training_failed_is_complete(train, monkeypatch):
    def step(self, batch, batch_idx):
        if self.current_epoch == 1:
            raise NumericalError("training loss", "is nan")
        return self._predict(batch, "train")[0]

    with monkeypatch.context() as patch:
        original = checkpoint_io._write
        patch.setattr(checkpoint_io, "_write", lambda *args: (time.sleep(0.3), original(*args)))
        patch.setattr(TaskModule, "training_step", step)
        with pytest.raises(NumericalError):
            train()
    resumed, _ = train(resume=True)
    assert [row["epoch"] for row in result_rows(resumed)] == [1, 2, 3]


def result_rows(result):
    return torch.load(result.folder.last, weights_only=True)["callbacks"]["History"]["rows"]
