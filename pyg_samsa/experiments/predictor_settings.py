"""What the predictor of a run is made of by the present ``cfg``; nothing here needs the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch_geometric.graphgym.config import cfg

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.candidates import NETWORK, check_conformal, check_trees
from pyg_samsa.graphgym.members import chosen_members
from pyg_samsa.graphgym.network_options import asks_for_masked
from pyg_samsa.graphgym.settings import values_for
from pyg_samsa.graphgym.unsaved import SAVED, unsaved_part
from pyg_samsa.predict import BoostingOptions, GaussianProcessOptions
from pyg_samsa.predict.predictor_options import MEMBER_KINDS, PredictorOptions
from pyg_samsa.task import MASKED
from pyg_samsa.training.environment import usable_threads


@dataclass(frozen=True)
class PredictorSettings:
    """Settings of the predictor of a run.

    Args:
        kinds: Kinds of models: ``"network"``, ``"trees"``, ``"gp"``.
        options: Options of the predictor.
        boosting: Options of the trees; each run replaces the seed by its own.
        process: Options of the Gaussian processes, likewise.

    Example:
        >>> PredictorSettings(["trees"], PredictorOptions(), BoostingOptions(), GaussianProcessOptions()).network
        False
    """

    kinds: Sequence[str]
    options: PredictorOptions
    boosting: BoostingOptions
    process: GaussianProcessOptions

    @property
    def network(self) -> bool:
        """Whether a network is trained."""
        return NETWORK in self.kinds

    @property
    def is_ensemble(self) -> bool:
        """Whether several networks are trained, or the models of several folds are fitted."""
        return bool(self.options.folds) or self.options.ensemble > 1


def read_predictor() -> PredictorSettings | None:
    """Return the settings of the predictor that the present ``cfg`` asks for; None if it asks for none.

    Raises:
        ConfigError: A setting is not allowed.
        MissingDependencyError: A package is not installed that the predictor needs.

    Example:
        >>> from pyg_samsa.graphgym.config import load_config
        >>> _ = load_config("csv", ["predictor.members", "descriptors"])
        >>> read_predictor().kinds
        ['trees', 'gp']
    """
    options = PredictorOptions(**values_for(PredictorOptions, cfg))
    if asks_for_masked() and options.members not in ("auto", NETWORK):
        hint = "Training without labels has no predictor."
        raise ConfigError("predictor.members", options.members, f"{NETWORK!r} with the task {MASKED}", hint=hint)
    if (members := chosen_members()) is None:
        return None
    threads = usable_threads(cfg.num_threads)
    boosting = BoostingOptions(**values_for(BoostingOptions, cfg), threads=threads)
    process = GaussianProcessOptions(**values_for(GaussianProcessOptions, cfg), threads=threads)
    kinds = [kind for kind in MEMBER_KINDS[members] if kind == NETWORK or options.inputs(kind)]
    if not kinds:
        raise ConfigError(
            "predictor.members", members, "models with inputs", hint="Set predictor.tree_inputs or predictor.gp_inputs."
        )
    if "trees" in kinds:
        check_trees(boosting)
    check_conformal()
    return PredictorSettings(kinds, options, boosting, process)


def check_predictor(*, repeat: int = 1) -> None:
    """Check the settings of the predictor of the present ``cfg``, before data are loaded.

    Args:
        repeat: Number of repeats of the run.

    Raises:
        ConfigError: A setting is not allowed, or settings contradict each other.
        MissingDependencyError: A package is not installed that the predictor needs.

    Example:
        >>> from pyg_samsa.graphgym.config import load_config
        >>> _ = load_config("csv", ["predictor.folds", "5"])
        >>> check_predictor(repeat=2)
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: --repeat: got 2, expected 1 with predictor.folds 5
    """
    found = read_predictor()
    if found is None:
        return
    unsaved = unsaved_part() if found.network else None
    if unsaved is not None and found.options.refit == "all":
        expected = f"'descriptors' with {unsaved[0]} {unsaved[1]}, because that network is not saved"
        raise ConfigError("predictor.refit", "all", expected)
    if not found.is_ensemble:
        return
    options = found.options
    key, count = ("predictor.folds", options.folds) if options.folds else ("predictor.ensemble", options.ensemble)
    alone: dict[str, tuple[Any, bool]] = {"--repeat": (repeat, repeat > 1), "devices": (cfg.devices, cfg.devices != 1)}
    for other, (value, refused) in alone.items():
        if refused:
            raise ConfigError(other, value, f"1 with {key} {count}")
    if not found.network and not options.folds:
        hint = "--folds takes models on descriptors."
        raise ConfigError(key, count, "1 without a network; other models hardly depend on the seed", hint=hint)
    if unsaved is not None:
        saved = repr(SAVED[unsaved[0]]) if unsaved[0] in SAVED else "another one"
        raise ConfigError(*unsaved, f"{saved} with {key} {count}, whose networks are saved")
