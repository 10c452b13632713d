"""What models on vectors share: boosted trees and Gaussian processes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch

from pyg_samsa.chem.standardize import ordered_steps
from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.hub.folder import COPY_AGAIN, is_replaceable
from pyg_samsa.hub.json_file import read_json, read_steps, write_json
from pyg_samsa.io.extra_column import ExtraColumn
from pyg_samsa.io.files import atomic_directory
from pyg_samsa.nn.target_scale import scale_of
from pyg_samsa.predict.stored_vectors import StoredVectors, Vectors, blocks_of
from pyg_samsa.task import Task

FORMAT = 2
LEAST = 1e-12
"""Smallest probability."""
Model = TypeVar("Model", bound="VectorModel")


class VectorModel(ABC):
    """Base of models on vectors of descriptors.

    A subclass implements ``fit``, ``_reset``, ``_predict``, ``_write`` and ``_read``, and sets the class attributes.

    Args:
        task: The task.
        descriptors: Names of the descriptors that the vectors hold, see :obj:`pyg_samsa.chem.descriptors.DESCRIPTORS`.
        extra_columns: Names of the columns of a table that the vectors hold after the descriptors.
        standardize: Steps by which molecules are standardised before their descriptors are computed.
        options: Options of the model; None for the defaults.

    Targets of a regression are standardised before the fit, in float64, so that the result depends neither on their
    unit nor on an offset.

    Attributes:
        width: Number of columns of the vectors.
        target_mean: Means of the training targets [C]; 0 for labels and classes.
        target_std: Their standard deviations [C]; 1 for labels and classes.
    """

    kind: ClassVar[str]
    """Name of the kind of model in files and tables."""
    what: ClassVar[str]
    """What the model consists of, for errors."""
    file: ClassVar[str]
    """JSON file that describes a saved model."""
    options_class: ClassVar[type]
    """Class of the options, a dataclass with the field ``threads``."""

    def __init__(
        self,
        task: Task,
        descriptors: Sequence[str] = (),
        *,
        extra_columns: Sequence[str] = (),
        standardize: Sequence[str] = (),
        options: Any = None,
    ) -> None:
        self.task = task
        self.descriptors, self.extra_columns = tuple(descriptors), tuple(extra_columns)
        self.standardize = ordered_steps(standardize)
        self.options = options or self.options_class()
        self.width = 0
        self.target_mean, self.target_std = np.zeros(task.num_targets), np.ones(task.num_targets)
        self._reset()

    @abstractmethod
    def _reset(self) -> None:
        """Set the attributes of a model that is not fitted."""

    @abstractmethod
    def _predict(self, x: Vectors) -> np.ndarray:
        """Return what `predict` returns, with standardised values for regressions."""

    @abstractmethod
    def _write(self, folder: Path) -> dict[str, Any]:
        """Write the files of the model, and return its own part of the description."""

    @abstractmethod
    def _read(self, content: Mapping[str, Any], path: Path) -> None:
        """Set the attributes of a saved model from its description, which was read from ``path``."""

    def predict(self, x: Vectors) -> np.ndarray:
        """Return logits of labels (log-odds) and classes (log-probabilities), or values of regressions.

        Args:
            x: Vectors [G, S], with the columns that were fitted.

        Shapes:
            - **output:** float64 [G, C]

        Raises:
            ConfigError: The vectors have another number of columns.
        """
        if x.shape[1] != self.width:
            raise ConfigError("x", f"{x.shape[1]} columns", f"{self.width}, as in training")
        if isinstance(x, StoredVectors):
            return np.concatenate([np.empty((0, self.task.num_targets)), *map(self.predict, blocks_of(x))])
        return self._predict(x) * self.target_std + self.target_mean

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the model to a folder: a description in JSON, and the files of the model; no pickle.

        Args:
            folder: Folder to write. An earlier model of the same kind in it is replaced; any other content is an error.

        Raises:
            ConfigError: The folder holds something else.
            MissingDependencyError: The model consists of scikit-learn's trees, which have no format of their own.

        Example:
            >>> import tempfile
            >>> from pyg_samsa.predict import GaussianProcess
            >>> x = np.arange(20.0)[:, None]
            >>> folder = GaussianProcess(Task("regression", ["y"])).fit(x, x).save(tempfile.mkdtemp())
            >>> sorted(path.name for path in folder.iterdir())
            ['gp.json', 'gp.safetensors']
        """
        target = Path(folder)
        if not is_replaceable(target, self.file, allowed=()):
            expected = f"a new or empty folder, or one that holds saved {self.what}"
            raise ConfigError("folder", str(target), expected)
        with atomic_directory(target, overwrite=True) as temporary:
            content = {
                # Versions that know no standardisation refuse a model with it.
                "format": FORMAT if self.standardize else 1,
                "task": self.task.as_dict(),
                "descriptors": list(self.descriptors),
                "extra_columns": [ExtraColumn.of(column).as_json() for column in self.extra_columns],
                **({"standardize": list(self.standardize)} if self.standardize else {}),
                "width": self.width,
                "target_mean": self.target_mean.tolist(),
                "target_std": self.target_std.tolist(),
                "options": {key: value for key, value in asdict(self.options).items() if key != "threads"},
                **self._write(temporary),
            }
            write_json(temporary / self.file, content)
        return target

    @classmethod
    def load(cls: type[Model], folder: str | os.PathLike[str], *, threads: int = 1) -> Model:
        """Read a model that `save` wrote. Nothing in the folder is executed.

        Args:
            folder: Folder to read.
            threads: Number of threads of predictions.

        Raises:
            DataNotFoundError: A file is missing.
            DataIntegrityError: A file is damaged.
            MissingDependencyError: The model consists of trees, and LightGBM is not installed.

        Example:
            >>> import tempfile
            >>> from pyg_samsa.predict import GaussianProcess
            >>> x = np.arange(20.0)[:, None]
            >>> process = GaussianProcess(Task("regression", ["y"])).fit(x, x)
            >>> again = GaussianProcess.load(process.save(tempfile.mkdtemp()))
            >>> bool((again.predict(x) == process.predict(x)).all())
            True
        """
        path = Path(folder) / cls.file
        content = read_json(path, FORMAT)
        task = Task.from_dict(content.get("task"), origin=f"{path}: task")
        try:
            known = {
                field.name: content["options"][field.name]
                for field in fields(cls.options_class)
                if field.name != "threads"
            }
            model = cls(
                task,
                [str(name) for name in content["descriptors"]],
                extra_columns=[ExtraColumn.from_json(column) for column in content["extra_columns"]],
                standardize=read_steps(content, path),
                options=cls.options_class(**known, threads=threads),
            )
            model.width = int(content["width"])
            model._set_scale(content["target_mean"], content["target_std"])
            model._read(content, path)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, ConfigError):
                raise
            expected = f"a description of {cls.what}"
            raise DataIntegrityError(path, expected, f"another one ({error})", hint=COPY_AGAIN) from None
        return model

    def readable(self, x: Vectors) -> np.ndarray:
        """Return values or probabilities [G, C], see :meth:`Task.readable <pyg_samsa.task.Task.readable>`.

        Example:
            >>> from pyg_samsa.predict import BoostedTrees, BoostingOptions
            >>> x, y = np.arange(60.0)[:, None] % 7, (np.arange(60)[:, None] % 7 > 3).astype(float)
            >>> trees = BoostedTrees(Task("binary", ["active"]), options=BoostingOptions("sklearn", trees=20)).fit(x, y)
            >>> trees.readable(x[:7]).round().flatten().tolist()
            [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
        """
        return self.task.readable(torch.from_numpy(self.predict(x))).numpy()

    def _target_columns(self, y: np.ndarray) -> np.ndarray:
        """Return float64 targets [C, n] of a task that is not multi-class, standardised for a regression.

        Each target must have a label.
        """
        columns = np.asarray(y, dtype=np.float64).reshape(-1, self.task.num_targets).T
        for name, column in zip(self.task.names, columns, strict=True):
            if np.isnan(column).all():
                raise ConfigError(f"target {name!r}", "no label in the training split", "at least one")
        if self.task.kind == "regression":
            self._set_scale(*scale_of(torch.from_numpy(columns.T)))
        return self._standardized(columns.T).T

    def _standardized(self, y: np.ndarray) -> np.ndarray:
        """Return targets [n, C] with mean 0 and standard deviation 1 in the training rows."""
        return (np.asarray(y, dtype=np.float64).reshape(-1, self.task.num_targets) - self.target_mean) / self.target_std

    def _set_scale(self, mean: Any, std: Any) -> None:
        mean, std = (np.asarray(part, dtype=np.float64) for part in (mean, std))
        if mean.shape != std.shape or mean.shape != (self.task.num_targets,):
            raise ValueError(f"a scale of {mean.size} targets")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ValueError("a scale that is not finite and positive")
        self.target_mean, self.target_std = mean, std

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


def thread_limit(threads: int, api: str | None = None) -> Any:
    """Return a context in which numerical libraries use at most some threads.

    Args:
        threads: Number of threads.
        api: ``"openmp"`` or ``"blas"``; None for both. OpenMP's limit holds for the calling thread only.

    Example:
        >>> with thread_limit(1):
        ...     product = np.ones((2, 2)) @ np.ones((2, 2))
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(threads, user_api=api)
