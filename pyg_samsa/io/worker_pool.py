"""Work on long lists in several processes, in order and in bounded memory; numpy and torch are not imported here."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from pyg_samsa.options import check_integer

MOST = max(64, os.cpu_count() or 1)
"""Largest number of processes or threads that may be asked for; thousands of them would end the process."""
_AHEAD = 3
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of ``size`` consecutive items; the last one may be shorter.

    Example:
        >>> list(in_chunks(range(5), 2))
        [[0, 1], [2, 3], [4]]
    """
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk


def count_workers(workers: int | None, count: int, *, worthwhile: int) -> int:
    """Return the number of processes for a list.

    Args:
        workers: What the user asked for; None is one per core that this process may use.
        count: Length of the list.
        worthwhile: Shorter lists are done in this process.

    Raises:
        ConfigError: ``workers`` is neither None nor an integer from 1 to `MOST`.

    Example:
        >>> count_workers(None, 10, worthwhile=100), count_workers(2, 1000, worthwhile=100)
        (1, 2)
    """
    if workers is not None:
        check_integer("workers", workers, high=MOST)
    if count < worthwhile:
        return 1
    if workers is None:
        from joblib import cpu_count

        workers = int(cpu_count())
    return workers


def map_chunks(
    function: Callable[[list[Item]], Result], chunks: Iterable[list[Item]], *, workers: int = 1
) -> Iterator[tuple[list[Item], Result]]:
    """Apply a function to lists as they come, and yield each list with its result, in order.

    Only a few lists are read ahead, so memory does not grow with the number of lists.

    Args:
        function: List -> result; with several processes, an importable function or a `functools.partial` of one.
        chunks: Lists.
        workers: Number of processes; 1 stays in this process.

    Example:
        >>> list(map_chunks(sum, [[1, 2], [3]]))
        [([1, 2], 3), ([3], 3)]
    """
    if workers == 1:
        for chunk in chunks:
            yield chunk, function(chunk)
        return
    # loky starts clean processes: it does not fork one with threads, and does not run the caller's script again as
    # multiprocessing does. joblib's own generator reads ahead without bound.
    from joblib.externals.loky import ProcessPoolExecutor

    executor = ProcessPoolExecutor(max_workers=workers)
    try:
        waiting: deque[tuple[list[Item], Any]] = deque()
        source = iter(chunks)
        while True:
            for chunk in islice(source, _AHEAD * workers - len(waiting)):
                waiting.append((chunk, executor.submit(function, chunk)))
            if not waiting:
                return
            chunk, result = waiting.popleft()
            yield chunk, result.result()
    finally:
        executor.shutdown(kill_workers=True)
