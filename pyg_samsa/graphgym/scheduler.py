"""Learning-rate schedules for this package's runner and for GraphGym's own.

GraphGym steps its schedules once per epoch and does not pass them the number of steps. Under its own runner the
registered schedules therefore change once per epoch, and under this package's runner with every optimiser step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg, from_config

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.graphgym.settings import values_for
from pyg_samsa.training import schedulers
from pyg_samsa.training.module import SchedulerFactory

# Values of optim.scheduler in GraphGym and GraphGPS -> names in pyg_samsa.training.schedulers.
ALIASES = {"cos": "cosine_with_warmup", "reduce_on_plateau": "plateau", "steps": "step"}
WITHOUT_WARMUP = ("none", "plateau")
"""Schedules without a warm-up."""
_FED_BY = {"milestones": "optim.steps", "gamma": "optim.lr_decay", "factor": "optim.reduce_factor"}
_FED_BY |= {"patience": "optim.schedule_patience", "min_lr": "optim.min_lr"}
# Names of GraphGym's own schedules, which it steps once per epoch; this package's runner steps them with every batch.
_OWN = ("none", "step", "cos")


def scheduler_name() -> str:
    """Return the present ``optim.scheduler`` by its name in `pyg_samsa.training.schedulers`, if it is one of those."""
    asked = str(cfg.optim.scheduler)
    return ALIASES.get(asked, asked)


def choose_scheduler(monitor: str | None, *, higher_is_better: bool) -> SchedulerFactory:
    """Return a function that makes the schedule ``optim.scheduler``.

    Args:
        monitor: Logged name that the plateau schedule watches.
        higher_is_better: Its direction.

    Raises:
        ConfigError: No schedule is registered under this name, or its settings contradict each other.
    """
    check_scheduler()
    asked, name = str(cfg.optim.scheduler), scheduler_name()
    if name not in schedulers.available():
        return lambda optimizer, total_steps, steps_per_epoch: from_config(register.scheduler_dict[asked])(
            optimizer, cfg=cfg.optim
        )
    settings = _settings(name, monitor, higher_is_better)

    def make(optimizer: torch.optim.Optimizer, total_steps: int, steps_per_epoch: int) -> Any:
        # Half an epoch of one step is rounded to no step, never to the whole run.
        epochs = min(round(cfg.optim.num_warmup_epochs * steps_per_epoch), max(0, total_steps - 1))
        warmup = cfg.optim.num_warmup_steps or epochs
        return schedulers.build(
            name, optimizer, total_steps=total_steps, warmup_steps=warmup, steps_per_epoch=steps_per_epoch, **settings
        )

    return make


def check_scheduler() -> None:
    """Check the name of the schedule, and its settings.

    Raises:
        ConfigError: As in `choose_scheduler`.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.optim.scheduler = "cosin"
        >>> check_scheduler()
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: optim.scheduler: got 'cosin', expected one of ...
        >>> set_cfg(cfg)
    """
    asked, name = str(cfg.optim.scheduler), scheduler_name()
    if name not in schedulers.available():
        if asked not in register.scheduler_dict:
            # GraphGym registers its constant schedule under None, which is "none" here.
            known = sorted({*schedulers.available(), *ALIASES, *filter(None, register.scheduler_dict)})
            raise ConfigError("optim.scheduler", asked, known)
        return
    # Which value a plateau schedule watches is known with the data.
    settings = _settings(name, "val_loss", higher_is_better=False)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    try:
        schedulers.build(name, optimizer, total_steps=1, steps_per_epoch=1, **settings)
    except ConfigError as error:
        raise error.renamed(_FED_BY.get(error.key, error.key)) from None


def _settings(name: str, monitor: str | None, higher_is_better: bool) -> dict[str, Any]:
    optim = cfg.optim
    if name == "step":
        return {"milestones": list(optim.steps), "gamma": optim.lr_decay}
    if name == "plateau":
        if monitor is None:
            raise ConfigError("optim.scheduler", optim.scheduler, "a schedule that needs no validation split")
        mode = "max" if higher_is_better else "min"
        return {"monitor": monitor, "mode": mode, **values_for(schedulers.BUILDERS["plateau"], cfg)}
    if name in schedulers.DECAY_TO_END:
        if optim.min_lr > optim.base_lr:
            raise ConfigError("optim.min_lr", optim.min_lr, f"at most optim.base_lr ({optim.base_lr})")
        return {"min_ratio": optim.min_lr / optim.base_lr}
    return {}


def _per_epoch(name: str) -> Callable[..., Any]:
    def make(optimizer: torch.optim.Optimizer, max_epoch: int, num_warmup_epochs: float) -> Any:
        settings = _settings(name, None, higher_is_better=False)
        return schedulers.build(
            name, optimizer, total_steps=max_epoch, warmup_steps=round(num_warmup_epochs), steps_per_epoch=1, **settings
        )["scheduler"]

    make.__qualname__ = f"{name}_scheduler"
    return make


for _name in schedulers.available():
    # A plateau schedule needs a logged value, and GraphGym's own runner logs none.
    if _name not in (*_OWN, "plateau"):
        register_once(register.scheduler_dict, _name, _per_epoch(_name))
