"""Table and figures of a sweep: the metric by cell, by varied setting and by time."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError
from pyg_samsa.io.formulas import restore_table
from pyg_samsa.viz.figure import (
    GRID,
    INK,
    MUTED,
    PAPER,
    VAL,
    add_legend,
    check_path,
    legend_handles,
    new_figure,
    pretty,
    save,
    style,
)
from pyg_samsa.viz.tables import arrow, spread

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from rich.table import Table

# Distinct for most kinds of colour blindness.
SERIES = (VAL, "#ea580c", "#059669", "#a855f7", "#db2777", "#0891b2", "#ca8a04", "#64748b")
_MANY_CELLS = 14
_LOG_RATIO = 8.0


def sweep_table(results: pd.DataFrame, *, metric: str, keys: Sequence[str], title: str = "Sweep") -> Table:
    """Return a table of the cells: mean and standard deviation of the metric, and cost.

    Args:
        results: One row per run, with columns ``cell``, ``seed``, ``metric``, the ``keys``, ``parameters``,
            ``seconds_per_epoch``, ``seconds`` and ``peak_memory_mib``.
        metric: Column to summarise.
        keys: Columns of the settings that differ between cells.
        title: Headline.

    Returns:
        A rich table with a row per cell, in the order of ``results``; the best mean is bold.

    Raises:
        ConfigError: There is no row, or a column is missing.

    Example:
        >>> import pandas as pd
        >>> from rich.console import Console
        >>> rows = pd.DataFrame({"cell": ["a", "a"], "seed": [0, 1], "test_ap": [0.6, 0.62], "K": ["8", "8"]})
        >>> rows["parameters"], rows["seconds"] = 10, 3.0
        >>> table = sweep_table(rows, metric="test_ap", keys=["K"])
        >>> Console(width=80, no_color=True).print(table)  # doctest: +ELLIPSIS
        Sweep...0.6100 ± 0.0141...
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    _check(results, metric, keys)
    look: dict[str, Any] = {"title_style": "bold", "title_justify": "left", "header_style": "bold"}
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), **look)
    shown = list(keys) if keys else ["cell"]
    for key in shown:
        # A long name is broken at its point.
        table.add_column(key.replace(".", ".\n"), overflow="fold")
    table.add_column("seeds", justify="right")
    split, _, name = metric.partition("_")
    table.add_column(f"{split}\n{name}{arrow(name)}", justify="right", no_wrap=True)
    costs = {"parameters": "{:,.0f}", "seconds_per_epoch": "{:.1f}", "seconds": "{:.0f}", "peak_memory_mib": "{:,.0f}"}
    costs = {name: form for name, form in costs.items() if name in results and results[name].notna().any()}
    for name in costs:
        table.add_column(
            {"seconds_per_epoch": "s/epoch", "seconds": "s", "peak_memory_mib": "peak\nMiB"}.get(name, name),
            justify="right",
        )
    groups = [rows for _, rows in results.groupby("cell", sort=False)]
    best = _best([rows[metric].mean() for rows in groups], metric)
    for number, rows in enumerate(groups):
        first = rows.iloc[0]
        cost = [form.format(rows[name].mean()) if rows[name].notna().any() else "–" for name, form in costs.items()]
        score = spread([float(value) for value in rows[metric].dropna()])
        table.add_row(
            *(escape(str(first[key])) for key in shown),  # a list such as [fragment] is no markup
            str(len(rows)),
            f"[bold green]{score}[/]" if number == best else score,
            *cost,
        )
    return table


def plot_sweep(
    results: pd.DataFrame, path: str | os.PathLike[str], *, metric: str, keys: Sequence[str], title: str = "Sweep"
) -> Path:
    """Draw the metric against the varied settings and against time, with one standard deviation over the seeds.

    The x axis is the first varied setting that is a number, logarithmic if its values differ by more than a factor of
    8, with a line for each combination of the other settings. Without such a setting, each cell has a row of its own.
    Every seed is a dot.

    Args:
        results: One row per run, with columns ``cell``, ``seed``, ``metric``, the ``keys`` and ``seconds``.
        path: File to write, ending in .png, .pdf or .svg; an existing one is replaced.
        metric: Column to draw.
        keys: Columns of the settings that differ between cells.
        title: Headline.

    Returns:
        ``path``.

    Raises:
        ConfigError: There is no row, a column is missing, or the suffix of the path is unknown.
        MissingDependencyError: Matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"cell": ["a", "b"], "seed": 0, "test_ap": [0.6, 0.7], "K": ["8", "32"]})
        >>> rows["seconds"] = [3.0, 4.0]
        >>> plot_sweep(rows, Path(tempfile.mkdtemp()) / "sweep.png", metric="test_ap", keys=["K"]).name
        'sweep.png'

    Cost: about a second.
    """
    target = check_path(path)
    _check(results, metric, [*keys, "seconds"])
    results = results[results[metric].notna()]
    if results.empty:
        raise ConfigError("metric", metric, "a metric with a value in at least one run")
    axis = next((key for key in keys if _is_number(results[key])), None)
    cells = results["cell"].nunique()
    figure = new_figure(11.0, 4.6 if axis is not None else 2.3 + 0.42 * max(4, cells), title)
    left, right = figure.subplots(1, 2)
    if axis is not None:
        series = _series(results, [key for key in keys if key != axis])
        _lines(left, series, axis, metric)
        _times(right, series, metric, axis)
    else:
        series = [(str(label), rows) for label, rows in results.groupby("cell", sort=False)]
        _bars(left, series, metric)
        _times(right, series, metric, None)
    if axis is not None and len(series) > 1:
        handles = legend_handles(left)
        add_legend(figure, handles, columns=min(4, len(handles)), fontsize=9.5)
    return save(figure, target)


