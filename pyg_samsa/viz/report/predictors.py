"""The part of the report about saved predictors: their members, and the coverage of their intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pyg_samsa.predict.conformal import mean_coverage
from pyg_samsa.viz.report.groups import Group


def predictor_rows(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the members of the predictors, means over the seeds: ``group``, ``name``, ``weight``, ``val``, ``test``.

    Values are those of the metric that chose the weights; the last member of a group is the predictor itself. Weights
    are NaN for it.

    Args:
        groups: Groups of runs; those without a predictor have no rows.

    Example:
        >>> from pathlib import Path
        >>> from pyg_samsa.training.run_record import RunRecord
        >>> scores = {"trees": {"test": {"mae": 0.5}}, "predictor": {"test": {"mae": 0.5}}}
        >>> summary = {"monitor": "val_mae", "predictor": {"scores": scores, "weights": {"trees": 1.0}}}
        >>> group = Group("demo", 0, [RunRecord(Path("demo/0"), "demo", 0, {}, summary=summary)])
        >>> [(row["name"], row["weight"], row["test"]) for row in predictor_rows([group])]
        [('trees', 1.0, 0.5), ('predictor', nan, 0.5)]
    """
    rows = []
    for group in groups:
        found = _predictors(group)
        metric = group.finished[0].metric if found else ""
        for name in found[0]["scores"] if found else ():
            parts = [one["scores"].get(name, {}) for one in found]
            weights = [one["weights"][name] for one in found if name in one["weights"]]
            values = {split: _mean([part.get(split, {}).get(metric) for part in parts]) for split in ("val", "test")}
            rows.append({"group": group, "name": name, "metric": metric, "weight": _mean(weights), **values})
    return rows


def coverage_rows(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the coverage measured on test, means over the seeds: ``group``, ``confidence``, ``coverage``, ``size``.

    ``size`` is the mean width of intervals, or the mean number of labels in a set, and ``unit`` says which.

    Args:
        groups: Groups of runs; those without a calibrated predictor have no rows.

    Example:
        >>> from pathlib import Path
        >>> from pyg_samsa.training.run_record import RunRecord
        >>> coverage = [{"confidence": 0.9, "coverage": 0.88, "width": 2.5, "count": 64}]
        >>> summary = {"predictor": {"scores": {}, "weights": {}, "coverage": coverage}}
        >>> group = Group("demo", 0, [RunRecord(Path("demo/0"), "demo", 0, {}, summary=summary)])
        >>> [(row["confidence"], row["coverage"], row["size"], row["unit"]) for row in coverage_rows([group])]
        [(0.9, 0.88, 2.5, 'width')]
    """
    rows = []
    for group in groups:
        for row in mean_coverage([one.get("coverage", []) for one in _predictors(group)]):
            unit = "width" if "width" in row else "size"
            kept = {name: row[name] for name in ("confidence", "coverage", "count")}
            rows.append({"group": group, **kept, "size": row[unit], "unit": unit})
    return rows


def _predictors(group: Group) -> list[Mapping[str, Any]]:
    found = [(run.summary or {}).get("predictor") for run in group.finished]
    return [one for one in found if one]


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan
