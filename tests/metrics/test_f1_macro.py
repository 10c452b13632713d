import pytest
import torch
from sklearn.metrics import f1_score

from pyg_samsa.metrics.confusion_metric import confusion_matrix
from pyg_samsa.metrics.f1_macro import MacroF1, f1_macro


@pytest.mark.parametrize(
    ("confusion", "value"),
    [
        ([[5.0, 0.0], [0.0, 1.0]], 1.0),
        ([[2.0, 2.0], [0.0, 1.0]], (2 / 3 + 1 / 2) / 2),
        ([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], 0.4),  # 4/5 and 0; the second class does not occur
    ],
)
def test_known_values(confusion, value):
    assert f1_macro(torch.tensor(confusion, dtype=torch.float64)).item() == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(("true_classes", "found_classes"), [(5, 5), (3, 5), (5, 3), (2, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_equals_sklearn_where_classes_are_absent(seed, true_classes, found_classes):
    generator = torch.Generator().manual_seed(seed)
    found = torch.randint(found_classes, (50,), generator=generator)
    true = torch.randint(true_classes, (50,), generator=generator)
    value = f1_macro(confusion_matrix(found, true, 5).double())
    assert value.item() == pytest.approx(f1_score(true, found, average="macro", zero_division=0), rel=1e-14)


def test_classes_do_not_matter_by_their_order():
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(30, 4, generator=generator), torch.randint(4, (30,), generator=generator)
    order = torch.tensor([2, 0, 3, 1])
    plain, renamed = MacroF1(num_targets=4), MacroF1(num_targets=4)
    plain.update(logits, target)
    renamed.update(logits[:, order], order.argsort()[target])
    assert renamed.compute().item() == pytest.approx(plain.compute().item(), rel=1e-15)


def test_name_and_direction():
    assert (MacroF1.name, MacroF1.higher_is_better) == ("f1_macro", True)
