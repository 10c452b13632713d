"""Predictions with several models, averaged with weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pyg_samsa.errors import ConfigError
from pyg_samsa.predict.conformal import Calibration
from pyg_samsa.predict.interface import MoleculeInputs, Predictor

_ROUNDING = 1e-6


class BlendPredictor(Predictor):
    r"""Predicts with several members, and averages their values or probabilities with convex weights.

    .. math::
        \hat y_c = \sum_m w_{m c} \, \hat y_{m c}, \qquad
        s_c = \sqrt{\sum_m w_{m c} \, (\hat y_{m c} - \hat y_c)^2}, \qquad \sum_m w_{m c} = 1

    The spread s is the deviation over the members; a blend of one member has the spread of that member. Members of
    weight 0 are not computed.

    Args:
        members: M predictors of the same task.
        weights: Weights [M], or [M, C] for each target; they sum to 1 over the members.
        names: Names of the members, for tables; by default their numbers.
        metrics: Split -> name -> value.
        calibration: Calibration of intervals and sets, from `pyg_samsa.predict.conformal.calibrate`.

    Raises:
        ConfigError: There is no member, the tasks or the steps of standardisation differ, or the weights are not
            convex.

    Example:
        >>> from pyg_samsa.predict import MoleculePredictor
        >>> member = MoleculePredictor.from_pretrained("peptides")
        >>> blend = BlendPredictor([member, member], [0.25, 0.75])
        >>> result = blend.predict(["NCC(=O)O"], uncertainty=True)
        >>> bool(abs(result.values - member.predict(["NCC(=O)O"]).values).max() < 1e-9)
        True
        >>> bool(result.spread.max() < 1e-6)
        True
    """

    def __init__(
        self,
        members: Sequence[Predictor],
        weights: Sequence[float] | np.ndarray,
        *,
        names: Sequence[str] | None = None,
        metrics: Mapping[str, Any] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        if not members:
            raise ConfigError("members", [], "at least one predictor")
        self.members, self.task = list(members), members[0].task
        for member in self.members:
            if (member.task.kind, member.task.names) != (self.task.kind, self.task.names):
                raise ConfigError("members", member.task, f"predictors of one task, {self.task}")
            if tuple(member.standardize) != tuple(self.members[0].standardize):
                steps = [", ".join(one.standardize) or "none" for one in (self.members[0], member)]
                raise ConfigError("members", f"{steps[0]} and {steps[1]}", "the same steps of standardisation in all")
        self.standardize = tuple(self.members[0].standardize)
        self.names = list(names) if names is not None else [f"member {number}" for number in range(len(self.members))]
        if len(self.names) != len(self.members):
            raise ConfigError("names", self.names, f"{len(self.members)} names, one per member")
        self.weights = _convex(np.asarray(weights, np.float64), len(self.members), self.task.num_targets)
        self.descriptors = tuple(dict.fromkeys(name for member in self.members for name in member.descriptors))
        self.extra_columns = tuple(dict.fromkeys(name for member in self.members for name in member.extra_columns))
        self.metrics, self.calibration = dict(metrics or {}), calibration

    @property
    def target_std(self) -> np.ndarray | None:
        """Smallest standard deviations of the training targets of the members [C], see :attr:`Predictor.target_std`."""
        known = [found for member in self.members if (found := member.target_std) is not None]
        return np.min(known, axis=0) if known else None

    def outputs(self, inputs: MoleculeInputs, *, draws: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
        """Return predictions of readable molecules, see :meth:`Predictor.outputs`.

        Example:
            >>> from pyg_samsa.chem.parsing import parse_molecules
            >>> from pyg_samsa.predict import MoleculePredictor
            >>> blend = BlendPredictor([MoleculePredictor.from_pretrained("peptides")] * 2, [0.5, 0.5])
            >>> values, spread = blend.outputs(MoleculeInputs(parse_molecules(["NCC(=O)O"])), draws=2)
            >>> values.shape, spread.shape
            ((1, 3), (1, 3))
        """
        used = [place for place in range(len(self.members)) if self.weights[place].any()]
        if len(used) == 1:
            return self.members[used[0]].outputs(inputs, draws=draws)
        found = np.stack([self.members[place].outputs(inputs)[0] for place in used])
        weights = self.weights[used][:, None]
        mean = (weights * found).sum(0)
        if draws is None:
            return mean, None
        return mean, np.sqrt((weights * (found - mean) ** 2).sum(0))

    def __repr__(self) -> str:
        parts = [f"{name} {weights.mean():.2f}" for name, weights in zip(self.names, self.weights, strict=True)]
        return f"{type(self).__name__}({self.task.kind}: {', '.join(self.task.names)}; {', '.join(parts)})"


def _convex(weights: np.ndarray, members: int, targets: int) -> np.ndarray:
    """Return weights [M, C] that sum to 1."""
    if weights.shape not in ((members,), (members, targets)):
        raise ConfigError("weights", list(weights.shape), f"[{members}] or [{members}, {targets}]")
    wide = np.broadcast_to(weights.reshape(members, -1), (members, targets))
    total = wide.sum(0)
    if not (wide >= 0).all() or not (np.abs(total - 1) < _ROUNDING).all():
        raise ConfigError("weights", weights.tolist(), "numbers of at least 0 that sum to 1 over the members")
    return wide / total
