"""Run an experiment by a configuration: train, test, draw, export and print, once per seed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.imports import pl

import pyg_samsa.experiments.fingerprint_baseline  # noqa: F401  # adds the settings fingerprint.*
from pyg_samsa import __version__
from pyg_samsa.experiments.blend import FittedPredictor
from pyg_samsa.experiments.candidates import has_model
from pyg_samsa.experiments.ensemble import EnsembleResult, run_ensemble
from pyg_samsa.experiments.mixture_files import draw_mixture, finish_task, lacking_files
from pyg_samsa.experiments.predictor_plan import make_predictor_plan, print_predictors, run_models
from pyg_samsa.experiments.predictor_settings import check_predictor
from pyg_samsa.experiments.refit import train_again
from pyg_samsa.experiments.saved_network import export_model, predicts_molecules, print_models
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import LoadedConfig, load_config
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.graphgym.members import trains_network
from pyg_samsa.graphgym.mixed_tasks import check_tasks, load_tasks, make_mixed_plan
from pyg_samsa.graphgym.plan import make_plan
from pyg_samsa.graphgym.repeats import Repeat, list_repeats
from pyg_samsa.hub.folder import CONFIG, RUN_SUBFOLDER, UNSAVED, WEIGHTS
from pyg_samsa.io.memory import keep_memory
from pyg_samsa.nn import num_parameters
from pyg_samsa.options import check_integer
from pyg_samsa.task import UNLISTED
from pyg_samsa.training import run_folder as files
from pyg_samsa.training.adaptation import adapt
from pyg_samsa.training.callbacks import Row
from pyg_samsa.training.console import Verbosity, is_main_process, make_console, print_header, quiet_libraries
from pyg_samsa.training.distributed import agree, join_processes, told_once
from pyg_samsa.training.environment import describe_cpu, usable_threads, uses_cuda
from pyg_samsa.training.mixed_plan import MixedPlan
from pyg_samsa.training.predictions import PredictionCollector
from pyg_samsa.training.results import RunResult, is_finished
from pyg_samsa.training.run_files import RESULTS, check_summary
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.training.run_plan import RunPlan
from pyg_samsa.training.start_from import start_from
from pyg_samsa.training.trainer import PRECISION_NAMES, PRECISIONS, TrainerOptions
from pyg_samsa.viz.run_pictures import draw_run
from pyg_samsa.viz.run_tables import print_results


def run(
    config: str | os.PathLike[str],
    opts: Sequence[str] = (),
    *,
    repeat: int = 1,
    verbosity: int = 0,
    predictor: bool = True,
    on_epoch: Callable[[RunPlan, Row], None] | None = None,
) -> list[RunResult]:
    """Run an experiment ``repeat`` times with seeds ``seed``, ``seed + 1``, ... and report mean and standard deviation.

    With ``run_multiple_splits``, one run for each of these splits of the nodes of one graph takes the place of the
    seeds.

    Args:
        config: A YAML file, or the name of a packaged configuration.
        opts: Overrides for the file: ``key value key value ...``.
        repeat: Number of runs, at least 1.
        verbosity: -1 for results only, 0 for the usual output, 1 for messages of the libraries too.
        predictor: Whether the predictor of ``predictor.*`` is fitted beside the network.
        on_epoch: Called in the first process after each epoch of the networks of ``repeat``, with the plan and the row
            of the history. An error that it raises stops the training.

    Raises:
        ConfigError: The configuration is wrong.
        DataError: The data are missing or wrong.
        NumericalError: A loss is not finite.

    Returns:
        One result per seed.

    Example:
        >>> run("no_such_config")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: --cfg: got 'no_such_config', expected a YAML file that exists
    """
    check_integer("--repeat", repeat)
    with told_once():
        loaded = load_config(config, opts)
        predictor = predictor and not cfg.tasks
        _check(loaded)
        if predictor:
            check_predictor(repeat=repeat)
        repeats = list_repeats(loaded, repeat)
    join_processes(cfg.accelerator, minutes=cfg.train.process_timeout)
    talk = Verbosity(verbosity if cfg.print != "file" else min(verbosity, -1), is_main_process())
    console = make_console(quiet=not talk.main)
    with quiet_libraries(verbose=verbosity > 0):
        torch.set_num_threads(usable_threads(cfg.num_threads))
        keep_memory()
        started = time.perf_counter()
        # Models on descriptors alone compute their own inputs.
        needed = not predictor or trains_network()
        dataset, plans = _prepare_all(repeats, progress=talk.speaks, encodings=needed)
        blend = make_predictor_plan(dataset, progress=talk.speaks) if predictor else None
        if blend is not None and blend.is_ensemble:
            title = f"pyg_samsa {__version__} · {loaded.name}"
            shown = console if talk.speaks else None
            found = run_ensemble(loaded, dataset, blend, train=run_once, console=shown, title=title)
            _print_ensemble(console, found, seconds=time.perf_counter() - started, refit=blend.refit_text)
            return [found.result]
        results: list[RunResult] = []
        fitted: list[FittedPredictor] = []
        for number, make in enumerate(plans):
            plan = make()
            title = f"pyg_samsa {__version__} · {plan.name} · seed {plan.seed}"
            title += f" ({number + 1} of {len(plans)})" if len(plans) > 1 else ""
            header: dict[str, Any] = {"console": console if talk.speaks else None, "title": title}
            made: FittedPredictor | None = None
            if blend is not None and not blend.network:
                result, made = run_models(plan, blend, **header)
            else:
                result = run_once(plan, **header, on_epoch=partial(on_epoch, plan) if on_epoch else None)
                again = None
                # Only the first process has saved the network, and perhaps not yet when others come here.
                if blend is not None and blend.refits_network and agree(partial(_saved, result)):
                    again = train_again(plan, result, train=run_once, **header)
                made = blend.fit(plan, result, again) if blend is not None and talk.main else None
            results.append(result)
            fitted += [made] if made is not None else []
    if talk.main:
        seconds = time.perf_counter() - started
        if blend is None or blend.network:
            print_results(console, results, seconds=seconds, list_files=not fitted)
        print_predictors(console, results, fitted, refit="" if blend is None else blend.refit_text)
        print_models(console, [result.folder.path for result in results])
    return results


def _check(loaded: LoadedConfig) -> None:
    """Check what needs no data."""
    if cfg.tasks:
        check_tasks(loaded)
    else:
        check_run()


def _prepare_all(repeats: Sequence[Repeat], *, progress: bool, encodings: bool) -> tuple[Any, list[Callable[[], Any]]]:
    """Load the data of all repeats; return the first data set, and what makes the plan of each repeat."""
    dataset, make = None, None
    plans: list[Callable[[], Any]] = []
    for one in repeats:
        with one.chosen():
            if make is None or one.split is not None:
                found, make = _prepare(one.loaded, progress=progress, encodings=encodings)
                dataset = found if dataset is None else dataset
        plans.append(partial(_plan_of, one, make))
    return dataset, plans


def _plan_of(one: Repeat, make: Callable[..., Any]) -> Any:
    with one.chosen():
        return make(seed=one.seed)


def _prepare(loaded: LoadedConfig, *, progress: bool, encodings: bool) -> tuple[Any, Callable[..., Any]]:
    """Load the data; return the data set, None for several tasks, and what makes the plan of a seed."""
    if cfg.tasks:
        return None, partial(make_mixed_plan, loaded, load_tasks(loaded, progress=progress), draw=draw_mixture)
    dataset = load_for_runner(loaded.changes, progress=progress, encodings=encodings)
    return dataset, partial(make_plan, loaded, dataset)


def _print_ensemble(console: Any, found: EnsembleResult, *, seconds: float, refit: str) -> None:
    if found.members:
        print_results(console, found.members, seconds=seconds, list_files=False, together=True)
    print_predictors(console, [found.result], [found.fitted], refit=refit)


def _saved(result: RunResult) -> str:
    return "saved" if has_model(result) else ""


def run_once(
    plan: RunPlan | MixedPlan,
    *,
    console: Any = None,
    title: str = "",
    on_epoch: Callable[[Row], None] | None = None,
) -> RunResult:
    """Carry out the plan of one run.

    Args:
        plan: Everything that the run needs.
        console: A rich console for header and progress; None for silence.
        title: Headline.
        on_epoch: Called after each epoch, see `pyg_samsa.training.fit.fit_and_test`.

    Returns:
        The result; of a resumed run that had finished before, the result that was written then. Files that such a run
        lacks are made again from its checkpoints.
    """
    torch.set_float32_matmul_precision(plan.trainer.matmul_precision)
    pl.seed_everything(plan.seed, workers=True, verbose=False)
    network = plan.build_network()
    new_weights = start_from(network, plan.start_from) if plan.start_from else []
    adapt(network, plan.adaptation, new_weights)
    folder = plan.open_folder()
    if console is not None:
        print_header(console, title, _header(plan, network, folder, new_weights))
    summary = folder.summary() if folder.resumed else None
    options = plan.trainer
    limits = {name: getattr(options, name) for name in ("max_epochs", "patience", "max_seconds")}
    if summary is not None:
        check_summary(folder.file(files.SUMMARY), summary, needed=RESULTS)
    if summary is not None and is_finished(summary, **limits):
        result = RunResult.from_summary(folder, summary)
        # Every process looks for itself: the first one changes the folder only after all others are there.
        if not folder.last.is_file() or not _lacking(result, network, plan):
            return result

    finisher: Any = finish_task if isinstance(plan, MixedPlan) else _finish
    finish: Any = partial(finisher, plan, network)
    try:
        result = plan.train(network, folder, console=console, finish=finish, on_epoch=on_epoch)
    except BaseException:
        if is_main_process():
            folder.discard_unused()
        raise
    if plan.unsaved and is_main_process():
        # `predict` tells it to those who look for the network.
        folder.write_json(files.SUMMARY, {**(folder.summary() or {}), UNSAVED: plan.unsaved})
    return result


def _finish(
    plan: RunPlan, network: nn.Module, result: RunResult, rows: Sequence[Row], collected: PredictionCollector
) -> None:
    """Save the network of a run, and draw its pictures."""
    export_model(result, network, plan)
    draw_run(result, rows, collected, dataset=plan.dataset, monitor=plan.monitor)


def _lacking(result: RunResult, network: Any, plan: RunPlan | MixedPlan) -> list[str]:
    """Return the names of the files that a finished run should have and has not."""
    if isinstance(plan, MixedPlan):
        return lacking_files(result, network, plan, of_task=_lacking)
    names = [files.CURVES]
    names += [files.PREDICTIONS] if result.test and plan.dataset.task.kind not in UNLISTED else []
    names += [files.CLASSES] if result.per_class else []
    names += [files.PARTS] if result.test and plan.dataset.task.parts else []
    if predicts_molecules(network, plan.dataset.features):
        names += [f"{RUN_SUBFOLDER}/{name}" for name in (CONFIG, WEIGHTS)]
    return [name for name in names if not result.folder.file(name).is_file()]


def _header(
    plan: RunPlan | MixedPlan, network: nn.Module, folder: RunFolder, new_weights: Sequence[str]
) -> dict[str, str]:
    parameters = num_parameters(network)
    lines = {
        **plan.description,
        "size": f"{parameters:,} parameters",
        "device": _device(plan.trainer),
        "folder": str(folder.path) + (" (continued)" if folder.resumed else ""),
    }
    if plan.start_from:
        new = sorted({name.removeprefix("model.").rpartition(".")[0].removesuffix(".module") for name in new_weights})
        lines["start"] = plan.start_from + (f" (new: {', '.join(new)})" if new else "")
        if plan.adaptation.adapt != "all":
            frozen = sum(weight.numel() for weight in network.parameters() if not weight.requires_grad)
            lines["start"] += f"\n{plan.adaptation.adapt}: {frozen:,} further parameters are frozen"
    if folder.note:
        lines["note"] = folder.note
    return lines | ({"no effect": "\n".join(plan.unused)} if plan.unused else {})


def _device(options: TrainerOptions) -> str:
    gpu = uses_cuda(options.accelerator)
    if not gpu:
        name = describe_cpu(torch.get_num_threads())
    else:
        name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else options.accelerator
    count = f"{options.devices} x " if options.devices not in (1, "auto") else ""
    return f"{count}{name} · {PRECISION_NAMES[PRECISIONS[options.precision]]}"
