"""Figure of the learning curves of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError
from pyg_samsa.viz.figure import (
    INK,
    MUTED,
    PAPER,
    TEST,
    TRAIN,
    VAL,
    add_legend,
    check_path,
    is_log,
    legend_handles,
    new_figure,
    pretty,
    save,
    shown,
    style,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_COLORS = {"train": TRAIN, "val": VAL}
_LABELS = {"train": "training", "val": "validation"}


def plot_learning_curves(
    history: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    metric: str,
    best_epoch: int | None = None,
    title: str = "Learning curves",
) -> Path:
    """Draw loss and metric of training and validation by epoch, and mark the best epoch and the test value.

    Each panel shows the validation value at the best epoch and the test value below its title. The axis of the loss is
    logarithmic if its values differ by more than a factor of 30. NaN values are skipped, and so are curves and test
    values that the history lacks.

    Args:
        history: One row per split and epoch, with columns ``split`` ("train", "val" or "test"), ``epoch``, ``loss`` and
            ``metric``. Of several test rows the one at the best epoch is shown, otherwise the last.
        path: File to write, ending in .png, .pdf or .svg; an existing one is replaced.
        metric: Column to draw besides the loss; "loss" draws only the loss.
        best_epoch: Epoch to mark; by default that of the best validation value, if the metric is registered in
            :mod:`pyg_samsa.metrics` or the loss.
        title: Headline.

    Returns:
        ``path``.

    Raises:
        ConfigError: A column is missing, there is no row to draw, or the suffix of the path is unknown.
        MissingDependencyError: Matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> history = pd.DataFrame({"split": ["train", "val"] * 2, "epoch": [0, 0, 1, 1], "loss": [0.7, 0.6, 0.5, 0.5]})
        >>> history["ap"] = [0.2, 0.3, 0.4, 0.5]
        >>> plot_learning_curves(history, Path(tempfile.mkdtemp()) / "curves.png", metric="ap").name
        'curves.png'

    Cost: about a second for any number of epochs.
    """
    target = check_path(path)
    _check(history, metric)
    best = _best_epoch(history, metric) if best_epoch is None else best_epoch
    columns = ["loss"] if metric == "loss" else ["loss", metric]
    figure = new_figure(6.0 if len(columns) == 1 else 9.6, 4.3, title)
    panels = figure.subplots(1, len(columns), squeeze=False)[0]
    noted = any(_note(history, column, best) for column in columns)
    for axes, column in zip(panels, columns, strict=True):
        _panel(axes, history, column, best, noted=noted)
    handles = legend_handles(*panels)
    add_legend(figure, handles, columns=len(handles), handlelength=1.8)
    return save(figure, target)


def _check(history: pd.DataFrame, metric: str) -> None:
    for column in ("split", "epoch", "loss", metric):
        if column not in history.columns:
            raise ConfigError(
                "metric" if column == metric else "history", column, [str(name) for name in history.columns]
            )
    drawn = history[history["split"].isin(list(_COLORS))]
    if drawn.empty or drawn[["loss", metric]].isna().to_numpy().all():
        raise ConfigError(
            "history", f"{len(history)} rows", "at least one row of the split 'train' or 'val' with a value"
        )


def _best_epoch(history: pd.DataFrame, metric: str) -> int | None:
    known = metric == "loss" or metric in metrics.available()
    values = history[(history["split"] == "val") & history[metric].notna()].set_index("epoch")[metric]
    if not known or values.empty:
        return None
    larger = metric != "loss" and metrics.higher_is_better(metric)
    return int(values.idxmax() if larger else values.idxmin())


def _at(history: pd.DataFrame, split: str, column: str, epoch: int | None) -> float | None:
    """Return the value of a split at an epoch; of the test split the last value if it has none there."""
    rows = history[(history["split"] == split) & history[column].notna()]
    there = rows[rows["epoch"] == epoch]
    if there.empty and split == "test":
        there = rows
    return None if there.empty else float(there[column].iloc[-1])


def _note(history: pd.DataFrame, column: str, best: int | None) -> str:
    """Return the validation value at the best epoch and the test value; NaN is undefined."""
    notes = []
    for split, label in (("val", "validation"), ("test", "test")):
        value = _at(history, split, column, best)
        if value is not None and (split == "test" or best is not None):
            notes.append(f"{label} {shown(value)}")
        elif (history["split"] == split).any() and history.loc[history["split"] == split, column].isna().all():
            notes.append(f"{label} undefined")
    return "   ".join(notes)


def _panel(axes: Axes, history: pd.DataFrame, column: str, best: int | None, *, noted: bool) -> None:
    style(axes, grid="y")
    for split, color in _COLORS.items():
        rows = history[(history["split"] == split) & history[column].notna()].sort_values("epoch")
        if rows.empty:
            continue
        marker = "o" if len(rows) <= 12 else None
        axes.plot(
            rows["epoch"],
            rows[column],
            color=color,
            linewidth=2.0,
            marker=marker,
            markersize=4.5,
            label=_LABELS[split],
            solid_capstyle="round",
        )
    value = _at(history, "val", column, best)
    if best is not None:
        axes.axvline(best, color=MUTED, linewidth=1.0, linestyle=(0, (3, 3)), zorder=1.5, label=f"best epoch ({best})")
    if best is not None and value is not None:
        axes.plot([best], [value], "o", color=VAL, markersize=8, markeredgecolor=PAPER, markeredgewidth=1.6, zorder=4)
    test = _at(history, "test", column, best)
    if test is not None:
        axes.axhline(test, color=TEST, linewidth=1.5, linestyle=(0, (6, 2)), zorder=1.6, label="test")
    _scale(axes, history, column)
    axes.set_title(pretty(column), loc="left", fontsize=12, color=INK, pad=26 if noted else 10)
    axes.annotate(
        _note(history, column, best),
        (0, 1),
        (0, 10),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=10,
        color=MUTED,
    )
    axes.set_xlabel("epoch", fontsize=10, color=MUTED)


def _scale(axes: Axes, history: pd.DataFrame, column: str) -> None:
    from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator, NullFormatter

    values = history[column].dropna()
    if is_log(column, values.min(), values.max()):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogFormatterSciNotation())
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="y", which="minor", length=0)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]))
    epochs = history.loc[history["split"].isin(list(_COLORS)), "epoch"]
    if epochs.nunique() == 1:
        only = int(epochs.iloc[0])
        axes.set_xlim(only - 1, only + 1)
        axes.set_xticks([only])
        axes.margins(y=0.5)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))
        axes.margins(x=0.03, y=0.08)
