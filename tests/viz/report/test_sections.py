import re

import numpy as np
import pytest

from pyg_samsa.viz.report import sections
from pyg_samsa.viz.report.groups import group_runs


def test_curves_use_every_epoch_of_every_seed(record):
    full, stopped = record(0), record(1, history=record(1).history[:1])
    _, val = sections._curve(group_runs([full, stopped])[0], "ap", "epoch", single=True)
    assert val.x == [1, 2, 3]
    assert val.y == pytest.approx([0.2, 0.25, 0.3])
    assert val.low == pytest.approx(val.high)
    assert val.mark == [(3.0, pytest.approx(0.3))] * 2


def test_constant_and_unlabelled_targets(page, frame, record):
    table = frame("labels")
    table["a_true"], table["b_true"] = 1.0, np.nan
    text, _ = page(record(predictions=table))
    assert "all test labels are the same" in text


def test_a_run_that_is_measured_by_auc_shows_roc_curves(page, frame, record):
    text, _ = page(record(predictions=frame("labels"), test={"auc": 0.9, "ap": 0.5}))
    assert "<h3>ROC</h3>" in text
    assert text.count("false positive rate</text>") == 2
    assert text.count("AUC ") >= 2
    assert "<h3>ROC</h3>" not in page(record(predictions=frame("labels"), test={"ap": 0.5}))[0]
    assert "<h3>ROC</h3>" in page(record(predictions=frame("classes"), test={"auc": 0.5}))[0]


def test_the_curves_of_one_target_stand_beside_its_calibration(page, frame, record):
    text, _ = page(record(predictions=frame("labels", names=("toxic",)), test={"auc": 0.9, "ap": 0.5}))
    captions = re.findall(r"<figcaption>([^<]*)</figcaption>", text.partition("Curves and calibration</h3>")[2])
    assert captions == ["ROC", "Precision and recall", "Calibration"]
    assert '<th scope="col">target</th>' in text
    assert "all classes together" not in text
    assert '<th scope="col">class</th>' in page(record(predictions=frame("labels")))[0]


def test_axes_from_0_to_1_are_marked_by_decimals(page, frame, record):
    text, _ = page(record(predictions=frame("labels")))
    assert ">0.25</text>" in text
    assert ">0.5</text>" in text
    assert not set("¼½¾") & set(text)
