"""Search for settings of the network and of boosted trees that predict the validation split best, with Optuna."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch_geometric.graphgym.config import cfg

import pyg_samsa.experiments.fingerprint_baseline  # noqa: F401  # adds the settings fingerprint.*
from pyg_samsa.errors import ConfigError, NumericalError
from pyg_samsa.experiments.journal import import_optuna
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.experiments.search_space import TREE_INPUT
from pyg_samsa.experiments.storage import open_storage, storage_errors
from pyg_samsa.experiments.study import (
    FIRST_TRIALS,
    JOB,
    Pruned,
    Worker,
    ask,
    finish,
    holders,
    median_pruner,
    open_study,
    report,
)
from pyg_samsa.experiments.tune_trials import NetworkTrials, SearchData, TreeTrials, with_defined_monitor
from pyg_samsa.graphgym.checks import check_run
from pyg_samsa.graphgym.config import LoadedConfig, load_config, resolved
from pyg_samsa.graphgym.plan import make_plan
from pyg_samsa.graphgym.repeats import check_one_split
from pyg_samsa.graphgym.settings import value_of
from pyg_samsa.io.files import atomic_write, lock, remove_partial
from pyg_samsa.io.memory import keep_memory
from pyg_samsa.options import check_integer, check_positive
from pyg_samsa.predict.predictor_options import MEMBER_KINDS
from pyg_samsa.training.best_epoch import FALLBACK, describe_fallback
from pyg_samsa.training.console import quiet_libraries
from pyg_samsa.training.environment import usable_threads
from pyg_samsa.training.run_folder import settings
from pyg_samsa.training.run_plan import RunPlan
from pyg_samsa.viz.figure import shown

STUDY, BEST, TRIALS, WORKERS = "study.log", "best.yaml", "trials", ".workers"
# Seconds of the trees for each second of the network.
_TREE_SHARE = 0.25
# Job of the trial with the settings of the config, which comes first.
_START = "start"
_APART = 1000


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Args:
        number: Its number, from 0, the trial with the settings of the config.
        value: Its best value on the validation split.
        seconds: Time that it took.
        settings: Dotted name -> value.

    Example:
        >>> Trial(0, 0.83, 41.0, {"samsa.layers": 3}).text()
        'samsa.layers 3'
    """

    number: int
    value: float
    seconds: float
    settings: Mapping[str, Any]

    def text(self) -> str:
        """Return the settings as text.

        Example:
            >>> Trial(1, 0.83, 41.0, {"samsa.layers": 3, "optim.base_lr": 0.00123}).text()
            'samsa.layers 3, optim.base_lr 0.00123'
        """
        return ", ".join(f"{key} {_short(value)}" for key, value in self.settings.items())


@dataclass
class Tuning:
    """Result of a search.

    Args:
        folder: Folder of the search.
        config: YAML file with the best settings.
        metric: Metric of the validation split.
        higher_is_better: Its direction.
        network: Finished trials of the network, best first.
        trees: Finished trials of boosted trees, best first; none if the graphs are no molecules.
        stopped: Number of trials that were stopped before their last epoch, or failed.

    Example:
        >>> Tuning(Path("results/tune-esol"), Path("results/tune-esol/best.yaml"), "mae", False).network
        []
    """

    folder: Path
    config: Path
    metric: str
    higher_is_better: bool
    network: list[Trial] = field(default_factory=list)
    trees: list[Trial] = field(default_factory=list)
    stopped: int = 0


