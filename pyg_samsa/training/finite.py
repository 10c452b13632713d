"""Check losses and what else has to be checked in a step, without waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_samsa.errors import NumericalError
from pyg_samsa.functional.deferred_checks import Check


class _Pending(NamedTuple):
    """Results of a step that are on their way to the CPU: the value, then those of the checks."""

    results: Tensor
    wait: Callable[[], None]
    where: str
    checks: tuple[Check, ...]


def copy_to_host(values: Tensor) -> tuple[Tensor, Callable[[], None]]:
    """Start to copy values to the CPU; return the copy, and a function that waits until it is complete.

    Example:
        >>> copy, wait = copy_to_host(torch.tensor([1.0, 2.0]))
        >>> wait()
        >>> copy
        tensor([1., 2.])
    """
    if not values.is_cuda:
        return values.cpu(), lambda: None
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copy.copy_(values, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return copy, event.synchronize


class FiniteGuard:
    """Raises when a watched value is not finite, or a deferred check has failed.

    On a CPU the check is immediate. On another device all results of a step are copied together and read with those of
    the next step, so that no step waits.

    Example:
        >>> guard = FiniteGuard()
        >>> guard.watch(torch.tensor(1.0), "training loss at step 0")
        >>> guard.watch(torch.tensor(float("nan")), "training loss at step 1")
        Traceback (most recent call last):
        pyg_samsa.errors.NumericalError: training loss at step 1: is nan
    """

    HINT = "Lower optim.base_lr, set optim.clip_grad_norm True, or look for extreme values in the data."

    def __init__(self) -> None:
        self._pending: _Pending | None = None
        self.everywhere = False
        """Whether all processes watch the same values."""

    def watch(self, value: Tensor, where: str, checks: Sequence[Check] = ()) -> None:
        """Check a scalar, now or with the next one.

        Args:
            value: Scalar without a graph.
            where: What it is and when it was, for the message.
            checks: Deferred checks of the same step, see `pyg_samsa.functional.deferred_checks.deferred_checks`.

        Raises:
            NumericalError: This value, or on another device than a CPU the one before, is not finite.
            SAMSAError: A deferred check has failed.

        Example:
            >>> FiniteGuard().watch(torch.tensor(float("inf")), "training loss at step 3")
            Traceback (most recent call last):
            pyg_samsa.errors.NumericalError: training loss at step 3: is inf
        """
        self.flush()
        if value.device.type == "cpu" and not checks:
            self._check(float(value), where)
            return
        results = torch.stack([value.float(), *(check.bad.float() for check in checks)])
        self._pending = _Pending(*copy_to_host(results), where, tuple(checks))

    def flush(self) -> None:
        """Check what is still pending, if there is anything.

        Raises:
            NumericalError: The value is not finite.
            SAMSAError: A deferred check has failed.
        """
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        pending.wait()
        value, *bad = pending.results.tolist()
        for failed, check in zip(bad, pending.checks, strict=True):
            if failed and (error := check.explain()) is not None:
                error.everywhere = self.everywhere and not math.isfinite(value)
                raise error
        self._check(value, pending.where)

    def _check(self, value: float, where: str) -> None:
        if not math.isfinite(value):
            error = NumericalError(where, f"is {value}", hint=self.HINT)
            error.everywhere = self.everywhere
            raise error
