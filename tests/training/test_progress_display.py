import io
import types

import pytest
import torch
from rich.console import Console

from pyg_samsa.training.callbacks import History
from pyg_samsa.training.progress_display import EpochLines, ProgressDisplay, short_time


@pytest.mark.parametrize("monitor", ["val_ap", "val_accuracy_macro", "val_loss", None])
def test_epoch_lines_stay_within_80_columns_and_aligned(monitor):
    lines = EpochLines(monitor, higher_is_better=monitor != "val_loss", max_epochs=1000)
    row = {"epoch": 1000, "lr": 1e-12, "seconds": 3599, "train_loss": 1000.5, "val_loss": 0.1}
    if monitor:
        row |= {monitor: 0.5, monitor.replace("val", "train"): 0.5}
    head, line = lines.head().rstrip(), lines.line(row)
    assert max(len(head), len(line)) <= 80
    assert head.index("time") + 4 == line.index("m59s") + 4


def test_only_a_better_epoch_is_marked():
    lines = EpochLines("val_mae", higher_is_better=False, max_epochs=3)
    row = {"epoch": 1, "lr": 1e-3, "seconds": 1.0, "train_loss": 1.0}
    marked = [
        lines.line({**row, **values}).endswith("*")
        for values in ({"val_mae": 0.5}, {"val_mae": 0.5}, {}, {"val_mae": 0.4})
    ]
    assert marked == [True, False, False, True]


@pytest.mark.parametrize("seconds", [0, 59.94, 59.99, 60, 3599.6, 86400])
def test_times_are_short(seconds):
    assert len(short_time(seconds)) <= 6
    assert not short_time(seconds).startswith("60.0")


ROW = {"epoch": 1, "lr": 1e-3, "seconds": 2.0, "train_loss": 1.0, "train_ap": 0.1, "val_loss": 0.9, "val_ap": 0.25}


def test_columns_follow_the_metric():
    assert EpochLines("val_ap", higher_is_better=True, max_epochs=3).head().split() == (
        ["epoch", "lr", "train", "loss", "train", "ap", "val", "loss", "val", "ap", "time"]
    )
    for monitor in ("val_loss", None):
        lines = EpochLines(monitor, higher_is_better=False, max_epochs=3)
        assert lines.head().split() == ["epoch", "lr", "train", "loss", "val", "loss", "time"]


def test_missing_values_are_dashes():
    line = EpochLines("val_ap", higher_is_better=True, max_epochs=3).line({"epoch": 2, "lr": 0.5, "seconds": 1.0})
    assert line.split() == ["2/3", "5.0e-01", "-", "-", "-", "-", "1.0s"]


@pytest.mark.parametrize(("higher", "best"), [(True, [0, 2]), (False, [0, 1])])
def test_better_depends_on_the_direction(higher, best):
    lines = EpochLines("val_ap", higher_is_better=higher, max_epochs=4)
    values = (0.5, 0.4, 0.6, float("nan"))
    assert [number for number, value in enumerate(values) if lines.improves({"val_ap": value})] == best


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0s"), (59.94, "59.9s"), (59.96, "1m00s"), (119.6, "2m00s"), (3600, "1h00m")]
)
def test_known_times(seconds, shown):
    assert short_time(seconds) == shown


def display(terminal):
    output, history = io.StringIO(), History()
    console = Console(file=output, width=80, force_terminal=terminal, no_color=True, highlight=False)
    return output, history, ProgressDisplay(console, EpochLines("val_ap", higher_is_better=True, max_epochs=2), history)


def trainer(**options):
    values = {"current_epoch": 0, "num_training_batches": 4, "accumulate_grad_batches": 2, **options}
    return types.SimpleNamespace(**values)


def test_a_log_holds_one_line_an_epoch():
    output, _, shown = display(terminal=False)
    shown.on_train_start(trainer(), None)
    shown.on_train_epoch_start(trainer(), None)
    shown.on_train_batch_end(trainer(), None, {"loss": None}, None, 0)  # a loss that nobody sees is not read
    shown.on_validation_epoch_start(trainer(), None)
    shown.on_row(ROW)
    shown.on_train_end(trainer(), None)
    assert [line.split()[0] for line in output.getvalue().splitlines()] == ["epoch", "1/2"]


