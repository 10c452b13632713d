from types import SimpleNamespace

import pytest
import torch

from pyg_samsa.task import Task
from pyg_samsa.training.results import RunResult
from pyg_samsa.training.run_folder import RunFolder
from pyg_samsa.viz import run_pictures

HISTORY = [
    {"epoch": 1, "train_loss": 3.0, "val_loss": 2.0, "val_ap": 0.25, "lr": 0.1},
    {"epoch": 2, "train_loss": 2.0, "val_loss": 1.0, "val_ap": 0.5, "lr": 0.1},
]
PER_CLASS = {"name": ["a", "b"], "ap": [0.5, 0.25], "base_rate": [0.125, 0.75], "positives": [1, 6]}
GRAPHS = SimpleNamespace(task=Task("multilabel", ["a", "b"]))
NOTHING = SimpleNamespace(node=None)


def result_of(folder, **changes):
    values = {"val": {"ap": 0.5}, "test": {"ap": 0.375}, "per_class": {}, **changes}
    return RunResult(RunFolder(folder), 3, 2, parameters=10, epochs=2, seconds=1.0, **values)


@pytest.fixture
def drawn(monkeypatch):
    """The arguments of every figure, which is written as an empty file."""
    calls = {}

    def spy(name, place):
        def draw(*args, **options):
            args[place].write_text("")
            calls[name] = (args, options)

        monkeypatch.setattr(run_pictures, name, draw)

    spy("plot_learning_curves", 1)
    spy("plot_per_class", 3)
    spy("plot_parts", 4)
    return calls


def test_every_figure_has_its_file(tmp_path):
    run_pictures.draw_run(result_of(tmp_path, per_class=PER_CLASS), HISTORY, NOTHING, dataset=GRAPHS, monitor="val_ap")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learning_curves.png", "per_class.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in tmp_path.iterdir())


def test_a_run_without_history_and_classes_has_no_figure(tmp_path, drawn):
    run_pictures.draw_run(result_of(tmp_path), [], NOTHING, dataset=GRAPHS)
    assert not list(tmp_path.iterdir())
    assert drawn == {}


@pytest.mark.parametrize(("monitor", "metric"), [("val_ap", "ap"), (None, "loss")])
def test_curves_show_the_loss_and_the_main_metric(monitor, metric, tmp_path, drawn):
    run_pictures.draw_run(result_of(tmp_path / "exp" / "3"), HISTORY, NOTHING, dataset=GRAPHS, monitor=monitor)
    (table, _), options = drawn["plot_learning_curves"]
    assert options == {"metric": metric, "best_epoch": 2, "title": "exp, seed 3"}
    assert table["split"].tolist() == ["train", "val", "train", "val", "test"]
    assert table["epoch"].tolist() == [1, 1, 2, 2, 2]
    assert table["loss"].tolist()[:4] == [3.0, 2.0, 2.0, 1.0]
    assert table["ap"].dropna().tolist() == ([0.25, 0.5, 0.375] if monitor else [0.375])


def test_scores_of_classes_are_those_of_the_result(tmp_path, drawn):
    run_pictures.draw_run(result_of(tmp_path, per_class=PER_CLASS), [], NOTHING, dataset=GRAPHS)
    names, ap, base_rate, _ = drawn["plot_per_class"][0]
    assert (names, ap, base_rate) == (["a", "b"], [0.5, 0.25], [0.125, 0.75])


class Shapes(list):
    task = Task("multiclass", list("abcd"), "node", parts=[[0, 1], [2, 3]])
    category_names = ("mug",)
    up = 2


def test_the_first_test_shape_of_each_category_is_drawn_with_its_own_parts(tmp_path, drawn):
    shapes = Shapes(
        SimpleNamespace(category=category, pos=torch.full((2, 3), float(row)))
        for row, category in enumerate([1, 0, 1, 0])
    )
    # Logits favour part 3 everywhere, which a shape of category 0 does not have.
    pred = torch.tensor([[0.0, 1, 2, 3], [1.0, 0, 2, 3]]).repeat(3, 1)
    collected = SimpleNamespace(
        row_id=torch.tensor([1, 1, 2, 2, 3, 3]),
        node=torch.tensor([0, 1] * 3),
        pred=pred,
        target=torch.tensor([0, 1, 2, 3, 0, 0]),
    )
    run_pictures.draw_run(result_of(tmp_path), [], collected, dataset=shapes)
    (points, true, predicted, names, _), options = drawn["plot_parts"]
    assert names == ("mug", "category 1")
    assert [cloud[0, 0].item() for cloud in points] == [1.0, 2.0]
    assert [part.tolist() for part in true] == [[0, 1], [2, 3]]
    assert [part.tolist() for part in predicted] == [[1, 0], [3, 3]]
    assert options == {"up": 2}


def test_few_shapes_are_drawn(tmp_path, drawn):
    shapes = Shapes(SimpleNamespace(category=row, pos=torch.zeros(1, 3)) for row in range(20))
    shapes.task = Task("multiclass", ["a"], "node", parts=[[0]] * 20)
    collected = SimpleNamespace(
        row_id=torch.arange(20), node=torch.zeros(20), pred=torch.zeros(20, 1), target=torch.zeros(20)
    )
    run_pictures.draw_run(result_of(tmp_path), [], collected, dataset=shapes)
    assert len(drawn["plot_parts"][0][0]) == run_pictures.MAX_SHAPES
