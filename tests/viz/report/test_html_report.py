import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.viz.report.html_report import write_report


def test_seeds_become_mean_and_deviation(page, frame, record):
    text, structure = page(*(record(seed, predictions=frame("labels")) for seed in range(3)))
    assert "0.6000 ± 0.1000" in text
    assert "12,345" in text
    assert "1 min 15 s" in text
    assert "A processor" in text
    for anchor in ("metrics", "curves", "results", "worst", "configuration", "environment"):
        assert anchor in structure.ids
        assert f'href="#{anchor}"' in text
    assert len(structure.ids) == len(set(structure.ids))
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_what_is_missing_is_said(page, frame, record):
    stopped = record(1, summary=None, predictions=None)
    text, _ = page(
        record(0, predictions=None, cut=False),
        stopped,
        record(2, history=None, predictions=frame("labels"), cut=True),
    )
    assert "results/exp/1 did not finish (3 of None epochs)" in text
    assert "results/exp/0 has no test predictions" in text
    assert "results/exp/2 has no metrics.csv" in text
    assert "more than 80 test predictions" in text
    assert "stopped after 3 epochs" in text
    text, _ = page(stopped)
    assert "No run has finished" in text


def test_mistakes_are_named(tmp_path, record):
    with pytest.raises(ConfigError, match="html"):
        write_report([record()], tmp_path / "report.pdf")
    with pytest.raises(ConfigError, match="runs"):
        write_report([], tmp_path / "report.html")
