"""Files mapped into memory, and control of when freed memory returns to the operating system."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from typing import Any, BinaryIO

# Linux counts the whole mapping as memory that may be needed, unless it is told not to; Python has the flag since 3.13.
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def map_copy(file: BinaryIO) -> mmap.mmap:
    """Map a file into memory, also one that is larger than the memory; what is written to it stays in the process.

    Args:
        file: An open file with at least one byte. It may be closed afterwards.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     size = file.write(b"molecules")
        ...     file.flush()
        ...     map_copy(file)[:3]
        b'mol'
    """
    if sys.platform == "win32":
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    flags, access = mmap.MAP_PRIVATE | _NO_RESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    return mmap.mmap(file.fileno(), 0, flags=flags, prot=access)


def keep_memory() -> bool:
    """Make the C library keep freed memory instead of returning it to the system after every step.

    With glibc on Linux, tensors above 32 MiB are mapped anew each time and zeroed by the system, which takes up to a
    third of a training step on the CPU. The process then holds its peak memory until it ends. On other systems
    nothing happens.

    Returns:
        Whether the setting was accepted.

    Example:
        >>> keep_memory() in (True, False)
        True
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is None or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    no_trim_threshold, no_mmap = (-1, -1), (-4, 0)  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    return all([mallopt(*no_trim_threshold), mallopt(*no_mmap)])


def keep_freed_blocks() -> bool:
    """Let the C library use freed memory again as it does where no variable ``MALLOC_*`` says otherwise.

    Workers of Dask start with ``MALLOC_TRIM_THRESHOLD_``, which makes glibc map every block above 128 kB anew. That
    takes half of the time of small networks. :func:`return_memory` returns memory often enough.

    Returns:
        Whether the setting was accepted.

    Example:
        >>> keep_freed_blocks() in (True, False)
        True
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is None:
        return False
    trim_threshold, mmap_threshold = (-1, 2**26), (-3, 2**25)  # the largest that glibc would choose by itself
    return all([mallopt(*trim_threshold), mallopt(*mmap_threshold)])


def return_memory() -> bool:
    """Return freed memory to the system, so that work on chunks of changing size does not fragment it.

    Returns:
        Whether the C library supports it (glibc does).

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