def tune(
    config: str | os.PathLike[str],
    opts: Sequence[str] = (),
    *,
    minutes: float,
    trials: int | None = None,
    storage: str | None = None,
    verbosity: int = 0,
    on_trial: Callable[[str], None] = lambda _: None,
) -> Tuning:
    """Search for the settings of the network, and of boosted trees, with the best validation metric.

    Optuna's tree-structured Parzen estimator suggests settings (Bergstra et al., "Algorithms for hyper-parameter
    optimization", NeurIPS 2011; Akiba et al., "Optuna", KDD 2019). A trial stops early if its best value so far is
    worse than the median of the earlier trials at the same epoch. If the metric is undefined on the validation rows,
    the validation loss compares the trials of the network, and trees are not searched. The first trial has the settings
    of the config. The test split is removed before anything is trained. Every trial is stored as it ends, in
    ``out_dir/tune-NAME``: the same call goes on with the search, or shares it while it still runs, here or on another
    machine with the same folder or storage. The trial of a worker that was killed is repeated.

    Args:
        config: A YAML file, or the name of a packaged config, of the network ``samsa``.
        opts: Overrides ``key value ...``; these settings are not searched.
        minutes: Time for the search, above 0.
        trials: Largest number of trials of this call; None for no limit.
        storage: Journal file, or URL of a database, that all workers of the search share; None is ``study.log`` in the
            folder of the search.
        verbosity: -1 for results only, 0 for the usual output, 1 for messages of the libraries too.
        on_trial: Called with one line of text after each trial.

    Raises:
        ConfigError: The config is wrong, nothing is validated, or the folder holds a search with other settings.
        DataError: The data are missing or wrong, or the storage does not answer any more.
        MissingDependencyError: Optuna is not installed.

    Returns:
        The trials, and the file with the best settings.
    """
    check_positive("--minutes", minutes)
    if trials is not None:
        check_integer("--trials", trials)
    deadline = time.monotonic() + 60 * minutes
    import_optuna()
    loaded = load_config(config, opts)
    check_run()
    check_one_split()
    if cfg.model.type != "samsa":
        raise ConfigError("model.type", cfg.model.type, "'samsa', whose settings are searched")
    if cfg.devices != 1:
        raise ConfigError("devices", cfg.devices, "1 for a search")
    folder = Path(cfg.out_dir).expanduser() / f"tune-{loaded.name}"
    with quiet_libraries(verbose=verbosity > 0):
        torch.set_num_threads(usable_threads(cfg.num_threads))
        keep_memory()
        data = SearchData(loaded.changes, progress=verbosity >= 0)
        plan = make_plan(loaded, data.load({}), seed=cfg.seed)
        if plan.monitor is None:
            hint = "The search compares settings on the validation split: see dataset.split."
            raise ConfigError("dataset.split", list(cfg.dataset.split), "a split with a validation part", hint=hint)
        asked, plan = plan.monitor, with_defined_monitor(plan)
        assert plan.monitor is not None
        if told := describe_fallback(asked, plan.monitor, trials=True):
            on_trial(told)
        kinds = _kinds(config, opts, loaded, data, plan, folder)
        identity, given = settings(resolved(loaded)), {key: value_of(key, cfg) for key in loaded.given}
        shared: dict[str, Any] = {"storage": storage, "higher": plan.higher_is_better, "identity": identity}
        result = Tuning(folder, folder / BEST, plan.monitor.removeprefix("val_"), plan.higher_is_better)
        with storage_errors(storage or folder / STUDY):
            studies = [_Study(kind, folder, **shared) for kind in kinds]
            with Worker(studies[0].study, folder / WORKERS) as worker:
                for study in studies:
                    study.join(worker)
                for number in itertools.count():
                    if number == trials or (number > 0 and time.monotonic() >= deadline):
                        break
                    on_trial(_next(studies).run_trial(deadline))
            complete = {study.trials.name: study.complete() for study in studies}
            result.network, result.trees = complete.get("network", []), complete.get("trees", [])
            result.stopped = sum(study.stopped() for study in studies)
        with lock(result.config):
            remove_partial(result.config)
            _write(result, {**given, "run_name": loaded.name, "name_tag": ""})
    return result


