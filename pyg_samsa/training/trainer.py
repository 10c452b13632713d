"""How a run is trained: Lightning's trainer from plain options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import ConfigError
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
from pyg_samsa.training.run_folder import RunFolder

PRECISIONS = {
    "32": "32-true",
    "32-true": "32-true",
    "bf16": "bf16-mixed",
    "bf16-mixed": "bf16-mixed",
    "16": "16-mixed",
    "16-mixed": "16-mixed",
}


@dataclass(frozen=True)
class TrainerOptions:
    """How a run is trained, whatever it trains.

    Args:
        max_epochs: Epochs, at least 1.
        accelerator: ``auto``, ``cpu``, ``gpu``/``cuda``, ``mps``.
        devices: Number of processes, or ``auto``.
        strategy: ``auto`` or a name of Lightning's; ``auto`` with several devices is distributed data parallel.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        clip_norm: Largest norm of the gradient, None for any.
        accumulate: Batches whose gradients make one step.
        eval_every: Epochs between validations.
        keep_best: Whether ``best.ckpt`` is kept and tested on.
        keep_last: Whether ``last.ckpt`` is kept, which resuming needs.
        archive_every: Every this many epochs a checkpoint stays for good; None for never.
        compile: Whether the network goes through ``torch.compile``.

    Raises:
        ConfigError: a value is out of range.
    """

    max_epochs: int
    accelerator: str = "auto"
    devices: int | str = 1
    strategy: str = "auto"
    precision: str = "32-true"
    clip_norm: float | None = None
    accumulate: int = 1
    eval_every: int = 1
    keep_best: bool = True
    keep_last: bool = True
    archive_every: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        for key in ("max_epochs", "accumulate", "eval_every"):
            if getattr(self, key) < 1:
                raise ConfigError(key, getattr(self, key), "a number of at least 1")
        if self.precision not in PRECISIONS:
            raise ConfigError("precision", self.precision, PRECISIONS)
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ConfigError("clip_norm", self.clip_norm, "a number above 0")


def build_trainer(
    folder: RunFolder, options: TrainerOptions, callbacks: list[Any], loggers: Sequence[Any], validates: bool
) -> Any:
    """Return the trainer of a run.

    Args:
        folder: The run's folder.
        options: How to train.
        callbacks: All callbacks, checkpoints last.
        loggers: Lightning loggers; none for no logger at all.
        validates: Whether there is a validation split.
    """
    strategy: Any = options.strategy
    if strategy in ("auto", "ddp") and options.devices not in (1, "1"):
        strategy = _distributed(options) or strategy
    return pl.Trainer(
        accelerator="gpu" if options.accelerator == "cuda" else options.accelerator,
        devices=options.devices,
        strategy=strategy,
        precision=PRECISIONS[options.precision],
        max_epochs=options.max_epochs,
        gradient_clip_val=options.clip_norm,
        accumulate_grad_batches=options.accumulate,
        check_val_every_n_epoch=options.eval_every,
        limit_val_batches=1.0 if validates else 0,
        num_sanity_val_steps=0,
        logger=list(loggers) or False,
        log_every_n_steps=50,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder.path),
    )


def _distributed(options: TrainerOptions) -> Any:
    """Return the strategy of several processes, or None where ``devices`` turns out to be one."""
    cpu = options.accelerator == "cpu" or (options.accelerator == "auto" and not torch.cuda.is_available())
    if options.devices in ("auto", -1, "-1") and (cpu or torch.cuda.device_count() <= 1):
        return None
    # Processes may see unequally many validation batches: buffers are given out once before validation, not in every forward pass.
    return pl.strategies.DDPStrategy(broadcast_buffers=False, process_group_backend="gloo" if cpu else None)


def checkpoints(folder: RunFolder, options: TrainerOptions, monitor: str | None, higher_is_better: bool) -> list[Any]:
    """Return the checkpoint callbacks of a run: best, archive and last, in the order in which they must act."""
    common: dict[str, Any] = {
        "dirpath": folder.checkpoints,
        "save_on_train_epoch_end": True,
        "auto_insert_metric_name": False,
    }
    checkpoints: list[Any] = []
    if not options.keep_last:
        return checkpoints
    if monitor is not None and options.keep_best:
        mode = "max" if higher_is_better else "min"
        checkpoints.append(
            _Best(monitor=monitor, mode=mode, filename="best", save_top_k=1, enable_version_counter=False, **common)
        )
    if options.archive_every is not None:
        checkpoints.append(
            _Archive(filename="epoch_{epoch:04d}", every_n_epochs=options.archive_every, save_top_k=-1, **common)
        )
    # The last one comes last, so that it knows what the others have just done.
    checkpoints.append(_Last(filename="last", save_top_k=1, enable_version_counter=False, **common))
    return checkpoints


class _Best(pl.callbacks.ModelCheckpoint):
    """Keeps the best epoch; an epoch without a fresh validation is no candidate."""

    def _should_skip_saving_checkpoint(self, trainer: Any) -> bool:
        every = trainer.check_val_every_n_epoch or 1
        return super()._should_skip_saving_checkpoint(trainer) or (trainer.current_epoch + 1) % every != 0


class _Archive(pl.callbacks.ModelCheckpoint):
    """Keeps every n-th epoch for good."""


class _Last(pl.callbacks.ModelCheckpoint):
    """Keeps the last epoch."""
