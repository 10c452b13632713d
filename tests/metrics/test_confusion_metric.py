"""The three metrics over a confusion matrix against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from pyg_samsa import metrics
from pyg_samsa.errors import ConfigError, NumericalError, ShapeError
from pyg_samsa.metrics import confusion_metric

REFERENCES = {
    "accuracy": accuracy_score,
    "accuracy_macro": balanced_accuracy_score,
    "f1_macro": lambda true, pred: f1_score(true, pred, average="macro", zero_division=0),
}
NAN = float("nan")


@pytest.mark.parametrize("name", list(REFERENCES))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
class TestEveryConfusionMetric:
    @pytest.mark.parametrize("seed", range(4))
    def test_equals_sklearn_with_absent_classes(self, name: str, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(30, 6, generator=generator)
        logits[:, 5] -= 100  # never predicted
        target = torch.randint(0, 4, (30,), generator=generator)  # 4 is predicted but never true, 5 neither
        metric = metrics.build(name, 6)
        for p, t in zip(logits.split(7), target.split(7), strict=True):
            metric.update(p, t)
        assert metric.compute().item() == pytest.approx(
            REFERENCES[name](target.numpy(), logits.argmax(1).numpy()), abs=1e-12
        )

    @pytest.mark.parametrize("column", [False, True])
    def test_binary_with_one_logit(self, name: str, column: bool) -> None:
        logits, target = torch.tensor([2.0, -1.0, 0.5, -0.1, 3.0]), torch.tensor([1, 0, 0, 1, 1])
        metric = metrics.build(name, 1)
        metric.update(logits.unsqueeze(-1) if column else logits, target.unsqueeze(-1) if column else target.bool())
        assert metric.compute().item() == pytest.approx(REFERENCES[name](target.numpy(), [1, 0, 1, 0, 1]))

    def test_unlabelled_rows_are_left_out(self, name: str) -> None:
        logits = torch.eye(3)[[0, 1, 2, 2]]
        for labels in (torch.tensor([0, 1, 1, -100]), torch.tensor([0.0, 1.0, 1.0, NAN])):
            metric = metrics.build(name, 3)
            metric.update(logits, labels)
            assert metric.compute().item() == pytest.approx(REFERENCES[name]([0, 1, 1], [0, 1, 2]))

    def test_nothing_labelled_or_no_row_is_nan_with_a_warning(self, name: str) -> None:
        metric = metrics.build(name, 3)
        metric.update(torch.randn(2, 3), torch.tensor([NAN, NAN]))
        metric.update(torch.empty(0, 3), torch.empty(0, dtype=torch.long))
        with pytest.warns(UserWarning, match=f"{name} is undefined"):
            assert metric.compute().isnan()

    def test_one_row_and_bfloat16(self, name: str) -> None:
        metric = metrics.build(name, 3)
        metric.update(torch.tensor([[0.0, 2.0, 1.0]], dtype=torch.bfloat16), torch.tensor([1]))
        assert metric.compute().item() == 1.0

    @pytest.mark.parametrize("label", [3.0, -1.0, 0.5])
    def test_a_label_that_is_no_class_is_an_error(self, name: str, label: float) -> None:
        with pytest.raises(ConfigError, match="class numbers 0 to 2"):
            metrics.build(name, 3).update(torch.randn(2, 3), torch.tensor([0.0, label]))

    @pytest.mark.parametrize(("preds", "target"), [((4, 2), (4,)), ((4, 3), (5,)), ((4, 3), (4, 3)), ((4,), (4,))])
    def test_shapes_are_checked(self, name: str, preds: tuple[int, ...], target: tuple[int, ...]) -> None:
        with pytest.raises(ShapeError):
            metrics.build(name, 3).update(torch.zeros(preds), torch.zeros(target, dtype=torch.long))

    def test_nan_logit_is_an_error(self, name: str) -> None:
        with pytest.raises(NumericalError, match=name):
            metrics.build(name, 2).update(torch.tensor([[NAN, 0.0]]), torch.tensor([0]))
        metrics.build(name, 2).update(torch.tensor([[NAN, 0.0]]), torch.tensor([-100]))


def test_functional_confusion_matrix() -> None:
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    ours = confusion_metric.confusion_matrix(torch.from_numpy(pred), torch.from_numpy(true), 4)
    np.testing.assert_array_equal(ours.numpy(), confusion_matrix(true, pred, labels=range(4)))


@pytest.mark.parametrize(("width", "expected"), [(1, r"logits \[B, 1\] or \[B\]$"), (2, r"logits \[B, 2\]$")])
def test_the_error_names_the_shapes_that_are_taken(width: int, expected: str) -> None:
    with pytest.raises(ShapeError, match=expected):
        metrics.build("accuracy", width).update(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))


def test_many_rows_in_one_batch() -> None:
    target = torch.arange(1000) % 3
    metric = metrics.build("accuracy", 3)
    metric.update(torch.nn.functional.one_hot(target, 3).float(), target)
    assert float(metric.compute()) == 1.0


def test_two_logits_are_two_classes() -> None:
    metric = metrics.build("accuracy", 2)
    metric.update(torch.tensor([[5.0, 2.0], [-5.0, -2.0]]), torch.tensor([0, 1]))
    assert metric.confusion.tolist() == [[1, 0], [0, 1]]


def test_a_logit_of_zero_is_the_first_class() -> None:
    metric = metrics.build("accuracy", 1)
    metric.update(torch.tensor([0.0, 1e-6, -1e-6]), torch.tensor([0, 1, 0]))
    assert metric.confusion.tolist() == [[2, 0], [0, 1]]


def test_logits_that_are_not_finite_are_counted_among_those_of_labelled_rows() -> None:
    logits = torch.zeros(3, 3)
    logits[0, 0] = logits[2, 1] = NAN
    with pytest.raises(NumericalError, match=r"^metric accuracy: 1 of 6 logits are NaN or infinite$"):
        metrics.build("accuracy", 3).update(logits, torch.tensor([0, 2, -100]))


def test_the_base_has_no_value_of_its_own() -> None:
    assert confusion_metric.ConfusionMetric.__abstractmethods__ == {"_value"}
    assert confusion_metric.ConfusionMetric.higher_is_better is True
