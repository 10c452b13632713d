"""The Lightning module of a mixture of tasks."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from pyg_samsa.metrics.metric_registry import SCORE
from pyg_samsa.training.mixed_network import MixedNetwork
from pyg_samsa.training.mixture import task_of
from pyg_samsa.training.module import Loss, TaskModule


@dataclass(frozen=True)
class Objective:
    r"""What a task of a mixture is trained and measured by.

    Its normalised score is 1 for perfect predictions, and 0 for a constant one where a lower value is better:

    .. math::
        s = v \; \text{(higher is better)}, \qquad 1 - v / v_0 \; \text{(lower is better)}

    Args:
        loss: The loss.
        metrics: Fresh metrics by name.
        weight: Weight of the loss.
        score: Name of the metric, or ``"loss"``, from which the score follows; None if nothing is validated.
        higher_is_better: Its direction.
        reference: Its value :math:`v_0` for a constant prediction, above 0, where lower is better.

    Example:
        >>> objective = Objective(torch.nn.functional.l1_loss, {}, score="mae", higher_is_better=False, reference=2.0)
        >>> objective.normalised(0.5)
        0.75
    """

    loss: Loss
    metrics: Mapping[str, Metric]
    weight: float = 1.0
    score: str | None = None
    higher_is_better: bool = True
    reference: float = 1.0

    def normalised(self, value: float) -> float:
        """Return the normalised score of a value of the metric.

        Example:
            >>> Objective(torch.nn.functional.l1_loss, {}, score="ap").normalised(0.9)
            0.9
        """
        return value if self.higher_is_better else 1 - value / self.reference


class MixedModule(TaskModule):
    r"""Trains one network on several tasks: each batch is of one task, and has its loss and its metrics.

    .. math::
        \nabla = \sum_b w_{t(b)} \nabla \ell_{t(b)}

    over the batches b of an optimiser step (``accumulate_grad_batches`` of the trainer). So the readout of a task with
    weight 1 gets the gradient that it would get if the task was trained alone.

    Logged names are ``<split>_<task>/<metric>`` and ``<split>_<task>/loss``. For all tasks together there are
    ``<split>_loss``, the mean of their losses by their weights, and ``<split>_score``, the mean of their normalised
    scores, see `Objective`.

    Args:
        network: The network.
        objectives: Name of each task -> its objective.
        options: ``optimizer``, ``scheduler``, ``weight_decay`` and ``train_metrics`` of `TaskModule`.

    Example:
        >>> from pyg_samsa.nn import SAMSA
        >>> from pyg_samsa.training.batch_network import BatchNetwork
        >>> part = BatchNetwork(SAMSA.from_options(3, 2, channels=16, num_layers=1, bridge=False))
        >>> objectives = {"a": Objective(torch.nn.functional.mse_loss, {})}
        >>> module = MixedModule(MixedNetwork({"a": part}, {}), objectives, optimizer=torch.optim.SGD)
        >>> list(module.losses)
        ['a/']
    """

    network: MixedNetwork
    uses_all_weights = False

    def __init__(self, network: MixedNetwork, objectives: Mapping[str, Objective], **options: Any) -> None:
        first, *others = objectives.items()
        super().__init__(network, loss=first[1].loss, metrics={}, **options)
        self.objectives = dict(objectives)
        self.losses.clear()
        self.measures.clear()
        for name, objective in (first, *others):
            self.add_objective(objective.loss, objective.metrics, f"{name}/")

    def prefix_of(self, batch: Any) -> str:
        """Return the name of the task of a batch, and a slash.

        Example:
            >>> from types import SimpleNamespace
            >>> MixedModule.prefix_of(None, SimpleNamespace(task_name="shapes"))
            'shapes/'
        """
        return f"{task_of(batch)}/"

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the weighted loss of a training batch.

        Raises:
            NumericalError: It is not finite.
        """
        name, loss = task_of(batch), super().training_step(batch, batch_idx)
        if self.network.loss_weights is not None:
            loss = self.network.loss_weights(name, loss)
        # The trainer takes the mean over the batches of a step.
        return loss * self.objectives[name].weight * self.trainer.accumulate_grad_batches

    def _values(self, split: str) -> dict[str, Tensor]:
        values = super()._values(split)
        losses = {name: values.get(f"{split}_{name}/loss") for name in self.objectives}
        weights = {name: self.objectives[name].weight for name, loss in losses.items() if loss is not None}
        if weights:
            total = sum(weights[name] * loss for name, loss in losses.items() if loss is not None)
            values[f"{split}_loss"] = torch.as_tensor(total) / sum(weights.values())
        scores = [
            objective.normalised(float(values[key]))
            for name, objective in self.objectives.items()
            if objective.score is not None and (key := f"{split}_{name}/{objective.score}") in values
        ]
        if scores:
            values[f"{split}_{SCORE}"] = torch.tensor(statistics.fmean(scores))
        return values
