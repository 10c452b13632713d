"""What models on vectors share: boosted trees and Gaussian processes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pyg_samsa.errors import ConfigError
from pyg_samsa.task import Task

LEAST = 1e-12
"""Smallest probability."""


class VectorModel(ABC):
    """Base of models on vectors of descriptors. A subclass implements `predict`, `save` and `load`.

    Args:
        task: The task.
        descriptors: Names of the descriptors that the vectors hold, see :obj:`pyg_samsa.chem.descriptors.DESCRIPTORS`.
        extra_columns: Names of the columns of a table that the vectors hold after the descriptors.

    Attributes:
        width: Number of columns of the vectors.
    """

    kind: str
    """Name of the kind of model in files and tables."""

    def __init__(self, task: Task, descriptors: Sequence[str] = (), *, extra_columns: Sequence[str] = ()) -> None:
        self.task = task
        self.descriptors, self.extra_columns = tuple(descriptors), tuple(extra_columns)
        self.width = 0

    @abstractmethod
    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return logits of labels (log-odds) and classes (log-probabilities), or values of regressions.

        Args:
            x: Vectors [G, S], with the columns that were fitted.

        Shapes:
            - **output:** float64 [G, C]

        Raises:
            ConfigError: The vectors have another number of columns.
        """

    @abstractmethod
    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the model to a folder, without pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: str | os.PathLike[str], *, threads: int = 1) -> VectorModel:
        """Read a model that `save` wrote. Nothing in the folder is executed."""

    def readable(self, x: np.ndarray) -> np.ndarray:
        """Return values or probabilities [G, C], see :meth:`Task.readable <pyg_samsa.task.Task.readable>`.

        Example:
            >>> from pyg_samsa.predict import BoostedTrees, BoostingOptions
            >>> x, y = np.arange(60.0)[:, None] % 7, (np.arange(60)[:, None] % 7 > 3).astype(float)
            >>> trees = BoostedTrees(Task("binary", ["active"]), options=BoostingOptions("sklearn", trees=20)).fit(x, y)
            >>> trees.readable(x[:7]).round().flatten().tolist()
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
        """
        return self.task.readable(torch.from_numpy(self.predict(x))).numpy()

    def _check_width(self, x: np.ndarray) -> None:
        if x.shape[1] != self.width:
            raise ConfigError("x", f"{x.shape[1]} columns", f"{self.width}, as in training")

    def _target_columns(self, y: np.ndarray) -> np.ndarray:
        """Return float64 targets [C, n] of a task that is not multi-class; each has a label."""
        columns = np.asarray(y, dtype=np.float64).reshape(-1, self.task.num_targets).T
        for name, column in zip(self.task.names, columns, strict=True):
            if np.isnan(column).all():
                raise ConfigError(f"target {name!r}", "no label in the training split", "at least one")
        return columns

    def __repr__(self) -> str:
        inputs = " + ".join([*self.descriptors, *self.extra_columns]) or f"{self.width} columns"
        return f"{type(self).__name__}({self.task.kind}: {', '.join(self.task.names)}; {inputs})"


def log_odds(share: float) -> float:
    """Return the finite log-odds of a probability.

    Args:
        share: Probability, 0 to 1.

    Example:
        >>> log_odds(0.5), round(log_odds(1.0))
        (0.0, 28)
    """
    share = min(max(share, LEAST), 1 - LEAST)
    return float(np.log(share / (1 - share)))
