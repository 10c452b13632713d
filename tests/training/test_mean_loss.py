import pytest
import torch

from pyg_samsa.training.mean_loss import MeanLoss


def mean(*batches):
    metric = MeanLoss()
    for loss, rows in batches:
        metric.update(torch.tensor(loss), rows)
    return metric.compute().item()


def test_batches_weigh_as_many_rows_as_they_have():
    assert mean((1.0, 4), (4.0, 1)) == pytest.approx(1.6)
    assert mean((0.25, 7)) == 0.25


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_not_left_out(value):
    assert mean((1.0, 4), (value, 2), (1.0, 4)) == pytest.approx(value, nan_ok=True)


def test_a_batch_without_rows_changes_nothing():
    assert mean((3.0, 2), (0.0, 0)) == 3.0


def test_float64_losses_and_gradients():
    metric, loss = MeanLoss(), torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    metric.update(loss * 2, 3)
    value = metric.compute()
    assert value.item() == 1.0
    assert not value.requires_grad


def test_reset_and_clone():
    metric = MeanLoss()
    metric.update(torch.tensor(5.0), 1)
    other = metric.clone()
    metric.reset()
    metric.update(torch.tensor(1.0), 1)
    assert (metric.compute().item(), other.compute().item()) == (1.0, 5.0)
