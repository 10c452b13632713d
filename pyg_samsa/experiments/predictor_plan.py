"""From ``cfg`` to the predictor of a run; fits models on descriptors alone where no network is asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch_geometric.graphgym.config import cfg

from pyg_samsa.experiments.blend import FittedPredictor, blend_candidates, save_fitted
from pyg_samsa.experiments.candidates import (
    NETWORK,
    Candidate,
    fit_models,
    has_model,
    network_candidate,
)
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.experiments.predictor_settings import PredictorSettings, read_predictor
from pyg_samsa.experiments.saved_network import predict_command
from pyg_samsa.hub.folder import PREDICTOR_SUBFOLDER
from pyg_samsa.predict import (
    BoostedTrees,
    DescriptorPredictor,
    Predictor,
    descriptor_models,
)
from pyg_samsa.predict.blend_weights import raw_outputs
from pyg_samsa.predict.coverage import describe_coverage, mean_coverage
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.console import print_header
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.environment import describe, describe_cpu
from pyg_samsa.training.predictions import PredictionCollector, write_predictions
from pyg_samsa.training.results import RunResult, per_class_scores, write_run
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.training.run_plan import RunPlan
from pyg_samsa.viz.run_pictures import draw_run
from pyg_samsa.viz.run_tables import print_files
from pyg_samsa.viz.tables import predictor_table

ALL = "all"
"""What is fitted again if the network is: everything."""


@dataclass(frozen=True)
class PredictorPlan(PredictorSettings):
    """Everything that the predictors of the runs of a configuration need, made once from ``cfg``.

    Args:
        kinds: See `PredictorSettings`.
        options: Likewise.
        boosting: Likewise.
        process: Likewise.
        rows: The molecules.
        progress: Whether to show progress bars.
    """

    rows: MoleculeRows
    progress: bool = False

    @property
    def refits_models(self) -> bool:
        """Whether models on descriptors are fitted again with the validation rows."""
        return self.options.refit != "none" and self._can_refit and tuple(self.kinds) != (NETWORK,)

    @property
    def refits_network(self) -> bool:
        """Whether the network is trained again with the validation rows."""
        return self.options.refit == "all" and self._can_refit and self.network

    @property
    def _can_refit(self) -> bool:
        return not self.options.folds and "val" in self.rows.splits

    @property
    def refit_text(self) -> str:
        """What is fitted again, for the table; empty for nothing."""
        if self.refits_network:
            return ALL
        return "models on descriptors" if self.refits_models else ""

    def prepare(self) -> None:
        """Compute the descriptors of all models, unless they are in the folder of the data sets."""
        for kind in self.kinds:
            for names in self.options.inputs(kind):
                self.rows.vectors(names, progress=self.progress)

    def fit_models(self, seed: int, rows: MoleculeRows | None = None) -> list[Candidate]:
        """Fit the models on descriptors.

        Args:
            seed: Seed of the models.
            rows: Molecules; the plan's own by default. A model of a fold never sees the rows of its fold.
        """
        rows = rows or self.rows
        boosting, process = replace(self.boosting, seed=seed), replace(self.process, seed=seed)
        inputs: dict[str, Any] = {"extra_columns": rows.extra_columns, "standardize": rows.standardize}
        models = descriptor_models(rows.task, self.options, boosting, process, kinds=self.kinds, **inputs)
        return fit_models(rows, models, refit=self.refits_models, progress=self.progress)

    def fit(self, plan: RunPlan, result: RunResult, again: RunResult | None = None) -> FittedPredictor | None:
        """Blend the network of a run with models on descriptors, and save the predictor in the folder of the run.

        Args:
            plan: Plan of the run.
            result: Result of the run; its folder holds the network.
            again: Result of the second training with the validation rows; None without one.

        Returns:
            The predictor; None where there is only a network, and it does not predict for molecules.
        """
        candidates = []
        if has_model(result):
            candidates.append(network_candidate(self.rows, result, again))
        candidates += self.fit_models(plan.seed)
        if not candidates:
            return None
        fitted = self._blend(candidates, plan)
        with result.folder.alone():
            save_fitted(fitted, result.folder.path)
            path = result.folder.file(files.PREDICTOR_PREDICTIONS)
            write_predictions(path, _test_predictions(self.rows, fitted), dataset=plan.dataset, task=self.rows.task)
            add_to_summary(result.folder, fitted, {"refit": self.refit_text})
        return fitted

    def _blend(self, candidates: Sequence[Candidate], plan: RunPlan) -> FittedPredictor:
        best = (plan.monitor or "val_loss").removeprefix("val_")
        return blend_candidates(candidates, self.rows, plan.metrics, best)


def add_to_summary(folder: RunFolder, fitted: FittedPredictor, told: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Add the scores, weights and coverage of a predictor, and other values, to the summary of its run."""
    folder.write_json(files.SUMMARY, {**(folder.summary() or {}), "predictor": {**fitted.as_summary(), **told}})


