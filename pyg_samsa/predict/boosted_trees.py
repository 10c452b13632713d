"""Gradient-boosted trees on vectors, for every kind of task and with missing labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from pyg_samsa.errors import ConfigError, DataIntegrityError, MissingDependencyError
from pyg_samsa.hub.folder import COPY_AGAIN
from pyg_samsa.io.files import file_hash
from pyg_samsa.options import Option, check_options, keep_plain
from pyg_samsa.predict.stored_vectors import BLOCK_ROWS, StoredVectors, Vectors, blocks_of, select_columns
from pyg_samsa.predict.vector_model import LEAST, VectorModel, log_odds, thread_limit

MODELS = ("sklearn", "lightgbm")
LOSSES = ("absolute", "squared")
_MAX_BINS = 63
_SAMPLED_ROWS = 2**14  # rows of stored vectors that LightGBM reads into memory, for the limits of its bins


@dataclass(frozen=True)
class BoostingOptions:
    """Options of gradient-boosted trees; the help of each option is in its annotation.

    With ``balance`` the predicted probabilities of rare classes are too high.

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
    trees: Annotated[int, Option("Trees per target, or per class for multi-class tasks.", low=1, high=10**5)] = 500
    learning_rate: Annotated[float, Option("Factor on the output of each tree.", above=0, high=1)] = 0.1
    leaves: Annotated[int, Option("Leaves of a tree.", low=2, high=2**17)] = 31
    min_leaf: Annotated[int, Option("Least number of training molecules in a leaf.", low=1)] = 20
    column_share: Annotated[
        float, Option("Share of the columns that each tree (scikit-learn: each split) may use.", above=0, high=1)
    ] = 1.0
    balance: Annotated[bool, Option("Whether rare classes weigh as much as frequent ones in training.")] = False
    loss: Annotated[str, Option("Error that regressions reduce.", LOSSES)] = "squared"
    seed: Annotated[int, Option("Seed of the trees.", low=0)] = 0
    threads: Annotated[int, Option("Number of threads.", low=1)] = 1

    def __post_init__(self) -> None:
        check_options(BoostingOptions, vars(keep_plain(self)), prefix="boosting.")
        installed = find_spec("lightgbm") is not None
        if self.model == "auto":
            object.__setattr__(self, "model", "lightgbm" if installed else "sklearn")
        elif self.model == "lightgbm" and not installed:
            raise MissingDependencyError("lightgbm", "chem", "Boosted trees of LightGBM")


