import pytest
import torch

from pyg_samsa.errors import NumericalError, SAMSAError
from pyg_samsa.functional.deferred_checks import Check
from pyg_samsa.training.finite import FiniteGuard


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_guard(value):
    guard = FiniteGuard()
    guard.watch(torch.tensor(0.5), "fine")
    with pytest.raises(NumericalError, match="here"):
        guard.watch(torch.tensor(value), "here")


@pytest.mark.cuda
def test_guard_on_a_device_tells_one_step_later():
    guard = FiniteGuard()
    guard.watch(torch.tensor(float("nan"), device="cuda"), "step 1")
    with pytest.raises(NumericalError, match="step 1"):
        guard.watch(torch.tensor(1.0, device="cuda"), "step 2")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_large_and_small_values_are_fine(dtype):
    guard = FiniteGuard()
    for value in (0.0, -1e30, 1e-30):
        guard.watch(torch.tensor(value, dtype=dtype), "fine")
    guard.flush()


def test_the_error_says_where_and_what_to_do():
    with pytest.raises(NumericalError, match=r"^training loss at step 7: is -inf") as caught:
        FiniteGuard().watch(torch.tensor(float("-inf")), "training loss at step 7")
    assert "optim.base_lr" in caught.value.hint


def test_a_pending_value_is_checked_once():
    guard = FiniteGuard()
    guard.watch(torch.tensor(float("nan")), "step 1", [Check(torch.tensor(False), lambda: None)])
    with pytest.raises(NumericalError, match="step 1"):
        guard.flush()
    guard.flush()


def test_deferred_checks_are_read_with_the_next_step():
    guard, error = FiniteGuard(), SAMSAError("a category is out of range")
    guard.watch(torch.tensor(1.0), "step 1", [Check(torch.tensor(False), lambda: error)])
    guard.watch(torch.tensor(1.0), "step 2", [Check(torch.tensor(True), lambda: None)])  # nothing wrong after all
    guard.watch(torch.tensor(1.0), "step 3", [Check(torch.tensor(True), lambda: error)])
    with pytest.raises(SAMSAError, match="out of range"):
        guard.watch(torch.tensor(1.0), "step 4")
