"""Whole runs of a network of one layer: what is trained, tested, written and resumed."""

import json
import shutil

import pandas as pd
import pytest
import torch
from torch_geometric.data import Batch
from torch_geometric.nn import global_mean_pool

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, DataNotFoundError, NumericalError
from pyg_samsa.io.files import lock
from pyg_samsa.training import losses, schedulers
from pyg_samsa.training.callbacks import History
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.optimizers import adamw

COLUMNS = ["epoch", "step", "lr", "train_loss", "train_mae", "val_loss", "val_mae"]


def history(result):
    return pd.read_csv(result.folder.file("metrics.csv"))


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_a_run_writes(train):
    result, _ = train()
    assert files(result.folder.path) == [
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "config.yaml",
        "environment.json",
        "metrics.csv",
        "predictions_test.csv",
        "summary.json",
    ]
    table = history(result)
    assert set(COLUMNS) <= set(table)
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["step"].tolist() == [3, 6, 9]  # nine graphs in batches of four
    summary = json.loads(result.folder.file("summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["monitor"] == "val_mae"
    assert (summary["test"], summary["val"]) == (result.test, result.val)
    assert (result.parameters, result.epochs) == (3, 3)


def test_the_test_values_are_those_of_the_best_epoch(train, rows):
    result, module = train()
    table = history(result)
    assert result.best_epoch == table["val_mae"].idxmin() + 1
    assert result.val["mae"] == pytest.approx(table["val_mae"].min(), abs=1e-6)
    best = torch.load(result.folder.best, weights_only=True)
    assert best["epoch"] + 1 == result.best_epoch
    assert all(torch.equal(value, best["state_dict"][name]) for name, value in module.state_dict().items())
    batch = Batch.from_data_list([rows[row] for row in (13, 14, 15)])
    with torch.no_grad():
        pred = module.eval()(batch)[0]
    assert result.test["mae"] == pytest.approx(float((pred - batch.y).abs().mean()), abs=1e-6)
    assert result.test["loss"] == pytest.approx(float((pred - batch.y).square().mean()), abs=1e-6)
    predictions = pd.read_csv(result.folder.file("predictions_test.csv"))
    assert predictions["row"].tolist() == [13, 14, 15]
    assert predictions["height_pred"].tolist() == pytest.approx(pred.flatten().tolist(), abs=1e-6)


@pytest.mark.parametrize(
    "options", [{"monitor": None}, {"keep_best": False}, {"save_checkpoints": False}, {"splits": ("train", "test")}]
)
def test_otherwise_the_last_epoch_is_tested(train, options):
    result, module = train(**options)
    assert result.best_epoch == 3
    checkpoints = [name for name in files(result.folder.path) if name.endswith("ckpt")]
    assert checkpoints == ([] if "save_checkpoints" in options else ["checkpoints/last.ckpt"])
    if checkpoints:
        last = torch.load(result.folder.last, weights_only=True)["state_dict"]
        assert all(torch.equal(value, last[name]) for name, value in module.state_dict().items())


def test_without_a_test_split_nothing_is_tested(train):
    result, _ = train(splits=("train", "val"), max_epochs=1)
    assert result.test == {}
    assert "predictions_test.csv" not in files(result.folder.path)


def test_every_second_epoch_is_validated_and_only_those_are_candidates(train):
    result, _ = train(max_epochs=4, eval_every=2)
    assert history(result)["val_mae"].isna().tolist() == [True, False, True, False]
    assert result.best_epoch in (2, 4)


def test_a_metric_that_is_never_defined_leaves_the_choice_to_the_loss(train, network, caplog):
    class Undefined(metrics.MeanAbsoluteError):
        undefined = "nothing varies"

        def _score(self, preds, target):
            return float("nan")

    made = TaskModule(
        network(),
        loss=losses.build("mse"),
        metrics={"mae": Undefined(1)},
        optimizer=lambda groups: adamw(groups, lr=0.1),
        train_metrics=False,
    )
    result, _ = train(module=made, max_epochs=6)
    table = history(result)
    assert table["val_mae"].isna().all()
    assert result.best_epoch == table["val_loss"].idxmin() + 1
    summary = json.loads(result.folder.file("summary.json").read_text())
    assert (summary["monitor"], summary["fallback"]) == ("val_loss", result.fallback)
    assert result.fallback == "val_mae is undefined (NaN) in all epochs; the best epoch was chosen by val_loss"
    told = [message for message in caplog.messages if "undefined" in message]
    assert told == [f"{split}: mae is undefined (NaN): nothing varies" for split in ("val", "test")]


def test_an_archive_of_every_second_epoch(train):
    result, _ = train(max_epochs=4, archive_every=2)
    archived = [name for name in files(result.folder.path) if "epoch_" in name]
    assert archived == ["checkpoints/epoch_0001.ckpt", "checkpoints/epoch_0003.ckpt"]


def test_runs_of_one_seed_are_equal(train):
    first, second = train(name="first")[0], train(name="second")[0]
    pd.testing.assert_frame_equal(history(first)[COLUMNS], history(second)[COLUMNS], check_exact=True)
    assert first.test == second.test


class Stopped(Exception):
    pass


def stop_at(monkeypatch, epoch, error=Stopped):
    original = TaskModule.training_step

    def step(self, batch, batch_idx):
        if self.current_epoch == epoch and batch_idx == 1:
            raise error
        return original(self, batch, batch_idx)

    monkeypatch.setattr(TaskModule, "training_step", step)


@pytest.mark.parametrize("name", schedulers.available())
def test_resuming_is_exact_with_every_schedule(train, monkeypatch, name):
    settings = {
        "step": {"every": 1, "gamma": 0.5},
        "plateau": {"monitor": "val_mae", "mode": "min", "patience": 0, "factor": 0.5},
    }.get(name, {})

    def scheduler(optimizer, total, per_epoch):
        return schedulers.build(name, optimizer, total_steps=total, steps_per_epoch=per_epoch, **settings)

    options = {"scheduler": scheduler}
    whole, _ = train(name="whole", **options)
    with monkeypatch.context() as patch:
        stop_at(patch, epoch=1)
        with pytest.raises(Stopped):
            train(name="parts", **options)
    torch.manual_seed(123)  # where the generators stand on resuming must not matter
    resumed, _ = train(name="parts", resume=True, **options)
    assert resumed.folder.resumed
    pd.testing.assert_frame_equal(history(whole)[COLUMNS], history(resumed)[COLUMNS], check_exact=True)
    assert (whole.test, whole.best_epoch) == (resumed.test, resumed.best_epoch)


class Normed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.lin = torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1)

    def forward(self, batch):
        x = self.norm(batch.x) if len(batch.x) > 1 else batch.x
        return self.lin(global_mean_pool(x, batch.batch, batch.num_graphs)), batch.y


def normed():
    torch.manual_seed(0)
    options = {"loss": losses.build("mse"), "metrics": {"mae": metrics.build("mae", 1)}}
    return TaskModule(Normed(), optimizer=lambda groups: adamw(groups, lr=0.1), **options)


def test_statistics_of_batches_change_validation_and_not_training(train, monkeypatch):
    whole, module = train(name="whole", module=normed(), batch_norm_batches=2)
    plain, other = train(name="plain", module=normed())
    assert history(whole)["train_loss"].tolist() == history(plain)["train_loss"].tolist()
    assert history(whole)["val_loss"].tolist() != history(plain)["val_loss"].tolist()
    assert module.network.norm.running_mean.tolist() != other.network.norm.running_mean.tolist()
    with monkeypatch.context() as patch:
        stop_at(patch, epoch=1)
        with pytest.raises(Stopped):
            train(name="parts", module=normed(), batch_norm_batches=2)
    resumed, _ = train(name="parts", module=normed(), resume=True, batch_norm_batches=2)
    pd.testing.assert_frame_equal(history(whole)[COLUMNS], history(resumed)[COLUMNS], check_exact=True)


def test_a_run_that_stopped_in_its_first_epoch_starts_again(train, monkeypatch):
    whole, _ = train(name="whole")
    with monkeypatch.context() as patch:
        stop_at(patch, epoch=0)
        with pytest.raises(Stopped):
            train(name="parts")
    resumed, _ = train(name="parts", resume=True)
    pd.testing.assert_frame_equal(history(whole)[COLUMNS], history(resumed)[COLUMNS], check_exact=True)


def test_the_first_step_of_a_run_that_goes_on_has_the_rate_of_the_longer_schedule(train, monkeypatch):
    seen, original = [], History.on_before_optimizer_step

    def step(self, trainer, module, optimizer):
        seen.append(optimizer.param_groups[0]["lr"])
        original(self, trainer, module, optimizer)

    def scheduler(optimizer, total, per_epoch):
        return schedulers.build("linear_with_warmup", optimizer, total_steps=total)

    train(name="parts", max_epochs=2, scheduler=scheduler)
    monkeypatch.setattr(History, "on_before_optimizer_step", step)
    train(name="parts", resume=True, max_epochs=3, scheduler=scheduler)
    resumed = list(seen)
    seen.clear()
    train(name="whole", max_epochs=3, scheduler=scheduler)
    assert resumed == seen[-3:]


def test_a_run_may_go_on_for_more_epochs(train):
    train(name="parts", max_epochs=2)
    longer, _ = train(name="parts", resume=True, max_epochs=4)
    whole, _ = train(name="whole", max_epochs=4)
    pd.testing.assert_frame_equal(history(whole)[COLUMNS], history(longer)[COLUMNS], check_exact=True)


def two_epochs_of_progress(optimizer, total, per_epoch):
    """The rate is 0.1 for two epochs, then too small to change a weight."""
    return schedulers.build("step", optimizer, total_steps=total, steps_per_epoch=per_epoch, every=2, gamma=1e-12)


def test_early_stopping_keeps_the_best_epoch_and_cuts_the_rest(train):
    options = {"scheduler": two_epochs_of_progress, "max_epochs": 9}
    whole, _ = train(name="whole", **options)
    stopped, _ = train(name="stopped", patience=3, **options)
    assert whole.epochs == 9
    assert stopped.epochs == stopped.best_epoch + 3 < 9
    assert (stopped.test, stopped.best_epoch, stopped.waited) == (whole.test, whole.best_epoch, 3)
    first = history(whole)[COLUMNS][: stopped.epochs]
    pd.testing.assert_frame_equal(first, history(stopped)[COLUMNS], check_exact=True)


def test_a_resumed_run_stops_early_in_the_same_epoch(train, monkeypatch):
    options = {"scheduler": two_epochs_of_progress, "max_epochs": 9, "patience": 3}
    whole, _ = train(name="whole", **options)
    with monkeypatch.context() as patch:
        stop_at(patch, epoch=whole.best_epoch + 1)
        with pytest.raises(Stopped):
            train(name="parts", **options)
    resumed, _ = train(name="parts", resume=True, **options)
    pd.testing.assert_frame_equal(history(whole)[COLUMNS], history(resumed)[COLUMNS], check_exact=True)
    again, _ = train(name="parts", resume=True, **options)
    assert (again.epochs, again.test) == (whole.epochs, whole.test)
    longer, _ = train(name="parts", resume=True, **{**options, "patience": 4})
    assert longer.epochs == whole.epochs + 1


def test_an_interruption_is_reported_as_one(train, monkeypatch, restore_sigint):
    stop_at(monkeypatch, epoch=0, error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        train()


@pytest.fixture
def restore_sigint():
    import signal

    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("split", "where"), [("train", "step 4"), ("val", "validation loss in epoch 2")])
def test_a_loss_that_is_not_finite_stops_the_run(train, monkeypatch, split, where):
    original = TaskModule._predict

    def predict(self, batch, name):
        loss, pred, target = original(self, batch, name)
        # One batch of several.
        here = self.global_step == 4 if name == "train" else (self.current_epoch, batch.row_id[0]) == (1, 9)
        broken = name == split and here
        return loss * float("nan") if broken else loss, pred, target

    monkeypatch.setattr(TaskModule, "_predict", predict)
    with pytest.raises(NumericalError, match=where):
        train()


def test_a_folder_in_use_is_refused(train, tmp_path):
    folder = tmp_path / "run" / "0"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: run\n")
    with (
        lock(folder, wait=False, lock_file=folder / ".lock"),
        pytest.raises(ConfigError, match=r"out_dir: .* no other process"),
    ):
        train(resume=True)


def test_pictures_are_drawn_before_the_summary_is_written(train):
    seen = []

    def draw(result, rows, collected):
        seen.append((result.best_epoch, len(rows), collected.row_id.tolist(), files(result.folder.path)))

    result, _ = train(finish=draw)
    ((epoch, count, tested, present),) = seen
    assert (epoch, count, tested) == (result.best_epoch, 3, [13, 14, 15])
    assert "predictions_test.csv" in present
    assert "summary.json" not in present


def test_a_run_whose_pictures_fail_is_not_finished(train):
    def draw(*_):
        raise Stopped

    with pytest.raises(Stopped):
        train(finish=draw)
    resumed, _ = train(resume=True)
    assert resumed.folder.summary()["status"] == "finished"
    assert history(resumed)["epoch"].tolist() == [1, 2, 3]


def test_a_run_whose_checkpoints_are_lost_is_trained_again(train):
    def draw(result, *_):
        shutil.rmtree(result.folder.checkpoints)
        raise Stopped

    with pytest.raises(Stopped):
        train(finish=draw)
    resumed, _ = train(resume=True)
    assert history(resumed)["epoch"].tolist() == [1, 2, 3]
    assert resumed.folder.best.is_file()


def test_a_run_that_would_never_validate_is_refused_before_it_starts(train, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.eval_period: got 2, expected at most 1 epochs"):
        train(max_epochs=1, eval_every=2)
    assert files(tmp_path) == ["run/0/config.yaml"]
    result, _ = train(max_epochs=1, eval_every=2, splits=("train", "test"))
    assert result.best_epoch == 1


def test_a_run_whose_time_is_over_before_its_first_validation_tests_the_last_epoch(train):
    result, module = train(max_epochs=4, eval_every=2, max_seconds=1e-6)
    assert (result.best_epoch, result.epochs, result.val) == (1, 1, {})
    assert result.fallback == "no epoch was validated before the time was over; the last epoch was taken"
    last = torch.load(result.folder.last, weights_only=True)["state_dict"]
    assert all(torch.equal(value, last[name]) for name, value in module.state_dict().items())


def test_a_run_is_not_continued_for_fewer_epochs_than_it_has_done(train):
    train(max_epochs=3)
    told = "optim.max_epoch: got 2, expected at least 3, the number of epochs that"
    with pytest.raises(ConfigError, match=told) as caught:
        train(max_epochs=2, resume=True)
    assert "Set optim.max_epoch to that number or more" in caught.value.hint
    result, _ = train(max_epochs=3, resume=True)
    assert result.epochs == 3


@pytest.mark.parametrize("splits", [("train", "val", "test"), ("train", "test")])
def test_the_best_checkpoint_is_needed_only_where_it_is_tested(train, splits):
    result, _ = train(max_epochs=2, splits=splits)
    result.folder.best.unlink(missing_ok=True)
    if "val" in splits:
        with pytest.raises(DataNotFoundError, match=r"best\.ckpt: no such checkpoint"):
            train(max_epochs=3, splits=splits, resume=True)
    else:
        assert train(max_epochs=3, splits=splits, resume=True)[0].best_epoch == 3
