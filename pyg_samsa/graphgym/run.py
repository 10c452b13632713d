"""From a configuration to finished runs: reads ``cfg``, calls :mod:`pyg_samsa.training`, and sums up the repeats."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.imports import pl

from pyg_samsa import __version__
from pyg_samsa.errors import ConfigError
from pyg_samsa.graphgym.config import LoadedConfig, dumpable, load_config
from pyg_samsa.graphgym.export import export_model, print_models
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.graphgym.loss import DEFAULTS as LOSSES
from pyg_samsa.graphgym.loss import choose_loss
from pyg_samsa.graphgym.metric import choose_metrics
from pyg_samsa.graphgym.network import level, model_options
from pyg_samsa.graphgym.optimizer import choose_optimizer
from pyg_samsa.graphgym.options import values_for
from pyg_samsa.graphgym.report import print_results
from pyg_samsa.graphgym.scheduler import choose_scheduler
from pyg_samsa.io.memory import keep_memory
from pyg_samsa.training.console import Verbosity, is_main_process, make_console, print_header, quiet_libraries
from pyg_samsa.training.data_module import SplitData, TaskSpec
from pyg_samsa.training.distributed import agree, join_torchrun
from pyg_samsa.training.environment import available_cpus, cpu_name
from pyg_samsa.training.fit import fit_and_test
from pyg_samsa.training.loggers import WandbOptions, build_loggers
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder, open_run_folder
from pyg_samsa.training.samplers import BatchOptions
from pyg_samsa.training.scaling import ScaledLoss, ScaledNetwork
from pyg_samsa.training.start_from import start_from
from pyg_samsa.training.trainer import TrainerOptions
from pyg_samsa.viz.run_pictures import draw_run


def run(
    config: str | os.PathLike[str], opts: Sequence[str] = (), *, repeat: int = 1, verbosity: int = 0
) -> list[RunResult]:
    """Run an experiment ``repeat`` times with seeds ``seed``, ``seed + 1``, ... and report mean and standard deviation.

    Args:
        config: A YAML file, or the name of a packaged configuration.
        opts: ``key value key value ...``, before the file.
        repeat: Number of runs, at least 1.
        verbosity: -1 results only, 0 the usual, 1 also what the libraries say.

    Raises:
        ConfigError: the configuration is wrong.
        DataError: the data are missing or wrong.
        NumericalError: a loss is not finite.

    Returns:
        One result per seed.
    """
    if repeat < 1:
        raise ConfigError("--repeat", repeat, "a number of at least 1")
    loaded = load_config(config, opts)
    join_torchrun()
    talk = Verbosity(verbosity if cfg.print != "file" else min(verbosity, -1), is_main_process())
    console = make_console(quiet=not talk.main)
    with quiet_libraries(verbose=verbosity > 0):
        torch.set_num_threads(min(cfg.num_threads, available_cpus()))
        keep_memory()
        torch.set_float32_matmul_precision(cfg.train.matmul_precision)
        started = time.perf_counter()
        dataset, spec = load_for_runner(progress=talk.speaks)
        first_seed, results = cfg.seed, []
        for number in range(repeat):
            cfg.seed = first_seed + number
            title = f"pyg_samsa {__version__} · {loaded.name} · seed {cfg.seed}" + (
                f" ({number + 1} of {repeat})" if repeat > 1 else ""
            )
            results.append(run_once(loaded, dataset, spec, console=console if talk.speaks else None, title=title))
        cfg.seed = first_seed
    if talk.main:
        print_results(console, results, seconds=time.perf_counter() - started)
        print_models(console, [result.folder.path for result in results])
    return results


def run_once(loaded: LoadedConfig, dataset: Any, spec: TaskSpec, *, console: Any = None, title: str = "") -> RunResult:
    """Run the present ``cfg`` once, with ``cfg.seed``.

    Args:
        loaded: What the configuration was read from.
        dataset: The data set.
        spec: What it asks of a model.
        console: A rich console, None for silence.
        title: Headline.

    Returns:
        The result; of a run that had finished before and is asked to resume, what was written then.
    """
    metrics, best, higher = choose_metrics(
        spec.task, spec.num_targets, direction_given="metric_agg" in loaded.given, category_parts=spec.category_parts
    )
    monitor = f"val_{best}" if "val" in spec.sizes else None
    loss = choose_loss(spec.task, given="model.loss_fun" in loaded.given)
    # What followed from the task is written down as such, or the dumped configuration would contradict itself.
    cfg.metric_agg = "argmax" if higher else "argmin"
    if spec.task == "regression" and "model.loss_fun" not in loaded.given:
        cfg.model.loss_fun = LOSSES[spec.task]
    scheduler = choose_scheduler(monitor, higher_is_better=higher)
    optimizer, options = choose_optimizer(), trainer_options()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    network = build_network()
    new_weights = start_from(network, cfg.train.start_from) if cfg.train.start_from else []
    folder = _folder(loaded)
    if console is not None:
        print_header(console, title, _header(loaded, spec, network, folder, options, new_weights))
    summary = folder.summary() if folder.resumed else None
    if summary is not None and summary["epochs"] >= cfg.optim.max_epoch:
        return RunResult.from_summary(folder, summary)
    scale = getattr(dataset, "target_scale", None)
    module = TaskModule(
        network if scale is None else ScaledNetwork(network, *scale),
        loss=loss if scale is None else ScaledLoss(loss, *scale),
        metrics=metrics,
        optimizer=optimizer,
        scheduler=scheduler,
        weight_decay=cfg.optim.weight_decay,
        train_metrics=not cfg.train.skip_train_eval,
    )
    data = SplitData(
        dataset,
        spec.split_idx,
        **values_for(BatchOptions, cfg),
        edges_are_tokens=cfg.model.type != "samsa" or cfg.samsa.bridge,
        num_workers=cfg.num_workers,
        seed=cfg.seed,
    )
    choice: dict[str, Any] = {"monitor": monitor, "higher_is_better": higher}
    try:
        result = fit_and_test(
            module,
            data,
            spec,
            folder=folder,
            options=options,
            seed=cfg.seed,
            loggers=_loggers(folder),
            console=console,
            draw=partial(draw_run, dataset=dataset, spec=spec, monitor=monitor),
            **choice,
        )
    except BaseException:
        if is_main_process():
            folder.discard_unused()
        raise
    if is_main_process():
        export_model(result, network, spec, dataset, loaded)
    return result


def build_network() -> nn.Module:
    """Return the network of ``model.type``, whoever registered it.

    Raises:
        ConfigError: nobody did.
    """
    if cfg.model.type not in register.network_dict:
        raise ConfigError("model.type", cfg.model.type, sorted(register.network_dict))
    if cfg.gnn.head == "default" and cfg.model.type != "samsa":
        cfg.gnn.head = "mlp_graph" if cfg.share.level == "graph" else "inductive_node"
    return register.network_dict[cfg.model.type](dim_in=cfg.share.dim_in, dim_out=cfg.share.dim_out)


def trainer_options() -> TrainerOptions:
    """Return how the present ``cfg`` wants to be trained."""
    values = values_for(TrainerOptions, cfg)
    values["clip_norm"] = cfg.optim.clip_grad_norm_value if cfg.optim.clip_grad_norm else None
    if cfg.train.ckpt_clean:
        values["archive_every"] = None
    return TrainerOptions(**values)


def _folder(loaded: LoadedConfig) -> RunFolder:
    chosen: list[RunFolder] = []

    def choose() -> str:
        chosen.append(
            open_run_folder(
                Path(cfg.out_dir).expanduser(), loaded.name, cfg.seed, dumpable(), resume=cfg.train.auto_resume
            )
        )
        return f"{int(chosen[0].resumed)}{chosen[0].path}"

    answer = agree(choose)
    return chosen[0] if chosen else RunFolder(Path(answer[1:]), resumed=answer[0] == "1")


def _loggers(folder: RunFolder) -> list[Any]:
    wandb = WandbOptions(**values_for(WandbOptions, cfg))
    return build_loggers(folder.path, tensorboard=cfg.tensorboard_each_run, wandb=wandb, config=dumpable())


def _header(
    loaded: LoadedConfig,
    spec: TaskSpec,
    network: nn.Module,
    folder: RunFolder,
    options: TrainerOptions,
    new_weights: list[str],
) -> dict[str, str]:
    parameters = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    sizes = " / ".join(f"{count:,} {split}" for split, count in spec.sizes.items())
    lines = {
        "config": str(loaded.path),
        "data": f"{cfg.dataset.format} {cfg.dataset.name} · {sizes}",
        "task": f"{spec.level} level · {spec.task} · {spec.num_targets} target{'s' * (spec.num_targets != 1)}",
        "model": _model(cfg.model.type),
        "size": f"{parameters:,} parameters",
        "device": _device(options),
        "folder": str(folder.path) + (" (continued)" if folder.resumed else ""),
    }
    if cfg.train.start_from:
        new = sorted({name.removeprefix("model.").rpartition(".")[0].removesuffix(".module") for name in new_weights})
        lines["start"] = cfg.train.start_from + (f" (new: {', '.join(new)})" if new else "")
    if folder.note:
        lines["note"] = folder.note
    if loaded.without_effect:
        lines["unused"] = f"{', '.join(loaded.without_effect)}: without effect here"
    return lines


def _model(name: str) -> str:
    encodings = f" · {cfg.pe.kind} {cfg.pe.dim}" if cfg.pe.kind != "none" else ""
    if name != "samsa":
        return f"{name} · {level()}{encodings}"
    values = model_options()
    size = f"{values['num_layers']} layers · {values['channels']} channels · {values['heads']} heads"
    attention = values["attention"]
    sampled = f" · K {values['num_samples']} {values['sampling']}" if attention in ("samsa", "sft") else ""
    return f"{attention if attention == 'samsa' else f'samsa with {attention}'} · {size}{sampled}{encodings}"


def _device(options: TrainerOptions) -> str:
    gpu = options.accelerator in ("gpu", "cuda") or (options.accelerator == "auto" and torch.cuda.is_available())
    name = (
        torch.cuda.get_device_name(0)
        if gpu and torch.cuda.is_available()
        else cpu_name()
        if not gpu
        else options.accelerator
    )
    count = f"{options.devices} x " if options.devices not in (1, "auto") else ""
    threads = "" if gpu else f" · {torch.get_num_threads()} threads"
    return f"{count}{name}{threads} · {options.precision}"
