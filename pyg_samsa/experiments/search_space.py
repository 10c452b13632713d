"""What ``pyg-samsa tune`` searches: settings of the network and of the trees, with their ranges."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pyg_samsa.errors import ConfigError
from pyg_samsa.predict.predictor_options import TREE_INPUTS

NONE = "none"
TREE_INPUT = "predictor.tree_inputs"
"""The input of the trees; one of those that a predictor has."""


@dataclass(frozen=True)
class Choice:
    """A setting with a few values.

    Args:
        values: The values: numbers, text, None, or lists of text.

    Example:
        >>> Choice((None, ["maccs", "rdkit2d"])).labels()
        ['none', 'maccs+rdkit2d']
    """

    values: tuple[Any, ...]

    def labels(self) -> list[Any]:
        """Return the values as plain values that Optuna can store."""
        return [_label(value) for value in self.values]

    def value(self, label: Any) -> Any:
        """Return the value of a label."""
        return self.values[self.labels().index(label)]

    def including(self, value: Any) -> Choice:
        """Return the choice with one more value, if it is new."""
        return self if _label(value) in self.labels() else Choice((*self.values, value))

    def suggest(self, trial: Any, key: str) -> Any:
        """Return the value that an Optuna trial suggests."""
        return self.value(trial.suggest_categorical(key, self.labels()))

    def stored(self, value: Any) -> Any:
        """Return the value as Optuna stores it."""
        return _label(value)


@dataclass(frozen=True)
class Range:
    """A setting with a range of numbers.

    Args:
        low: Smallest number.
        high: Largest number.
        log: Whether the range is divided by factors rather than by differences.

    Example:
        >>> Range(1, 4).including(6)
        Range(low=1, high=6, log=False)
    """

    low: float
    high: float
    log: bool = False

    def including(self, value: Any) -> Range:
        """Return the range that also holds a number; a logarithmic one cannot hold 0."""
        if self.log and value <= 0:
            return self
        return Range(min(self.low, value), max(self.high, value), self.log)

    def suggest(self, trial: Any, key: str) -> Any:
        """Return the number that an Optuna trial suggests: an integer if both ends are, else one of three digits."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return float(f"{trial.suggest_float(key, self.low, self.high, log=self.log):.3g}")

    def stored(self, value: Any) -> Any:
        """Return the number, moved into the range."""
        return min(max(value, self.low), self.high)


Space = Mapping[str, Choice | Range]
NETWORK: Space = {
    "samsa.layers": Range(2, 6),
    "samsa.channels": Choice((32, 64, 96, 128)),
    "samsa.local": Choice((None, "gine", "gatedgcn")),
    "samsa.dropout": Range(0.0, 0.3),
    "samsa.drop_path": Range(0.0, 0.2),
    "optim.base_lr": Range(5e-4, 1e-2, log=True),
    "optim.weight_decay": Range(1e-3, 0.3, log=True),
    "train.batch_size": Choice((16, 32, 64)),
    "model.loss_fun": Choice(("l1", "smooth_l1", "mse")),
    "dataset.descriptors": Choice(([], ["rdkit2d"], ["morgan_count"], ["rdkit2d", "morgan_count"])),
}
"""Settings of the network that are searched."""
TREES: Space = {
    TREE_INPUT: Choice(TREE_INPUTS),
    "boosting.trees": Range(100, 1500, log=True),
    "boosting.learning_rate": Range(0.01, 0.2, log=True),
    "boosting.leaves": Range(7, 63, log=True),
    "boosting.min_leaf": Range(2, 40, log=True),
    "boosting.column_share": Range(0.1, 1.0),
}
"""Settings of the trees that are searched."""


def narrowed(space: Space, config: Mapping[str, Any], fixed: Collection[str], unused: Collection[str] = ()) -> Space:
    """Return the space of one search: without fixed settings, and with the present values of all others.

    Args:
        space: Settings and their ranges.
        config: Dotted name -> present value; settings that it does not hold are left out.
        fixed: Settings that the user has fixed.
        unused: Settings without effect here.

    Raises:
        ConfigError: Nothing is left to search.

    Example:
        >>> narrowed(NETWORK, {"samsa.layers": 8, "samsa.channels": 64}, fixed=["samsa.channels"])
        {'samsa.layers': Range(low=2, high=8, log=False)}
    """
    kept = {
        key: kind.including(config[key])
        for key, kind in space.items()
        if key in config and key not in fixed and key not in unused
    }
    if not kept:
        raise ConfigError("command line", sorted(set(fixed) & set(space)), "at least one setting left to search")
    return kept


def words(values: Mapping[str, Any]) -> list[str]:
    """Return settings as words of the command line, which `load_config` reads.

    Example:
        >>> words({"samsa.local": None, "samsa.layers": 3, "dataset.descriptors": ["maccs"]})
        ['samsa.local', 'null', 'samsa.layers', '3', 'dataset.descriptors', '["maccs"]']
    """
    return [
        word for key, value in values.items() for word in (key, value if isinstance(value, str) else json.dumps(value))
    ]


def _label(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return "+".join(value) or NONE
    return NONE if value is None else value
