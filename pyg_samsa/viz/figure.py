"""The style of all figures, made without pyplot, so that matplotlib's global state is neither read nor changed."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pyg_samsa.errors import ConfigError, MissingDependencyError
from pyg_samsa.io.files import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1f2937", "#6b7280", "#e5e7eb", "#ffffff"
TRAIN, VAL, TEST, BASE = "#94a3b8", "#2563eb", "#ea580c", "#cbd5e1"
FORMATS = (".png", ".pdf", ".svg")


def new_figure(width: float, height: float, title: str) -> Figure:
    """Return an empty Agg figure of a size in inches, with a headline and a layout that fits all text.

    Example:
        >>> figure = new_figure(4.0, 3.0, "A headline")
        >>> figure.get_size_inches().tolist()
        [4.0, 3.0]
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "all", "Drawing a figure") from error
    figure = Figure(
        figsize=(width, height), facecolor=PAPER, layout=ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.11, wspace=0.06)
    )
    FigureCanvasAgg(figure)
    headline = textwrap.fill(title, int(width * 8.5))
    figure.suptitle(headline, x=0.14 / width, ha="left", fontsize=14, fontweight="bold", color=INK)
    return figure


def style(axes: Axes, *, grid: Literal["x", "y"]) -> None:
    """Style axes: two spines, a light grid along one axis, small grey ticks.

    Args:
        axes: Axes to style.
        grid: Axis whose ticks get grid lines, ``"x"`` or ``"y"``.

    Example:
        >>> axes = new_figure(4.0, 3.0, "").subplots()
        >>> style(axes, grid="y")
        >>> axes.spines["top"].get_visible()
        False
    """
    axes.set_facecolor(PAPER)
    for side in ("top", "right", "left" if grid == "y" else "bottom"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color("#9ca3af")
    axes.set_axisbelow(True)
    axes.grid(True, axis=grid, color=GRID, linewidth=0.8)
    axes.tick_params(colors=MUTED, labelsize=9.5, length=0, pad=5)


def add_legend(figure: Figure, handles: Mapping[str, Any], *, columns: int = 3, **look: Any) -> None:
    """Add a legend below the axes.

    Args:
        figure: Figure to extend.
        handles: Label -> handle of matplotlib.
        columns: Number of columns.
        **look: Other arguments of ``Figure.legend``.

    Example:
        >>> figure = new_figure(4.0, 3.0, "")
        >>> line, = figure.subplots().plot([0, 1])
        >>> add_legend(figure, {"train": line})
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['train']
    """
    look = {"fontsize": 10, **look}
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        labelcolor=INK,
        **look,
    )


def legend_handles(*panels: Axes) -> dict[str, Any]:
    """Return label -> handle of all axes; equal labels count once.

    Example:
        >>> axes = new_figure(4.0, 3.0, "").subplots()
        >>> _ = axes.plot([0, 1], label="train"), axes.plot([1, 0], label="train")
        >>> list(legend_handles(axes))
        ['train']
    """
    return {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}


def check_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a figure; raise `ConfigError` if its suffix is not .png, .pdf or .svg.

    Example:
        >>> check_path("curves.txt")
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: path: got 'curves.txt', expected a file name that ends in one of .png, .pdf, .svg
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise ConfigError("path", str(path), f"a file name that ends in one of {', '.join(FORMATS)}")
    return Path(path)


def save(figure: Figure, path: Path, *, dpi: int = 200) -> Path:
    """Write a figure atomically, in the format of the suffix of its path.

    Example:
        >>> import tempfile
        >>> save(new_figure(2.0, 1.0, "Title"), Path(tempfile.mkdtemp()) / "figure.svg").name
        'figure.svg'
    """
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=path.suffix.lower().lstrip("."), facecolor=PAPER)
    return path


def shown(value: float) -> str:
    """Format a value with four decimals below 1, four significant digits above, and three if it is very small or large.

    Example:
        >>> shown(0.68214), shown(12.3), shown(1234.0), shown(0.0000123), shown(float("nan"))
        ('0.6821', '12.30', '1234', '1.23e-05', '–')
    """
    if value != value:
        return "–"
    if value != 0 and (abs(value) < 0.01 or abs(value) >= 1e5):
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.4f}" if abs(value) < 1 else f"{value:#.4g}"


def pretty(metric: str) -> str:
    """Return the readable name of a metric.

    Example:
        >>> pretty("ap"), pretty("my_metric")
        ('Average precision (AP)', 'my metric')
    """
    return _PRETTY.get(metric, metric.replace("_", " "))


def is_log(column: str, low: float, high: float) -> bool:
    """Say whether the axis of a column is logarithmic: that of a loss whose values differ by a factor above 30.

    Args:
        column: Name of the column.
        low: Smallest value.
        high: Largest value.

    Example:
        >>> is_log("loss", 0.01, 1.0), is_log("loss", 0.1, 1.0), is_log("ap", 0.01, 1.0)
        (True, False, False)
    """
    return bool(column == "loss" and low > 0 and high / low > 30)


def check_lengths(reference: int, **columns: Iterable[object]) -> None:
    """Raise `ConfigError` unless every column has one entry per class.

    Example:
        >>> check_lengths(2, ap=[0.5, 0.25, 0.1])
        Traceback (most recent call last):
        pyg_samsa.errors.ConfigError: number of ap: got 3, expected 2, one for each class
    """
    for name, column in columns.items():
        length = len(list(column))
        if length != reference:
            raise ConfigError(f"number of {name}", length, f"{reference}, one for each class")


_PRETTY = {
    "accuracy": "Accuracy",
    "accuracy_macro": "Mean class accuracy",
    "miou": "Mean IoU, instances",
    "miou_category": "Mean IoU, categories",
    "mrr": "Mean reciprocal rank, raw",
    "mrr_filtered": "Mean reciprocal rank, filtered",
    "mrr_filtered_noself": "Mean reciprocal rank, filtered without self",
    **{f"hits@{count}": f"Hits@{count}, raw" for count in (1, 3, 10)},
    **{f"hits@{count}_filtered": f"Hits@{count}, filtered" for count in (1, 3, 10)},
    **{f"hits@{count}_filtered_noself": f"Hits@{count}, filtered without self" for count in (1, 3, 10)},
    "ap": "Average precision (AP)",
    "auc": "ROC AUC",
    "f1_macro": "Macro F1",
    "loss": "Loss",
    "mae": "Mean absolute error (MAE)",
    "r2": "R²",
    "rmse": "RMSE",
    "score": "Mean score of the tasks",
    "spearman": "Spearman correlation",
}