def make_predictor_plan(dataset: Any, *, progress: bool = True) -> PredictorPlan | None:
    """Return the plan of the predictor by the present ``cfg``; None if it asks for no predictor.

    Args:
        dataset: The data set, from `load_for_runner`.
        progress: Whether to show progress bars.

    Raises:
        ConfigError: A setting is not allowed, or the data set has no SMILES.
        MissingDependencyError: A package is not installed that the predictor needs.
    """
    found = read_predictor()
    if found is None:
        return None
    rows = MoleculeRows(dataset, cfg.dataset.name, Path(cfg.dataset.dir).expanduser())
    return PredictorPlan(found.kinds, found.options, found.boosting, found.process, rows, progress)


def run_models(
    plan: RunPlan, predictor: PredictorPlan, *, console: Any = None, title: str = ""
) -> tuple[RunResult, FittedPredictor]:
    """Fit and test the models on descriptors of a run without a network, and write the folder of the run.

    Args:
        plan: Plan of the run; only its data, metrics, names and seed are used.
        predictor: Plan of the predictor.
        console: A rich console for the header; None for silence.
        title: Headline.

    Returns:
        The result, whose epochs are numbers of trees, and the predictor.

    Raises:
        ConfigError: A target has no label in the training rows.
    """
    folder = plan.open_folder()
    started = time.perf_counter()
    try:
        if console is not None:
            print_header(console, title, _header(plan, predictor, folder))
        fitted = predictor._blend(predictor.fit_models(plan.seed), plan)
        seconds = time.perf_counter() - started
        epochs = [max(map(count_trees, fitted.blend.members))] * 2
        told = {"refit": predictor.refit_text}
        result = write_predictor_run(plan, predictor.rows, folder, fitted, epochs=epochs, seconds=seconds, told=told)
    except BaseException:
        folder.discard_unused()
        raise
    return result, fitted


def write_predictor_run(
    plan: RunPlan,
    rows: MoleculeRows,
    folder: RunFolder,
    fitted: FittedPredictor,
    *,
    epochs: Sequence[int],
    seconds: float,
    parameters: int = 0,
    told: Mapping[str, Any] = MappingProxyType({}),
) -> RunResult:
    """Write the predictor and the folder of its run, whose predictions are those of the predictor; return the result.

    Args:
        plan: Plan of the run.
        rows: The molecules.
        folder: The folder.
        fitted: The predictor.
        epochs: The tested and the last epoch, or the number of trees.
        seconds: Time of all fits.
        parameters: Weights of all networks.
        told: More values for the part ``predictor`` of the summary.
    """
    task, collected = rows.task, _test_predictions(rows, fitted)
    result = RunResult(
        folder=folder,
        seed=plan.seed,
        best_epoch=epochs[0],
        val=fitted.scores["predictor"].get("val", {}),
        test=fitted.scores["predictor"].get("test", {}),
        parameters=parameters,
        epochs=epochs[1],
        seconds=seconds,
        per_class=per_class_scores(collected, task),
    )
    data = SplitData(plan.dataset, plan.dataset.split_idx, batch_size=1)
    with folder.alone():
        save_fitted(fitted, folder.path)
        folder.write_json(files.ENVIRONMENT, describe())
        write_run(result, [], collected, data, task, plan.monitor, partial(draw_run, dataset=plan.dataset))
        add_to_summary(folder, fitted, told)
    return result


