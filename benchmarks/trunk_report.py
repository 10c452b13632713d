"""Tables and figures of ``benchmarks.trunk``: networks that were trained together, from others, or alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pyg_samsa.viz.figure import INK, MUTED, TEST, VAL, add_legend, legend_handles, new_figure, save, style
from pyg_samsa.viz.tables import spread

COLOURS = (MUTED, TEST, VAL, "#059669", "#7c3aed")


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each task: its scores alone and together, and their difference, seed by seed.

    Args:
        rows: Columns ``task``, ``metric``, ``trained`` (``"alone"`` or ``"together"``), ``seed`` and ``score``.

    Example:
        >>> rows = [{"task": "t", "metric": "ap", "trained": how, "seed": 0, "score": score}
        ...         for how, score in (("alone", 0.5), ("together", 0.75))]
        >>> compared(pd.DataFrame(rows)).iloc[0].tolist()
        ['t', 'ap', '0.5000', '0.7500', '+0.2500']
    """
    found = []
    for (task, metric), own in rows.groupby(["task", "metric"], sort=False):
        scores = own.pivot(index="seed", columns="trained", values="score").dropna()
        difference = scores["together"] - scores["alone"]
        values = {how: spread(scores[how].tolist()) for how in ("alone", "together")}
        found.append({"task": task, "metric": metric, **values, "difference": signed(difference.tolist())})
    return pd.DataFrame(found)


def signed(values: Sequence[float]) -> str:
    """Format a difference, or the mean and standard deviation of several, with its sign.

    Example:
        >>> signed([0.5]), signed([-0.5, -0.6])
        ('+0.5000', '-0.5500 ± 0.0707')
    """
    text = spread(values)
    return text if text.startswith("-") else f"+{text}"


def by_training(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each task, and a column for each way of training.

    Args:
        rows: Columns ``task``, ``metric``, ``trained``, ``seed`` and ``score``.

    Example:
        >>> rows = [{"task": "t", "metric": "ap", "trained": "alone", "seed": 0, "score": 0.5}]
        >>> by_training(pd.DataFrame(rows)).iloc[0].tolist()
        ['t', 'ap', '0.5000']
    """
    found = []
    for (task, metric), own in rows.groupby(["task", "metric"], sort=False):
        scores = {how: spread(part["score"].tolist()) for how, part in own.groupby("trained", sort=False)}
        found.append({"task": task, "metric": metric, **scores})
    return pd.DataFrame(found)


def by_share(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a line for each task and share of its training rows, and a column for each start.

    Args:
        rows: Columns ``task``, ``share``, ``start``, ``seed`` and ``score``.

    Example:
        >>> rows = [{"task": "t", "share": 0.1, "start": "scratch", "seed": 0, "score": 0.5}]
        >>> by_share(pd.DataFrame(rows)).iloc[0].tolist()
        ['t', '10 %', '0.5000']
    """
    found = []
    for task, of_task in rows.groupby("task", sort=False):
        for share, own in of_task.groupby("share"):
            scores = {start: spread(part["score"].tolist()) for start, part in own.groupby("start", sort=False)}
            found.append({"task": task, "share": f"{100 * share:g} %", **scores})
    return pd.DataFrame(found)


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown.

    Example:
        >>> print(markdown(pd.DataFrame({"task": ["t"], "ap": ["0.5"]})))
        | task | ap |
        |---|---|
        | t | 0.5 |
    """
    lines = [" | ".join(map(str, row)) for row in (table.columns, *table.itertuples(index=False))]
    return "\n".join([f"| {lines[0]} |", "|---" * len(table.columns) + "|", *(f"| {line} |" for line in lines[1:])])


def draw_differences(rows: pd.DataFrame, path: Path) -> Path:
    """Draw what each task gains or loses by being trained together with the others.

    Args:
        rows: As in `compared`.
        path: The figure, ``.png``, ``.svg`` or ``.pdf``.
    """
    tasks = list(dict.fromkeys(zip(rows["task"], rows["metric"], strict=True)))
    figure = new_figure(7.5, 1.6 + 0.55 * len(tasks), "Trained together, against alone")
    axes = figure.subplots()
    for place, (task, _) in enumerate(tasks):
        scores = rows[rows["task"] == task].pivot(index="seed", columns="trained", values="score").dropna()
        points = (100 * (scores["together"] - scores["alone"])).tolist()
        height = len(tasks) - 1 - place
        (dot,) = axes.plot(points, [height] * len(points), "o", color=MUTED, alpha=0.6)
        mean = sum(points) / len(points)
        (diamond,) = axes.plot([mean], [height], "D", color=VAL, markersize=9, zorder=3)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(tasks)), [f"{task}\n{metric}" for task, metric in reversed(tasks)])
    axes.set_xlabel("difference of the test metric, in points (right: together is better)", color=INK)
    style(axes, grid="x")
    add_legend(figure, {"one seed": dot, "mean": diamond})
    return save(figure, path)


def draw_curves(rows: pd.DataFrame, path: Path, title: str) -> Path:
    """Draw the score over the share of the training rows, one panel for each task and one line for each start.

    Args:
        rows: As in `by_share`.
        path: The figure, ``.png``, ``.svg`` or ``.pdf``.
        title: Headline.
    """
    tasks = list(dict.fromkeys(rows["task"]))
    figure = new_figure(4.2 * max(len(tasks), 2), 4.2, title)
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        own = rows[rows["task"] == task]
        for colour, start in zip(COLOURS, dict.fromkeys(rows["start"]), strict=False):
            scores = own[own["start"] == start].groupby("share")["score"].agg(["mean", "std"]).fillna(0.0)
            axes.errorbar(scores.index, scores["mean"], scores["std"], color=colour, marker="o", capsize=3, label=start)
        shares = sorted(set(own["share"]))
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks(shares, [f"{100 * share:g} %" for share in shares])
        axes.set_title(task, loc="left", color=INK, fontsize=11)
        axes.set_xlabel("training rows", color=INK)
        style(axes, grid="y")
    panels[0].set_ylabel("test metric", color=INK)
    add_legend(figure, legend_handles(*panels))
    return save(figure, path)