def _kinds(
    config: str | os.PathLike[str],
    opts: Sequence[str],
    loaded: LoadedConfig,
    data: SearchData,
    plan: RunPlan,
    folder: Path,
) -> list[NetworkTrials | TreeTrials]:
    """Return what is searched: trials of the network, of trees, or both."""
    kinds: list[NetworkTrials | TreeTrials] = []
    members = cfg.predictor.members
    searched = MEMBER_KINDS["all" if members == "auto" else members]
    if "network" in searched:
        kinds.append(NetworkTrials(config, opts, loaded, data, plan, folder / TRIALS))
    if "trees" in searched and cfg.predictor.tree_inputs:
        kinds += _tree_trials(config, opts, plan, needed="network" not in searched)
    if not kinds:
        expected = "members with settings to search: networks, or trees with predictor.tree_inputs"
        raise ConfigError("predictor.members", members, expected)
    return kinds


def _tree_trials(
    config: str | os.PathLike[str], opts: Sequence[str], plan: RunPlan, *, needed: bool
) -> list[TreeTrials]:
    """Return the trials of trees, or none if the graphs are no molecules and trees are not needed."""
    if plan.monitor == FALLBACK:
        if needed:
            hint = "Only networks have a loss to compare."
            raise ConfigError("metric_best", cfg.metric_best, "a metric that the validation rows define", hint=hint)
        return []  # losses of a network and of trees are not the same
    try:
        rows = MoleculeRows(plan.dataset, cfg.dataset.name, Path(cfg.dataset.dir).expanduser())
        return [TreeTrials(config, opts, plan, rows)]
    except ConfigError:
        if needed:
            raise
        return []


def _next(studies: Sequence[_Study]) -> _Study:
    """Return the study whose turn it is: trees get a fifth of the time, because they are fast."""
    first, *trees = studies
    return trees[0] if trees and trees[0].seconds < _TREE_SHARE * first.seconds else first


def _write(result: Tuning, settings: Mapping[str, Any]) -> None:
    """Write the best settings as a config."""
    best = [trials[0] for trials in (result.network, result.trees) if trials]
    if not best:
        return
    told = [f"{name} {shown(trials[0].value)}" for name, trials in _named(result).items() if trials]
    count = len(result.network) + len(result.trees)
    lines = f"# Best of {count} finished trials. Validation {result.metric}: {', '.join(told)}.\n#\n"
    lines += f"#     pyg-samsa train --cfg {result.config}\n\n"
    for trial in best:
        settings = {**settings, **{key: value for key, value in trial.settings.items() if key != TREE_INPUT}}
    with atomic_write(result.config) as temporary:
        text = yaml.safe_dump(_nested(settings), sort_keys=False, allow_unicode=True)
        temporary.write_text(lines + text, encoding="utf-8")


def _named(result: Tuning) -> dict[str, list[Trial]]:
    return {"network": result.network, "trees": result.trees}


