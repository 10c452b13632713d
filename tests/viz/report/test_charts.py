import re

from pyg_samsa.viz.report.charts import Line, line_chart


def test_every_colour_of_a_chart_is_a_variable(page, frame, record):
    text, _ = page(record(predictions=frame("labels")))
    charts = re.findall(r"<figure>.*?</figure>", text, flags=re.S)
    assert len(charts) >= 5
    for chart in charts:
        assert not re.search(r"#[0-9a-f]{6}\b", chart)
        assert "var(--" in chart
        assert "<text" in chart


def test_marks_of_axes_keep_their_digits():
    text = line_chart([Line(0, [1, 2, 3], [0.8870, 0.8875, 0.8880])], xlabel="epoch")
    marks = re.findall(r">(0\.\d+)</text>", text)
    assert len(marks) >= 3
    assert len(set(marks)) == len(marks)
    assert {"0.8870", "0.8880"} <= set(marks)
    assert not re.search(r"[ML] -?\d+\.\d{3}", text)
