"""The models that a predictor may use: models on descriptors, and the network of a run."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.hub.folder import CONFIG, RUN_SUBFOLDER
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.predict import (
    BoostedTrees,
    BoostingOptions,
    DescriptorPredictor,
    GaussianProcess,
    MoleculePredictor,
    Predictor,
)
from pyg_samsa.training.results import RunResult

NETWORK = "network"


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
    predictor = MoleculePredictor.from_network(_model_of(result))
    last = predictor if again is None else MoleculePredictor.from_network(_model_of(again))
    outputs = {
        split: np.concatenate(
            [(predictor if split == "val" else last).outputs(inputs)[0] for inputs in rows.inputs(split)]
        )
        for split in rows.splits
        if split != "train"
    }
    return Candidate(name, last, outputs, result.seconds + (again.seconds if again else 0.0))


def _model_of(result: RunResult) -> Path:
    return result.folder.path / RUN_SUBFOLDER
