"""Options of the predictor of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pyg_samsa.chem.descriptors import check_descriptors
from pyg_samsa.errors import ConfigError
from pyg_samsa.options import Option, check_options, keep_plain

MEMBER_KINDS = {
    "all": ("network", "trees", "gp"),
    "network": ("network",),
    "descriptors": ("trees", "gp"),
    "trees": ("trees",),
    "gp": ("gp",),
}
"""Value of ``predictor.members`` -> kinds of models that are fitted."""
MEMBERS = ("auto", *MEMBER_KINDS)
TREE_INPUTS = ("rdkit2d", "rdkit2d+morgan_count+topological_torsion")
GP_INPUTS = TREE_INPUTS
REFIT = ("all", "descriptors", "none")

TABLE_TREES: dict[str, Any] = {"trees": 500, "learning_rate": 0.05, "leaves": 16, "min_leaf": 5, "column_share": 0.3}
"""Options of boosted trees for tables of some hundred to some ten thousand molecules, as in the config ``csv``."""


@dataclass(frozen=True)
class PredictorOptions:
    """Options of the predictor of a run; the help of each option is in its annotation.

    Raises:
        ConfigError: A value is not allowed.

    Example:
        >>> PredictorOptions("all", ["maccs", "rdkit2d+maccs"]).inputs("trees")
        [['maccs'], ['rdkit2d', 'maccs']]
    """

    members: Annotated[
        str,
        Option(
            "What is fitted and blended: network, trees, gp (Gaussian processes), descriptors (trees and gp) or all; "
            "auto is all for a CSV file, else network.",
            MEMBERS,
        ),
    ] = "auto"
    tree_inputs: Annotated[
        Sequence[str],
        Option("Inputs of the trees, descriptors joined by +; a model of trees is fitted to each of the list."),
    ] = TREE_INPUTS
    gp_inputs: Annotated[
        Sequence[str],
        Option("Inputs of the Gaussian processes, likewise; an empty list for no Gaussian processes."),
    ] = GP_INPUTS
    refit: Annotated[
        str,
        Option(
            "What is fitted again to training and validation rows, after the weights are chosen: all models, only "
            "those on descriptors, or none.",
            REFIT,
        ),
    ] = "descriptors"
    ensemble: Annotated[
        int, Option("Number of networks, with seeds seed, seed + 1, ...; 1 for no ensemble.", low=1, high=1000)
    ] = 1
    folds: Annotated[
        int,
        Option(
            "Folds of a cross-validation over training and validation rows; 0 for none. Test rows stay apart.", low=0
        ),
    ] = 0

    def __post_init__(self) -> None:
        keep_plain(self)
        given = {name: getattr(self, name) for name in ("members", "refit", "ensemble", "folds")}
        check_options(PredictorOptions, given, prefix="predictor.")
        if self.folds == 1:
            raise ConfigError("predictor.folds", 1, "0 for no cross-validation, or at least 2")
        if self.folds and self.ensemble > 1:
            hint = "The networks of the folds are an ensemble."
            raise ConfigError("predictor.ensemble", self.ensemble, "1 with predictor.folds", hint=hint)
        for key in ("tree_inputs", "gp_inputs"):
            given = getattr(self, key)
            if isinstance(given, str):
                raise ConfigError(f"predictor.{key}", given, "a list, such as [rdkit2d]")
            for names in given:
                check_descriptors(_split(names), f"predictor.{key}")
            if len(set(given)) < len(given):
                raise ConfigError(f"predictor.{key}", list(given), "different entries")
            if not len(given) and key == {"trees": "tree_inputs", "gp": "gp_inputs"}.get(self.members):
                raise ConfigError(f"predictor.{key}", [], f"at least one entry with predictor.members {self.members}")

    def inputs(self, kind: str) -> list[list[str]]:
        """Return the names of the descriptors of each model of a kind.

        Args:
            kind: ``"trees"`` or ``"gp"``.

        Example:
            >>> PredictorOptions().inputs("gp")
            [['rdkit2d'], ['rdkit2d', 'morgan_count', 'topological_torsion']]
        """
        return [_split(names) for names in (self.tree_inputs if kind == "trees" else self.gp_inputs)]


def _split(names: str) -> list[str]:
    return [name.strip() for name in str(names).split("+")]
