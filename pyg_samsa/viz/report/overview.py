"""The tables of the HTML report: runs, metrics, cost, configuration and environment."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pyg_samsa import metrics
from pyg_samsa.training.run_files import own_file
from pyg_samsa.training.run_record import RunRecord
from pyg_samsa.viz.figure import pretty, shown
from pyg_samsa.viz.report.groups import Group
from pyg_samsa.viz.tables import arrow, spread

_PICTURES = {"parts.png": ("Parts of test shapes", "True parts above, predicted parts below; wrong points are ringed.")}
_BY = ("network", "predictor")
_OF_INPUTS = ("dataset.descriptors",)  # settings of the data that leave rows and targets as they are
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


def run_rows(groups: Sequence[Group], notes: list[str]) -> list[dict[str, Any]]:
    """Return the rows of the table of all runs, with test values, or where no run was tested, validation values."""
    split = "test" if has_test(groups) else "val"
    return [_run_row(group, run, split, notes) for group in groups for run in group.runs]


def _run_row(group: Group, run: RunRecord, split: str, notes: list[str]) -> dict[str, Any]:
    epochs = 0 if run.history is None else len(run.history)
    summary = run.summary or {}
    if run.summary is None:
        wanted = run.settings.get("optim.max_epoch")
        notes.append(f"{run.path} did not finish ({epochs} of {wanted} epochs): it is shown in the curves only.")
    if summary.get("fallback"):
        notes.append(f"{run.path}: {summary['fallback']}.")
    value = summary.get(split, {}).get(run.metric)
    return {
        "group": group,
        "seed": run.seed,
        "path": str(run.path),
        "state": "finished" if run.summary is not None else f"stopped after epoch {epochs}",
        "best": None if run.is_predictor else summary.get("best_epoch"),
        "value": "–" if value is None else typeset(shown(value)),
    }


def has_test(groups: Sequence[Group]) -> bool:
    """Return whether any run that finished has test values.

    Example:
        >>> has_test([Group("demo", 0, [])])
        False
    """
    return any(run.scores("test", by) for group in groups for run in group.finished for by in _BY)


def typeset(text: str) -> str:
    """Return numbers as they are printed: with minus signs instead of hyphens.

    Example:
        >>> typeset("-0.5 ± 0.1")
        '−0.5 ± 0.1'
    """
    return text.replace("-", "−")


def _values(group: Group, split: str, name: str, by: str) -> list[float]:
    values = (run.scores(split, by).get(name) for run in group.finished)
    return [float(value) for value in values if value is not None and value == value]


def score_parts(groups: Sequence[Group], notes: list[str]) -> list[dict[str, Any]]:
    """Return the metrics of the networks, and those of the predictors where there are some.

    Each part has ``by``, empty where only networks were trained; ``rows``, one for each metric: the test and validation
    value of each group; and ``tables``: the numbers of the groups with the same metrics, and their rows. The best test
    mean is marked, unless the groups have different test sets; where no run was tested, the best validation mean.
    """
    split = "test" if has_test(groups) else "val"
    comparable = all(_same_test(groups[0], group) for group in groups[1:])
    if not comparable and split == "test":
        notes.append(
            "The experiments have different test sets: their values cannot be compared, so no best value is marked."
        )
    parts = []
    for by in _BY:
        tables = [run.scores(split, by) for group in groups for run in group.finished for split in ("test", "val")]
        names = list(dict.fromkeys(name for table in tables for name in table))
        rows = [_score_row(groups, name, by, split if comparable else None) for name in _main_first(names, groups)]
        if rows:
            parts.append({"by": by, "rows": rows, "tables": _tables(rows)})
    if len(parts) == 1 and parts[0]["by"] == "network":
        parts[0]["by"] = ""
    _note_undefined(groups, notes)
    return parts


def _tables(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put groups with the same metrics into one table; groups without any value are left out."""
    tables: dict[tuple[int, ...], list[int]] = {}
    for place in range(len(rows[0]["cells"])):
        cells = [row["cells"][place] for row in rows]
        known = tuple(number for number, cell in enumerate(cells) if {cell["test"], cell["val"]} != {"–"})
        # A group that lacks a metric of another one, because it is undefined, stays beside it.
        wider = next((numbers for numbers in tables if set(known) <= set(numbers)), known)
        narrower = [numbers for numbers in tables if set(numbers) < set(wider)]
        if known:
            tables[wider] = sorted(
                [*(one for numbers in narrower for one in tables.pop(numbers)), *tables.get(wider, []), place]
            )
    return [
        {"places": places, "rows": [rows[number] for number in numbers]}
        for numbers, places in sorted(tables.items(), key=lambda item: item[1])
    ]


def _main_first(names: Sequence[str], groups: Sequence[Group]) -> list[str]:
    main = groups[0].runs[0].metric
    return sorted(names, key=lambda name: (name != main, name == "loss"))


def _score_row(groups: Sequence[Group], name: str, by: str, compared: str | None) -> dict[str, Any]:
    """Return the row of a metric; ``compared`` is the split whose best mean is marked, None for none."""
    test = [_values(group, "test", name, by) for group in groups]
    means = [
        statistics.fmean(values) if (values := _values(group, compared or "test", name, by)) else None
        for group in groups
    ]
    known = [mean for mean in means if mean is not None]
    direction = metrics.direction(name)
    best = None
    if compared and direction and len(set(known)) > 1:
        best = max(known) if direction > 0 else min(known)
    cells = [
        {
            "test": typeset(spread(values)),
            "val": typeset(spread(_values(group, "val", name, by))),
            "best": best is not None and mean == best,
        }
        for group, values, mean in zip(groups, test, means, strict=True)
    ]
    key = "" if name in pretty(name).lower() else name
    return {
        "name": pretty(name) + arrow(name).replace(" ", "\u00a0"),
        "key": key,
        "main": name == groups[0].runs[0].metric,
        "cells": cells,
    }


