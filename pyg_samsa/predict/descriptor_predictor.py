"""Predictions for SMILES with a model on descriptors: boosted trees or Gaussian processes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pyg_samsa.chem.descriptors import check_descriptors, descriptor_labels
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.files import file_hash
from pyg_samsa.predict.boosted_trees import BoostedTrees
from pyg_samsa.predict.gaussian_process import GaussianProcess
from pyg_samsa.predict.interface import MoleculeInputs, Predictor, refuse_spread
from pyg_samsa.predict.vector_model import VectorModel


class DescriptorPredictor(Predictor):
    """Predicts properties of molecules with a model on descriptors.

    Args:
        model: Fitted :class:`~pyg_samsa.predict.BoostedTrees` or :class:`~pyg_samsa.predict.GaussianProcess`. It knows
            its descriptors, and the columns of a table that follow them.

    Raises:
        ConfigError: A descriptor is unknown, or the model was fitted to another number of columns.

    Example:
        >>> from pyg_samsa.chem.descriptors import compute_descriptors
        >>> from pyg_samsa.predict.boosted_trees import BoostingOptions
        >>> from pyg_samsa.task import Task
        >>> smiles = ["C" * size for size in range(1, 41)]
        >>> x, y = compute_descriptors(smiles, ["rdkit2d"], progress=False), np.arange(40.0)[:, None]
        >>> trees = BoostedTrees(Task("regression", ["carbons"]), ["rdkit2d"], options=BoostingOptions(trees=20))
        >>> predictor = DescriptorPredictor(trees.fit(x, y))
        >>> predictor.predict(["CCCC", "C1CC"]).errors
        ['', 'RDKit cannot read this SMILES (ring 1 is not closed)']
    """

    def __init__(self, model: VectorModel) -> None:
        check_descriptors(model.descriptors)
        width = len(descriptor_labels(model.descriptors)) + len(model.extra_columns)
        if width != model.width:
            hint = "Another version of RDKit may have other descriptors; install the one with which it was trained."
            raise ConfigError("model", f"{model.width} columns", f"{width}, those of its descriptors", hint=hint)
        self.model, self.task = model, model.task
        self.descriptors, self.extra_columns = model.descriptors, model.extra_columns
        self.standardize = model.standardize

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], *, threads: int = 1) -> DescriptorPredictor:
        """Load a model that was saved with ``BoostedTrees.save`` or ``GaussianProcess.save``.

        Args:
            folder: Folder of the model.
            threads: Number of threads.

        Raises:
            DataNotFoundError: A file is missing.
            DataIntegrityError: A file is damaged.
            MissingDependencyError: The model consists of trees, and LightGBM is not installed.
        """
        path = Path(folder)
        kind: type[VectorModel] = GaussianProcess if (path / GaussianProcess.file).is_file() else BoostedTrees
        predictor = cls(kind.load(path, threads=threads))
        predictor.fingerprint = file_hash(path / kind.file)
        return predictor

    @property
    def target_std(self) -> np.ndarray | None:
        """Standard deviations of the training targets [C], see :attr:`Predictor.target_std`."""
        return self.model.target_std if self.task.kind == "regression" else None

    def outputs(self, inputs: MoleculeInputs, *, draws: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return predictions of readable molecules, see :meth:`Predictor.outputs`.

        Raises:
            ConfigError: The standard deviation is requested, which a single model does not have.
        """
        if draws is not None:
            refuse_spread("a single model on descriptors")
        x = np.concatenate([inputs.descriptors(self.model.descriptors), inputs.extra(self.model.extra_columns)], axis=1)
        return self.model.readable(x), None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model})"
