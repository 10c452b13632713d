import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from pyg_samsa.viz.molecules.canvas import (
    INK,
    PAPER,
    Fill,
    Group,
    Paint,
    Stroke,
    SvgWriter,
    Text,
    box,
    disc,
    line,
    merge,
    to_png,
)

RED = Paint("#ff0000", "#880000")


@pytest.mark.parametrize(("theme", "colour"), [("light", "#ff0000"), ("dark", "#880000"), ("auto", "light-dark(")])
def test_colours_follow_the_theme(theme, colour):
    assert colour in SvgWriter(theme).document([Fill(box(0, 0, 1, 1), RED)], 1, 1)


def test_text_and_titles_are_escaped():
    svg = SvgWriter("light").document([Text(0, 0, "<&>", 9)], 9, 9, "a < b", "c & d")
    root = ET.fromstring(svg)
    texts = [element.text for element in root.iter() if element.text]
    assert texts == ["a < b", "c & d", "<&>"]


def test_gradients_have_names_of_their_own():
    stops = [(0.0, INK), (1.0, RED)]
    writer = SvgWriter("light", prefix="m7-")
    svg = writer.document([Stroke(line(0, 0, 9, 9), stops, 2)] * 2, 9, 9)
    assert len(writer.gradients) == 2
    assert 'id="m7-0"' in svg
    assert 'id="m7-1"' in svg


def test_merge_joins_only_what_looks_alike():
    strokes = [Stroke(line(0, 0, 1, 1), INK, 1), Stroke(line(1, 1, 2, 2), INK, 1), Stroke(line(2, 2, 3, 3), RED, 1)]
    fills = [Fill(box(0, 0, 1, 1), INK), Fill(box(1, 1, 1, 1), INK)]
    assert len(merge([*strokes, *fills])) == 3


def test_png_shows_the_shapes_where_they_are():
    shapes = [Fill(box(0, 0, 20, 10), PAPER), Group([Stroke(disc(5, 5), RED, 6)], x=10)]
    image = np.asarray(Image.open(io.BytesIO(to_png(shapes, 20, 10, "light", 2.0))))
    assert image.shape == (20, 40, 3)
    assert image[10, 30].tolist() == [255, 0, 0]
    assert image[10, 10].tolist() == [255, 255, 255]