def _note_undefined(groups: Sequence[Group], notes: list[str]) -> None:
    """Say which metrics of the networks are undefined, because no value is shown for them."""
    splits: dict[tuple[str, ...], list[str]] = {}
    for split, label in (("val", "validation"), ("test", "test")):
        tables = [(run.summary or {}).get(split, {}) for group in groups for run in group.finished]
        names = dict.fromkeys(pretty(name) for table in tables for name, value in table.items() if value != value)
        if names:
            splits.setdefault(tuple(names), []).append(label)
    for listed, labels in splits.items():
        rows = " and ".join(labels)
        notes.append(f"Undefined on the {rows} rows, for example because all labels are the same: {', '.join(listed)}.")


def _same_test(first: Group, second: Group) -> bool:
    """Return whether two groups were tested on the same rows with the same targets, as far as is known."""
    tables = [_test_set(group) for group in (first, second)]
    if tables[0] is not None and tables[1] is not None:
        return tables[0].equals(tables[1])
    data = [
        {
            key: value
            for key, value in group.runs[0].settings.items()
            if key.startswith("dataset.") and key not in _OF_INPUTS
        }
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
    name, summary = group.runs[0].metric, group.finished[0].summary or {}
    facts: list[tuple[str, str]] = []
    both = all(any(run.scores("test", by) for run in group.finished) for by in ("predictor", "network"))
    for by in ("predictor", "network"):
        split = "test" if _values(group, "test", name, by) else "val"
        if values := _values(group, split, name, by):
            of = f" of the {by}" if both else ""
            facts.append((f"{pretty(name)}{of}, {'validation' if split == 'val' else split}", typeset(spread(values))))
    for official in summary.get("official", {}):
        values = [_official(run)[official] for run in group.finished if official in _official(run)]
        facts.append((f"{official} by OGB's Evaluator, test", typeset(spread(values))))
    if summary.get("parameters"):
        facts.append(("Parameters", f"{summary['parameters']:,}"))
    if "seconds" in summary:
        facts.append(
            ("Training time", _time(sum(float((run.summary or {}).get("seconds", 0)) for run in group.finished)))
        )
    if column := group.runs[0].settings.get("dataset.split_column"):
        facts.append(("Split by column", str(column)))
    many = len(group.runs) > 1
    return [*facts, ("Runs", str(len(group.runs))) if many else ("Seed", str(group.runs[0].seed))]


def _official(run: RunRecord) -> Mapping[str, float]:
    return (run.summary or {}).get("official", {})


def cost_rows(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return rows of parameters, epochs and time; those of the network only where there is one.

    Example:
        >>> from pathlib import Path
        >>> summary = {"parameters": 12345, "best_epoch": 3, "seconds": 75}
        >>> run = RunRecord(Path("demo/0"), "demo", 0, {}, summary=summary)
        >>> [(row["name"], *row["cells"]) for row in cost_rows([Group("demo", 0, [run])])]
        [('Parameters', '12,345'), ('Best epoch', '3'), ('Training time of a run', '1 min 15 s')]
    """

    def row(name: str, key: str, form: Any) -> dict[str, Any]:
        cells = []
        for group in groups:
            runs = [run.summary or {} for run in group.finished]
            # Models on descriptors count trees instead of epochs.
            values = [_cost(run, key) for run in runs if key == "seconds" or run.get("parameters", 1)]
            known = [float(value) for value in values if value is not None]
            cells.append(form(known) if known else "–")
        return {"name": name, "cells": cells}

    def mean(form: Any) -> Any:
        return lambda values: form(statistics.fmean(values))

    rows = [
        row("Parameters", "parameters", mean(lambda value: f"{value:,.0f}")),
        row("Best epoch", "best_epoch", lambda values: ", ".join(f"{value:.0f}" for value in values)),
        row("Epochs", "epochs", lambda values: ", ".join(dict.fromkeys(f"{value:.0f}" for value in values))),
        row("Training time of a run", "seconds", mean(_time)),
        row("Seconds per epoch", "seconds_per_epoch", mean(lambda value: f"{value:.1f}")),
    ]
    return [one for one in rows if set(one["cells"]) != {"–"}]


def _cost(summary: Mapping[str, Any], key: str) -> float | None:
    """Return a value of a summary; of an ensemble the time of an epoch of one network."""
    value = summary.get(key)
    networks = len((summary.get("predictor") or {}).get("members") or [1])
    return value / networks if key == "seconds_per_epoch" and value is not None else value


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


def pictures(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the pictures in the folders of the runs, one of each kind per group."""
    found = []
    for name, (title, caption) in _PICTURES.items():
        paths = [
            (group, next((run.path / name for run in group.runs if own_file(run.path / name)), None))
            for group in groups
        ]
        shots = [
            {"group": group, "data": base64.b64encode(path.read_bytes()).decode()}
            for group, path in paths
            if path is not None
        ]
        if shots:
            found.append({"title": title, "caption": caption, "shots": shots})
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
        for name, version in dict(run.environment.get("packages") or {}).items():
            found.setdefault(name, []).append(str(version))
    return {label: ", ".join(dict.fromkeys(values)) for label, values in found.items()}


def _environment_text(key: str, value: Any) -> str:
    if key == "argv":
        return " ".join(map(str, value))
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text.replace("T", " ").replace("+00:00", "") if key == "time" else text or "none"
