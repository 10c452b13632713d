"""Search for settings of the network and of boosted trees that predict the validation split best, with Optuna."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import ConfigError, MissingDependencyError, NumericalError
from pyg_samsa.experiments.search_space import NETWORK, Space, narrowed, words
from pyg_samsa.graphgym.config import load_config, resolved
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.graphgym.network import unused_settings
from pyg_samsa.graphgym.plan import make_plan
from pyg_samsa.graphgym.settings import SETTINGS, value_of
from pyg_samsa.graphgym.share import describe
from pyg_samsa.io.files import atomic_write, lock
from pyg_samsa.io.memory import keep_memory
from pyg_samsa.options import check_integer, check_positive
from pyg_samsa.training import losses
from pyg_samsa.training.callbacks import Row
from pyg_samsa.training.console import quiet_libraries
from pyg_samsa.training.environment import available_cpus
from pyg_samsa.training.run_folder import open_run_folder, settings

STUDY, BEST, TRIALS = "study.log", "best.yaml", "trials"
_FIRST_TRIALS = 5
# Checkpoints of trials would fill the disk, and nothing of a trial is loaded again.
_OF_TRIALS = {"train.enable_ckpt": False, "train.skip_train_eval": True}


class Pruned(Exception):
    """A trial that is not worth finishing, or for which no time is left."""


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Args:
        number: Its number, from 0, the trial with the settings of the config.
        value: Its best value on the validation split.
        seconds: Time that it took.
        settings: Dotted name -> value.

    Example:
        >>> Trial(0, 0.83, 41.0, {"samsa.layers": 3}).line("mae")
        'trial 0  mae 0.8300  41 s  samsa.layers 3'
    """

    number: int
    value: float
    seconds: float
    settings: Mapping[str, Any]

    def line(self, metric: str) -> str:
        """Return the trial as a line."""
        return f"trial {self.number}  {metric} {self.value:.4f}  {self.seconds:.0f} s  {self.text()}"

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
        network: Finished trials, best first.
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
    stopped: int = 0


def tune(
    config: str | os.PathLike[str],
    opts: Sequence[str] = (),
    *,
    minutes: float,
    trials: int | None = None,
    verbosity: int = 0,
    on_trial: Callable[[str], None] = lambda _: None,
) -> Tuning:
    """Search for the settings of the network with the best validation metric.

    Optuna's tree-structured Parzen estimator suggests settings (Bergstra et al., "Algorithms for hyper-parameter
    optimization", NeurIPS 2011; Akiba et al., "Optuna", KDD 2019). A trial stops early if its best value so far is
    worse than the median of the earlier trials at the same epoch. The first trial has the settings of the config. The
    test split is removed before anything is trained. Every trial is stored as it ends, in ``out_dir/tune-NAME``: the
    same call goes on with the search.

    Args:
        config: A YAML file, or the name of a packaged config, of the network ``samsa``.
        opts: Overrides ``key value ...``; these settings are not searched.
        minutes: Time for the search, above 0.
        trials: Largest number of trials of this call; None for no limit.
        verbosity: -1 for results only, 0 for the usual output, 1 for messages of the libraries too.
        on_trial: Called with one line of text after each trial.

    Raises:
        ConfigError: The config is wrong, nothing is validated, or the folder holds a search with other settings.
        DataError: The data are missing or wrong.
        MissingDependencyError: Optuna is not installed.

    Returns:
        The trials, and the file with the best settings.
    """
    check_positive("--minutes", minutes)
    if trials is not None:
        check_integer("--trials", trials)
    deadline = time.monotonic() + 60 * minutes
    _optuna()
    loaded = load_config(config, opts)
    if cfg.model.type != "samsa":
        raise ConfigError("model.type", cfg.model.type, "'samsa', whose settings are searched")
    if cfg.devices != 1:
        raise ConfigError("devices", cfg.devices, "1 for a search")
    folder = Path(cfg.out_dir).expanduser() / f"tune-{loaded.name}"
    with quiet_libraries(verbose=verbosity > 0):
        torch.set_num_threads(min(cfg.num_threads, available_cpus()))
        keep_memory()
        search = _Search(config, list(opts), folder, progress=verbosity >= 0)
        with lock(folder, wait=False, setting="out_dir", lock_file=folder / ".lock"):
            search.open()
            done = 0
            while (trials is None or done < trials) and (done == 0 or time.monotonic() < deadline):
                on_trial(search.run_trial(deadline))
                done += 1
            return search.finish()


