"""One predictor of several networks: of several seeds, or of the folds of a cross-validation."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch_geometric.graphgym.config import cfg

from pyg_samsa.chem.molecule_names import canonical_smiles
from pyg_samsa.datasets.folds import random_folds, scaffold_folds
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.blend import FittedPredictor, blend_candidates
from pyg_samsa.experiments.candidates import Candidate, network_candidate
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.experiments.predictor_plan import PredictorPlan, count_trees, write_predictor_run
from pyg_samsa.experiments.refit import Train, train_again
from pyg_samsa.graphgym.config import LoadedConfig
from pyg_samsa.graphgym.plan import make_plan
from pyg_samsa.predict import BlendPredictor
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.training.run_plan import RunPlan

MEMBERS = "members"
"""Subfolder of a run's folder with the runs of the single networks."""


@dataclass(frozen=True)
class Part:
    """What one network of an ensemble is trained on.

    Args:
        name: Name of its folder: ``seed-0`` or ``fold-1``.
        dataset: The data set with the splits of this network.
        rows: Its molecules.
        seed: Its seed.
    """

    name: str
    dataset: Any
    rows: MoleculeRows
    seed: int

    @property
    def title(self) -> str:
        """Text for the user."""
        return self.name.replace("-", " ")


@dataclass(frozen=True)
class EnsembleResult:
    """The result of an ensemble.

    Args:
        result: Of the predictor, with a run folder of its own.
        members: Of the single networks; empty without networks.
        fitted: The predictor.
    """

    result: RunResult
    members: Sequence[RunResult]
    fitted: FittedPredictor


def run_ensemble(
    loaded: LoadedConfig,
    dataset: Any,
    predictor: PredictorPlan,
    *,
    train: Train,
    console: Any = None,
    title: str = "",
) -> EnsembleResult:
    """Train the networks of an ensemble or of a cross-validation, and save their blend with models on descriptors.

    Networks of several seeds are trained on the same rows. In a cross-validation with K folds, training and validation
    rows are divided into K parts: each network, and each model on descriptors, leaves out one part, which also chooses
    the epoch of the network. The predictor is the mean of the K models. Its weights and its calibration come from the
    out-of-fold predictions, so that every row counts; the test rows stay apart.

    Args:
        loaded: From `load_config`.
        dataset: The data set.
        predictor: Plan of the predictor, with its ``options.ensemble`` and ``options.folds``.
        train: Carries out the plan of one network.
        console: A rich console; None for silence.
        title: Headline.

    Raises:
        ConfigError: There are fewer molecules than folds, or the networks cannot be saved.

    Cost: K trainings of one network; with ``predictor.refit all``, an ensemble needs twice as many.
    """
    started = time.perf_counter()
    plan = make_plan(loaded, dataset, seed=cfg.seed)
    parts = make_parts(dataset, predictor, plan.seed)
    folder = plan.open_folder()
    members: list[RunResult] = []
    found: list[list[Candidate]] = []
    try:
        for part in parts:
            models: list[Candidate] = []
            if predictor.network:
                text = f"{title} · {part.title} of {len(parts)}"
                header: dict[str, Any] = {"console": console, "title": text}
                plan_of_part = _plan(loaded, part, folder)
                members.append(train(plan_of_part, **header))
                again = (
                    train_again(plan_of_part, members[-1], train=train, **header) if predictor.refits_network else None
                )
                models = [network_candidate(part.rows, members[-1], again, name=f"network {part.title}")]
            if predictor.options.folds or not found:
                models += predictor.fit_models(part.seed, part.rows)
            found.append(models)
        rows, fitted = _blend(found, parts, predictor, plan)
    except BaseException:
        if not (folder.path / MEMBERS).exists():
            folder.discard_unused()
        raise
    seconds = sum(member.seconds for member in members) if members else time.perf_counter() - started
    epochs = [round(statistics.fmean(numbers)) for numbers in zip(*_epochs(members, fitted), strict=True)]
    told = {
        "refit": predictor.refit_text,
        "members": [_told(part, member) for part, member in zip(parts, members, strict=False)],
    }
    parameters = sum(member.parameters for member in members)
    result = write_predictor_run(
        plan, rows, folder, fitted, epochs=epochs, parameters=parameters, seconds=seconds, told=told
    )
    return EnsembleResult(result, members, fitted)


def make_parts(dataset: Any, predictor: PredictorPlan, seed: int) -> list[Part]:
    """Return what each network is trained on.

    Args:
        dataset: The data set.
        predictor: Plan of the predictor.
        seed: Seed of the first network, and of the folds.

    Raises:
        ConfigError: There are fewer molecules than folds.
    """
    rows, options = predictor.rows, predictor.options
    if not options.folds:
        return [Part(f"seed-{seed + n}", dataset, rows, seed + n) for n in range(options.ensemble)]
    pool = rows.pool()
    smiles = [rows.smiles[row] for row in pool]
    try:
        if cfg.dataset.get("split_kind") == "scaffold":
            folds = scaffold_folds(smiles, options.folds, seed=seed)
        else:
            y = torch.from_numpy(rows.target[pool]).reshape(len(pool), -1)
            classes = rows.task.kind != "regression"
            folds = random_folds(canonical_smiles(smiles), y, options.folds, seed=seed, classes=classes)
    except ConfigError as error:
        raise ConfigError("predictor.folds", options.folds, str(error).partition("expected ")[2]) from error
    parts = []
    for number, fold in enumerate(folds, start=1):
        held_out = pool[fold.numpy()]
        splits = {"train": np.setdiff1d(pool, held_out), "val": held_out}
        splits |= {"test": rows.splits["test"]} if "test" in rows.splits else {}
        own = copy.copy(dataset)
        own.split_idx = {split: torch.from_numpy(places) for split, places in splits.items()}
        parts.append(Part(f"fold-{number}", own, rows.with_splits(splits), seed))
    return parts


