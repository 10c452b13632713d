"""Gaussian processes on vectors, for every kind of task and with missing labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from pyg_samsa.chem.descriptors import fragment_columns
from pyg_samsa.errors import DataIntegrityError
from pyg_samsa.functional.feature_scale import fit_scale_of_blocks, scale_block, scale_features
from pyg_samsa.hub.folder import COPY_AGAIN
from pyg_samsa.hub.load import read_weights
from pyg_samsa.options import Option, check_options, keep_plain
from pyg_samsa.predict.molecule_kernel import (
    LARGEST_COUNT,
    NUMBERS,
    KernelNumbers,
    KernelPairs,
    KernelRows,
    search_numbers,
)
from pyg_samsa.predict.stored_vectors import Vectors, blocks_of, select_columns
from pyg_samsa.predict.vector_model import LEAST, VectorModel, log_odds, thread_limit

ARRAYS = "gp.safetensors"
_CHUNK = 1024
_SEARCH_ROWS = 800
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
        int,
        Option(
            "Largest number of molecules that a target is fitted to; of more, this many are drawn.", low=2, high=10**5
        ),
    ] = 5000
    seed: Annotated[int, Option("Seed of the molecules that are drawn.", low=0)] = 0
    threads: Annotated[int, Option("Number of threads.", low=1)] = 1

    def __post_init__(self) -> None:
        check_options(GaussianProcessOptions, vars(keep_plain(self)), prefix="gaussian_process.")


@dataclass(frozen=True)
class FittedTarget:
    r"""A Gaussian process of one target.

    .. math::
        f(x) = b + a \sum_i w_i \, k(x, x_i)

    Args:
        rows: Numbers of the training rows.
        weights: Weights w, in float64.
        numbers: Numbers of the kernel k.
        slope: Factor a.
        offset: Offset b.
    """

    rows: np.ndarray
    weights: np.ndarray
    numbers: KernelNumbers
    slope: float = 1.0
    offset: float = 0.0

    def predict(self, pairs: KernelPairs) -> np.ndarray:
        """Return values of a regression or log-odds, float64 [n], of the pairs of n molecules and the training rows."""
        every = len(self.rows) == pairs.distances.shape[1]
        own = pairs if every else pairs.take(slice(None), self.rows)
        return self.offset + self.slope * (own.kernel(self.numbers) @ self.weights)


class GaussianProcess(VectorModel):
    r"""Gaussian processes on vectors: one per target, or one per class.

    .. math::
        f(x) = k(x, X) \, (K + s^2 I)^{-1} \, t

    with standardised targets t; Rasmussen and Williams, `"Gaussian Processes for Machine Learning"
    <https://gaussianprocess.org/gpml/>`_ (2006), equation 2.25. The kernel k is a rational quadratic of the scaled
    properties (see :func:`pyg_samsa.functional.fit_feature_scale`) plus the overlap of the fragments, see
    :mod:`pyg_samsa.predict.molecule_kernel`. Fragments are the columns of descriptors that count them, such as
    ``morgan_count``; counts above 255 are 255. The numbers of the kernel and the noise are those with the largest
    marginal likelihood of up to 800 molecules. A label is fitted as a number, 0 or 1. Its probability is a logistic
    function of f, fitted to the leave-one-out predictions of the training rows (equation 5.12; Platt, 1999). A row with
    a missing label (NaN) is left out for that target only.

    Args:
        task: The task.
        descriptors: Names of the descriptors that the vectors hold, see :obj:`pyg_samsa.chem.descriptors.DESCRIPTORS`.
        extra_columns: Names of the columns of a table that the vectors hold after the descriptors.
        options: Options of the processes.

    Example:
        >>> from pyg_samsa.task import Task
        >>> x = np.arange(40.0)[:, None]
        >>> process = GaussianProcess(Task("regression", ["y"])).fit(x[::2], 3 * x[::2])
        >>> bool(np.abs(process.predict(x) - 3 * x).max() < 2)
        True

    Cost: O(n^3) and O(n^2) memory per target for n training rows, of which there are at most ``max_rows``.
    """

    kind, what, file = "gp", "Gaussian processes", "gp.json"
    options_class = GaussianProcessOptions
    options: GaussianProcessOptions

    def _reset(self) -> None:
        self.center, self.scale = torch.empty(0), torch.empty(0)
        self.fragments, self.seen = np.empty(0, bool), np.empty(0, bool)
        self.training = KernelRows(np.empty((0, 0), np.float32), np.empty((0, 0), np.uint8), np.empty(0))
        self.targets: list[FittedTarget | float] = []

    def fit(self, x: Vectors, y: np.ndarray, *, on_target: Callable[[float], None] = lambda _: None) -> GaussianProcess:
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
        known = [order[~np.isnan(column[order])] for column in columns]
        used = [self._draw(rows, column, self.options.max_rows) for rows, column in zip(known, columns, strict=True)]
        kept = np.unique(np.concatenate(used))
        self._fit_inputs(x, kept)
        self.targets = []
        with thread_limit(self.options.threads):
            pairs = self.training.pairs(self.training)
            for every, rows, column in zip(known, used, columns, strict=True):
                places = np.searchsorted(kept, rows)
                self.targets.append(self._fit_target(pairs, places, column[rows], np.mean(column[every] > 0.5)))
                on_target(1 / len(columns) if self.task.kind == "multiclass" else 1)
        return self

    def _predict(self, x: Vectors) -> np.ndarray:
        given, out = self._rows(np.asarray(x)), np.empty((len(x), self.task.num_targets))
        with thread_limit(self.options.threads):
            for start in range(0, len(given), _CHUNK):
                chunk = slice(start, start + _CHUNK)
                pairs = given[chunk].pairs(self.training)
                for number, target in enumerate(self.targets):
                    out[chunk, number] = target if isinstance(target, float) else target.predict(pairs)
        if self.task.kind == "multiclass":
            shares = 1 / (1 + np.exp(-out.clip(-500, 500)))
            out = np.log(np.maximum(shares / shares.sum(1, keepdims=True), LEAST))
        return out

    def _write(self, folder: Path) -> dict[str, Any]:
        from safetensors.torch import save

        parts = {"fragments": self.fragments, "seen": self.seen}
        parts |= {name: getattr(self.training, name) for name in KernelRows.__dataclass_fields__}
        described: list[dict[str, Any]] = []
        for number, fitted in enumerate(self.targets):
            if isinstance(fitted, float):
                described.append({"constant": fitted})
                continue
            described.append({**asdict(fitted.numbers), "slope": fitted.slope, "offset": fitted.offset})
            parts |= {f"rows_{number}": fitted.rows, f"weights_{number}": fitted.weights}
        arrays = {name: torch.from_numpy(part).contiguous() for name, part in parts.items()}
        (folder / ARRAYS).write_bytes(save({"center": self.center, "scale": self.scale, **arrays}))
        return {"targets": described}

    def _read(self, content: Mapping[str, Any], path: Path) -> None:
        arrays = read_weights(path.with_name(ARRAYS))
        self.center, self.scale = arrays["center"].float(), arrays["scale"].float()
        self.fragments, self.seen = (arrays[name].bool().numpy() for name in ("fragments", "seen"))
        self.training = KernelRows(*(arrays[name].numpy() for name in KernelRows.__dataclass_fields__))
        self.targets = [_read_target(one, number, arrays) for number, one in enumerate(content["targets"])]
        self._check_loaded(path)

    def _check_loaded(self, path: Path) -> None:
        rows, count = self.training, len(self.training)
        widths = {len(part) for part in (self.center, self.scale, self.fragments, self.seen)}
        fits = (
            widths == {self.width}
            and rows.z.shape == (count, int((self._varies()).sum()))
            and rows.counts.shape == (count, int(self.seen.sum()))
            and rows.totals.shape == (count,)
            and (rows.z.dtype, rows.counts.dtype, rows.totals.dtype) == (np.float32, np.uint8, np.float64)
            and len(self.targets) == self.task.num_targets
            and all(_fits(one, count) for one in self.targets if not isinstance(one, float))
        )
        if not fits:
            raise DataIntegrityError(path, f"the shapes of {ARRAYS}", "others", hint=COPY_AGAIN)

    def _fit_inputs(self, x: Vectors, kept: np.ndarray) -> None:
        """Set the scale of properties, the fragments that occur, and the training rows."""
        self.fragments = np.zeros(self.width, bool)
        if self.descriptors:
            marked = fragment_columns(self.descriptors)
            self.fragments[: len(marked)] = marked[: self.width]
        properties = ~self.fragments
        self.center, self.scale = torch.zeros(self.width), torch.zeros(self.width)
        read, rows = select_columns(x, np.flatnonzero(properties)), scale_block(int(properties.sum()))

        def blocks() -> Iterator[Tensor]:
            return (torch.from_numpy(block.astype(np.float32, copy=False)) for block in blocks_of(read, rows))

        if properties.any():
            center, scale = fit_scale_of_blocks(blocks)
            self.center[properties], self.scale[properties] = center.float(), scale.float()
        used = np.asarray(x[kept])
        self.seen = self.fragments & (used > 0).any(0)
        self.training = self._rows(used)

    def _varies(self) -> np.ndarray:
        return (self.scale > 0).numpy() & ~self.fragments

    def _rows(self, x: np.ndarray) -> KernelRows:
        """Return what the kernel reads of vectors; distances are divided by the number of properties."""
        x, varies = np.asarray(x, np.float32), self._varies()
        scaled = scale_features(torch.from_numpy(x[:, varies]), self.center[varies], self.scale[varies]).numpy()
        counts = (
            np.nan_to_num(x[:, self.fragments], nan=0, posinf=LARGEST_COUNT).clip(0, LARGEST_COUNT).astype(np.uint8)
        )
        totals = counts.sum(1, dtype=np.float64)
        return KernelRows(
            scaled / np.float32(max(1, varies.sum()) ** 0.5), counts[:, self.seen[self.fragments]], totals
        )

    def _draw(self, order: np.ndarray, column: np.ndarray, count: int) -> np.ndarray:
        """Return at most ``count`` rows, sorted, the first of an order; of a rare label as many as there are."""
        if len(order) <= count:
            return np.sort(order)
        if self.task.kind == "regression":
            return np.sort(order[:count])
        positive = column[order] > 0.5
        rare = positive if positive.mean() < 0.5 else ~positive
        first = order[rare][: max(1, count // 2)]
        return np.sort(np.concatenate([first, order[~rare][: count - len(first)]]))

    def _fit_target(self, pairs: KernelPairs, rows: np.ndarray, y: np.ndarray, share: float) -> FittedTarget | float:
        """Fit one target; it becomes a number if all molecules share its value, or if no column of x varies.

        Values of a regression are standardised already; labels are standardised here.

        Args:
            pairs: All pairs of training rows.
            rows: Numbers of the rows that are used.
            y: Their values or labels.
            share: Share of the label 1 among all rows, also those that were not drawn.
        """
        labels = self.task.kind != "regression"
        y = (y > 0.5).astype(float) if labels else y
        mean, std = (float(y.mean()), float(y.std())) if labels else (0.0, 1.0)
        # Standardised values that differ by rounding alone are constant.
        if not (self._varies().any() or self.seen.any()) or not np.ptp(y) > 1e-9:
            return log_odds(share) if labels else float(y.mean())
        target, own = (y - mean) / std, pairs if len(rows) == len(self.training) else pairs.take(rows, rows)
        order = np.random.default_rng(self.options.seed).permutation(len(rows))
        searched = self._draw(order, y, _SEARCH_ROWS)
        numbers = search_numbers(own if len(searched) == len(rows) else own.take(searched, searched), target[searched])
        weights, left_out = _solve(own, numbers, target, leave_one_out=labels)
        slope, offset = std, mean
        if labels:
            slope, offset = _logistic(left_out, y)
            offset += log_odds(share) - log_odds(mean)  # a rare label may be drawn more often than it occurs
        return FittedTarget(rows, weights, numbers, slope, offset)


def _solve(
    pairs: KernelPairs, numbers: KernelNumbers, target: np.ndarray, *, leave_one_out: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights, and the leave-one-out predictions of the training rows if asked for."""
    from scipy.linalg import cho_factor, cho_solve, lapack

    kernel = pairs.kernel(numbers)
    kernel[np.diag_indices_from(kernel)] += numbers.noise
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
    numbers = KernelNumbers(*(float(described[name]) for name in NUMBERS))
    rows, weights = arrays[f"rows_{number}"].numpy(), arrays[f"weights_{number}"].double().numpy()
    return FittedTarget(rows, weights, numbers, float(described["slope"]), float(described["offset"]))


def _fits(target: FittedTarget, count: int) -> bool:
    numbers = list(vars(target.numbers).values())
    return (
        target.rows.shape == target.weights.shape == (len(target.rows),)
        and target.rows.dtype == np.int64
        and all(0 <= row < count for row in (target.rows.min(initial=0), target.rows.max(initial=0)))
        and bool(np.isfinite([*numbers, target.slope, target.offset]).all())
        and min(numbers) > 0
    )