def print_predictors(
    console: Any, results: Sequence[RunResult], fitted: Sequence[FittedPredictor], *, refit: str = ""
) -> None:
    """Print a table that compares each predictor with its candidates, and the command that predicts with it.

    Args:
        console: A rich console.
        results: One per repeat.
        fitted: The predictors of the repeats, or none.
        refit: What was fitted again with the validation rows, which the table then says; empty for nothing.
    """
    from rich.text import Text

    if not fitted:
        return
    # The metrics of a network alone are printed before.
    if list(fitted[0].weights) != [NETWORK] or refit:
        repeats = f", means of {len(fitted)} repeats" if len(fitted) > 1 else ""
        calibration = fitted[0].blend.calibration
        out_of_fold = calibration is not None and calibration.source == "out-of-fold"
        chosen = "chosen on out-of-fold predictions (val)" if out_of_fold else "chosen by validation"
        if not any(values.get("val") for values in fitted[0].scores.values()):
            chosen = "equal without validation rows"
        title = f"Predictor: members and weights, {chosen}{repeats}"
        columns = [[getattr(found, name) for found in fitted] for name in ("scores", "weights", "seconds")]
        console.print()
        # The network alone was tested above, before it was fitted again.
        labels = {NETWORK: f"{NETWORK}, refitted"} if refit == ALL else {}
        console.print(predictor_table(*columns, title=title, labels=labels))
        if refit:
            console.print(f"val: fitted to the training rows; test: {refit} fitted again with the validation rows.")
    if told := describe_coverage(mean_coverage([found.coverage for found in fitted])):
        console.print(told)
    for result in results:
        print_files(console, result.folder.path)
        text = "the saved predictor; predict with"
        console.print(Text.assemble("  ", (f"{PREDICTOR_SUBFOLDER + '/':<22}", "cyan"), text))
        console.print(Text(f"    {predict_command(result.folder.path)}", style="bold"))


def _test_predictions(rows: MoleculeRows, fitted: FittedPredictor) -> PredictionCollector:
    """Return the test predictions of a predictor; none without a test split."""
    collected = PredictionCollector()
    if "test" in rows.splits:
        collected.row_id = torch.from_numpy(rows.splits["test"])
        collected.pred = raw_outputs(torch.from_numpy(fitted.outputs["test"]), rows.task)
        target = torch.from_numpy(rows.target[rows.splits["test"]])
        collected.target = target.long() if rows.task.kind == "multiclass" else target
    return collected


def count_trees(member: Predictor) -> int:
    """Return the number of trees of a member; 0 if it has none.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> count_trees(MoleculePredictor.from_pretrained("peptides"))
        0
    """
    model = member.model if isinstance(member, DescriptorPredictor) else None
    return model.num_trees if isinstance(model, BoostedTrees) else 0


def _header(plan: RunPlan, predictor: PredictorPlan, folder: RunFolder) -> dict[str, str]:
    boosting = predictor.boosting
    trees = f"boosted trees · {boosting.trees} per target · {boosting.leaves} leaves · rate {boosting.learning_rate:g}"
    used = [text for kind, text in {"trees": trees, "gp": "Gaussian processes"}.items() if kind in predictor.kinds]
    inputs = ["+".join(names) for kind in predictor.kinds for names in predictor.options.inputs(kind)]
    lines = {
        **plan.description,
        "model": " · ".join(used),
        "input": " · ".join(dict.fromkeys(inputs)),
        "device": describe_cpu(boosting.threads),
        "folder": str(folder.path) + (" (continued)" if folder.resumed else ""),
    }
    lines |= {"note": folder.note} if folder.note else {}
    return lines | ({"no effect": "\n".join(plan.unused)} if plan.unused else {})
