"""What the C library does with memory that was given back."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any


def keep_memory() -> bool:
    """Let the C library keep what large tensors give back, instead of returning it to the system after every step and asking for it again.

    On Linux with glibc, tensors above 32 MiB are mapped anew each time, and the system fills every page with zeros first: that is up to a third of
    the time of a training step on the CPU. The process then holds the most memory that it ever needed until it ends. Elsewhere nothing happens.

    Returns:
        Whether the C library took it.

    Example:
        >>> keep_memory() in (True, False)
        True
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is None or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    no_trim_threshold, no_mmap = (-1, -1), (-4, 0)  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    return all([mallopt(*no_trim_threshold), mallopt(*no_mmap)])


def return_memory() -> bool:
    """Give memory that is free back to the system; a process that works on chunks of changing size would otherwise keep its fragments.

    Returns:
        Whether the C library knows how (glibc does).

    Example:
        >>> return_memory() in (True, False)
        True

    Cost: a few milliseconds.
    """
    trim = _of_glibc("malloc_trim")
    if trim is None:
        return False
    trim(0)
    return True


def _of_glibc(name: str) -> Any | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
