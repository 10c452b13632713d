"""Optimisers and weight decay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from torch import nn

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option, check_options, plain

ParameterGroups = list[dict[str, Any]]
OptimizerFactory = Callable[[ParameterGroups], torch.optim.Optimizer]

NO_DECAY_NAMES = ("support_score", "alpha", "raw_sigma")


def parameter_groups(
    model: nn.Module, weight_decay: float, *, no_decay: Sequence[str] = NO_DECAY_NAMES
) -> ParameterGroups:
    """Split trainable weights into those that decay and those that do not.

    Norms, biases and scalars (everything with at most one axis) and weights whose last name is in ``no_decay`` (scores
    of support tokens, the ReZero scalar, the code's deviation) do not decay: pulling them to zero changes what the
    network can express, not how smooth it is.

    Args:
        model: Network to train.
        weight_decay: Decay of the first group, 0 or more.
        no_decay: Last names of weights that never decay.

    Raises:
        ConfigError: Nothing is trainable, or ``weight_decay`` is negative.

    Example:
        >>> [(len(group["params"]), group["weight_decay"]) for group in parameter_groups(nn.Linear(3, 2), 0.1)]
        [(1, 0.1), (1, 0.0)]
    """
    weight_decay = plain(weight_decay)
    if weight_decay < 0:
        raise ConfigError("optim.weight_decay", weight_decay, "0 or more")
    decaying: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            (others if weight.ndim <= 1 or name.rsplit(".", 1)[-1] in no_decay else decaying).append(weight)
    if not decaying and not others:
        raise ConfigError("model", type(model).__name__, "a network with at least one trainable weight")
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def adamw(
    groups: ParameterGroups,
    *,
    lr: Annotated[float, Option("Learning rate.", above=0)],
    weight_decay: Annotated[float, Option("Weight decay; norms, biases and scalars do not decay.", low=0)] = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """Return AdamW, its update fused into one kernel where PyTorch has one: on CUDA devices and on the CPU.

    Args:
        groups: From :func:`parameter_groups`; the ``weight_decay`` of a group overrides the argument.
        lr: Learning rate, above 0.
        weight_decay: Weight decay of groups without their own, 0 or more.
        betas: Decay rates of the moments.

    Raises:
        ConfigError: ``lr`` or ``weight_decay`` is out of range.

    Example:
        >>> optimizer = adamw(parameter_groups(nn.Linear(3, 2), 0.1), lr=1e-3)
        >>> [group["weight_decay"] for group in optimizer.param_groups]
        [0.1, 0.0]
    """
    lr, weight_decay, betas = plain(lr), plain(weight_decay), plain(betas)
    check_options(adamw, {"lr": lr, "weight_decay": weight_decay})
    weights = [weight for group in groups for weight in group["params"]]
    fused = {weight.device.type for weight in weights} in ({"cuda"}, {"cpu"})
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay, betas=betas, fused=fused or None)
    # The trainer unscales and clips gradients itself; it refuses to clip where the optimiser would unscale them.
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer
