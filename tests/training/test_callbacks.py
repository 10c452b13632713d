import random
import types

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist

from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.training import callbacks
from pyg_samsa.training.callbacks import (
    EarlyStop,
    EpochEnd,
    ExactResume,
    History,
    epochs_without_progress,
    rng_state,
    set_rng_state,
)
from pyg_samsa.training.run_files import read_table


def trainer(epoch=0, step=3, main=True, sanity_checking=False, rank=0, world_size=1, **values):
    return types.SimpleNamespace(
        current_epoch=epoch,
        global_step=step,
        is_global_zero=main,
        sanity_checking=sanity_checking,
        global_rank=rank,
        world_size=world_size,
        callback_metrics={name: torch.tensor(value) for name, value in values.items()},
    )


def optimizer(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def epoch(history, number=0, validated=True, **options):
    """Play one epoch as Lightning does."""
    state = trainer(epoch=number, step=3 * number + 3, **options)
    history.on_train_epoch_start(state, None)
    history.on_before_optimizer_step(state, None, optimizer(0.5))
    if validated:
        history.on_validation_epoch_end(state, None)
    history.finish_epoch(state)


def test_columns_of_a_row():
    history = History()
    epoch(history, val_ap=0.5, train_loss=0.25, val_loss=2.0, train_ap=0.125, other=9.0)
    (row,) = history.rows
    assert list(row) == [
        "epoch",
        "step",
        "lr",
        "seconds",
        "total_seconds",
        "train_loss",
        "train_ap",
        "val_loss",
        "val_ap",
    ]
    assert (row["epoch"], row["step"], row["lr"]) == (1, 3, 0.5)
    assert (row["train_loss"], row["val_ap"]) == (0.25, 0.5)


def test_the_rate_is_that_of_the_last_step():
    history = History()
    for rate in (0.5, 0.25):
        history.on_before_optimizer_step(None, None, optimizer(rate))
    history.finish_epoch(trainer())
    assert history.rows[0]["lr"] == 0.25


def test_old_validation_values_are_left_out():
    history = History()
    epoch(history, 0, val_ap=0.5, train_loss=1.0)
    epoch(history, 1, validated=False, val_ap=0.5, train_loss=0.5)
    epoch(history, 2, sanity_checking=True, val_ap=0.5, train_loss=0.5)
    assert ["val_ap" in row for row in history.rows] == [True, False, False]


def test_the_total_time_goes_on_after_a_resume(monkeypatch):
    clock = iter([0.0, 2.0, 10.0, 13.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    first, second = History(), History()
    epoch(first, 0)
    second.load_state_dict(first.state_dict())
    epoch(second, 1)
    assert [(row["seconds"], row["total_seconds"]) for row in second.rows] == [(2.0, 2.0), (3.0, 5.0)]


def test_the_table_is_written_after_every_epoch_by_the_first_process(tmp_path):
    path, seen = tmp_path / "metrics.csv", []
    history, other = History(path, on_row=seen.append), History(tmp_path / "other.csv", on_row=seen.append)
    epoch(history, 0, train_loss=1.0)
    epoch(history, 1, train_loss=0.5, val_loss=0.75)
    epoch(other, 0, main=False, train_loss=1.0)
    table = pd.read_csv(path)
    assert table["train_loss"].tolist() == [1.0, 0.5]
    assert table["val_loss"].isna().tolist() == [True, False]
    assert seen == history.rows
    assert not (tmp_path / "other.csv").exists()


def test_the_state_is_a_copy():
    history = History()
    epoch(history, 0)
    state = history.state_dict()
    epoch(history, 1)
    assert len(state["rows"]) == 1
    history.load_state_dict(state)
    history.rows[0]["lr"] = 0.0
    assert state["rows"][0]["lr"] == 0.5


def test_the_end_of_an_epoch_finishes_the_row():
    history = History()
    EpochEnd(history).on_train_epoch_end(trainer(train_loss=1.0), None)
    assert history.rows[0]["train_loss"] == 1.0


def draw():
    # Data transforms of other packages use NumPy's global generator.
    numpy = np.random.rand(), np.random.randn()  # noqa: NPY002
    return random.random(), random.gauss(0, 1), numpy, torch.rand(2).tolist()


def test_the_state_of_all_generators():
    random.gauss(0, 1)  # leaves the second number of a pair behind, and so does NumPy
    np.random.randn()  # noqa: NPY002
    state = rng_state()
    first = draw()
    set_rng_state(state)
    assert draw() == first


def test_the_state_survives_a_checkpoint(tmp_path):
    state = rng_state()
    first = draw()
    torch.save(state, tmp_path / "state.pt")
    set_rng_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draw() == first


def test_resuming_sets_the_generators_once_when_training_starts():
    resume = ExactResume(0)
    state = resume.state_dict()
    first = draw()
    resume.load_state_dict(state)
    before = draw()
    resume.on_train_start(trainer(), None)
    assert draw() == first != before
    after = draw()
    resume.on_train_start(trainer(), None)
    assert draw() != after  # a second start does not go back


def test_another_number_of_processes_is_refused():
    resume = ExactResume(0)
    resume.load_state_dict({"rng": [rng_state(), rng_state()]})
    with pytest.raises(DataIntegrityError, match="got 2, expected 1 processes") as caught:
        resume.on_train_start(trainer(), None)
    assert "same devices" in caught.value.hint


def test_every_process_takes_its_own_state(monkeypatch):
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states.append(rng_state())
    for rank in range(2):
        resume = ExactResume(0)
        resume.load_state_dict({"rng": states})
        resume.on_train_start(trainer(rank=rank, world_size=2), None)
        assert torch.initial_seed() == rank


def test_the_states_of_all_processes_are_saved(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)

    def gather(states, mine):
        states[:] = [mine, "that of the other process"]

    monkeypatch.setattr(dist, "all_gather_object", gather)
    first, second = ExactResume(0).state_dict()["rng"]
    assert torch.equal(first["torch"], torch.get_rng_state())
    assert second == "that of the other process"


def test_in_a_fresh_run_other_processes_get_seeds_of_their_own():
    torch.manual_seed(5)
    ExactResume(5).on_train_start(trainer(rank=0, world_size=3), None)
    assert torch.initial_seed() == 5
    seeds = []
    for rank in (1, 2):
        ExactResume(5).on_train_start(trainer(rank=rank, world_size=3), None)
        seeds.append(torch.initial_seed())
    assert seeds == [5 + 7919, 5 + 2 * 7919]  # the noise of a run with several processes stays that of its seed
    large = 2**63 - 1
    ExactResume(large).on_train_start(trainer(rank=1, world_size=3), None)
    assert torch.initial_seed() == 7918
    ExactResume(2**62).on_train_start(trainer(rank=1, world_size=3), None)
    assert torch.initial_seed() == 2**62 + 7919


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "higher", "since"),
    [
        ([], True, 0),
        ([0.5, 0.6, 0.6, 0.4], True, 2),  # an equal value is no progress
        ([0.5, 0.6, 0.6, 0.4], False, 0),
        ([0.5, NAN, None], True, 2),  # neither is an epoch without a validation
        ([NAN, NAN], True, 2),
    ],
)
def test_epochs_since_the_best_validation(values, higher, since):
    rows = [{} if value is None else {"val_ap": value} for value in values]
    assert epochs_without_progress(rows, "val_ap", higher) == since
    assert epochs_without_progress(rows, None, higher) == 0


def test_training_stops_only_after_an_epoch_that_was_validated():
    history, state = History(), types.SimpleNamespace(should_stop=False)
    stop = EarlyStop(history, "val_ap", higher_is_better=True, patience=2)
    for value, stops in ((0.5, False), (0.4, False), (None, False), (0.4, True)):
        history.rows.append({} if value is None else {"val_ap": value})
        stop.on_train_epoch_end(state, None)
        assert state.should_stop is stops
    resumed = types.SimpleNamespace(should_stop=False)
    stop.on_train_start(resumed, None)
    assert resumed.should_stop


@pytest.mark.parametrize("values", [[], [None, None, None], [0.5, 0.4, None]])
def test_a_resumed_run_goes_on_to_the_validation_that_an_uninterrupted_one_had(values):
    history, state = History(), types.SimpleNamespace(should_stop=False)
    history.rows = [{} if value is None else {"val_ap": value} for value in values]
    EarlyStop(history, "val_ap", higher_is_better=True, patience=2).on_train_start(state, None)
    assert not state.should_stop


def test_the_names_of_the_table_are_no_formulas(tmp_path):
    history = History(tmp_path / "metrics.csv")
    history.rows = [{"epoch": 1, "=1+1": -0.5}]
    history.write()
    assert history.path.read_text() == "epoch,'=1+1\n1,-0.5\n"
    assert read_table(history.path, numeric=True).to_dict("list") == {"epoch": [1], "=1+1": [-0.5]}


def test_epochs_without_progress_are_those_after_the_best_one():
    rows = [{"val_mae": value} for value in (0.5, 0.3, 0.4, 0.4, 0.6)]
    assert epochs_without_progress(rows, "val_mae", higher_is_better=False) == 3
    assert epochs_without_progress(rows, "val_mae", higher_is_better=True) == 0


def test_free_memory_is_returned_within_a_long_epoch(monkeypatch):
    calls = []
    monkeypatch.setattr(callbacks, "return_memory", lambda: calls.append(batch))
    for batch in range(450):
        EpochEnd(History()).on_train_batch_end(trainer(), None, None, None, batch)
    assert calls == [199, 399]


@pytest.mark.parametrize("there", [True, False])
def test_generators_of_devices_are_set_where_there_are_some(monkeypatch, there):
    given, state = [], rng_state() | {"cuda": [torch.tensor([1]), torch.tensor([2]), torch.tensor([3])]}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", given.append)
    set_rng_state(state)
    assert [[int(one) for one in states] for states in given] == ([[1, 2]] if there else [])
    given.clear()
    set_rng_state(state | {"cuda": []})
    assert given == []
