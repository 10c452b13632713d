"""How a run is trained: Lightning's trainer from plain options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import torch
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option, check_options, keep_plain
from pyg_samsa.training.batch_norm import PreciseBatchNorm
from pyg_samsa.training.checkpoint_io import BackgroundCheckpointIO
from pyg_samsa.training.distributed import DEFAULT_MINUTES
from pyg_samsa.training.environment import uses_cuda
from pyg_samsa.training.launch import find_launch, slurm_environment
from pyg_samsa.training.run_folder import RunFolder

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
PRECISIONS = {
    "32": "32-true",
    "32-true": "32-true",
    "bf16": "bf16-mixed",
    "bf16-mixed": "bf16-mixed",
    "16": "16-mixed",
    "16-mixed": "16-mixed",
}
PRECISION_NAMES = {
    "32-true": "float32",
    "bf16-mixed": "bfloat16 mixed with float32",
    "16-mixed": "float16 mixed with float32",
}


@dataclass(frozen=True)
class TrainerOptions:
    """Options of the trainer; the help of each option is in its annotation.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> TrainerOptions(max_epochs=10).precision
        '32-true'
    """

    max_epochs: Annotated[int, Option("Number of epochs.", low=1)]
    accelerator: Annotated[str, Option("Kind of device; auto takes a GPU where there is one.", ACCELERATORS)] = "auto"
    devices: Annotated[int | str, Option("Number of devices, which is the number of processes, or auto.")] = 1
    strategy: Annotated[
        str, Option("Lightning strategy; auto is distributed data parallel where devices is above 1.")
    ] = "auto"
    process_timeout: Annotated[
        float, Option("Minutes that a process waits for the others before the run ends.", above=0)
    ] = DEFAULT_MINUTES
    precision: Annotated[str, Option("Number format of training.", PRECISIONS)] = "32-true"
    matmul_precision: Annotated[
        str, Option("Products of float32 on CUDA: highest, or high for TF32.", ("highest", "high", "medium"))
    ] = "highest"
    clip_norm: Annotated[float | None, Option("Largest norm of the gradient; empty does not clip.", above=0)] = None
    accumulate: Annotated[int, Option("Batches whose gradients are summed for one step.", low=1)] = 1
    eval_every: Annotated[int, Option("Epochs between validations.", low=1)] = 1
    batch_norm_batches: Annotated[
        int,
        Option("Training batches whose statistics batch normalisation takes before validation; 0 for its own.", low=0),
    ] = 0
    patience: Annotated[
        int, Option("Epochs without a better validation after which training stops; 0 trains all epochs.", low=0)
    ] = 0
    max_seconds: Annotated[
        float | None,
        Option(
            "Seconds of training and validation, in all parts of a resumed run, after which it ends; empty for none.",
            above=0,
        ),
    ] = None
    fit_schedule: Annotated[
        bool,
        Option("Whether the schedule ends with max_seconds: with the epochs that fit, measured in the first two."),
    ] = False
    keep_best: Annotated[
        bool, Option("Whether the checkpoint of the best epoch is kept and tested; otherwise the last one is tested.")
    ] = True
    save_checkpoints: Annotated[
        bool, Option("Whether there are checkpoints; without them no run is resumed, and the last epoch is tested.")
    ] = True
    archive_every: Annotated[
        int | None, Option("Epochs between checkpoints that are kept for good; empty for none.", low=1)
    ] = None
    compile: Annotated[bool, Option("Whether blocks are compiled by torch.compile. It is meant for CUDA.")] = False

    def __post_init__(self) -> None:
        check_options(TrainerOptions, vars(keep_plain(self)))
        if self.fit_schedule and self.max_seconds is None:
            raise ConfigError("train.fit_schedule", True, "False where train.max_seconds is empty")


def build_trainer(
    folder: RunFolder,
    options: TrainerOptions,
    callbacks: list[Any],
    loggers: Sequence[Any],
    validates: bool,
    *,
    all_weights: bool = True,
) -> Any:
    """Return the trainer of a run.

    Args:
        folder: The run's folder.
        options: How to train.
        callbacks: All callbacks, checkpoints last.
        loggers: Lightning loggers; none for no logger at all.
        validates: Whether there is a validation split.
        all_weights: Whether every batch uses all weights; several processes must know it.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = RunFolder(Path(tempfile.mkdtemp()))
        >>> options = TrainerOptions(max_epochs=3, accelerator="cpu")
        >>> build_trainer(folder, options, [], [], validates=True).max_epochs
        3
    """
    if options.batch_norm_batches:
        callbacks = [PreciseBatchNorm(options.batch_norm_batches), *callbacks]
    launch = find_launch()
    nodes = launch.nodes if launch is not None else 1
    strategy: Any = options.strategy
    if strategy in ("auto", "ddp") and (options.devices not in (1, "1") or nodes > 1):
        strategy = _distributed(options, all_weights=all_weights) or strategy
    plugins: list[Any] = [BackgroundCheckpointIO()]
    if launch is not None and launch.program == "srun":
        plugins.append(slurm_environment())
    return pl.Trainer(
        accelerator="gpu" if options.accelerator == "cuda" else options.accelerator,
        devices=options.devices,
        num_nodes=nodes,
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
        plugins=plugins,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(folder.path),
    )


def _distributed(options: TrainerOptions, *, all_weights: bool) -> Any:
    """Return the strategy of several processes, or None where ``devices`` turns out to be one."""
    cpu = not uses_cuda(options.accelerator)
    if options.devices in ("auto", -1, "-1") and (cpu or torch.cuda.device_count() <= 1):
        return None
    # Processes may see unequally many validation batches: buffers are given out once before validation, not in every
    # forward pass.
    timeout = timedelta(minutes=options.process_timeout)
    backend = "gloo" if cpu else None
    unused: dict[str, Any] = {} if all_weights else {"find_unused_parameters": True}
    return pl.strategies.DDPStrategy(broadcast_buffers=False, process_group_backend=backend, timeout=timeout, **unused)
