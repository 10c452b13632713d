"""Predictions for SMILES with boosted trees on descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pyg_samsa.chem.descriptors import check_descriptors, descriptor_labels
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.files import file_hash
from pyg_samsa.predict.boosted_trees import TREES, BoostedTrees
from pyg_samsa.predict.interface import MoleculeInputs, Predictor, refuse_spread


class TreesPredictor(Predictor):
    """Predicts properties of molecules with boosted trees on descriptors.

    Args:
        trees: Fitted trees that know their descriptors, and the columns of a table that follow them.

    Raises:
        ConfigError: A descriptor is unknown, or the trees were fitted to another number of columns.

    Example:
        >>> from pyg_samsa.chem.descriptors import compute_descriptors
        >>> from pyg_samsa.predict.boosted_trees import BoostingOptions
        >>> from pyg_samsa.task import Task
        >>> smiles = ["C" * size for size in range(1, 41)]
        >>> x, y = compute_descriptors(smiles, ["rdkit2d"], progress=False), np.arange(40.0)[:, None]
        >>> trees = BoostedTrees(Task("regression", ["carbons"]), ["rdkit2d"], options=BoostingOptions(trees=20))
        >>> predictor = TreesPredictor(trees.fit(x, y))
        >>> predictor.predict(["CCCC", "C1CC"]).errors
        ['', 'RDKit cannot read this SMILES']
    """

    def __init__(self, trees: BoostedTrees) -> None:
        check_descriptors(trees.descriptors)
        width = len(descriptor_labels(trees.descriptors)) + len(trees.extra_columns)
        if width != trees.width:
            hint = "Another version of RDKit may have other descriptors; install the one with which it was trained."
            raise ConfigError("trees", f"{trees.width} columns", f"{width}, those of its descriptors", hint=hint)
        self.trees, self.task = trees, trees.task
        self.descriptors, self.extra_columns = trees.descriptors, trees.extra_columns

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], *, threads: int = 1) -> TreesPredictor:
        """Load trees that were saved with :meth:`BoostedTrees.save <pyg_samsa.predict.BoostedTrees.save>`.

        Args:
            folder: Folder of the trees.
            threads: Number of threads.

        Raises:
            DataNotFoundError: A file is missing.
            DataIntegrityError: A file is damaged.
            MissingDependencyError: LightGBM is not installed.
        """
        predictor = cls(BoostedTrees.load(folder, threads=threads))
        predictor.fingerprint = file_hash(Path(folder) / TREES)
        return predictor

    def outputs(self, inputs: MoleculeInputs, *, draws: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return predictions of readable molecules, see :meth:`Predictor.outputs`.

        Raises:
            ConfigError: The standard deviation is requested, which a single model of trees does not have.
        """
        if draws is not None:
            refuse_spread("a single model of trees")
        x = np.concatenate([inputs.descriptors(self.trees.descriptors), inputs.extra(self.extra_columns)], axis=1)
        return self.trees.readable(x), None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.trees})"