class BoostedTrees(VectorModel):
    r"""Gradient-boosted trees on vectors: one model per target, or one for all classes.

    .. math::
        f(x) = f_0 + \eta \sum_{t=1}^{T} h_t(x)

    with trees :math:`h_t` that are fitted one after the other to the gradient of the loss; Ke et al.,
    `"LightGBM: A Highly Efficient Gradient Boosting Decision Tree"
    <https://papers.nips.cc/paper/6907-lightgbm-a-highly-efficient-gradient-boosting-decision-tree>`_ (2017). NaN in a
    vector is a value of its own. A row with a missing label (NaN) is left out for that target only. Columns that are
    constant in the training rows are dropped to save time.

    Args:
        task: The task.
        descriptors: Names of the descriptors that the vectors hold, see :obj:`pyg_samsa.chem.descriptors.DESCRIPTORS`.
        extra_columns: Names of the columns of a table that the vectors hold after the descriptors.
        options: Options of the trees.

    Example:
        >>> from pyg_samsa.task import Task
        >>> x, y = np.arange(60.0)[:, None] % 7, (np.arange(60)[:, None] % 7 > 3).astype(float)
        >>> trees = BoostedTrees(Task("binary", ["active"]), options=BoostingOptions("sklearn", trees=20)).fit(x, y)
        >>> bool(((trees.predict(x) > 0) == y).all())
        True

    Cost: O(trees n S log(leaves)) per target for n rows and S columns.
    """

    kind, what, file = "trees", "trees", "trees.json"
    options_class = BoostingOptions
    options: BoostingOptions

    def _reset(self) -> None:
        self.columns = np.empty(0, np.int64)
        self.classes = np.empty(0, np.int64)
        self.models: list[Any] = []

    def fit(
        self,
        x: Vectors,
        y: np.ndarray,
        *,
        validation: tuple[Vectors, np.ndarray] | None = None,
        patience: int = 50,
        on_target: Callable[[float], None] = lambda _: None,
    ) -> BoostedTrees:
        """Fit the trees.

        Args:
            x: Vectors of the n training molecules [n, S]; NaN where undefined.
            y: Targets: float [n, C], or class numbers [n] for ``"multiclass"``.
            validation: Vectors and targets that stop the boosting early; None fits all trees. LightGBM only.
            patience: Trees without improvement on ``validation`` before the boosting stops.
            on_target: Called with 1 after each target.

        Raises:
            ConfigError: A target has no label, or scikit-learn's trees are given validation rows.
        """
        if validation is not None and self.options.model != "lightgbm":
            raise ConfigError("boosting.model", self.options.model, "'lightgbm' with validation rows")
        self.width = x.shape[1]
        self.columns = _varying(x) if len(x) else self.columns
        x = self._select(x)
        held_out = None if validation is None else (self._select(validation[0]), validation[1], patience)
        if self.task.kind == "multiclass":
            self._fit_classes(x, np.asarray(y).reshape(len(x)).astype(np.int64), held_out)
            on_target(1)
            return self
        columns = self._target_columns(y)
        # Small trees gain little from several threads, so targets are fitted in parallel instead.
        side_by_side = min(self.options.threads, self.task.num_targets)
        each = replace(self.options, threads=self.options.threads // side_by_side)
        kind = "regression" if self.task.kind == "regression" else "binary"
        if held_out is not None:
            held_out = (held_out[0], self._standardized(held_out[1]), patience)
        jobs = [(column, _target_of(held_out, number)) for number, column in enumerate(columns)]
        self.models = []
        with ThreadPoolExecutor(side_by_side) as pool:
            fit = partial(_limited, each.threads, _fit_target, x, kind=kind, options=each)
            for model in pool.map(lambda job: fit(*job), jobs):
                self.models.append(model)
                on_target(1)
        return self

    def _predict(self, x: Vectors) -> np.ndarray:
        x = self._select(x)
        out = np.empty((len(x), self.task.num_targets))
        if not len(x):
            return out
        if self.task.kind == "multiclass":
            out[:] = np.log(LEAST)
            found = _limited(self.options.threads, _predict, self.models[0], x, "multiclass", self.options.threads)
            out[:, self.classes] = found.reshape(len(x), len(self.classes))
            return out
        for target, model in enumerate(self.models):
            out[:, target] = _limited(self.options.threads, _predict, model, x, self.task.kind, self.options.threads)
        return out

    @property
    def num_trees(self) -> int:
        """Number of trees of the target with the most trees; early stopping makes it smaller than the option."""
        return max((_count(model, self.options.trees) for model in self.models), default=0)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the trees to a folder: LightGBM's plain text for each target, and ``trees.json``.

        Arguments and errors as in `VectorModel.save`.

        Example:
            >>> import tempfile
            >>> from pyg_samsa.task import Task
            >>> trees = BoostedTrees(Task("binary", ["active"]), options=BoostingOptions("lightgbm", trees=3))
            >>> folder = trees.fit(np.arange(60.0)[:, None], np.arange(60)[:, None] > 30).save(tempfile.mkdtemp())
            >>> sorted(path.name for path in folder.iterdir())
            ['target_0.txt', 'trees.json']
        """
        if self.options.model != "lightgbm":
            raise MissingDependencyError("lightgbm", "chem", "Saving boosted trees")
        return super().save(folder)

    def _write(self, folder: Path) -> dict[str, Any]:
        saved = [_save_model(model, folder / f"target_{place}.txt") for place, model in enumerate(self.models)]
        return {"columns": self.columns.tolist(), "classes": self.classes.tolist(), "models": saved}

    def _read(self, content: Mapping[str, Any], path: Path) -> None:
        self.columns = np.array(content["columns"], dtype=np.int64)
        self.classes = np.array(content["classes"], dtype=np.int64)
        described = [dict(model) for model in content["models"]]
        _check_shape(self, len(described), path)
        self.models = [_load_model(model, self, path) for model in described]

    def _select(self, x: Vectors) -> Vectors:
        if not len(self.columns):
            return np.zeros((len(x), 1), np.float32)
        selected = select_columns(x, self.columns)
        return selected if isinstance(selected, StoredVectors) else np.ascontiguousarray(selected, dtype=np.float32)

    def _fit_classes(self, x: Vectors, y: np.ndarray, held_out: Any) -> None:
        self.classes, numbers = np.unique(y, return_inverse=True)
        if len(self.classes) == 1:
            self.models = [0.0]
            return
        if held_out is not None:
            seen = np.isin(held_out[1].reshape(-1), self.classes)
            numbered = np.searchsorted(self.classes, held_out[1].reshape(-1)[seen])
            held_out = (held_out[0][seen], numbered, held_out[2])
        options = self.options
        model = _limited(options.threads, _train, x, numbers, held_out, kind="multiclass", options=options)
        self.models = [model]


def _varying(x: Vectors) -> np.ndarray:
    """Return the numbers of the columns that are neither constant nor without values."""
    first = np.asarray(x[:1])
    constant, missing = np.ones(x.shape[1], bool), np.ones(x.shape[1], bool)
    for block in blocks_of(x):
        constant &= (block == first).all(0)
        missing &= np.isnan(block).all(0)
    return np.flatnonzero(~(constant | missing))


def _limited(threads: int, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call with a limit on OpenMP threads."""
    with thread_limit(threads, "openmp"):
        return function(*arguments, **options)


def _target_of(held_out: Any, number: int) -> Any:
    if held_out is None:
        return None
    x, y, patience = held_out
    column = np.asarray(y, dtype=np.float64).reshape(len(x), -1)[:, number]
    known = ~np.isnan(column)
    return (x[known], column[known], patience) if known.any() else None


def _fit_target(x: Vectors, column: np.ndarray, held_out: Any, *, kind: str, options: BoostingOptions) -> Any:
    """Fit one target; a label that all molecules share becomes a number, its log-odds."""
    known = ~np.isnan(column)
    y = column[known]
    if kind == "binary":
        y = (y > 0.5).astype(np.float64)
        if len(np.unique(y)) == 1:
            return log_odds(float(y[0]))
    return _train(x[known], y, held_out, kind=kind, options=options)


def _train(x: Vectors, y: np.ndarray, held_out: Any, *, kind: str, options: BoostingOptions) -> Any:
    weights = _balanced(y) if options.balance and kind != "regression" else None
    if options.model == "sklearn":
        return _build_sklearn(kind, options).fit(np.asarray(x), y, sample_weight=weights)
    import lightgbm

    objective = {"absolute": "regression_l1", "squared": "regression"}[options.loss] if kind == "regression" else kind
    settings: dict[str, Any] = {
        "objective": objective,
        "learning_rate": options.learning_rate,
        "num_leaves": options.leaves,
        "min_data_in_leaf": options.min_leaf,
        "feature_fraction": options.column_share,
        "seed": options.seed,
        "num_threads": options.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        **({"num_class": int(y.max()) + 1} if kind == "multiclass" else {}),
    }
    data = _data_of(x, y, weight=weights, params={"verbosity": -1})
    if held_out is None:
        return lightgbm.train(settings, data, options.trees)
    stop = lightgbm.early_stopping(held_out[2], verbose=False)
    held_out_data = _data_of(held_out[0], held_out[1], reference=data)
    return lightgbm.train(settings, data, options.trees, valid_sets=[held_out_data], callbacks=[stop])


def _data_of(x: Vectors, y: np.ndarray, **options: Any) -> Any:
    """Return LightGBM's data set of vectors.

    Those in files are read in blocks. The result is that of an array, except that the limits of the bins come from
    fewer rows if there are more than 16,384.
    """
    import lightgbm

    if not isinstance(x, StoredVectors):
        return lightgbm.Dataset(x, y, **options)

    class Rows(lightgbm.Sequence):
        batch_size = BLOCK_ROWS

        def __getitem__(self, place: Any) -> np.ndarray:
            rows = np.asarray(x[place if isinstance(place, slice) else slice(place, place + 1)], np.float64)
            return rows if isinstance(place, slice) else rows[0]

        def __len__(self) -> int:
            return len(x)

    class Data(lightgbm.Dataset):
        def get_params(self) -> dict[str, Any]:
            # LightGBM leaves out some that change the data: the seed, and the least rows of a leaf.
            return {**(self.params or {}), "bin_construct_sample_cnt": _SAMPLED_ROWS}

    return Data(Rows(), y, **options)


def _balanced(y: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(y, return_inverse=True, return_counts=True)
    return (len(y) / (len(counts) * counts))[place]


def _build_sklearn(kind: str, options: BoostingOptions) -> Any:
    from sklearn import ensemble

    name = "Regressor" if kind == "regression" else "Classifier"
    loss = {"loss": f"{options.loss}_error"} if kind == "regression" else {}
    return getattr(ensemble, f"HistGradientBoosting{name}")(
        max_iter=options.trees,
        learning_rate=options.learning_rate,
        max_leaf_nodes=options.leaves,
        min_samples_leaf=options.min_leaf,
        max_bins=_MAX_BINS,
        max_features=options.column_share,
        early_stopping=False,
        random_state=options.seed,
        **loss,
    )


def _predict(model: Any, x: np.ndarray, kind: str, threads: int) -> np.ndarray:
    if isinstance(model, float):
        return np.full(len(x), model)
    if type(model).__module__.startswith("lightgbm"):
        if kind == "multiclass":
            return np.log(np.maximum(model.predict(x, num_threads=threads), LEAST))
        return model.predict(x, raw_score=kind != "regression", num_threads=threads)
    if kind == "regression":
        return model.predict(x)
    return model.decision_function(x) if kind != "multiclass" else np.log(np.maximum(model.predict_proba(x), LEAST))


def _count(model: Any, trees: int) -> int:
    if isinstance(model, float):
        return 0
    if not hasattr(model, "best_iteration"):
        return trees
    return int(model.best_iteration if model.best_iteration > 0 else model.current_iteration())


def _save_model(model: Any, path: Path) -> dict[str, Any]:
    if isinstance(model, float):
        return {"constant": model}
    path.write_text(model.model_to_string(), encoding="utf-8")
    return {"file": path.name, "sha256": file_hash(path)}


def _check_shape(trees: BoostedTrees, count: int, path: Path) -> None:
    """Check what the description says about itself, before any file of trees is read."""
    multiclass = trees.task.kind == "multiclass"
    fits = (
        count == (1 if multiclass else trees.task.num_targets)
        and all(0 <= column < trees.width for column in trees.columns.tolist())
        and all(0 <= number < trees.task.num_targets for number in trees.classes.tolist())
        and (len(trees.classes) > 0) == multiclass
    )
    if not fits:
        raise DataIntegrityError(path, "models, columns and classes of its task", "others", hint=COPY_AGAIN)


def _load_model(described: dict[str, Any], trees: BoostedTrees, path: Path) -> Any:
    if isinstance(described.get("constant"), float):
        return described["constant"]
    name = str(described.get("file"))
    if Path(name).name != name:
        raise DataIntegrityError(path, "a name of a file in its folder", repr(name), hint=COPY_AGAIN)
    file = path.with_name(name)
    # LightGBM's own parser trusts its input, so a damaged file must not reach it.
    if file_hash(file) != described.get("sha256"):
        raise DataIntegrityError(file, f"the SHA-256 in {trees.file}", "another one", hint=COPY_AGAIN)
    import lightgbm

    try:
        model = lightgbm.Booster(model_str=file.read_text(encoding="utf-8"))
        width = model.num_feature()
    except (lightgbm.basic.LightGBMError, UnicodeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise DataIntegrityError(file, "trees of LightGBM", f"something else ({reason})", hint=COPY_AGAIN) from error
    if width != max(1, len(trees.columns)):
        raise DataIntegrityError(file, f"{len(trees.columns)} columns", f"{width}", hint=COPY_AGAIN)
    return model
