"""A limit for the time of a run, by a clock that the test moves."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.training import callbacks, schedulers, time_limit
from pyg_samsa.training.callbacks import History
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.time_limit import TimeLimit

COLUMNS = ["epoch", "step", "lr", "train_loss", "train_mae", "val_loss", "val_mae"]
BATCHES = 3  # of an epoch


class Clock:
    """A clock that each training batch moves: by a second, or by what ``seconds[epoch]`` says."""

    def __init__(self):
        self.now, self.seconds, self.stop_at = 1000.0, {}, None

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock, original = Clock(), TaskModule.training_step

    def step(self, batch, batch_idx):
        if clock.stop_at == (self.current_epoch, batch_idx):
            raise Stopped
        clock.now += clock.seconds.get(self.current_epoch, 1.0)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(TaskModule, "training_step", step)
    for module in (callbacks, time_limit):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    return clock


class Stopped(Exception):
    pass


def cosine(warmup=0):
    def scheduler(optimizer, total, per_epoch):
        return schedulers.build("cosine_with_warmup", optimizer, total_steps=total, warmup_steps=warmup)

    return scheduler


def rows(result):
    return pd.read_csv(result.folder.file("metrics.csv"))


def summary(result):
    return json.loads(result.folder.file("summary.json").read_text())


@pytest.mark.parametrize(("seconds", "epochs"), [(2.0, 1), (3.0, 1), (8.9, 2), (9.0, 3), (14.0, 4), (100.0, 9)])
def test_a_run_ends_with_the_last_epoch_that_fits(train, clock, seconds, epochs):
    result, _ = train(max_epochs=9, max_seconds=seconds)
    assert result.epochs == epochs
    assert result.time_limit == summary(result)["time_limit"] == (seconds if epochs < 9 else None)
    assert result.test


def test_the_first_epoch_is_no_measure_of_the_others(train, clock):
    clock.seconds = {0: 10.0}
    assert train(max_epochs=9, max_seconds=37.0)[0].epochs == 1  # 30 seconds, and only those are known
    assert train(name="longer", max_epochs=9, max_seconds=67.0)[0].epochs == 9  # 30, then 3 each


def test_epochs_that_become_slower(train, clock):
    clock.seconds = {2: 2.0, 3: 2.0, 4: 2.0}
    result, _ = train(max_epochs=9, max_seconds=20.0)
    assert rows(result)["total_seconds"].tolist() == [3, 6, 12, 18]


def test_the_schedule_ends_with_the_time(train, clock):
    result, _ = train(max_epochs=100, max_seconds=5 * BATCHES + 0.5, fit_schedule=True, scheduler=cosine())
    expected, _ = train(name="five", max_epochs=5, scheduler=cosine())
    found, known = rows(result)["lr"], rows(expected)["lr"]
    assert len(found) == 5
    # The first epoch, in which nothing was measured, has the rates of a hundred epochs.
    assert found[0] > known[0]
    assert found[1:].tolist() == pytest.approx(known[1:].tolist())
    assert found.iloc[-1] < 0.02 * 0.1
    assert result.time_limit == 15.5


def test_a_schedule_that_fits_stays_as_it_is(train, clock):
    result, _ = train(max_epochs=4, max_seconds=1000.0, fit_schedule=True, scheduler=cosine())
    expected, _ = train(name="plain", max_epochs=4, scheduler=cosine())
    pd.testing.assert_frame_equal(rows(result)[COLUMNS], rows(expected)[COLUMNS], check_exact=True)
    assert result.time_limit is None


def test_a_slow_first_epoch_does_not_shorten_the_schedule(train, clock):
    clock.seconds = {0: 5.0}
    result, _ = train(max_epochs=100, max_seconds=15 + 5 * 3 + 0.5, fit_schedule=True, scheduler=cosine())
    assert result.epochs == 6
    assert rows(result)["lr"].iloc[-1] < 0.02 * 0.1


def test_the_schedule_is_shortened_again_when_epochs_become_slower(train, clock):
    clock.seconds = dict.fromkeys(range(4, 99), 2.0)
    result, _ = train(max_epochs=100, max_seconds=45.5, fit_schedule=True, scheduler=cosine())
    assert rows(result)["total_seconds"].iloc[-1] <= 45.5
    assert result.epochs == 9  # 4 x 3 + 5 x 6
    assert rows(result)["lr"].iloc[-1] < 0.05 * 0.1


@pytest.mark.parametrize("epoch", [1, 2, 4])
@pytest.mark.parametrize("fit", [False, True])
def test_resuming_is_exact(train, clock, fit, epoch):
    options = {"max_epochs": 100, "max_seconds": 18.5, "fit_schedule": fit, "scheduler": cosine()}
    whole, _ = train(name="whole", **options)
    assert whole.epochs == 6
    clock.stop_at = (epoch, 1)
    with pytest.raises(Stopped):
        train(name="parts", **options)
    clock.stop_at, clock.now = None, 5.0  # another process has another clock
    resumed, _ = train(name="parts", resume=True, **options)
    pd.testing.assert_frame_equal(rows(whole)[COLUMNS], rows(resumed)[COLUMNS], check_exact=True)
    assert (resumed.test, resumed.time_limit) == (whole.test, whole.time_limit)
    again, _ = train(name="parts", resume=True, **options)
    assert (again.epochs, again.test) == (whole.epochs, whole.test)


def test_the_time_of_a_resumed_part_is_added_to_that_before(train, clock):
    clock.stop_at = (2, 0)
    with pytest.raises(Stopped):
        train(max_epochs=100, max_seconds=12.5)
    clock.stop_at = None
    assert train(resume=True, max_epochs=100, max_seconds=12.5)[0].epochs == 4


def test_a_slow_start_of_a_part_does_not_shorten_the_schedule(train, clock):
    clock.stop_at = (4, 0)
    options = {"max_epochs": 100, "max_seconds": 40.5, "fit_schedule": True, "scheduler": cosine()}
    with pytest.raises(Stopped):
        train(**options)
    clock.stop_at, clock.seconds = None, {4: 2.0}  # 12 + 6, then 3 each
    assert train(resume=True, **options)[0].epochs == 12


@pytest.mark.parametrize(("seconds", "epochs"), [(6.5, 4), (30.5, 10)])
def test_another_limit_is_measured_again(train, clock, seconds, epochs):
    options = {"max_epochs": 100, "fit_schedule": True, "scheduler": cosine()}
    assert train(max_seconds=12.5, **options)[0].epochs == 4
    result, _ = train(resume=True, max_seconds=seconds, **options)
    assert result.epochs == epochs
    assert rows(result)["lr"].iloc[-1] < 0.03 * 0.1


@pytest.mark.parametrize(("seconds", "epochs"), [(6.5, 4), (12.5, 4), (18.5, 6)])
def test_without_a_schedule_a_resumed_run_looks_at_the_time_first(train, clock, seconds, epochs):
    assert train(max_epochs=100, max_seconds=12.5)[0].epochs == 4
    assert train(resume=True, max_epochs=100, max_seconds=seconds)[0].epochs == epochs


def test_a_warm_up_that_takes_the_whole_time_is_named(train, clock):
    with pytest.raises(ConfigError, match=r"train\.max_seconds: got 9\.5, expected the time of more steps than the 20"):
        train(max_epochs=100, max_seconds=9.5, fit_schedule=True, scheduler=cosine(warmup=20))


def test_a_run_without_a_schedule_has_nothing_to_fit(train, clock):
    assert train(max_epochs=100, max_seconds=9.5, fit_schedule=True)[0].epochs == 3


class Screen:
    is_terminal = quiet = False

    def __init__(self):
        self.lines = []

    def print(self, text):
        self.lines.append(str(text))


def test_what_the_user_sees(train, clock):
    screen = Screen()
    options = {"max_epochs": 100, "max_seconds": 12.5, "fit_schedule": True, "scheduler": cosine()}
    train(console=screen, **options)
    said = [line for line in screen.lines if "s:" in line or "max_seconds" in line]
    assert said == [
        "  4 epochs fit into 12.5 s: the schedule ends with them",
        "  stopped after epoch 4: train.max_seconds is 12.5",
    ]
    assert [line.split()[0] for line in screen.lines if "/" in line.split()[0]][-2:] == ["3/4", "4/4"]


def test_epochs_without_any_time():
    limit = TimeLimit(History(), 1.0)
    limit.history.rows = [{"seconds": 0.0}, {"seconds": 0.0}]
    assert limit.epochs_that_fit(0.0) > 10**6


def test_an_epoch_lasts_as_long_as_the_longest_of_the_last_three():
    limit = TimeLimit(History(), 100.0)
    for seconds, epochs in (([9.0, 5.0, 2.0, 2.0], 4 + 10), ([9.0, 5.0, 2.0, 2.0, 2.0], 5 + 25)):
        limit.history.rows = [{"seconds": one} for one in seconds]
        assert limit.epochs_that_fit(elapsed=50.0) == epochs
