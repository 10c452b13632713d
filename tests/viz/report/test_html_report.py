import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
)

from pyg_samsa.errors import ConfigError
from pyg_samsa.task import Task
from pyg_samsa.training.run_record import RunRecord
from pyg_samsa.viz.report import prediction_scores as scores
from pyg_samsa.viz.report import prediction_tables as tables
from pyg_samsa.viz.report import sections
from pyg_samsa.viz.report.groups import group_runs
from pyg_samsa.viz.report.html_report import write_report

VOID = {"meta", "link", "br", "img", "hr", "input", "use", "path"}
GENERATOR = np.random.default_rng(0)


class Structure(HTMLParser):
    """Collects links and tags, and sees whether every tag is closed where it should be."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.sources, self.targets, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.sources += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        self.ids += [values["id"]] if "id" in values else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def frame(task, rows=80, names=("a", "b"), smiles=True, shift=0.0):
    generator = np.random.default_rng(1)
    table = {"row": np.arange(rows)}
    if smiles:
        table["smiles"] = ["CCO", "c1ccccc1O", "NCC(=O)O", "not a molecule"] * (rows // 4)
    if task == "classes":
        logits = generator.normal(size=(rows, len(names))) + shift
        shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        table |= {"true": generator.integers(0, len(names), rows), "pred": shares.argmax(1)}
        table |= {f"{name}_pred": shares[:, number] for number, name in enumerate(names)}
    for name in names if task != "classes" else ():
        true = generator.normal(size=rows) if task == "values" else generator.integers(0, 2, rows).astype(float)
        noise = generator.uniform(size=rows)
        table[f"{name}_true"] = np.where(generator.uniform(size=rows) < 0.1, np.nan, true)
        table[f"{name}_pred"] = (
            true + noise - 0.5 + shift if task == "values" else np.clip(0.5 * true + 0.5 * noise, 0, 1)
        )
    return pd.DataFrame(table)


def record(seed=0, folder="exp", predictions=None, test=None, settings=None, **other):
    test = {"ap": 0.5 + 0.1 * seed, "loss": 0.3} if test is None else test
    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "total_seconds": [1.0, 2.0, 3.0], "train_loss": [3, 2, 1.0], "val_loss": [3, 2.5, 2]}
    )
    history["train_ap"], history["val_ap"] = [0.2, 0.3, 0.4], [0.2, 0.25, 0.3 + 0.01 * seed]
    summary = {
        "test": test,
        "val": {"ap": 0.4},
        "monitor": "val_ap",
        "best_epoch": 3,
        "epochs": 3,
        "seconds": 75.0,
        "seconds_per_epoch": 25.0,
    }
    content = {"seed": seed, "dataset.format": "samsa", "dataset.name": "d", "samsa.layers": 2, **(settings or {})}
    environment = {
        "python": "3.11",
        "cpu": "A processor",
        "argv": ["train", "--cfg", "x"],
        "packages": {"torch": "2.13"},
    }
    values = {
        "summary": {**summary, "parameters": 12345},
        "history": history,
        "environment": environment,
        "predictions": predictions,
        **other,
    }
    return RunRecord(Path(f"results/{folder}/{seed}"), folder, seed, content, **values)


def page(tmp_path, *records, **options):
    text = write_report(records, tmp_path / "report.html", **options).read_text()
    structure = Structure()
    structure.feed(text)
    assert structure.open == []
    # One file: nothing is fetched from anywhere.
    assert all(source.startswith(("#", "data:image/")) for source in structure.sources)
    assert not {"link", "iframe", "object"} & set(structure.tags)
    assert not re.search(r"@import|url\((?!#)", text)
    return text, structure


def test_seeds_become_mean_and_deviation(tmp_path):
    text, structure = page(tmp_path, *(record(seed, predictions=frame("labels")) for seed in range(3)))
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


def test_curves_use_every_epoch_of_every_seed():
    full, stopped = record(0), record(1, history=record(1).history[:1])
    _, val = sections._curve(group_runs([full, stopped])[0], "ap", "epoch", single=True)
    assert val.x == [1, 2, 3]
    assert val.y == pytest.approx([0.2, 0.25, 0.3])
    assert val.low == pytest.approx(val.high)
    assert val.mark == [(3.0, pytest.approx(0.3))] * 2


def test_every_colour_of_a_chart_is_a_variable(tmp_path):
    text, _ = page(tmp_path, record(predictions=frame("labels")))
    charts = re.findall(r"<figure>.*?</figure>", text, flags=re.S)
    assert len(charts) >= 5
    for chart in charts:
        assert not re.search(r"#[0-9a-f]{6}\b", chart)
        assert "var(--" in chart
        assert "<text" in chart


def test_average_precisions_are_those_of_scikit_learn(tmp_path):
    table = frame("labels")
    text, _ = page(tmp_path, record(predictions=table))
    for name in ("a", "b"):
        known = table[f"{name}_true"].notna()
        assert f"{average_precision_score(table[f'{name}_true'][known], table[f'{name}_pred'][known]):.3f}" in text
    assert "expected calibration error" in text
    assert "Confusion" not in text


def test_classes_have_a_confusion_matrix(tmp_path):
    names = ("<cat>", "dog", "emu")
    table = frame("classes", names=names)
    text, _ = page(tmp_path, record(predictions=table, test={"accuracy": 0.4}))
    assert "Confusion" in text
    assert "<cat>" not in text
    counts = confusion_matrix(table["true"], table["pred"])
    assert f"&lt;cat&gt; → dog: {counts[0, 1]} of {counts[0].sum()}" in text
    for values in precision_recall_fscore_support(table["true"], table["pred"])[:3]:
        assert all(f"{value:.3f}" in text for value in values)


def test_values_have_a_scatter(tmp_path):
    table = frame("values", names=("logP",))
    text, _ = page(tmp_path, record(predictions=table, test={"mae": 0.2}))
    known = table[table["logP_true"].notna()]
    assert f"MAE {mean_absolute_error(known['logP_true'], known['logP_pred']):.3f}" in text
    assert f"R² {r2_score(known['logP_true'], known['logP_pred']):.3f}" in text
    assert "Calibration" not in text


def test_experiments_stand_side_by_side(tmp_path):
    first = [record(seed, "small", frame("labels")) for seed in (0, 1)]
    second = record(0, "large", frame("labels"), test={"ap": 0.9, "loss": 0.1}, settings={"samsa.layers": 8})
    text, _ = page(tmp_path, *first, second)
    row = re.search(r'<th>samsa\.layers</th><td class="differs">2</td><td class="differs">8</td>', text)
    assert row is not None
    assert "<th>dataset.name</th><td>d</td><td>d</td>" in text
    assert re.search(r'<td class="best"><b>0\.9000</b>', text)
    other = record(0, "other", frame("values"), test={"mae": 1.0}, settings={"dataset.name": "e"})
    text, _ = page(tmp_path, *first, other)
    assert "different data" in text
    assert 'class="best"' not in text


def test_what_is_missing_is_said(tmp_path):
    stopped = record(1, summary=None, predictions=None)
    text, _ = page(
        tmp_path,
        record(0, predictions=None, cut=False),
        stopped,
        record(2, history=None, predictions=frame("labels"), cut=True),
    )
    assert "results/exp/1 did not finish (3 of None epochs)" in text
    assert "results/exp/0 has no test predictions" in text
    assert "results/exp/2 has no metrics.csv" in text
    assert "more than 80 test predictions" in text
    assert "stopped after 3 epochs" in text
    text, _ = page(tmp_path, stopped)
    assert "No run has finished" in text


def test_worst_rows_come_first_with_their_structures(tmp_path):
    table = frame("labels", names=("a",))
    table.loc[:, "a_pred"] = 0.5
    table.loc[17, ["a_true", "a_pred"]] = 1.0, 0.01
    table.loc[21, ["a_true", "a_pred"]] = 0.0, 0.95
    text, _ = page(tmp_path, record(predictions=table))
    assert re.findall(r"<h4>Row (\d+)", text)[:2] == ["17", "21"]
    shown = re.findall(r"<code>(.*?)</code>", text)
    assert len(shown) == 6
    assert text.count('class="molecule"') == sum(smiles != "not a molecule" for smiles in shown)
    assert ("A structure is not drawn" in text) == ("not a molecule" in shown)
    assert "light-dark(" in text


def test_constant_and_unlabelled_targets(tmp_path):
    table = frame("labels")
    table["a_true"], table["b_true"] = 1.0, np.nan
    text, _ = page(tmp_path, record(predictions=table))
    assert "all test labels are the same" in text


def test_nodes_are_averaged_over_their_graph(tmp_path):
    table = frame("classes", smiles=False).assign(node=np.arange(80) % 8)
    table["row"] = np.arange(80) // 8
    text, _ = page(tmp_path, record(predictions=table, test={"accuracy": 0.5}))
    assert "averaged over their nodes" in text
    right = (table["true"] == table["pred"]).groupby(table["row"]).mean()
    worst = int(re.search(r"<h4>Row (\d+)", text).group(1))
    assert f"{100 * right[worst]:.0f} % of its nodes correct" in text


def test_groups():
    same = [
        record(0, settings={"optim.max_epoch": 3}, volatile=frozenset({"optim.max_epoch"})),
        record(1, settings={"optim.max_epoch": 9}, volatile=frozenset({"optim.max_epoch"})),
    ]
    assert [len(group.runs) for group in group_runs(same)] == [2]
    assert [group.label for group in group_runs([record(0), record(1, settings={"samsa.layers": 5})])] == [
        "exp (1)",
        "exp (2)",
    ]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ConfigError, match="html"):
        write_report([record()], tmp_path / "report.pdf")
    with pytest.raises(ConfigError, match="runs"):
        write_report([], tmp_path / "report.html")


def test_the_task_is_read_from_the_summary():
    saved = record(predictions=frame("labels"))
    saved.summary["task"] = Task("regression", ["a", "b"]).as_dict()
    assert tables.task_of(saved) == Task("regression", ["a", "b"])
    saved.summary["task"] = {"kind": "unknown", "names": ["a"]}
    with pytest.raises(ConfigError, match="task"):
        tables.task_of(saved)


def test_kinds_of_predictions_are_told_apart():
    assert tables.find_task(frame("labels"), ["ap"]).kind == "multilabel"
    assert tables.find_task(frame("values"), []).kind == "regression"
    assert tables.find_task(frame("labels"), ["mae"]).kind == "regression"
    assert tables.find_task(frame("classes", names=("x", "y", "z")), ["accuracy"]).names == ("x", "y", "z")


def test_reliability_of_a_calibrated_model_is_small():
    probability = GENERATOR.uniform(size=200_000)
    true = (GENERATOR.uniform(size=200_000) < probability).astype(float)
    predicted, _, share, error = scores.reliability(true, probability)
    assert len(predicted) == 10
    assert sum(share) == pytest.approx(1)
    assert error < 0.01
    assert scores.reliability(true, np.clip(probability + 0.3, 0, 1))[3] > 0.2


def test_means_over_seeds_need_the_same_rows():
    one, two = frame("labels"), frame("labels")
    two["a_pred"] = 0.0
    mean = tables.mean_over_seeds([one, two])
    assert np.allclose(mean["a_pred"], one["a_pred"] / 2)
    assert tables.mean_over_seeds([one, two.assign(row=two["row"] + 1)]) is None
