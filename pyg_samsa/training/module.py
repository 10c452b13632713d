"""The Lightning module: one network, one loss, its metrics, its optimiser."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch_geometric.graphgym.imports import pl
from torchmetrics import Metric

from pyg_samsa.errors import ConfigError, NumericalError
from pyg_samsa.functional.autocast import at_least_float32, without_autocast
from pyg_samsa.functional.deferred_checks import deferred_checks
from pyg_samsa.functional.float64 import has_float64
from pyg_samsa.metrics import BatchMetric
from pyg_samsa.metrics.row_metric import UndefinedMetric
from pyg_samsa.task import SPLITS
from pyg_samsa.training.averages import Average, RowAverage, of_all_processes, tell_all_processes
from pyg_samsa.training.finite import FiniteGuard
from pyg_samsa.training.losses import clip_to_bounds
from pyg_samsa.training.mean_loss import MeanLoss
from pyg_samsa.training.optimizers import NO_DECAY_NAMES, OptimizerFactory, parameter_groups
from pyg_samsa.training.schedulers import set_present_rate

_LOGGER = logging.getLogger(__name__)
Loss = Callable[[Tensor, Tensor], Tensor]
SchedulerFactory = Callable[[torch.optim.Optimizer, int, int], Any]


class TaskModule(pl.LightningModule):
    """Trains a network on batches and measures it on the splits.

    Losses and metrics are computed in float32 (float64 for float64 predictions), whatever the precision of the
    network. If batches have the attribute ``y_bound``, losses and metrics see predictions that
    :func:`~pyg_samsa.training.losses.clip_to_bounds` has clipped. With several processes the training loss is that of
    all their batches together, see `of_all_processes`, so all of them see if it is not finite. Metrics gather over
    processes, so every process sees and logs the value of the whole split. Logged names are ``<split>_loss`` and
    ``<split>_<metric>``.

    Args:
        network: ``forward(batch) -> (prediction, target)``, such as
            :class:`~pyg_samsa.training.batch_network.BatchNetwork`.
        loss: ``loss(prediction, target) -> scalar``. Its attribute ``average``, if it has one, says what it is a mean
            over, see `pyg_samsa.training.averages`; otherwise batches weigh their rows.
        metrics: Fresh metrics by name; copied for each split.
        optimizer: Makes the optimiser from parameter groups.
        scheduler: ``scheduler(optimizer, total_steps, steps_per_epoch)`` gives a Lightning scheduler dictionary, a
            scheduler (stepped each epoch) or None.
        weight_decay: Decay of the weights that decay, see :func:`~pyg_samsa.training.optimizers.parameter_groups`.
        train_metrics: Whether metrics are computed on training batches too (with dropout and noise as they are).

    Example:
        >>> from torch_geometric.data import Batch, Data
        >>> from pyg_samsa.training.batch_network import BatchNetwork
        >>> class Mean(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.lin = nn.Linear(1, 1)
        ...     def forward(self, x, edge_index, edge_attr, batch, *, batch_size):
        ...         return self.lin(x)
        >>> network = BatchNetwork(Mean())
        >>> sgd = lambda groups: torch.optim.SGD(groups, lr=0.1)
        >>> module = TaskModule(network, loss=nn.functional.mse_loss, metrics={}, optimizer=sgd)
        >>> graph = Data(x=torch.ones(1, 1), edge_index=torch.empty(2, 0, dtype=torch.long), y=torch.ones(1, 1))
        >>> batch = Batch.from_data_list([graph])
        >>> prediction, target = module(batch)
        >>> prediction.shape, target.shape
        (torch.Size([1, 1]), torch.Size([1, 1]))
    """

    uses_all_weights = True
    """Whether every batch uses all weights of the network."""

    def __init__(
        self,
        network: nn.Module,
        *,
        loss: Loss,
        metrics: Mapping[str, Metric],
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory | None = None,
        weight_decay: float = 0.0,
        train_metrics: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self.optimizer_factory, self.scheduler_factory = optimizer, scheduler
        self.weight_decay = weight_decay
        self.train_metrics = train_metrics
        self.losses: dict[str, Loss] = {}
        # A module moves them to the device of the network.
        self.measures = nn.ModuleDict()
        self.add_objective(loss, metrics)
        self.guard = FiniteGuard()
        self._epoch_schedulers: dict[int, str | None] = {}
        self._undefined: set[str] = set()
        self._sums: dict[str, Tensor] = {}

    def add_objective(self, loss: Loss, metrics: Mapping[str, Metric], prefix: str = "") -> None:
        """Set the loss and the metrics of batches.

        Args:
            loss: The loss.
            metrics: Fresh metrics by name.
            prefix: What `prefix_of` returns for these batches; it is put before the names of loss and metrics.
        """
        self.losses[prefix] = loss
        if isinstance(loss, nn.Module):  # its tensors move with the module
            self.add_module(f"{prefix}loss".replace("/", "_"), loss)
        measured = [split for split in SPLITS if self.train_metrics or split != "train"]
        for split in SPLITS:
            self.measures[f"{split}_{prefix}loss"] = MeanLoss(self.average(prefix))
        for split in measured:
            for name, metric in metrics.items():
                if split == "train" and getattr(metric, "evaluation_only", False):
                    continue
                self.measures[f"{split}_{prefix}{name}"] = metric.clone()

    def average(self, prefix: str = "") -> Average:
        """Return what the loss of batches is a mean over, see `pyg_samsa.training.averages`.

        Args:
            prefix: What `prefix_of` returns for these batches.

        Example:
            >>> options = {"loss": nn.functional.mse_loss, "metrics": {}, "optimizer": torch.optim.SGD}
            >>> type(TaskModule(nn.Identity(), **options).average()).__name__
            'RowAverage'
        """
        return getattr(self.losses[prefix], "average", None) or RowAverage()

    def prefix_of(self, batch: Any) -> str:
        """Return what is put before the names of the loss and the metrics of a batch; empty if there is one task.

        Example:
            >>> TaskModule.prefix_of(None, None)
            ''
        """
        return ""

    def forward(self, batch: Any) -> tuple[Tensor, Tensor | None]:
        """Return (prediction, target) of a batch, the prediction in at least float32."""
        pred, target = self.network(batch)
        return at_least_float32(pred), target

    def _predict(self, batch: Any, split: str) -> tuple[Tensor, Tensor, Tensor]:
        pred, target = self(batch)
        if target is None:
            raise ConfigError(f"{split} split", "rows without y", "a target in every row")
        target = _beside(target, pred)
        bound = getattr(batch, "y_bound", None)
        prefix = self.prefix_of(batch)
        with without_autocast(pred):
            clipped = pred if bound is None else clip_to_bounds(pred, target, bound)
            loss = self.losses[prefix](clipped, target)
            if split == "train" and _is_one_of_several():
                loss, self._sums[prefix] = of_all_processes(self.average(prefix), loss, clipped, target)
            return loss, pred.detach(), target.detach()

    def _measure(self, split: str, batch: Any, loss: Tensor, pred: Tensor, target: Tensor) -> None:
        if (bound := getattr(batch, "y_bound", None)) is not None:
            pred = clip_to_bounds(pred, target, bound)
        with without_autocast(pred):
            for metric in self._of(f"{split}_{self.prefix_of(batch)}").values():
                if isinstance(metric, MeanLoss):
                    metric.update(loss, pred, target)
                elif isinstance(metric, BatchMetric):
                    metric.update_batch(pred, target, batch)
                else:
                    metric.update(pred, target)

    def _of(self, start: str) -> dict[str, Metric]:
        return {key: cast(Metric, metric) for key, metric in self.measures.items() if key.startswith(start)}

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a training batch.

        Raises:
            NumericalError: It is not finite. On a CUDA device this is raised one step later, so that no step waits for
                the check.
        """
        self.guard.everywhere = True
        step = f"step {self.global_step} (epoch {self.current_epoch + 1}, batch {batch_idx + 1})"
        prefix = self.prefix_of(batch)
        before = self._sums.get(prefix)
        try:
            return self._step(batch, "train", f"training loss at {step}")[0]
        except NumericalError as error:
            # Where the error came before the common loss, the other processes wait for this one.
            if _is_one_of_several() and not error.everywhere and self._sums.get(prefix) is before:
                tell_all_processes(self.average(prefix), before, next(self.network.parameters()))
                error.everywhere = True
            raise

    def _step(self, batch: Any, split: str, where: str) -> tuple[Tensor, Tensor, Tensor]:
        """Predict and measure a batch; on an accelerator its checks are read with the next batch."""
        with deferred_checks() as checks:
            loss, pred, target = self._predict(batch, split)
            # The guard comes first: metrics refuse values that are not finite too, but do not know the step.
            if loss.device.type == "cpu":
                self.guard.watch(loss.detach(), where, checks)
            self._measure(split, batch, loss, pred, target)
        if loss.device.type != "cpu":
            self.guard.watch(loss.detach(), where, checks)
        return loss, pred, target

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measure a validation batch."""
        self.guard.everywhere = False
        self._step(batch, "val", f"validation loss in epoch {self.current_epoch + 1} (batch {batch_idx + 1})")

    def test_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Measure a test batch and hand its predictions to the callbacks."""
        self.guard.everywhere = False
        _, pred, target = self._step(batch, "test", f"test loss of batch {batch_idx + 1}")
        return {"pred": pred, "target": target}

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the predictions of a batch."""
        return self(batch)[0]

    def _compute(self, key: str, metric: Metric) -> Tensor:
        """Return the value of a metric; why it is undefined is logged once in a run."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = metric.compute()
        for warning in caught:
            if issubclass(warning.category, UndefinedMetric):
                if key not in self._undefined and self.trainer.is_global_zero:
                    _LOGGER.warning("%s: %s", key.partition("_")[0], warning.message)
                self._undefined.add(key)
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
        return value

    def _values(self, split: str) -> dict[str, Tensor]:
        """Return the values of a split that ended."""
        values: dict[str, Tensor] = {}
        for key, metric in self._of(f"{split}_").items():
            if metric.update_called:
                values[key] = torch.as_tensor(self._compute(key, metric)).float()
                metric.reset()
        return values

    def _finish(self, split: str) -> None:
        self.guard.flush()
        values = self._values(split)
        for prefix in self.losses:
            loss = values.get(key := f"{split}_{prefix}loss")
            if loss is not None and not bool(torch.isfinite(loss)):
                raise NumericalError(
                    f"{key} in epoch {self.current_epoch + 1}", f"is {float(loss)}", hint=FiniteGuard.HINT
                )
        # Every value is already that of all processes; averaging again would only cost time.
        self.log_dict(values, prog_bar=False, sync_dist=False, rank_zero_only=False)

    def on_train_start(self) -> None:
        """Set the rate of the next step; a checkpoint of a shorter run holds that of its end."""
        for config in self.trainer.lr_scheduler_configs:
            set_present_rate(config.scheduler)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training values and step the schedulers that move once an epoch."""
        self._finish("train")
        # Lightning would step them after the checkpoint is written, and a resumed run would miss that step.
        for config in self.trainer.lr_scheduler_configs:
            if id(config.scheduler) in self._epoch_schedulers:
                monitor = self._epoch_schedulers[id(config.scheduler)]
                self._step_epoch_scheduler(config.scheduler, monitor)

    def _step_epoch_scheduler(self, scheduler: Any, monitor: str | None) -> None:
        if not isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            scheduler.step()
            return
        values = self.trainer.callback_metrics
        if monitor not in values:
            raise ConfigError(
                "optim.scheduler",
                "plateau",
                f"a run that measures {monitor!r} in every epoch",
                hint="It needs a validation split.",
            )
        if not bool(values[monitor].isnan()):  # an undefined value is no lack of progress
            scheduler.step(values[monitor])

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a schedule that moves every step; `on_train_epoch_end` steps those that move every epoch."""
        if id(scheduler) not in self._epoch_schedulers:
            scheduler.step()

    def on_validation_epoch_start(self) -> None:
        """Give every process the buffers of the first one, which DDP itself only does where it trains."""
        if dist.is_available() and dist.is_initialized():
            for buffer in self.network.buffers():
                dist.broadcast(buffer, src=0)

    def on_validation_epoch_end(self) -> None:
        """Log the values of the validation split."""
        self._finish("val")

    def on_test_epoch_end(self) -> None:
        """Log the values of the test split."""
        self._finish("test")

    def configure_optimizers(self) -> Any:
        """Return the optimiser and, where there is one, its schedule over all steps of the run."""
        optimizer = self.optimizer_factory(parameter_groups(self.network, self.weight_decay, no_decay=NO_DECAY_NAMES))
        if self.scheduler_factory is None:
            return optimizer
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = self.scheduler_factory(optimizer, total, max(1, total // max(1, self.trainer.max_epochs or 1)))
        if scheduler is None:
            return optimizer
        config = dict(scheduler) if isinstance(scheduler, Mapping) else {"scheduler": scheduler}
        config.setdefault("interval", "epoch")
        if config["interval"] == "epoch":
            self._epoch_schedulers = {id(config["scheduler"]): config.pop("monitor", None)}
            # Lightning requires a metric for a plateau schedule and would step it; `on_train_epoch_end` does that.
            config["monitor"], config["strict"] = "train_loss", False
        return {"optimizer": optimizer, "lr_scheduler": config}


def _is_one_of_several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _beside(target: Tensor, pred: Tensor) -> Tensor:
    """Return targets on the device of the predictions, which is the CPU if their own one has no float64."""
    if target.device == pred.device:
        return target
    return (target if has_float64(pred.device) else target.float()).to(pred.device)
