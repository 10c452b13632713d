import re

from pyg_samsa.viz.report.groups import Group
from pyg_samsa.viz.report.overview import cost_rows


def test_experiments_stand_side_by_side(page, frame, record):
    first = [record(seed, "small", frame("labels")) for seed in (0, 1)]
    second = record(0, "large", frame("labels"), test={"ap": 0.9, "loss": 0.1}, settings={"samsa.layers": 8})
    text, _ = page(*first, second)
    row = re.search(r'<th scope="row">samsa\.layers</th><td class="differs">2</td><td class="differs">8</td>', text)
    assert row is not None
    assert '<th scope="row">dataset.name</th><td>d</td><td>d</td>' in text
    assert re.search(r'<td class="best"><b>0\.9000</b>', text)
    other = record(0, "other", frame("values"), test={"mae": 1.0}, settings={"dataset.name": "e"})
    text, _ = page(*first, other)
    assert "different test sets" in text
    assert 'class="best"' not in text


def test_the_column_of_the_split_is_shown_at_the_top(page, record):
    text, _ = page(record(settings={"dataset.split_column": "split_r"}))
    assert "<dt>Split by column</dt><dd>split_r</dd>" in text
    assert "Split by column" not in page(record(settings={"dataset.split_column": ""}))[0]


def test_no_best_value_between_runs_that_were_tested_on_other_rows(page, frame, record):
    table = frame("labels")
    moved, relabelled, without = table.copy(), table.copy(), table.drop(columns=["smiles"])
    moved["row"] += 1
    relabelled["a_true"] = 1 - relabelled["a_true"]
    runs = [record(0, "first", table), record(0, "second", table.assign(a_pred=0.5), test={"ap": 0.9})]
    assert 'class="best"' in page(*runs)[0]
    for other in (moved, relabelled, without, table[:40]):
        text, _ = page(runs[0], record(0, "second", other, test={"ap": 0.9}))
        assert "different test sets" in text
        assert 'class="best"' not in text
    split = {"dataset.split_column": "split_s"}
    text, _ = page(record(0, "first"), record(0, "second", test={"ap": 0.9}, settings=split))
    assert 'class="best"' not in text


def test_runs_without_test_rows_are_compared_by_validation(page, record):
    runs = [record(0, name, test={}) for name in ("first", "second")]
    runs[1].summary["val"] = {"ap": 0.75}
    text, _ = page(*runs)
    assert "different test sets" not in text
    assert '<td class="best"><b>0.7500</b></td>' in text
    assert "the best validation mean of each metric is marked" in text
    assert '<th scope="col" class="n">validation ap</th>' in text
    assert text.count("There are no test rows") == 1
    text, _ = page(runs[1])
    assert '<th scope="col">validation</th>' in text
    assert '<th scope="col">test</th>' not in text


def test_runs_with_other_descriptors_have_the_same_rows(page, record):
    runs = [record(0, name, test={"ap": 0.5}, settings={"dataset.descriptors": name}) for name in ("maccs", "rdkit2d")]
    runs[1].summary["test"] = {"ap": 0.75}
    text, _ = page(*runs)
    assert '<td class="best"><b>0.7500</b>' in text
    assert "different test sets" not in text


def test_many_experiments_are_compared_by_task(page, frame, record):
    labels = [record(0, name, frame("labels")) for name in ("first", "second")]
    undefined = record(0, "third", frame("labels"), test={"ap": float("nan"), "loss": 0.3})
    undefined.summary["val"] = {"loss": 0.3}
    values = record(0, "values", frame("values"), test={"mae": 1.25, "loss": 2.0}, settings={"dataset.name": "e"})
    values.summary["val"] = {"mae": 1.5, "loss": 2.5}
    text, _ = page(*labels, undefined, values)
    tables = re.findall(r'<table class="compare rows">.*?</table>', text[: text.index("Size and time")], re.S)
    names = [[name for name in ("first", "second", "third", "values") if f">{name}<" in table] for table in tables]
    assert names == [["first", "second", "third"], ["values"]]
    assert "MAE" not in tables[0]
    assert "AP" not in tables[1]
    assert "validation –" not in text


def test_the_time_of_an_epoch_of_an_ensemble_is_that_of_one_network(record):
    run = record(0)
    run.summary.update(parameters=30, seconds=60.0, seconds_per_epoch=6.0, predictor={"members": [{}, {}, {}]})
    rows = {row["name"]: row["cells"] for row in cost_rows([Group("exp", 0, [run])])}
    assert (rows["Training time of a run"], rows["Seconds per epoch"]) == (["1 min 0 s"], ["2.0"])