def _plan(loaded: LoadedConfig, part: Part, folder: RunFolder) -> RunPlan:
    """Return the plan of a part, in a folder below that of the predictor; a finished run is not repeated."""
    plan = make_plan(loaded, part.dataset, seed=part.seed)
    return replace(plan, name=part.name, out_dir=str(folder.path / MEMBERS), resume=True)


def _blend(
    found: Sequence[Sequence[Candidate]], parts: Sequence[Part], predictor: PredictorPlan, plan: RunPlan
) -> tuple[MoleculeRows, FittedPredictor]:
    """Choose the weights of the networks and the other models, and return the rows on which they were measured."""
    best = (plan.monitor or "val_loss").removeprefix("val_")
    if not predictor.options.folds:
        networks = average([models[0] for models in found], f"{len(found)} networks")
        candidates = [networks, *found[0][1:]]
        return predictor.rows, blend_candidates(candidates, predictor.rows, plan.metrics, best)
    pool = predictor.rows.pool()
    rows = predictor.rows.with_splits({**predictor.rows.splits, "val": pool})
    folds = [part.rows.splits["val"] for part in parts]
    names = [f"{len(parts)} x {models[0].name}" for models in zip(*found, strict=True)]
    if predictor.network:
        names[0] = f"{len(parts)} networks"
    candidates = [join_folds(models, folds, name) for models, name in zip(zip(*found, strict=True), names, strict=True)]
    return rows, blend_candidates(candidates, rows, plan.metrics, best, source="out-of-fold")


def average(models: Sequence[Candidate], name: str) -> Candidate:
    """Return the mean of models that were fitted to the same rows, as one candidate.

    Args:
        models: M candidates.
        name: Name in tables.

    Example:
        >>> models = [Candidate("a", None, {"val": np.full((2, 1), value)}, seconds=1.0) for value in (1.0, 3.0)]
        >>> mean = average(models, "both")
        >>> mean.outputs["val"].tolist(), mean.parts["val"].shape, mean.seconds
        ([[2.0], [2.0]], (2, 2, 1), 2.0)
    """
    parts = {split: np.stack([model.outputs[split] for model in models]) for split in models[0].outputs}
    outputs = {split: values.mean(0) for split, values in parts.items()}
    return Candidate(name, _mean_predictor(models), outputs, sum(model.seconds for model in models), parts)


def join_folds(models: Sequence[Candidate], folds: Sequence[np.ndarray], name: str) -> Candidate:
    """Return the models of all folds as one candidate: out-of-fold predictions, and the mean for other rows.

    Args:
        models: K candidates; each has predicted its fold as ``"val"``.
        folds: Sorted rows of each fold.
        name: Name in tables.

    Example:
        >>> models = [
        ...     Candidate("a", None, {"val": np.array([[1.0], [3.0]]), "test": np.array([[4.0]])}),
        ...     Candidate("a", None, {"val": np.array([[2.0]]), "test": np.array([[6.0]])}),
        ... ]
        >>> joined = join_folds(models, [np.array([10, 12]), np.array([11])], "both")
        >>> joined.outputs["val"].tolist(), joined.outputs["test"].tolist()
        ([[1.0], [2.0], [3.0]], [[5.0]])
    """
    order = np.argsort(np.concatenate(folds))
    outputs = {"val": np.concatenate([model.outputs["val"] for model in models])[order]}
    for split in models[0].outputs:
        if split != "val":
            outputs[split] = np.mean([model.outputs[split] for model in models], axis=0)
    return Candidate(name, _mean_predictor(models), outputs, sum(model.seconds for model in models))


def _mean_predictor(models: Sequence[Candidate]) -> BlendPredictor | None:
    members = [model.predictor for model in models if model.predictor is not None]
    if len(members) < len(models):
        return None
    names = [model.name for model in models]
    return BlendPredictor(members, np.full(len(models), 1 / len(models)), names=names)


def _epochs(members: Sequence[RunResult], fitted: FittedPredictor) -> list[tuple[int, int]]:
    """Return the tested and the last epoch of each network; numbers of trees without a network."""
    if members:
        return [(member.best_epoch, member.epochs) for member in members]
    return [(count_trees(member),) * 2 for member in fitted.blend.members]


def _told(part: Part, member: RunResult) -> Mapping[str, Any]:
    return {"name": part.title, "best_epoch": member.best_epoch, "val": dict(member.val), "test": dict(member.test)}
