import pytest
import torchmetrics

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError

DIRECTIONS = {
    "ap": True,
    "auc": True,
    "accuracy": True,
    "accuracy_macro": True,
    "f1_macro": True,
    "r2": True,
    "spearman": True,
    "mae": False,
    "rmse": False,
}


def test_every_name_is_there() -> None:
    assert metrics.available() == sorted(DIRECTIONS)


@pytest.mark.parametrize("name", metrics.available())
def test_build_and_direction(name: str) -> None:
    metric = metrics.build(name, 3)
    assert isinstance(metric, torchmetrics.Metric)
    assert metric.name == name
    assert metric.higher_is_better is metrics.higher_is_better(name) is DIRECTIONS[name]


@pytest.mark.parametrize("call", [lambda name: metrics.build(name, 1), metrics.higher_is_better])
def test_unknown_name_suggests_the_nearest(call) -> None:
    with pytest.raises(ConfigError, match="metric: got 'f1_marco'") as caught:
        call("f1_marco")
    assert caught.value.hint == "Did you mean 'f1_macro'?"
