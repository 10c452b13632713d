"""The trials of a search: train a network, or fit boosted trees, and measure the validation split."""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch_geometric.graphgym.config import cfg
from torch_geometric.graphgym.imports import pl

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.measure import measure_raw
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.experiments.search_space import NETWORK, TREE_INPUT, TREES, narrowed, words
from pyg_samsa.experiments.study import BestSoFar
from pyg_samsa.graphgym.changes import Changes
from pyg_samsa.graphgym.config import LoadedConfig, load_config
from pyg_samsa.graphgym.loader import load_for_runner
from pyg_samsa.graphgym.loss import BOUNDED
from pyg_samsa.graphgym.plan import make_plan
from pyg_samsa.graphgym.settings import SETTINGS, value_of, values_for
from pyg_samsa.graphgym.share import describe
from pyg_samsa.graphgym.without_effect import unused_settings
from pyg_samsa.metrics.row_metric import RowMetric, UndefinedMetric
from pyg_samsa.predict.boosted_trees import BoostedTrees, BoostingOptions
from pyg_samsa.training import losses
from pyg_samsa.training.best_epoch import FALLBACK
from pyg_samsa.training.environment import usable_threads
from pyg_samsa.training.run_folder import open_run_folder
from pyg_samsa.training.run_plan import RunPlan

Report = Callable[[int, float], None]
"""Takes an epoch and the best value so far; raises an error if the trial is to stop."""
# Checkpoints of trials would fill the disk, and nothing of a trial is loaded again.
_OF_TRIALS = {"train.enable_ckpt": False, "train.skip_train_eval": True}


class SearchData:
    """The data of a search, without the test split, for each setting of ``dataset.*`` that is searched.

    Args:
        changes: What was asked for on the command line, see `load_for_runner`.
        progress: Whether bars are shown while data are prepared.
    """

    def __init__(self, changes: Changes | None = None, *, progress: bool = True) -> None:
        self.changes, self.progress = changes, progress
        self._loaded: dict[str, Any] = {}

    def load(self, values: Mapping[str, Any]) -> Any:
        """Return the data set of the present ``cfg``.

        Args:
            values: The searched settings, which ``cfg`` holds already.
        """
        key = repr([value for name, value in values.items() if name.startswith("dataset.")])
        if key not in self._loaded:
            dataset = copy.copy(load_for_runner(self.changes, progress=self.progress))
            dataset.split_idx = {split: rows for split, rows in dataset.split_idx.items() if split != "test"}
            self._loaded[key] = dataset
        # Loading a config forgets the data set.
        describe(self._loaded[key])
        return self._loaded[key]


class NetworkTrials:
    """Trials of the network.

    Args:
        config: The config.
        opts: Overrides for it, which are not searched.
        loaded: What `load_config` returned for them.
        data: The data.
        plan: Plan of the config itself.
        folder: Where the runs are written.
    """

    name = "network"

    def __init__(
        self,
        config: str | os.PathLike[str],
        opts: Sequence[str],
        loaded: LoadedConfig,
        data: SearchData,
        plan: RunPlan,
        folder: Path,
    ) -> None:
        self.config, self.opts, self.data, self.folder = config, list(opts), data, folder
        self.monitor, self.higher = str(plan.monitor), plan.higher_is_better
        present = {key: value_of(key, cfg) for key in NETWORK if key in SETTINGS or key == "model.loss_fun"}
        kind = plan.dataset.task.kind
        # Another loss would not read the bounds, and values of different losses cannot be compared.
        if kind != "regression" or self.monitor == FALLBACK or str(cfg.model.loss_fun).startswith(BOUNDED):
            present.pop("model.loss_fun")
        elif "model.loss_fun" not in loaded.given:
            present["model.loss_fun"] = losses.fitting(kind)[0]
        # The names of GraphGPS for message passing and attention stand for settings of samsa.*.
        unused = ["samsa.local"] if cfg.gt.layer_type != "samsa" else []
        self.space = narrowed(NETWORK, present, fixed_by(opts), [*unused, *unused_settings(present)])
        self.start = {key: present[key] for key in self.space}

    def score(self, number: int, values: Mapping[str, Any], report: Report) -> float:
        """Train with some settings, and return the best value of the validation split.

        Args:
            number: Number of the trial.
            values: The settings.
            report: Called after each epoch that was validated.

        Raises:
            ConfigError: The settings contradict each other, or nothing was validated.
            NumericalError: A loss is not finite.
        """
        loaded = load_config(self.config, [*self.opts, *words(values), *words(_OF_TRIALS)])
        plan = make_plan(loaded, self.data.load(values), seed=cfg.seed)
        pl.seed_everything(plan.seed, workers=True, verbose=False)
        best = BestSoFar(self.monitor, report, higher_is_better=self.higher)
        folder = open_run_folder(self.folder, str(number), plan.seed, plan.config)
        plan.train(plan.build_network(), folder, on_epoch=best)
        if math.isnan(best.value):
            raise ConfigError("train.eval_period", cfg.train.eval_period, f"at most {plan.trainer.max_epochs} epochs")
        return best.value


