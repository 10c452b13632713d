import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.viz.molecules.canvas import PAPER
from pyg_samsa.viz.molecules.colours import SCALES, paint_of, scale_paint


def luminance(colour):
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("sign", [1, -1])
def test_lightness_falls_in_the_light_theme_and_rises_in_the_dark_one(scale, sign):
    if scale == "sequential" and sign < 0:
        pytest.skip("a sequential scale has no negative side")
    paints = [scale_paint(scale, sign * level) for level in range(0, 101, 10)]
    light, dark = [luminance(paint.light) for paint in paints], [luminance(paint.dark) for paint in paints]
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)


def test_zero_and_what_is_below_a_sequential_scale_is_the_background():
    assert scale_paint("sequential", 0) == scale_paint("diverging", 0) == scale_paint("sequential", -5) == PAPER
    assert paint_of(1.0, 0.0, "diverging") == PAPER


def test_values_beyond_the_limit_get_the_last_colour():
    assert paint_of(9.0, 1.0, "diverging") == paint_of(1.0, 1.0, "diverging")
    assert paint_of(-9.0, 1.0, "diverging") == scale_paint("diverging", -100)


def test_unknown_scale():
    with pytest.raises(ConfigError, match="scale"):
        scale_paint("rainbow", 1)
