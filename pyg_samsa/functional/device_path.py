"""Which of two implementations runs: the one for CPUs, or the one for accelerators and compilers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pyg_samsa.typing import Shaped

_cpu_path = True


@contextmanager
def accelerator_path() -> Iterator[None]:
    """Run on the CPU what otherwise runs on accelerators, to test it or to count its operations.

    Example:
        >>> with accelerator_path():
        ...     takes_cpu_path(torch.ones(2))
        False
    """
    global _cpu_path
    before, _cpu_path = _cpu_path, False
    try:
        yield
    finally:
        _cpu_path = before


def is_exporting() -> bool:
    """Return whether a program for `torch.export` is being traced, which has one path for graphs of all sizes.

    torch 2.6 does not tell; some later versions say so in compiled code too.

    Example:
        >>> is_exporting()
        False
    """
    exporting = getattr(torch.compiler, "is_exporting", None)
    return exporting is not None and bool(exporting()) and not torch.compiler.is_dynamo_compiling()


def takes_cpu_path(x: Shaped[Tensor, "..."]) -> bool:
    """Return whether the implementation for CPUs runs on ``x``: small pieces that fit in the cache.

    Accelerators and compiled code take whole tensors, without a look at their values.

    Args:
        x: A tensor of any shape.

    Example:
        >>> takes_cpu_path(torch.ones(2)), takes_cpu_path(torch.ones(2, device="meta"))
        (True, False)
    """
    return _cpu_path and x.device.type == "cpu" and not torch.compiler.is_compiling()
