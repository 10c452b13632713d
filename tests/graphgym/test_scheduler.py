import pandas as pd
import pytest
import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.optim import create_scheduler

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym import scheduler
from pyg_samsa.training import schedulers


def test_schedules_by_step_and_by_epoch():
    cfg.optim.scheduler, cfg.optim.num_warmup_epochs, cfg.optim.max_epoch = "cosine_with_warmup", 1.0, 4
    weights = torch.nn.Linear(2, 2).parameters()
    made = scheduler.choose_scheduler("val_ap", higher_is_better=True)(torch.optim.SGD(weights, lr=1.0), 40, 10)
    assert made["interval"] == "step"
    assert made["scheduler"].get_last_lr() == [1 / 11]
    by_epoch = create_scheduler(torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1.0), cfg.optim)
    assert by_epoch.get_last_lr() == [0.5]
    cfg.optim.scheduler, cfg.optim.num_warmup_epochs = "reduce_on_plateau", 0.0
    made = scheduler.choose_scheduler("val_ap", higher_is_better=True)(
        torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1.0), 40, 10
    )
    assert (made["interval"], made["monitor"]) == ("epoch", "val_ap")
    assert made["scheduler"].mode == "max"


NAMES = {*schedulers.available(), *scheduler.ALIASES, *filter(None, register.scheduler_dict)}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_schedule_trains(name, config):
    from pyg_samsa.experiments.run import run

    path = config(optim={"scheduler": name, "steps": [1], "max_epoch": 2, "lr_decay": 0.5}, samsa={"layers": 1})
    (whole,) = run(path, verbosity=-1)
    rates = pd.read_csv(whole.folder.file("metrics.csv"))["lr"]
    assert ((rates >= 0) & (rates <= 0.01 + 1e-12)).all()
    if name in ("step", "steps"):
        assert rates.tolist() == pytest.approx([0.01, 0.005])
    if name == "none":
        assert rates.tolist() == [0.01, 0.01]


def test_the_settings_of_the_plateau_are_its_options():
    cfg.optim.scheduler, cfg.optim.reduce_factor, cfg.optim.schedule_patience, cfg.optim.min_lr = (
        "plateau",
        0.25,
        3,
        0.1,
    )
    made = scheduler.choose_scheduler("val_ap", higher_is_better=True)(
        torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1.0), 40, 10
    )["scheduler"]
    assert (made.factor, made.patience, made.min_lrs) == (0.25, 3, [0.1])


def test_a_schedule_that_was_added_later_is_found(monkeypatch):
    monkeypatch.setitem(schedulers.BUILDERS, "half", lambda warmup_steps: lambda step: 0.5)
    cfg.optim.scheduler = "half"
    weights = torch.nn.Linear(2, 2).parameters()
    made = scheduler.choose_scheduler(None, higher_is_better=True)(torch.optim.SGD(weights, lr=1.0), 40, 10)
    assert made["scheduler"].get_last_lr() == [0.5]


def test_an_unknown_schedule_is_named():
    cfg.optim.scheduler = "cosine_with_wramup"
    with pytest.raises(ConfigError, match=r"optim\.scheduler") as caught:
        scheduler.choose_scheduler(None, higher_is_better=True)
    assert "cosine_with_warmup" in caught.value.hint