def test_epochs_before_a_resume_are_shown_again():
    output, history, shown = display(terminal=False)
    history.load_state_dict({"rows": [ROW, {**ROW, "epoch": 2, "val_ap": 0.125}]})
    shown.on_train_start(trainer(), None)
    lines = output.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["epoch", "1/2", "2/2"]
    assert [line.rstrip().endswith("*") for line in lines] == [False, True, False]


def test_the_bar_shows_the_loss_and_the_time_left():
    _, history, shown = display(terminal=True)
    history.load_state_dict({"rows": [{**ROW, "seconds": 8.0}]})
    shown.on_train_start(trainer(), None)
    shown.on_train_epoch_start(trainer(current_epoch=1), None)
    shown.on_train_batch_end(trainer(current_epoch=1), None, {"loss": torch.tensor(0.25)}, None, 0)
    (task,) = shown._bar.tasks
    assert (task.description, task.completed, task.total) == ("2/2", 1, 4)
    # Lightning divides the loss by the number of accumulated batches; three quarters of an epoch of 8 s are left.
    assert task.fields["note"] == "loss 0.5000 · 6.0s left"
    shown.on_validation_epoch_start(trainer(), None)
    assert shown._bar.tasks[0].fields["note"] == "validating"
    shown.on_exception(trainer(), None, RuntimeError())
    assert shown._bar is None
    shown.stop()


def test_the_bar_is_not_cut_off_in_80_columns():
    output, history, shown = display(terminal=True)
    history.load_state_dict({"rows": [{**ROW, "seconds": 3000.0}]})
    shown.on_train_start(trainer(), None)
    many = {"current_epoch": 998, "num_training_batches": 12345}
    shown.lines.max_epochs = 9999
    shown.on_train_epoch_start(trainer(**many), None)
    shown.on_train_batch_end(trainer(**many), None, {"loss": torch.tensor(1.2e12)}, None, 9999)
    shown.stop()
    drawn = output.getvalue()
    # 9,000 epochs and the rest of this one, of 50 minutes each.
    assert "10000/12345 loss 2.4e+12 · 7500h09m left" in drawn
    assert "…" not in drawn


def test_the_loss_is_read_only_as_often_as_it_is_shown():
    _, _, shown = display(terminal=True)
    shown.on_train_start(trainer(), None)
    shown.on_train_epoch_start(trainer(), None)
    shown.on_train_batch_end(trainer(), None, {"loss": torch.tensor(1.0)}, None, 0)
    shown.on_train_batch_end(trainer(), None, {"loss": None}, None, 1)
    assert shown._bar.tasks[0].completed == 1
    shown.on_train_end(trainer(), None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5000"),
        (0.0, "0.0000"),
        (5.2e-32, "5.20e-32"),
        (-0.0001, "-1.00e-04"),
        (123.45678, "123.4568"),
        (6.9e28, "6.90e+28"),
    ],
)
def test_epochs_show_values_of_any_size(value, text):
    lines = EpochLines(None, higher_is_better=False, max_epochs=1)
    assert lines.line({"epoch": 1, "lr": 1e-3, "train_loss": value, "seconds": 1}).split()[2] == text


@pytest.mark.parametrize(("loss", "note"), [(9999.5, "loss 9999.5000"), (1e4, "loss 1e+04"), (-1e4, "loss -1e+04")])
def test_large_losses_are_short(loss, note):
    _, _, shown = display(terminal=True)
    shown.on_train_start(trainer(), None)
    shown.on_train_epoch_start(trainer(), None)
    shown.on_train_batch_end(trainer(accumulate_grad_batches=1), None, {"loss": torch.tensor(loss)}, None, 0)
    assert shown._bar.tasks[0].fields["note"] == note
    shown.stop()
