"""Trains the network of a run again on training and validation rows, for its predictor."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch_geometric.graphgym.config import cfg

from pyg_samsa.graphgym.plan import name_data
from pyg_samsa.graphgym.scheduler import scheduler_name
from pyg_samsa.training import schedulers
from pyg_samsa.training.module import SchedulerFactory
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import METRICS
from pyg_samsa.training.run_plan import RunPlan

REFIT = "refit"
"""Subfolder of a run's folder with the second training."""
Train = Callable[..., RunResult]
"""Carries out a plan: ``train(plan, console=..., title=...)``."""


def train_again(plan: RunPlan, result: RunResult, *, train: Train, console: Any = None, title: str = "") -> RunResult:
    """Train the network of a run again, on training and validation rows and for as many epochs.

    Nothing is validated, so the weights are those of the last epoch. A schedule that watches the validation rows is
    replaced by the rates that it gave the first training. After an early stop in the warm-up of the learning
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
        scheduler=_rates_of(result) if scheduler_name() == "plateau" else plan.scheduler,
        trainer=replace(plan.trainer, max_epochs=epochs, patience=0, max_seconds=None, fit_schedule=False),
        wandb=replace(plan.wandb, use=False),
        description={**plan.description, "data": f"{name_data(dataset)} (validation rows are training rows)"},
    )
    return train(again, console=console, title=f"{title} · again with the validation rows")


def _rates_of(result: RunResult) -> SchedulerFactory:
    """Return a schedule with the rates of the epochs of a run."""
    import pandas as pd

    rates = pd.read_csv(result.folder.file(METRICS))["lr"].tolist()
    return lambda optimizer, total_steps, steps_per_epoch: schedulers.repeat_rates(optimizer, rates, steps_per_epoch)
