"""Tables for the terminal, at most 80 columns wide."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError
from pyg_samsa.task import SPLITS
from pyg_samsa.training.progress_display import short_time
from pyg_samsa.viz.figure import check_lengths, shown

_NOT_METRICS = ("split", "seed", "repeat", "epoch", "lr")
_BLOCKS = " ▏▎▍▌▋▊▉█"


def metrics_table(rows: Sequence[Mapping[str, object]], *, title: str = "Results") -> Table:
    r"""Return a table of metrics by split, as mean and standard deviation over the repeats.

    .. math::
        \bar v \pm \sqrt{\frac{1}{R-1} \sum_{r=1}^{R} (v_r - \bar v)^2}

    With one repeat a cell is the value itself. An arrow shows the direction in which a known metric improves. Metrics
    of tasks that were trained together, ``task/metric``, are grouped by task, after those of all tasks.

    Args:
        rows: One mapping per repeat and split, with "split" and the metrics. "seed", "repeat", "epoch", "lr" and values
            that are not numbers are ignored. NaN does not count in the mean; a metric that is always NaN is "–".
        title: Headline.

    Returns:
        A rich table with a row per metric and a column per split.

    Raises:
        ConfigError: There is no row, or a row has no "split".

    Example:
        >>> from rich.console import Console
        >>> rows = [{"split": "test", "seed": 0, "ap": 0.60}, {"split": "test", "seed": 1, "ap": 0.62}]
        >>> Console(width=60, no_color=True).print(metrics_table(rows))  # doctest: +ELLIPSIS
        Results...0.6100 ± 0.0141...
    """
    if not rows:
        raise ConfigError("rows", [], "at least one row")
    for row in rows:
        if "split" not in row:
            raise ConfigError("rows", sorted(row), "rows with a 'split'")
    present = {str(row["split"]) for row in rows}
    splits = [split for split in SPLITS if split in present] + sorted(present - set(SPLITS))
    names = list(dict.fromkeys(key for row in rows for key in row if key not in _NOT_METRICS and _is_number(row[key])))
    repeats = max(sum(str(row["split"]) == split for row in rows) for split in splits)
    caption = f"mean ± standard deviation of {repeats} repeats" if repeats > 1 else None
    table = Table(
        title=title,
        caption=caption,
        title_style="bold",
        title_justify="left",
        caption_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
    )
    of_tasks = any("/" in name for name in names)
    if of_tasks:
        table.add_column("task", overflow="fold")
    table.add_column("metric", overflow="fold")
    for split in splits:
        table.add_column(split, justify="right", style="bold green" if split == "test" else "", overflow="fold")
    for task, found in _by_task(names).items():
        if task:
            table.add_section()
        for place, name in enumerate(found):
            cells = [spread(_numbers([row for row in rows if str(row["split"]) == split], name)) for split in splits]
            first = [(task or "all") if place == 0 else ""] if of_tasks else []
            table.add_row(*first, name.rpartition("/")[2] + arrow(name), *cells)
    return table


def _by_task(names: Sequence[str]) -> dict[str, list[str]]:
    """Group names of metrics by their task; those without one come first, under the empty name."""
    found: dict[str, list[str]] = {"": []}
    for name in names:
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return found


def per_class_table(
    names: Sequence[str],
    ap: Sequence[float],
    base_rate: Sequence[float],
    positives: Sequence[int],
    *,
    title: str = "Test average precision per class",
) -> Table:
    """Return a table of the average precision and base rate of each class, and their means.

    Args:
        names: Classes [C]; long names are folded.
        ap: Average precisions [C]; NaN if undefined.
        base_rate: Shares of positives [C], the average precision of a random order.
        positives: Numbers of positives [C].
        title: Headline.

    Returns:
        A rich table with a row per class, in the given order.

    Raises:
        ConfigError: There is no class, or the lengths differ.

    Example:
        >>> from rich.console import Console
        >>> table = per_class_table(["antimicrobial", "toxic"], [0.8, 0.4], [0.5, 0.1], [50, 10])
        >>> Console(width=80, no_color=True).print(table)  # doctest: +ELLIPSIS
        Test average precision per class...antimicrobial...0.800...mean...0.600...
    """
    if not names:
        raise ConfigError("names", [], "at least one class")
    check_lengths(len(names), ap=ap, base_rate=base_rate, positives=positives)
    table = Table(
        title=title, title_style="bold", title_justify="left", header_style="bold", box=SIMPLE_HEAD, show_footer=True
    )
    table.add_column("class", footer="mean", overflow="fold", max_width=32)
    table.add_column("positives", justify="right")
    table.add_column("base rate", footer=_three(_mean(base_rate)), justify="right")
    table.add_column("AP", footer=_three(_mean(ap)), justify="right", style="bold green", footer_style="bold green")
    table.add_column("0          1", no_wrap=True, style="green")
    for name, value, base, count in zip(names, ap, base_rate, positives, strict=True):
        table.add_row(
            str(name), f"{int(count):,}", _three(float(base)), _three(float(value)), _bar(float(value), width=12)
        )
    return table


def predictor_table(
    scores: Sequence[Mapping[str, Mapping[str, Mapping[str, float]]]],
    weights: Sequence[Mapping[str, float]],
    seconds: Sequence[Mapping[str, float]] = (),
    *,
    title: str = "Predictor",
    labels: Mapping[str, str] = MappingProxyType({}),
) -> Table:
    """Return a table that compares a predictor with its candidates on validation and test.

    Args:
        scores: For each repeat: name of a candidate -> split -> name of a metric -> value; the last name is that of the
            predictor.
        weights: For each repeat: name of a candidate -> weight in the predictor.
        seconds: For each repeat: name of a candidate -> time of its fit.
        title: Headline.
        labels: Name of a candidate -> how its row is called, if otherwise.

    Returns:
        A rich table with a row per candidate. With one repeat it has the first two metrics, else the first one.

    Raises:
        ConfigError: There is no repeat.

    Example:
        >>> from rich.console import Console
        >>> scores = {"network": {"val": {"mae": 0.5}, "test": {"mae": 0.6}}}
        >>> table = predictor_table([scores | {"predictor": scores["network"]}], [{"network": 1.0}])
        >>> Console(width=80, no_color=True).print(table)  # doctest: +ELLIPSIS
        Predictor...val...test...member...weight...mae ↓...network...1.00...0.5000...0.6000...predictor...
    """
    if not scores:
        raise ConfigError("scores", [], "at least one repeat")
    table = Table(
        title=title,
        title_style="bold",
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("member", max_width=24, overflow="fold")
    table.add_column("weight", justify="right")
    table.add_column("time", justify="right")
    first = next(iter(scores[0].values()))
    names = list(dict.fromkeys(name for values in first.values() for name in values))[: 2 if len(scores) == 1 else 1]
    columns = [(split, name) for split in first for name in names]
    for split, name in columns:
        style = "bold green" if split == "test" else ""
        table.add_column(f"{split}\n{name}{arrow(name)}", justify="right", style=style, overflow="fold")
    for row in scores[0]:
        used, times = ([repeat[row] for repeat in values if row in repeat] for values in (weights, seconds))
        found = [[repeat[row].get(split, {}) for repeat in scores] for split, _ in columns]
        cells = [spread(_numbers(values, name)) for values, (_, name) in zip(found, columns, strict=True)]
        weight = f"{statistics.fmean(used):.2f}" if used else ""
        time = short_time(statistics.fmean(times)) if times else ""
        table.add_row(
            labels.get(row, row).replace("+", " + "), weight, time, *cells, style="bold" * (row == "predictor")
        )
    return table


def _numbers(rows: Sequence[Mapping[str, object]], name: str) -> list[float]:
    numbers = [float(value) for value in (row.get(name) for row in rows) if _is_number(value)]  # type: ignore[arg-type]
    return [number for number in numbers if not math.isnan(number)]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def spread(values: Sequence[float]) -> str:
    """Format a value, or the mean and standard deviation of several.

    Example:
        >>> spread([0.5]), spread([0.5, 0.6]), spread([])
        ('0.5000', '0.5500 ± 0.0707', '–')
    """
    if not values:
        return "–"
    if len(values) == 1:
        return shown(values[0])
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    size = max(abs(mean), deviation)
    if size and (size < 0.01 or size >= 1e5):
        return f"{mean:.3g} ± {deviation:.1g}"
    digits = 4 if size < 1 else max(1, 3 - int(math.log10(size)))
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def arrow(name: str) -> str:
    """Return an arrow that shows whether a metric should rise or fall; empty for an unknown metric.

    Example:
        >>> arrow("ap"), arrow("loss"), arrow("my_metric")
        (' ↑', ' ↓', '')
    """
    return {1: " ↑", -1: " ↓", 0: ""}[metrics.direction(name)]


def _mean(values: Sequence[float]) -> float:
    defined = [float(value) for value in values if not math.isnan(value)]
    return statistics.fmean(defined) if defined else float("nan")


def _three(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _bar(value: float, width: int) -> str:
    if math.isnan(value):
        return ""
    eighths = round(min(1.0, max(0.0, value)) * width * 8)
    whole, part = divmod(eighths, 8)
    return "█" * whole + (_BLOCKS[part] if part else "")
