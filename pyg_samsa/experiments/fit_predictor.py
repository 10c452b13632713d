"""The predictor of a run: models on descriptors beside the network, and their blend, weighted on validation."""

from __future__ import annotations

import copy
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from pyg_samsa.chem.descriptors import compute_descriptors
from pyg_samsa.chem.parsing import in_chunks, join_parsed, parse_stream
from pyg_samsa.datasets.molecule_descriptors import cached_descriptors
from pyg_samsa.datasets.splits import split_sizes
from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.hub.folder import CONFIG, RUN_SUBFOLDER
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.metrics.row_metric import UndefinedMetric
from pyg_samsa.predict import (
    BlendPredictor,
    BoostedTrees,
    BoostingOptions,
    DescriptorPredictor,
    GaussianProcess,
    MoleculeInputs,
    MoleculePredictor,
    Predictor,
    choose_weights,
    save_predictor,
)
from pyg_samsa.predict.blend_weights import raw_outputs
from pyg_samsa.predict.conformal import Calibration, calibrate, measure_coverage
from pyg_samsa.predict.predictor_folder import PREDICTOR_SUBFOLDER
from pyg_samsa.task import Task
from pyg_samsa.training.losses import clip_to_bounds
from pyg_samsa.training.results import RunResult

NETWORK = "network"
SMILES_HINT = "Set predictor.members network."


@dataclass(frozen=True)
class Candidate:
    """A fitted model that the predictor may use.

    Args:
        name: Name in tables.
        predictor: The model, or a blend of several; None if it cannot be saved for molecules.
        outputs: Split -> values or probabilities of its rows, float64 [n, C].
        seconds: Time of the fit.
        parts: For a blend of M models of the same weight: split -> the outputs of each of them, float64 [M, n, C].

    Example:
        >>> Candidate("network", None, {"val": np.zeros((3, 1))}).outputs["val"].shape
        (3, 1)
    """

    name: str
    predictor: Predictor | None
    outputs: Mapping[str, np.ndarray]
    seconds: float = 0.0
    parts: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class FittedPredictor:
    """The predictor of a run, and how it compares with its candidates.

    Args:
        blend: The predictor.
        scores: Name of a candidate, and ``"predictor"`` -> split -> name of a metric -> value.
        weights: Name of a candidate -> mean weight in the blend.
        outputs: Split -> values or probabilities of the predictor, float64 [n, C].
        seconds: Name of a candidate -> time of its fit.
        coverage: How often the intervals or sets of the predictor hold the true values of the test rows, see
            `pyg_samsa.predict.conformal.measure_coverage`.
    """

    blend: BlendPredictor
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    weights: Mapping[str, float]
    outputs: Mapping[str, np.ndarray]
    seconds: Mapping[str, float] = field(default_factory=dict)
    coverage: Sequence[Mapping[str, float]] = ()

    def as_summary(self) -> dict[str, Any]:
        """Return plain values for ``summary.json``: scores, weights and coverage.

        Example:
            >>> from pyg_samsa.predict import BlendPredictor, MoleculePredictor
            >>> blend = BlendPredictor([MoleculePredictor.from_pretrained("peptides")], [1.0])
            >>> FittedPredictor(blend, {}, {"network": 1.0}, {}).as_summary()["weights"]
            {'network': 1.0}
        """
        return {"scores": self.scores, "weights": dict(self.weights), "coverage": [dict(row) for row in self.coverage]}


class MoleculeRows:
    """The molecules of a data set as models on descriptors and predictors read them; descriptors are computed once.

    Args:
        dataset: A data set whose graphs have SMILES.
        name: Name of the data set, for errors.
        folder: Folder of the data sets, where descriptors are cached; None computes them.

    Raises:
        ConfigError: The graphs have no SMILES, or the task is not one of whole graphs.
    """

    def __init__(self, dataset: Any, name: str, folder: str | os.PathLike[str] | None = None) -> None:
        self.dataset, self.task, self.folder = dataset, dataset.task, folder
        self.smiles = smiles_of(dataset, name)
        self.splits = {split: np.sort(np.asarray(dataset.split_idx[split])) for split in split_sizes(dataset.split_idx)}
        y = torch.cat([dataset[row].y.reshape(1, -1) for row in range(len(dataset))]).double().numpy()
        self.target: np.ndarray = y[:, 0] if self.task.kind == "multiclass" else y
        bound = getattr(dataset._data, "y_bound", None)
        self.bound: np.ndarray | None = None if bound is None else bound.numpy()
        self.extra_columns = tuple(getattr(dataset.features, "extra_columns", ()))
        self._vectors: dict[str, np.ndarray] = {}
        self._inputs: dict[str, MoleculeInputs] = {}

    def with_splits(self, splits: Mapping[str, np.ndarray]) -> MoleculeRows:
        """Return the same molecules with other splits; descriptors are shared.

        Args:
            splits: Split -> sorted rows.
        """
        other = copy.copy(self)
        other.splits, other._inputs = dict(splits), {}
        return other

    def measured(self, split: str) -> np.ndarray:
        """Return the targets of a split, with NaN for those that are only bounds."""
        rows = self.splits[split]
        return self.target[rows] if self.bound is None else np.where(self.bound[rows] == 0, self.target[rows], np.nan)

    def clipped(self, values: np.ndarray, split: str) -> np.ndarray:
        """Return predictions of a split with those on the right side of a bound set to it, as metrics need them."""
        if self.bound is None:
            return values
        rows = self.splits[split]
        given = (torch.from_numpy(np.asarray(part)) for part in (values, self.target[rows], self.bound[rows]))
        return clip_to_bounds(*given).numpy()

    def pool(self) -> np.ndarray:
        """Return the rows that are not test rows, sorted."""
        return np.sort(np.concatenate([rows for split, rows in self.splits.items() if split != "test"]))

    def vectors(self, names: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """Return descriptors and extra columns of all molecules, float32 [G, F].

        Args:
            names: Names of the descriptors.
            progress: Whether to show a progress bar.
        """
        missing = [name for name in names if name not in self._vectors]
        for name in missing:
            if self.folder is None:
                self._vectors[name] = compute_descriptors(self.smiles, [name], progress=progress)
            else:
                self._vectors[name] = cached_descriptors(name, self.smiles, self.folder, progress=progress).numpy()
        return np.concatenate([*(self._vectors[name] for name in names), self.extra()], axis=1)

    def extra(self) -> np.ndarray:
        """Return the extra columns of all molecules, float32 [G, len(extra_columns)]."""
        if not self.extra_columns:
            return np.empty((len(self.smiles), 0), np.float32)
        return self.dataset._data.graph_features[:, -len(self.extra_columns) :].numpy()

    def inputs(self, split: str) -> MoleculeInputs:
        """Return the molecules of a split as predictors read them; they are parsed once."""
        if split not in self._inputs:
            rows = self.splits[split]
            texts = [self.smiles[row] for row in rows]
            parsed = join_parsed([parsed for _, parsed in parse_stream(in_chunks(texts))])
            extra = dict(zip(self.extra_columns, self.extra()[rows].T, strict=True))
            self._inputs[split] = MoleculeInputs(parsed, extra)
        return self._inputs[split]


def smiles_of(dataset: Any, name: str, *, hint: str = SMILES_HINT) -> list[str]:
    """Return the SMILES of every graph.

    Args:
        dataset: Graphs with the attribute ``smiles``.
        name: Name of the data set, for the error.
        hint: Cure, for the error.

    Raises:
        ConfigError: The graphs have no SMILES, or the task is not one of whole graphs.

    Example:
        >>> from pyg_samsa.datasets.features import MOLECULES
        >>> from pyg_samsa.datasets.base import SplitDataset, molecules_to_prepared
        >>> from pyg_samsa.chem import convert_smiles
        >>> smiles = ["CC", "C"]
        >>> table = convert_smiles(smiles, progress=False)
        >>> prepared = molecules_to_prepared(table, {}, y=torch.zeros(2, 1), smiles=smiles)
        >>> smiles_of(SplitDataset(prepared, Task("regression", ["logP"]), MOLECULES), "mine")
        ['CC', 'C']
    """
    if dataset.task.level != "graph" or dataset.task.pairs:
        raise ConfigError("dataset.name", name, "a task of whole molecules", hint=hint)
    if not isinstance(getattr(dataset[0], "smiles", None), str):
        raise ConfigError("dataset.name", name, "molecules with SMILES", hint=hint)
    return [dataset[row].smiles for row in range(len(dataset))]


def check_conformal() -> None:
    """Raise an error unless the package that computes intervals is installed.

    Raises:
        MissingDependencyError: crepes is not installed.

    Example:
        >>> check_conformal()
    """
    from importlib.util import find_spec

    if find_spec("crepes") is None:
        raise MissingDependencyError("crepes", "chem", "A predictor with intervals")


def check_trees(boosting: BoostingOptions) -> None:
    """Raise an error unless the trees can be saved, which needs LightGBM.

    Raises:
        MissingDependencyError: LightGBM is not installed.
        ConfigError: The trees of scikit-learn are asked for.

    Example:
        >>> check_trees(BoostingOptions("sklearn"))
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: boosting.model: got 'sklearn', expected 'lightgbm' for a predictor
    """
    from importlib.util import find_spec

    if find_spec("lightgbm") is None:
        raise MissingDependencyError("lightgbm", "chem", "A predictor with boosted trees")
    if boosting.model != "lightgbm":
        hint = "The trees of scikit-learn cannot be saved without pickle."
        raise ConfigError("boosting.model", boosting.model, "'lightgbm' for a predictor", hint=hint)


def fit_models(
    rows: MoleculeRows, models: Mapping[str, BoostedTrees | GaussianProcess], *, refit: bool, progress: bool = False
) -> list[Candidate]:
    """Fit models on descriptors to the training rows.

    With ``refit`` the models are then fitted again to the training and validation rows. Predictions of the validation
    rows are those of the first fit, so that weights can be chosen by them; predictions of the test rows and the saved
    models are those of the second.

    Args:
        rows: The molecules.
        models: Name in tables -> a model, from `pyg_samsa.predict.descriptor_models`.
        refit: Whether models are fitted again to training and validation rows.
        progress: Whether to show progress bars.

    Returns:
        The models with their predictions for all splits but training.

    Raises:
        ConfigError: A target has no label in the training rows.
    """
    candidates = []
    train = rows.splits["train"]
    stages = [train]
    if refit and "val" in rows.splits:
        stages.append(np.concatenate([train, rows.splits["val"]]))
    for name, model in models.items():
        started = time.perf_counter()
        x = rows.vectors(model.descriptors, progress=progress)
        count = len(stages) * (1 if rows.task.kind == "multiclass" else rows.task.num_targets)
        with progress_bar(f"Fit {name}", count, enabled=progress) as advance:
            fits = [copy.copy(model).fit(x[index], rows.target[index], on_target=advance) for index in stages]
        outputs = {
            split: (fits[0] if split == "val" else fits[-1]).readable(x[index])
            for split, index in rows.splits.items()
            if split != "train"
        }
        candidates.append(Candidate(name, DescriptorPredictor(fits[-1]), outputs, time.perf_counter() - started))
    return candidates


def has_model(result: RunResult) -> bool:
    """Say whether the network of a run was saved for molecules.

    Example:
        >>> from pyg_samsa.training.run_folder import RunFolder
        >>> has_model(RunResult(RunFolder(Path("no/run")), 0, 1, val={}, test={}, parameters=1, epochs=1, seconds=1.0))
        False
    """
    return (_model_of(result) / CONFIG).is_file()


def network_candidate(
    rows: MoleculeRows, result: RunResult, again: RunResult | None = None, *, name: str = NETWORK
) -> Candidate:
    """Return the saved network of a run with its predictions for all splits but training.

    Args:
        rows: The molecules.
        result: Result of the run.
        again: Result of a second training with the validation rows; its network is saved and predicts the test rows.
        name: Name in tables.
    """
    predictor = MoleculePredictor.from_pretrained(_model_of(result))
    last = predictor if again is None else MoleculePredictor.from_pretrained(_model_of(again))
    outputs = {
        split: (predictor if split == "val" else last).outputs(rows.inputs(split))[0]
        for split in rows.splits
        if split != "train"
    }
    return Candidate(name, last, outputs, result.seconds + (again.seconds if again else 0.0))


def _model_of(result: RunResult) -> Path:
    return result.folder.path / RUN_SUBFOLDER


def blend_candidates(
    candidates: Sequence[Candidate],
    rows: MoleculeRows,
    metrics: Mapping[str, Metric],
    best: str,
    *,
    source: str = "validation",
) -> FittedPredictor:
    """Choose the weights of the candidates on the validation rows, measure all of them, and calibrate the predictor.

    Without validation rows all candidates have the same weight, and there is no calibration. Nothing is chosen on test
    rows. The widths of intervals follow the spread over the members, where each of them predicts all rows.

    Args:
        candidates: Fitted models.
        rows: The molecules.
        metrics: Metrics by name.
        best: Name of the metric that chooses the weights, or ``"loss"``.
        source: ``"validation"``, or ``"out-of-fold"`` if each row was predicted by the models of one fold.

    Raises:
        ConfigError: There is no candidate that can be saved.
    """
    usable = [candidate for candidate in candidates if candidate.predictor is not None]
    if not usable:
        raise ConfigError("predictor.members", NETWORK, "members that predict for molecules")
    weights = np.full(len(usable), 1 / len(usable))
    if "val" in rows.splits:
        target = rows.target[rows.splits["val"]]
        found = np.stack([rows.clipped(one.outputs["val"], "val") for one in usable])
        weights = choose_weights(found, target, rows.task, best)
    outputs = {
        split: np.tensordot(weights, np.stack([one.outputs[split] for one in usable]), 1)
        for split in rows.splits
        if split != "train"
    }
    scores = {one.name: _scores(one.outputs, rows, metrics) for one in candidates}
    scores["predictor"] = _scores(outputs, rows, metrics)
    chosen = [(one, weight) for one, weight in zip(usable, weights, strict=True) if weight]
    spread = _spread(chosen, outputs) if source == "validation" else {}
    blend = _flat_blend(chosen, scores["predictor"], _calibration(rows, outputs, spread, source))
    used = {one.name: float(weight) for one, weight in zip(usable, weights, strict=True)}
    seconds = {one.name: one.seconds for one in candidates}
    return FittedPredictor(blend, scores, used, outputs, seconds, _coverage(rows, blend, outputs, spread))


def _flat_blend(
    chosen: Sequence[tuple[Candidate, float]], metrics: Mapping[str, Any], calibration: Calibration | None
) -> BlendPredictor:
    """Return one blend of all models; those of a candidate that is a blend itself share its weight."""
    members: list[Predictor] = []
    weights: list[np.ndarray] = []
    names: list[str] = []
    for one, weight in chosen:
        inner = one.predictor
        if not isinstance(inner, BlendPredictor):
            inner = BlendPredictor([inner], [1.0], names=[one.name])  # type: ignore[list-item]  # checked by the caller
        members += inner.members
        weights += list(weight * inner.weights)
        names += inner.names
    return BlendPredictor(members, np.stack(weights), names=names, metrics=metrics, calibration=calibration)


def _spread(chosen: Sequence[tuple[Candidate, float]], outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the standard deviation over the members as `BlendPredictor` has it; nothing for a single member."""
    found: dict[str, np.ndarray] = {}
    for split, mean in outputs.items():
        parts = [one.parts[split] if one.parts else one.outputs[split][None] for one, _ in chosen]
        if sum(map(len, parts)) > 1:
            weighted = zip(parts, chosen, strict=True)
            found[split] = np.sqrt(sum(weight * ((part - mean) ** 2).mean(0) for part, (_, weight) in weighted))
    return found


def _calibration(
    rows: MoleculeRows, outputs: Mapping[str, np.ndarray], spread: Mapping[str, np.ndarray], source: str
) -> Calibration | None:
    """Return the calibration on the validation rows; None without them, or where a regression target has no label."""
    if "val" not in outputs:
        return None
    target = rows.measured("val")
    if rows.task.kind == "regression" and np.isnan(target).all(0).any():
        return None
    return calibrate(rows.task, outputs["val"], target, spread=spread.get("val"), source=source)


def _coverage(
    rows: MoleculeRows, blend: BlendPredictor, outputs: Mapping[str, np.ndarray], spread: Mapping[str, np.ndarray]
) -> list[dict[str, float]]:
    """Return the measured coverage on the test rows."""
    if blend.calibration is None or "test" not in outputs:
        return []
    target = rows.measured("test")
    return measure_coverage(rows.task, blend.calibration, outputs["test"], target, spread=spread.get("test"))


def save_fitted(fitted: FittedPredictor, run_folder: Path) -> Path:
    """Write the predictor into the folder of a run, and return its folder."""
    return save_predictor(fitted.blend, run_folder / PREDICTOR_SUBFOLDER)


def _scores(
    outputs: Mapping[str, np.ndarray], rows: MoleculeRows, metrics: Mapping[str, Metric]
) -> dict[str, dict[str, float]]:
    return {
        split: measure(metrics, rows.clipped(values, split), rows.target[rows.splits[split]], rows.task)
        for split, values in outputs.items()
    }


def measure(metrics: Mapping[str, Metric], values: np.ndarray, target: np.ndarray, task: Task) -> dict[str, float]:
    """Return the metrics of values or probabilities [n, C].

    Args:
        metrics: Metrics by name.
        values: Values or probabilities [n, C].
        target: Targets [n, C], or class numbers [n].
        task: The task.

    Example:
        >>> from pyg_samsa import metrics
        >>> task = Task("regression", ["logS"])
        >>> measure({"mae": metrics.build("mae", 1)}, np.zeros((2, 1)), np.array([[1.0], [2.0]]), task)
        {'mae': 1.5}
    """
    raw: Tensor = raw_outputs(torch.from_numpy(np.asarray(values, np.float64)), task)
    known = torch.from_numpy(target)
    return measure_raw(metrics, raw, known.long() if task.kind == "multiclass" else known)


def measure_raw(metrics: Mapping[str, Metric], raw: Tensor, target: Tensor) -> dict[str, float]:
    """Return the metrics of raw outputs, as a network gives them.

    Args:
        metrics: Metrics by name.
        raw: Raw outputs [n, C].
        target: Targets [n, C], or class numbers [n].

    Example:
        >>> from pyg_samsa import metrics
        >>> measure_raw({"mae": metrics.build("mae", 1)}, torch.zeros(2, 1), torch.tensor([[1.0], [2.0]]))
        {'mae': 1.5}
    """
    found = {}
    for name, metric in metrics.items():
        metric.reset()
        metric.update(raw, target)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetric)  # the table shows a dash
            found[name] = float(metric.compute())
    return found
