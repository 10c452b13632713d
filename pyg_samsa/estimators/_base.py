"""The base of both estimators: a network, trained by ``fit``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch_geometric.data import Data

from pyg_samsa.chem.descriptors import check_descriptors, compute_descriptors
from pyg_samsa.chem.ogb_features import ATOM_CARDINALITIES, BOND_CARDINALITIES
from pyg_samsa.chem.smiles import smiles_to_data_list
from pyg_samsa.chem.standardize import ordered_steps
from pyg_samsa.datasets.molecules.peptides import stratified_split
from pyg_samsa.errors import ConfigError, DataError, check_choice
from pyg_samsa.estimators._blend import fit_blend, read_inputs, smiles_of_items, with_task
from pyg_samsa.estimators._graphs import (
    add_walks,
    list_items,
    read_graphs,
    standardized_items,
    texts_of,
    with_features,
    with_targets,
)
from pyg_samsa.functional.float64 import to_float64
from pyg_samsa.hub import save_pretrained
from pyg_samsa.nn import SAMSA
from pyg_samsa.nn.target_scale import scale_of
from pyg_samsa.options import check_integer, check_positive, check_probability, is_number, plain
from pyg_samsa.predict import MoleculePredictor, save_predictor
from pyg_samsa.predict.blend_weights import raw_outputs
from pyg_samsa.predict.conformal import calibrate_if_labelled, check_confidence
from pyg_samsa.predict.interface import MoleculeInputs, Predictions, Predictor, add_interval
from pyg_samsa.predict.predictor_options import MEMBER_KINDS, REFIT
from pyg_samsa.task import Task
from pyg_samsa.training import losses, schedulers
from pyg_samsa.training.batch_network import BatchNetwork
from pyg_samsa.training.callbacks import EpochEnd, History
from pyg_samsa.training.checkpoint_io import AtomicCheckpointIO
from pyg_samsa.training.console import quiet_libraries
from pyg_samsa.training.data_module import SplitData
from pyg_samsa.training.epoch_checkpoints import EpochCheckpoints
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.optimizers import adamw
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.training.scaling import ScaledLoss, fit_graph_features, with_target_scale
from pyg_samsa.training.trainer import TrainerOptions, build_trainer

WALK_STEPS = 16
"""Steps of the random walks that tell an atom where it is in its molecule."""
MAX_ATOMS = 10_000
"""A larger molecule is an error, unless the argument says otherwise."""


class MoleculeEstimator(BaseEstimator):
    """Base of :class:`SAMSAClassifier` and :class:`SAMSARegressor`: arguments, training and batches of predictions."""

    def __init__(
        self,
        *,
        channels: int = 64,
        num_layers: int = 2,
        heads: int = 4,
        num_samples: int = 32,
        local: str | None = "gine",
        dropout: float = 0.1,
        drop_path: float = 0.1,
        num_eval_samples: int = 1,
        descriptors: Sequence[str] = (),
        members: str = "network",
        max_epochs: int = 50,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.05,
        warmup_epochs: int = 3,
        validation_fraction: float = 0.1,
        refit: str = "descriptors",
        accelerator: str = "auto",
        random_state: int | None = 0,
        max_atoms: int | None = MAX_ATOMS,
        standardize: Sequence[str] = (),
    ) -> None:
        self.channels = channels
        self.num_layers = num_layers
        self.heads = heads
        self.num_samples = num_samples
        self.local = local
        self.dropout = dropout
        self.drop_path = drop_path
        self.num_eval_samples = num_eval_samples
        self.descriptors = descriptors
        self.members = members
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_epochs = warmup_epochs
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.accelerator = accelerator
        self.random_state = random_state
        self.max_atoms = max_atoms
        self.standardize = standardize

    @property
    def _given(self) -> SimpleNamespace:
        """The arguments, with numbers of NumPy as Python's own."""
        given = SimpleNamespace(**{name: plain(value) for name, value in self.get_params(deep=False).items()})
        given.descriptors = [given.descriptors] if isinstance(given.descriptors, str) else list(given.descriptors)
        return given

    def _check_arguments(self) -> None:
        """Check the arguments of the training, before any molecule is read."""
        given = self._given
        check_choice("members", given.members, tuple(MEMBER_KINDS))
        check_choice("refit", given.refit, REFIT)
        for name, low in (("max_epochs", 1), ("batch_size", 1), ("warmup_epochs", 0)):
            check_integer(name, getattr(given, name), low=low)
        check_positive("learning_rate", given.learning_rate)
        if not is_number(given.weight_decay) or not given.weight_decay >= 0:
            raise ConfigError("weight_decay", given.weight_decay, "a number of at least 0")
        check_probability("validation_fraction", given.validation_fraction)
        if given.max_atoms is not None:
            check_integer("max_atoms", given.max_atoms)
        check_descriptors(given.descriptors)
        ordered_steps(given.standardize)
        try:
            check_random_state(given.random_state)
        except ValueError:
            raise ConfigError("random_state", given.random_state, "an integer from 0, or None") from None

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that inputs are strings or objects, and that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string, tags.input_tags.one_d_array = False, True, True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.no_validation = True
        return tags

    def _fit(self, X: Sequence[Any], y: torch.Tensor, task: str, strata: Sequence[int], width: int) -> None:
        """Train on molecules and targets [n, C].

        Sets ``calibration_``; ``model_``, ``history_`` and ``best_epoch_`` with a network, and ``predictor_`` with
        models on descriptors.
        """
        self._check_arguments()
        steps = ordered_steps(self._given.standardize)
        X, changes = standardized_items(list_items(X), steps, self._given.max_atoms)
        graphs: Sequence[Data] = self._graphs(X)
        if len(graphs) != len(y):
            raise ConfigError("y", len(y), f"{len(graphs)} targets, one for each molecule")
        smiles = smiles_of_items(X, "members", self._given.members) if self._given.members != "network" else []
        for name in ("model_", "history_", "best_epoch_", "predictor_", "calibration_", "changes_"):
            self.__dict__.pop(name, None)
        self.changes_, self._steps = changes, steps
        kinds, refit = MEMBER_KINDS[self._given.members], self._given.refit
        seed = int(check_random_state(self._given.random_state).randint(2**31 - 1))
        split = self._split(strata, seed)
        self._num_targets = width
        networks = []
        if "network" in kinds:
            features = self._descriptors_of(X)
            graphs = with_features(graphs, features)
            networks = self._fit_networks(with_targets(graphs, y), features, task, split, seed)
            self.model_ = networks[-1]
        described = self._task(None)
        if self._given.members != "network":
            inputs: dict[str, Any] = {"descriptors": tuple(self._given.descriptors), "standardize": steps}
            fits = [MoleculePredictor(network, described, **inputs) for network in networks]
            options: dict[str, Any] = {"kinds": kinds, "seed": seed, "refit": refit != "none", "standardize": steps}
            self.predictor_ = fit_blend(smiles, y.double().numpy(), split, described, fits, **options)
            self.calibration_ = self.predictor_.calibration
        else:
            self.calibration_ = None
            if "val" in split:
                held_out = split["val"]
                found = self._network_output(networks[0], graphs, held_out)
                self.calibration_ = calibrate_if_labelled(
                    described, described.readable(found).numpy(), y[held_out].numpy()
                )

    def _fit_networks(
        self,
        dataset: Sequence[Data],
        features: torch.Tensor | None,
        task: str,
        split: dict[str, torch.Tensor],
        seed: int,
    ) -> list[SAMSA]:
        """Train on the training rows and, if asked to, again on all rows for as many epochs; return the networks."""
        bonds = dataset[0].edge_attr
        self._example = Data(x=dataset[0].x[:0], edge_attr=None if bonds is None else bonds[:0])
        if self._given.local is not None:
            add_walks(dataset, WALK_STEPS)
        network, self.history_, self.best_epoch_ = self._fit_network(dataset, features, task, split, seed)
        if self._given.refit != "all" or "val" not in split:
            return [network]
        return [network, self._fit_network(dataset, features, task, {"train": torch.arange(len(dataset))}, seed)[0]]

    def _fit_network(
        self,
        dataset: Sequence[Data],
        features: torch.Tensor | None,
        task: str,
        split: dict[str, torch.Tensor],
        seed: int,
    ) -> tuple[SAMSA, list[Any], int]:
        """Return a trained network, a row for each epoch, and the epoch of its weights, from 1."""
        in_channels, edge_channels = _features(dataset[0])
        # fork_rng restores the random generators of the caller.
        with torch.random.fork_rng(), quiet_libraries(verbose=False), tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(seed)
            model = SAMSA.from_options(
                in_channels,
                self._num_targets,
                edge_channels=edge_channels,
                channels=self._given.channels,
                num_layers=self._given.num_layers,
                heads=self._given.heads,
                num_samples=self._given.num_samples,
                **_structure(self._given.local),
                act="relu",
                dropout=self._given.dropout,
                head_norm="batch",
                drop_path=self._given.drop_path,
                num_eval_samples=self._given.num_eval_samples,
                graph_channels=0 if features is None else features.size(1),
                scale_targets=task == "regression",
            )
            fit_graph_features(model, features, split["train"])
            targets = torch.cat([dataset[int(row)].y for row in split["train"]])
            module = self._module(model, task, targets)
            rows, best = self._train(
                module, SplitData(dataset, split, batch_size=self._given.batch_size, seed=seed), RunFolder(Path(folder))
            )
        return model.cpu().eval(), rows, best

    def _graphs(self, X: Sequence[Any], like: Data | None = None) -> list[Data]:
        if not X:
            raise ConfigError("X", "no molecules", "at least one")
        if isinstance(X[0], Data):
            return read_graphs(X, like)
        return smiles_to_data_list(texts_of(X), workers=1, progress=False, max_atoms=self._given.max_atoms)

    def _descriptors_of(self, X: Sequence[Any]) -> torch.Tensor | None:
        """Return the descriptors of molecules, float32 [n, F]; None without descriptors."""
        check_descriptors(self._given.descriptors)
        if not self._given.descriptors:
            return None
        smiles = smiles_of_items(X, "descriptors", list(self._given.descriptors))
        return torch.from_numpy(compute_descriptors(smiles, self._given.descriptors, workers=1, progress=False))

    def _split(self, strata: Sequence[int], seed: int) -> dict[str, torch.Tensor]:
        count = len(strata)
        if self._given.validation_fraction == 0 or round(count * self._given.validation_fraction) < 1:
            return {"train": torch.arange(count)}
        shares = {"train": 1 - self._given.validation_fraction, "val": self._given.validation_fraction}
        return stratified_split([str(row) for row in range(count)], strata, shares, seed=seed)

    def _module(self, model: SAMSA, task: str, y: torch.Tensor) -> TaskModule:
        loss: Any = losses.build(losses.fitting(task)[0])
        network: Any = BatchNetwork(model)
        if task == "regression":
            network, scale = with_target_scale(network, *scale_of(y))
            loss = ScaledLoss(loss, scale)
        optimizer = partial(adamw, lr=self._given.learning_rate, weight_decay=self._given.weight_decay)
        options: dict[str, Any] = {
            "scheduler": self._scheduler,
            "weight_decay": self._given.weight_decay,
            "train_metrics": False,
        }
        return TaskModule(network, loss=loss, metrics={}, optimizer=optimizer, **options)

    def _scheduler(self, optimizer: torch.optim.Optimizer, total_steps: int, steps_per_epoch: int) -> Any:
        warmup = min(self._given.warmup_epochs * steps_per_epoch, max(total_steps - 1, 0))
        return schedulers.build(
            "cosine_with_warmup",
            optimizer,
            total_steps=total_steps,
            warmup_steps=warmup,
            steps_per_epoch=steps_per_epoch,
        )

    def _train(self, module: TaskModule, data: SplitData, folder: RunFolder) -> tuple[list[Any], int]:
        options = TrainerOptions(self._given.max_epochs, self._given.accelerator, clip_norm=1.0, batch_norm_batches=8)
        validates, history = data.has("val"), History()
        # A metric of a few validation molecules is too coarse to choose the epoch, so the loss does.
        callbacks = [
            history,
            EpochEnd(history),
            EpochCheckpoints(folder, history, "val_loss" if validates else None, higher_is_better=False),
        ]
        trainer = build_trainer(folder, options, callbacks, [], validates)
        trainer.fit(module, datamodule=data)
        if trainer.interrupted:
            raise KeyboardInterrupt
        checkpoint = AtomicCheckpointIO().load_checkpoint(folder.best if validates else folder.last)
        module.load_state_dict(checkpoint["state_dict"])
        return history.rows, int(checkpoint["epoch"]) + 1

    @torch.inference_mode()
    def _output(self, X: Sequence[Any]) -> torch.Tensor:
        """Return the outputs of the network, or those of the blend that it is part of, float64 [n, C]."""
        check_is_fitted(self, "_num_targets")
        X = self._items(X)
        if not X:
            return torch.empty(0, self._width(), dtype=torch.float64)
        if self._given.members != "network":
            return raw_outputs(torch.from_numpy(self.predictor_.outputs(self._inputs(X))[0]), self.predictor_.task)
        graphs = with_features(self._graphs(X, self._example), self._descriptors_of(X))
        return self._network_output(self.model_, graphs, torch.arange(len(graphs)))

    def _items(self, X: Sequence[Any]) -> list[Any]:
        """Return molecules as a list, standardised as in the fit."""
        return standardized_items(list_items(X), self._steps, self._given.max_atoms)[0]

    def _inputs(self, X: Sequence[Any]) -> MoleculeInputs:
        """Return molecules as the members of a blend read them."""
        return read_inputs(smiles_of_items(X, "members", self._given.members), self._given.max_atoms)

    @torch.inference_mode()
    def _network_output(self, model: SAMSA, graphs: Sequence[Data], rows: torch.Tensor) -> torch.Tensor:
        """Return the outputs of a network for some of the graphs, float64 [n, C]."""
        data = SplitData(graphs, {"test": rows}, batch_size=1, tokens_per_batch=8192)
        network, found = BatchNetwork(model).eval(), torch.empty(len(graphs), self._width(), dtype=torch.float64)
        for batch in data.loader("test"):
            found[batch.row_id] = to_float64(network(batch)[0])
        return found[rows]

    def _with_interval(self, X: Sequence[Any], confidence: float) -> Predictions:
        """Return predictions with intervals, or with sets of labels or classes."""
        check_is_fitted(self, "_num_targets")
        calibration: Any = self.calibration_  # None is an error of check_confidence
        check_confidence(calibration, confidence)
        if self._given.members != "network" and len(X):
            return self.predictor_.predict_parsed(self._inputs(self._items(X)).parsed, interval=confidence)
        values = self._task(None).readable(self._output(X)).numpy()
        result = Predictions(values, np.zeros_like(values), [""] * len(values))  # one network has no spread
        return add_interval(self._task(None), calibration, result, confidence)

    def _width(self) -> int:
        return self._num_targets

    def save_pretrained(self, directory: str | os.PathLike[str], *, target_names: Sequence[str] | None = None) -> Path:
        """Save the fitted network, or the blend of the members, for ``pyg-samsa predict``.

        Args:
            directory: Folder to write.
            target_names: Names of the targets, or of the classes.

        Raises:
            DataError: The network was not fitted on molecules.
        """
        predictor = self.to_predictor(target_names=target_names)
        if isinstance(predictor, MoleculePredictor):
            described = {name: getattr(predictor, name) for name in ("task", "descriptors", "standardize")}
            return save_pretrained(predictor.model, directory, **described)
        return save_predictor(predictor, directory)

    def to_predictor(self, *, target_names: Sequence[str] | None = None) -> Predictor:
        """Return the predictor of the fitted network, or of the blend of the members.

        `pyg_samsa.notebook.show_molecules` and `pyg_samsa.explain.predictor_explanation.explain_predictor` take it.

        Args:
            target_names: Names of the targets, or of the classes.

        Raises:
            DataError: The network was not fitted on molecules.
        """
        check_is_fitted(self, "_num_targets")
        if self._given.members != "network":
            return with_task(self.predictor_, self._task(target_names))
        if (self.model_.options or {})["in_channels"] != list(ATOM_CARDINALITIES):
            raise DataError(
                "the network was not fitted on molecules",
                hint="Save model_ itself with pyg_samsa.hub.save_pretrained.",
            )
        inputs: dict[str, Any] = {"descriptors": tuple(self._given.descriptors), "standardize": self._steps}
        predictor = MoleculePredictor(self.model_, self._task(target_names), **inputs)
        predictor.calibration = self.calibration_
        return predictor

    def _task(self, target_names: Sequence[str] | None) -> Task:
        raise NotImplementedError


def _structure(local: str | None) -> dict[str, Any]:
    """Return the options of a network that reads bonds by message passing, or of one with bonds as tokens."""
    walks = {"pe_channels": WALK_STEPS, "pe_kind": "rwse"}
    return {} if local is None else {"local": local, "bridge": local == "incidence", **walks}


def _features(graph: Data) -> tuple[Any, Any]:
    if graph.x.is_floating_point():
        return graph.x.size(1), None if graph.edge_attr is None else graph.edge_attr.size(1)
    fits = (
        graph.x.size(1) == len(ATOM_CARDINALITIES)
        and graph.edge_attr is not None
        and graph.edge_attr.size(-1) == len(BOND_CARDINALITIES)
    )
    if not fits:
        raise DataError(
            "the graphs have integer features other than OGB's",
            hint="Pass SMILES, or graphs with float features.",
        )
    return list(ATOM_CARDINALITIES), list(BOND_CARDINALITIES)
