"""Charts of the HTML report: SVG by matplotlib, with CSS variables as colours for light and dark pages."""

from __future__ import annotations

import hashlib
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pyg_samsa.io.cells import BOUND_SIGNS
from pyg_samsa.viz.figure import GRID, INK, MUTED, PAPER, TEST, TRAIN, new_figure, style
from pyg_samsa.viz.sweeps import SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "card", "#9ca3af": "axis", TRAIN: "train", TEST: "test"}
_VARIABLES |= {color: f"s{number}" for number, color in enumerate(SERIES) if color != TEST}
_VARIABLES[TEST] = "s1"
_SIZE, _SMALL, _SQUARE = (4.1, 2.9), (3.6, 3.1), (4.0, 3.7)
_MARKS, _LABELS = 11, 11.5  # points; on the page a chart is as wide as here, or a little smaller
_MOST_POINTS = 240
_DASHES = (0, (3, 2.4))


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Args:
        color: Number of the series, or a colour.
        x: Positions.
        y: Values.
        low, high: Band around the line; empty for none.
        dashed: Whether the line is dashed and thin.
        step: Whether the line is a step function, whose value holds up to its point from the one before.
        mark: Points to mark.

    Example:
        >>> line = Line(0, [1, 2, 3], [3.0, 2.0, 1.5], mark=[(3, 1.5)])
        >>> chart = line_chart([line], label="Loss by epoch", xlabel="epoch")
        >>> chart.startswith("<svg"), "var(--s0)" in chart
        (True, True)
    """

    color: int | str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    dashed: bool = False
    step: bool = False
    mark: Sequence[tuple[float, float]] = field(default_factory=list)


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    xlabel: str,
    ylabel: str = "",
    unit: bool = False,
    level: float | None = None,
    log: bool = False,
) -> str:
    """Return a chart of lines as inline SVG.

    Args:
        lines: Lines to draw.
        label: What the chart shows, for readers that do not see it.
        xlabel: Label of the x axis.
        ylabel: Label of the y axis.
        unit: Whether both axes go from 0 to 1.
        level: Height of a dashed horizontal line.
        log: Whether the y axis is logarithmic.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _panel(_SMALL if unit else _SIZE)
    alpha = 0.16 if sum(len(line.low) > 0 for line in lines) <= 4 else 0.07
    for line in lines:
        color = _color(line.color)
        look: dict[str, Any] = {"color": color, "linewidth": 1.2 if line.dashed else 2.0}
        look |= {"linestyle": _DASHES} if line.dashed else {"solid_capstyle": "round"}
        if line.step:
            look["drawstyle"] = "steps-pre"
        x, y = _thinned(line.x, line.y)
        axes.plot(x, y, marker="o" if len(line.x) == 1 else None, markersize=5, **look)
        if len(line.low):
            axes.fill_between(line.x, line.low, line.high, color=color, alpha=alpha, linewidth=0)
        for place in line.mark:
            axes.plot(*place, "o", color=color, markersize=7, markeredgecolor=PAPER, markeredgewidth=1.4, zorder=5)
    if level is not None:
        axes.axhline(level, color=MUTED, linewidth=1, linestyle=_DASHES, zorder=1)
    if unit:
        _unit_axes(axes)
    elif log:
        _log_axis(axes)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    if not unit:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, steps=[1, 2, 5, 10]))
    _label_axes(axes, xlabel, ylabel)
    return svg(figure, label)


def reliability_chart(
    bins: Sequence[tuple[int, Sequence[float], Sequence[float], Sequence[float]]], *, label: str
) -> str:
    """Return a chart of observed shares against predicted probabilities; larger dots stand for more predictions.

    Args:
        bins: Colour, mean predictions, observed shares, and shares of all predictions of each series.
        label: What the chart shows, for readers that do not see it.

    Example:
        >>> reliability_chart([(0, [0.25, 0.75], [0.0, 1.0], [0.5, 0.5])], label="Reliability").startswith("<svg")
        True
    """
    figure, axes = _panel(_SMALL)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=_DASHES)
    for color, predicted, observed, share in bins:
        axes.plot(predicted, observed, color=_color(color), linewidth=1.6)
        axes.scatter(
            predicted,
            observed,
            s=[12 + 150 * part for part in share],
            color=_color(color),
            alpha=0.8,
            edgecolors=PAPER,
            linewidths=1,
            zorder=3,
            clip_on=False,
        )
    _unit_axes(axes)
    _label_axes(axes, "predicted probability", "share that is positive")
    return svg(figure, label)


@dataclass(frozen=True)
class Points:
    """One series of a chart of predictions against true values.

    Args:
        color: Number of the series.
        true: True values [n].
        pred: Predictions [n].
        bound: 1 where the true value is a lower bound, -1 where it is an upper one, 0 elsewhere [n]; None for none.

    Example:
        >>> Points(0, np.array([1.0]), np.array([1.5])).bound.tolist()
        [0]
    """

    color: int
    true: np.ndarray
    pred: np.ndarray
    bound: np.ndarray = None  # type: ignore[assignment]  # set below

    def __post_init__(self) -> None:
        if self.bound is None:
            object.__setattr__(self, "bound", np.zeros(len(self.true), dtype=int))


