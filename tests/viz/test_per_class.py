from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from pyg_samsa.errors import ConfigError
from pyg_samsa.viz import per_class, plot_per_class

NAN = float("nan")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collect the figures that are saved."""
    figures: list[Figure] = []
    save = per_class.save
    monkeypatch.setattr(per_class, "save", lambda figure, path: (figures.append(figure), save(figure, path))[1])
    return figures


def labels(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def test_bars_are_the_values_best_on_top(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_per_class(["a", "b", "c"], [0.2, 0.9, NAN], [0.1, 0.3, 0.0], tmp_path / "c.png")
    assert labels(drawn[0]) == ["b", "a", "c"]
    assert [bar.get_width() for bar in drawn[0].axes[0].patches] == pytest.approx([0.9, 0.3, 0.2, 0.1, 0.0, 0.0])
    bottom, top = drawn[0].axes[0].get_ylim()
    assert bottom > top  # the first row is the topmost


def test_given_order_can_be_kept(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_per_class(["a", "b"], [0.2, 0.9], [0.1, 0.3], tmp_path / "c.png", sort=False)
    assert labels(drawn[0]) == ["a", "b"]


def test_mean_leaves_out_what_is_not_defined(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_per_class(["a", "b", "c"], [0.2, 0.9, NAN], [0.1, 0.3, 0.0], tmp_path / "c.png")
    texts = [artist.get_text() for artist in drawn[0].findobj(Text)]
    assert "mean 0.550" in texts
    assert "undefined: all labels are the same" in texts


@pytest.mark.parametrize("count", [1, 2, 40])
def test_no_text_is_clipped_or_overlaps(count: int, tmp_path: Path, drawn: list[Figure]) -> None:
    names = [f"a class with quite a long name, number {i}, and_an_identifier_within" for i in range(count)]
    plot_per_class(
        names, [1.0] * count, [1.0] * count, tmp_path / "c.png", title="a headline that is too long for one line " * 4
    )
    figure = drawn[0]
    figure.canvas.draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) >= 0
    assert min(width - box.x1, height - box.y1) >= 0
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_the_line_of_the_mean_crosses_no_number(tmp_path: Path, drawn: list[Figure]) -> None:
    values = [0.5, 0.49, 0.47, 0.44, 0.52, 0.58]
    plot_per_class(list("abcdef"), values, [0.46, 0.45, 0.1, 0.48, 0.2, 0.44], tmp_path / "c.png")
    figure, axes = drawn[0], drawn[0].axes[0]
    figure.canvas.draw()
    (mean,) = (found for found in axes.collections if str(found.get_label()).startswith("mean"))
    numbers = [text.get_window_extent() for text in axes.texts]
    assert len(numbers) == 12
    segments = [axes.transData.transform(segment) for segment in mean.get_segments()]
    assert len(segments) == 7
    x = segments[0][0, 0]
    assert any(box.x0 < x < box.x1 for box in numbers)
    for segment in segments:
        low, high = sorted(segment[:, 1])
        assert not any(box.x0 <= x <= box.x1 and box.y0 < high and low < box.y1 for box in numbers)


def test_identifiers_break_after_an_underscore() -> None:
    wrapped = per_class._wrapped("anti_inflammatory_peptides_of_the_skin")
    assert wrapped.replace("\n", "") == "anti_inflammatory_peptides_of_the_skin"
    assert all(line.endswith("_") for line in wrapped.split("\n")[:-1])


@pytest.mark.parametrize(
    ("names", "values", "bases", "message"),
    [
        ([], [], [], "at least one class"),
        (["a"], [0.5, 0.5], [0.1], "number of values: got 2, expected 1"),
        (["a"], [0.5], [], "number of base_rates: got 0"),
        (["a"], [1.5], [0.1], "class 'a': got 1.5"),
        (["a"], [0.5], [-0.1], "class 'a': got -0.1"),
    ],
)
def test_bad_input(names: list[str], values: list[float], bases: list[float], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        plot_per_class(names, values, bases, tmp_path / "c.png")
    assert not list(tmp_path.iterdir())