def plot_curves(
    results: pd.DataFrame, path: str | os.PathLike[str], *, metric: str, title: str = "Learning curves"
) -> Path:
    """Draw a validation metric against optimiser steps and against seconds, one line per cell.

    A line is the mean over the seeds, its band goes from their minimum to their maximum.

    Args:
        results: One row per run, with columns ``cell`` and ``folder``, which holds the run's ``metrics.csv``.
        path: File to write, ending in .png, .pdf or .svg; an existing one is replaced.
        metric: Name of the metric, without a split.
        title: Headline.

    Returns:
        ``path``.

    Raises:
        ConfigError: There is no row, the runs have no such metric, or the suffix of the path is unknown.
        MissingDependencyError: Matplotlib is not installed.

    Cost: about a second.
    """
    import pandas as pd
    from matplotlib.ticker import MaxNLocator

    target = check_path(path)
    column = f"val_{metric}"
    _check(results, "cell", ["folder"])
    figure = new_figure(11.0, 4.9, title)
    left, right = figure.subplots(1, 2, sharey=True)
    panels = {"step": (left, "optimiser steps"), "total_seconds": (right, "seconds of training and validation")}
    for axes, name in panels.values():
        style(axes, grid="y")
        axes.set_xlabel(name, fontsize=10, color=MUTED)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_title(f"{pretty(metric)}, validation", loc="left", fontsize=12, color=INK, pad=10)
    for number, (label, rows) in enumerate(results.groupby("cell", sort=False)):
        # Lines beyond the number of colours are dashed.
        color, (line, marker) = SERIES[number % len(SERIES)], ("-", "o") if number < len(SERIES) else ("--", "s")
        epochs = pd.concat([restore_table(pd.read_csv(Path(folder) / "metrics.csv")) for folder in rows["folder"]])
        if column not in epochs:
            raise ConfigError(
                "metric", metric, [name.removeprefix("val_") for name in map(str, epochs) if name.startswith("val_")]
            )
        of_epoch = epochs.groupby("epoch")
        mean = of_epoch[[*panels, column]].mean()
        for axis, (axes, _) in panels.items():
            axes.plot(
                mean[axis],
                mean[column],
                color=color,
                linewidth=2,
                linestyle=line,
                marker=marker,
                markersize=3.5,
                label=str(label),
            )
            axes.fill_between(
                mean[axis], of_epoch[column].min(), of_epoch[column].max(), color=color, alpha=0.12, linewidth=0
            )
    add_legend(figure, legend_handles(left), fontsize=9.5)
    return save(figure, target)


def _check(results: pd.DataFrame, metric: str, columns: Sequence[str]) -> None:
    if not len(results):
        raise ConfigError("results", "0 rows", "at least one finished run")
    for column in ("cell", metric, *columns):
        if column not in results:
            raise ConfigError(
                "metric" if column == metric else "results", column, [str(name) for name in results.columns]
            )


def _is_number(values: pd.Series) -> bool:
    import pandas as pd

    return values.nunique() > 1 and bool(pd.to_numeric(values, errors="coerce").notna().all())


