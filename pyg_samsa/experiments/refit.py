"""Trains the network of a run again on training and validation rows, for its predictor."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.plan import name_data
from pyg_samsa.graphgym.scheduler import scheduler_name
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_plan import RunPlan

REFIT = "refit"
"""Subfolder of a run's folder with the second training."""
Train = Callable[..., RunResult]
"""Carries out a plan: ``train(plan, console=..., title=...)``."""


def check_refit() -> None:
    """Raise an error if the schedule of the present ``cfg`` needs validation rows, which a second training lacks.

    Raises:
        ConfigError: ``optim.scheduler`` is ``plateau``.
    """
    if scheduler_name() == "plateau":
        hint = "That schedule watches validation rows. Set another optim.scheduler, or predictor.refit descriptors."
        raise ConfigError("predictor.refit", "all", "descriptors with optim.scheduler plateau", hint=hint)


def train_again(plan: RunPlan, result: RunResult, *, train: Train, console: Any = None, title: str = "") -> RunResult:
    """Train the network of a run again, on training and validation rows and for as many epochs.

    Nothing is validated, so the weights are those of the last epoch. After an early stop in the warm-up of the learning
    rate, the second training has one epoch more than the warm-up. A finished second training is not repeated, and none
    is logged to Weights & Biases.

    Args:
        plan: Plan of the run.
        result: Its result.
        train: Carries out a plan.
        console: A rich console; None for silence.
        title: Headline of the run.

    Cost: as the first training.
    """
    splits = plan.dataset.split_idx
    dataset = copy.copy(plan.dataset)
    both = torch.cat([torch.as_tensor(splits[name]) for name in ("train", "val")])
    dataset.split_idx = {"train": both.sort().values, **{name: splits[name] for name in splits if name == "test"}}
    epochs = result.epochs
    if epochs < plan.trainer.max_epochs:
        # A warm-up in steps has no known number of epochs here.
        warm_up = plan.trainer.max_epochs if cfg.optim.num_warmup_steps else math.ceil(cfg.optim.num_warmup_epochs)
        epochs = min(max(epochs, warm_up + 1), plan.trainer.max_epochs)
    again = replace(
        plan,
        name=REFIT,
        out_dir=str(result.folder.path),
        resume=True,
        dataset=dataset,
        monitor=None,
        trainer=replace(plan.trainer, max_epochs=epochs, patience=0),
        wandb=replace(plan.wandb, use=False),
        description={**plan.description, "data": f"{name_data(dataset)} (validation rows are training rows)"},
    )
    return train(again, console=console, title=f"{title} · again with the validation rows")
