"""Tables, JSON and plots of a benchmark run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.suites import exponent
from pyg_samsa.io.files import atomic_write
from pyg_samsa.viz.figure import INK, MUTED, VAL, new_figure, save, style

Row = Mapping[str, Any]
COLUMNS = (
    "contestant",
    "median ms",
    "quartiles",
    "x SAMSA",
    "by products",
    "peak MB",
    "of product rate",
    "kernel",
    "output",
)
TEXT = ("contestant", "kernel", "output")


def table(rows: Sequence[Row]) -> Table:
    """Return the table of one workload."""
    first = rows[0]
    title = f"{first['suite']}: {first['workload']}, D {first['channels']}, K {first['samples']}"
    out = Table(title=title, title_justify="left", title_style="bold")
    for column in COLUMNS:
        out.add_column(column, justify="left" if column in TEXT else "right")
    for row in rows:
        out.add_row(*_cells(row))
    return out


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of texts without a title."""
    out = Table(*columns)
    for row in rows:
        out.add_row(*row)
    return out


def _cells(row: Row) -> list[str]:
    """Return the cells of a row, in the order of COLUMNS."""
    return [
        row["contestant"],
        f"{1e3 * row['seconds']:,.1f}",
        f"{1e3 * row['low']:,.1f} - {1e3 * row['high']:,.1f}",
        _given(row["ratio"], ".2f"),
        _given(row["products"], ".2f"),
        f"{row['peak_bytes'] / 1e6:,.1f}",
        _given(row["of_rate"], ".0%"),
        row["kernel"],
        row["check"],
    ]


def _given(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def workloads(rows: Sequence[Row]) -> list[list[Row]]:
    """Group the rows by workload, in the order in which they ran."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(
            (row["suite"], row["workload"], row["samples"], "" if row["suite"] != "model" else row["contestant"]), []
        ).append(row)
    return list(groups.values())


def exponents(rows: Sequence[Row]) -> list[tuple[str, float, float]]:
    """Return name, exponent of time and exponent of memory in the number of tokens, for the scaling suite."""
    out = []
    names = dict.fromkeys(row["contestant"] for row in rows if row["suite"] == "scaling")
    for name in names:
        own = [row for row in rows if row["suite"] == "scaling" and row["contestant"] == name]
        if len(own) > 1:
            tokens = [row["tokens"] for row in own]
            out.append(
                (
                    name,
                    exponent(tokens, [row["seconds"] for row in own]),
                    exponent(tokens, [row["peak_bytes"] for row in own]),
                )
            )
    return out


def markdown(environment: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Return all tables as Markdown, below a line about the machine."""
    machine = environment["cpu"] if environment["device"] == "cpu" else environment["devices"][0]
    lines = [
        f"{machine}, {environment['torch_threads']} threads, {environment['dtype']}, "
        f"torch {environment['packages']['torch']}; "
        f"one large matrix product: {environment['product_rate'] / 1e9:,.0f} GFLOP/s.",
    ]
    for group in workloads(rows):
        first = group[0]
        lines += ["", f"**{first['suite']}: {first['workload']}, D {first['channels']}, K {first['samples']}**", ""]
        lines += [
            f"| {' | '.join(COLUMNS)} |",
            f"|{'|'.join('---' if column in TEXT else '---:' for column in COLUMNS)}|",
        ]
        lines += [f"| {' | '.join(_cells(row))} |" for row in group]
    lines += [
        "",
        *(
            f"{name}: time grows with tokens to the power {time:.2f}, memory {memory:.2f}."
            for name, time, memory in exponents(rows)
        ),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def write(folder: Path, environment: Mapping[str, Any], rows: Sequence[Row]) -> list[Path]:
    """Write ``results.json``, ``results.md`` and the plots; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    with atomic_write(path) as temporary:
        temporary.write_text(
            json.dumps({"environment": dict(environment), "rows": list(rows), "exponents": exponents(rows)}, indent=1)
        )
    paths = [path, folder / "results.md"]
    with atomic_write(paths[1]) as temporary:
        temporary.write_text(markdown(environment, rows))
    if any(row["suite"] == "scaling" for row in rows):
        paths.append(_plot_scaling(rows, folder / "scaling.png"))
    for suite in ("attention", "block", "train"):
        if any(row["suite"] == suite for row in rows):
            paths.append(_plot_ratios([row for row in rows if row["suite"] == suite], folder / f"{suite}.png"))
    return paths


def _plot_scaling(rows: Sequence[Row], path: Path) -> Path:
    figure = new_figure(9.5, 4.2, "One block on a single input: time and peak memory against its length")
    panels = figure.subplots(1, 2)
    fits = {name: (time, memory) for name, time, memory in exponents(rows)}
    for axes, key, unit, scale, number in (
        (panels[0], "seconds", "seconds", 1.0, 0),
        (panels[1], "peak_bytes", "MB", 1e-6, 1),
    ):
        style(axes, grid="y")
        for name, color in (("SAMSA", VAL), ("packed full", MUTED)):
            own = [row for row in rows if row["suite"] == "scaling" and row["contestant"] == name]
            if own:
                label = f"{name}, exponent {fits[name][number]:.2f}" if name in fits else name
                axes.plot(
                    [row["tokens"] for row in own],
                    [scale * row[key] for row in own],
                    marker="o",
                    color=color,
                    label=label,
                )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("tokens", color=INK)
        axes.set_ylabel(unit, color=INK)
        axes.legend(frameon=False, fontsize=9)
    return save(figure, path)


def _plot_ratios(rows: Sequence[Row], path: Path) -> Path:
    from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

    groups = [group for group in workloads(rows) if len(group) > 1]
    bars = [(group[0], row) for group in groups for row in group if row["contestant"] != "SAMSA"]
    figure = new_figure(9.5, 2.0 + 0.3 * (len(bars) + len(groups)), f"{rows[0]['suite']}: time relative to SAMSA")
    axes = figure.subplots()
    style(axes, grid="x")
    place, ticks, names = 0.0, [], []
    for group in groups:
        axes.text(
            0,
            place,
            f"{group[0]['workload']}, K {group[0]['samples']}",
            transform=axes.get_yaxis_transform(),
            fontweight="bold",
            color=INK,
            va="center",
        )
        place += 1
        for row in group:
            if row["contestant"] == "SAMSA":
                continue
            axes.barh(place, row["ratio"] - 1, left=1, color=VAL if row["ratio"] >= 1 else "#ea580c", height=0.7)
            axes.text(max(row["ratio"], 1) * 1.04, place, f"{row['ratio']:.2f}", va="center", fontsize=9, color=INK)
            ticks.append(place)
            names.append(row["contestant"])
            place += 1
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_yticks(ticks, names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    return save(figure, path)
