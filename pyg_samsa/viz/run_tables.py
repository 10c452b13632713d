"""Tables at the end of a run: metrics, scores per class, and the files of the run."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyg_samsa.training import run_folder as files
from pyg_samsa.training.progress_display import short_time
from pyg_samsa.training.results import RunResult
from pyg_samsa.viz.tables import metrics_table, per_class_table, spread

_CONTENTS = {
    files.METRICS: "metrics of every epoch",
    files.CURVES: "learning curves",
    files.CLASSES: "test AP and base rate of each class",
    files.PARTS: "test shapes with true and predicted parts",
    files.PREDICTIONS: "test predictions",
    files.PREDICTOR_PREDICTIONS: "test predictions of the predictor",
    files.STANDARDIZED: "molecules that the standardisation changed",
    files.CONFIG: "settings, for --cfg",
    files.SUMMARY: "test and validation metrics",
    files.ENVIRONMENT: "versions and hardware",
}


def print_results(
    console: Any, results: Sequence[RunResult], *, seconds: float, list_files: bool = True, together: bool = False
) -> None:
    """Print the metrics over all repeats, the scores of the classes, and the files that were written.

    Args:
        console: A rich console.
        results: One per repeat.
        seconds: Wall time of everything, including the preparation of data.
        list_files: Whether to print the files.
        together: Whether they are the networks of one predictor, whose report adds up their times and parameters.
    """
    rows = [
        {"split": split, "seed": result.seed, **values}
        for result in results
        for split, values in (("val", result.val), ("test", result.test))
        if values
    ]
    console.print()
    epochs = ", ".join(f"{result.best_epoch} of {result.epochs}" for result in results)
    if rows:
        several = "s" * (len(results) > 1)
        console.print(metrics_table(rows, title=f"Network{several} with the weights of epoch{several} {epochs}"))
    for line in _official(results):
        console.print(line, soft_wrap=True)
    by_seed = len({result.seed for result in results}) == len(results)
    for result in results:
        if result.fallback:
            name = f"seed {result.seed}" if by_seed else str(result.folder.path)
            console.print(f"[yellow]{name}:[/] {result.fallback}", soft_wrap=True)
    if results[0].per_class:
        console.print(classes_table(results))
    trained = [result for result in results if not result.reused]
    if trained:
        per_epoch = statistics.fmean(result.seconds / max(1, result.epochs) for result in trained)
        total, parameters = short_time(seconds), f"{trained[0].parameters:,} parameters"
        if together:
            training = short_time(sum(result.seconds for result in results))
            parameters += f" each, {sum(result.parameters for result in results):,} together"
            told = (
                f"{total} in total, {training} of it training · {per_epoch:.1f} s per epoch of a network · {parameters}"
            )
        else:
            told = f"{total} in total · {per_epoch:.1f} s per epoch · {parameters}"
        console.print(told, soft_wrap=True)
    else:
        console.print("This run had finished before. Set train.auto_resume False to run it again.")
    for result in results if list_files else ():
        print_files(console, result.folder.path)


def _official(results: Sequence[RunResult]) -> list[str]:
    """Return lines about the figures of the benchmark's own judge."""
    names = dict.fromkeys(name for result in results for name in result.official)
    values = {name: [result.official[name] for result in results if name in result.official] for name in names}
    return [f"Test {name} by OGB's Evaluator: {spread(found)}" for name, found in values.items()]


def classes_table(results: Sequence[RunResult]) -> Any:
    """Return the table of classes, averaged over the repeats."""
    first = results[0].per_class
    columns = list(zip(*(result.per_class["ap"] for result in results), strict=True))
    ap = [_mean(values) for values in columns]
    title = "Test average precision per class" + (f", mean of {len(results)} repeats" if len(results) > 1 else "")
    return per_class_table(first["name"], ap, first["base_rate"], first["positives"], title=title)


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return statistics.fmean(defined) if defined else float("nan")


def print_files(console: Any, folder: Path) -> None:
    """Print what is in a run's folder."""
    from rich.text import Text

    console.print()
    console.print(Text(str(folder), style="bold"))
    for name, meaning in _CONTENTS.items():
        if (folder / name).is_file():
            console.print(Text.assemble("  ", (f"{name:<22}", "cyan"), meaning))
