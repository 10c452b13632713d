"""TensorBoard and Weights & Biases, where a run asks for them; ``metrics.csv`` is always written."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import MissingDependencyError


def build_loggers(
    folder: Path,
    *,
    tensorboard: bool = False,
    wandb: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Return the loggers of a run.

    Args:
        folder: The run's folder.
        tensorboard: Whether to write TensorBoard events into ``folder/tensorboard``.
        wandb: Options of Lightning's WandbLogger (``project``, ``entity``, ``name``, ``mode``), or None for none.
        config: Configuration that Weights & Biases shows beside the run.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    loggers: list[Any] = []
    if tensorboard:
        if importlib.util.find_spec("tensorboard") is None:
            raise MissingDependencyError("tensorboard", "tensorboard", "tensorboard_each_run")
        loggers.append(pl.loggers.TensorBoardLogger(save_dir=str(folder), name="tensorboard", version=""))
    if wandb is not None:
        if importlib.util.find_spec("wandb") is None:
            raise MissingDependencyError("wandb", "wandb", "wandb.use")
        options = {key: value for key, value in wandb.items() if value}
        offline = options.pop("mode", "online") == "offline"
        loggers.append(
            pl.loggers.WandbLogger(save_dir=str(folder), offline=offline, config=dict(config or {}), **options)
        )
    return loggers
