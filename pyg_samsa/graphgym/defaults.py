"""Defaults that depend on other settings give way to what the user asked for, and checks of ``cfg`` without data."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection
from typing import Any

from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.graphgym.baselines import gnn_options
from pyg_samsa.graphgym.optimizer import choose_optimizer
from pyg_samsa.graphgym.scheduler import check_scheduler, scheduler_name
from pyg_samsa.graphgym.settings import WITHOUT_ENCODINGS, value_of
from pyg_samsa.nn.models.message_passing import LAYERS

WITHOUT_WARMUP = ("none", "plateau")
"""Schedules without a warm-up."""


class _Asked:
    """The settings of the command line, and what was changed for them."""

    def __init__(self, asked: Collection[str]) -> None:
        self.asked, self.notes = asked, list[str]()

    def yields(self, key: str, *to: str) -> bool:
        """Say whether a setting comes from a file or a default, and one of the others from the command line."""
        return key not in self.asked and any(other in self.asked for other in to)

    def change(self, key: str, value: Any, reason: str) -> None:
        group, _, name = key.rpartition(".")
        old, cfg[group][name] = value_of(key, cfg), value
        shown = f"{old:g} -> {value:g}" if isinstance(value, float) else f"{old} -> {value}"
        self.notes.append(f"{key} {shown} ({reason})")


def fit_defaults(asked: Collection[str]) -> list[str]:
    """Change settings of the file, and defaults, that contradict a setting of the command line.

    ================================ =============================== ===================================================
    setting that gives way           setting that was asked for      its new value
    ================================ =============================== ===================================================
    ``optim.num_warmup_epochs``      ``optim.max_epoch``             half of the epochs, where it is not below them
    ``optim.num_warmup_epochs``      ``optim.num_warmup_steps``      0, and the other way round
    ``optim.num_warmup_epochs``,     ``optim.scheduler``             0, for a schedule without warm-up
    ``optim.num_warmup_steps``
    ``optim.min_lr``                 ``optim.base_lr``               the same rate, where it is above it
    ``train.eval_period``            ``optim.max_epoch``             the number of epochs, where it is above them
    ``samsa.heads``                  ``samsa.channels``              the largest smaller divisor of the channels
    ``samsa.channels``               ``samsa.heads``                 the next smaller multiple of the heads
    ``pe.kind``                      ``model.type``                  none, for a network without encodings
    ================================ =============================== ===================================================

    Args:
        asked: Keys of the settings of the command line.

    Returns:
        A text for each change.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.optim.max_epoch, cfg.optim.num_warmup_epochs = 1, 3.0
        >>> fit_defaults({"optim.max_epoch"})
        ['optim.num_warmup_epochs 3 -> 0.5 (optim.max_epoch is 1)']
        >>> set_cfg(cfg)
    """
    found = _Asked(asked)
    for rule in _RULES:
        rule(found)
    return found.notes


def _warmup(found: _Asked) -> None:
    optim, epochs, steps = cfg.optim, "optim.num_warmup_epochs", "optim.num_warmup_steps"
    for key, other in ((epochs, steps), (steps, epochs)):
        if value_of(key, cfg) and value_of(other, cfg) and found.yields(key, other):
            found.change(key, type(value_of(key, cfg))(0), f"{other} is set")
    if scheduler_name() in WITHOUT_WARMUP:
        for key in (epochs, steps):
            if value_of(key, cfg) and found.yields(key, "optim.scheduler"):
                found.change(key, type(value_of(key, cfg))(0), f"optim.scheduler {optim.scheduler} has no warm-up")
    if optim.num_warmup_epochs >= optim.max_epoch and found.yields(epochs, "optim.max_epoch"):
        found.change(epochs, optim.max_epoch / 2, f"optim.max_epoch is {optim.max_epoch}")


def _rates(found: _Asked) -> None:
    if cfg.optim.min_lr > cfg.optim.base_lr and found.yields("optim.min_lr", "optim.base_lr"):
        found.change("optim.min_lr", cfg.optim.base_lr, "optim.base_lr is lower")


def _eval_period(found: _Asked) -> None:
    epochs = cfg.optim.max_epoch
    if cfg.train.eval_period > epochs and found.yields("train.eval_period", "optim.max_epoch"):
        found.change("train.eval_period", epochs, f"optim.max_epoch is {epochs}")


def _heads(found: _Asked) -> None:
    channels, heads = cfg.samsa.channels, cfg.samsa.heads
    if cfg.model.type != "samsa" or channels % heads == 0:
        return
    if found.yields("samsa.heads", "samsa.channels"):
        fitting = next(number for number in range(min(heads, channels), 0, -1) if channels % number == 0)
        found.change("samsa.heads", fitting, f"samsa.channels is {channels}")
    elif found.yields("samsa.channels", "samsa.heads"):
        found.change("samsa.channels", max(1, channels // heads) * heads, f"samsa.heads is {heads}")


def _encodings(found: _Asked) -> None:
    network = cfg.model.type
    if cfg.pe.kind != "none" and network in WITHOUT_ENCODINGS and found.yields("pe.kind", "model.type"):
        found.change("pe.kind", "none", f"{network} takes no encodings")


_RULES: tuple[Callable[[_Asked], None], ...] = (_warmup, _rates, _eval_period, _heads, _encodings)


def check_run() -> None:
    """Check what a run needs and what needs no data: names, packages, and the lengths of warm-up and validation.

    Raises:
        ConfigError: The network, the optimiser or the schedule does not exist, or two settings contradict each other.
        MissingDependencyError: A logger that is asked for is not installed.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "sams"
        >>> check_run()
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: model.type: got 'sams', expected one of ...
        >>> set_cfg(cfg)
    """
    if cfg.model.type not in register.network_dict:
        raise ConfigError("model.type", cfg.model.type, sorted(register.network_dict))
    if cfg.model.type in LAYERS or cfg.model.type == "gps":
        gnn_options(cfg.model.type)
    choose_optimizer()
    check_scheduler()
    optim = cfg.optim
    warmup = optim.num_warmup_epochs
    if warmup >= optim.max_epoch:
        hint = "Train longer, or shorten the warm-up, which may be a fraction or 0."
        raise ConfigError(
            "optim.num_warmup_epochs", warmup, f"less than optim.max_epoch ({optim.max_epoch})", hint=hint
        )
    if (warmup or optim.num_warmup_steps) and scheduler_name() in WITHOUT_WARMUP:
        key = "optim.num_warmup_epochs" if warmup else "optim.num_warmup_steps"
        hint = "Use 'constant_with_warmup' for warm-up without decay."
        raise ConfigError(key, value_of(key, cfg), f"0 for the scheduler {optim.scheduler!r}", hint=hint)
    if cfg.train.eval_period > optim.max_epoch:
        hint = "No epoch would be validated."
        raise ConfigError("train.eval_period", cfg.train.eval_period, f"at most {optim.max_epoch} epochs", hint=hint)
    packages = {
        "wandb": ("wandb.use", cfg.wandb.use),
        "tensorboard": ("tensorboard_each_run", cfg.tensorboard_each_run),
    }
    for package, (key, used) in packages.items():
        if used and importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, package, key)
