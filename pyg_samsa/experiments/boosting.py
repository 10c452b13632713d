"""Gradient-boosted trees on vectors, for every kind of task and with missing labels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any

import numpy as np

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.options import Option, check_options

MODELS = ("sklearn", "lightgbm")
LOSSES = ("absolute", "squared")
_MAX_BINS = 63
_LEAST = 1e-12


@dataclass(frozen=True)
class BoostingOptions:
    """Options of gradient-boosted trees; the help of each option is in its annotation.

    There is no early stopping. With ``balance`` the predicted probabilities of rare classes are too high.

    Raises:
        ConfigError: A value is not allowed.
        MissingDependencyError: LightGBM is asked for and not installed.

    Example:
        >>> BoostingOptions("sklearn").model
        'sklearn'
    """

    model: Annotated[
        str, Option("Library of the trees; auto is LightGBM if it is installed, else scikit-learn.", ("auto", *MODELS))
    ] = "auto"
    trees: Annotated[int, Option("Trees per target, or per class for multi-class tasks.", low=1)] = 500
    learning_rate: Annotated[float, Option("Factor on the output of each tree.", above=0, high=1)] = 0.1
    leaves: Annotated[int, Option("Leaves of a tree.", low=2)] = 31
    balance: Annotated[bool, Option("Whether rare classes weigh as much as frequent ones in training.")] = False
    loss: Annotated[str, Option("Error that regressions reduce.", LOSSES)] = "squared"
    seed: Annotated[int, Option("Seed of the trees.", low=0)] = 0
    threads: Annotated[int, Option("Number of threads.", low=1)] = 1

    def __post_init__(self) -> None:
        check_options(BoostingOptions, vars(self), prefix="fingerprint.")
        installed = find_spec("lightgbm") is not None
        if self.model == "auto":
            object.__setattr__(self, "model", "lightgbm" if installed else "sklearn")
        elif self.model == "lightgbm" and not installed:
            raise MissingDependencyError("lightgbm", "boosting", "Boosted trees of LightGBM")


def fit_boosting(
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    task: str,
    num_targets: int,
    options: BoostingOptions,
    *,
    on_target: Callable[[float], None] = lambda _: None,
) -> np.ndarray:
    """Fit trees to some rows and predict all rows, with one model per target, or one for all classes.

    A row with a missing label (NaN) is left out for that target only. Constant columns are dropped to save time.

    Args:
        x: Vectors of G molecules.
        y: Targets: float [G, C], or class numbers [G] for ``"multiclass"``.
        rows: Training rows, int [n].
        task: ``"binary"``, ``"multilabel"``, ``"multiclass"`` or ``"regression"``.
        num_targets: C.
        options: Options of the trees.
        on_target: Called with 1 after each target.

    Shapes:
        - **x:** [G, S]
        - **output:** float64 [G, C]: logits of labels (log-odds) and classes (log-probabilities), values of regressions

    Raises:
        ConfigError: A target has no label in the training rows.

    Example:
        >>> x, y = np.arange(60.0)[:, None] % 7, (np.arange(60)[:, None] % 7 > 3).astype(float)
        >>> logits = fit_boosting(x, y, np.arange(60), "binary", 1, BoostingOptions("sklearn", trees=20))
        >>> bool(((logits > 0) == y).all())
        True

    Cost: O(trees n S log(leaves)) per target.
    """
    x = np.ascontiguousarray(x[:, np.ptp(x[rows], axis=0) > 0], dtype=np.float32)
    if not x.shape[1]:
        x = np.zeros((len(x), 1), np.float32)
    if task == "multiclass":
        out = _limited(_classes, options.threads, x, y.reshape(len(y)).astype(np.int64), rows, num_targets, options)
        on_target(1)
        return out
    columns = y.reshape(len(y), num_targets).T
    known = [rows[~np.isnan(column[rows])] for column in columns]
    for target, labelled in enumerate(known):
        if not len(labelled):
            raise ConfigError(f"target {target}", "no label in the training split", "at least one")
    # Small trees gain little from several threads, so targets are fitted in parallel instead.
    side_by_side = min(options.threads, num_targets)
    each = replace(options, threads=options.threads // side_by_side)
    fit = partial(_limited, _values if task == "regression" else _labels, each.threads, x)
    out = np.empty((len(x), num_targets))
    with ThreadPoolExecutor(side_by_side) as pool:
        for target, predicted in enumerate(pool.map(fit, columns, known, [each] * num_targets)):
            out[:, target] = predicted
            on_target(1)
    return out


def _limited(fit: Callable[..., np.ndarray], threads: int, *arguments: Any) -> np.ndarray:
    """Call with a limit on OpenMP threads, which holds for the calling thread only."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads, user_api="openmp"):
        return fit(*arguments)


def _labels(x: np.ndarray, y: np.ndarray, rows: np.ndarray, options: BoostingOptions) -> np.ndarray:
    labels = y[rows] > 0.5
    if labels.all() or not labels.any():
        # All labels are the same.
        return np.full(len(x), _log_odds(float(labels.mean())))
    model = _build("Classifier", options).fit(x[rows], labels)
    return model.predict(x, raw_score=True) if options.model == "lightgbm" else model.decision_function(x)


def _log_odds(share: float) -> float:
    share = min(max(share, _LEAST), 1 - _LEAST)
    return float(np.log(share / (1 - share)))


def _classes(x: np.ndarray, y: np.ndarray, rows: np.ndarray, num_targets: int, options: BoostingOptions) -> np.ndarray:
    out = np.full((len(x), num_targets), np.log(_LEAST))
    present = np.unique(y[rows])
    if len(present) == 1:
        out[:, present] = 0.0
        return out
    model = _build("Classifier", options).fit(x[rows], y[rows])
    out[:, present] = np.log(np.maximum(model.predict_proba(x), _LEAST))
    return out


def _values(x: np.ndarray, y: np.ndarray, rows: np.ndarray, options: BoostingOptions) -> np.ndarray:
    return _build("Regressor", options).fit(x[rows], y[rows]).predict(x)


def _build(kind: str, options: BoostingOptions) -> Any:
    if kind == "Classifier":
        special: dict[str, Any] = {"class_weight": "balanced" if options.balance else None}
    elif options.model == "lightgbm":
        special = {"objective": {"absolute": "regression_l1", "squared": "regression"}[options.loss]}
    else:
        special = {"loss": f"{options.loss}_error"}
    if options.model == "lightgbm":
        import lightgbm

        return getattr(lightgbm, f"LGBM{kind}")(
            n_estimators=options.trees,
            learning_rate=options.learning_rate,
            num_leaves=options.leaves,
            random_state=options.seed,
            n_jobs=options.threads,
            deterministic=True,
            force_row_wise=True,
            verbose=-1,
            **special,
        )
    from sklearn import ensemble

    return getattr(ensemble, f"HistGradientBoosting{kind}")(
        max_iter=options.trees,
        learning_rate=options.learning_rate,
        max_leaf_nodes=options.leaves,
        max_bins=_MAX_BINS,
        early_stopping=False,
        random_state=options.seed,
        **special,
    )
