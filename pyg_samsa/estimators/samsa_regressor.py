from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import RegressorMixin

from pyg_samsa.datasets.splits import quantile_strata
from pyg_samsa.estimators._base import MoleculeEstimator
from pyg_samsa.estimators._targets import as_matrix, check_targets
from pyg_samsa.task import Task


class SAMSARegressor(RegressorMixin, MoleculeEstimator):
    """A scikit-learn regressor of molecules.

    Targets are standardised in training; predictions are in the units of the targets. The weights are those of the
    epoch with the smallest validation loss.

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
        validation_fraction: Share of the molecules that chooses the epoch; 0 keeps the last one.
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
        model_: The fitted `SAMSA` network, if ``members`` is ``"network"`` or ``"all"``.
        predictor_: The blend of the members, unless ``members`` is ``"network"``.
        best_epoch_: Epoch of the weights, from 1; the last one counts in a second training.
        changes_: The molecules of the fit that the standardisation changed.
        history_: One row per epoch, of the first training.
        calibration_: What the intervals come from, a `pyg_samsa.predict.conformal.Calibration`; None without
            validation molecules.

    Raises:
        ConfigError: The targets do not fit the molecules, or an argument is not allowed.
        SmilesError: A molecule cannot be read.

    Example:
        >>> regressor = SAMSARegressor(channels=8, num_layers=1, max_epochs=1)
        >>> regressor.fit(["C" * n for n in range(1, 13)], list(range(12))).predict(["CCO"]).shape
        (1,)
    """

    def fit(self, X: Sequence[Any], y: Any) -> SAMSARegressor:
        """Train.

        Args:
            X: n molecules (SMILES or ``rdkit.Chem.Mol``), or n ``Data``.
            y: Numbers [n] or [n, C]; NaN if unknown.

        Raises:
            ConfigError: A target is infinite or beyond float32, or holds fewer than two different numbers.

        Example:
            >>> sizes = {"channels": 8, "num_layers": 1, "max_epochs": 1}
            >>> SAMSARegressor(**sizes).fit(["C" * n for n in range(1, 13)], list(range(12))).best_epoch_
            1
        """
        targets = as_matrix(y)
        check_targets(targets, flat=np.ndim(y) == 1)
        self._flat = np.ndim(y) == 1
        wide = torch.from_numpy(targets)
        self._fit(X, wide, "regression", quantile_strata(wide), wide.size(1))
        return self

    def predict(self, X: Sequence[Any]) -> np.ndarray:
        """Return predictions [n], or [n, C] for several targets, in the units of ``y``.

        Example:
            >>> regressor = SAMSARegressor(channels=8, num_layers=1, max_epochs=1, descriptors=["maccs"])
            >>> regressor.fit(["C" * n for n in range(1, 13)], list(range(12))).predict(["CCO", "C"]).shape
            (2,)
        """
        output = self._output(X)
        values = output.numpy()
        return values[:, 0] if self._flat else values

    def predict_interval(self, X: Sequence[Any], confidence: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and upper ends of conformal intervals, [n], or [n, C] for several targets.

        They hold the true value of new molecules with the given probability, if these resemble the validation
        molecules, see `pyg_samsa.predict.conformal.prediction_intervals`.

        Args:
            X: Molecules, as in `fit`.
            confidence: Probability, above 0 and below 1.

        Raises:
            ConfigError: There were too few validation molecules for the confidence.
            MissingDependencyError: crepes is not installed.

        Example:
            >>> regressor = SAMSARegressor(channels=8, num_layers=1, max_epochs=1, validation_fraction=0.25)
            >>> regressor = regressor.fit(["C" * n for n in range(1, 13)], list(range(12)))
            >>> low, high = regressor.predict_interval(["CCO"], confidence=0.5)
            >>> bool(low[0] <= regressor.predict(["CCO"])[0] <= high[0])
            True
        """
        result: Any = self._with_interval(X, confidence)
        return (result.low[:, 0], result.high[:, 0]) if self._flat else (result.low, result.high)

    def _task(self, target_names: Sequence[str] | None) -> Task:
        names = (
            list(target_names) if target_names is not None else [f"target_{number}" for number in range(self._width())]
        )
        return Task("regression", names)
