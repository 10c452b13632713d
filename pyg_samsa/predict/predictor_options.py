"""Options of the predictor of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pyg_samsa.chem.descriptors import check_descriptors
from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option, check_options

MEMBERS = ("auto", "both", "network", "trees")
TREE_INPUTS = ("rdkit2d", "morgan_count+topological_torsion", "rdkit2d+morgan_count+topological_torsion")

TABLE_TREES: dict[str, Any] = {"trees": 500, "learning_rate": 0.05, "leaves": 16, "min_leaf": 5, "column_share": 0.3}
"""Options of boosted trees for tables of some hundred to some ten thousand molecules, as in the config ``csv``."""


@dataclass(frozen=True)
class PredictorOptions:
    """Options of the predictor of a run; the help of each option is in its annotation.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> PredictorOptions("both", ["maccs", "rdkit2d+maccs"]).descriptors
        [['maccs'], ['rdkit2d', 'maccs']]
    """

    members: Annotated[
        str,
        Option(
            "What is trained and blended: network, trees or both; auto is both for a CSV file, else network.", MEMBERS
        ),
    ] = "auto"
    tree_inputs: Annotated[
        Sequence[str],
        Option("Inputs of the trees, descriptors joined by +; a model of trees is fitted to each of the list."),
    ] = TREE_INPUTS
    refit: Annotated[
        bool, Option("Whether trees are fitted again to training and validation rows, after the weights are chosen.")
    ] = True
    ensemble: Annotated[
        int, Option("Number of networks, with seeds seed, seed + 1, ...; 1 for no ensemble.", low=1)
    ] = 1
    folds: Annotated[
        int,
        Option(
            "Folds of a cross-validation over training and validation rows; 0 for none. Test rows stay apart.", low=0
        ),
    ] = 0

    def __post_init__(self) -> None:
        plain = {name: getattr(self, name) for name in ("members", "refit", "ensemble", "folds")}
        check_options(PredictorOptions, plain, prefix="predictor.")
        if self.folds == 1:
            raise ConfigError("predictor.folds", 1, "0 for no cross-validation, or at least 2")
        if self.folds and self.ensemble > 1:
            hint = "The networks of the folds are an ensemble."
            raise ConfigError("predictor.ensemble", self.ensemble, "1 with predictor.folds", hint=hint)
        if isinstance(self.tree_inputs, str) or not len(self.tree_inputs):
            raise ConfigError("predictor.tree_inputs", self.tree_inputs, "a list with at least one entry")
        for names in self.descriptors:
            check_descriptors(names, "predictor.tree_inputs")
        if len(set(self.tree_inputs)) < len(self.tree_inputs):
            raise ConfigError("predictor.tree_inputs", list(self.tree_inputs), "different entries")

    @property
    def descriptors(self) -> list[list[str]]:
        """The names of the descriptors of each model of trees."""
        return [[name.strip() for name in str(names).split("+")] for names in self.tree_inputs]
