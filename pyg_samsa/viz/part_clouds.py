"""Figure of point clouds with true and predicted parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.viz.figure import INK, MUTED, PAPER, check_lengths, check_path, new_figure, save

# Distinct for most kinds of colour blindness; colours are assigned within a category, which has few parts.
_PARTS = ("#60a5fa", "#fb923c", "#34d399", "#f472b6", "#a78bfa", "#facc15", "#22d3ee", "#a3e635")
_WRONG = "#111827"
_COLUMNS = 4  # clouds beside each other; in a wider figure, text is too small on a page


def plot_parts(
    points: Sequence[Tensor],
    true: Sequence[Tensor],
    predicted: Sequence[Tensor],
    names: Sequence[str],
    path: str | os.PathLike[str],
    *,
    up: int = 1,
    title: str = "Parts of test shapes: true above, predicted below (wrong points ringed)",
) -> Path:
    """Draw each cloud twice: coloured by true parts above, and by predicted parts below with errors ringed in black.

    Four clouds stand beside each other.

    Args:
        points: Coordinates [n, 3] of each of S clouds.
        true: True parts [n] of each cloud.
        predicted: Predicted parts [n] of each cloud.
        names: Title of each cloud.
        path: File to write, ending in .png, .pdf or .svg; an existing one is replaced.
        up: Coordinate that points upwards: 1 (y), as in ShapeNet and ModelNet, or 2 (z).
        title: Headline.

    Returns:
        ``path``.

    Raises:
        ConfigError: There is no cloud, the lengths differ, or the suffix of the path is unknown.
        ShapeError: A cloud and its parts differ in length.
        MissingDependencyError: Matplotlib is not installed.

    Example:
        >>> import tempfile, torch
        >>> cloud, parts = torch.rand(50, 3), torch.arange(50) % 2
        >>> plot_parts([cloud], [parts], [parts], ["box"], Path(tempfile.mkdtemp()) / "parts.png").name
        'parts.png'

    Cost: about a second for eight clouds.
    """
    target = check_path(path)
    if up not in (1, 2):
        raise ConfigError("up", up, (1, 2))
    if not points:
        raise ConfigError("points", [], "at least one cloud")
    check_lengths(len(points), true=true, predicted=predicted, names=names)
    for cloud, *labels in zip(points, true, predicted, strict=True):
        if cloud.dim() != 2 or cloud.size(1) != 3 or any(label.shape != cloud.shape[:1] for label in labels):
            raise ShapeError(
                "parts", [list(label.shape) for label in labels], f"one part for each of the points {list(cloud.shape)}"
            )
    columns = min(_COLUMNS, len(points))
    bands = -(-len(points) // columns)
    figure = new_figure(2.1 * columns + 0.6, 4.6 * bands + 0.3, title)
    panels = figure.subplots(2 * bands, columns, subplot_kw={"projection": "3d"}, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for number, (cloud, right, found, name) in enumerate(zip(points, true, predicted, names, strict=True)):
        band, column = divmod(number, columns)
        colours = {part: place for place, part in enumerate(sorted({*right.tolist(), *found.tolist()}))}
        for row, parts in enumerate((right, found)):
            colors = [_PARTS[colours[part] % len(_PARTS)] for part in parts.tolist()]
            edges = [_WRONG if row and wrong else "none" for wrong in (right != found).tolist()]
            _draw(panels[2 * band + row][column], cloud if up == 2 else cloud[:, [0, 2, 1]], colors, edges)
        share = float((right == found).float().mean())
        panels[2 * band][column].set_title(name, fontsize=12, color=INK, pad=2)
        panels[2 * band + 1][column].set_title(f"{100 * share:.0f} % correct", fontsize=11, color=MUTED, y=-0.13)
    return save(figure, target)


def _draw(axes: Any, cloud: Tensor, colors: Sequence[str], edges: Sequence[str]) -> None:
    centred = cloud - (cloud.amax(0) + cloud.amin(0)) / 2
    reach = float(centred.abs().max()) or 1.0
    x, y, z = centred.T.tolist()
    size = min(15.0, max(6.0, 4000 / len(colors)))
    axes.scatter(x, y, z, c=colors, s=size, edgecolors=edges, linewidths=0.05 * size, depthshade=False)
    for limit in (axes.set_xlim, axes.set_ylim, axes.set_zlim):
        limit(-reach, reach)
    axes.set_box_aspect((1, 1, 1), zoom=1.35)
    axes.view_init(elev=18, azim=-60)
    axes.set_facecolor(PAPER)
