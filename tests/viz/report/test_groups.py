from dataclasses import replace
from pathlib import Path

from pyg_samsa.viz.report.groups import group_runs


def test_groups(record):
    same = [
        record(0, settings={"optim.max_epoch": 3}, volatile=frozenset({"optim.max_epoch"})),
        record(1, settings={"optim.max_epoch": 9}, volatile=frozenset({"optim.max_epoch"})),
    ]
    assert [len(group.runs) for group in group_runs(same)] == [2]
    assert [group.label for group in group_runs([record(0), record(1, settings={"samsa.layers": 5})])] == [
        "exp: layers 2",
        "exp: layers 5",
    ]


def test_labels_show_the_column_of_the_split_first(record):
    runs = [
        record(0, settings={"samsa.heads": 4, "dataset.target": "a", "dataset.split_column": "split_r"}),
        record(0, settings={"samsa.heads": 8, "dataset.target": "b", "dataset.split_column": "split_s"}),
        record(0, folder="other"),
    ]
    assert [group.label for group in group_runs(runs)] == [
        "exp: split_column split_r, target a",
        "exp: split_column split_s, target b",
        "other",
    ]


def test_labels_get_more_settings_where_two_do_not_tell_runs_apart(record):
    kinds = [("random", 1, "all"), ("scaffold", 1, "all"), ("random", 2, "all"), ("random", 1, "network")]
    names = ("dataset.split_kind", "samsa.layers", "predictor.members")
    runs = [record(0, settings=dict(zip(names, values, strict=True))) for values in kinds]
    assert [group.label for group in group_runs(runs)] == [
        f"exp: split_kind {split}, layers {layers}, members {members}" for split, layers, members in kinds
    ]


def test_runs_with_the_same_settings_are_told_apart_by_their_folders(record):
    first, second = record(0), record(0)
    runs = [replace(run, path=Path(f"results_{end}/exp/0")) for run, end in ((first, "a"), (second, "b"))]
    assert [group.label for group in group_runs(runs)] == ["exp (results_a)", "exp (results_b)"]


def test_labels_differ_even_where_no_short_setting_does(record):
    runs = [record(0, settings={"dataset.csv": "x" * 30 + end}) for end in "ab"]
    assert [group.label for group in group_runs(runs)] == ["exp (1)", "exp (2)"]
