"""The charts of the HTML report: learning curves, and test results by kind of task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pyg_samsa.task import Task
from pyg_samsa.viz.figure import MUTED, TRAIN, is_log, pretty
from pyg_samsa.viz.report import prediction_scores as scores
from pyg_samsa.viz.report.charts import Line, Points, line_chart, reliability_chart, scatter_chart
from pyg_samsa.viz.report.groups import Group
from pyg_samsa.viz.report.overview import has_test
from pyg_samsa.viz.report.prediction_tables import bounds, clipped, frame_of, labels, one_against_rest, task_of

MOST_CLASS_CHARTS, MOST_CONFUSION = 12, 40
MOST_TARGETS = 12
MOST_POINTS = 1500


def curves(groups: Sequence[Group], notes: list[str]) -> list[dict[str, Any]]:
    """Return charts of loss and metric by epoch, and of the metric by time."""
    metrics = list(dict.fromkeys(run.metric for group in groups for run in group.runs))
    for group in groups:
        for run in group.runs:
            if run.is_predictor:
                if (run.summary or {}).get("predictor", {}).get("members"):
                    members = run.path / "members"
                    notes.append(f"The learning curves of the networks of {run.path}: pyg-samsa report {members}.")
            elif run.history is None or run.history.empty:
                notes.append(f"{run.path} has no metrics.csv: no learning curves.")
    charts = []
    for column in dict.fromkeys(["loss", *metrics]):
        lines = [line for group in groups for line in _curve(group, column, "epoch", single=len(groups) == 1)]
        if not lines:
            continue
        values = [value for line in lines for value in line.y]
        log = is_log(column, min(values), max(values))
        label = f"{pretty(column)} by epoch"
        charts.append({"title": pretty(column), "svg": line_chart(lines, label=label, xlabel="epoch", log=log)})
    for metric in metrics:
        lines = [line for group in groups for line in _curve(group, metric, "total_seconds", single=False)]
        if lines:
            title = f"{pretty(metric)} over time"
            chart = line_chart(lines, label=title, xlabel="seconds of training and validation")
            charts.append({"title": title, "svg": chart})
    return charts


def has_validation(groups: Sequence[Group]) -> bool:
    """Return whether the curves of any run have validation values."""
    histories = [run.history for group in groups for run in group.runs if run.history is not None]
    return any("val_loss" in history and history["val_loss"].notna().any() for history in histories)


def _curve(group: Group, column: str, along: str, *, single: bool) -> list[Line]:
    lines = []
    for split in ("train", "val") if along == "epoch" else ("val",):
        name = f"{split}_{column}"
        found = [
            run.history.dropna(subset=[name]) for run in group.runs if run.history is not None and name in run.history
        ]
        found = [rows for rows in found if len(rows)]
        if not found:
            continue
        x, mean, deviation = _over_seeds(found, name, along)
        mark = []
        if split == "val" and along == "epoch":
            best = [(run.summary or {}).get("best_epoch") for run in group.finished]
            mark = [(float(epoch), mean[x.index(epoch)]) for epoch in best if epoch in x]
        color: int | str = TRAIN if single and split == "train" else group.number
        low, high = (
            (np.subtract(mean, deviation).tolist(), np.add(mean, deviation).tolist()) if len(found) > 1 else ([], [])
        )
        lines.append(Line(color, x, mean, low, high, dashed=split == "train", mark=mark))
    return lines


def _over_seeds(found: Sequence[pd.DataFrame], name: str, along: str) -> tuple[list[float], list[float], list[float]]:
    """Return place, mean and standard deviation of each epoch, over the seeds that reached it."""
    epochs = pd.concat(found).groupby("epoch")
    deviation = epochs[name].std().fillna(0.0)
    x = epochs[along].mean().tolist() if along != "epoch" else [float(str(epoch)) for epoch in epochs.groups]
    return x, epochs[name].mean().tolist(), deviation.tolist()


def results(groups: Sequence[Group], notes: list[str]) -> list[dict[str, Any]]:
    """Return the test results; groups with the same task share charts."""
    sets: dict[Task, list[tuple[Group, list[pd.DataFrame]]]] = {}
    for group in groups:
        runs = [run for run in group.runs if run.predictions is not None and len(run.predictions)]
        for run in group.finished:
            if not run.writes_predictions:
                continue
            if run not in runs:
                if not has_test(groups):
                    notes.append("There are no test rows, and so no charts of test results.")
                else:
                    notes.append(f"{run.path} has no file of test predictions: its charts are missing.")
            elif run.cut and run.predictions is not None:
                count = f"{len(run.predictions):,}"
                notes.append(f"{run.path} has more than {count} test predictions: the charts show the first {count}.")
        if runs:
            task = task_of(runs[0])
            frames = [frame_of(run) for run in runs if task_of(run) == task]
            sets.setdefault(task, []).append((group, frames))
    return [_results_of(task, members, notes) for task, members in sets.items()]


def _results_of(task: Task, members: Sequence[tuple[Group, list[pd.DataFrame]]], notes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "groups": [group for group, _ in members],
        "by": _predicted_by([group for group, _ in members]),
        "per_node": task.level == "node",
        "noun": "class" if task.kind == "multiclass" or len(task.names) > 1 else "target",
        "seeds": max(len(frames) for _, frames in members),
        "confusion": [],
        "reliability": None,
        "classes": None,
        "values": [],
    }
    if task.kind == "regression":
        found["values"] = _value_charts(task, members, notes)
        return found
    found["classes"] = _class_charts(task, members, notes)
    if task.parts:
        notes.append("As in the mean IoU, the predicted part of a point is one of its shape's own category.")
    if task.has_labels:
        found["reliability"] = _reliability(task, members)
    elif len(task.names) > MOST_CONFUSION:
        notes.append(f"There is no confusion matrix for {len(task.names)} classes (at most {MOST_CONFUSION}).")
    else:
        found["confusion"] = [_confusion(task, group, frames) for group, frames in members]
    return found


def _predicted_by(groups: Sequence[Group]) -> str:
    """Say whose predictions the charts show, where there are networks and predictors."""
    predictors = [any(run.scores("test", "predictor") for run in group.finished) for group in groups]
    networks = any(run.scores("test") for group in groups for run in group.finished)
    if not any(predictors) or not networks:
        return ""
    return "Predictions of the predictor." if all(predictors) else "Predictions of the predictor, where there is one."


def _confusion(task: Task, group: Group, frames: Sequence[pd.DataFrame]) -> dict[str, Any]:
    counts = scores.confusion(frames, task)
    total = counts.sum(1)
    shares = counts / np.maximum(total, 1)[:, None]
    rows = [
        {
            "name": name,
            "total": int(total[number]),
            "cells": [
                {
                    "count": int(count),
                    "share": float(share),
                    "right": other == number,
                    "names": (name, task.names[other]),
                }
                for other, (count, share) in enumerate(zip(counts[number], shares[number], strict=True))
            ],
        }
        for number, name in enumerate(task.names)
    ]
    return {"group": group, "rows": rows, "names": task.names, "seeds": len(frames), "dense": len(task.names) > 14}


def _reliability(task: Task, members: Sequence[tuple[Group, list[pd.DataFrame]]]) -> dict[str, Any]:
    series, errors = [], []
    for group, frames in members:
        parts = [labels(frame, task.names) for frame in frames]
        true, probability = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        predicted, observed, share, error = scores.reliability(true, probability)
        series.append((group.number, predicted, observed, share))
        errors.append({"group": group, "error": f"{error:.3f}"})
    label = "Share that is positive against predicted probability"
    return {"svg": reliability_chart(series, label=label), "errors": errors}


def _class_charts(task: Task, members: Sequence[tuple[Group, list[pd.DataFrame]]], notes: list[str]) -> dict[str, Any]:
    """Return a table row for each class, precision-recall curves, and ROC curves if their area is a metric of a run."""
    has_auc = any(
        run.metric == "auc" or "auc" in (run.summary or {}).get("test", {})
        for group, _ in members
        for run in group.runs
    )
    rows: list[dict[str, Any]] = []
    counts = [scores.confusion(frames, task) if task.kind == "multiclass" else None for _, frames in members]
    arrays = [[one_against_rest(frame, task) for frame in frames] for _, frames in members]
    for number, name in enumerate(task.names):
        row: dict[str, Any] = {"name": name, "cells": [], "lines": [], "roc": [], "base": None, "positives": 0}
        for (group, _), tables, count in zip(members, arrays, counts, strict=True):
            found = [scores.precision_recall(true[:, number], score[:, number]) for true, score in tables]
            defined = [curve for curve in found if curve is not None]
            for recall, precision, _, base in defined:
                row["lines"].append(Line(group.number, recall, precision, step=True))
                row["base"] = base
            values = [curve[2] for curve in defined]
            curves = [scores.roc(true[:, number], score[:, number]) for true, score in tables] if has_auc else []
            areas = [curve[2] for curve in curves if curve is not None]
            row["roc"] += [Line(group.number, curve[0], curve[1]) for curve in curves if curve is not None]
            row["positives"] = int(np.nansum(tables[0][0][:, number] == 1))
            more = scores.class_scores(count)[number] if count is not None else {}
            cell = {
                "ap": float(np.mean(values)) if values else math.nan,
                "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                "auc": float(np.mean(areas)) if areas else math.nan,
            }
            row["cells"].append({"group": group, **cell, **more})
        rows.append(row)
    drawn = [row for row in rows if row["lines"]]
    if len(drawn) > MOST_CLASS_CHARTS:
        notes.append(
            f"Curves are drawn for the {MOST_CLASS_CHARTS} classes with the lowest average precision; "
            f"the table has all {len(rows)}."
        )
        drawn = sorted(drawn, key=lambda row: row["cells"][0]["ap"])[:MOST_CLASS_CHARTS]
    for row in rows:
        if not row["lines"]:
            notes.append(f"{row['name']}: all test labels are the same, so there is no precision-recall curve.")
    return {
        "rows": rows,
        "charts": [{"row": row, "svg": _recall_chart(row)} for row in drawn],
        "rates": [{"row": row, "svg": _rate_chart(row)} for row in drawn if row["roc"]],
        "more": task.kind == "multiclass",
    }


def _recall_chart(row: dict[str, Any]) -> str:
    label = f"{row['name']}: precision by recall"
    return line_chart(row["lines"], label=label, xlabel="recall", ylabel="precision", unit=True, level=row["base"])


def _rate_chart(row: dict[str, Any]) -> str:
    chance = Line(MUTED, [0, 1], [0, 1], dashed=True)
    lines, label = [chance, *row["roc"]], f"{row['name']}: ROC curve"
    return line_chart(lines, label=label, xlabel="false positive rate", ylabel="true positive rate", unit=True)


def _value_charts(
    task: Task, members: Sequence[tuple[Group, list[pd.DataFrame]]], notes: list[str]
) -> list[dict[str, Any]]:
    if len(task.names) > MOST_TARGETS:
        notes.append(f"The charts show the first {MOST_TARGETS} of {len(task.names)} targets.")
    found = []
    for number, name in enumerate(task.names[:MOST_TARGETS]):
        series, cells = [], []
        for group, frames in members:
            arrays = [clipped(frame, task.names) for frame in frames]
            each = [scores.value_scores(true[:, number], pred[:, number]) for true, pred in arrays]
            cells.append(
                {"group": group, **{key: float(np.mean([one[key] for one in each])) for key in ("mae", "rmse", "r2")}}
            )
            true, pred = (column[:, number] for column in labels(frames[0], task.names))
            bound = bounds(frames[0], task.names)[:, number]
            known = np.flatnonzero(~np.isnan(true))
            if len(known) > MOST_POINTS:
                known = np.random.default_rng(0).choice(known, MOST_POINTS, replace=False)
                notes.append(f"{group.label}: the scatter plot of {name} shows {MOST_POINTS:,} random test rows.")
            if len(known):
                series.append(Points(group.number, true[known], pred[known], bound[known]))
        if series:
            bounded = any(points.bound.any() for points in series)
            chart = scatter_chart(series, label=f"{name}: predicted against true values")
            found.append({"name": name, "svg": chart, "cells": cells, "bounded": bounded})
        else:
            notes.append(f"{name}: no test row has a value.")
    return found
