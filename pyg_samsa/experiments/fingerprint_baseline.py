"""The baseline without a network: boosted trees on fingerprints, on the data, splits and metrics of a configuration."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.boosting import BoostingOptions, fit_boosting
from pyg_samsa.graphgym.config import LoadedConfig, load_config, resolved
from pyg_samsa.graphgym.loader import load_for_runner, resolved_task
from pyg_samsa.graphgym.metric import choose_metrics
from pyg_samsa.graphgym.options import add_owner, values_for
from pyg_samsa.graphgym.plan import describe_data
from pyg_samsa.io.progress import progress_bar
from pyg_samsa.options import Option
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.console import make_console, print_header, quiet_libraries
from pyg_samsa.training.data_module import SplitData, TaskSpec
from pyg_samsa.training.environment import available_cpus, cpu_name, describe
from pyg_samsa.training.predictions import PredictionCollector
from pyg_samsa.training.progress_display import short_time
from pyg_samsa.training.results import RunResult, per_class_scores, write_run
from pyg_samsa.training.run_folder import RunFolder, open_run_folder
from pyg_samsa.viz.run_pictures import draw_run
from pyg_samsa.viz.run_tables import classes_table, print_files
from pyg_samsa.viz.tables import metrics_table


class FitOptions:
    """Options of the baseline itself.

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


add_owner(BoostingOptions, "fingerprint", only=("model", "trees", "learning_rate", "leaves", "balance"))
_FINGERPRINT = morgan_counts
add_owner(_FINGERPRINT, "fingerprint")
add_owner(FitOptions, "fingerprint")


def run(config: str | os.PathLike[str], opts: Sequence[str] = (), *, verbosity: int = 0) -> RunResult:
    """Fit boosted trees to the fingerprints of a configuration's data set, and measure them as a network is measured.

    The settings are ``fingerprint.*``. The validation split chooses nothing; its values are reported beside those of the test split, unless
    ``fingerprint.fit_val`` trains on it too, as the literature of this baseline does. Where ``mae`` is the metric, trees reduce absolute errors.

    Args:
        config: A YAML file, or the name of a packaged configuration; what it says about the network has no effect.
        opts: ``key value key value ...``, before the file.
        verbosity: -1 results only, 0 the usual, 1 also what the libraries say.

    Raises:
        ConfigError: the configuration is wrong, the task is not one of whole graphs, or the graphs have no SMILES.
        DataError: the data are missing or wrong.
        MissingDependencyError: RDKit or the chosen model is not installed.

    Returns:
        The result, in a run folder like that of a network; ``epochs`` are the trees of each target.
    """
    loaded = load_config(config, opts)
    console, started = make_console(), time.perf_counter()
    with quiet_libraries(verbose=verbosity > 0):
        options = _options()
        dataset, spec = load_for_runner(progress=verbosity >= 0, encodings=False)
        built, best, _ = choose_metrics(spec.task, spec.num_targets, direction_given="metric_agg" in loaded.given)
        options = replace(options, loss="absolute" if best == "mae" else "squared")
        smiles = smiles_of(dataset, spec)
        folder = open_run_folder(
            Path(cfg.out_dir).expanduser(),
            f"{loaded.name}-fingerprint",
            cfg.seed,
            resolved(loaded, {"fingerprint.model": options.model, "pe.kind": "none", **resolved_task(spec)}),
            resume=cfg.train.auto_resume,
        )
        if verbosity >= 0:
            print_header(
                console,
                f"pyg_samsa {__version__} · {loaded.name} · fingerprints · seed {cfg.seed}",
                _header(loaded, spec, folder, options),
            )
        try:
            result = _reused(folder) or _fit(
                dataset, spec, smiles, folder, options, built, best, progress=verbosity >= 0
            )
        except BaseException:
            folder.discard_unused()
            raise
    _print(console, result, seconds=time.perf_counter() - started)
    return result


def smiles_of(dataset: Any, spec: TaskSpec) -> list[str]:
    """Return the SMILES of every graph.

    Args:
        dataset: Its graphs keep them as ``smiles``.
        spec: What is predicted.

    Raises:
        ConfigError: the graphs have none, or the task is not one of whole graphs.
    """
    if spec.level != "graph" or spec.pairs:
        raise ConfigError(
            "dataset.name",
            cfg.dataset.name,
            "a task of whole molecules",
            hint="Fingerprints tell molecules apart, not their atoms.",
        )
    if not isinstance(getattr(dataset[0], "smiles", None), str):
        raise ConfigError(
            "dataset.name",
            cfg.dataset.name,
            "molecules that come with their SMILES",
            hint="Fingerprints are computed from SMILES.",
        )
    return [dataset[row].smiles for row in range(len(dataset))]