def with_defined_monitor(plan: RunPlan) -> RunPlan:
    """Return a plan whose trials can be compared: by the validation loss if the metric is undefined on validation.

    As in a training, where `pyg_samsa.training.best_epoch.best_epoch` chooses the epoch. A metric may be undefined for
    any predictions, because all validation rows are of one class for example.

    Args:
        plan: A plan with a monitor.
    """
    metric = plan.metrics.get(str(plan.monitor).removeprefix("val_"))
    if not isinstance(metric, RowMetric):
        return plan
    width = plan.dataset.task.num_targets
    target = torch.cat([plan.dataset[row].y.reshape(-1, width) for row in plan.dataset.split_idx["val"].tolist()])
    probe = metric.clone()
    probe.update(torch.randn(target.shape, generator=torch.Generator().manual_seed(0)), target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetric)
        undefined = math.isnan(float(probe.compute()))
    return replace(plan, monitor=FALLBACK, higher_is_better=False) if undefined else plan


class TreeTrials:
    """Trials of boosted trees on descriptors and counts of substructures.

    Args:
        config: The config.
        opts: Overrides for it, which are not searched.
        plan: Plan of the config itself.
        rows: The molecules of its data set.
    """

    name = "trees"

    def __init__(self, config: str | os.PathLike[str], opts: Sequence[str], plan: RunPlan, rows: MoleculeRows) -> None:
        self.config, self.opts, self.rows = config, list(opts), rows
        self.metric = plan.metrics[str(plan.monitor).removeprefix("val_")]
        # A predictor has trees of several inputs; a trial has one.
        present = {key: value_of(key, cfg) for key in TREES}
        present[TREE_INPUT] = next(iter(present[TREE_INPUT]))
        self.space = narrowed(TREES, present, fixed_by(opts))
        self.start = {key: present[key] for key in self.space}
        self.tree_input = present[TREE_INPUT]

    def score(self, number: int, values: Mapping[str, Any], report: Report) -> float:
        """Fit trees to the training split, and return the value of the validation split; arguments as above."""
        tree_input = values.get(TREE_INPUT, self.tree_input)
        settings = {key: value for key, value in values.items() if key != TREE_INPUT}
        load_config(self.config, [*self.opts, *words(settings)])
        options = BoostingOptions(
            **values_for(BoostingOptions, cfg), seed=cfg.seed, threads=usable_threads(cfg.num_threads)
        )
        rows, names = self.rows, tree_input.split("+")
        x, train, val = rows.vectors(names), rows.splits["train"], rows.splits["val"]
        trees = BoostedTrees(rows.task, names, extra_columns=rows.extra_columns, options=options)
        pred = torch.from_numpy(trees.fit(x[train], rows.target[train]).predict(x[val]))
        target = torch.from_numpy(rows.target[val])
        target = target.long() if rows.task.kind == "multiclass" else target
        bound = None if rows.bound is None else torch.from_numpy(rows.bound[val])
        return measure_raw({"value": self.metric}, pred, target, bound)["value"]


def fixed_by(opts: Sequence[str]) -> set[str]:
    """Return the names of settings in overrides ``key value ...`` or ``key=value``.

    Example:
        >>> sorted(fixed_by(["samsa.layers", "3", "seed=1"]))
        ['samsa.layers', 'seed']
    """
    names, words = set(), iter(opts)
    for word in words:
        key, equals, _ = word.partition("=")
        names.add(key)
        if not equals:
            next(words, None)
    return names
