import pytest
import torch
from sklearn.metrics import accuracy_score

from pyg_samsa.metrics.accuracy import Accuracy, accuracy
from pyg_samsa.metrics.confusion_metric import confusion_matrix


@pytest.mark.parametrize(
    ("confusion", "value"),
    [
        ([[5.0, 0.0], [0.0, 1.0]], 1.0),
        ([[0.0, 5.0], [1.0, 0.0]], 0.0),
        ([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 2.0]], 0.7),
    ],
)
def test_known_values(confusion, value):
    assert accuracy(torch.tensor(confusion, dtype=torch.float64)).item() == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_equals_sklearn(seed):
    generator = torch.Generator().manual_seed(seed)
    found, true = (torch.randint(4, (50,), generator=generator) for _ in range(2))
    value = accuracy(confusion_matrix(found, true, 4).double())
    assert value.item() == pytest.approx(accuracy_score(true, found), rel=1e-15)


def test_many_rows_are_counted_exactly():
    # Float32 counts would stop at 2 ** 24.
    metric = Accuracy(num_targets=2)
    metric.update(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    metric.confusion *= 2**24
    metric.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]))
    assert metric.compute().item() == (2**24 + 1) / (2**24 + 2)


def test_a_logit_of_zero_is_class_zero():
    metric = Accuracy(num_targets=1)
    metric.update(torch.tensor([0.0, 0.0, 1e-6]), torch.tensor([0, 1, 1]))
    assert metric.compute().item() == pytest.approx(2 / 3)


def test_name_and_direction():
    assert (Accuracy.name, Accuracy.higher_is_better) == ("accuracy", True)
