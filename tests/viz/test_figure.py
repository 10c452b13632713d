import builtins

import pytest

from pyg_samsa import metrics
from pyg_samsa.errors import MissingDependencyError
from pyg_samsa.viz import figure


def test_missing_matplotlib_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match="matplotlib"):
        figure.new_figure(3, 2, "title")


@pytest.mark.parametrize("name", metrics.available())
def test_every_metric_has_a_readable_name(name: str) -> None:
    assert figure.pretty(name) != name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"),
        (-0.25, "-0.2500"),
        (1.0, "1.000"),
        (12345.0, "12345"),
        (123456.0, "1.23e+05"),
        (0.0004, "0.0004"),
        (0.00522, "0.00522"),
        (0.05, "0.0500"),
    ],
)
def test_shown(value: float, text: str) -> None:
    assert figure.shown(value) == text


@pytest.mark.parametrize(
    ("column", "low", "high", "log"),
    [("loss", 1.0, 30.0, False), ("loss", 1.0, 31.0, True), ("loss", 0.0, 31.0, False), ("mae", 1.0, 31.0, False)],
)
def test_only_losses_of_different_size_get_a_logarithmic_axis(column: str, low: float, high: float, log: bool) -> None:
    assert figure.is_log(column, low, high) is log
