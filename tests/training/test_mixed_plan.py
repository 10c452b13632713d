from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import cross_entropy, l1_loss

from pyg_samsa import metrics
from pyg_samsa.task import Task
from pyg_samsa.training import losses
from pyg_samsa.training.masked import MaskedLoss
from pyg_samsa.training.mixed_plan import constant_prediction, reference_value


def part(task, y, names=(), splits=((0, 1, 2, 3), (4, 5))):
    rows = [SimpleNamespace(y=value) for value in y]

    class Rows(list):
        pass

    dataset = Rows(rows)
    dataset.task, dataset.split_idx = task, dict(zip(("train", "val"), map(torch.tensor, splits), strict=True))
    return SimpleNamespace(dataset=dataset, metrics={name: metrics.build(name, task.num_targets) for name in names})


def test_the_best_constant_of_each_task():
    logits = constant_prediction(Task("multiclass", ["a", "b", "c"]), torch.tensor([0, 0, 1, -100]))
    torch.testing.assert_close(logits.softmax(1)[0, :2], torch.tensor([4 / 7, 2 / 7]), atol=1e-6, rtol=0)
    labels = torch.tensor([[1.0, torch.nan], [0.0, 1.0], [0.0, 1.0]])
    probabilities = constant_prediction(Task("multilabel", ["a", "b"]), labels).sigmoid()[0]
    torch.testing.assert_close(probabilities, torch.tensor([1 / 3, 1 - 0.5 / 3]))
    assert constant_prediction(Task("regression", ["y"]), torch.tensor([[torch.nan]])).tolist() == [[0.0]]
    words = Task("words", ["a", "b", "__UNK__", "__EOS__"], positions=2)
    logits = constant_prediction(words, torch.tensor([[0, 3], [0, 3], [1, 3], [1, 3]]))
    assert logits.softmax(1).shape == (1, words.num_targets)
    assert words.readable(logits)[0].tolist() == pytest.approx([0.4, 0.4, 0.1, 0.1, *[0.0909] * 3, 0.7273], abs=1e-4)


def test_the_reference_is_measured_on_the_validation_rows():
    regression = part(Task("regression", ["y"]), [torch.tensor([[v]]) for v in (1.0, 3.0, 1.0, 3.0, 2.0, 6.0)], ["mae"])
    assert reference_value(regression, l1_loss, "mae") == pytest.approx(2.0)
    assert reference_value(regression, losses.build("l1"), "loss") == pytest.approx(2.0)
    classes = part(Task("multiclass", ["a", "b"]), [torch.tensor([v]) for v in (0, 0, 0, 1, 1, 1)])
    assert reference_value(classes, cross_entropy, "loss") == pytest.approx(-torch.tensor(0.25).log().item(), rel=1e-5)


def test_a_masked_task_knows_its_reference():
    assert reference_value(None, MaskedLoss([3], reference=0.7), "loss") == 0.7
