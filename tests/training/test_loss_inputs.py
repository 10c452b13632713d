import pytest
import torch

from pyg_samsa.errors import ConfigError, ShapeError
from pyg_samsa.training.loss_inputs import class_vector, classes, full_precision, masked, two_columns

NAN = float("nan")


def test_precision_is_at_least_float32():
    found = [full_precision(torch.zeros(1, dtype=kind)).dtype for kind in (torch.half, torch.float32, torch.float64)]
    assert found == [torch.float32, torch.float32, torch.float64]
    with pytest.raises(ShapeError, match="floating-point"):
        full_precision(torch.zeros(1, dtype=torch.long))


def test_missing_labels_are_zero_on_both_sides():
    pred, target, labelled = masked(torch.tensor([[1.0, NAN]]), torch.tensor([[2.0, NAN]]))
    assert (pred.tolist(), target.tolist(), labelled.tolist()) == ([[1.0, 0.0]], [[2.0, 0.0]], [[True, False]])
    assert masked(torch.zeros(300), torch.zeros(300, 1))[2].all()  # a column of many rows
    with pytest.raises(ShapeError, match="the shape of pred"):
        masked(torch.zeros(2, 3), torch.zeros(3, 2))


def test_class_numbers():
    _, target = classes(torch.zeros(3, 2), torch.tensor([[1.0], [NAN], [0.0]]))
    assert target.tolist() == [1, -100, 0]
    with pytest.raises(ConfigError, match="class numbers 0 to 1"):
        classes(torch.zeros(1, 2), torch.tensor([2]))


def test_one_logit_becomes_two():
    pred, binary = two_columns(torch.tensor([[3.0]]))
    assert (pred.tolist(), binary) == ([[0.0, 3.0]], True)
    pred, binary = two_columns(torch.zeros(1, 2))
    assert (pred.shape, binary) == ((1, 2), False)


def test_weights_of_classes():
    assert class_vector("pos_weight", 2.0, torch.zeros(1, 3)).tolist() == 2.0
    with pytest.raises(ShapeError, match="each of the 3 classes"):
        class_vector("pos_weight", [1.0, 2.0], torch.zeros(1, 3))
