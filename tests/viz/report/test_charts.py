import re


def test_every_colour_of_a_chart_is_a_variable(page, frame, record):
    text, _ = page(record(predictions=frame("labels")))
    charts = re.findall(r"<figure>.*?</figure>", text, flags=re.S)
    assert len(charts) >= 5
    for chart in charts:
        assert not re.search(r"#[0-9a-f]{6}\b", chart)
        assert "var(--" in chart
        assert "<text" in chart
