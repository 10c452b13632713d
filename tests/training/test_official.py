import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch

from pyg_samsa import metrics
from pyg_samsa.training import official
from pyg_samsa.training.official import official_scores
from pyg_samsa.training.predictions import PredictionCollector

needs_ogb = pytest.mark.skipif(importlib.util.find_spec("ogb") is None, reason="ogb is not installed")


def named(name):
    return SimpleNamespace(ogb_name=name)


@needs_ogb
@pytest.mark.parametrize(
    ("name", "targets", "theirs", "ours"),
    [
        ("ogbg-molhiv", 1, "rocauc", "auc"),
        ("ogbg-moltox21", 12, "rocauc", "auc"),
        ("ogbg-molpcba", 128, "ap", "ap"),
        ("ogbg-molesol", 1, "rmse", "rmse"),
    ],
)
def test_the_judge_and_our_metric_agree(name, targets, theirs, ours, collect):
    generator = torch.Generator().manual_seed(0)
    pred = torch.randn(40, targets, generator=generator)
    true = torch.randn(40, targets, generator=generator)
    if theirs != "rmse":
        true = (true + pred > 0.5).float()
        true[torch.rand(40, targets, generator=generator) < 0.2] = float("nan")
    found = official_scores(named(name), collect(list(range(40)), pred, true))
    metric = metrics.build(ours, targets)
    metric.update(pred, true)
    assert found == {theirs: pytest.approx(float(metric.compute()), abs=1e-6)}


@needs_ogb
def test_the_judge_of_classes_and_our_accuracy_agree(collect):
    generator = torch.Generator().manual_seed(0)
    pred, true = torch.randn(40, 37, generator=generator), torch.randint(37, (40,), generator=generator)
    true[:25] = pred[:25].argmax(1)
    metric = metrics.build("accuracy", 37)
    metric.update(pred, true)
    found = official_scores(named("ogbg-ppa"), collect(list(range(40)), pred, true))
    assert found == {"acc": pytest.approx(float(metric.compute()), abs=1e-6)}
    assert found["acc"] >= 25 / 40


@needs_ogb
def test_a_metric_that_is_not_defined_gives_no_figure(collect):
    pred = torch.tensor([[0.1], [0.2]])
    assert official_scores(named("ogbg-molhiv"), collect([0, 1], pred, torch.ones(2, 1))) == {}


def test_other_data_sets_and_missing_packages_have_no_judge(collect, monkeypatch):
    collected = collect([0, 1], torch.tensor([[0.1], [0.2]]), torch.tensor([[0.0], [1.0]]))
    assert official_scores(object(), collected) == {}
    assert official_scores(named("ogbg-molhiv"), PredictionCollector()) == {}
    monkeypatch.setattr(official.importlib.util, "find_spec", lambda name: None)
    assert official_scores(named("ogbg-molhiv"), collected) == {}


@needs_ogb
def test_the_import_of_ogb_asks_no_server(monkeypatch):
    """With the package outdated, ogb asks PyPI for a newer version of itself when it is imported."""
    asked = []
    outdated = SimpleNamespace(check_outdated=lambda *arguments: asked.append(arguments) or (False, ""))
    for name in [name for name in sys.modules if name.partition(".")[0] == "ogb"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "outdated", outdated)
    assert official._evaluator("ogbg-molhiv").eval_metric == "rocauc"
    version = sys.modules["ogb.version"]
    assert version.check_outdated is None
    assert not hasattr(version, "thread")
    assert asked == []
    assert sys.modules["outdated"] is outdated
