from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from pyg_samsa.errors import ConfigError
from pyg_samsa.viz import learning_curves, plot_learning_curves

NAN = float("nan")


def history(epochs: int = 20, *, test: bool = True) -> pd.DataFrame:
    rows = []
    for epoch in range(epochs):
        rows.append(
            {"split": "train", "epoch": epoch, "loss": 0.6 - 0.02 * epoch, "ap": 0.2 + 0.02 * epoch, "lr": 1e-3}
        )
        rows.append(
            {
                "split": "val",
                "epoch": epoch,
                "loss": 0.6 - 0.01 * epoch,
                "ap": 0.2 + 0.02 * min(epoch, 24 - epoch),
                "lr": 1e-3,
            }
        )
    if test:
        rows.append({"split": "test", "epoch": epochs - 1, "loss": 0.45, "ap": 0.42, "lr": NAN})
    return pd.DataFrame(rows)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect the figures that are saved."""
    figures: list[Figure] = []
    save = learning_curves.save
    monkeypatch.setattr(learning_curves, "save", lambda figure, path: (figures.append(figure), save(figure, path))[1])
    return figures


def texts(figure: Figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def assert_no_text_is_clipped(figure: Figure) -> None:
    figure.canvas.draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert min(width - box.x1, height - box.y1) >= 0


@pytest.mark.parametrize("ending", [".png", ".pdf", ".svg"])
def test_writes_the_format_of_the_ending_and_nothing_else(tmp_path: Path, ending: str) -> None:
    path = plot_learning_curves(history(), tmp_path / f"curves{ending}", metric="ap")
    assert [child.name for child in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes()[:4] in (b"\x89PNG", b"%PDF", b"<?xm")


def test_size_fits_a_readme(tmp_path: Path) -> None:
    image = imread(plot_learning_curves(history(), tmp_path / "c.png", metric="ap"))
    height, width, _ = image.shape
    assert 1600 <= width <= 2200
    assert 0.3 < height / width < 0.6
    assert image[0, 0, :3].min() == 1.0  # light paper


def test_both_panels_with_best_epoch_and_test_value(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_learning_curves(history(), tmp_path / "c.png", metric="ap", title="a title")
    loss, metric = drawn[0].axes
    for axes, column in ((loss, "loss"), (metric, "ap")):
        lines = {line.get_label(): line for line in axes.get_lines()}
        for split, label in (("train", "training"), ("val", "validation")):
            rows = history()[history()["split"] == split]
            np.testing.assert_array_equal(lines[label].get_ydata(), rows[column])
        assert set(lines["best epoch (12)"].get_xdata()) == {12}
        assert set(lines["test"].get_ydata()) == {history().query("split == 'test'")[column].item()}
    assert {"a title", "Loss", "Average precision (AP)", "validation 0.4400   test 0.4200"} <= set(texts(drawn[0]))


def test_best_epoch_may_be_given(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_learning_curves(history(), tmp_path / "c.png", metric="ap", best_epoch=3)
    assert "best epoch (3)" in texts(drawn[0])
    assert "validation 0.2600   test 0.4200" in texts(drawn[0])


@pytest.mark.parametrize(("metric", "best"), [("mae", 2), ("ap", 1), ("loss", 0)])
def test_best_epoch_follows_the_direction_of_the_metric(
    metric: str, best: int, tmp_path: Path, drawn: list[Figure]
) -> None:
    frame = pd.DataFrame(
        {"split": "val", "epoch": [0, 1, 2], "loss": [0.1, 0.3, 0.2], "ap": [0.1, 0.9, 0.2], "mae": [3.0, NAN, 1.0]}
    )
    plot_learning_curves(frame, tmp_path / "c.png", metric=metric)
    assert f"best epoch ({best})" in texts(drawn[0])
    assert len(drawn[0].axes) == (1 if metric == "loss" else 2)


def test_unknown_metric_is_drawn_without_a_best_epoch(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_learning_curves(history().rename(columns={"ap": "my_score"}), tmp_path / "c.png", metric="my_score")
    assert "my score" in texts(drawn[0])
    assert not any("best" in text for text in texts(drawn[0]))


def test_test_value_at_the_best_epoch_counts_if_there_are_several(tmp_path: Path, drawn: list[Figure]) -> None:
    extra = pd.DataFrame({"split": "test", "epoch": range(20), "loss": 0.5, "ap": np.arange(20) / 100})
    plot_learning_curves(pd.concat([history(test=False), extra]), tmp_path / "c.png", metric="ap")
    assert "validation 0.4400   test 0.1200" in texts(drawn[0])


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_loss_axis_is_logarithmic_for_a_wide_range_only(factor: float, tmp_path: Path, drawn: list[Figure]) -> None:
    frame = history()
    frame.loc[frame["epoch"] == 0, "loss"] *= factor
    plot_learning_curves(frame, tmp_path / "c.png", metric="ap")
    assert drawn[0].axes[0].get_yscale() == ("linear" if factor == 1 else "log")


@pytest.mark.parametrize("epochs", [1, 2, 12, 500])
@pytest.mark.parametrize("title", ["short", "a headline that is far too long for one line " * 5])
def test_no_text_is_clipped(epochs: int, title: str, tmp_path: Path, drawn: list[Figure]) -> None:
    for metric in ("ap", "loss"):
        plot_learning_curves(history(epochs), tmp_path / "c.png", metric=metric, title=title)
        assert_no_text_is_clipped(drawn[-1])


def test_epoch_ticks_are_whole_numbers(tmp_path: Path, drawn: list[Figure]) -> None:
    for epochs in (1, 2, 3):
        plot_learning_curves(history(epochs), tmp_path / "c.png", metric="ap")
        assert all(tick == int(tick) for tick in drawn[-1].axes[0].get_xticks())


def test_global_state_of_matplotlib_is_left_alone(tmp_path: Path) -> None:
    settings = {key: matplotlib.rcParams[key] for key in matplotlib.rcParams}
    plot_learning_curves(history(), tmp_path / "c.png", metric="ap")
    assert {key: matplotlib.rcParams[key] for key in matplotlib.rcParams} == settings


def test_pyplot_knows_of_no_figure(tmp_path: Path) -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plot_learning_curves(history(), tmp_path / "c.png", metric="ap")
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize(
    ("change", "metric", "path", "message"),
    [
        (lambda frame: frame, "aP", "c.png", "metric: got 'aP'"),
        (lambda frame: frame.drop(columns="loss"), "ap", "c.png", "history: got 'loss'"),
        (lambda frame: frame.iloc[:0], "ap", "c.png", "at least one row"),
        (lambda frame: frame[frame["split"] == "test"], "ap", "c.png", "at least one row"),
        (lambda frame: frame, "ap", "c.jpeg", "path: got"),
    ],
)
def test_bad_input(change, metric: str, path: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        plot_learning_curves(change(history()), tmp_path / path, metric=metric)
    assert not list(tmp_path.iterdir())


def test_an_undefined_metric_is_written_and_titles_stand_in_a_line(tmp_path: Path, drawn: list[Figure]) -> None:
    table = history()
    table.loc[table["split"] != "train", "ap"] = float("nan")
    plot_learning_curves(table, tmp_path / "c.png", metric="ap", best_epoch=12)
    assert "validation undefined   test undefined" in texts(drawn[0])
    drawn[0].canvas.draw()
    loss, metric = drawn[0].axes
    heights = [axes._left_title.get_window_extent().y0 for axes in (loss, metric)]  # type: ignore[attr-defined]
    assert heights[0] == heights[1]
