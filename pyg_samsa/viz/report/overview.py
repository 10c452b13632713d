"""The tables of the HTML report: runs, metrics, cost, configuration and environment."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pyg_samsa import metrics
from pyg_samsa.training.run_record import RunRecord
from pyg_samsa.viz.figure import pretty, shown
from pyg_samsa.viz.report.groups import Group
from pyg_samsa.viz.tables import arrow, spread

_PICTURES = {"parts.png": "Parts of test shapes: true above, predicted below (wrong points ringed)"}
_ENVIRONMENT = {
    "time": "Started (UTC)",
    "argv": "Command",
    "python": "Python",
    "platform": "System",
    "cpu": "Processor",
    "cpus": "Cores",
    "torch_threads": "Threads",
    "devices": "Accelerators",
}


def run_row(group: Group, run: RunRecord, notes: list[str]) -> dict[str, Any]:
    """Return the row of a run in the table of all runs."""
    epochs = 0 if run.history is None else len(run.history)
    if run.summary is None:
        wanted = run.settings.get("optim.max_epoch")
        notes.append(f"{run.path} did not finish ({epochs} of {wanted} epochs): it is shown in the curves only.")
    test = (run.summary or {}).get("test", {})
    return {
        "group": group,
        "seed": run.seed,
        "path": str(run.path),
        "state": "finished" if run.summary is not None else f"stopped after {epochs} epochs",
        "best": (run.summary or {}).get("best_epoch"),
        "value": shown(test[run.metric]) if run.metric in test else "–",
    }


def _values(group: Group, split: str, name: str) -> list[float]:
    values = ((run.summary or {}).get(split, {}).get(name) for run in group.finished)
    return [float(value) for value in values if value is not None and value == value]


def score_rows(groups: Sequence[Group], notes: list[str]) -> list[dict[str, Any]]:
    """Return a row for each metric: the test and validation value of each group; the best test mean is marked."""
    summaries = [run.summary or {} for group in groups for run in group.finished]
    names = list(
        dict.fromkeys(name for summary in summaries for split in ("test", "val") for name in summary.get(split, {}))
    )
    comparable = all(_same_test(groups[0], group) for group in groups[1:])
    if not comparable:
        notes.append(
            "The experiments have different test sets: their values cannot be compared, so no best value is marked."
        )
    main = groups[0].runs[0].metric
    rows = []
    for name in sorted(names, key=lambda name: (name != main, name == "loss")):
        test = [_values(group, "test", name) for group in groups]
        means = [statistics.fmean(values) if values else None for values in test]
        known = [mean for mean in means if mean is not None]
        best = (
            (max(known) if metrics.direction(name) > 0 else min(known))
            if comparable and metrics.direction(name) and len(known) > 1
            else None
        )
        cells = [
            {
                "test": spread(values),
                "val": spread(_values(group, "val", name)),
                "best": best is not None and mean == best,
                "n": len(values),
            }
            for group, values, mean in zip(groups, test, means, strict=True)
        ]
        rows.append({"name": pretty(name) + arrow(name), "main": name == main, "cells": cells})
    return rows


def _same_test(first: Group, second: Group) -> bool:
    """Return whether two groups were tested on the same rows with the same targets, as far as is known."""
    tables = [_test_set(group) for group in (first, second)]
    if tables[0] is not None and tables[1] is not None:
        return tables[0].equals(tables[1])
    data = [
        {key: value for key, value in group.runs[0].settings.items() if key.startswith("dataset.")}
        for group in (first, second)
    ]
    return data[0] == data[1]


def _test_set(group: Group) -> pd.DataFrame | None:
    """Return rows and targets of the first run of a group that has test predictions."""
    found = next((run.predictions for run in group.finished if run.predictions is not None), None)
    if found is None:
        return None
    return found[[name for name in found if not str(name).endswith("pred")]].reset_index(drop=True)


def key_facts(group: Group) -> list[tuple[str, str]]:
    """Return the numbers at the top of a page about one experiment."""
    if not group.finished:
        return []
    name = group.runs[0].metric
    split, summary = "test" if _values(group, "test", name) else "val", group.finished[0].summary or {}
    facts: list[tuple[str, str]] = []
    if values := _values(group, split, name):
        facts.append((f"{pretty(name)}, {'validation' if split == 'val' else split}", spread(values)))
    if "parameters" in summary:
        facts.append(("parameters", f"{summary['parameters']:,}"))
    if "seconds" in summary:
        facts.append(
            ("training time", _time(sum(float((run.summary or {}).get("seconds", 0)) for run in group.finished)))
        )
    if column := group.runs[0].settings.get("dataset.split_column"):
        facts.append(("split by column", str(column)))
    many = len(group.runs) > 1
    return [*facts, ("runs", str(len(group.runs))) if many else ("seed", str(group.runs[0].seed))]


def cost_rows(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return rows of parameters, epochs and time.

    Example:
        >>> [row["name"] for row in cost_rows([])]
        ['Parameters', 'Best epoch', 'Epochs', 'Training time of a run', 'Seconds an epoch']
    """

    def row(name: str, key: str, form: Any) -> dict[str, Any]:
        columns = [[(run.summary or {}).get(key) for run in group.finished] for group in groups]
        return {
            "name": name,
            "cells": [form([float(value) for value in column if value is not None]) for column in columns],
        }

    def mean(form: Any) -> Any:
        return lambda values: form(statistics.fmean(values)) if values else "–"

    return [
        row("Parameters", "parameters", mean(lambda value: f"{value:,.0f}")),
        row("Best epoch", "best_epoch", lambda values: ", ".join(f"{value:.0f}" for value in values) or "–"),
        row("Epochs", "epochs", lambda values: ", ".join(dict.fromkeys(f"{value:.0f}" for value in values)) or "–"),
        row("Training time of a run", "seconds", mean(_time)),
        row("Seconds an epoch", "seconds_per_epoch", mean(lambda value: f"{value:.1f}")),
    ]


