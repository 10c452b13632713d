"""Files of a run on several tasks: saved networks, pictures, and which of them are lacking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from pyg_samsa.experiments.saved_network import export_task
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.callbacks import Row
from pyg_samsa.training.mixed_network import MixedNetwork
from pyg_samsa.training.mixed_plan import MONITOR, MixedPlan
from pyg_samsa.training.predictions import PredictionCollector
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.training.run_plan import RunPlan
from pyg_samsa.viz.run_pictures import draw_curves, draw_run


def finish_task(
    plan: MixedPlan,
    network: MixedNetwork,
    name: str,
    result: RunResult,
    rows: Sequence[Row],
    collected: PredictionCollector,
) -> None:
    """Save the network of a task, and draw its pictures.

    Args:
        plan: Plan of the run.
        network: The network, with the weights that were tested.
        name: Name of the task.
        result: Result of the task.
        rows: History of the task.
        collected: Its test predictions.
    """
    part = plan.parts[name]
    export_task(result, network.parts[name], part)
    draw_run(result, rows, collected, dataset=part.dataset, monitor=part.monitor)


def draw_mixture(result: RunResult, rows: Sequence[Row]) -> None:
    """Draw the learning curves of all tasks together.

    Args:
        result: Result of the run.
        rows: History of the run; may be empty.
    """
    if rows:
        draw_curves(result, rows, MONITOR)


def lacking_files(
    result: RunResult,
    network: MixedNetwork,
    plan: MixedPlan,
    *,
    of_task: Callable[[RunResult, nn.Module, RunPlan], list[str]],
) -> list[str]:
    """Return the names of the files that a finished run on several tasks should have and has not.

    Args:
        result: Result of the run.
        network: Its network.
        plan: Its plan.
        of_task: Returns the same for the folder of a task.

    Raises:
        DataIntegrityError: The summary of a task is damaged.
    """
    lacking = [] if result.folder.file(files.CURVES).is_file() else [files.CURVES]
    for name, part in plan.parts.items():
        folder = RunFolder(result.folder.path / files.TASKS / name)
        summary: Any = folder.summary()
        if summary is None:
            lacking.append(files.SUMMARY)
        else:
            lacking += of_task(RunResult.from_summary(folder, summary), network.parts[name], part)
    return lacking
