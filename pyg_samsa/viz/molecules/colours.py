"""Colour scales with even steps in lightness, for light and dark themes; zero is the colour of the background."""

from __future__ import annotations

import math
from functools import lru_cache

from pyg_samsa.errors import check_choice
from pyg_samsa.viz.molecules.canvas import PAPER, Paint

# Lightness, chroma and hue (degrees) in OKLCH of evenly spaced anchors, without the background. Lightness falls in the
# light theme and rises in the dark one, and stops where atom labels would lose their contrast. The first step of the
# dark theme is larger, because eyes tell dark colours apart less well.
_WARM_LIGHT = ((0.945, 0.055, 95.0), (0.875, 0.115, 80.0), (0.780, 0.155, 57.0), (0.675, 0.185, 33.0))
_WARM_DARK = ((0.350, 0.085, 345.0), (0.415, 0.125, 358.0), (0.478, 0.150, 20.0), (0.540, 0.150, 42.0))
_COOL_LIGHT = ((0.935, 0.035, 240.0), (0.855, 0.075, 242.0), (0.760, 0.110, 245.0), (0.660, 0.140, 250.0))
_COOL_DARK = ((0.350, 0.070, 255.0), (0.410, 0.100, 255.0), (0.470, 0.125, 254.0), (0.530, 0.140, 253.0))
# Lightness of the two backgrounds.
_WHITE, _BLACK = 1.0, 0.24
SCALES = ("sequential", "diverging")


@lru_cache(maxsize=4096)
def scale_paint(scale: str, level: int) -> Paint:
    """Return the colour of a level from -100 to 100.

    A sequential scale has the background colour below zero. Colours are interpolated in OKLab (Ottosson, 2020), so that
    equal steps of the value look equal.

    Args:
        scale: ``"sequential"`` or ``"diverging"``.
        level: Value in percent of the largest one.

    Example:
        >>> scale_paint("sequential", 0)
        Paint(light='#ffffff', dark='#1c1f25')
        >>> scale_paint("diverging", -100) != scale_paint("diverging", 100)
        True
    """
    check_choice("scale", scale, SCALES)
    level = max(-100 if scale == "diverging" else 0, min(100, level))
    if level == 0:
        return PAPER
    light, dark = (_COOL_LIGHT, _COOL_DARK) if level < 0 else (_WARM_LIGHT, _WARM_DARK)
    return Paint(_along(_WHITE, light, abs(level) / 100), _along(_BLACK, dark, abs(level) / 100))


def paint_of(value: float, limit: float, scale: str) -> Paint:
    """Return the colour of a value; ``limit`` is the value at the end of the scale.

    Example:
        >>> paint_of(0.5, 2.0, "diverging") == scale_paint("diverging", 25)
        True
        >>> paint_of(9.0, 2.0, "diverging") == scale_paint("diverging", 100)
        True
    """
    return scale_paint(scale, 0 if not limit > 0 else round(100 * max(-1.0, min(1.0, value / limit))))


def _along(start: float, anchors: tuple[tuple[float, float, float], ...], share: float) -> str:
    labs = [
        (start, 0.0, 0.0),
        *(
            (light, chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue)))
            for light, chroma, hue in anchors
        ),
    ]
    place = share * (len(labs) - 1)
    at = min(int(place), len(labs) - 2)
    rest = place - at
    light, a, b = ((1 - rest) * first + rest * second for first, second in zip(labs[at], labs[at + 1], strict=True))
    return _to_hex(light, a, b)


def _to_hex(light: float, a: float, b: float) -> str:
    """OKLab to sRGB."""
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    channels = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _gamma(min(1.0, max(0.0, channel)))):02x}" for channel in channels)


def _gamma(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