def _options() -> BoostingOptions:
    asked = values_for(BoostingOptions, cfg)
    return BoostingOptions(**asked, seed=cfg.seed, threads=min(cfg.num_threads, available_cpus()))


def _fit(
    dataset: Any,
    spec: TaskSpec,
    smiles: Sequence[str],
    folder: RunFolder,
    options: BoostingOptions,
    measures: Mapping[str, Metric],
    best: str,
    progress: bool,
) -> RunResult:
    started, asked = time.perf_counter(), cfg.fingerprint
    x = morgan_counts(
        smiles, **values_for(_FINGERPRINT, cfg), workers=None if options.threads > 1 else 1, progress=progress
    )
    y = torch.cat([dataset[row].y.reshape(1, -1) for row in range(len(dataset))])
    fitted = ["train", "val"] if asked.fit_val and "val" in spec.sizes else ["train"]
    rows = np.concatenate([np.asarray(spec.split_idx[split]) for split in fitted])
    with progress_bar(
        f"Boosted trees ({options.model})", 1 if spec.task == "multiclass" else spec.num_targets, enabled=progress
    ) as advance:
        pred = torch.from_numpy(
            fit_boosting(x, y.numpy(), rows, spec.task, spec.num_targets, options, on_target=advance)
        ).float()
    seconds = time.perf_counter() - started
    target = y.flatten() if spec.task == "multiclass" else y
    values = {
        split: _measure(measures, pred[index], target[index])
        for split in ("val", "test")
        if (index := _rows(spec, split)) is not None
    }
    if "val" in fitted:
        values["val"] = {}  # values of what was trained on would say nothing
    collected = PredictionCollector()
    if (tested := _rows(spec, "test")) is not None:
        collected.row_id, collected.pred, collected.target = tested, pred[tested], target[tested]
    result = RunResult(
        folder=folder,
        seed=cfg.seed,
        best_epoch=options.trees,
        val=values.get("val", {}),
        test=values.get("test", {}),
        parameters=0,
        epochs=options.trees,
        seconds=seconds,
        per_class=per_class_scores(collected, spec),
    )
    folder.write_json(files.ENVIRONMENT, describe())
    monitor = f"val_{best}" if best in result.val else None
    draw = partial(draw_run, dataset=dataset, spec=spec)
    write_run(result, [], collected, SplitData(dataset, spec.split_idx, batch_size=1), spec, monitor, draw)
    return result


def _rows(spec: TaskSpec, split: str) -> Tensor | None:
    return torch.as_tensor(spec.split_idx[split]).sort().values if split in spec.sizes else None


def _measure(measures: Mapping[str, Metric], pred: Tensor, target: Tensor) -> dict[str, float]:
    values = {}
    for name, metric in measures.items():
        metric.reset()
        metric.update(pred, target)
        values[name] = float(metric.compute())
    return values


def _reused(folder: RunFolder) -> RunResult | None:
    summary = folder.summary() if folder.resumed else None
    return None if summary is None else RunResult.from_summary(folder, summary)


def _header(loaded: LoadedConfig, spec: TaskSpec, folder: RunFolder, options: BoostingOptions) -> dict[str, str]:
    asked = cfg.fingerprint
    lines = {
        **describe_data(loaded, spec),
        "model": f"{options.model} · {options.trees} trees a target · {options.leaves} leaves · rate {options.learning_rate:g}"
        + " · balanced" * options.balance,
        "input": f"Morgan counts · radius {asked.radius} · size {asked.size}"
        + (" · with chirality" if asked.chirality else ""),
        "device": f"{cpu_name()} · {options.threads} threads",
        "folder": str(folder.path) + (" (continued)" if folder.resumed else ""),
    }
    return (
        lines | ({"fitted": "train and val"} if asked.fit_val else {}) | ({"note": folder.note} if folder.note else {})
    )


def _print(console: Any, result: RunResult, *, seconds: float) -> None:
    console.print()
    rows = [
        {"split": split, "seed": result.seed, **values}
        for split, values in (("val", result.val), ("test", result.test))
        if values
    ]
    if rows:
        console.print(metrics_table(rows, title="Boosted trees on fingerprints"))
    if result.per_class:
        console.print(classes_table([result]))
    if result.reused:
        console.print("Already finished before: nothing was fitted. Set train.auto_resume False for a new run.")
    else:
        console.print(f"{short_time(seconds)} altogether · {short_time(result.seconds)} for fingerprints and trees")
    print_files(console, result.folder.path)