def _time(seconds: float) -> str:
    """Format a duration.

    Example:
        >>> _time(3.2), _time(75), _time(7300)
        ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def pictures(groups: Sequence[Group]) -> list[dict[str, str]]:
    """Return the pictures in the folders of the runs, one of each kind per group."""
    found = []
    for group in groups:
        for name, caption in _PICTURES.items():
            path = next((run.path / name for run in group.runs if (run.path / name).is_file()), None)
            if path is not None:
                found.append(
                    {"data": base64.b64encode(path.read_bytes()).decode(), "caption": caption, "group": group.label}
                )
    return found


def config_rows(groups: Sequence[Group]) -> dict[str, Any]:
    """Return the value of every setting in each group, and those that differ on their own.

    Example:
        >>> from pathlib import Path
        >>> runs = [RunRecord(Path(f"demo{layers}/0"), "demo", 0, {"samsa.layers": layers}) for layers in (2, 4)]
        >>> config_rows([Group(run.name, number, [run]) for number, run in enumerate(runs)])["differing"]
        [{'key': 'samsa.layers', 'values': ['2', '4'], 'differs': True}]
    """
    keys = list(dict.fromkeys(key for group in groups for key in group.runs[0].settings))
    rows = []
    for key in keys:
        values = [", ".join(dict.fromkeys(_text(run.settings.get(key)) for run in group.runs)) for group in groups]
        rows.append({"key": key, "values": values, "differs": len(set(values)) > 1})
    return {"differing": [row for row in rows if row["differs"]], "rows": rows}


def _text(value: Any) -> str:
    return "–" if value is None else str(value)


def environment_rows(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the environment of each group."""
    columns = [_environment_of(group, _ENVIRONMENT) for group in groups]
    keys = list(dict.fromkeys(key for column in columns for key in column))
    rows = [{"name": key, "values": [column.get(key, "–") for column in columns]} for key in keys]
    return [
        {
            **row,
            "differs": len(set(row["values"])) > 1 and row["name"] not in (_ENVIRONMENT["time"], _ENVIRONMENT["argv"]),
        }
        for row in rows
    ]


def _environment_of(group: Group, named: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for run in group.runs:
        for key, label in named.items():
            if run.environment.get(key) is not None:
                found.setdefault(label, []).append(_environment_text(key, run.environment[key]))
        for name, version in run.environment.get("packages", {}).items():
            found.setdefault(name, []).append(str(version))
    return {label: ", ".join(dict.fromkeys(values)) for label, values in found.items()}


def _environment_text(key: str, value: Any) -> str:
    if key == "argv":
        return " ".join(map(str, value))
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace("T", " ").replace("+00:00", "") if key == "time" else text or "none"
