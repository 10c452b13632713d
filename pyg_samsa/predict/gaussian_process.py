"""Gaussian processes on vectors, for every kind of task and with missing labels."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.errors import ConfigError, DataIntegrityError
from pyg_samsa.functional.feature_scale import fit_feature_scale, scale_features
from pyg_samsa.hub.folder import COPY_AGAIN
from pyg_samsa.hub.json_file import read_json, write_json
from pyg_samsa.hub.load import read_weights
from pyg_samsa.io.files import atomic_directory
from pyg_samsa.options import Option, check_options
from pyg_samsa.predict.vector_model import LEAST, VectorModel, log_odds
from pyg_samsa.task import Task

PROCESS = "gaussian_process.json"
ARRAYS = "gaussian_process.safetensors"
FORMAT = 1
_CHUNK = 1024
_SEARCH_ROWS = 1000
_LABEL_PENALTY = 10.0


@dataclass(frozen=True)
class GaussianProcessOptions:
    """Options of Gaussian processes; the help of each option is in its annotation.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> GaussianProcessOptions(max_rows=2000).max_rows
        2000
    """

    max_rows: Annotated[
        int, Option("Largest number of molecules that a target is fitted to; of more, this many are drawn.", low=1)
    ] = 5000
    seed: Annotated[int, Option("Seed of the molecules that are drawn.", low=0)] = 0
    threads: Annotated[int, Option("Number of threads.", low=1)] = 1

    def __post_init__(self) -> None:
        check_options(GaussianProcessOptions, vars(self), prefix="gaussian_process.")


@dataclass(frozen=True)
class FittedTarget:
    r"""A Gaussian process of one target.

    .. math::
        f(z) = b + a \sum_i w_i \, k(z, z_i), \qquad
        k(z, z') = v \Bigl(1 + \frac{|z - z'|^2}{2 \alpha \ell^2}\Bigr)^{-\alpha}

    Args:
        rows: Numbers of the training rows.
        weights: Weights w, in float64.
        variance: Variance v.
        length_scale: Length :math:`\ell`.
        alpha: Mixture :math:`\alpha` of length scales.
        noise: Variance of the noise of the targets.
        slope: Factor a.
        offset: Offset b.
    """

    rows: np.ndarray
    weights: np.ndarray
    variance: float
    length_scale: float
    alpha: float
    noise: float
    slope: float = 1.0
    offset: float = 0.0

    def kernel(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the kernel of two sets of vectors, float64 [len(x), len(z)]."""
        from scipy.spatial.distance import cdist

        found = cdist(x, z, "sqeuclidean")
        found /= 2 * self.alpha * self.length_scale**2
        found += 1
        np.power(found, -self.alpha, out=found)
        found *= self.variance
        return found

    def predict(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return values of a regression or log-odds, float64 [len(x)].

        Args:
            x: Scaled vectors.
            z: Scaled vectors of the training rows.
        """
        own = z[self.rows]
        chunks = [self.kernel(x[start : start + _CHUNK], own) @ self.weights for start in range(0, len(x), _CHUNK)]
        return self.offset + self.slope * np.concatenate([np.empty(0), *chunks])


_NUMBERS = ("variance", "length_scale", "alpha", "noise", "slope", "offset")


class GaussianProcess(VectorModel):
    r"""Gaussian processes on vectors: one per target, or one per class.

    .. math::
        k(z, z') = v \Bigl(1 + \frac{|z - z'|^2}{2 \alpha \ell^2}\Bigr)^{-\alpha}, \qquad
        f(z) = k(z, Z) \, (K + s^2 I)^{-1} \, t

    with scaled vectors z (see :func:`pyg_samsa.functional.fit_feature_scale`), divided by the root of their number, and
    standardised targets t; Rasmussen and Williams, `"Gaussian Processes for Machine Learning"
    <https://gaussianprocess.org/gpml/>`_ (2006), equations 2.25 and 4.19. Variance, length scale,
    :math:`\alpha` and noise are those with the largest marginal likelihood of up to 1,000 molecules. A label is fitted
    as a number, 0 or 1. Its probability is a logistic function of f, fitted to the leave-one-out predictions of the
    training rows (equation 5.12; Platt, 1999). A row with a missing label (NaN) is left out for that target only.

    Args:
        task: The task.
        descriptors: Names of the descriptors that the vectors hold, see :obj:`pyg_samsa.chem.descriptors.DESCRIPTORS`.
        extra_columns: Names of the columns of a table that the vectors hold after the descriptors.
        options: Options of the processes.

    Example:
        >>> x = np.arange(40.0)[:, None]
        >>> process = GaussianProcess(Task("regression", ["y"])).fit(x[::2], 3 * x[::2])
        >>> bool(np.abs(process.predict(x) - 3 * x).max() < 2)
        True

    Cost: O(n^3) and O(n^2) memory per target for n training rows, of which there are at most ``max_rows``.
    """

    kind = "gp"

    def __init__(
        self,
        task: Task,
        descriptors: Sequence[str] = (),
        *,
        extra_columns: Sequence[str] = (),
        options: GaussianProcessOptions | None = None,
    ) -> None:
        super().__init__(task, descriptors, extra_columns=extra_columns)
        self.options = options or GaussianProcessOptions()
        self.center, self.scale = torch.empty(0), torch.empty(0)
        self.z = np.empty((0, 0), np.float32)
        self.targets: list[FittedTarget | float] = []

    def fit(
        self, x: np.ndarray, y: np.ndarray, *, on_target: Callable[[float], None] = lambda _: None
    ) -> GaussianProcess:
        """Fit the processes.

        Args:
            x: Vectors of the n training molecules [n, S]; NaN where undefined.
            y: Targets: float [n, C], or class numbers [n] for ``"multiclass"``.
            on_target: Called after each target; the calls sum to the number of targets, or to 1 for classes.

        Raises:
            ConfigError: A target has no label.
        """
        self.width = x.shape[1]
        if self.task.kind == "multiclass":
            columns = (np.asarray(y).reshape(len(x))[None] == np.arange(self.task.num_targets)[:, None]).astype(float)
        else:
            columns = self._target_columns(y)
        order = np.random.default_rng(self.options.seed).permutation(len(x))
        used = [np.sort(order[~np.isnan(column[order])][: self.options.max_rows]) for column in columns]
        kept = np.unique(np.concatenate(used))
        features = torch.from_numpy(np.asarray(x))
        self.center, self.scale = (part.float() for part in fit_feature_scale(features))
        self.z = self._scaled(np.asarray(x)[kept])
        self.targets = []
        for rows, column in zip(used, columns, strict=True):
            self.targets.append(self._fit_target(np.searchsorted(kept, rows), column[rows]))
            on_target(1 / len(columns) if self.task.kind == "multiclass" else 1)
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return logits of labels (log-odds) and classes (log-probabilities), or values of regressions.

        Args:
            x: Vectors [G, S], with the columns that were fitted.

        Shapes:
            - **output:** float64 [G, C]

        Raises:
            ConfigError: The vectors have another number of columns.
        """
        self._check_width(x)
        scaled, out = self._scaled(x), np.empty((len(x), self.task.num_targets))
        with _limit(self.options.threads):
            for number, target in enumerate(self.targets):
                out[:, number] = target if isinstance(target, float) else target.predict(scaled, self.z)
        if self.task.kind == "multiclass":
            shares = 1 / (1 + np.exp(-out.clip(-500, 500)))
            out = np.log(np.maximum(shares / shares.sum(1, keepdims=True), LEAST))
        return out

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the processes to a folder: ``gaussian_process.json`` and ``gaussian_process.safetensors``; no pickle.

        Args:
            folder: Folder to write; an earlier process in it is replaced, any other content is an error.

        Raises:
            ConfigError: The folder holds something else.

        Example:
            >>> import tempfile
            >>> x = np.arange(20.0)[:, None]
            >>> folder = GaussianProcess(Task("regression", ["y"])).fit(x, x).save(tempfile.mkdtemp())
            >>> sorted(path.name for path in folder.iterdir())
            ['gaussian_process.json', 'gaussian_process.safetensors']
        """
        from safetensors.torch import save

        target = Path(folder)
        known = target.is_dir() and ((target / PROCESS).is_file() or not any(target.iterdir()))
        if target.exists() and not known:
            raise ConfigError("folder", str(target), "a new or empty folder, or one that holds a saved process")
        arrays = {"center": self.center, "scale": self.scale, "z": torch.from_numpy(self.z)}
        described: list[dict[str, Any]] = []
        for number, fitted in enumerate(self.targets):
            if isinstance(fitted, float):
                described.append({"constant": fitted})
                continue
            described.append({name: getattr(fitted, name) for name in _NUMBERS})
            arrays[f"rows_{number}"] = torch.from_numpy(fitted.rows)
            arrays[f"weights_{number}"] = torch.from_numpy(fitted.weights)
        with atomic_directory(target, overwrite=True) as temporary:
            (temporary / ARRAYS).write_bytes(save({name: array.contiguous() for name, array in arrays.items()}))
            content = {
                "format": FORMAT,
                "task": self.task.as_dict(),
                "descriptors": list(self.descriptors),
                "extra_columns": list(self.extra_columns),
                "options": {key: value for key, value in asdict(self.options).items() if key != "threads"},
                "targets": described,
            }
            write_json(temporary / PROCESS, content)
        return target

    @classmethod
    def load(cls, folder: str | os.PathLike[str], *, threads: int = 1) -> GaussianProcess:
        """Read processes that `save` wrote. Nothing in the folder is executed.

        Args:
            folder: Folder to read.
            threads: Number of threads of predictions.

        Raises:
            DataNotFoundError: A file is missing.
            DataIntegrityError: A file is damaged.

        Example:
            >>> import tempfile
            >>> x = np.arange(20.0)[:, None]
            >>> process = GaussianProcess(Task("regression", ["y"])).fit(x, x)
            >>> again = GaussianProcess.load(process.save(tempfile.mkdtemp()))
            >>> bool((again.predict(x) == process.predict(x)).all())
            True
        """
        path = Path(folder) / PROCESS
        content = read_json(path, FORMAT)
        task = Task.from_dict(content.get("task"), origin=f"{path}: task")
        arrays = read_weights(path.with_name(ARRAYS))
        try:
            process = cls(
                task,
                [str(name) for name in content["descriptors"]],
                extra_columns=[str(name) for name in content["extra_columns"]],
                options=GaussianProcessOptions(
                    int(content["options"]["max_rows"]), int(content["options"]["seed"]), threads
                ),
            )
            process.center, process.scale = arrays["center"].float(), arrays["scale"].float()
            process.z, process.width = arrays["z"].float().numpy(), len(process.center)
            process.targets = [_read_target(one, number, arrays) for number, one in enumerate(content["targets"])]
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            got = f"another one ({error})"
            raise DataIntegrityError(path, "a description of Gaussian processes", got, hint=COPY_AGAIN) from None
        process._check_loaded(path)
        return process

    def _check_loaded(self, path: Path) -> None:
        fits = (
            self.center.shape == self.scale.shape == (self.width,)
            and self.z.ndim == 2
            and self.z.shape[1] == int((self.scale > 0).sum())
            and len(self.targets) == self.task.num_targets
            and all(_fits(one, len(self.z)) for one in self.targets if not isinstance(one, float))
        )
        if not fits:
            raise DataIntegrityError(path, f"the shapes of {ARRAYS}", "others", hint=COPY_AGAIN)

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        """Return the scaled columns that varied in training, float32."""
        varies = self.scale > 0
        scaled = scale_features(torch.from_numpy(np.asarray(x, np.float32)), self.center, self.scale)[:, varies]
        return (scaled / max(1, int(varies.sum())) ** 0.5).numpy()

    def _fit_target(self, rows: np.ndarray, y: np.ndarray) -> FittedTarget | float:
        """Fit one target; it becomes a number if all molecules share its value, or if no column of x varies."""
        labels = self.task.kind != "regression"
        y = (y > 0.5).astype(float) if labels else y
        mean, std = float(y.mean()), float(y.std())
        if not self.z.shape[1] or not std > 0 or not np.isfinite(std):
            return log_odds(mean) if labels else mean
        target = (y - mean) / std
        with _limit(self.options.threads):
            found = _search(self.z[rows], target, self.options.seed)
            weights, left_out = _solve(FittedTarget(rows, np.empty(0), *found), self.z, target, leave_one_out=labels)
        slope, offset = _logistic(left_out, y) if labels else (std, mean)
        return FittedTarget(rows, weights, *found, slope, offset)


def _limit(threads: int) -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(threads)


def _search(z: np.ndarray, target: np.ndarray, seed: int) -> tuple[float, float, float, float]:
    """Return variance, length scale, alpha and noise of the largest marginal likelihood."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, RationalQuadratic, WhiteKernel

    if len(z) > _SEARCH_ROWS:
        drawn = np.sort(np.random.default_rng(seed).permutation(len(z))[:_SEARCH_ROWS])
        z, target = z[drawn], target[drawn]
    wide = (1e-2, 1e3)
    start = ConstantKernel(1.0, wide) * RationalQuadratic(1.0, 1.0, wide, wide) + WhiteKernel(0.1, (1e-4, 1e1))
    with warnings.catch_warnings():
        # A parameter at the end of its range is a fine result.
        warnings.simplefilter("ignore", ConvergenceWarning)
        kernel = GaussianProcessRegressor(start).fit(z.astype(np.float64), target).kernel_
    quadratic = kernel.k1.k2
    return tuple(  # type: ignore[return-value]  # four numbers
        map(float, (kernel.k1.k1.constant_value, quadratic.length_scale, quadratic.alpha, kernel.k2.noise_level))
    )


