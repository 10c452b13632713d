"""Shapes that are written as SVG or painted as PNG."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape as escape_html
from typing import Any, NamedTuple

from pyg_samsa.errors import MissingDependencyError

FONT = "Inter, system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"
THEMES = ("light", "dark", "auto")
# Characters that XML does not allow, which would make a picture unreadable.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Length of the pieces of a gradient in a PNG, because the renderer has no gradients.
_PIECE = 0.7


def escape(text: str) -> str:
    """Return a text for SVG: signs of XML are escaped, and characters that XML does not allow are replaced.

    Example:
        >>> escape("a < b" + chr(1))
        'a &lt; b\ufffd'
    """
    return escape_html(_NOT_XML.sub("\ufffd", text))


class Paint(NamedTuple):
    """A colour in both themes, as ``#rrggbb``.

    Example:
        >>> Paint("#ffffff", "#000000").css("dark")
        '#000000'
    """

    light: str
    dark: str

    def css(self, theme: str) -> str:
        """Return the colour for a theme; ``"auto"`` leaves the choice to the page (``color-scheme``).

        Example:
            >>> Paint("#ffffff", "#000000").css("auto")
            'light-dark(#ffffff,#000000)'
        """
        if theme == "auto" and self.light != self.dark:
            return f"light-dark({self.light},{self.dark})"
        return self.dark if theme == "dark" else self.light


INK, MUTED, PAPER, LINE = (
    Paint("#1c2128", "#f1f3f5"),
    Paint("#566070", "#a5adba"),
    Paint("#ffffff", "#1c1f25"),
    Paint("#d4d7dc", "#444b56"),
)


Stops = list[tuple[float, Paint]]


@dataclass
class Stroke:
    """Lines of one width and colour; ``d`` is SVG path data.

    A list of stops (position from 0 to 1, paint) is a gradient along a straight line. ``note`` is a tooltip.

    Example:
        >>> SvgWriter("light").write([Stroke(line(0, 0, 4, 3), INK, 2.0, round=False)])
        '<path d="M0 0L4 3" fill="none" stroke-width="2" style="stroke:#1c2128"/>'
    """

    d: str
    paint: Paint | Stops
    width: float
    round: bool = True
    dash: str = ""
    note: str = ""


@dataclass
class Fill:
    """Filled outlines.

    Example:
        >>> SvgWriter("light").write([Fill(box(0, 0, 4, 3), MUTED)])
        '<path d="M0 0L4 0L4 3L0 3Z" style="fill:#566070"/>'
    """

    d: str
    paint: Paint


@dataclass
class Text:
    """One line of text; ``anchor`` is start, middle or end.

    Example:
        >>> SvgWriter("light").write([Text(1.0, 2.0, "N < O", 12.0)])
        '<text x="1" y="2" font-size="12" style="fill:#1c2128">N &lt; O</text>'
    """

    x: float
    y: float
    text: str
    size: float
    paint: Paint = INK
    anchor: str = "start"
    bold: bool = False


@dataclass
class Group:
    """Shapes that move together, with an optional CSS class.

    Example:
        >>> SvgWriter("light").write([Group(name="layer", x=5.0)])
        '<g class="layer" transform="translate(5 0)"></g>'
    """

    shapes: list[Any] = field(default_factory=list)
    x: float = 0.0
    y: float = 0.0
    name: str = ""


def number(value: float, digits: int = 1) -> str:
    """Format a coordinate.

    Example:
        >>> number(3.0), number(2.26), number(-0.01)
        ('3', '2.3', '0')
    """
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def shown(value: float) -> str:
    """Format a number of the colour bar, with a minus sign.

    Example:
        >>> shown(0.01234), shown(-2.0), shown(0.0), shown(12345.0)
        ('0.0123', '−2', '0', '1.23e+04')
    """
    return f"{value:.3g}".replace("-", "−")


def line(x1: float, y1: float, x2: float, y2: float, digits: int = 1) -> str:
    """Return the path data of a straight line.

    Example:
        >>> line(0, 0.5, 4, 3)
        'M0 0.5L4 3'
    """
    return f"M{number(x1, digits)} {number(y1, digits)}L{number(x2, digits)} {number(y2, digits)}"


def disc(x: float, y: float) -> str:
    """Return the path data of a line of length zero, which is a disc if its ends are round.

    Example:
        >>> disc(1.5, 2)
        'M1.5 2L1.5 2'
    """
    return line(x, y, x, y)


def box(x: float, y: float, width: float, height: float) -> str:
    """Return the path data of a rectangle.

    Example:
        >>> box(0, 0, 4, 3)
        'M0 0L4 0L4 3L0 3Z'
    """
    right, below = number(x + width), number(y + height)
    return f"M{number(x)} {number(y)}L{right} {number(y)}L{right} {below}L{number(x)} {below}Z"


def merge(shapes: Iterable[Any]) -> list[Any]:
    """Join successive strokes or outlines of the same style, which makes files much smaller.

    Example:
        >>> merge([Fill(box(0, 0, 1, 1), INK), Fill(box(2, 0, 1, 1), INK)])[0].d
        'M0 0L1 0L1 1L0 1ZM2 0L3 0L3 1L2 1Z'
    """
    out: list[Any] = []
    for shape in shapes:
        last = out[-1] if out else None
        if (
            isinstance(shape, Stroke)
            and isinstance(last, Stroke)
            and _look(shape) == _look(last)
            and isinstance(shape.paint, Paint)
        ):
            out[-1] = Stroke(last.d + shape.d, shape.paint, shape.width, shape.round, shape.dash)
        elif isinstance(shape, Fill) and isinstance(last, Fill) and shape.paint == last.paint:
            out[-1] = Fill(last.d + shape.d, shape.paint)
        else:
            out.append(shape)
    return out


def _look(stroke: Stroke) -> tuple[object, ...]:
    return stroke.paint if isinstance(stroke.paint, Paint) else None, stroke.width, stroke.round, stroke.dash


class SvgWriter:
    """Writes shapes as SVG.

    Args:
        theme: ``"light"``, ``"dark"`` or ``"auto"``.
        prefix: Prefix of the ids of gradients, which must be unique on a page.
    """

    def __init__(self, theme: str, prefix: str = "g") -> None:
        self.theme, self.prefix = theme, prefix
        self.gradients: list[str] = []

    def write(self, shapes: Iterable[Any]) -> str:
        """Return the elements of the shapes."""
        return "".join(self._one(shape) for shape in shapes)

    def document(
        self,
        shapes: Iterable[Any],
        width: float,
        height: float,
        title: str = "",
        description: str = "",
        *,
        page: bool = False,
    ) -> str:
        """Return an SVG file, or with ``page`` an SVG element that takes the colour scheme of its page.

        Example:
            >>> "<title>Box</title>" in SvgWriter("light").document([Fill(box(0, 0, 4, 3), INK)], 4, 3, title="Box")
            True
        """
        body = self.write(shapes)
        scheme = "<style>:root{color-scheme:light dark}</style>" if self.theme == "auto" and not page else ""
        about = f"<title>{escape(title)}</title>" if title else ""
        about += f"<desc>{escape(description)}</desc>" if description else ""
        size = f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{FONT}">{about}{scheme}'
            f"<defs>{''.join(self.gradients)}</defs>{body}</svg>"
        )

    def _one(self, shape: Any) -> str:
        if isinstance(shape, Group):
            move = f' transform="translate({number(shape.x)} {number(shape.y)})"' if shape.x or shape.y else ""
            name = f' class="{escape(shape.name)}"' if shape.name else ""
            return f"<g{name}{move}>{self.write(shape.shapes)}</g>"
        if isinstance(shape, Fill):
            return f'<path d="{shape.d}" style="fill:{shape.paint.css(self.theme)}"/>'
        if isinstance(shape, Text):
            weight = ' font-weight="600"' if shape.bold else ""
            where = f'x="{number(shape.x)}" y="{number(shape.y)}" font-size="{number(shape.size)}"'
            anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
            return (
                f'<text {where}{anchor}{weight} style="fill:{shape.paint.css(self.theme)}">{escape(shape.text)}</text>'
            )
        paint = shape.paint.css(self.theme) if isinstance(shape.paint, Paint) else f"url(#{self._gradient(shape)})"
        ends = ' stroke-linecap="round" stroke-linejoin="round"' if shape.round else ""
        dash = f' stroke-dasharray="{shape.dash}"' if shape.dash else ""
        body = (
            f'<path d="{shape.d}" fill="none" stroke-width="{number(shape.width)}"{ends}{dash} style="stroke:{paint}"'
        )
        return f"{body}><title>{escape(shape.note)}</title></path>" if shape.note else f"{body}/>"

    def _gradient(self, stroke: Stroke) -> str:
        x1, y1, x2, y2 = _ends(stroke.d)
        name = f"{self.prefix}{len(self.gradients)}"
        stops = "".join(
            f'<stop offset="{number(100 * place)}%" style="stop-color:{paint.css(self.theme)}"/>'
            for place, paint in _stops(stroke)
        )
        where = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
        self.gradients.append(
            f'<linearGradient id="{name}" gradientUnits="userSpaceOnUse" {where}>{stops}</linearGradient>'
        )
        return name


def _stops(stroke: Stroke) -> Stops:
    return [(0.0, stroke.paint), (1.0, stroke.paint)] if isinstance(stroke.paint, Paint) else stroke.paint


def _ends(d: str) -> tuple[float, float, float, float]:
    values = [float(value) for value in _NUMBER.findall(d)]
    return values[0], values[1], values[-2], values[-1]


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_TOKEN = re.compile(r"[MLQCZ]|-?\d+(?:\.\d+)?")


def to_png(shapes: Sequence[Any], width: float, height: float, theme: str, scale: float) -> bytes:
    r"""Return the shapes as a PNG, with ``scale`` pixels per unit.

    Raises:
        MissingDependencyError: Matplotlib is not installed.

    Example:
        >>> to_png([Fill(box(0, 0, 4, 3), INK)], 4, 3, "light", 2.0)[:4]
        b'\x89PNG'
    """
    try:
        from matplotlib.backends.backend_agg import RendererAgg
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError("matplotlib", "all", "Writing a PNG") from error
    # The renderer itself, because a figure with thousands of artists takes seconds.
    painter = _Painter(RendererAgg(math.ceil(width * scale), math.ceil(height * scale), 72 * scale), theme, scale)
    painter.paint(shapes, 0.0, 0.0)
    stream = io.BytesIO()
    Image.fromarray(painter.pixels()).convert("RGB").save(
        stream, format="png", optimize=True, dpi=(72 * scale, 72 * scale)
    )
    return stream.getvalue()


class _Painter:
    """Paints shapes with matplotlib's Agg renderer, whose y axis points upwards."""

    def __init__(self, renderer: Any, theme: str, scale: float) -> None:
        from matplotlib.transforms import Affine2D

        self.renderer, self.theme, self.scale = renderer, theme, scale
        self.transform = Affine2D().scale(scale, -scale).translate(0, renderer.height)

    def pixels(self) -> Any:
        import numpy as np

        return np.asarray(self.renderer.buffer_rgba())

    def paint(self, shapes: Iterable[Any], x: float, y: float) -> None:
        for shape in shapes:
            if isinstance(shape, Group):
                self.paint(shape.shapes, x + shape.x, y + shape.y)
            elif isinstance(shape, Text):
                self._text(shape, x + shape.x, y + shape.y)
            elif isinstance(shape, Fill):
                context = self.renderer.new_gc()
                context.set_linewidth(0)
                self.renderer.draw_path(context, _path(shape.d, x, y), self.transform, self._rgb(shape.paint))
            elif isinstance(shape.paint, Paint):
                self._stroke(shape, x, y)
            else:
                for piece in _pieces(shape):
                    self._stroke(piece, x, y)

    def _rgb(self, paint: Paint) -> tuple[float, ...]:
        colour = paint.css("dark" if self.theme == "dark" else "light")
        return (*(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)), 1.0)

    def _stroke(self, stroke: Stroke, x: float, y: float) -> None:
        ends = _ends(stroke.d)
        if stroke.round and ends[:2] == ends[2:]:
            # Agg does not draw lines of length zero.
            self._disc(x + ends[0], y + ends[1], stroke)
            return
        context = self.renderer.new_gc()
        context.set_linewidth(stroke.width)
        context.set_foreground(self._rgb(stroke.paint), isRGBA=True)  # type: ignore[arg-type]
        context.set_capstyle("round" if stroke.round else "butt")
        context.set_joinstyle("round" if stroke.round else "miter")
        context.set_snap(False)
        if stroke.dash:
            context.set_dashes(0, [float(value) for value in re.split(r"[ ,]+", stroke.dash)])
        self.renderer.draw_path(context, _path(stroke.d, x, y), self.transform, None)

    def _disc(self, x: float, y: float, stroke: Stroke) -> None:
        from matplotlib.path import Path

        context = self.renderer.new_gc()
        context.set_linewidth(0)
        circle = Path.circle((x, y), stroke.width / 2)
        self.renderer.draw_path(context, circle, self.transform, self._rgb(stroke.paint))  # type: ignore[arg-type]

    def _text(self, text: Text, x: float, y: float) -> None:
        from matplotlib.font_manager import FontProperties

        # The font of the renderer is wider than those of browsers.
        font = FontProperties(size=0.92 * text.size, weight="bold" if text.bold else "normal")
        width, _, _ = self.renderer.get_text_width_height_descent(text.text, font, ismath=False)
        context = self.renderer.new_gc()
        context.set_foreground(self._rgb(text.paint), isRGBA=True)
        left = self.scale * x - {"start": 0.0, "middle": 0.5, "end": 1.0}[text.anchor] * width
        self.renderer.draw_text(context, left, self.scale * y, text.text, font, 0, ismath=False)


