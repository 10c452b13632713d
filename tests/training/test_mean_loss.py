import pytest
import torch

from pyg_samsa.training.averages import LabelAverage
from pyg_samsa.training.mean_loss import MeanLoss


def add(metric, loss, rows):
    metric.update(torch.as_tensor(loss), torch.zeros(rows, 1), torch.zeros(rows, 1))


def mean(*batches):
    metric = MeanLoss()
    for loss, rows in batches:
        add(metric, loss, rows)
    return metric.compute().item()


def test_batches_weigh_as_many_rows_as_they_have():
    assert mean((1.0, 4), (4.0, 1)) == pytest.approx(1.6)
    assert mean((0.25, 7)) == 0.25


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_not_left_out(value):
    assert mean((1.0, 4), (value, 2), (1.0, 4)) == pytest.approx(value, nan_ok=True)


def test_a_batch_without_rows_changes_nothing():
    assert mean((3.0, 2), (0.0, 0)) == 3.0


def test_batches_weigh_what_the_loss_is_a_mean_over():
    metric, nan = MeanLoss(LabelAverage()), float("nan")
    metric.update(torch.tensor(1.0), torch.zeros(2, 2), torch.tensor([[0.0, nan], [nan, nan]]))
    metric.update(torch.tensor(4.0), torch.zeros(1, 2), torch.zeros(1, 2))
    assert metric.compute().item() == pytest.approx((1 * 1 + 4 * 2) / 3)


def test_without_any_label_the_loss_is_zero():
    metric = MeanLoss(LabelAverage())
    metric.update(torch.tensor(0.0), torch.zeros(2, 1), torch.full((2, 1), float("nan")))
    assert metric.compute().item() == 0


def test_float64_losses_and_gradients():
    metric, loss = MeanLoss(), torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    add(metric, loss * 2, 3)
    value = metric.compute()
    assert value.item() == 1.0
    assert not value.requires_grad


def test_reset_and_clone():
    metric = MeanLoss()
    add(metric, 5.0, 1)
    other = metric.clone()
    metric.reset()
    assert metric.compute().isnan()
    add(metric, 1.0, 1)
    assert (metric.compute().item(), other.compute().item()) == (1.0, 5.0)
