"""The runs that one command starts: seeds of one split, or splits of one graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from torch_geometric.graphgym.config import cfg

from pyg_samsa.datasets import catalog
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import LoadedConfig, check_folder_name

_KEY = "run_multiple_splits"


class Repeat(NamedTuple):
    """One of the runs of a command.

    Args:
        loaded: The configuration; its name is that of the run.
        seed: Seed of the run.
        split: ``dataset.split_index`` of the run; None for that of the configuration.

    Example:
        >>> from pyg_samsa.graphgym.config import load_config
        >>> [repeat.seed for repeat in list_repeats(load_config("quickstart"), 2)]
        [0, 1]
    """

    loaded: LoadedConfig
    seed: int
    split: int | None = None

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Let ``cfg`` ask for the split of this run alone."""
        if self.split is None:
            yield
            return
        earlier = cfg.dataset.split_index, cfg[_KEY]
        # The first split is the default, and a run has the same settings whether it is asked for or not.
        cfg.dataset.split_index, cfg[_KEY] = self.split or None, []
        try:
            yield
        finally:
            cfg.dataset.split_index, cfg[_KEY] = earlier


def list_repeats(loaded: LoadedConfig, repeat: int) -> list[Repeat]:
    """Return the runs of the present ``cfg``: one for each split of ``run_multiple_splits``, or else ``repeat`` seeds.

    Args:
        loaded: From `load_config`.
        repeat: Number of seeds.

    Raises:
        ConfigError: Both splits and seeds are repeated, or the data set has no splits to choose from.

    Example:
        >>> from pyg_samsa.graphgym.config import load_config
        >>> words = ["dataset.format", "PyG-WebKB", "dataset.name", "cornell", "run_multiple_splits", "[0, 3]"]
        >>> [repeat.loaded.name for repeat in list_repeats(load_config("quickstart", words), 1)]
        ['quickstart-split0', 'quickstart-split3']
    """
    splits = list(cfg[_KEY])
    if not splits:
        return [Repeat(loaded, cfg.seed + number) for number in range(repeat)]
    if repeat > 1:
        raise ConfigError("--repeat", repeat, f"1 with {_KEY}", hint="All splits are run with the seed `seed`.")
    _check(splits)
    found = [Repeat(replace(loaded, name=f"{loaded.name}-split{split}"), cfg.seed, split) for split in splits]
    for one in found:
        check_folder_name("run_name", one.loaded.name)
    return found


def check_one_split() -> None:
    """Refuse several splits where each run is one of many.

    Raises:
        ConfigError: ``run_multiple_splits`` of the present ``cfg`` is not empty.

    Example:
        >>> from pyg_samsa.graphgym.config import load_config
        >>> _ = load_config("quickstart")
        >>> check_one_split()
    """
    if cfg[_KEY]:
        raise ConfigError(_KEY, list(cfg[_KEY]), "[] here", hint="A sweep can vary dataset.split_index.")


def _check(splits: list[int]) -> None:
    wrong = [split for split in splits if isinstance(split, bool) or not isinstance(split, int) or split < 0]
    if wrong or len(set(splits)) < len(splits):
        raise ConfigError(_KEY, splits, "different integers of at least 0")
    if cfg.tasks:
        raise ConfigError(_KEY, splits, "[] with several tasks")
    if not catalog.is_transductive(cfg.dataset.format, cfg.dataset.name):
        raise ConfigError(_KEY, splits, "[] for data sets that have one split")
    if cfg.dataset.split_index is not None:
        raise ConfigError("dataset.split_index", cfg.dataset.split_index, f"nothing with {_KEY}")
    if cfg.dataset.node_split == "random":
        hint = "Vary dataset.seed instead, which draws other splits."
        raise ConfigError(_KEY, splits, "[] with dataset.node_split random", hint=hint)