def _series(results: pd.DataFrame, keys: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """Split the runs by the settings that are not on the axis."""
    keys = [key for key in keys if results[key].nunique() > 1]
    if not keys:
        return [("", results)]
    groups = results.groupby(keys, sort=False)
    return [
        (", ".join(_label(key, value) for key, value in zip(keys, values, strict=True)), rows)
        for values, rows in groups
    ]


def _label(key: str, value: object) -> str:
    return str(value) if key == "name" else f"{key.rpartition('.')[2]} {value}"


def _best(means: Sequence[float], metric: str) -> int | None:
    name = metric.partition("_")[2]
    direction = metrics.direction(name)
    if sum(mean == mean for mean in means) < 2 or not direction:
        return None
    return (max if direction > 0 else min)(
        (number for number, mean in enumerate(means) if mean == mean), key=means.__getitem__
    )


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _points(rows: pd.DataFrame, metric: str, axis: str) -> tuple[list[float], list[float], list[float]]:
    table = rows.assign(axis=rows[axis].astype(float)).groupby("axis")[metric]
    groups = [(float(str(x)), [float(value) for value in values]) for x, values in table]
    return (
        [x for x, _ in groups],
        [statistics.fmean(values) for _, values in groups],
        [_deviation(values) for _, values in groups],
    )


def _lines(axes: Axes, series: Sequence[tuple[str, pd.DataFrame]], axis: str, metric: str) -> None:
    style(axes, grid="y")
    for (label, rows), color in zip(series, cycle(SERIES), strict=False):
        x, mean, deviation = _points(rows, metric, axis)
        axes.scatter(rows[axis].astype(float), rows[metric], s=12, color=color, alpha=0.35, linewidths=0, zorder=2.5)
        axes.errorbar(
            x,
            mean,
            deviation,
            color=color,
            linewidth=2,
            marker="o",
            markersize=5.5,
            capsize=3,
            elinewidth=1.2,
            label=label or None,
        )
    ticks = sorted({float(value) for _, rows in series for value in rows[axis]})
    if ticks[0] > 0 and ticks[-1] / ticks[0] > _LOG_RATIO:
        axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_title(_title(metric), loc="left", fontsize=12, color=INK, pad=10)
    axes.set_xlabel(axis, fontsize=10, color=MUTED)


def _bars(axes: Axes, series: Sequence[tuple[str, pd.DataFrame]], metric: str) -> None:
    style(axes, grid="x")
    axes.spines["left"].set_visible(False)
    every = [float(value) for _, rows in series for value in rows[metric].dropna()]
    low, high = min(every), max(every)
    room = (high - low) or abs(high) * 0.1 or 1.0
    for number, ((_, rows), color) in enumerate(zip(series, cycle(SERIES), strict=False)):
        values = [float(value) for value in rows[metric].dropna()]
        mean, deviation = statistics.fmean(values), _deviation(values)
        axes.axhline(number, color=GRID, linewidth=0.8, zorder=1)
        axes.errorbar(
            mean, number, xerr=deviation, color=color, marker="o", markersize=7.5, capsize=3.5, elinewidth=1.6, zorder=3
        )
        axes.scatter(values, [number] * len(values), s=14, color=color, alpha=0.4, linewidths=0, zorder=2.5)
        axes.annotate(
            spread(values),
            (max(mean + deviation, *values, mean), number),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
    axes.set_yticks(range(len(series)), [label for label, _ in series], fontsize=10, color=INK)
    axes.set_ylim(len(series) - 0.5, -0.5)
    # The axis does not begin at zero, because the differences matter here.
    axes.set_xlim(low - 0.25 * room, high + 0.7 * room)
    axes.set_title(_title(metric), loc="left", fontsize=12, color=INK, pad=10)


def _times(axes: Axes, series: Sequence[tuple[str, pd.DataFrame]], metric: str, axis: str | None) -> None:
    style(axes, grid="y")
    for (label, rows), color in zip(series, cycle(SERIES), strict=False):
        groups = list(rows.groupby(rows[axis].astype(float) if axis is not None else "cell"))
        x = [float(group["seconds"].mean()) for _, group in groups]
        y = [float(group[metric].mean()) for _, group in groups]
        bars: dict[str, Any] = {
            "xerr": [_deviation(list(group["seconds"])) for _, group in groups],
            "yerr": [_deviation(list(group[metric])) for _, group in groups],
        }
        axes.errorbar(
            x,
            y,
            **bars,
            color=color,
            linestyle="-" if axis else "",
            linewidth=1,
            marker="o",
            markersize=6,
            capsize=3,
            elinewidth=1,
        )
        if len(series) * len(groups) <= _MANY_CELLS:
            for name, at, height in zip((f"{value:g}" if axis else label for value, _ in groups), x, y, strict=True):
                box = {"facecolor": PAPER, "edgecolor": "none", "pad": 0.6, "alpha": 0.7}
                axes.annotate(
                    name, (at, height), (6, 6), textcoords="offset points", fontsize=8.5, color=MUTED, bbox=box
                )
    axes.margins(x=0.16, y=0.14)
    axes.set_title(f"{_title(metric)} against time", loc="left", fontsize=12, color=INK, pad=10)
    axes.set_xlabel("seconds of training and validation", fontsize=10, color=MUTED)


def _title(metric: str) -> str:
    split, _, name = metric.partition("_")
    return f"{pretty(name)}, {'validation' if split == 'val' else split}"
