r"""Learning-rate schedules, each a pure function of the optimiser step, ready for Lightning.

Step s counts optimiser steps from 0; a run of ``total_steps`` uses the steps 0 to total_steps - 1. Warm-up over W steps
has the multiplier :math:`(s + 1) / (W + 1)`: linear, above zero in the first step (which would else be wasted) and
exactly 1 at s = W, where the decay begins, so that the schedule has no jump. Decay ends at ``total_steps``, one step
after the last one: the last step still moves the weights. Beyond it the multiplier stays at its end value.

A warm-up that is not shorter than the run never reaches the base rate, and is an error, not a silent clamp.
"""

from __future__ import annotations

import inspect
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option, check_integer, options_of, plain

MinRatio = Annotated[float, Option("Multiplier at the end of the decay.", low=0, high=1)]
WarmupSteps = Annotated[int, Option("Optimiser steps of linear warm-up.", low=0)]


def warmup(step: int, warmup_steps: int) -> float:
    r"""Return :math:`\min(1, (s + 1) / (W + 1))`.

    Args:
        step: s, at least 0.
        warmup_steps: W, at least 0.

    Example:
        >>> [warmup(step, 3) for step in range(5)]
        [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / (warmup_steps + 1))


def progress(step: int, warmup_steps: int, total_steps: int) -> float:
    """Return how much of the run after the warm-up is over at a step, in [0, 1].

    Args:
        step: s, at least 0.
        warmup_steps: W, less than ``total_steps``.
        total_steps: Optimiser steps of the run, at least 1.

    Example:
        >>> [progress(step, 2, 6) for step in (0, 2, 4, 6, 9)]
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    return min(1.0, max(0.0, (step - warmup_steps) / (total_steps - warmup_steps)))