class _Study:
    """An Optuna study of the network or of the trees, by default stored in the folder of the search."""

    def __init__(
        self, trials: NetworkTrials | TreeTrials, folder: Path, *, storage: str | None, higher: bool, identity: Any
    ) -> None:
        self.trials, self.higher, self.states = trials, higher, import_optuna().trial.TrialState
        told = {"key": "out_dir", "place": str(folder), "cure": "Write to another folder, or set name_tag."}
        self.study = open_study(
            open_storage(storage or folder / STUDY),
            trials.name if storage is None else f"{folder.name}-{trials.name}",
            identity,
            **told,
            what="search",
            direction="maximize" if higher else "minimize",
            pruner=median_pruner(cfg.optim.max_epoch),
        )
        self.seconds = 0.0

    def join(self, worker: Worker) -> None:
        """Get ready to carry out trials."""
        self.worker = worker
        self._retry_dead()
        start = {key: kind.stored(self.trials.start[key]) for key, kind in self.trials.space.items()}
        if not holders(self.study, _START, done=self._counts):
            self.study.enqueue_trial(start, user_attrs={JOB: _START})
        # Each call draws anew: the state of the sampler is not stored. The settings that others try now count as bad.
        seed = cfg.seed + len(self.study.trials) + _APART * len(worker.home.user_attrs)
        options = {"n_startup_trials": 2 * FIRST_TRIALS, "constant_liar": True}
        self.study.sampler = import_optuna().samplers.TPESampler(seed=seed, **options)

    def _counts(self, trial: Any) -> bool:
        return bool(trial.state == self.states.COMPLETE)

    def _retry_dead(self) -> None:
        """Enqueue the trials of workers that were killed."""
        for trial in self.worker.fail_dead(self.study):
            job = trial.user_attrs.get(JOB, f"again {trial.number}")
            if trial.params and not holders(self.study, job, done=self._counts):
                self.study.enqueue_trial(trial.params, user_attrs={JOB: job})

    def run_trial(self, deadline: float) -> str:
        """Carry out a trial, and return a line about it."""
        self._retry_dead()
        started, trial = time.monotonic(), ask(self.study, self.worker, done=self._counts)
        values = {key: kind.suggest(trial, key) for key, kind in self.trials.space.items()}
        trial.set_user_attr("settings", values)
        name = f"{self.trials.name} {trial.number}"
        on_epoch = partial(_report, trial, deadline)
        try:
            value = self.trials.score(trial.number, values, on_epoch)
        except Pruned as reason:
            finish(self.study, trial.number, state=self.states.PRUNED)
            return f"{name}  {reason}"
        except (NumericalError, ConfigError, torch.OutOfMemoryError) as error:
            finish(self.study, trial.number, state=self.states.FAIL)
            if not self.complete():
                raise
            return f"{name}  failed: {error}"
        except BaseException:
            with suppress(Exception):  # perhaps the disk is full, or the database is what ended the trial
                finish(self.study, trial.number, state=self.states.FAIL)
            raise
        finally:
            self.seconds += time.monotonic() - started
        if math.isnan(value):
            finish(self.study, trial.number, state=self.states.FAIL)
            return f"{name}  failed: the validation metric is not defined"
        finish(self.study, trial.number, value)
        done = Trial(trial.number, value, time.monotonic() - started, values)
        star = "  *" if self.study.best_trial.number == trial.number else ""
        return f"{name}  {shown(value)}  {done.seconds:.0f} s  {done.text()}{star}"

    def complete(self) -> list[Trial]:
        """Return the finished trials, best first."""
        found = self.study.get_trials(deepcopy=False, states=(self.states.COMPLETE,))
        ranked = sorted(found, key=lambda trial: -trial.value if self.higher else trial.value)
        return [
            Trial(trial.number, trial.value, trial.duration.total_seconds(), trial.user_attrs["settings"])
            for trial in ranked
        ]

    def stopped(self) -> int:
        """Return the number of trials that were stopped early or failed."""
        found = self.study.get_trials(deepcopy=False, states=(self.states.PRUNED, self.states.FAIL))
        return sum("dropped" not in trial.user_attrs for trial in found)


def _report(trial: Any, deadline: float, epoch: int, value: float) -> None:
    """Tell Optuna the best value so far, and stop a trial that is hopeless or for which no time is left."""
    if epoch < cfg.optim.max_epoch and time.monotonic() > deadline:
        trial.report(value, epoch)
        raise Pruned(f"stopped after epoch {epoch}: no time left")
    report(trial, epoch, value)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names as nested ones, single settings first."""
    tree: dict[str, Any] = {}
    for key in sorted(flat, key=lambda key: ("." in key, key)):
        group, _, name = key.rpartition(".")
        value = list(flat[key]) if isinstance(flat[key], (list, tuple)) else flat[key]
        (tree.setdefault(group, {}) if group else tree)[name] = value
    return tree


def _short(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "+".join(map(str, value)) or "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
