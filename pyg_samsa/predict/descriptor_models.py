"""The models on descriptors that a predictor may have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pyg_samsa.predict.boosted_trees import BoostedTrees, BoostingOptions
from pyg_samsa.predict.gaussian_process import GaussianProcess, GaussianProcessOptions
from pyg_samsa.predict.predictor_options import PredictorOptions
from pyg_samsa.task import Task


def descriptor_models(
    task: Task,
    options: PredictorOptions,
    boosting: BoostingOptions,
    process: GaussianProcessOptions,
    *,
    kinds: Collection[str] = ("trees", "gp"),
    extra_columns: Sequence[str] = (),
    standardize: Sequence[str] = (),
) -> dict[str, BoostedTrees | GaussianProcess]:
    """Return the models to fit, by their names in tables.

    Args:
        task: The task.
        options: Options of the predictor, with the inputs of the models.
        boosting: Options of the trees.
        process: Options of the Gaussian processes.
        kinds: Kinds of models: ``"trees"``, ``"gp"``.
        extra_columns: Names of the columns of a table that the models read after the descriptors.
        standardize: Steps by which molecules are standardised before their descriptors are computed.

    Example:
        >>> options = PredictorOptions(tree_inputs=["maccs"], gp_inputs=["rdkit2d"])
        >>> list(descriptor_models(Task("regression", ["logS"]), options, BoostingOptions(), GaussianProcessOptions()))
        ['trees maccs', 'Gaussian process rdkit2d']
    """
    found: dict[str, BoostedTrees | GaussianProcess] = {}
    inputs: dict[str, Any] = {"extra_columns": extra_columns, "standardize": standardize}
    if "trees" in kinds:
        for names in options.inputs("trees"):
            found[f"trees {'+'.join(names)}"] = BoostedTrees(task, names, **inputs, options=boosting)
    if "gp" in kinds:
        for names in options.inputs("gp"):
            found[f"Gaussian process {'+'.join(names)}"] = GaussianProcess(task, names, **inputs, options=process)
    return found