def scatter_chart(series: Sequence[Points], *, label: str) -> str:
    """Return a chart of predictions against true values, with the diagonal.

    A bound is an open triangle, which points to where the true value may be.

    Args:
        series: The series.
        label: What the chart shows, for readers that do not see it.

    Example:
        >>> points = Points(0, np.array([1.0, 2.0]), np.array([1.5, 1.5]))
        >>> "predicted" in scatter_chart([points], label="Predicted against true")
        True
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = _panel(_SQUARE)
    every = [value for points in series for value in (*points.true.tolist(), *points.pred.tolist())]
    low, high = min(every), max(every)
    room = 0.05 * ((high - low) or abs(high) or 1.0)
    axes.plot([low - room, high + room], [low - room, high + room], color=MUTED, linewidth=1, linestyle=_DASHES)
    # Few points are large enough to be seen, many do not hide each other.
    size = min(30.0, max(9.0, 2000 / max(len(points.true) for points in series)))
    for points in series:
        color = _color(points.color)
        for sign, marker in BOUND_SIGNS.items():
            rows = points.bound == sign
            look: dict[str, Any] = {"s": size, "color": color, "alpha": 0.7, "linewidths": 0}
            if sign:
                look = {"s": 1.8 * size, "marker": marker, "facecolors": "none", "edgecolors": color, "linewidths": 1.2}
            if rows.any():
                axes.scatter(points.true[rows], points.pred[rows], zorder=3, **look)
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(low - room, high + room)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    _label_axes(axes, "true", "predicted")
    return svg(figure, label)


def svg(figure: Figure, label: str) -> str:
    """Return a figure as inline SVG: text stays text, colours become CSS variables, and ids are unique on the page.

    Args:
        figure: The figure.
        label: What it shows, for readers that do not see it.

    Example:
        >>> figure = new_figure(2.0, 1.0, "Title")
        >>> text = svg(figure, "Nothing")
        >>> ">Title</text>" in text, 'role="img" aria-label="Nothing"' in text
        (True, True)
    """
    import matplotlib

    buffer = io.StringIO()
    # matplotlib offers these two only as global settings; the block restores them.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    used = set(re.findall(r'(?:url\(#|href="#)([\w-]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda match: match.group(0) if match.group(1) in used else "", text)
    own = hashlib.sha256(text.encode()).hexdigest()[:6]
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>c{own}-", text)
    text = re.sub(
        r"(#[0-9a-f]{6})\b",
        lambda match: f"var(--{_VARIABLES[match.group(1)]})" if match.group(1) in _VARIABLES else match.group(1),
        text,
    )
    # Coordinates need two decimals; text is kept.
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(-?\d+\.\d{2})\d+", r"\1", tag.group(0)), text)
    text = text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
    return re.sub(r"\s*\n\s*", " ", text)


def color_variable(color: int) -> str:
    """Return the CSS variable of a series.

    Example:
        >>> color_variable(0), color_variable(9)
        ('var(--s0)', 'var(--s1)')
    """
    return f"var(--s{color % len(SERIES)})"


def _color(color: int | str) -> str:
    return SERIES[color % len(SERIES)] if isinstance(color, int) else color


def _panel(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = new_figure(*size, "")
    axes = figure.subplots()
    style(axes, grid="y")
    axes.tick_params(labelsize=_MARKS)
    axes.margins(x=0.02, y=0.08)
    return figure, axes


def _label_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Label both axes; an offset or a factor of their marks goes into the label."""
    axes.figure.canvas.draw()
    for axis, text in ((axes.xaxis, xlabel), (axes.yaxis, ylabel)):
        form = axis.get_major_formatter()
        steps = _steps(getattr(form, "orderOfMagnitude", 0), getattr(form, "offset", 0))
        axis.get_offset_text().set_visible(False)
        axis.set_label_text(f"{text} ({steps})".strip() if steps else text, fontsize=_LABELS, color=MUTED)


def _steps(order: int, offset: float) -> str:
    """Say how the value follows from the mark of an axis.

    Example:
        >>> _steps(0, 0), _steps(7, 0), _steps(0, -999999.9)
        ('', 'marks times 1e7', 'marks plus −999,999.9')
    """
    steps = ([f"times 1e{order}"] if order else []) + ([f"plus {offset:,.12g}"] if offset else [])
    return f"marks {' '.join(steps)}".replace("-", "−") if steps else ""


def _log_axis(axes: Axes) -> None:
    """Mark a logarithmic axis with plain numbers; between powers of ten where it spans few of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _unit_axes(axes: Axes) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.04)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    names = [f"{tick:g}" for tick in ticks]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)


def _thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """Thin out the points of a line evenly, keeping the first and the last."""
    count = len(x)
    if count <= _MOST_POINTS:
        return list(x), list(y)
    keep = sorted({round(number * (count - 1) / (_MOST_POINTS - 1)) for number in range(_MOST_POINTS)})
    return [x[number] for number in keep], [y[number] for number in keep]
