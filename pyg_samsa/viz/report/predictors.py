"""The part of the report about saved predictors: their members, and the coverage of their intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from pyg_samsa.predict.coverage import mean_coverage
from pyg_samsa.viz.report.groups import Group


def predictor_parts(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the members of the predictor of each group, means over the seeds.

    Each part has ``group``, ``metric`` (the one that chose the weights), ``rows`` with ``name``, ``weight``, ``val``
    and ``test``, ``how`` (sentences: how the weights were chosen, and what was fitted again), and ``scored``: whether
    there is any value. The last row is the predictor itself, whose weight is NaN.

    Args:
        groups: Groups of runs; those without a predictor have no part.

    Example:
        >>> from pathlib import Path
        >>> from pyg_samsa.training.run_record import RunRecord
        >>> scores = {"trees": {"test": {"mae": 0.5}}, "predictor": {"test": {"mae": 0.5}}}
        >>> summary = {"monitor": "val_mae", "predictor": {"scores": scores, "weights": {"trees": 1.0}}}
        >>> (part,) = predictor_parts([Group("demo", 0, [RunRecord(Path("demo/0"), "demo", 0, {}, summary=summary)])])
        >>> [(row["name"], row["weight"], row["test"]) for row in part["rows"]]
        [('trees', 1.0, 0.5), ('predictor', nan, 0.5)]
        >>> part["how"]
        ['There are no validation rows, so all members have the same weight.']
    """
    parts = []
    for group in groups:
        found = _predictors(group)
        if not found:
            continue
        metric = group.finished[0].metric
        rows = []
        for name in found[0]["scores"]:
            scores = [one["scores"].get(name, {}) for one in found]
            weights = [one["weights"][name] for one in found if name in one["weights"]]
            values = {split: _mean([part.get(split, {}).get(metric) for part in scores]) for split in ("val", "test")}
            rows.append({"name": name.replace("+", " + "), "weight": _mean(weights), **values})
        scored = any(row[split] == row[split] for row in rows for split in ("val", "test"))
        parts.append({"group": group, "metric": metric, "rows": rows, "scored": scored, "how": _how(found, group)})
    return parts


def _how(found: Sequence[Mapping[str, Any]], group: Group) -> list[str]:
    """Say how the weights were chosen, and which models each column belongs to."""
    if not any(scores.get("val") for one in found for scores in one["scores"].values()):
        return ["There are no validation rows, so all members have the same weight."]
    folds = group.runs[0].settings.get("predictor.folds")
    told = [f"The weights were chosen on {'out-of-fold' if folds else 'validation'} predictions, not on test."]
    if again := found[0].get("refit"):
        told.append(f"Validation: fitted to the training rows; test: {again} fitted again with the validation rows.")
    return told


def common_sentences(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the sentences of ``how`` that all parts share.

    Example:
        >>> common_sentences([{"how": ["A.", "B."]}, {"how": ["A.", "C."]}])
        ['A.']
    """
    return [one for one in parts[0]["how"] if all(one in part["how"] for part in parts)] if parts else []


def coverage_parts(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the coverage measured on test, means over the seeds.

    Each part has ``group``, ``unit`` and ``rows`` with ``confidence``, ``coverage``, ``count`` and ``size``: the mean
    width of intervals (``unit`` is "width"), or the mean number of labels in a set ("size").

    Args:
        groups: Groups of runs; those without a calibrated predictor have no part.

    Example:
        >>> from pathlib import Path
        >>> from pyg_samsa.training.run_record import RunRecord
        >>> coverage = [{"confidence": 0.9, "coverage": 0.88, "width": 2.5, "count": 64}]
        >>> summary = {"predictor": {"scores": {}, "weights": {}, "coverage": coverage}}
        >>> group = Group("demo", 0, [RunRecord(Path("demo/0"), "demo", 0, {}, summary=summary)])
        >>> [(part["unit"], part["rows"]) for part in coverage_parts([group])]
        [('width', [{'confidence': 0.9, 'coverage': 0.88, 'count': 64, 'size': 2.5}])]
    """
    parts = []
    for group in groups:
        found = mean_coverage([one.get("coverage", []) for one in _predictors(group)])
        if found:
            unit = "width" if "width" in found[0] else "size"
            rows = [
                {**{name: row[name] for name in ("confidence", "coverage", "count")}, "size": row[unit]}
                for row in found
            ]
            parts.append({"group": group, "unit": unit, "rows": rows})
    return parts


def _predictors(group: Group) -> list[Mapping[str, Any]]:
    found = [(run.summary or {}).get("predictor") for run in group.finished]
    return [one for one in found if one]


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan
