"""Everything that a run needs, as plain values: what a configuration is resolved to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchmetrics import Metric

from pyg_samsa.training.adaptation import AdaptationOptions
from pyg_samsa.training.callbacks import Row
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.distributed import agree
from pyg_samsa.training.fit import fit_and_test
from pyg_samsa.training.loggers import WandbOptions, build_loggers
from pyg_samsa.training.masked import MaskedLoss, MaskedNetwork, as_columns, fit_masked
from pyg_samsa.training.module import Loss, SchedulerFactory, TaskModule
from pyg_samsa.training.optimizers import OptimizerFactory
from pyg_samsa.training.results import Finish, RunResult
from pyg_samsa.training.run_folder import RunFolder, open_run_folder
from pyg_samsa.training.samplers import BatchOptions
from pyg_samsa.training.scaling import ScaledLoss, fit_graph_features, with_target_scale
from pyg_samsa.training.trainer import TrainerOptions

# Graphs from which the scales of hidden features are taken.
_MASK_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the plans of all runs hold, made once before a run starts and never changed.

    Args:
        name: Name of the run's folder in ``out_dir``.
        seed: Seed of weights, order and noise.
        build_network: Makes the network, ``forward(batch) -> (prediction, target)``.
        optimizer: Makes the optimiser from parameter groups.
        trainer: How to train.
        scheduler: Makes the schedule, see `TaskModule`; None for none.
        monitor: Logged name that chooses the best epoch, such as ``val_ap``; None tests the last epoch.
        higher_is_better: Direction of ``monitor``.
        weight_decay: Weight decay, 0 or more.
        train_metrics: Whether metrics are computed on training batches too.
        num_workers: Loader processes, 0 or more.
        start_from: Where the initial weights come from, see `start_from`; empty for none.
        adaptation: Which weights are trained after `start_from`.
        out_dir: Folder of all results.
        resume: Whether the newest folder with the same settings is continued.
        tensorboard: Whether TensorBoard events are written.
        wandb: Options of Weights & Biases.
        config: Resolved settings, nested; written into the run's folder.
        defaults: Dotted name -> default of the settings, for those that an earlier run did not have yet.
        description: Label -> text, for the header.
        unused: Lines about settings that have no effect.
        unsaved: Why the network is not saved for ``pyg-samsa predict``; empty if it is saved.
    """

    name: str
    seed: int
    build_network: Callable[[], nn.Module]
    optimizer: OptimizerFactory
    trainer: TrainerOptions
    scheduler: SchedulerFactory | None = None
    monitor: str | None = None
    higher_is_better: bool = True
    weight_decay: float = 0.0
    train_metrics: bool = True
    num_workers: int = 0
    start_from: str = ""
    adaptation: AdaptationOptions = field(default_factory=AdaptationOptions)
    out_dir: str = "results"
    resume: bool = False
    tensorboard: bool = False
    wandb: WandbOptions = field(default_factory=WandbOptions)
    config: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    description: Mapping[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    unsaved: str = ""

    @property
    def standardized(self) -> Path | None:
        """File that lists the standardised molecules of the data set; None without one."""
        return None

    def open_folder(self) -> RunFolder:
        """Choose and make the run's folder; all processes get that of the first one.

        Raises:
            ConfigError: The folder cannot be made.
        """
        chosen: list[RunFolder] = []

        def choose() -> str:
            out_dir = Path(self.out_dir).expanduser()
            chosen.append(
                open_run_folder(out_dir, self.name, self.seed, self.config, resume=self.resume, defaults=self.defaults)
            )
            if (source := self.standardized) is not None:
                chosen[0].write_standardized(source)
            return f"{int(chosen[0].resumed)}{chosen[0].path}"

        answer = agree(choose)
        return chosen[0] if chosen else RunFolder(Path(answer[1:]), resumed=answer[0] == "1")

    def module_options(self) -> dict[str, Any]:
        """Return the options of `TaskModule` that do not depend on the task."""
        names = ("optimizer", "scheduler", "weight_decay", "train_metrics")
        return {name: getattr(self, name) for name in names}

    def fit_options(self, folder: RunFolder) -> dict[str, Any]:
        """Return the options of `fit_and_test` that the plan decides.

        Args:
            folder: From `open_folder`.
        """
        loggers = build_loggers(folder.path, tensorboard=self.tensorboard, wandb=self.wandb, config=self.config)
        names = ("monitor", "higher_is_better", "seed")
        chosen = {name: getattr(self, name) for name in names}
        return {"folder": folder, "options": self.trainer, "loggers": loggers, **chosen}


@dataclass(frozen=True, kw_only=True)
class RunPlan(Plan):
    """Everything that one run on one task needs.

    Args:
        dataset: The data set with its ``task``, ``features`` and ``split_idx``; regression targets are scaled by its
            ``target_scale`` if it has one, and features of whole graphs by its ``graph_features``.
        loss: ``loss(prediction, target) -> scalar``.
        metrics: Fresh metrics by name.
        batches: Sizes of batches.
        edges_are_tokens: Whether edges count as tokens in ``batches.tokens_per_batch``.
    """

    dataset: Any
    loss: Loss
    metrics: Mapping[str, Metric]
    batches: BatchOptions = field(default_factory=BatchOptions)
    edges_are_tokens: bool = True

    @property
    def standardized(self) -> Path | None:
        """File that lists the standardised molecules of the data set; None without one."""
        return getattr(self.dataset, "standardized", None)

    def make_data(self) -> SplitData:
        """Return the loaders of the data set."""
        options = {**asdict(self.batches), "edges_are_tokens": self.edges_are_tokens}
        options["rank_pairs"] = any(getattr(metric, "needs_pairs", False) for metric in self.metrics.values())
        return SplitData(self.dataset, self.dataset.split_idx, num_workers=self.num_workers, seed=self.seed, **options)

    def fit_scales(self, network: nn.Module) -> tuple[nn.Module, Loss]:
        """Fit the scales of features and targets of a network to the training rows.

        Args:
            network: From ``build_network``; it is wrapped if it needs a scale and has none.

        Returns:
            The network, and the loss of its predictions in the units of the data.
        """
        if isinstance(network, MaskedNetwork):
            rows = self.dataset.split_idx["train"][:_MASK_ROWS].tolist()
            graphs = [self.dataset[row] for row in rows]
            edges = [as_columns(graph.edge_attr) for graph in graphs if graph.get("edge_attr") is not None]
            x = torch.cat([as_columns(graph.x) for graph in graphs])
            reference = fit_masked(network, x, torch.cat(edges) if edges else None)
            return network, MaskedLoss(network.columns, reference)
        features = getattr(self.dataset, "graph_features", None)
        fit_graph_features(network, features, self.dataset.split_idx["train"])
        scale = getattr(self.dataset, "target_scale", None)
        if scale is None:
            return network, self.loss
        network, target_scale = with_target_scale(network, *scale)
        return network, ScaledLoss(self.loss, target_scale)

    def train(
        self,
        network: nn.Module,
        folder: RunFolder,
        *,
        console: Any = None,
        finish: Finish | None = None,
        on_epoch: Callable[[Row], None] | None = None,
    ) -> RunResult:
        """Train and test a network, and write the run's folder; arguments and errors as in `fit_and_test`.

        Args:
            network: From ``build_network``; it ends with the weights that were tested.
            folder: From `open_folder`.
            console: A rich console for the progress; None for silence.
            finish: Draws pictures and saves the network, see `fit_and_test`.
            on_epoch: Called after each epoch, see `fit_and_test`.
        """
        network, loss = self.fit_scales(network)
        module = TaskModule(network, loss=loss, metrics=self.metrics, **self.module_options())
        options = self.fit_options(folder)
        return fit_and_test(
            module, self.make_data(), self.dataset.task, console=console, finish=finish, on_epoch=on_epoch, **options
        )
