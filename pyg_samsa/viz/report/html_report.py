"""One self-contained HTML page about a run, or about several side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pyg_samsa import __version__
from pyg_samsa.errors import ConfigError
from pyg_samsa.training.run_record import RunRecord
from pyg_samsa.viz.figure import shown
from pyg_samsa.viz.pages import write_html
from pyg_samsa.viz.report import overview, predictors, sections
from pyg_samsa.viz.report.groups import Group, group_runs
from pyg_samsa.viz.report.standardized_molecules import standardized_parts
from pyg_samsa.viz.report.worst_predictions import worst_predictions

_TEMPLATE = Path(__file__).parent / "templates" / "report.html.j2"


def write_report(runs: Sequence[RunRecord], path: str | os.PathLike[str], *, title: str = "") -> Path:
    """Write one HTML page about a run or several.

    Runs that differ only in the seed are shown as mean and standard deviation, others side by side.

    Args:
        runs: The runs, at least one.
        path: HTML file to write; an existing one is replaced.
        title: Headline; by default the names of the experiments.

    Raises:
        ConfigError: There is no run, or the file name does not end in .html.
        MissingDependencyError: Jinja2 or matplotlib is not installed.

    Returns:
        The path that was written.

    Example:
        >>> import tempfile
        >>> summary = {"test": {"ap": 0.5}, "val": {}, "monitor": "val_ap"}
        >>> run = RunRecord(Path("demo/0"), "demo", 0, {"optim.base_lr": 0.1}, summary=summary)
        >>> write_report([run], Path(tempfile.mkdtemp()) / "report.html").name
        'report.html'

    Cost: a few seconds per experiment; about 50 kB per page plus 100 kB per large molecule.
    """
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("path", str(path), "a file name that ends in .html")
    if not runs:
        raise ConfigError("runs", [], "at least one run")
    groups = group_runs(runs)
    return write_html(_TEMPLATE, target, {**_context(groups), "title": title or _title(groups)})


def _title(groups: Sequence[Group]) -> str:
    """Return the names of the experiments, or of the folder of many."""
    names = list(dict.fromkeys(group.runs[0].name for group in groups))
    if len(names) <= 3:
        return ", ".join(names)
    folders = {run.path.absolute().parent.parent for group in groups for run in group.runs}
    return folders.pop().name if len(folders) == 1 else f"{', '.join(names[:2])} and {len(names) - 2} more"


def _context(groups: Sequence[Group]) -> dict[str, Any]:
    """Return everything that the template shows."""
    notes: list[str] = []
    scores = overview.score_parts(groups, notes)
    members = predictors.predictor_parts(groups)
    return {
        "version": __version__,
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "groups": groups,
        "single": len(groups) == 1,
        "runs": overview.run_rows(groups, notes),
        "facts": overview.key_facts(groups[0]) if len(groups) == 1 else [],
        "scores": scores,
        "tested": overview.has_test(groups),
        "main": groups[0].runs[0].metric,
        "marked": any(cell["best"] for part in scores for row in part["rows"] for cell in row["cells"]),
        "finished": any(group.finished for group in groups),
        "costs": overview.cost_rows(groups),
        "curves": sections.curves(groups, notes),
        "validated": sections.has_validation(groups),
        "members": members,
        "common": predictors.common_sentences(members),
        "coverage": predictors.coverage_parts(groups),
        "results": sections.results(groups, notes),
        "worst": worst_predictions(groups, notes),
        "standardized": standardized_parts(groups),
        "pictures": overview.pictures(groups),
        "config": overview.config_rows(groups),
        "environment": overview.environment_rows(groups),
        "notes": list(dict.fromkeys(notes)),
        "value": lambda number: overview.typeset(shown(number)),
    }
