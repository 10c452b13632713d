"""Checks of ``cfg`` that need no data: names, packages, folders, and settings that contradict each other."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection
from typing import Any

import torch
from torch_geometric.graphgym import register
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.imports import pl

from pyg_samsa.chem.descriptors import check_descriptors
from pyg_samsa.datasets import catalog
from pyg_samsa.datasets.dataset_registry import dataset_options
from pyg_samsa.datasets.splits import check_fractions
from pyg_samsa.errors import ConfigError, MissingDependencyError, check_choice
from pyg_samsa.functional.attention import explain_backends
from pyg_samsa.graphgym.baselines import gnn_options
from pyg_samsa.graphgym.data_defaults import FITTING_TASK_TYPES
from pyg_samsa.graphgym.feature_encoders import BUILT_IN_ENCODERS, check_encoder
from pyg_samsa.graphgym.layer_type import parse_layer_type, refuse_role
from pyg_samsa.graphgym.loader import reads_graphgym
from pyg_samsa.graphgym.loss import BOUNDED, check_loss
from pyg_samsa.graphgym.metric import check_metrics
from pyg_samsa.graphgym.network_options import WITHOUT_GRAPH_FEATURES, asks_for_masked, model_options, named_as_settings
from pyg_samsa.graphgym.optimizer import choose_optimizer
from pyg_samsa.graphgym.own_head import LEVEL_OF_HEAD, own_head
from pyg_samsa.graphgym.scheduler import WITHOUT_WARMUP, check_scheduler, scheduler_name
from pyg_samsa.graphgym.settings import FROM_DATA, GPS_LAYERS, value_of, values_for
from pyg_samsa.graphgym.trainer_settings import trainer_options
from pyg_samsa.graphgym.without_effect import READ_BY
from pyg_samsa.io.files import check_folder
from pyg_samsa.io.worker_pool import MOST
from pyg_samsa.nn import TOKENIZERS, SAMSAOptions
from pyg_samsa.nn.conv.operators import make_operator, operator_options
from pyg_samsa.nn.models.message_passing import LAYERS
from pyg_samsa.task import MASKED
from pyg_samsa.training.environment import uses_cuda
from pyg_samsa.training.launch import find_launch
from pyg_samsa.training.schedulers import DECAY_TO_END
from pyg_samsa.training.start_from import find_source
from pyg_samsa.training.trainer import PRECISIONS, TrainerOptions

_TASKS = ("graph", "node", "edge", "link_pred")
_TASK_TYPES = tuple(dict.fromkeys(name for names in FITTING_TASK_TYPES.values() for name in names))


def check_settings() -> None:
    """Check the settings of networks that a configuration holds.

    Raises:
        ConfigError: See `pyg_samsa.graphgym.network_options.model_options`; there is no such descriptor; or an
            option has no effect in this combination.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.gnn.head = "graphs"
        >>> check_settings()
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: gnn.head: got 'graphs', expected one of ...
        >>> set_cfg(cfg)
    """
    check_descriptors(cfg.dataset.descriptors, "dataset.descriptors")
    _check_head()
    for name in ("descriptors", "extra_columns"):
        if cfg.dataset[name] and cfg.model.type in WITHOUT_GRAPH_FEATURES:
            hint = f"Set dataset.{name} [], or use the network samsa, which takes features of whole graphs."
            raise ConfigError(
                f"dataset.{name}", cfg.dataset[name], f"none with the network {cfg.model.type}", hint=hint
            )
    if cfg.gt.layer_type not in ("samsa", *GPS_LAYERS):
        parse_layer_type(cfg.gt.layer_type)
    if cfg.samsa.tokenizer is not None and cfg.samsa.tokenizer not in TOKENIZERS:
        hint = f"Registered: {', '.join(TOKENIZERS) or 'none'}. Modules of your own are imported with --import."
        raise ConfigError("samsa.tokenizer", cfg.samsa.tokenizer, "the name of a registered tokenizer", hint=hint)
    if cfg.model.type == "samsa":
        values = model_options()
        with named_as_settings(values["attention"]):
            SAMSAOptions(**values)


def _check_head() -> None:
    """Raise a `ConfigError` if there is no head of this name, or the network does not use it."""
    head, known = cfg.gnn.head, {"default", *register.head_dict}
    if head not in known and head not in LEVEL_OF_HEAD:
        raise ConfigError("gnn.head", head, sorted(known))
    if own_head() is not None and cfg.model.type in READ_BY and cfg.model.type != "samsa":
        hint = "A head of your own works with model.type samsa, and with GraphGym's gnn."
        raise ConfigError("gnn.head", head, f"'default' with the network {cfg.model.type}", hint=hint)


def check_run(*, machine: bool = True) -> None:
    """Check what a run needs and what needs no data, before data are loaded and a folder is made.

    Args:
        machine: Whether the run is one of this machine, with its devices, packages and files.

    Raises:
        ConfigError: A network, a data set, a loss, a metric or an encoder does not exist, two settings contradict each
            other, or see `check_training`.
        DataNotFoundError: There are no weights to start from.
        MissingDependencyError: A logger that is asked for is not installed.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.model.type = "sams"
        >>> check_run()
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: model.type: got 'sams', expected one of ...
        >>> set_cfg(cfg)
    """
    _check_network(machine=machine)
    _check_dataset()
    check_loss()
    _check_bounds()
    check_metrics()
    check_training(machine=machine)


def check_training(*, machine: bool = True) -> None:
    """Check what training needs, whatever the network and the data.

    Args:
        machine: See `check_run`.

    Raises:
        ConfigError: There is no such optimiser, schedule or device, two settings contradict each other, or the folder
            of the results cannot be written to.
        DataNotFoundError: There are no weights to start from.
        MissingDependencyError: A logger that is asked for is not installed.

    Example:
        >>> from torch_geometric.graphgym.config import set_cfg
        >>> set_cfg(cfg)
        >>> cfg.optim.optimizer = "adamm"
        >>> check_training()
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: optim.optimizer: got 'adamm', expected one of ...
        >>> set_cfg(cfg)
    """
    choose_optimizer()
    check_scheduler()
    _check_lengths()
    if not machine:
        return
    _check_devices()
    trainer_options()
    if cfg.train.start_from:
        find_source(cfg.train.start_from)
    elif cfg.train.adapt != "all":
        hint = "Set train.start_from to the network whose weights are to be frozen."
        raise ConfigError("train.adapt", cfg.train.adapt, "'all' without train.start_from", hint=hint)
    packages = {
        "wandb": ("wandb.use", cfg.wandb.use),
        "tensorboard": ("tensorboard_each_run", cfg.tensorboard_each_run),
    }
    for package, (key, used) in packages.items():
        if used and importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package, package, key)
    if not cfg.out_dir.strip():
        raise ConfigError("out_dir", cfg.out_dir, "the name of a folder", hint="For the present folder, write a dot.")
    check_folder("out_dir", os.path.expanduser(cfg.out_dir))


def _check_network(*, machine: bool) -> None:
    network = cfg.model.type
    check_choice("model.type", network, sorted(register.network_dict))
    if network != "samsa" and asks_for_masked():
        raise ConfigError("model.type", network, f"'samsa' with the task {MASKED}: it can hide features")
    if network in LAYERS or network == "gps":
        gnn_options(network)
    elif network != "samsa" and cfg.pe.role != "add":
        raise refuse_role()
    if network == "gnn":
        names: dict[str, Collection[Any]] = {
            "gnn.layer_type": register.layer_dict,
            "gnn.stage_type": register.stage_dict,
            "gnn.act": register.act_dict,
            "model.graph_pooling": register.pooling_dict,
        }
        for key, registered in names.items():
            check_choice(key, value_of(key, cfg), sorted(registered))
    if network == "samsa":
        values = model_options()
        if FROM_DATA not in operator_options(values["attention"]):
            with named_as_settings(values["attention"]):
                options = SAMSAOptions(**values)
                make_operator(options.attention, options.channels, **options.operator())
            if machine:
                _check_backend(options)
    for kind, registered in (("node", register.node_encoder_dict), ("edge", register.edge_encoder_dict)):
        if cfg.dataset[f"{kind}_encoder"] and cfg.dataset[f"{kind}_encoder_name"] not in BUILT_IN_ENCODERS:
            check_encoder(kind, registered)


def _check_backend(options: SAMSAOptions) -> None:
    """Refuse an implementation of attention that the device, the numbers or the installed packages do not allow."""
    backend = options.operator().get("attn_backend", "auto")
    if backend == "auto":
        return
    device = "cuda" if torch.cuda.is_available() and uses_cuda(cfg.accelerator) else "cpu"
    dtypes = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    dtype = dtypes.get(PRECISIONS[cfg.train.precision], torch.float32)
    found = explain_backends(device, dtype, head_channels=max(1, options.channels // options.heads))
    if (reason := found.get(backend)) not in (None, "can run", "taken by auto"):
        expected = "one that can run here, or auto"
        raise ConfigError("samsa.attn_backend", backend, expected, hint=f"{backend}: {reason}.")


def _check_dataset() -> None:
    check_choice("dataset.task", cfg.dataset.task, _TASKS)
    check_choice("dataset.task_type", cfg.dataset.task_type, _TASK_TYPES)
    format, name = cfg.dataset.format, cfg.dataset.name
    if catalog.knows(format, name):
        takes = catalog.option_names(format, name)
        for option in dataset_options():
            if option not in takes and cfg.dataset.get(option) is not None:
                hint = f"{name} takes {', '.join(option for option in takes if option in dataset_options()) or 'none'}."
                expected = f"nothing, because the data set {name} does not take it"
                raise ConfigError(f"dataset.{option}", cfg.dataset[option], expected, hint=hint)
    elif len(register.loader_dict) == 1 and not reads_graphgym(format, name):  # no loader of other code
        catalog.find(format, name)
    if "split" not in cfg.dataset or cfg.dataset.get("split_kind") == "column":
        return
    try:
        check_fractions(cfg.dataset.split)
    except ConfigError as error:
        raise error.renamed("dataset.split") from None


def _check_bounds() -> None:
    """Check that a loss with bounds has bounds to read."""
    loss = str(cfg.model.loss_fun)
    if not loss.startswith(BOUNDED):
        return
    if (cfg.dataset.format, cfg.dataset.name) != ("samsa", "csv"):
        expected = "a loss without bounds, which only a CSV table (--csv) has"
        raise ConfigError("model.loss_fun", loss, expected, hint=f"Use model.loss_fun {loss.removeprefix(BOUNDED)}.")
    if cfg.dataset.censored not in (None, "bounds"):
        hint = f"Leave out --censored, or use model.loss_fun {loss.removeprefix(BOUNDED)}."
        raise ConfigError("dataset.censored", cfg.dataset.censored, f"'bounds' with model.loss_fun {loss}", hint=hint)


def _check_lengths() -> None:
    """Check the lengths of warm-up and validation."""
    optim = cfg.optim
    warmup = optim.num_warmup_epochs
    if warmup >= optim.max_epoch:
        hint = "Train longer, or shorten the warm-up, which may be a fraction or 0."
        raise ConfigError(
            "optim.num_warmup_epochs", warmup, f"less than optim.max_epoch ({optim.max_epoch})", hint=hint
        )
    if (warmup or optim.num_warmup_steps) and scheduler_name() in WITHOUT_WARMUP:
        key = "optim.num_warmup_epochs" if warmup else "optim.num_warmup_steps"
        hint = "Use 'constant_with_warmup' for warm-up without decay."
        raise ConfigError(key, value_of(key, cfg), f"0 for the scheduler {optim.scheduler!r}", hint=hint)
    TrainerOptions(**values_for(TrainerOptions, cfg))
    if cfg.train.fit_schedule and scheduler_name() not in DECAY_TO_END:
        expected = f"a schedule that has an end, with train.fit_schedule: {', '.join(DECAY_TO_END)}"
        raise ConfigError("optim.scheduler", optim.scheduler, expected)
    if cfg.train.eval_period > 1 and scheduler_name() == "plateau":
        hint = "The schedule plateau reads a validation in every epoch."
        expected = f"1 with optim.scheduler {optim.scheduler}"
        raise ConfigError("train.eval_period", cfg.train.eval_period, expected, hint=hint)
    if cfg.train.eval_period > optim.max_epoch:
        hint = "No epoch would be validated."
        raise ConfigError("train.eval_period", cfg.train.eval_period, f"at most {optim.max_epoch} epochs", hint=hint)


def _check_strategy() -> None:
    """Let Lightning say whether a strategy that is not its usual one fits the devices and the installed packages."""
    strategy = cfg.train.strategy
    if strategy == "auto" or strategy.startswith("ddp"):
        return
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    try:
        pl.Trainer(accelerator="gpu" if cfg.accelerator == "cuda" else cfg.accelerator, strategy=strategy, **options)
    except (ValueError, TypeError, RuntimeError, ImportError) as error:  # Lightning's own errors are of these types
        reason = str(error).strip().splitlines()[0].rstrip(".")[:160]
        raise ConfigError("train.strategy", strategy, f"a strategy that can be used here ({reason})") from error


def _check_devices() -> None:
    strategies = ["auto", *pl.strategies.StrategyRegistry.available_strategies()]
    check_choice("train.strategy", cfg.train.strategy, strategies)
    _check_strategy()
    kind = {"gpu": "a GPU", "cuda": "a GPU", "mps": "an Apple GPU"}.get(cfg.accelerator)
    found = torch.backends.mps.is_available() if cfg.accelerator == "mps" else torch.cuda.is_available()
    if cfg.accelerator == "gpu":
        found = found or torch.backends.mps.is_available()
    if kind and not found:
        hint = "accelerator auto takes a GPU if there is one. `pyg-samsa doctor` shows what is found."
        raise ConfigError("accelerator", cfg.accelerator, f"a device that is there; {kind} is not found", hint=hint)
    devices = cfg.devices
    launch = find_launch()
    if launch is not None and devices != launch.per_node:
        expected = f"{launch.per_node}, the number of processes that {launch.program} starts on each machine"
        raise ConfigError("devices", devices, expected, hint="Leave devices out: it is set to this number.")
    cpu = cfg.accelerator == "cpu" or (cfg.accelerator == "auto" and not torch.cuda.is_available())
    if cpu and devices != "auto" and devices > MOST:
        raise ConfigError("devices", devices, f"at most {MOST} processes")
    if kind and cfg.accelerator != "mps" and devices != "auto" and devices > torch.cuda.device_count() > 0:
        raise ConfigError("devices", devices, f"at most {torch.cuda.device_count()}, the number of GPUs")
