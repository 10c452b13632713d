"""Every registered metric against scikit-learn or scipy, and what a new metric needs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torchmetrics
from sklearn import metrics as sklearn_metrics

from pyg_samsa import metrics, task
from pyg_samsa.errors import ConfigError
from pyg_samsa.metrics import metric_registry
from pyg_samsa.metrics.metric_registry import BatchMetric

PARTS = [[0, 1], [2]]
NAN = float("nan")


def scipy_spearman(target, preds):
    return pytest.importorskip("scipy.stats").spearmanr(target, preds).statistic


def shape_scores(target, preds, batch, category):
    """The Jaccard index of each shape, averaged over the parts of its category."""
    scores = []
    for shape, kind in enumerate(category):
        mine, parts = batch == shape, PARTS[kind]
        found = np.array(parts)[preds[mine][:, parts].argmax(1)]
        jaccard = sklearn_metrics.jaccard_score(target[mine], found, labels=parts, average=None, zero_division=1)
        scores.append(jaccard.mean())
    return np.array(scores)


def category_mean(target, preds, batch, category):
    scores = shape_scores(target, preds, batch, category)
    return np.mean([scores[category == kind].mean() for kind in np.unique(category)])


# Name -> (direction, kind of the example, what another library says of one target, of classes or of shapes).
REFERENCES = {
    "ap": (True, "labels", sklearn_metrics.average_precision_score),
    "auc": (True, "labels", sklearn_metrics.roc_auc_score),
    "accuracy": (True, "classes", sklearn_metrics.accuracy_score),
    "accuracy_macro": (True, "classes", sklearn_metrics.balanced_accuracy_score),
    "f1_macro": (True, "classes", lambda target, found: sklearn_metrics.f1_score(target, found, average="macro")),
    "r2": (True, "values", sklearn_metrics.r2_score),
    "spearman": (True, "values", scipy_spearman),
    "mae": (False, "values", sklearn_metrics.mean_absolute_error),
    "rmse": (False, "values", sklearn_metrics.root_mean_squared_error),
    "miou": (True, "parts", lambda *arguments: shape_scores(*arguments).mean()),
    "miou_category": (True, "parts", category_mean),
}


def example(kind, seed=0, rows=60):
    """Predictions [n, 3], targets with missing labels, and a batch of shapes."""
    generator = torch.Generator().manual_seed(seed)
    preds = torch.randn(rows, 3, generator=generator)
    missing = torch.rand(rows, 3, generator=generator) < 0.2
    batch = SimpleNamespace(
        batch=torch.arange(6).repeat_interleave(rows // 6), category=torch.tensor([0, 1, 0, 0, 1, 0])
    )
    if kind == "parts":
        target = torch.randint(2, (rows,), generator=generator)
        return preds, torch.where(batch.category[batch.batch] == 0, target, 2), batch
    if kind == "classes":
        target = torch.randint(3, (rows,), generator=generator)
        return preds, target.masked_fill(missing[:, 0], -100), batch
    values = torch.randn(rows, 3, generator=generator) + preds
    target = (values > 0).float() if kind == "labels" else values
    return preds, target.masked_fill(missing, NAN), batch


def reference(name, preds, target, batch):
    _, kind, function = REFERENCES[name]
    preds, target = preds.double().numpy(), target.numpy()
    if kind == "parts":
        return function(target, preds, batch.batch.numpy(), batch.category.numpy())
    if kind == "classes":
        return function(target[target >= 0], preds.argmax(1)[target >= 0])
    known = ~np.isnan(target)
    return np.mean([function(target[known[:, c], c].astype(float), preds[known[:, c], c]) for c in range(3)])


# The metrics that rank pairs of nodes are tested in test_link_ranking.py, those of words in test_word_f1.py.
ROW_METRICS = metrics.available(pairs=False, words=False)


def test_every_metric_has_a_reference() -> None:
    assert sorted(REFERENCES) == ROW_METRICS
    assert metrics.available(parts=False, pairs=False, words=False) == sorted(
        name for name, (_, kind, _) in REFERENCES.items() if kind != "parts"
    )


@pytest.mark.parametrize("name", ROW_METRICS)
def test_build_and_direction(name: str) -> None:
    metric = metrics.build(name, 3, parts=PARTS)
    assert isinstance(metric, torchmetrics.Metric)
    assert metric.name == name
    assert metric.higher_is_better is metrics.higher_is_better(name) is REFERENCES[name][0]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ROW_METRICS)
def test_equals_another_library_where_labels_are_missing(name: str, seed: int) -> None:
    preds, target, batch = example(REFERENCES[name][1], seed)
    metric = metrics.build(name, 3, parts=PARTS)
    half = len(preds) // 2
    for rows, shapes, first in ((slice(0, half), slice(0, 3), 0), (slice(half, None), slice(3, 6), 3)):
        part = SimpleNamespace(batch=batch.batch[rows] - first, category=batch.category[shapes])
        metric.update_batch(preds[rows], target[rows], part)
    assert metric.compute().item() == pytest.approx(reference(name, preds, target, batch), rel=1e-12)


@pytest.mark.parametrize("name", ROW_METRICS)
def test_without_labels_the_value_is_nan_with_a_warning(name: str) -> None:
    preds, target, batch = example(REFERENCES[name][1])
    metric = metrics.build(name, 3, parts=PARTS)
    nothing = torch.full_like(target, NAN if target.is_floating_point() else -100)
    metric.update_batch(preds, nothing, batch)
    with pytest.warns(UserWarning, match=f"{name} is undefined"):
        assert metric.compute().isnan()


@pytest.mark.filterwarnings("ignore:.*is undefined")
@pytest.mark.parametrize("name", ROW_METRICS)
def test_one_label_alone_is_no_crash(name: str) -> None:
    preds, target, batch = example(REFERENCES[name][1])
    same = target if REFERENCES[name][1] == "parts" else torch.ones_like(target)
    metric = metrics.build(name, 3, parts=PARTS)
    metric.update_batch(preds, same, batch)
    value = metric.compute()
    assert value.isnan() if name in ("ap", "auc", "spearman") else value.isfinite()


@pytest.mark.parametrize("call", [lambda name: metrics.build(name, 1), metrics.higher_is_better])
def test_unknown_name_suggests_the_nearest(call) -> None:
    with pytest.raises(ConfigError, match="metric: got 'f1_marco'") as caught:
        call("f1_marco")
    assert caught.value.hint == "Did you mean 'f1_macro'?"


def test_a_name_belongs_to_one_class() -> None:
    with pytest.raises(ConfigError, match="MeanAbsoluteError has this one"):

        @metrics.register_metric("mae")
        class Another(metrics.BatchMetric):
            pass

    assert type(metrics.build("mae", 1)) is metrics.MeanAbsoluteError


@pytest.mark.parametrize("name", ["miou", "miou_category"])
def test_metrics_of_parts_need_parts(name: str) -> None:
    with pytest.raises(ConfigError, match="parts"):
        metrics.build(name, 3)


def test_defaults_are_registered() -> None:
    for kind in task.KINDS:
        usual = task.Task(kind, ["a", "b"])
        assert set(metrics.default_metrics(usual)) <= set(metrics.available(parts=False, pairs=False))
    parts = task.Task("multiclass", ["a", "b"], "node", parts=[[0, 1]])
    assert set(metrics.default_metrics(parts)) <= set(metrics.fitting(parts))
    pairs = task.Task("binary", ["contact"], "link")
    assert metrics.default_metrics(pairs)[0] == "mrr"
    assert set(metrics.default_metrics(pairs)) <= set(metrics.fitting(pairs))
    assert not {"mrr", "hits@1"} & set(metrics.fitting(task.Task("binary", ["a"], "node")))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (task.Task("regression", ["y"]), ["mae", "r2", "rmse", "spearman"]),
        (task.Task("binary", ["y"]), ["accuracy", "accuracy_macro", "ap", "auc", "f1_macro", "spearman"]),
        (task.Task("multilabel", ["a", "b"]), ["ap", "auc", "spearman"]),
        (task.Task("multilabel", ["a"]), ["accuracy", "accuracy_macro", "ap", "auc", "f1_macro", "spearman"]),
        (task.Task("multiclass", ["a", "b", "c"]), ["accuracy", "accuracy_macro", "f1_macro"]),
        (task.Task("words", ["a", "__UNK__", "__EOS__"], positions=2), ["f1_words"]),
    ],
)
def test_metrics_fit_kinds_of_tasks(kind: task.Task, expected: list[str]) -> None:
    assert metrics.fitting(kind) == expected
    assert set(metrics.default_metrics(kind)) <= set(expected) or kind.names == ("a",)


def test_direction() -> None:
    assert [metrics.direction(name) for name in ("miou", "mae", "loss", "unknown")] == [1, -1, -1, 0]
    assert metrics.direction("val_loss".removeprefix("val_")) == -1  # another object than the literal


def test_a_new_metric_is_used_by_its_name(config, capsys) -> None:
    """All that a metric needs: a class, one line that registers it, and a setting that names it."""
    from pyg_samsa.experiments.run import run

    @metrics.register_metric("median_error")
    class MedianError(metrics.RowMetric):
        """Median absolute error."""

        higher_is_better = False

        def _score(self, preds, target):
            return float(np.median(np.abs(preds - target)))

    try:
        regression = {"dataset": {"name": "regression", "task_type": "regression"}, "model": {"loss_fun": "l1"}}
        path = config(**regression, metric_best="median_error", custom_metrics=["median_error", "mae"])
        (result,) = run(path)
        assert 0 < result.test["median_error"] < 10
        assert result.val["median_error"] == min(_column(result, "val_median_error"))
        assert "median_error ↓" in capsys.readouterr().out
    finally:
        metrics.unregister_metric("median_error")


def test_a_new_metric_may_read_the_batch(config) -> None:
    from pyg_samsa.experiments.run import run

    @metrics.register_metric("largest_graph")
    class LargestGraph(metrics.BatchMetric):
        """Number of nodes of the largest graph."""

        higher_is_better = True

        def __init__(self, num_targets: int) -> None:
            super().__init__()
            self.add_state("nodes", default=torch.tensor(0), dist_reduce_fx="max")

        def update(self, nodes):
            self.nodes = torch.maximum(self.nodes, nodes.max())

        def update_batch(self, preds, target, batch):
            self.update(batch.ptr.diff())

        def compute(self):
            return self.nodes

    try:
        (result,) = run(config(custom_metrics=["ap", "largest_graph"], optim={"max_epoch": 1}), verbosity=-1)
        assert result.test["largest_graph"] == 8
    finally:
        metrics.unregister_metric("largest_graph")


def _column(result, name):
    import pandas as pd

    return pd.read_csv(result.folder.file("metrics.csv"))[name].tolist()


def test_what_torchmetrics_is_told_of_all_metrics() -> None:
    for name in metrics.available():
        kind = metric_registry._METRICS[name]
        assert (kind.name, kind.full_state_update, kind.is_differentiable) == (name, False, False)
        assert kind.needs_parts is name.startswith("miou")
        assert kind.needs_pairs is kind.evaluation_only is name.startswith(("mrr", "hits@"))
        assert kind.needs_words is name.endswith("_words")
    assert BatchMetric.name == "metric"
    assert BatchMetric.needs_parts is BatchMetric.needs_pairs is BatchMetric.evaluation_only is False


def test_one_label_is_a_class_too() -> None:
    one, two = (metrics.fitting(task.Task("multilabel", names)) for names in (["a"], ["a", "b"]))
    assert set(one) - set(two) == {"accuracy", "accuracy_macro", "f1_macro"}
