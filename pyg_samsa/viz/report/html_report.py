"""One self-contained HTML page about one run or several side by side: no network, no other file, light and dark."""

from __future__ import annotations

import base64
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pyg_samsa import __version__, metrics
from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.io.files import atomic_write
from pyg_samsa.training.run_record import RunRecord
from pyg_samsa.viz.figure import pretty, shown
from pyg_samsa.viz.report import sections
from pyg_samsa.viz.report.charts import color_variable
from pyg_samsa.viz.tables import arrow, spread

_PICTURES = {"parts.png": "Parts of test shapes: true above, predicted below (wrong points ringed)"}
_TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Group:
    """Runs of the same experiment with the same settings but the seed.

    Args:
        label: Its name on the page.
        number: Its place, which is its colour.
        runs: In the order of their seeds.
    """

    label: str
    number: int
    runs: Sequence[RunRecord]

    @property
    def finished(self) -> list[RunRecord]:
        """The runs that came to their end."""
        return [run for run in self.runs if run.summary is not None]

    @property
    def color(self) -> str:
        """CSS variable of its colour."""
        return color_variable(self.number)


def write_report(runs: Sequence[RunRecord], path: str | os.PathLike[str], *, title: str = "") -> Path:
    """Write a page about runs; those that differ in nothing but the seed are summed up as mean and deviation, others stand side by side.

    Args:
        runs: What the folders hold, at least one.
        path: HTML file to write; an existing one is replaced.
        title: Headline; empty for the names of the experiments.

    Raises:
        ConfigError: There is no run, or the file name does not end in .html.
        MissingDependencyError: jinja2 or matplotlib is not installed.

    Returns:
        The path that was written.

    Example:
        >>> import tempfile
        >>> run = RunRecord(Path("demo/0"), "demo", 0, {"optim.base_lr": 0.1}, summary={"test": {"ap": 0.5}, "val": {}, "monitor": "val_ap"})
        >>> write_report([run], Path(tempfile.mkdtemp()) / "report.html").name
        'report.html'

    Cost: some seconds for each experiment; a page has about 50 kB and 100 kB for each large molecule.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("path", str(path), "a file name that ends in .html")
    if not runs:
        raise ConfigError("runs", [], "at least one run")
    groups = group_runs(runs)
    page = _render({**_context(groups), "title": title or _title(groups)})
    with atomic_write(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


def group_runs(runs: Sequence[RunRecord]) -> list[Group]:
    """Put runs together that stand in the same folder and differ in nothing but the seed.

    Example:
        >>> runs = [RunRecord(Path(f"demo/{seed}"), "demo", seed, {"seed": seed, "K": 8}) for seed in (1, 0)]
        >>> [(group.label, [run.seed for run in group.runs]) for group in group_runs(runs)]
        [('demo', [0, 1])]
    """
    found: dict[Any, list[RunRecord]] = {}
    for run in runs:
        lasting = {key: value for key, value in run.settings.items() if key != "seed" and key not in run.volatile}
        found.setdefault((run.path.absolute().parent, repr(sorted(lasting.items(), key=str))), []).append(run)
    names = [members[0].name for members in found.values()]
    groups = []
    for number, members in enumerate(found.values()):
        name, place = members[0].name, names[:number].count(members[0].name) + 1
        label = f"{name} ({place})" if names.count(name) > 1 else name
        groups.append(Group(label, number, sorted(members, key=lambda run: (run.seed, str(run.path)))))
    return groups


def _title(groups: Sequence[Group]) -> str:
    names = list(dict.fromkeys(group.runs[0].name for group in groups))
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _render(context: Mapping[str, Any]) -> str:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingDependencyError("jinja2", "all", "writing a report") from error
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(context)


def _context(groups: Sequence[Group]) -> dict[str, Any]:
    """Gather everything that the template shows."""
    notes: list[str] = []
    scores = _scores(groups, notes)
    return {
        "version": __version__,
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "groups": groups,
        "single": len(groups) == 1,
        "runs": [_run_row(group, run, notes) for group in groups for run in group.runs],
        "facts": _facts(groups[0]) if len(groups) == 1 else [],
        "scores": scores,
        "marked": any(cell["best"] for row in scores for cell in row["cells"]),
        "costs": _costs(groups),
        "curves": sections.curves(groups, notes),
        "results": sections.results(groups, notes),
        "worst": sections.worst_predictions(groups, notes),
        "pictures": _pictures(groups),
        "config": _config(groups),
        "environment": _environment(groups),
        "notes": list(dict.fromkeys(notes)),
    }


def _run_row(group: Group, run: RunRecord, notes: list[str]) -> dict[str, Any]:
    epochs = 0 if run.history is None else len(run.history)
    if run.summary is None:
        wanted = run.settings.get("optim.max_epoch")
        notes.append(
            f"{run.path} did not finish ({epochs} of {wanted} epochs): it has no test values, and counts in the curves alone."
        )
    return {
        "group": group,
        "seed": run.seed,
        "path": str(run.path),
        "state": "finished" if run.summary is not None else f"stopped after {epochs} epochs",
        "best": (run.summary or {}).get("best_epoch"),
        "value": shown(run.summary["test"][run.metric])
        if run.summary and run.metric in run.summary.get("test", {})
        else "–",
    }


def _values(group: Group, split: str, name: str) -> list[float]:
    values = ((run.summary or {}).get(split, {}).get(name) for run in group.finished)
    return [float(value) for value in values if value is not None and value == value]


def _scores(groups: Sequence[Group], notes: list[str]) -> list[dict[str, Any]]:
    """Return a row for each metric: test and validation value of each group, the best test mean marked."""
    summaries = [run.summary or {} for group in groups for run in group.finished]
    names = list(
        dict.fromkeys(name for summary in summaries for split in ("test", "val") for name in summary.get(split, {}))
    )
    comparable = len({_data(group) for group in groups}) == 1
    if not comparable:
        notes.append(
            "The experiments are about different data: their values cannot be compared, and none is marked as the best."
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


def _data(group: Group) -> tuple[str, str]:
    return str(group.runs[0].settings.get("dataset.format")), str(group.runs[0].settings.get("dataset.name"))


def _facts(group: Group) -> list[tuple[str, str]]:
    """Return the few numbers that stand on top of a page about one experiment."""
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
    many = len(group.runs) > 1
    return [*facts, ("runs", str(len(group.runs))) if many else ("seed", str(group.runs[0].seed))]


def _costs(groups: Sequence[Group]) -> list[dict[str, Any]]:
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
    """Return a duration as a reader says it.

    Example:
        >>> _time(3.2), _time(75), _time(7300)
        ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _pictures(groups: Sequence[Group]) -> list[dict[str, str]]:
    found = []
    for group in groups:
        for name, caption in _PICTURES.items():
            path = next((run.path / name for run in group.runs if (run.path / name).is_file()), None)
            if path is not None:
                found.append(
                    {"data": base64.b64encode(path.read_bytes()).decode(), "caption": caption, "group": group.label}
                )
    return found


