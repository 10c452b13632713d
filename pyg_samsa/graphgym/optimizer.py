"""The optimisers ``adamW`` and ``adagrad``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg, from_config

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.register import register_once
from pyg_samsa.training.optimizers import OptimizerFactory, ParameterGroups, adamw


def adam_w(params: Iterable[Any], base_lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW over parameters, or over parameter groups with decays of their own.

    Args:
        params: As in ``torch.optim.AdamW``.
        base_lr: ``optim.base_lr``.
        weight_decay: ``optim.weight_decay``.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> adam_w(layer.parameters(), base_lr=0.01, weight_decay=0.1).param_groups[0]["lr"]
        0.01
    """
    listed = list(params)
    groups = listed if listed and isinstance(listed[0], dict) else [{"params": listed}]
    return adamw(groups, lr=base_lr, weight_decay=weight_decay)


def adagrad(params: Iterable[Any], base_lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return Adagrad over parameters, or over parameter groups with decays of their own.

    Args:
        params: As in ``torch.optim.Adagrad``.
        base_lr: ``optim.base_lr``.
        weight_decay: ``optim.weight_decay``.

    Example:
        >>> layer = torch.nn.Linear(2, 1)
        >>> adagrad(layer.parameters(), base_lr=0.01, weight_decay=0.0).param_groups[0]["lr"]
        0.01
    """
    return torch.optim.Adagrad(params, lr=base_lr, weight_decay=weight_decay)


def choose_optimizer() -> OptimizerFactory:
    """Return a function that makes the optimiser ``optim.optimizer``, one of GraphGym's registry.

    Raises:
        ConfigError: No optimiser is registered under this name.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> layer = torch.nn.Linear(2, 1)
        >>> type(choose_optimizer()([{"params": layer.parameters()}])).__name__
        'Adam'
    """
    registered: Callable[..., torch.optim.Optimizer] | None = register.optimizer_dict.get(cfg.optim.optimizer)
    if registered is None:
        raise ConfigError("optim.optimizer", cfg.optim.optimizer, sorted(register.optimizer_dict))

    def make(groups: ParameterGroups) -> torch.optim.Optimizer:
        return from_config(registered)(groups, cfg=cfg.optim)

    return make


register_once(register.optimizer_dict, "adamW", adam_w)
register_once(register.optimizer_dict, "adagrad", adagrad)
