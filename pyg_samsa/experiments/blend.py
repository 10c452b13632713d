"""The predictor of a run: the blend of its candidates, weighted and calibrated on validation rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torchmetrics import Metric

from pyg_samsa.errors import ConfigError
from pyg_samsa.experiments.candidates import NETWORK, Candidate
from pyg_samsa.experiments.measure import measure
from pyg_samsa.experiments.molecule_rows import MoleculeRows
from pyg_samsa.hub.folder import PREDICTOR_SUBFOLDER
from pyg_samsa.predict import BlendPredictor, Predictor, choose_weights, save_predictor
from pyg_samsa.predict.conformal import Calibration, calibrate_if_labelled
from pyg_samsa.predict.coverage import measure_coverage


@dataclass(frozen=True)
class FittedPredictor:
    """The predictor of a run, and how it compares with its candidates.

    Args:
        blend: The predictor.
        scores: Name of a candidate, and ``"predictor"`` -> split -> name of a metric -> value.
        weights: Name of a candidate -> mean weight in the blend.
        outputs: Split -> values or probabilities of the predictor, float64 [n, C].
        seconds: Name of a candidate -> time of its fit.
        coverage: How often the intervals or sets of the predictor hold the true values of the test rows, see
            `pyg_samsa.predict.coverage.measure_coverage`.
    """

    blend: BlendPredictor
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    weights: Mapping[str, float]
    outputs: Mapping[str, np.ndarray]
    seconds: Mapping[str, float] = field(default_factory=dict)
    coverage: Sequence[Mapping[str, float]] = ()

    def as_summary(self) -> dict[str, Any]:
        """Return plain values for ``summary.json``: scores, weights and coverage.

        Example:
            >>> from pyg_samsa.predict import BlendPredictor, MoleculePredictor
            >>> blend = BlendPredictor([MoleculePredictor.from_pretrained("peptides")], [1.0])
            >>> FittedPredictor(blend, {}, {"network": 1.0}, {}).as_summary()["weights"]
            {'network': 1.0}
        """
        return {"scores": self.scores, "weights": dict(self.weights), "coverage": [dict(row) for row in self.coverage]}


def blend_candidates(
    candidates: Sequence[Candidate],
    rows: MoleculeRows,
    metrics: Mapping[str, Metric],
    best: str,
    *,
    source: str = "validation",
) -> FittedPredictor:
    """Choose the weights of the candidates on the validation rows, measure all of them, and calibrate the predictor.

    Without validation rows all candidates have the same weight, and there is no calibration. Nothing is chosen on test
    rows. The widths of intervals follow the spread over the members, where each of them predicts all rows.

    Args:
        candidates: Fitted models.
        rows: The molecules.
        metrics: Metrics by name.
        best: Name of the metric that chooses the weights, or ``"loss"``.
        source: ``"validation"``, or ``"out-of-fold"`` if each row was predicted by the models of one fold.

    Raises:
        ConfigError: There is no candidate that can be saved.
    """
    usable = [candidate for candidate in candidates if candidate.predictor is not None]
    if not usable:
        raise ConfigError("predictor.members", NETWORK, "members that predict for molecules")
    weights = np.full(len(usable), 1 / len(usable))
    if "val" in rows.splits:
        target = rows.target[rows.splits["val"]]
        found = np.stack([rows.clipped(one.outputs["val"], "val") for one in usable])
        weights = choose_weights(found, target, rows.task, best)
    outputs = {
        split: np.tensordot(weights, np.stack([one.outputs[split] for one in usable]), 1)
        for split in rows.splits
        if split != "train"
    }
    scores = {one.name: _scores(one.outputs, rows, metrics) for one in candidates}
    scores["predictor"] = _scores(outputs, rows, metrics)
    chosen = [(one, weight) for one, weight in zip(usable, weights, strict=True) if weight]
    spread = _spread(chosen, outputs) if source == "validation" else {}
    blend = _flat_blend(chosen, scores["predictor"], _calibration(rows, outputs, spread, source))
    used = {one.name: float(weight) for one, weight in zip(usable, weights, strict=True)}
    seconds = {one.name: one.seconds for one in candidates}
    return FittedPredictor(blend, scores, used, outputs, seconds, _coverage(rows, blend, outputs, spread))


def _flat_blend(
    chosen: Sequence[tuple[Candidate, float]], metrics: Mapping[str, Any], calibration: Calibration | None
) -> BlendPredictor:
    """Return one blend of all models; those of a candidate that is a blend itself share its weight."""
    members: list[Predictor] = []
    weights: list[np.ndarray] = []
    names: list[str] = []
    for one, weight in chosen:
        inner = one.predictor
        if not isinstance(inner, BlendPredictor):
            inner = BlendPredictor([inner], [1.0], names=[one.name])  # type: ignore[list-item]  # checked by the caller
        members += inner.members
        weights += list(weight * inner.weights)
        names += inner.names
    return BlendPredictor(members, np.stack(weights), names=names, metrics=metrics, calibration=calibration)


def _spread(chosen: Sequence[tuple[Candidate, float]], outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the standard deviation over the members as `BlendPredictor` has it; nothing for a single member."""
    found: dict[str, np.ndarray] = {}
    for split, mean in outputs.items():
        parts = [one.parts[split] if one.parts else one.outputs[split][None] for one, _ in chosen]
        if sum(map(len, parts)) > 1:
            weighted = zip(parts, chosen, strict=True)
            found[split] = np.sqrt(sum(weight * ((part - mean) ** 2).mean(0) for part, (_, weight) in weighted))
    return found


def _calibration(
    rows: MoleculeRows, outputs: Mapping[str, np.ndarray], spread: Mapping[str, np.ndarray], source: str
) -> Calibration | None:
    """Return the calibration on the validation rows; None without them, or where a regression target has no label."""
    if "val" not in outputs:
        return None
    target = rows.measured("val")
    return calibrate_if_labelled(rows.task, outputs["val"], target, spread=spread.get("val"), source=source)


def _coverage(
    rows: MoleculeRows, blend: BlendPredictor, outputs: Mapping[str, np.ndarray], spread: Mapping[str, np.ndarray]
) -> list[dict[str, float]]:
    """Return the measured coverage on the test rows."""
    if blend.calibration is None or "test" not in outputs:
        return []
    target = rows.measured("test")
    return measure_coverage(rows.task, blend.calibration, outputs["test"], target, spread=spread.get("test"))


def save_fitted(fitted: FittedPredictor, run_folder: Path) -> Path:
    """Write the predictor into the folder of a run, and return its folder."""
    return save_predictor(fitted.blend, run_folder / PREDICTOR_SUBFOLDER)


def _scores(
    outputs: Mapping[str, np.ndarray], rows: MoleculeRows, metrics: Mapping[str, Metric]
) -> dict[str, dict[str, float]]:
    return {
        split: measure(metrics, rows.clipped(values, split), rows.target[rows.splits[split]], rows.task)
        for split, values in outputs.items()
    }
