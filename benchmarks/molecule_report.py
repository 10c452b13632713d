"""Finished cells of ``benchmarks.molecules``: their file, and the tables made of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from pyg_samsa.errors import ConfigError
from pyg_samsa.io.files import atomic_write
from pyg_samsa.viz.tables import arrow, spread

Cell = Mapping[str, Any]
FORMAT = "molecules-1"
KEY = ("set", "digest", "targets", "split", "seed", "contestant", "flags", "threads")
COLUMNS = ("seconds", "CPU seconds", "peak MB", "seeds")


class Cells:
    """The finished cells in a JSON file, which is written after each of them.

    Args:
        path: The file; a new one is made with the first cell.

    Raises:
        ConfigError: The file is not one of these.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cells: list[dict[str, Any]] = []
        if path.is_file():
            try:
                read = json.loads(path.read_text(encoding="utf-8"))
                if read["format"] != FORMAT:
                    raise ValueError
                self.cells = read["cells"]
            except (ValueError, KeyError, TypeError):
                raise ConfigError("--out", str(path), "a new file, or one that this command wrote") from None

    def find(self, key: Cell) -> dict[str, Any] | None:
        """Return the finished cell with the values of :data:`KEY`, or None."""
        return next((cell for cell in self.cells if all(cell[name] == key[name] for name in KEY)), None)

    def add(self, cell: dict[str, Any]) -> None:
        """Add a cell and write the file."""
        self.cells.append(cell)
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps({"format": FORMAT, "cells": self.cells}, indent=1), encoding="utf-8")


def groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Group cells by set and split, in the order in which they come."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell["set"], cell["split"]), []).append(cell)
    return list(found.values())


def lines(cells: Sequence[Cell]) -> list[list[str]]:
    """Return the rows of the table of one set and split: mean and standard deviation over seeds.

    The first row of a contestant has its time and memory. Other values of the same training follow without.
    """
    out = []
    for name in dict.fromkeys(cell["contestant"] for cell in cells):
        own = [cell for cell in cells if cell["contestant"] == name]
        for number, label in enumerate(dict.fromkeys(label for cell in own for label in cell["scores"])):
            values = [cell["scores"][label] for cell in own if label in cell["scores"]]
            scores = [spread([v[part] for v in values if v.get(part) is not None]) for part in ("val", "test")]
            used = [
                _mean([cell["seconds"] for cell in own]),
                _mean([cell["cpu_seconds"] for cell in own]),
                _mean([cell["peak_bytes"] / 1e6 for cell in own]),
                str(len(values)),
            ]
            out.append([label, *scores, *(used if number == 0 else [""] * len(used))])
    return out


def _mean(values: Sequence[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:,.1f}" if mean < 100 else f"{mean:,.0f}"


def title(cells: Sequence[Cell]) -> str:
    """Return the line above a table."""
    first = cells[0]
    sizes = " / ".join(f"{size:,}" for size in first["sizes"])
    threads = f"{first['threads']} thread{'s' * (first['threads'] > 1)}"
    return f"{first['set']}, {first['split']}: {first['task']}, {sizes} rows, {threads}"


def header(cells: Sequence[Cell]) -> list[str]:
    """Return the names of the columns."""
    metric = cells[0]["metric"]
    return ["contestant", *(f"{part} {metric}{arrow(metric)}" for part in ("val", "test")), *COLUMNS]


def table(cells: Sequence[Cell]) -> Table:
    """Return the table of one set and split for the terminal."""
    out = Table(title=title(cells), title_justify="left", title_style="bold")
    for number, column in enumerate(header(cells)):
        out.add_column(column, justify="right" if number else "left")
    for line in lines(cells):
        out.add_row(*line)
    return out


def markdown(cells: Sequence[Cell]) -> str:
    """Return all tables as Markdown, below a line with processors and versions."""
    versions = {f"{name} {version}" for cell in cells for name, version in cell["versions"].items()}
    cpus = sorted({cell["cpu"] for cell in cells})
    out = [f"{', '.join(cpus)}; {', '.join(sorted(versions))}."]
    for group in groups(cells):
        names = header(group)
        out += ["", f"**{title(group)}**", "", f"| {' | '.join(names)} |", "|---" + "|---:" * (len(names) - 1) + "|"]
        out += [f"| {' | '.join(line)} |" for line in lines(group)]
    return "\n".join(out) + "\n"