class _Search:
    """One search: its data, space and study."""

    def __init__(self, config: str | os.PathLike[str], opts: list[str], folder: Path, *, progress: bool) -> None:
        self.config, self.opts, self.folder, self.progress = config, opts, folder, progress
        self.loaded = load_config(config, opts)
        self.identity = settings(resolved(self.loaded))
        self._datasets: dict[str, Any] = {}
        dataset = self._data({})
        plan = make_plan(self.loaded, dataset, seed=cfg.seed)
        if plan.monitor is None:
            hint = "The search compares settings on the validation split: see dataset.split."
            raise ConfigError("dataset.split", list(cfg.dataset.split), "a split with a validation part", hint=hint)
        self.monitor, self.higher = plan.monitor, plan.higher_is_better
        self.metric = plan.monitor.removeprefix("val_")
        self.space, self.start = self._space(dataset.task.kind)

    def _space(self, kind: str) -> tuple[Space, dict[str, Any]]:
        """Return what is searched, and the present settings."""
        present = {key: value_of(key, cfg) for key in NETWORK if key in SETTINGS or key == "model.loss_fun"}
        if kind != "regression":
            present.pop("model.loss_fun", None)
        elif "model.loss_fun" not in self.loaded.given:
            present["model.loss_fun"] = losses.fitting(kind)[0]
        # The names of GraphGPS for message passing and attention stand for settings of samsa.*.
        unused = ["samsa.local"] if cfg.gt.layer_type != "samsa" else []
        fixed = {word.partition("=")[0] for word in self.opts}
        space = narrowed(NETWORK, present, fixed, [*unused, *unused_settings(present)])
        return space, {key: present[key] for key in space}

    def open(self) -> None:
        """Open the study, or make it with the settings of the config as its first trial."""
        optuna = _optuna()
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(self.folder / STUDY)))
        self.study = optuna.create_study(
            study_name="network",
            storage=storage,
            direction="maximize" if self.higher else "minimize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(_FIRST_TRIALS, n_warmup_steps=max(1, cfg.optim.max_epoch // 4)),
        )
        before = self.study.user_attrs.get("settings", self.identity)
        if differs := sorted(key for key in self.identity | before if before.get(key) != self.identity.get(key)):
            hint = f"It has other values of {', '.join(differs[:3])}. Write to another folder, or set name_tag."
            raise ConfigError("out_dir", str(self.folder), "a folder without a search with other settings", hint=hint)
        running = optuna.trial.TrialState.RUNNING
        for stopped in self.study.get_trials(deepcopy=False, states=(running,)):
            self.study.tell(stopped.number, state=optuna.trial.TrialState.FAIL)
        self.study.set_user_attr("settings", self.identity)
        complete = (optuna.trial.TrialState.COMPLETE,)
        if not self.study.get_trials(deepcopy=False, states=complete):
            start = {key: kind.stored(self.start[key]) for key, kind in self.space.items()}
            self.study.enqueue_trial(start, skip_if_exists=False)
        # Each call draws anew: the state of the sampler is not stored.
        self.study.sampler = optuna.samplers.TPESampler(
            seed=cfg.seed + len(self.study.trials), n_startup_trials=2 * _FIRST_TRIALS
        )

    def run_trial(self, deadline: float) -> str:
        """Carry out a trial, and return a line about it."""
        states = _optuna().trial.TrialState
        trial, started = self.study.ask(), time.monotonic()
        values = {key: kind.suggest(trial, key) for key, kind in self.space.items()}
        trial.set_user_attr("settings", values)
        try:
            value = self._train(trial, values, deadline)
        except Pruned as reason:
            self.study.tell(trial, state=states.PRUNED)
            return f"trial {trial.number}  {reason}"
        except (NumericalError, ConfigError, torch.OutOfMemoryError) as error:
            self.study.tell(trial, state=states.FAIL)
            if trial.number == 0:
                raise
            return f"trial {trial.number}  failed: {error}"
        self.study.tell(trial, value)
        done = Trial(trial.number, value, time.monotonic() - started, values)
        return done.line(self.metric) + ("  *" if self.study.best_trial.number == trial.number else "")

    def _train(self, trial: Any, values: Mapping[str, Any], deadline: float) -> float:
        """Train with some settings, and return the best value of the validation split."""
        loaded = load_config(self.config, [*self.opts, *words(values), *words(_OF_TRIALS)])
        dataset = self._data(values)
        plan = make_plan(loaded, dataset, seed=cfg.seed)
        pl.seed_everything(plan.seed, workers=True, verbose=False)
        seen: list[float] = []

        def on_epoch(row: Row) -> None:
            if not math.isnan(value := row.get(self.monitor, math.nan)):
                seen.append(value)
            if not seen:
                return
            epoch = int(row["epoch"])
            trial.report(self._best(seen), epoch)
            if epoch < plan.trainer.max_epochs and time.monotonic() > deadline:
                raise Pruned(f"stopped after {epoch} epochs: no time left")
            if trial.should_prune():
                raise Pruned(f"stopped after {epoch} epochs: {self.metric} {self._best(seen):.4f}")

        folder = open_run_folder(self.folder / TRIALS, str(trial.number), plan.seed, plan.config)
        plan.train(plan.build_network(), folder, on_epoch=on_epoch)
        if not seen:
            raise ConfigError("train.eval_period", cfg.train.eval_period, f"at most {plan.trainer.max_epochs} epochs")
        return self._best(seen)

    def _best(self, seen: Sequence[float]) -> float:
        return max(seen) if self.higher else min(seen)

    def _data(self, values: Mapping[str, Any]) -> Any:
        """Return the data set without its test split, for the present ``cfg``."""
        key = repr([value for name, value in values.items() if name.startswith("dataset.")])
        if key not in self._datasets:
            dataset = copy.copy(load_for_runner(progress=self.progress))
            dataset.split_idx = {split: rows for split, rows in dataset.split_idx.items() if split != "test"}
            self._datasets[key] = dataset
        # Loading a config forgets the data set.
        describe(self._datasets[key])
        return self._datasets[key]

    def finish(self) -> Tuning:
        """Write the best settings, and return the result."""
        states = _optuna().trial.TrialState
        complete = self.study.get_trials(deepcopy=False, states=(states.COMPLETE,))
        ranked = sorted(complete, key=lambda trial: -trial.value if self.higher else trial.value)
        found = [_finished(trial) for trial in ranked]
        result = Tuning(self.folder, self.folder / BEST, self.metric, self.higher, found)
        result.stopped = len(self.study.trials) - len(found)
        if found:
            load_config(self.config, self.opts)
            kept = {key: value_of(key, cfg) for key in self.loaded.given} | dict(found[0].settings)
            kept |= {"run_name": self.loaded.name, "name_tag": ""}
            lines = f"# Best of {len(found)} finished trials by validation: {self.metric} {found[0].value:.4f}.\n#\n"
            lines += f"#     pyg-samsa train --cfg {result.config}\n\n" + yaml.safe_dump(_nested(kept), sort_keys=False)
            with atomic_write(result.config) as temporary:
                temporary.write_text(lines, encoding="utf-8")
        return result


def _finished(trial: Any) -> Trial:
    return Trial(trial.number, trial.value, trial.duration.total_seconds(), trial.user_attrs["settings"])


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


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingDependencyError("optuna", "tune", "pyg-samsa tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