def cosine_with_warmup(step: int, *, total_steps: int, warmup_steps: int = 0, min_ratio: float = 0.0) -> float:
    r"""Return the multiplier of linear warm-up and cosine decay.

    After the warm-up it is :math:`r + (1 - r) \tfrac12 (1 + \cos \pi p)`, where p is `progress`.

    Args:
        step: s, at least 0.
        total_steps: Optimiser steps of the run.
        warmup_steps: W, less than ``total_steps``.
        min_ratio: r in [0, 1], reached at ``total_steps``.

    Example:
        >>> [round(cosine_with_warmup(step, total_steps=5, warmup_steps=1), 3) for step in range(6)]
        [0.5, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if step < warmup_steps:
        return warmup(step, warmup_steps)
    return min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * progress(step, warmup_steps, total_steps)))


def linear_with_warmup(step: int, *, total_steps: int, warmup_steps: int = 0, min_ratio: float = 0.0) -> float:
    r"""Return the multiplier of linear warm-up, then :math:`r + (1 - r)(1 - p)`.

    Args:
        step: s, at least 0.
        total_steps: Optimiser steps of the run.
        warmup_steps: W, less than ``total_steps``.
        min_ratio: r in [0, 1], reached at ``total_steps``.

    Example:
        >>> [linear_with_warmup(step, total_steps=5, warmup_steps=1) for step in range(6)]
        [0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    return polynomial_with_warmup(
        step, total_steps=total_steps, warmup_steps=warmup_steps, power=1.0, min_ratio=min_ratio
    )


def polynomial_with_warmup(
    step: int, *, total_steps: int, warmup_steps: int = 0, power: float = 2.0, min_ratio: float = 0.0
) -> float:
    r"""Return the multiplier of linear warm-up, then :math:`r + (1 - r)(1 - p)^{q}`.

    Args:
        step: s, at least 0.
        total_steps: Optimiser steps of the run.
        warmup_steps: W, less than ``total_steps``.
        power: q, positive.
        min_ratio: r in [0, 1], reached at ``total_steps``.

    Example:
        >>> [polynomial_with_warmup(step, total_steps=4) for step in range(5)]
        [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """
    if step < warmup_steps:
        return warmup(step, warmup_steps)
    return min_ratio + (1 - min_ratio) * (1 - progress(step, warmup_steps, total_steps)) ** power


def constant_with_warmup(step: int, *, warmup_steps: int = 0) -> float:
    """Return the multiplier of linear warm-up, then 1.

    Args:
        step: s, at least 0.
        warmup_steps: W, at least 0.

    Example:
        >>> [constant_with_warmup(step, warmup_steps=1) for step in range(3)]
        [0.5, 1.0, 1.0]
    """
    return warmup(step, warmup_steps)


def step_decay(
    step: int, *, milestones: Sequence[int] = (), every: int | None = None, gamma: float = 0.1, warmup_steps: int = 0
) -> float:
    r"""Return :math:`\gamma^m` times the linear warm-up, m the number of decays that the step has passed.

    Args:
        step: s, at least 0.
        milestones: Optimiser steps, increasing, at which the rate decays.
        every: Or: the number of optimiser steps between two decays.
        gamma: Factor of a decay, in (0, 1].
        warmup_steps: W, at least 0.

    Example:
        >>> [step_decay(step, milestones=[2, 4], gamma=0.5) for step in range(6)]
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
        >>> [step_decay(step, every=2, gamma=0.5) for step in range(5)]
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    passed = bisect_right(list(milestones), step) if every is None else step // every
    return float(gamma**passed) * warmup(step, warmup_steps)


DECAY_TO_END = ("cosine_with_warmup", "linear_with_warmup", "polynomial_with_warmup")
"""The schedules that decay to an end, which is the end of the run."""


def available() -> list[str]:
    """Return the names that :func:`build` knows, sorted.

    Example:
        >>> "cosine_with_warmup" in available()
        True
    """
    return sorted(BUILDERS)


def options(name: str) -> list[str]:
    """Return the names of the options that `build` takes for a schedule, besides the lengths.

    Args:
        name: One of :func:`available`.

    Raises:
        ConfigError: The name is unknown.

    Example:
        >>> options("cosine_with_warmup"), options("step")
        (['min_ratio'], ['milestones', 'every', 'gamma'])
    """
    if name not in BUILDERS:
        raise ConfigError("scheduler", name, available())
    return list(options_of(BUILDERS[name]))


def build(
    name: str,
    optimizer: Optimizer,
    *,
    total_steps: float | None = None,
    warmup_steps: WarmupSteps = 0,
    steps_per_epoch: int | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Return a schedule as the dict that Lightning takes as ``lr_scheduler``.

    ====================== =========================================== ======== ========================================
    name                   after the warm-up                           interval options
    ====================== =========================================== ======== ========================================
    cosine_with_warmup     half a cosine down to ``min_ratio``         step     min_ratio
    linear_with_warmup     a line down to ``min_ratio``                step     min_ratio
    polynomial_with_warmup ``(1 - p) ** power`` down to ``min_ratio``  step     power, min_ratio
    constant_with_warmup   1                                           step
    step                   ``gamma`` at every milestone                step     milestones or every (epochs), gamma
    plateau                ``factor`` when the monitored value stalls  epoch    monitor, mode, factor, patience, min_lr
    none                   1 (no warm-up)                              step
    ====================== =========================================== ======== ========================================

    Args:
        name: One of :func:`available`.
        optimizer: The optimiser; its present rates are the base rates.
        total_steps: Optimiser steps of the whole run (Lightning's ``trainer.estimated_stepping_batches``); needed by
            the schedules that decay to an end, and then finite.
        warmup_steps: Optimiser steps of warm-up, at least 0 and less than ``total_steps``; 0 for plateau and none.
        steps_per_epoch: Optimiser steps of an epoch; needed by "step" with milestones or every.
        settings: Options of the schedule, see :func:`options`.

    Returns:
        ``{"scheduler": ..., "interval": "step" | "epoch", "frequency": 1}``; for plateau also ``"monitor"``.

    Raises:
        ConfigError: An unknown name or option, a value that is not allowed, or a warm-up that is not shorter than the
            run.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> schedule = build("cosine_with_warmup", optimizer, total_steps=100, warmup_steps=9)
        >>> schedule["interval"], optimizer.param_groups[0]["lr"]
        ('step', 0.1)
    """
    known, settings = options(name), plain(settings)
    for key in settings:
        if key not in known:
            raise ConfigError(f"scheduler {name}", key, known or "no options")
        options_of(BUILDERS[name])[key].check(settings[key])
    check_integer("warmup_steps", warmup_steps, low=0)
    total_steps, warmup_steps, steps_per_epoch = plain((total_steps, warmup_steps, steps_per_epoch))
    if total_steps is not None and not total_steps >= 1:
        raise ConfigError("total_steps", total_steps, "at least 1 optimiser step")
    if total_steps is not None and warmup_steps >= total_steps:
        hint = "Train longer, or shorten the warm-up (optim.num_warmup_epochs, which may be a fraction or 0)."
        raise ConfigError(
            "warmup_steps", warmup_steps, f"fewer than the {total_steps:g} optimiser steps of the run", hint=hint
        )
    builder = BUILDERS[name]
    lengths = {"total_steps": total_steps, "warmup_steps": warmup_steps, "steps_per_epoch": steps_per_epoch}
    taken = {key: value for key, value in lengths.items() if key in inspect.signature(builder).parameters}
    if warmup_steps and "warmup_steps" not in taken:
        raise ConfigError(
            "warmup_steps",
            warmup_steps,
            f"0 for the scheduler {name!r}",
            hint="Use 'constant_with_warmup' for warm-up without decay.",
        )
    made = builder(**taken, **settings)
    if name == "plateau":
        monitor = made.pop("monitor")
        return {
            "scheduler": ReduceLROnPlateau(optimizer, **made),
            "interval": "epoch",
            "frequency": 1,
            "monitor": monitor,
        }
    return {"scheduler": LambdaLR(optimizer, made), "interval": "step", "frequency": 1}


def repeat_rates(optimizer: Optimizer, rates: Sequence[float], steps_per_epoch: int) -> dict[str, Any]:
    """Return the schedule that gives each epoch the learning rate that it had before, as `build` returns one.

    Args:
        optimizer: The optimiser; its present rate is the base rate.
        rates: Learning rate of each epoch; the last one holds for all epochs after it.
        steps_per_epoch: Optimiser steps of an epoch, at least 1.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> schedule = repeat_rates(optimizer, [1.0, 0.5], steps_per_epoch=2)["scheduler"]
        >>> [schedule.lr_lambdas[0](step) for step in range(6)]
        [1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    """
    base = optimizer.param_groups[0]["lr"]
    made = partial(_repeated, multipliers=[rate / base for rate in rates], steps_per_epoch=steps_per_epoch)
    return {"scheduler": LambdaLR(optimizer, made), "interval": "step", "frequency": 1}


def _repeated(step: int, *, multipliers: Sequence[float], steps_per_epoch: int) -> float:
    return multipliers[min(step // steps_per_epoch, len(multipliers) - 1)]


def set_present_rate(scheduler: Any) -> None:
    """Set the rate of the next step to what the schedule says; a schedule that is not from `build` is left alone.

    Args:
        scheduler: A schedule whose length has changed.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> scheduler = build("constant_with_warmup", optimizer, warmup_steps=3)["scheduler"]
        >>> optimizer.param_groups[0]["lr"] = 5.0
        >>> set_present_rate(scheduler)
        >>> optimizer.param_groups[0]["lr"]
        0.25
    """
    if isinstance(scheduler, LambdaLR):
        rates = zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
        for group, (base, multiplier) in zip(scheduler.optimizer.param_groups, rates, strict=True):
            group["lr"] = base * multiplier(scheduler.last_epoch)


def set_total_steps(scheduler: Any, total_steps: int) -> None:
    """End the decay of a schedule at another step, from the next step on; one that has no end stays as it is.

    Args:
        scheduler: From `build`.
        total_steps: Optimiser steps of the whole run, more than those of the warm-up.

    Raises:
        ConfigError: The warm-up is not shorter.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> scheduler = build("linear_with_warmup", optimizer, total_steps=100)["scheduler"]
        >>> optimizer.step()
        >>> scheduler.step()
        >>> set_total_steps(scheduler, 2)
        >>> optimizer.param_groups[0]["lr"]
        0.5
    """
    warmup = warmup_steps_of(scheduler)
    multipliers = scheduler.lr_lambdas if isinstance(scheduler, LambdaLR) else []
    for place, multiplier in enumerate(multipliers):
        if isinstance(multiplier, partial) and "total_steps" in multiplier.keywords:
            if total_steps <= warmup:
                raise ConfigError("total_steps", total_steps, f"more than the {warmup} steps of the warm-up")
            multipliers[place] = partial(multiplier.func, **multiplier.keywords | {"total_steps": total_steps})
    set_present_rate(scheduler)


def warmup_steps_of(scheduler: Any) -> int:
    """Return the optimiser steps of the warm-up of a schedule; 0 for one that is not from `build`.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> warmup_steps_of(build("constant_with_warmup", optimizer, warmup_steps=3)["scheduler"])
        3
    """
    multipliers = scheduler.lr_lambdas if isinstance(scheduler, LambdaLR) else []
    return max((getattr(each, "keywords", {}).get("warmup_steps", 0) for each in multipliers), default=0)


# Not CosineAnnealingLR, LinearLR or SequentialLR: they keep the length of the run in their saved state, so a run that
# is resumed for more epochs would keep its old schedule. LambdaLR over a partial (which pickles) saves the step alone.
Multiplier = Callable[[int], float]


def _cosine(total_steps: float | None, warmup_steps: int, min_ratio: MinRatio = 0.0) -> Multiplier:
    return partial(cosine_with_warmup, total_steps=_finite(total_steps), warmup_steps=warmup_steps, min_ratio=min_ratio)


def _linear(total_steps: float | None, warmup_steps: int, min_ratio: MinRatio = 0.0) -> Multiplier:
    return partial(linear_with_warmup, total_steps=_finite(total_steps), warmup_steps=warmup_steps, min_ratio=min_ratio)


def _polynomial(
    total_steps: float | None,
    warmup_steps: int,
    power: Annotated[float, Option("Exponent of the decay.", above=0)] = 2.0,
    min_ratio: MinRatio = 0.0,
) -> Multiplier:
    return partial(
        polynomial_with_warmup,
        total_steps=_finite(total_steps),
        warmup_steps=warmup_steps,
        power=power,
        min_ratio=min_ratio,
    )


def _constant(warmup_steps: int) -> Multiplier:
    return partial(constant_with_warmup, warmup_steps=warmup_steps)


def _none() -> Multiplier:
    return partial(constant_with_warmup, warmup_steps=0)


def _step(
    warmup_steps: int,
    steps_per_epoch: int | None,
    milestones: Annotated[Sequence[int] | None, Option("Epochs at which the learning rate decays.")] = None,
    every: Annotated[int | None, Option("Epochs between decays, in place of milestones.", low=1)] = None,
    gamma: Annotated[float, Option("Factor of a decay.", above=0, high=1)] = 0.1,
) -> Multiplier:
    if (milestones is None) == (every is None):
        raise ConfigError(
            "scheduler step", {"milestones": milestones, "every": every}, "either milestones or every, in epochs"
        )
    epoch = _count("steps_per_epoch", steps_per_epoch)
    if every is not None:
        return partial(step_decay, every=_count("every", every) * epoch, gamma=gamma, warmup_steps=warmup_steps)
    epochs = [_count("milestones", value) for value in milestones or []]
    if epochs != sorted(set(epochs)):
        raise ConfigError("milestones", milestones, "increasing epochs, each once")
    return partial(step_decay, milestones=[value * epoch for value in epochs], gamma=gamma, warmup_steps=warmup_steps)


def _plateau(
    monitor: Annotated[str, Option("Logged value to watch.")] = "val_loss",
    mode: Annotated[str, Option("Whether the value should fall or rise.", ("min", "max"))] = "min",
    factor: Annotated[float, Option("Factor of a decay of the plateau schedule.", above=0, below=1)] = 0.5,
    patience: Annotated[int, Option("Epochs without progress before the plateau schedule decays.", low=0)] = 10,
    min_lr: Annotated[float, Option("Learning rate at the end of a decay.", low=0)] = 0.0,
) -> dict[str, Any]:
    if not isinstance(monitor, str) or not monitor:
        raise ConfigError("monitor", monitor, "the name of a logged value")
    return {"monitor": monitor, "mode": mode, "factor": factor, "patience": patience, "min_lr": min_lr}


BUILDERS: dict[str, Callable[..., Any]] = {
    "cosine_with_warmup": _cosine,
    "linear_with_warmup": _linear,
    "polynomial_with_warmup": _polynomial,
    "constant_with_warmup": _constant,
    "step": _step,
    "plateau": _plateau,
    "none": _none,
}


def _finite(total_steps: float | None) -> int:
    if total_steps is None or not math.isfinite(total_steps):
        raise ConfigError(
            "total_steps",
            total_steps,
            "a finite number of optimiser steps",
            hint="Set the number of epochs, or use 'constant_with_warmup'.",
        )
    return int(total_steps)


def _count(name: str, value: Any) -> int:
    check_integer(name, value)
    return int(value)
