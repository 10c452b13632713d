import re

import numpy as np

from pyg_samsa.viz.report.charts import Line, Points, line_chart, scatter_chart


def test_every_colour_of_a_chart_is_a_variable(page, frame, record):
    text, _ = page(record(predictions=frame("labels")))
    charts = re.findall(r"<figure>.*?</figure>", text, flags=re.S)
    assert len(charts) >= 5
    for chart in charts:
        assert not re.search(r"#[0-9a-f]{6}\b", chart)
        assert "var(--" in chart
        assert "<text" in chart


def test_marks_of_axes_keep_their_digits():
    text = line_chart([Line(0, [1, 2, 3], [0.8870, 0.8875, 0.8880])], label="Loss", xlabel="epoch")
    marks = re.findall(r">(0\.\d+)</text>", text)
    assert len(marks) >= 3
    assert len(set(marks)) == len(marks)
    assert {"0.8870", "0.8880"} <= set(marks)
    assert not re.search(r"[ML] -?\d+\.\d{3}", text)


def test_marks_of_a_logarithmic_axis_are_plain_numbers():
    text = line_chart([Line(0, [1, 2, 3], [1.0, 0.1, 0.01])], label="Loss", xlabel="epoch", log=True)
    assert {"0.01", "0.02", "0.05", "0.1", "1"} <= set(re.findall(r">([\d.]+)</text>", text))
    assert "10^" not in text
    assert "mathdefault" not in text


def test_an_offset_of_the_marks_is_in_the_label_of_the_axis():
    points = Points(0, np.array([1e6 + 0.001, 1e6 + 0.002]), np.array([1e6, 1e6 + 0.003]))
    text = scatter_chart([points], label="Energies")
    assert "true (marks plus 1,000,000)</text>" in text
    assert "predicted (marks plus 1,000,000)</text>" in text
    assert ">+1e6</text>" not in text
