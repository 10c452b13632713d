"""Loggers of a run: TensorBoard and Weights & Biases. ``metrics.csv`` is always written."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import MissingDependencyError
from pyg_samsa.options import Option, check_options, keep_plain


@dataclass(frozen=True)
class WandbOptions:
    """Options of Weights & Biases.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> WandbOptions(use=True, mode="offline").project
        'pyg_samsa'
    """

    use: Annotated[bool, Option("Whether the run is logged to Weights & Biases.")] = False
    project: Annotated[str, Option("Project.")] = "pyg_samsa"
    entity: Annotated[str, Option("User or team; empty for the default.")] = ""
    name: Annotated[str, Option("Name of the run; empty for one that Weights & Biases makes up.")] = ""
    mode: Annotated[str, Option("Whether the run is sent at once.", ("online", "offline"))] = "online"

    def __post_init__(self) -> None:
        check_options(WandbOptions, vars(keep_plain(self)))


def build_loggers(
    folder: Path,
    *,
    tensorboard: bool = False,
    wandb: WandbOptions | None = None,
    config: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Return the loggers of a run.

    Args:
        folder: The run's folder.
        tensorboard: Whether to write TensorBoard events into ``folder/tensorboard``.
        wandb: Options of Weights & Biases; None for none.
        config: Configuration that Weights & Biases shows beside the run.

    Raises:
        MissingDependencyError: The package is not installed.

    Example:
        >>> build_loggers(Path("results/demo/0"))
        []
    """
    loggers: list[Any] = []
    if tensorboard:
        if importlib.util.find_spec("tensorboard") is None:
            raise MissingDependencyError("tensorboard", "tensorboard", "tensorboard_each_run")
        loggers.append(pl.loggers.TensorBoardLogger(save_dir=str(folder), name="tensorboard", version=""))
    if wandb is not None and wandb.use:
        if importlib.util.find_spec("wandb") is None:
            raise MissingDependencyError("wandb", "wandb", "wandb.use")
        loggers.append(
            pl.loggers.WandbLogger(
                save_dir=str(folder),
                project=wandb.project,
                entity=wandb.entity or None,
                name=wandb.name or None,
                offline=wandb.mode == "offline",
                config=dict(config or {}),
            )
        )
    return loggers
