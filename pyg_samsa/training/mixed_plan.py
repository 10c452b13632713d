"""The plan of a run on a mixture of tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from pyg_samsa.metrics.metric_registry import SCORE
from pyg_samsa.task import WORDS, Task
from pyg_samsa.training.callbacks import Row
from pyg_samsa.training.fit import fit_and_test
from pyg_samsa.training.masked import MaskedLoss
from pyg_samsa.training.mixed_module import MixedModule, Objective
from pyg_samsa.training.mixed_network import MixedNetwork
from pyg_samsa.training.mixed_results import FinishTask, MixedOutput, MixedTask
from pyg_samsa.training.mixture import MixedData, MixtureOptions
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.training.run_plan import Plan, RunPlan

MONITOR = f"val_{SCORE}"
"""Logged name that chooses the best epoch of a mixture."""


@dataclass(frozen=True, kw_only=True)
class MixedPlan(Plan):
    """Everything that one run on a mixture of tasks needs; the network is a `MixedNetwork`.

    Args:
        parts: Name of each task -> its plan, as if it was trained alone.
        weights: Name of each task -> weight of its loss, above 0.
        mixture: How the tasks are mixed.
        draw: Called with the result and the history of the run, for its pictures.
    """

    parts: Mapping[str, RunPlan]
    weights: Mapping[str, float]
    mixture: MixtureOptions = field(default_factory=MixtureOptions)
    draw: Callable[[RunResult, Sequence[Row]], None] | None = None

    def make_data(self) -> MixedData:
        """Return the mixed loaders of all tasks."""
        parts = {name: part.make_data() for name, part in self.parts.items()}
        epochs = self.trainer.max_epochs
        return MixedData(parts, self.mixture, max_epochs=epochs, num_workers=self.num_workers, seed=self.seed)

    def make_module(self, network: MixedNetwork) -> MixedModule:
        """Return the module that trains a network on all tasks, with the scales of the training rows.

        Args:
            network: From ``build_network``.
        """
        objectives: dict[str, Objective] = {}
        for name, part in self.parts.items():
            network.parts[name], loss = part.fit_scales(network.parts[name])
            score = None if part.monitor is None else part.monitor.removeprefix("val_")
            lower = score is not None and not part.higher_is_better
            objectives[name] = Objective(
                loss,
                part.metrics,
                self.weights[name],
                score,
                part.higher_is_better,
                reference_value(part, loss, cast(str, score)) if lower else 1.0,
            )
        return MixedModule(network, objectives, **self.module_options())

    def train(
        self,
        network: nn.Module,
        folder: RunFolder,
        *,
        console: Any = None,
        finish: FinishTask | None = None,
        on_epoch: Callable[[Row], None] | None = None,
    ) -> RunResult:
        """Train and test a network, and write the run's folder and that of each task.

        Args:
            network: From ``build_network``; it ends with the weights that were tested.
            folder: From `open_folder`.
            console: A rich console for the progress; None for silence.
            finish: Draws pictures of a task and saves its network, see `MixedOutput.write`.
            on_epoch: Called after each epoch, see `fit_and_test`.
        """
        network = cast(MixedNetwork, network)
        module, data = self.make_module(network), self.make_data()
        tasks = {
            name: MixedTask(data.parts[name], part.dataset.task, network.parts[name], part.config, part.monitor)
            for name, part in self.parts.items()
        }
        output: Any = MixedOutput(tasks, self.draw)
        options: dict[str, Any] = self.fit_options(folder)
        options |= {"console": console, "finish": finish, "on_epoch": on_epoch}
        return fit_and_test(module, data, output, **options)


def reference_value(part: RunPlan, loss: Callable[[Tensor, Tensor], Tensor], score: str) -> float:
    """Return the loss, or a metric, of the validation rows for the best constant prediction on the training rows.

    Args:
        part: Plan of a task.
        loss: Its loss.
        score: Name of the metric, or ``"loss"``.
    """
    if isinstance(loss, MaskedLoss):
        return loss.reference
    train, val = (_targets(part.dataset, part.dataset.split_idx[split]) for split in ("train", "val"))
    prediction = constant_prediction(part.dataset.task, train).expand(len(val), -1)
    if score == "loss":
        return float(loss(prediction, val))
    metric = part.metrics[score].clone()
    metric.update(prediction, val)
    return float(metric.compute())


def constant_prediction(task: Task, target: Tensor) -> Tensor:
    r"""Return the output of a network that predicts the mean, or the shares of the labels or classes: [1, C].

    Args:
        task: The task.
        target: Targets [n, C], class numbers [n], or numbers of words [n, positions]; NaN where there is none.

    Example:
        >>> constant_prediction(Task("regression", ["y"]), torch.tensor([[1.0], [3.0], [torch.nan]])).tolist()
        [[2.0]]
        >>> constant_prediction(Task("binary", ["y"]), torch.tensor([[1.0], [0.0]])).tolist()
        [[0.0]]
    """
    if task.kind == WORDS:
        counts = torch.stack([torch.bincount(words, minlength=len(task.names)) for words in target.long().T]).float()
        return (counts.clamp(min=0.5) / counts.sum(1, keepdim=True)).log().reshape(1, -1)
    if task.kind == "multiclass":
        known = target.reshape(-1)
        counts = torch.bincount(known[known >= 0].long(), minlength=task.num_targets).float()
        return (counts.clamp(min=0.5) / counts.sum()).log().unsqueeze(0)
    mean = target.reshape(-1, task.num_targets).double().nanmean(0, keepdim=True).nan_to_num(0.0)
    if task.kind == "regression":
        return mean
    count = max(len(target), 1)
    return torch.logit(mean.clamp(0.5 / count, 1 - 0.5 / count)).float()


def _targets(dataset: Any, rows: Tensor) -> Tensor:
    return torch.cat([dataset[row].y for row in rows.tolist()])
