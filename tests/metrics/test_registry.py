import pytest
import torchmetrics

from pyg_samsa import metrics, task
from pyg_samsa.errors import ConfigError

DIRECTIONS = {
    "ap": True,
    "auc": True,
    "accuracy": True,
    "accuracy_macro": True,
    "f1_macro": True,
    "r2": True,
    "spearman": True,
    "miou": True,
    "miou_category": True,
    "mae": False,
    "rmse": False,
}
PARTS = [[0, 1], [2]]


def test_every_name_is_there() -> None:
    assert metrics.available() == sorted(DIRECTIONS)


@pytest.mark.parametrize("name", metrics.available())
def test_build_and_direction(name: str) -> None:
    metric = metrics.build(name, 3, parts=PARTS)
    assert isinstance(metric, torchmetrics.Metric)
    assert metric.name == name
    assert metric.higher_is_better is metrics.higher_is_better(name) is DIRECTIONS[name]


@pytest.mark.parametrize("call", [lambda name: metrics.build(name, 1), metrics.higher_is_better])
def test_unknown_name_suggests_the_nearest(call) -> None:
    with pytest.raises(ConfigError, match="metric: got 'f1_marco'") as caught:
        call("f1_marco")
    assert caught.value.hint == "Did you mean 'f1_macro'?"


def test_a_name_belongs_to_one_class() -> None:
    with pytest.raises(ConfigError, match="MeanAbsoluteError has it"):

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
        assert set(metrics.default_metrics(kind)) <= set(metrics.available(parts=False))
    assert set(metrics.default_metrics("multiclass", parts=True)) <= set(metrics.available())


def test_direction() -> None:
    assert [metrics.direction(name) for name in ("miou", "mae", "loss", "unknown")] == [1, -1, -1, 0]
