"""Checks of values, which wait for the device at once or all together later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
from torch import Tensor

from pyg_samsa.errors import SAMSAError
from pyg_samsa.functional.device_path import takes_cpu_path
from pyg_samsa.typing import Shaped


class Check(NamedTuple):
    """A check whose result has not been read from the device.

    Attributes:
        bad: Whether something is wrong, a scalar on the device.
        explain: Returns the error, or None if nothing is wrong after all; it may read from the device.

    Example:
        >>> Check(torch.tensor(False), lambda: None).bad
        tensor(False)
    """

    bad: Shaped[Tensor, ""]
    explain: Callable[[], SAMSAError | None]


_deferred: ContextVar[list[Check] | None] = ContextVar("deferred checks", default=None)


@contextmanager
def deferred_checks() -> Iterator[list[Check]]:
    """Collect the checks of accelerators instead of making them, so that none waits for the device.

    Whoever asks for them has to read the results later. Checks on CPUs are made at once.

    Example:
        >>> from pyg_samsa.functional.device_path import accelerator_path
        >>> with accelerator_path(), deferred_checks() as checks:
        ...     require(torch.tensor(True), lambda: SAMSAError("wrong"))
        >>> bool(checks[0].bad)
        True
    """
    checks: list[Check] = []
    token = _deferred.set(checks)
    try:
        yield checks
    finally:
        _deferred.reset(token)


def require(bad: Shaped[Tensor, ""], explain: Callable[[], SAMSAError | None]) -> None:
    """Raise an error if something is wrong; within `deferred_checks` on an accelerator, note it instead.

    Compiled code makes no checks.

    Args:
        bad: Whether something is wrong, a scalar.
        explain: Returns the error, or None if nothing is wrong after all.

    Raises:
        SAMSAError: What ``explain`` returns.

    Example:
        >>> require(torch.tensor(False), lambda: SAMSAError("wrong"))

    Cost: One wait for the device, unless the check is deferred.
    """
    if torch.compiler.is_compiling():
        return
    deferred = _deferred.get()
    if deferred is not None and not takes_cpu_path(bad):
        deferred.append(Check(bad.detach(), explain))
    elif bool(bad) and (error := explain()) is not None:
        raise error