def _config(groups: Sequence[Group]) -> dict[str, Any]:
    """Return every setting with the value of each group, those first that differ."""
    keys = list(dict.fromkeys(key for group in groups for key in group.runs[0].settings))
    rows = []
    for key in keys:
        values = [", ".join(dict.fromkeys(_text(run.settings.get(key)) for run in group.runs)) for group in groups]
        rows.append({"key": key, "values": values, "differs": len(set(values)) > 1})
    return {"differing": [row for row in rows if row["differs"]], "rows": rows}


def _text(value: Any) -> str:
    return "–" if value is None else str(value)


def _environment(groups: Sequence[Group]) -> list[dict[str, Any]]:
    named = {
        "time": "Started (UTC)",
        "argv": "Command",
        "python": "Python",
        "platform": "System",
        "cpu": "Processor",
        "cpus": "Cores",
    }
    named |= {"torch_threads": "Threads", "devices": "Accelerators"}
    columns = [_environment_of(group, named) for group in groups]
    keys = list(dict.fromkeys(key for column in columns for key in column))
    rows = [{"name": key, "values": [column.get(key, "–") for column in columns]} for key in keys]
    return [
        {**row, "differs": len(set(row["values"])) > 1 and row["name"] not in (named["time"], named["argv"])}
        for row in rows
    ]


def _environment_of(group: Group, named: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for run in group.runs:
        for key, label in named.items():
            value = run.environment.get(key)
            if value is not None:
                text = (
                    " ".join(map(str, value))
                    if key == "argv"
                    else ", ".join(map(str, value))
                    if isinstance(value, list)
                    else str(value)
                )
                found.setdefault(label, []).append(
                    text.replace("T", " ").replace("+00:00", "") if key == "time" else text or "none"
                )
        for name, version in run.environment.get("packages", {}).items():
            found.setdefault(name, []).append(str(version))
    return {label: ", ".join(dict.fromkeys(values)) for label, values in found.items()}