def _pieces(stroke: Stroke) -> Iterable[Stroke]:
    """Cut a line with a gradient into overlapping pieces of one colour."""
    x1, y1, x2, y2 = _ends(stroke.d)
    stops = _stops(stroke)
    if stroke.round:
        for end, (x, y) in ((0, (x1, y1)), (-1, (x2, y2))):
            yield Stroke(disc(x, y), stops[end][1], stroke.width)
    pieces = max(32, math.ceil(math.hypot(x2 - x1, y2 - y1) / _PIECE))
    for piece in range(pieces):
        begin = piece / pieces
        d = line(x1 + begin * (x2 - x1), y1 + begin * (y2 - y1), x2, y2, 3)
        yield Stroke(d, _between(stops, (piece + 0.5) / pieces), stroke.width, round=False)


def _between(stops: Sequence[tuple[float, Paint]], place: float) -> Paint:
    for (begin, first), (end, second) in itertools.pairwise(stops):
        if place <= end:
            share = max(0.0, (place - begin) / (end - begin))
            return Paint(_mix(first.light, second.light, share), _mix(first.dark, second.dark, share))
    return stops[-1][1]


def _mix(first: str, second: str, share: float) -> str:
    channels = (
        round((1 - share) * int(first[at : at + 2], 16) + share * int(second[at : at + 2], 16)) for at in (1, 3, 5)
    )
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _path(d: str, x: float, y: float) -> Any:
    from matplotlib.path import Path

    codes, vertices = [], []
    kinds = {"M": ([Path.MOVETO], 1), "L": ([Path.LINETO], 1), "Q": ([Path.CURVE3] * 2, 2), "C": ([Path.CURVE4] * 3, 3)}
    tokens = _TOKEN.findall(d)
    at, kind = 0, "M"
    while at < len(tokens):
        if tokens[at].isalpha():
            kind = tokens[at]
            at += 1
            if kind == "Z":
                codes.append(Path.CLOSEPOLY)
                vertices.append((0.0, 0.0))
                continue
        step, points = kinds[kind]
        values = [float(value) for value in tokens[at : at + 2 * points]]
        at += 2 * points
        codes += step
        vertices += [(x + px, y + py) for px, py in zip(values[::2], values[1::2], strict=True)]
        kind = "L" if kind == "M" else kind
    return Path(vertices, codes)
