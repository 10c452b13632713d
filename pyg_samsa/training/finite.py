"""Check that losses are finite, without waiting for the device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyg_samsa.errors import NumericalError


class FiniteGuard:
    """Raises when a watched value is not finite.

    On a CPU the check is immediate. On a CUDA device the value is copied asynchronously and checked with the next one,
    so that no step waits.

    Example:
        >>> guard = FiniteGuard()
        >>> guard.watch(torch.tensor(1.0), "training loss at step 0")
        >>> guard.watch(torch.tensor(float("nan")), "training loss at step 1")
        Traceback (most recent call last):
        pyg_samsa.errors.NumericalError: training loss at step 1: is nan
    """

    HINT = "Lower optim.base_lr, set optim.clip_grad_norm True, or look for extreme values in the data."

    def __init__(self) -> None:
        self._pending: tuple[Tensor, torch.cuda.Event, str] | None = None

    def watch(self, value: Tensor, where: str) -> None:
        """Check a scalar, now or with the next one.

        Args:
            value: Scalar without a graph.
            where: What it is and when it was, for the message.

        Raises:
            NumericalError: This value, or on a CUDA device the one before, is not finite.

        Example:
            >>> FiniteGuard().watch(torch.tensor(float("inf")), "training loss at step 3")
            Traceback (most recent call last):
            pyg_samsa.errors.NumericalError: training loss at step 3: is inf
        """
        self.flush()
        if not value.is_cuda:
            self._check(float(value), where)
            return
        copy = torch.empty((), dtype=torch.float32, pin_memory=True)
        copy.copy_(value, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._pending = (copy, event, where)

    def flush(self) -> None:
        """Check the value that is still pending, if there is one.

        Raises:
            NumericalError: It is not finite.
        """
        if self._pending is not None:
            copy, event, where = self._pending
            self._pending = None
            event.synchronize()
            self._check(float(copy), where)

    def _check(self, value: float, where: str) -> None:
        if not math.isfinite(value):
            raise NumericalError(where, f"is {value}", hint=self.HINT)
