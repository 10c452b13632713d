"""The report of ``python -m benchmarks.gpu``: one page of Markdown from the files of its stages."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import operators, step_counts
from pyg_samsa.io.files import atomic_write

State = Mapping[str, Mapping[str, Any]]


def slug(name: str) -> str:
    """Return a name as a part of a path.

    Example:
        >>> slug("bf16, compiled")
        'bf16-compiled'
    """
    return name.replace(", ", "-").replace(" ", "-")


def outcome(command: Mapping[str, Any]) -> str:
    """Return what became of a command.

    Example:
        >>> outcome({"returncode": 0}), outcome({"returncode": None}), outcome({"returncode": 2})
        ('done', 'stopped at the limit', 'failed with exit code 2')
    """
    if command["returncode"] is None:
        return "stopped at the limit"
    return "done" if command["returncode"] == 0 else f"failed with exit code {command['returncode']}"


def write(out: Path, state: State, precisions: Sequence[str]) -> Path:
    """Write ``report.md``, and ``training.html`` where there is a training; return the first.

    Args:
        out: Folder of the results.
        state: From `benchmarks.gpu.run_stages`.
        precisions: Names of the runs whose epochs were timed.
    """
    parts = [_machine(), _commands(state)]
    parts += [_tests(out / "tests.xml")] if (out / "tests.xml").exists() else []
    parts += list(_table(out / "operators.json", operators, "Operators against the CPU in float64"))
    for path in sorted((out / "kernels").glob("*/results.md")):
        parts.append(f"## Attention and blocks, {path.parent.name}\n\n{path.read_text(encoding='utf-8')}")
    title = "Operations of a training step, counted on the CPU"
    parts += list(_table(out / "launches.json", step_counts, title))
    parts += [_epochs(out / "runs", precisions)]
    parts += list(_training(out))
    path = out / "report.md"
    with atomic_write(path) as partial:
        partial.write_text("\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8")
    return path


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, title: str) -> str:
    """Return a Markdown table below a title.

    Example:
        >>> print(table(["a", "b"], [["1", "2"]], title="Two"))
        ## Two
        <BLANKLINE>
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    lines = [f"## {title}", "", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _table(path: Path, suite: Any, title: str) -> Iterator[str]:
    """Yield the table of a file, if it is there, as the module that wrote it prints it."""
    if path.exists():
        yield table(suite.COLUMNS, suite.cells(_load(path)), title=title)


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _machine() -> str:
    from pyg_samsa.training.environment import describe

    about = describe()
    devices = ", ".join(about["devices"]) or "no GPU"
    versions = ", ".join(f"{name} {about['packages'][name]}" for name in ("torch", "torch-geometric", "pyg-samsa"))
    return f"# {devices}\n\n{about['cpu']}, {about['cpus']} processors, Python {about['python']}, {versions}."


def _commands(state: State) -> str:
    rows = [[name, outcome(command), f"{command['seconds']:,.0f}"] for name, command in state.items()]
    return table(["command", "outcome", "seconds"], rows, title="What ran")


def _tests(path: Path) -> str:
    """Return the counts of the tests, and the names of those that failed."""
    suite = next(ElementTree.parse(path).getroot().iter("testsuite"))
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    failed = [
        f"- `{case.get('classname')}::{case.get('name')}`"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    line = f"{passed} passed, {len(failed)} failed, {counts['skipped']} skipped."
    return "\n".join(["## Tests marked cuda", "", line, *([""] if failed else []), *failed])


def epoch_seconds(folder: Path) -> list[float]:
    """Return the seconds of each epoch of a run, with validation.

    Args:
        folder: Folder of the run, which holds ``metrics.csv``.
    """
    import csv

    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        return [float(row["seconds"]) for row in csv.DictReader(file)]


def _run_folder(runs: Path, name: str) -> Path | None:
    """Return the folder that was written last: runs with other settings have folders of their own."""
    found = sorted((runs / slug(name)).glob("*/metrics.csv"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def _epochs(runs: Path, precisions: Sequence[str]) -> str:
    rows = []
    for name in precisions:
        folder = _run_folder(runs, name)
        if folder is not None and (seconds := epoch_seconds(folder)):
            later = seconds[1:] or seconds
            rows.append([name, str(len(seconds)), f"{seconds[0]:,.1f}", f"{statistics.median(later):,.1f}"])
    head = ["precision", "epochs", "seconds of the first", "median of the others"]
    return table(head, rows, title="Seconds of an epoch, with loading and validation") if rows else ""


def _training(out: Path) -> Iterator[str]:
    folder = _run_folder(out / "runs", "training")
    if folder is None:
        return
    seconds = epoch_seconds(folder)
    epochs = "1 epoch" if len(seconds) == 1 else f"{len(seconds)} epochs"
    lines = [f"{epochs} in {sum(seconds):,.0f} s of training and validation."]
    if (folder / "summary.json").exists():
        summary = _load(folder / "summary.json")
        scores = ", ".join(f"{name} {value:.4f}" for name, value in summary["test"].items())
        lines.append(f"Test split, epoch {summary['best_epoch']}: {scores}.")
        page = out / "training.html"
        report = [sys.executable, "-m", "pyg_samsa", "report", str(folder), "--out", str(page)]
        if subprocess.run(report, check=False, stdout=subprocess.DEVNULL).returncode == 0:
            lines.append(f"Curves and settings: {page.name}.")
    else:
        lines.append("The training is not over; the same command continues it.")
    yield "\n".join(["## Training", "", *lines])
