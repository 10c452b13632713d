"""The loss of a split does not depend on how it is cut into batches."""

import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pyg_samsa.nn import TargetScale
from pyg_samsa.training import losses
from pyg_samsa.training.averages import RowAverage
from pyg_samsa.training.module import TaskModule
from pyg_samsa.training.scaling import ScaledLoss

ROWS = 64
OPTIONS = {
    "bce": [{}, {"pos_weight": [1.0, 4.0, 0.5], "label_smoothing": 0.1}],
    "smooth_l1": [{"beta": 0.5}],
    "cross_entropy": [{}, {"class_weight": [1.0, 5.0, 0.2], "label_smoothing": 0.1}],
    "weighted_cross_entropy": [{}, {"label_smoothing": 0.1}],
}
CASES = [(name, given) for name in losses.available() for given in OPTIONS.get(name, [{}])]


def rows(name, *, binary=False):
    """Predictions and targets of a split; two of five labels are missing, in the first rows nearly all."""
    generator = torch.Generator().manual_seed(3)
    width = 1 if binary else 3
    pred = 2 * torch.randn(ROWS, width, generator=generator)
    missing = torch.rand(ROWS, width, generator=generator) < 0.4
    missing[:7] = True
    missing[0, 0] = False
    if "cross_entropy" in name:
        target = torch.randint(0, 2 if binary else 3, (ROWS,), generator=generator).float()
        target = target.where(~missing[:, 0], float("nan"))
        return pred, target.unsqueeze(1) if name.startswith("word") else target
    target = torch.randn(ROWS, width, generator=generator)
    target = (target > 0).float() if name == "bce" else target
    return pred, target.where(~missing, float("nan"))


def in_batches(loss, pred, target, size, bound=None):
    """The validation loss of a module that sees the split in batches of a size."""
    module = TaskModule(nn.Identity(), loss=loss, metrics={}, optimizer=lambda groups: None)
    module.forward = lambda batch: (batch.pred, batch.target)
    for start in range(0, ROWS, size):
        part = slice(start, start + size)
        batch = SimpleNamespace(pred=pred[part], target=target[part])
        if bound is not None:
            batch.y_bound = bound[part]
        value, seen, labels = module._predict(batch, "val")
        module._measure("val", batch, value, seen, labels)
    return module.measures["val_loss"].compute().item()


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize(("name", "given"), CASES)
def test_the_loss_of_a_split_is_that_of_one_batch(name, given, size):
    loss, (pred, target) = losses.build(name, **given), rows(name)
    expected = loss(pred, target).item()
    assert expected > 0.1
    assert in_batches(loss, pred, target, size) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_one_logit_for_two_classes(size):
    loss = losses.build("weighted_cross_entropy", label_smoothing=0.1)
    pred, target = rows("cross_entropy", binary=True)
    assert in_batches(loss, pred, target, size) == pytest.approx(loss(pred, target).item(), rel=1e-5)


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("name", ["mse", "l1", "smooth_l1"])
def test_bounded_and_scaled_losses(name, size):
    pred, target = rows(name)
    bound = torch.randint(-1, 2, pred.shape, generator=torch.Generator().manual_seed(4))
    scale = TargetScale(3)
    scale.fit(torch.tensor([0.5, 0.0, -1.0]), torch.tensor([2.0, 0.5, 1.0]))
    loss = ScaledLoss(losses.build(name), scale)
    expected = loss(losses.clip_to_bounds(pred, target, bound), target).item()
    assert expected != pytest.approx(loss(pred, target).item(), rel=1e-2)
    assert in_batches(loss, pred, target, size, bound) == pytest.approx(expected, rel=1e-5)


def test_a_loss_of_other_code_weighs_rows():
    def loss(pred, target):
        return (pred - target).abs().mean()

    pred, target = torch.randn(ROWS, 3), torch.randn(ROWS, 3)
    assert in_batches(loss, pred, target, 7) == pytest.approx(loss(pred, target).item(), rel=1e-5)
    assert isinstance(ScaledLoss(loss, TargetScale(3)).average, RowAverage)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_loss_that_is_not_finite_is_not_hidden(name, given):
    loss, (pred, target) = losses.build(name, **given), rows(name)
    pred[-1] = float("nan")
    target[-1] = 1.0
    assert not torch.isfinite(torch.tensor(in_batches(loss, pred, target, 7)))


@pytest.mark.parametrize("name", losses.available())
def test_without_labels_the_loss_is_zero(name):
    loss, (pred, target) = losses.build(name), rows(name)
    assert in_batches(loss, pred, target * float("nan"), 7) == 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])
def test_a_copied_loss_keeps_what_it_is_a_mean_over(copied):
    loss = losses.build("cross_entropy", class_weight=[1.0, 2.0])
    assert copied(loss).average.options == loss.average.options
