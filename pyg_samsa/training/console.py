"""Console output: the header of a run, and fewer messages from libraries."""

from __future__ import annotations

import logging
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch_geometric.graphgym.imports import pl

_LIBRARY_LOGGERS = (
    "pytorch_lightning",
    "lightning",
    "lightning.pytorch",
    "lightning.fabric",
    "lightning_fabric",
    "lightning_utilities",
)
_NOISE = (
    r".*does not have many workers.*",
    r".*smaller than the logging interval.*",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",
    r".*Checkpoint directory .* exists and is not empty.*",
    r".*The dirpath has changed from.*",
    r".*Trying to infer the `batch_size` from an ambiguous collection.*",
    r".*Starting from v1.9.0, `tensorboardX` has been removed.*",
    r".*No device id is provided via `init_process_group` or `barrier.*",
    r".*Be aware that when using `ckpt_path`.*",
    r".*will duplicate the last few samples.*",
    r".*Using `DistributedSampler` with the dataloaders.*",
    r".*using the device under current context.*",
    r".*You have overridden `transfer_batch_to_device`.*",
    r".*Found keys that are in the model state dict but not in the checkpoint.*",
    r".*You're resuming from a checkpoint that ended before the epoch ended.*",
    r".*It is recommended to use .*sync_dist=True.*",
    r".*The `srun` command is available on your system but is not used.*",
)


@dataclass(frozen=True)
class Verbosity:
    """How much is printed.

    Args:
        level: -1 for results and errors only, 0 for the usual output, 1 for messages of the libraries too.
        main: Whether this process prints at all; only the first of several does.
    """

    level: int = 0
    main: bool = True

    @property
    def speaks(self) -> bool:
        """Whether the progress of a run is shown.

        Example:
            >>> Verbosity(0).speaks, Verbosity(-1).speaks
            (True, False)
        """
        return self.main and self.level >= 0


def is_main_process() -> bool:
    """Return whether this is the only process or the first of several.

    Example:
        >>> is_main_process()
        True
    """
    return int(pl.utilities.rank_zero_only.rank or 0) == 0


def make_console(*, quiet: bool = False) -> Any:
    """Return a rich console on the output stream; where that is not a terminal, lines are plain and never wrapped.

    Example:
        >>> make_console(quiet=True).quiet
        True
    """
    from rich.console import Console

    console = Console(quiet=quiet, highlight=False, soft_wrap=False)
    return console if console.is_terminal else Console(quiet=quiet, highlight=False, soft_wrap=True, width=100)


def print_header(console: Any, title: str, items: Mapping[str, str]) -> None:
    """Print the header of a run: a title and aligned lines.

    Args:
        console: A rich console.
        title: The title.
        items: Label -> text, of one line or several.

    Example:
        >>> from rich.console import Console
        >>> print_header(Console(width=60), "quickstart", {"data": "12 graphs", "device": "cpu"})
        <BLANKLINE>
        quickstart
          data    12 graphs
          device  cpu
        <BLANKLINE>
    """
    from rich.text import Text

    console.print()
    console.print(Text(title, style="bold"))
    width = max(map(len, items), default=0)
    for label, value in items.items():
        # A terminal folds a long value under itself, so that labels keep their column; a log keeps its lines whole.
        room = console.width - width - 5 if console.is_terminal else len(value) + 1
        parts = [textwrap.wrap(part, max(20, room), break_on_hyphens=False) or [""] for part in value.split("\n")]
        first, *rest = [line for part in parts for line in part]
        console.print(Text.assemble((f"  {label:<{width}}  ", "cyan"), first))
        for line in rest:
            console.print(Text(f"{'':{width + 4}}{line}"))
    console.print()


@contextmanager
def quiet_libraries(*, verbose: bool) -> Iterator[None]:
    """Hide tips and known harmless warnings of libraries, unless ``verbose``.

    Other warnings and all errors are shown.

    Example:
        >>> with quiet_libraries(verbose=False):
        ...     logging.getLogger("pytorch_lightning").level == logging.WARNING
        True
    """
    if verbose:
        yield
        return
    levels = {name: logging.getLogger(name).level for name in _LIBRARY_LOGGERS}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.WARNING)
        with warnings.catch_warnings():
            for message in _NOISE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
