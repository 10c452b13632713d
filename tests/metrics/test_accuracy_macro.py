import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from pyg_samsa.metrics.accuracy_macro import MacroAccuracy, accuracy_macro
from pyg_samsa.metrics.confusion_metric import confusion_matrix


@pytest.mark.parametrize(
    ("confusion", "value"),
    [
        ([[5.0, 0.0], [0.0, 1.0]], 1.0),
        ([[98.0, 0.0], [2.0, 0.0]], 0.5),  # a rare class weighs as much as a frequent one
        ([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 3.0, 1.0]], 0.375),  # the second class does not occur
    ],
)
def test_known_values(confusion, value):
    assert accuracy_macro(torch.tensor(confusion, dtype=torch.float64)).item() == value


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("classes", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_equals_sklearn_where_classes_are_only_predicted(seed, classes):
    generator = torch.Generator().manual_seed(seed)
    found = torch.randint(4, (50,), generator=generator)
    true = torch.randint(classes, (50,), generator=generator)
    value = accuracy_macro(confusion_matrix(found, true, 4).double())
    assert value.item() == pytest.approx(balanced_accuracy_score(true, found), rel=1e-14)


def test_one_class_alone():
    metric = MacroAccuracy(num_targets=3)
    metric.update(torch.eye(3)[[2, 2, 0]], torch.tensor([2, 2, 2]))
    assert metric.compute().item() == pytest.approx(2 / 3)


def test_name_and_direction():
    assert (MacroAccuracy.name, MacroAccuracy.higher_is_better) == ("accuracy_macro", True)
