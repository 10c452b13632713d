from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin

from pyg_samsa.datasets.splits import label_strata
from pyg_samsa.errors import ConfigError
from pyg_samsa.estimators._base import MoleculeEstimator
from pyg_samsa.estimators._targets import as_classes, as_matrix, check_targets
from pyg_samsa.task import Task


class SAMSAClassifier(ClassifierMixin, MoleculeEstimator):
    """A scikit-learn classifier of molecules.

    A vector of targets holds classes of any type. A matrix holds several labels: 0, 1, or NaN if unknown. For labels,
    ``predict`` returns 0 and 1 [n, C] and ``predict_proba`` the probabilities of 1 [n, C].

    Args:
        channels: Channels D of a token.
        num_layers: Number of blocks.
        heads: Number of heads H.
        num_samples: Number K of tokens that each head of each molecule samples.
        local: Message passing along the bonds beside the attention, see `LocalLayer`, with random-walk encodings; then
            atoms are the tokens. None: atoms and bonds are the tokens (Graph-Bridge), without message passing.
        dropout: Dropout of the feed-forward networks and the head.
        drop_path: Probability that a molecule's residual branch is dropped in training.
        num_eval_samples: Number of draws of codes that a prediction averages.
        descriptors: Names of the descriptors that the network reads beside the graph, see
            `pyg_samsa.chem.compute_descriptors`.
        members: What is fitted: ``"network"``, ``"trees"`` (boosted trees on descriptors), ``"gp"`` (a Gaussian
            process), ``"descriptors"`` (trees and process), or ``"all"``. Several models are blended by the loss on
            the validation molecules.
        max_epochs: Number of training epochs.
        batch_size: Number of molecules in a training batch.
        learning_rate: Peak learning rate of AdamW, after a linear warm-up and before a cosine decay.
        weight_decay: Weight decay of AdamW.
        warmup_epochs: Number of epochs of linear warm-up.
        validation_fraction: Share of the molecules, stratified by class, that chooses the epoch; 0 keeps the last one.
        refit: What is fitted again to training and validation molecules, after the validation molecules have chosen
            weights, epoch and intervals: ``"none"``, ``"descriptors"`` (the models on descriptors), or ``"all"`` (the
            network too, for `max_epochs` again).
        accelerator: Device of the training: ``"auto"``, ``"cpu"`` or ``"gpu"``.
        random_state: Seed of weights, order and validation split; None draws a new seed in each fit.
        max_atoms: A molecule with more atoms is an error that names its row, in `fit` and in predictions; None takes
            any.
        standardize: Steps by which molecules are standardised, in `fit` and in predictions, see
            `pyg_samsa.chem.standardize.Standardizer`.

    Attributes:
        classes_: The classes, sorted.
        model_: The fitted `SAMSA` network, if ``members`` is ``"network"`` or ``"all"``.
        predictor_: The blend of the members, unless ``members`` is ``"network"``.
        best_epoch_: Epoch of the weights, from 1; the last one counts in a second training.
        changes_: The molecules of the fit that the standardisation changed.
        history_: One row per epoch, of the first training.
        calibration_: What the sets come from, a `pyg_samsa.predict.conformal.Calibration`; None without
            validation molecules.

    Raises:
        ConfigError: The targets do not fit the molecules, or an argument is not allowed.
        SmilesError: A molecule cannot be read.

    Example:
        >>> classifier = SAMSAClassifier(channels=8, num_layers=1, max_epochs=1)
        >>> classifier = classifier.fit(["C" * n for n in range(1, 13)], ["short"] * 6 + ["long"] * 6)
        >>> classifier.classes_.tolist(), classifier.predict_proba(["CCO"]).shape
        (['long', 'short'], (1, 2))
    """

    def fit(self, X: Sequence[Any], y: Any) -> SAMSAClassifier:
        """Train.

        Args:
            X: n molecules (SMILES or ``rdkit.Chem.Mol``), or n ``Data``.
            y: Classes [n], or labels 0, 1 or NaN [n, C].
        """
        if np.ndim(y) == 2 and np.shape(y)[1] > 1:
            return self._fit_labels(X, as_matrix(y))
        classes, numbers = np.unique(as_classes(y), return_inverse=True)
        self.classes_: Any = classes
        if len(self.classes_) < 2:
            raise ConfigError("y", f"{len(self.classes_)} class", "at least two classes")
        self._kind = "binary" if len(self.classes_) == 2 else "multiclass"
        targets = torch.from_numpy(numbers.astype(np.float64))[:, None].float()
        self._fit(X, targets, self._kind, numbers.tolist(), 1 if self._kind == "binary" else len(self.classes_))
        return self

    def _fit_labels(self, X: Sequence[Any], labels: np.ndarray) -> SAMSAClassifier:
        known = labels[~np.isnan(labels)]
        if not len(known) or not np.isin(known, (0.0, 1.0)).all():
            raise ConfigError("y", "a matrix with other values", "labels 0 and 1, NaN if unknown")
        check_targets(labels, flat=False)
        self._kind = "multilabel"
        self.classes_ = [np.array([0, 1])] * labels.shape[1]
        targets = torch.from_numpy(labels).float()
        self._fit(X, targets, "multilabel", label_strata(targets), targets.size(1))
        return self

    def predict_proba(self, X: Sequence[Any]) -> np.ndarray:
        """Return probabilities [n, classes]; for labels the probabilities of 1 [n, C]."""
        output = self._output(X)
        found = self._task(None).readable(output).numpy()
        return np.hstack([1 - found, found]) if self._kind == "binary" else found

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """Return the most likely class of each molecule [n]; for labels 0 or 1 [n, C]."""
        probabilities = self.predict_proba(X)
        if self._kind == "multilabel":
            return (probabilities > 0.5).astype(np.int64)
        return self.classes_[probabilities.argmax(1)]

    def predict_set(self, X: Sequence[Any], confidence: float = 0.9) -> np.ndarray:
        """Return which classes are possible, bool [n, classes]; for labels whether 0 and 1 are, bool [n, C, 2].

        The set of a new molecule holds its class with the given probability, if the molecule resembles the validation
        molecules, see `pyg_samsa.predict.conformal.prediction_sets`.

        Args:
            X: Molecules, as in `fit`.
            confidence: Probability, above 0 and below 1.

        Raises:
            ConfigError: There were no validation molecules, or the confidence is not allowed.
            MissingDependencyError: crepes is not installed.

        Example:
            >>> classifier = SAMSAClassifier(channels=8, num_layers=1, max_epochs=1, validation_fraction=0.25)
            >>> classifier = classifier.fit(["C" * n for n in range(1, 13)], ["short"] * 6 + ["long"] * 6)
            >>> classifier.predict_set(["CCO"], confidence=0.8).shape
            (1, 2)
        """
        result: Any = self._with_interval(X, confidence)
        return result.sets[:, 0] if self._kind == "binary" else result.sets

    def _task(self, target_names: Sequence[str] | None) -> Task:
        if self._kind == "multiclass":
            default = [str(name) for name in self.classes_]
        else:
            default = (
                [f"class_{self.classes_[1]}"]
                if self._kind == "binary"
                else [f"target_{number}" for number in range(self._width())]
            )
        return Task(self._kind, default if target_names is None else target_names)
