"""Figure of the score of every class beside its base rate."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyg_samsa.errors import ConfigError
from pyg_samsa.viz.figure import (
    BASE,
    INK,
    MUTED,
    PAPER,
    VAL,
    add_legend,
    check_lengths,
    check_path,
    legend_handles,
    new_figure,
    save,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAME_WIDTH = 30  # characters in a line of a class name
_BAR = 0.34


def plot_per_class(
    names: Sequence[str],
    values: Sequence[float],
    base_rates: Sequence[float],
    path: str | os.PathLike[str],
    *,
    title: str = "Test average precision per class",
    value_label: str = "average precision",
    base_label: str = "base rate (random order)",
    sort: bool = True,
) -> Path:
    """Draw a bar of the test score and a bar of the base rate for each class.

    The base rate is the share of positives, which is the average precision of a random order.

    Args:
        names: Classes [C]; long names are wrapped.
        values: Scores [C] in [0, 1]; NaN if undefined.
        base_rates: Shares of positives [C] in [0, 1].
        path: File to write, ending in .png, .pdf or .svg; an existing one is replaced.
        title: Headline.
        value_label: Name of the values in the legend.
        base_label: Name of the base rates in the legend.
        sort: Whether to put the best class on top; otherwise the given order is kept.

    Returns:
        ``path``.

    Raises:
        ConfigError: There is no class, the lengths differ, a value is outside [0, 1], or the suffix of the path is
            unknown.
        MissingDependencyError: Matplotlib is not installed.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "classes.png"
        >>> plot_per_class(["antimicrobial", "toxic"], [0.8, 0.4], [0.3, 0.1], path).name
        'classes.png'

    Cost: about a second.
    """
    target = check_path(path)
    check_lengths(len(names), values=values, base_rates=base_rates)
    if not names:
        raise ConfigError("names", [], "at least one class")
    rows = [(str(name), float(value), float(base)) for name, value, base in zip(names, values, base_rates, strict=True)]
    for name, value, base in rows:
        for number in (value, base):
            if not (math.isnan(number) or 0 <= number <= 1):
                raise ConfigError(f"class {name!r}", number, "a score and a base rate in [0, 1]")
    if sort:
        rows.sort(key=lambda row: -1.0 if math.isnan(row[1]) else row[1], reverse=True)
    labels = [_wrapped(name) for name, _, _ in rows]
    lines = sum(max(1.0, 0.62 * (label.count("\n") + 1)) for label in labels)
    figure = new_figure(8.4, 1.8 + 0.44 * lines, title)
    axes = figure.subplots()
    _bars(axes, rows, value_label, base_label)
    axes.set_yticks(range(len(rows)), labels, fontsize=10.5, color=INK, linespacing=1.1)
    handles = dict(sorted(legend_handles(axes).items(), key=lambda item: item[0].startswith("mean ")))
    add_legend(figure, handles, handlelength=1.1, handleheight=0.9)
    return save(figure, target)


def _wrapped(name: str) -> str:
    # Identifiers may break after an underscore.
    lines = textwrap.wrap(name.replace("_", "_ "), _NAME_WIDTH)
    return "\n".join(line.replace("_ ", "_") for line in lines)


def _bars(axes: Axes, rows: Sequence[tuple[str, float, float]], value_label: str, base_label: str) -> None:
    style(axes, grid="x")
    axes.spines["left"].set_visible(False)
    for position, (_, value, base) in enumerate(rows):
        first = position == 0
        scored = not math.isnan(value)
        axes.barh(
            position - _BAR / 2, value if scored else 0, height=_BAR, color=VAL, label=value_label if first else None
        )
        axes.barh(
            position + _BAR / 2,
            0 if math.isnan(base) else base,
            height=_BAR,
            color=BASE,
            label=base_label if first else None,
        )
        if scored:
            _write(axes, f"{value:.3f}", value, position - _BAR / 2, fontsize=9.5, color=INK, weight="bold")
        else:
            _write(axes, "undefined: all labels are the same", 0, position - _BAR / 2, fontsize=9.5, color=MUTED)
        if not math.isnan(base):
            _write(axes, f"{base:.3f}", base, position + _BAR / 2, fontsize=8.5, color=MUTED)
    mean = [value for _, value, _ in rows if not math.isnan(value)]
    if len(mean) > 1:
        average = sum(mean) / len(mean)
        # Only between the rows: a line through them would cross the numbers of those that are near the mean.
        starts = [row - 0.6 for row in range(len(rows) + 1)]
        ends = [row - 0.41 for row in range(len(rows) + 1)]
        axes.vlines(
            [average] * len(starts), starts, ends, color=INK, linewidth=1.4, zorder=0.6, label=f"mean {average:.3f}"
        )
    axes.set_xlim(0, 1.08)
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    axes.set_ylim(len(rows) - 0.4, -0.6)


def _write(axes: Axes, text: str, x: float, y: float, **look: Any) -> None:
    # The background keeps the text legible on the line of the mean.
    axes.annotate(
        text,
        (x, y),
        (5, -0.5),
        textcoords="offset points",
        va="center",
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.8},
        **look,
    )