def _solve(
    fitted: FittedTarget, z: np.ndarray, target: np.ndarray, *, leave_one_out: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights, and the leave-one-out predictions of the training rows if asked for."""
    from scipy.linalg import cho_factor, cho_solve, lapack

    own = z[fitted.rows]
    kernel = fitted.kernel(own, own)
    kernel[np.diag_indices_from(kernel)] += fitted.noise
    factor = cho_factor(kernel, lower=True, overwrite_a=True)
    weights = cho_solve(factor, target)
    if not leave_one_out:
        return weights, np.empty(0)
    inverse, _ = lapack.dpotri(factor[0], lower=1)
    return weights, target - weights / inverse.diagonal()


def _logistic(values: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return slope and offset of the log-odds of labels as a function of values; the slope is not negative."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_LABEL_PENALTY).fit(values[:, None], labels)
    slope = float(model.coef_[0, 0])
    return (slope, float(model.intercept_[0])) if slope > 0 else (0.0, log_odds(float(labels.mean())))


def _read_target(described: Any, number: int, arrays: dict[str, Tensor]) -> FittedTarget | float:
    if "constant" in described:
        return float(described["constant"])
    numbers = {name: float(described[name]) for name in _NUMBERS}
    return FittedTarget(arrays[f"rows_{number}"].numpy(), arrays[f"weights_{number}"].double().numpy(), **numbers)


def _fits(target: FittedTarget, count: int) -> bool:
    numbers = [getattr(target, name) for name in _NUMBERS]
    return (
        target.rows.shape == target.weights.shape == (len(target.rows),)
        and target.rows.dtype == np.int64
        and all(0 <= row < count for row in (target.rows.min(initial=0), target.rows.max(initial=0)))
        and bool(np.isfinite(numbers).all())
        and min(target.length_scale, target.alpha) > 0
    )
