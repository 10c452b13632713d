import itertools
import re
from pathlib import Path

import pytest

from pyg_samsa.errors import ConfigError
from pyg_samsa.viz.report import html_report
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
    assert "results/exp/0 has no file of test predictions" in text
    assert "results/exp/2 has no metrics.csv" in text
    assert "more than 80 test predictions" in text
    assert "stopped after epoch 3" in text
    text, _ = page(stopped)
    assert "No run has finished" in text


def test_runs_without_labels_have_no_predictions_to_miss(page, record):
    whole = record(0, predictions=None)
    hidden = {**whole.summary, "task": {"kind": "masked", "level": "node", "names": ["x0"]}}
    text, _ = page(whole, record(1, predictions=None, summary=hidden))
    assert "results/exp/0 has no file of test predictions" in text
    assert "results/exp/1 has no file" not in text


def test_a_finished_run_without_validation_and_test_rows_says_so(page, record):
    history = record(0).history.drop(columns=["val_loss", "val_ap", "train_ap"])
    run = record(0, test={}, history=history)
    run.summary["val"] = {}
    text, structure = page(run)
    assert "There are no validation and no test rows" in text
    assert "No run has finished" not in text
    assert "There are no test rows, and so no charts of test results." in text
    assert "12,345" in text
    assert "Dashed: training; there are no validation values" in text
    assert "results" not in structure.ids


def test_an_undefined_metric_and_the_metric_that_chose_instead_are_told(page, record):
    run = record(0, test={"auc": float("nan"), "loss": 0.3})
    run.summary["val"] = {"auc": float("nan"), "loss": 0.4}
    run.summary["fallback"] = "val_auc is undefined (NaN) in all epochs; the best epoch was chosen by val_loss"
    text, _ = page(run)
    assert "Undefined on the validation and test rows, for example because all labels are the same: ROC AUC." in text
    assert "the best epoch was chosen by val_loss" in text


@pytest.mark.parametrize("kind", ["labels", "classes", "values"])
def test_headings_images_and_tables_are_accessible(page, frame, record, kind):
    for runs in (
        [record(predictions=frame(kind))],
        [record(predictions=frame(kind)), record(0, "other", frame(kind))],
        [record(0, f"run{number}", frame(kind)) for number in range(4)],
    ):
        text, structure = page(*runs)
        levels = [int(tag[1]) for tag in structure.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
        assert "<th></th>" not in text
        for table in re.findall(r"<table.*?</table>", text, flags=re.S):
            assert "<th" in table
            assert all("scope=" in head for head in re.findall(r"<th\b[^>]*>", table))
        # What is scrolled can be reached with the keyboard, and every chart and picture has a text.
        assert all('tabindex="0"' in tag for tag in re.findall(r'<div class="scroll"[^>]*>', text))
        charts = re.findall(r"<figure>.*?(<svg[^>]*>)", text, flags=re.S)
        assert charts
        assert all(re.search(r'role="img" aria-label="[^"]+"', tag) for tag in charts)


def test_many_experiments_are_rows_and_their_folder_is_the_title(page, record):
    runs = [record(0, f"K={number}", test={"ap": number / 100}) for number in (2, 16, 4, 8)]
    text, _ = page(*runs)
    assert "<h1>results</h1>" in text
    assert '<th scope="col">Average precision (AP)\u00a0↑</th>' in text
    assert re.search(r'<th scope="row">.*?K=16.*?</th>\s*<td class="best"><b>0\.1600</b>', text)
    text, _ = page(*runs[:3])
    assert "<h1>K=2, K=16, K=4</h1>" in text
    assert '<th scope="row">Average precision (AP)\u00a0↑</th>' in text


def _contrast(first, second):
    def light(color):
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05

    return max(light(first), light(second)) / min(light(first), light(second))


def _mixed(first, second, share):
    pairs = ((int(first[n : n + 2], 16), int(second[n : n + 2], 16)) for n in (1, 3, 5))
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)


def test_texts_stand_out_from_their_background():
    css = (Path(html_report.__file__).parent / "templates" / "report.css").read_text()
    blocks = re.findall(r"--page:[^}]*", css)
    assert len(blocks) == 3
    themes = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in blocks]
    assert themes[1] == themes[2]
    most = float(re.search(r"--most: (\d+)%; width: 38px", css).group(1)) / 100
    for theme in themes:
        for ink in ("ink", "muted", "s0", "s2"):  # texts, notes, links, best values
            assert min(_contrast(theme[ink], theme[paper]) for paper in ("page", "card")) >= 4.5
        assert _contrast(theme["ink"], theme["mark"]) >= 4.5
        for tone in ("s0", "s1"):
            empty = _mixed(theme["grid"], theme["card"], 0.55)
            for share in (0.0, 0.5, 1.0):
                assert _contrast(theme["ink"], _mixed(theme[tone], empty, share * most)) >= 4.5


def test_mistakes_are_named(tmp_path, record):
    with pytest.raises(ConfigError, match="html"):
        write_report([record()], tmp_path / "report.pdf")
    with pytest.raises(ConfigError, match="runs"):
        write_report([], tmp_path / "report.html")
