"""The fingerprint baseline: boosted trees on fingerprints, with the data, splits and metrics of a config."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.graphgym.config import cfg
from torchmetrics import Metric

from pyg_samsa import __version__
from pyg_samsa.chem.fingerprints import morgan_counts
from pyg_samsa.datasets.splits import split_sizes
from pyg_samsa.experiments.measure import measure_raw
from pyg_samsa.experiments.molecule_rows import smiles_of
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import LoadedConfig, load_config, resolved, tables_of
from pyg_samsa.graphgym.loader import load_for_runner, resolved_task
from pyg_samsa.graphgym.metric import choose_metrics
from pyg_samsa.graphgym.plan import describe_data
from pyg_samsa.graphgym.settings import add_owner, values_for
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import Option
from pyg_samsa.predict.boosted_trees import BoostedTrees, BoostingOptions
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.console import make_console, print_header, quiet_libraries
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.environment import describe, describe_cpu, usable_threads
from pyg_samsa.training.predictions import PredictionCollector
from pyg_samsa.training.progress_display import short_time
from pyg_samsa.training.results import RunResult, per_class_scores, write_run
from pyg_samsa.training.run_folder import RunFolder, open_run_folder
from pyg_samsa.viz.run_pictures import draw_run
from pyg_samsa.viz.run_tables import classes_table, print_files
from pyg_samsa.viz.tables import metrics_table


class FitOptions:
    """Options of the fit.

    Args:
        fit_val: Whether the trees are fitted to the validation split too.
    """

    def __init__(
        self,
        fit_val: Annotated[
            bool, Option("Whether the trees are fitted to the validation split too, as in the literature.")
        ] = False,
    ) -> None:
        self.fit_val = fit_val


_FINGERPRINT = morgan_counts
add_owner(_FINGERPRINT, "fingerprint")
add_owner(FitOptions, "fingerprint")


@dataclass(frozen=True)
class FingerprintPlan:
    """Everything that the baseline needs, made once from the configuration.

    Args:
        name: Name of the configuration.
        seed: Seed of the trees.
        dataset: The data set.
        smiles: SMILES of every graph.
        boosting: Options of the trees.
        fingerprint: Options of the fingerprints, see `morgan_counts`.
        fit_val: Whether the trees are fitted to the validation split too.
        metrics: Metrics by name.
        best: Name of the main metric.
        out_dir: Folder of all results.
        resume: Whether a finished run with the same settings is reused.
        config: Resolved settings, written into the folder of the run.
        description: Label -> text, for the header.
    """

    name: str
    seed: int
    dataset: Any
    smiles: Sequence[str]
    boosting: BoostingOptions
    fingerprint: Mapping[str, Any]
    fit_val: bool
    metrics: Mapping[str, Metric]
    best: str
    out_dir: str
    resume: bool
    config: Mapping[str, Any]
    description: Mapping[str, str]


def run(config: str | os.PathLike[str], opts: Sequence[str] = (), *, verbosity: int = 0) -> RunResult:
    """Fit boosted trees to the fingerprints of a data set, and test them like a network.

    The settings are ``fingerprint.*`` and ``boosting.*``. Nothing is selected on the validation split; its metrics are
    reported, unless ``fingerprint.fit_val`` adds it to the training rows, as in the literature. If the main metric is
    ``mae``, the trees minimise absolute errors.

    Args:
        config: A YAML file, or the name of a packaged config; its settings of the network have no effect.
        opts: Overrides for the file: ``key value key value ...``.
        verbosity: -1 for results only, 0 for the usual output, 1 for messages of the libraries too.

    Raises:
        ConfigError: The config is wrong, the task is not one of whole graphs, or the graphs have no SMILES.
        DataError: The data are missing or wrong.
        MissingDependencyError: RDKit or the library of the trees is not installed.

    Returns:
        The result, in a run folder as for a network; ``epochs`` is the number of trees per target.
    """
    loaded = load_config(config, opts)
    check_run()
    console, started = make_console(), time.perf_counter()
    with quiet_libraries(verbose=verbosity > 0):
        plan = make_plan(loaded, progress=verbosity >= 0)
        name = f"{plan.name}-fingerprint"
        out_dir = Path(plan.out_dir).expanduser()
        options: dict[str, Any] = {"resume": plan.resume, "defaults": loaded.defaults}
        folder = open_run_folder(out_dir, name, plan.seed, plan.config, **options)
        if verbosity >= 0:
            title = f"pyg_samsa {__version__} · {plan.name} · fingerprints · seed {plan.seed}"
            print_header(console, title, _header(plan, folder))
        try:
            result = _finished(folder) or _fit(plan, folder, progress=verbosity >= 0)
        except BaseException:
            folder.discard_unused()
            raise
    _print(console, result, seconds=time.perf_counter() - started)
    return result


def make_plan(loaded: LoadedConfig, *, progress: bool = True) -> FingerprintPlan:
    """Return the plan of the baseline by the present ``cfg``, and load its data.

    Args:
        loaded: From `load_config`.
        progress: Whether to show progress bars.

    Raises:
        ConfigError: As in `run`.
    """
    threads = usable_threads(cfg.num_threads)
    boosting = BoostingOptions(**values_for(BoostingOptions, cfg), seed=cfg.seed, threads=threads)
    dataset = load_for_runner(loaded.changes, progress=progress, encodings=False)
    metrics, best, _ = choose_metrics(dataset.task, direction_given="metric_agg" in loaded.given)
    settings = {"boosting.model": boosting.model, "pe.kind": "none", **resolved_task(dataset.task)}
    return FingerprintPlan(
        name=loaded.name,
        seed=cfg.seed,
        dataset=dataset,
        smiles=smiles_of(dataset, cfg.dataset.name, hint="Fingerprints describe whole molecules, by their SMILES."),
        boosting=replace(boosting, loss="absolute" if best == "mae" else "squared"),
        fingerprint=values_for(_FINGERPRINT, cfg),
        fit_val=cfg.fingerprint.fit_val and "val" in split_sizes(dataset.split_idx),
        metrics=metrics,
        best=best,
        out_dir=cfg.out_dir,
        resume=cfg.train.auto_resume,
        config=resolved(loaded, settings, tables_of({"dataset.csv": dataset})),
        description=describe_data(loaded, dataset),
    )


def _fit(plan: FingerprintPlan, folder: RunFolder, *, progress: bool) -> RunResult:
    started, task, split_idx = time.perf_counter(), plan.dataset.task, plan.dataset.split_idx
    target = torch.cat([plan.dataset[row].y.reshape(1, -1) for row in range(len(plan.dataset))])
    pred = _predict(plan, target.numpy(), progress=progress)
    seconds = time.perf_counter() - started
    target = target.flatten() if task.kind == "multiclass" else target
    rows = {split: torch.as_tensor(split_idx[split]).sort().values for split in split_sizes(split_idx)}
    # Metrics of a split that was trained on would mean nothing.
    measured = [split for split in ("val", "test") if split in rows and not (split == "val" and plan.fit_val)]
    bound = getattr(plan.dataset._data, "y_bound", None)
    values = {
        split: measure_raw(plan.metrics, pred[at], target[at], None if bound is None else bound[at])
        for split, at in rows.items()
        if split in measured
    }
    collected = PredictionCollector()
    if "test" in rows:
        tested = rows["test"]
        collected.row_id, collected.pred, collected.target = tested, pred[tested], target[tested]
    result = RunResult(
        folder=folder,
        seed=plan.seed,
        best_epoch=plan.boosting.trees,
        val=values.get("val", {}),
        test=values.get("test", {}),
        parameters=0,
        epochs=plan.boosting.trees,
        seconds=seconds,
        per_class=per_class_scores(collected, task),
    )
    folder.write_json(files.ENVIRONMENT, describe())
    monitor = f"val_{plan.best}" if plan.best in result.val else None
    draw = partial(draw_run, dataset=plan.dataset)
    write_run(result, [], collected, SplitData(plan.dataset, split_idx, batch_size=1), task, monitor, draw)
    return result


def _predict(plan: FingerprintPlan, y: np.ndarray, *, progress: bool) -> Tensor:
    """Fit the trees and return their predictions of all molecules [G, C]."""
    workers = None if plan.boosting.threads > 1 else 1
    x = morgan_counts(plan.smiles, **plan.fingerprint, workers=workers, progress=progress)
    fitted = ["train", "val"] if plan.fit_val else ["train"]
    rows = np.concatenate([np.asarray(plan.dataset.split_idx[split]) for split in fitted])
    task = plan.dataset.task
    title = f"Boosted trees ({plan.boosting.model})"
    with progress_bar(title, 1 if task.kind == "multiclass" else task.num_targets, enabled=progress) as advance:
        trees = BoostedTrees(task, options=plan.boosting).fit(x[rows], y[rows], on_target=advance)
    return torch.from_numpy(trees.predict(x))


def _finished(folder: RunFolder) -> RunResult | None:
    summary = folder.summary() if folder.resumed else None
    return None if summary is None else RunResult.from_summary(folder, summary)


def _header(plan: FingerprintPlan, folder: RunFolder) -> dict[str, str]:
    trees, prints = plan.boosting, plan.fingerprint
    model = f"{trees.model} · {trees.trees} trees per target · {trees.leaves} leaves · rate {trees.learning_rate:g}"
    lines = {
        **plan.description,
        "model": model + " · balanced" * trees.balance,
        "input": f"Morgan counts · radius {prints['radius']} · size {prints['size']}"
        + " · with chirality" * prints["chirality"],
        "device": describe_cpu(trees.threads),
        "folder": str(folder.path) + (" (continued)" if folder.resumed else ""),
    }
    if plan.fit_val:
        lines["fitted"] = "train and val"
    if folder.note:
        lines["note"] = folder.note
    return lines


def _print(console: Any, result: RunResult, *, seconds: float) -> None:
    console.print()
    splits = {"val": result.val, "test": result.test}
    rows = [{"split": split, "seed": result.seed, **values} for split, values in splits.items() if values]
    if rows:
        console.print(metrics_table(rows, title="Boosted trees on fingerprints"))
    if result.per_class:
        console.print(classes_table([result]))
    if result.reused:
        console.print("This run had finished before. Set train.auto_resume False to run it again.")
    else:
        console.print(f"{short_time(seconds)} in total · {short_time(result.seconds)} for fingerprints and trees")
    print_files(console, result.folder.path)
