"""The progress bar of all long operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_COUNTS = 45  # columns for the shortest bar, six digits of counts and two times


@contextmanager
def progress_bar(
    description: str, total: float | None, *, enabled: bool = True, size: bool = False
) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on stderr and yield the function that advances it.

    Args:
        description: Text before the bar.
        total: Number of steps or bytes; None if unknown.
        enabled: Whether to show the bar.
        size: Whether to count in bytes.

    Example:
        >>> with progress_bar("Counting", 2, enabled=False) as advance:
        ...     advance(2)
    """
    if not enabled:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    count = DownloadColumn() if size else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # A long text would cut off the counts: it keeps what bar, counts and times leave.
    room = max(10, console.width - _COUNTS)
    description = description if len(description) <= room else f"{description[: room - 1]}…"
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=total)
        yield lambda steps: progress.advance(task, steps)
